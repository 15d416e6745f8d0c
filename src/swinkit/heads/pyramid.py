"""Heads that pool one map at several scales: PSPNet's, and UPerNet's, which joins all maps below it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from swinkit.features import FeatureSpec
from swinkit.heads.dense import ConvNorm, DenseHead, PyramidPooling, resize

SCALES = (1, 2, 3, 6)


class PSPHead(DenseHead):
    """Pyramid pooling of one map, and a 3×3 convolution; mmseg `decode_heads/psp_head.py`."""

    def __init__(
        self,
        features: Sequence[FeatureSpec],
        classes: int,
        *,
        channels: int = 512,
        scales: Sequence[int] = SCALES,
        index: int = -1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(channels, classes, dropout)
        inputs = features[index].channels
        self.index = index
        self.psp_modules = PyramidPooling(inputs, channels, scales)
        self.bottleneck = ConvNorm(inputs + len(scales) * channels, channels, 3)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the map."""
        return self.classify(self.bottleneck(self.psp_modules(maps[self.index])))


class UPerHead(DenseHead):
    """Pyramid pooling of the last map, a top-down path to the first, all of them fused.

    UPerNet, section 3; mmseg `decode_heads/uper_head.py`.
    """

    def __init__(
        self,
        features: Sequence[FeatureSpec],
        classes: int,
        *,
        channels: int = 512,
        scales: Sequence[int] = SCALES,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(channels, classes, dropout)
        *lower, last = (spec.channels for spec in features)
        self.psp_modules = PyramidPooling(last, channels, scales)
        self.bottleneck = ConvNorm(last + len(scales) * channels, channels, 3)
        self.lateral_convs = nn.ModuleList(ConvNorm(inputs, channels) for inputs in lower)
        self.fpn_convs = nn.ModuleList(ConvNorm(channels, channels, 3) for _ in lower)
        self.fpn_bottleneck = ConvNorm(len(features) * channels, channels, 3)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the first map."""
        *lower, last = maps
        path = [self.bottleneck(self.psp_modules(last))]
        for lateral, x in zip(reversed(self.lateral_convs), reversed(lower), strict=True):
            reduced = lateral(x)
            path.insert(0, reduced + resize(path[0], reduced))
        *below, top = path
        levels = [conv(x) for conv, x in zip(self.fpn_convs, below, strict=True)]
        fused = torch.cat([resize(x, levels[0]) for x in (*levels, top)], 1)
        return self.classify(self.fpn_bottleneck(fused))
