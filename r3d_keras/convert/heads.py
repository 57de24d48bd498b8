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
    num_classes length of the logits; 0 without a head
    left_out    tensors of a head that is not taken: why
    """

    tensors: dict[str, StoredTensor]
    head: str | None
    num_classes: int
    left_out: dict[str, str]


def split_head(checkpoint: Checkpoint, architecture: str, headless: bool) -> SplitTensors:
    """Finds the head of a network among its tensors.

    It is the only linear layer behind the stages of the architecture, with the network's prefix or without it. With
    `headless` all layers behind the stages are left out, however many there are: the model then gives features.

    Raises UserError when there is none, or several of which the logits could come.
    """
    row = find_architecture(architecture)
    stages = tuple(prefix for prefixes in row.stages.values() for prefix in prefixes)
    body = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith(stages)}
    behind = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in body}
    if headless:
        parts = {name.split(".")[0] for name in _layers(behind)}
        unwanted = [*(name for name in behind if name.split(".")[0] in parts), *checkpoint.outside]
        kept = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in unwanted}
        return SplitTensors(kept, None, 0, dict.fromkeys(unwanted, "behind the features, which the model gives"))
    places = [place for place in (behind, checkpoint.outside) for _ in _layers(place)]
    layers = {**_layers(behind), **_layers(checkpoint.outside)}
    if len(places) != 1:
        raise UserError(f"{checkpoint.path} {_describe(layers)}")
    ((head, shape),) = layers.items()
    tensors = dict(body)
    for place in (behind, checkpoint.outside):
        for name, tensor in place.items():
            is_head = place is places[0] and name in (f"{head}.weight", f"{head}.bias")
            name = f"{row.head}{name.removeprefix(head)}" if is_head else name
            if name in tensors:
                raise UserError(f"{checkpoint.path}: two tensors are {name}")
            tensors[name] = tensor
    return SplitTensors(tensors, head, shape[0], {})


def _layers(tensors: dict[str, StoredTensor]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the linear layers' weights by the names of the layers."""
    return {name.removesuffix(".weight"): each.shape for name, each in tensors.items() if _is_linear(name, each)}


def _is_linear(name: str, tensor: StoredTensor) -> bool:
    # I3D's is a convolution of one place.
    is_matrix = len(tensor.shape) >= 2 and all(tensor.shape) and all(size == 1 for size in tensor.shape[2:])
    return is_matrix and name.endswith(".weight")


def _describe(layers: dict[str, tuple[int, ...]]) -> str:
    if not layers:
        return "has no head, a linear layer behind its features: with headless=True the model gives those features"
    named = [f"{name} {list(shape)}" for name, shape in layers.items()]
    more = f" and {len(named) - LAYERS_NAMED} more" if len(named) > LAYERS_NAMED else ""
    return (
        f"has {len(layers)} linear layers behind its features ({', '.join(named[:LAYERS_NAMED])}{more}), where one is "
        f"expected: with headless=True they are left out, and the model gives the features"
    )
