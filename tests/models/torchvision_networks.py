"""torchvision's own networks of videos and of pictures: the oracle for ours."""

import sys
import types

import torch

# torchvision's compiled part is made for CUDA builds of PyTorch, and without it this module of it fails to load; the
# networks need neither.
sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
from torchvision import models  # noqa: E402


def torchvision_network(name: str, num_classes: int) -> torch.nn.Module:
    """Returns r3d_18, mc3_18, r2plus1d_18 or a network of pictures (resnet18) with torchvision's initial weights."""
    return models.get_model(name, weights=None, num_classes=num_classes)
