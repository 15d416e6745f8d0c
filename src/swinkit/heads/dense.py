"""What dense heads are made of: convolutions with norm, resizing, pooling, and the last layer of all of them.

Parameters are named as in OpenMMLab's files. Letters: B batch, C channels, (H, W) the grid of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU: (B, C, H, W) -> (B, C', H, W); mmcv's `ConvModule`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        padding = kernel // 2 * dilation if padding is None else padding
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, padding=padding, dilation=dilation, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, normalise, rectify."""
        return F.relu(self.bn(self.conv(x)))


class SeparableConv(nn.Module):
    """A convolution of each channel by itself, then one across channels, both with norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise_conv = ConvNorm(inputs, inputs, 3, dilation=dilation, groups=inputs)
        self.pointwise_conv = ConvNorm(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        out: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return out


class PyramidPooling(nn.ModuleList):
    """The map's means over 1², 2², 3² and 6² fields, each by a 1×1 convolution; PSPNet, section 3.2."""

    def __init__(self, inputs: int, outputs: int, scales: Sequence[int]) -> None:
        super().__init__(
            nn.Sequential(nn.AdaptiveAvgPool2d(scale), ConvNorm(inputs, outputs)) for scale in scales
        )

    def forward(self, x: Tensor) -> Tensor:
        """The map and its means, side by side: (B, C, H, W) -> (B, C + scales · C', H, W)."""
        return torch.cat([x, *(resize(pool(x), x) for pool in self)], 1)


class DenseHead(nn.Module):
    """Feature maps to logits at the head's own size; `forward` takes all maps of a backbone."""

    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.conv_seg = nn.Conv2d(channels, classes, 1)
        self.dropout = dropout
        nn.init.normal_(self.conv_seg.weight, std=0.01)
        nn.init.zeros_(self.conv_seg.bias)  # type: ignore[arg-type]

    def classify(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> logits (B, classes, H, W)."""
        logits: Tensor = self.conv_seg(F.dropout2d(x, self.dropout, self.training))
        return logits


def resize(x: Tensor, like: Tensor, *, corners: bool = False) -> Tensor:
    """Bilinear, to the size of another map; `corners` keeps the corner pixels on each other."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=corners)
