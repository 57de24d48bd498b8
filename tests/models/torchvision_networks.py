"""torchvision's own video networks: the oracle for ours."""

import sys
import types

import torch

# torchvision's compiled part is made for CUDA builds of PyTorch, and without it this module of it fails to load; the
# networks need neither.
sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
from torchvision.models import video  # noqa: E402


def torchvision_network(name: str, num_classes: int) -> torch.nn.Module:
    """Returns r3d_18, mc3_18 or r2plus1d_18 with torchvision's initial weights."""
    return getattr(video, name)(weights=None, num_classes=num_classes)
