"""The graph of a bundle, held against the operations that bundles are made of, before TensorFlow loads it.

A SavedModel is a program: TensorFlow runs whatever operations it names, and some of them read and write files or call
Python. This refuses all that a bundle of r3d export does not need; what is left is arithmetic on what it is given.
"""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

SAVED_MODEL = "saved_model.pb"
LARGEST_GRAPH = 256 * 1024 * 1024  # of a DenseNet-121 it has 6 MB: weights lie elsewhere
_OPERATIONS = """
Abs AddN AddV2 All Any Cumsum DenseBincount Elu Equal Erf Exp FloorDiv FloorMod Greater GreaterEqual LeakyRelu Less
LessEqual Log LogSoftmax LogicalAnd LogicalNot LogicalOr Max Maximum Mean Min Minimum Mul Neg NotEqual Pow Prod RealDiv
Relu Round Rsqrt Sigmoid Softmax Sqrt Square SquaredDifference Sub Sum Tanh TopKV2 UnsortedSegmentSum

AvgPool AvgPool3D BatchMatMulV2 BiasAdd Conv2D Conv3D Einsum FusedBatchNormV3 MatMul MaxPool MaxPool3D

BroadcastTo Cast ConcatV2 Const EnsureShape ExpandDims Fill GatherNd GatherV2 Identity IdentityN OnesLike Pack Pad PadV2
Placeholder PreventGradient Range Rank Reshape Select SelectV2 Shape Size Slice Split SplitV Squeeze StopGradient
StridedSlice TensorListConcatV2 TensorListFromTensor TensorListGetItem TensorListLength TensorListReserve
TensorListSetItem TensorListStack Tile Transpose Unpack Where ZerosLike

DecodeJpeg DecodePng DecodeRaw ExtractJpegShape ResizeBilinear ScaleAndTranslate StaticRegexFullMatch StringJoin
StringLength Substr

Assert AssignVariableOp Case DeviceIndex DisableCopyOnRead If NoOp PartitionedCall ReadVariableOp
StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile VarHandleOp VarIsInitializedOp While
"""  # arithmetic; layers; tensors and their shapes; pictures and text; variables, and what runs when
OPERATIONS = frozenset(_OPERATIONS.split())
# How a SavedModel reads and writes its own variables, in two functions that nothing else calls.
CHECKPOINT_OPERATIONS = frozenset(("MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"))
OBJECTS = ("asset", "bare_concrete_function", "user_object", "variable")


def check_graph(folder: Path) -> None:
    """Raises ValueError for a SavedModel with an operation that no bundle has, OSError for one that cannot be read."""
    path = folder / SAVED_MODEL
    if path.stat().st_size > LARGEST_GRAPH:
        raise ValueError(f"its {SAVED_MODEL} has more than {LARGEST_GRAPH} bytes")
    try:
        graphs = SavedModel.FromString(path.read_bytes()).meta_graphs
    except DecodeError as error:
        raise ValueError(f"its {SAVED_MODEL} is damaged") from error
    # With more of them, or without objects, TensorFlow would run it as its first version did: the whole graph.
    if len(graphs) != 1 or not graphs[0].HasField("object_graph_def"):
        raise ValueError("it was not written by tf.saved_model.save of TensorFlow 2")
    (graph,) = graphs
    for item in graph.object_graph_def.nodes:
        if (kind := item.WhichOneof("kind")) not in OBJECTS or item.registered_name or item.registered_saver:
            raise ValueError(f"it holds a {item.registered_name or kind}, which no bundle of r3d export does")
    functions = {function.signature.name: list(function.node_def) for function in graph.graph_def.library.function}
    reached = {item.bare_concrete_function.concrete_function_name for item in graph.object_graph_def.nodes}
    reached.update(graph.object_graph_def.concrete_functions)
    for nodes in functions.values():
        reached.update(name for node in nodes for name in _called(node))
    for name, nodes in [("", graph.graph_def.node), *functions.items()]:
        for node in nodes:
            is_checkpoint = node.op in CHECKPOINT_OPERATIONS and name and name not in reached
            if node.op not in OPERATIONS and not is_checkpoint:
                raise ValueError(
                    f"its graph has the operation {node.op[:80]!r}, which no bundle of r3d export needs, and which may "
                    "read or write files"
                )


def _called(node: NodeDef) -> Iterator[str]:
    """Yields the functions that a node names."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)
