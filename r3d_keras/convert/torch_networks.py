"""The networks once more, in PyTorch: what a converted model is compared with.

Nothing is shared with the Keras builders. The number of blocks, widths, groups, shortcuts and kernels are read
from the state dict itself; only what tensors cannot tell (strides, pooling, the order of the operations) is written
here, from the authors' code and torchvision's.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional

# Size and stride of the max pooling before a module of I3D.
I3D_POOLS = {"3b": ((1, 3, 3), (1, 2, 2)), "4b": ((3, 3, 3), (2, 2, 2)), "5b": ((2, 2, 2), (2, 2, 2))}


class TorchNetwork:
    """Applies the weights of `state` to clips.

    Args:
        architecture: a key of ARCHITECTURES.
        state: tensors by the authors' 2020 names (torchvision's or the I3D port's for theirs), without prefix.
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
        if self.family == "i3d":
            return self._i3d(clips)
        if self.family == "frames":
            return self._frames(clips)
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
        convolve = functional.conv2d if weight.dim() == 4 else functional.conv3d
        return convolve(x, weight, self.state.get(f"{name}.bias"), stride, padding, groups=groups)

    def _norm(self, x: torch.Tensor, name: str, momentum: float = 0.1, eps: float = 1e-5) -> torch.Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        mean, variance = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        return functional.batch_norm(x, mean, variance, weight, bias, self.training, momentum, eps)

    def _norm_relu(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.relu(self._norm(x, name))

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"))

    def _head(self, features: torch.Tensor, name: str) -> torch.Tensor:
        return self._linear(features, name) if self._has(name) else features

    def _factorized(self, x: torch.Tensor, conv: str, norm: str, space_stride: int, time_stride: int) -> torch.Tensor:
        x = self._conv(x, f"{conv}_s", (1, space_stride, space_stride))
        x = self._norm_relu(x, f"{norm}_s")
        return self._norm(self._conv(x, f"{conv}_t", (time_stride, 1, 1)), f"{norm}_t")

    def _stem_pool(self, x: torch.Tensor) -> torch.Tensor:
        pool = functional.max_pool2d if x.dim() == 4 else functional.max_pool3d
        return pool(x, 3, 2, 1) if self.max_pool else x

    def _resnet(self, x: torch.Tensor) -> torch.Tensor:
        if self._has("conv1_s"):
            x = functional.relu(self._factorized(x, "conv1", "bn1", 2, self.conv1_t_stride))
        else:
            stride = (self.conv1_t_stride, 2, 2)
            x = self._norm_relu(self._conv(x, "conv1", stride[5 - x.dim() :]), "bn1")
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

    def _frames(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the outputs of the single frames, or of every stack of so many as the first kernel sees, averaged."""
        stack = self.state["conv1.weight"].shape[1] // x.shape[1]
        # [batch, channels, places, height, width, stack] to pictures of stack x channels
        stacks = x.unfold(2, stack, 1).permute(0, 2, 5, 1, 3, 4)
        pictures = stacks.flatten(0, 1).flatten(1, 2)
        outputs = self._head(self._resnet(pictures).mean(dim=(2, 3)), "fc")
        return outputs.unflatten(0, stacks.shape[:2]).mean(dim=1)

    def _i3d(self, x: torch.Tensor) -> torch.Tensor:
        x = self._i3d_unit(x, "Conv3d_1a_7x7", 2)
        x = self._padded_pool(x, (1, 3, 3), (1, 2, 2))
        x = self._i3d_unit(self._i3d_unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3")
        for module in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"):
            if module in I3D_POOLS:
                x = self._padded_pool(x, *I3D_POOLS[module])
            x = self._i3d_module(x, f"Mixed_{module}")
        # The port's average of 2x7x7 places is one of two over time at 224 pixels; its dropout does nothing here.
        x = functional.avg_pool3d(x, (2, *x.shape[3:]), 1)
        x = self._conv(x, "logits.conv3d") if self._has("logits.conv3d") else x
        return x.flatten(2).mean(dim=2)

    def _i3d_module(self, x: torch.Tensor, name: str) -> torch.Tensor:
        branches = [self._i3d_unit(x, f"{name}.b0")]
        branches += [self._i3d_unit(self._i3d_unit(x, f"{name}.{b}a"), f"{name}.{b}b") for b in ("b1", "b2")]
        branches.append(self._i3d_unit(self._padded_pool(x, (3,) * 3, (1,) * 3), f"{name}.b3b"))
        return torch.cat(branches, dim=1)

    def _i3d_unit(self, x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight = self.state[f"{name}.conv3d.weight"]
        x = functional.conv3d(_pad_as_tensorflow(x, weight.shape[2:], (stride,) * 3), weight, stride=stride)
        return functional.relu(self._norm(x, f"{name}.bn", momentum=0.01, eps=1e-3))

    def _padded_pool(self, x: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
        return functional.max_pool3d(_pad_as_tensorflow(x, size, stride), size, stride)


def _pad_as_tensorflow(x: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Zeros so that ceil(n / stride) places come of n; the end gets the odd one."""
    padding: list[int] = []
    for n, kernel, step in zip(x.shape[2:], size, stride, strict=True):
        missing = max(kernel - (n % step or step), 0)
        padding = [missing // 2, missing - missing // 2, *padding]  # the last axis comes first
    return functional.pad(x, padding)
