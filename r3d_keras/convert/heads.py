"""The head of a checkpoint: the linear layer from features to logits, under whatever name it has."""

from dataclasses import dataclass

from r3d_keras.convert.checkpoint_file import StoredTensor
from r3d_keras.convert.state_dict import Checkpoint
from r3d_keras.errors import UserError
from r3d_keras.models.architectures import find_architecture

LAYERS_NAMED = 5


@dataclass(frozen=True)
class SplitTensors:
    """The tensors of a checkpoint as the network takes them.

    tensors     by the authors' names, the head's under the name that the architecture has for it
    head        the name of the head in the file; None without a head
    has_bias    whether the head has one; the model's is 0 otherwise, which changes no logit
    num_classes length of the logits; 0 without a head
    left_out    tensors and fields of the file: why no use is made of them
    """

    tensors: dict[str, StoredTensor]
    head: str | None
    has_bias: bool
    num_classes: int
    left_out: dict[str, str]


def split_head(checkpoint: Checkpoint, architecture: str, headless: bool) -> SplitTensors:
    """Finds the head of a network among its tensors.

    It is the only linear layer behind the stages of the architecture, with the network's prefix or without it, or else
    in a dictionary of its own beside that of the network. With
    `headless` all layers behind the stages are left out, however many there are: the model then gives features.

    Raises UserError when there is none, or several of which the logits could come.
    """
    row = find_architecture(architecture)
    stages = tuple(prefix for prefixes in row.stages.values() for prefix in prefixes)
    body = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith(stages)}
    behind = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in body}
    if headless:
        parts = {name.split(".")[0] for name, tensor in behind.items() if _is_matrix(tensor)}
        unwanted = [*(name for name in behind if name.split(".")[0] in parts), *checkpoint.outside]
        kept = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in unwanted}
        why = dict.fromkeys(unwanted, "behind the features, which the model gives")
        return SplitTensors(kept, None, True, 0, {**checkpoint.left_out, **why})
    outside, left_out = checkpoint.outside, checkpoint.left_out
    if not _layers(behind) and not _layers(outside):
        beside = {key: tensors for key, tensors in checkpoint.beside.items() if _layers(tensors)}
        outside = {**outside, **{name: tensor for tensors in beside.values() for name, tensor in tensors.items()}}
        left_out = {name: why for name, why in left_out.items() if name not in beside}
    places = [place for place in (behind, outside) for _ in _layers(place)]
    layers = {**_layers(behind), **_layers(outside)}
    if len(places) != 1:
        raise UserError(f"{checkpoint.path} {_describe(layers, {**behind, **outside})}")
    ((head, shape),) = layers.items()
    tensors = dict(body)
    for place in (behind, outside):
        for name, tensor in place.items():
            is_head = place is places[0] and name in (f"{head}.weight", f"{head}.bias")
            name = f"{row.head}{name.removeprefix(head)}" if is_head else name
            if name in tensors:
                raise UserError(f"{checkpoint.path}: two tensors are {name}")
            tensors[name] = tensor
    return SplitTensors(tensors, head, f"{row.head}.bias" in tensors, shape[0], left_out)


def _layers(tensors: dict[str, StoredTensor]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the linear layers' weights by the names of the layers."""
    matrices = {name: each.shape for name, each in tensors.items() if _is_matrix(each)}
    return {name.removesuffix(".weight"): shape for name, shape in matrices.items() if name.endswith(".weight")}


def _is_matrix(tensor: StoredTensor) -> bool:
    # I3D's is a convolution of one place.
    return len(tensor.shape) >= 2 and all(tensor.shape) and all(size == 1 for size in tensor.shape[2:])


def _describe(layers: dict[str, tuple[int, ...]], others: dict[str, StoredTensor]) -> str:
    if not layers:
        found = f" but {_named({name: each.shape for name, each in others.items()})}" if others else ""
        return f"has no head, a linear layer, behind its features{found}: with headless=True the model gives these"
    return (
        f"has {len(layers)} linear layers behind its features ({_named(layers)}), where one is "
        f"expected: with headless=True they are left out, and the model gives the features"
    )


def _named(shapes: dict[str, tuple[int, ...]]) -> str:
    named = [f"{name} {list(shape)}" for name, shape in shapes.items()]
    return ", ".join(named[:LAYERS_NAMED]) + f" and {len(named) - LAYERS_NAMED} more" * (len(named) > LAYERS_NAMED)
