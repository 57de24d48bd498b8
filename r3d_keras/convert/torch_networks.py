"""The networks once more, in PyTorch: what a converted model is compared with.

Nothing is shared with the Keras builders. The number of blocks, widths, groups, shortcuts and kernels are read
from the state dict itself; only what tensors cannot tell (strides, pooling, the order of the operations) is written
here, from the authors' code and torchvision's.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional


class TorchNetwork:
    """Applies the weights of `state` to clips.

    Args:
        architecture: a key of ARCHITECTURES.
        state: tensors by the authors' 2020 names (torchvision's for its networks), without prefix.
        arguments: of the architecture; `conv1_t_stride` and `max_pool` are looked at.
        training: whether batch normalization uses the batch's statistics and updates the running ones in place.
    """

    def __init__(
        self, architecture: str, state: Mapping[str, torch.Tensor], arguments: Mapping[str, Any], training: bool = False
    ):
        self.family = architecture.split("-")[0]
        self.state = state
        self.conv1_t_stride = arguments.get("conv1_t_stride", 1)
        self.max_pool = arguments.get("max_pool", True)
        self.training = training

    def __call__(self, clips: torch.Tensor) -> torch.Tensor:
        """Returns logits [batch, classes] of normalized clips [batch, channels, frames, height, width].

        Of weights without a head, features [batch, channels].
        """
        if self.family == "c3d":
            return self._c3d(clips)
        if self.family == "densenet":
            return self._head(self._densenet(clips).mean(dim=(2, 3, 4)), "classifier")
        if "stem.0.weight" in self.state:
            return self._head(self._torchvision(clips).mean(dim=(2, 3, 4)), "fc")
        return self._head(self._resnet(clips).mean(dim=(2, 3, 4)), "fc")

    def _has(self, name: str) -> bool:
        return f"{name}.weight" in self.state

    def _conv(self, x: torch.Tensor, name: str, stride: int | tuple[int, ...] = 1) -> torch.Tensor:
        weight = self.state[f"{name}.weight"]
        padding = tuple(size // 2 for size in weight.shape[2:])
        groups = x.shape[1] // weight.shape[1]
        return functional.conv3d(x, weight, self.state.get(f"{name}.bias"), stride, padding, groups=groups)

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        mean, variance = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        return functional.batch_norm(x, mean, variance, weight, bias, self.training, momentum=0.1, eps=1e-5)

    def _norm_relu(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.relu(self._norm(x, name))

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def _head(self, features: torch.Tensor, name: str) -> torch.Tensor:
        return self._linear(features, name) if self._has(name) else features

    def _factorized(self, x: torch.Tensor, conv: str, norm: str, space_stride: int, time_stride: int) -> torch.Tensor:
        x = self._conv(x, f"{conv}_s", (1, space_stride, space_stride))
        x = self._norm_relu(x, f"{norm}_s")
        return self._norm(self._conv(x, f"{conv}_t", (time_stride, 1, 1)), f"{norm}_t")

    def _stem_pool(self, x: torch.Tensor) -> torch.Tensor:
        return functional.max_pool3d(x, 3, 2, 1) if self.max_pool else x

    def _resnet(self, x: torch.Tensor) -> torch.Tensor:
        if self._has("conv1_s"):
            x = functional.relu(self._factorized(x, "conv1", "bn1", 2, self.conv1_t_stride))
        else:
            x = self._norm_relu(self._conv(x, "conv1", (self.conv1_t_stride, 2, 2)), "bn1")
        x = self._stem_pool(x)
        block = self._pre_activated_block if self.family == "preresnet" else self._block
        for stage in range(1, 5):
            index = 0
            while self._block_exists(f"layer{stage}.{index}"):
                x = block(x, f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1)
                index += 1
        return x

    def _block_exists(self, name: str) -> bool:
        return self._has(f"{name}.conv1") or self._has(f"{name}.conv1_s")

    def _block(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        if self._has(f"{name}.conv3"):
            residual = self._norm_relu(self._conv(x, f"{name}.conv1"), f"{name}.bn1")
            residual = functional.relu(self._conv_norm(residual, name, 2, stride))
            residual = self._conv_norm(residual, name, 3, 1)
        else:
            residual = functional.relu(self._conv_norm(x, name, 1, stride))
            residual = self._conv_norm(residual, name, 2, 1)
        return functional.relu(residual + self._shortcut(x, name, stride, residual.shape[1]))

    def _conv_norm(self, x: torch.Tensor, name: str, number: int, stride: int) -> torch.Tensor:
        conv, norm = f"{name}.conv{number}", f"{name}.bn{number}"
        if self._has(f"{conv}_s"):
            return self._factorized(x, conv, norm, stride, stride)
        return self._norm(self._conv(x, conv, stride), norm)

    def _pre_activated_block(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        count = 3 if self._has(f"{name}.conv3") else 2
        residual = x
        for number in range(1, count + 1):
            residual = self._norm_relu(residual, f"{name}.bn{number}")
            strided = number == count - 1  # the only 3x3x3 one of three, the first of two
            residual = self._conv(residual, f"{name}.conv{number}", stride if strided else 1)
        return residual + self._shortcut(x, name, stride, residual.shape[1])

    def _shortcut(self, x: torch.Tensor, name: str, stride: int, channels: int) -> torch.Tensor:
        if self._has(f"{name}.downsample.0"):
            return self._norm(self._conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        if stride == 1 and x.shape[1] == channels:
            return x
        subsampled = x.detach()[:, :, ::stride, ::stride, ::stride]
        zeros = subsampled.new_zeros(x.shape[0], channels - x.shape[1], *subsampled.shape[2:])
        return torch.cat([subsampled, zeros], dim=1)

    def _densenet(self, x: torch.Tensor) -> torch.Tensor:
        x = self._conv(x, "features.conv1", (self.conv1_t_stride, 2, 2))
        x = self._stem_pool(self._norm_relu(x, "features.norm1"))
        for block in range(1, 5):
            index = 1
            while self._has(f"features.denseblock{block}.denselayer{index}.conv1"):
                name = f"features.denseblock{block}.denselayer{index}"
                new = self._conv(self._norm_relu(x, f"{name}.norm1"), f"{name}.conv1")
                new = self._conv(self._norm_relu(new, f"{name}.norm2"), f"{name}.conv2")
                x = torch.cat([x, new], dim=1)
                index += 1
            if block < 4:
                name = f"features.transition{block}"
                x = functional.avg_pool3d(self._conv(self._norm_relu(x, f"{name}.norm"), f"{name}.conv"), 2, 2)
        return self._norm_relu(x, "features.norm5")

    def _torchvision(self, x: torch.Tensor) -> torch.Tensor:
        x = self._norm_relu(self._conv(x, "stem.0", (1, 2, 2)), "stem.1")
        if self._has("stem.3"):
            x = self._norm_relu(self._conv(x, "stem.3"), "stem.4")
        for stage in range(1, 5):
            for index in range(2):
                x = self._torchvision_block(x, f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1)
        return x

    def _torchvision_block(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        spatial_only = self._has(f"{name}.conv1.0") and self.state[f"{name}.conv1.0.weight"].shape[2] == 1
        time_stride = 1 if spatial_only else stride
        residual = self._norm_relu(self._torchvision_conv(x, f"{name}.conv1.0", time_stride, stride), f"{name}.conv1.1")
        residual = self._norm(self._torchvision_conv(residual, f"{name}.conv2.0", 1, 1), f"{name}.conv2.1")
        if self._has(f"{name}.downsample.0"):
            x = self._conv(x, f"{name}.downsample.0", (time_stride, stride, stride))
            x = self._norm(x, f"{name}.downsample.1")
        return functional.relu(residual + x)

    def _torchvision_conv(self, x: torch.Tensor, name: str, time_stride: int, space_stride: int) -> torch.Tensor:
        if self._has(name):
            return self._conv(x, name, (time_stride, space_stride, space_stride))
        x = self._norm_relu(self._conv(x, f"{name}.0", (1, space_stride, space_stride)), f"{name}.1")
        return self._conv(x, f"{name}.3", (time_stride, 1, 1))

    def _c3d(self, x: torch.Tensor) -> torch.Tensor:
        for number, convolutions in enumerate(
            (("conv1",), ("conv2",), *((f"conv{n}a", f"conv{n}b") for n in (3, 4, 5)))
        ):
            for name in convolutions:
                x = functional.relu(self._optional_norm(self._conv(x, name), name))
            size = (1, 2, 2) if number == 0 else 2
            x = functional.max_pool3d(x, size, size, (0, 1, 1) if number == 4 else 0)
        x = x.flatten(1)
        for name in ("fc6", "fc7"):
            x = functional.relu(self._optional_norm(self._linear(x, name), name))
        return self._head(x, "fc8")

    def _optional_norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return self._norm(x, f"{name}.bn") if self._has(f"{name}.bn") else x
