"""What dense heads are made of: convolutions with norm, resizing, pooling, and the last layer of all of them.

Parameters are named as in OpenMMLab's files. Letters: B batch, C channels, (H, W) the grid of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIP = 2**26  # numbers of a strip of resized logits


class BatchNorm(nn.BatchNorm2d):
    """torch's, which in training takes its known statistics for what has one value a channel: no variance."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        if self.training and x.numel() == x.shape[1]:
            assert self.running_mean is not None
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, eps=self.eps
            )
        return super().forward(x)


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
        self.bn = BatchNorm(outputs)
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


def likeliest(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The likeliest class of each pixel after resizing: (K, h, w) -> (H, W) uint8.

    As argmax of `F.interpolate` (bilinear, corners not aligned), but by strips of rows: the logits at the
    full size, some GB of a photograph, are never there at once.
    """
    classes, low, width = logits.shape
    high, wide = size
    if (low, width) == size:
        return logits.argmax(0).to(torch.uint8)
    place = ((torch.arange(high, device=logits.device) + 0.5) * (low / high) - 0.5).clamp(0, low - 1)
    above = place.long()
    below = (above + 1).clamp_max(low - 1)
    part = (place - above).to(logits.dtype)[:, None]
    strip = max(1, STRIP // (classes * wide))
    rows = []
    for start in range(0, high, strip):
        own = slice(start, start + strip)
        upper, lower = logits[:, above[own]], logits[:, below[own]]
        mixed = torch.lerp(upper, lower, part[own]).float()
        shown = F.interpolate(mixed[None], (mixed.shape[1], wide), mode="bilinear", align_corners=False)
        rows.append(shown[0].argmax(0).to(torch.uint8))
    return torch.cat(rows)
