"""Heads that see far around each place: DeepLabV3+'s, DMNet's and PSANet's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.features import FeatureSpec
from swinkit.heads.dense import ConvNorm, DenseHead, SeparableConv, resize


class ASPPHead(DenseHead):
    """Dilated separable convolutions of one map side by side, joined with a finer map; DeepLabV3+, section 3.

    mmseg `decode_heads/sep_aspp_head.py`; only dilations above 1 are separable.
    """

    def __init__(
        self,
        features: Sequence[FeatureSpec],
        classes: int,
        *,
        channels: int = 512,
        fine_channels: int = 48,
        dilations: Sequence[int] = (1, 12, 24, 36),
        index: int = -1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(channels, classes, dropout)
        inputs = features[index].channels
        self.index = index
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNorm(inputs, channels))
        self.aspp_modules = nn.ModuleList(
            ConvNorm(inputs, channels) if d == 1 else SeparableConv(inputs, channels, dilation=d)
            for d in dilations
        )
        self.bottleneck = ConvNorm((len(dilations) + 1) * channels, channels, 3)
        self.c1_bottleneck = ConvNorm(features[0].channels, fine_channels)
        self.sep_bottleneck = nn.Sequential(
            SeparableConv(channels + fine_channels, channels), SeparableConv(channels, channels)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the first map."""
        x, fine = maps[self.index], self.c1_bottleneck(maps[0])
        seen = [resize(self.image_pool(x), x), *(module(x) for module in self.aspp_modules)]
        out = resize(self.bottleneck(torch.cat(seen, 1)), fine)
        return self.classify(self.sep_bottleneck(torch.cat([out, fine], 1)))


class DynamicConv(nn.Module):
    """A convolution of each channel whose filter is made of the map itself; DMNet, section 3.2."""

    def __init__(self, inputs: int, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.filter_gen_conv = nn.Conv2d(inputs, channels, 1)
        self.input_redu_conv = ConvNorm(inputs, channels)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        filters = self.filter_gen_conv(F.adaptive_avg_pool2d(x, self.size))
        x = self.input_redu_conv(x)
        if not torch.compiler.is_compiling() and not len(x):  # no groups for no images
            return x
        after = (self.size - 1) // 2
        before = self.size - 1 - after
        padded = F.pad(x, (before, after, before, after)).flatten(0, 1)[None]
        out = F.conv2d(padded, filters.flatten(0, 1)[:, None], groups=padded.shape[1])
        return F.relu(self.norm(out.view_as(x)))


class DMHead(DenseHead):
    """Dynamic convolutions of several sizes beside the map itself; mmseg `decode_heads/dm_head.py`."""

    def __init__(
        self,
        features: Sequence[FeatureSpec],
        classes: int,
        *,
        channels: int = 512,
        sizes: Sequence[int] = (1, 3, 5, 7),
        index: int = -1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(channels, classes, dropout)
        inputs = features[index].channels
        self.index = index
        self.dcm_modules = nn.ModuleList(DynamicConv(inputs, channels, size) for size in sizes)
        self.bottleneck = ConvNorm(inputs + len(sizes) * channels, channels, 3)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the map."""
        x = maps[self.index]
        return self.classify(self.bottleneck(torch.cat([x, *(module(x) for module in self.dcm_modules)], 1)))


class PSAHead(DenseHead):
    """Each place collects from all others, and distributes to them, by attention over a window around it.

    PSANet, section 3; mmseg `decode_heads/psa_head.py`, bi-direction with softmax, not compact.
    """

    def __init__(
        self,
        features: Sequence[FeatureSpec],
        classes: int,
        *,
        channels: int = 512,
        window: tuple[int, int] = (97, 97),
        shrink: int = 2,
        index: int = -1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(channels, classes, dropout)
        inputs = features[index].channels
        self.index, self.window, self.shrink = index, window, shrink
        self.reduce, self.attention = ConvNorm(inputs, channels), _attention(channels, window)
        self.reduce_p, self.attention_p = ConvNorm(inputs, channels), _attention(channels, window)
        # the margin of one is that of the published code, and of its weights
        self.proj = ConvNorm(2 * channels, inputs, padding=1)
        self.bottleneck = ConvNorm(2 * inputs, channels, 3)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the map."""
        x = maps[self.index]
        corners = all(side % self.shrink for side in x.shape[2:])
        collect = self._shrunk(self.reduce(x), corners)
        distribute = self._shrunk(self.reduce_p(x), corners)
        towards = spread(self.attention(collect), self.window).softmax(1)
        # there the roles of both places are exchanged
        away = spread(self.attention_p(distribute), self.window).mT.softmax(1)
        seen = [(collect.flatten(2) @ towards), (distribute.flatten(2) @ away)]
        out = self.proj(torch.cat(seen, 1).unflatten(2, collect.shape[2:]))
        return self.classify(self.bottleneck(torch.cat([x, resize(out, x, corners=corners)], 1)))

    def _shrunk(self, x: Tensor, corners: bool) -> Tensor:
        """Smaller by `shrink`; rounded up, corner on corner, where no side can be divided."""
        size = [-(-side // self.shrink) if corners else side // self.shrink for side in x.shape[2:]]
        return F.interpolate(x, size, mode="bilinear", align_corners=corners)


def _attention(channels: int, window: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        ConvNorm(channels, channels), nn.Conv2d(channels, window[0] * window[1], 1, bias=False)
    )


def spread(weights: Tensor, window: tuple[int, int]) -> Tensor:
    """Weights of the window around each place, laid out over the map; 0 outside of the window.

    (B, window places, H, W) -> (B, H·W, H·W): of the first place as seen from the second; mmcv's `PSAMask`.
    """
    height, width = weights.shape[2:]
    rows = torch.arange(height, device=weights.device).repeat_interleave(width)
    columns = torch.arange(width, device=weights.device).repeat(height)
    down = rows[:, None] - rows + (window[0] - 1) // 2
    right = columns[:, None] - columns + (window[1] - 1) // 2
    inside = (down >= 0) & (down < window[0]) & (right >= 0) & (right < window[1])
    places = torch.where(inside, down * window[1] + right, 0)
    laid_out = weights.flatten(2).gather(1, places.expand(len(weights), -1, -1))
    return torch.where(inside, laid_out, 0.0)
