"""The networks that are compared, ours and PyTorch's, with the same weights."""

import numpy as np

NETWORKS = {"resnet-18": "R3D-18", "resnet-50": "R3D-50", "resnext-101": "ResNeXt-101"}
PRECISIONS = ("float32", "bfloat16")


def random_clips(batch_size: int, size: int) -> np.ndarray:
    """Returns uint8 [batch_size, 16, size, size, 3]."""
    return np.random.default_rng(0).integers(0, 256, (batch_size, 16, size, size, 3), dtype=np.uint8)


def torch_network(architecture: str, training: bool, channels_last: bool):
    """Returns a `TorchNetwork` with our initial weights, and its parameters."""
    import torch

    from r3d_keras.convert.torch_networks import TorchNetwork
    from r3d_keras.convert.weights import slots
    from r3d_keras.models import build_model

    model = build_model(architecture, 400)
    state = {}
    for name, place in slots(model).items():
        values = torch.from_numpy(place.to_torch(place.variable.numpy()).copy())
        if values.ndim == 5 and channels_last:
            values = values.contiguous(memory_format=torch.channels_last_3d)
        state[name] = values.requires_grad_(training and not name.endswith(("running_mean", "running_var")))
    return TorchNetwork(architecture, state, model.metadata.arguments, training)


def torch_clips(clips: np.ndarray, channels_last: bool):
    """Returns normalized float32 clips as PyTorch wants them, [batch, 3, 16, size, size]."""
    import torch

    values = torch.from_numpy(((clips - np.float32(114)) / np.float32(40)).transpose(0, 4, 1, 2, 3).copy())
    return values.contiguous(memory_format=torch.channels_last_3d) if channels_last else values
