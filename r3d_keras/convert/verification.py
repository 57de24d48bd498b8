"""A converted model against PyTorch: the same weights, the same clip, the largest difference of the logits."""

from dataclasses import dataclass

import numpy as np

from r3d_keras.convert.conversion import Conversion
from r3d_keras.errors import UserError

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Verification:
    """Largest absolute difference of two sets of logits, and the largest absolute logit. Printed, it says both."""

    difference: float
    largest_logit: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is float32's rounding: at most TOLERANCE, or that part of logits above 1."""
        return self.difference <= TOLERANCE * max(1.0, self.largest_logit)

    def __str__(self) -> str:
        return f"largest difference from PyTorch: {self.difference:.2e} (largest logit {self.largest_logit:.3g})"


def verify(conversion: Conversion) -> Verification:
    """Runs one clip of random pixels through the model and through PyTorch with the checkpoint's own tensors.

    Raises UserError when PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise UserError("verification needs PyTorch: pip install torch, or convert without it") from error
    from r3d_keras.convert.torch_networks import TorchNetwork

    model = conversion.model
    metadata = model.metadata
    size = (1, metadata.clip_frames, metadata.frame_size, metadata.frame_size, metadata.channels)
    clips = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    ours = model(clips, training=False).numpy()

    state = {name: torch.from_numpy(conversion.tensors[name].read().astype(np.float32)) for name in conversion.tensors}
    normalized = (clips - np.float32(metadata.normalization.mean)) / np.float32(metadata.normalization.std)
    network = TorchNetwork(metadata.architecture, state, metadata.arguments)
    with torch.inference_mode():
        theirs = network(torch.from_numpy(normalized.transpose(0, 4, 1, 2, 3).copy())).numpy()
    return Verification(float(np.abs(ours - theirs).max()), float(np.abs(theirs).max()))
