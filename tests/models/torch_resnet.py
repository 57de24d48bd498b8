"""3D ResNet of basic blocks in PyTorch, written from the paper: the oracle for training and the peer for speed."""

import torch
from torch import nn

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """Two 3x3x3 convolutions and a shortcut, type A (detached) or B (projected)."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: str):
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(outputs)
        self.changes_shape = stride != 1 or inputs != outputs
        self.stride = stride
        if self.changes_shape and shortcut == "B":
            self.downsample = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(residual + self._shortcut(x, residual.shape[1]))

    def _shortcut(self, x: torch.Tensor, channels: int) -> torch.Tensor:
        if not self.changes_shape:
            return x
        if hasattr(self, "downsample"):
            return self.downsample(x)
        step = self.stride
        subsampled = x.detach()[:, :, ::step, ::step, ::step]
        missing = subsampled.new_zeros(x.shape[0], channels - x.shape[1], *subsampled.shape[2:])
        return torch.cat([subsampled, missing], dim=1)


class TorchResNet(nn.Module):
    """Takes normalised clips [batch, 3, frames, height, width]; gives logits [batch, classes]."""

    def __init__(self, depth: int, num_classes: int, shortcut: str = "B", widen_factor: float = 1.0):
        super().__init__()
        widths = [int(width * widen_factor) for width in (64, 128, 256, 512)]
        self.conv1 = nn.Conv3d(3, widths[0], 7, (1, 2, 2), 3, bias=False)
        self.bn1 = nn.BatchNorm3d(widths[0])
        self.maxpool = nn.MaxPool3d(3, 2, 1)
        inputs = widths[0]
        for stage, (width, blocks) in enumerate(zip(widths, BLOCKS[depth], strict=True), start=1):
            layers = []
            for index in range(blocks):
                layers.append(BasicBlock(inputs, width, 2 if stage > 1 and index == 0 else 1, shortcut))
                inputs = width
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, num_classes)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(clips))))
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean(dim=(2, 3, 4)))
