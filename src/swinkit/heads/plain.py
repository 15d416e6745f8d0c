"""Heads of a few convolutions: FCN, SETR's progressive upsampling, and SSformer's fusion of all maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from swinkit.features import FeatureSpec
from swinkit.heads.dense import ConvNorm, DenseHead, resize


class FCNHead(DenseHead):
    """3×3 convolutions of one map, which `concat` puts beside their result.

    mmseg `decode_heads/fcn_head.py`.
    """

    def __init__(
        self,
        features: Sequence[FeatureSpec],
        classes: int,
        *,
        channels: int = 256,
        convs: int = 1,
        concat: bool = False,
        index: int = -1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(channels, classes, dropout)
        inputs = features[index].channels
        self.index = index
        self.convs = nn.Sequential(
            *(ConvNorm(inputs if i == 0 else channels, channels, 3) for i in range(convs))
        )
        self.conv_cat = ConvNorm(inputs + channels, channels, 3) if concat else None

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the map."""
        x = maps[self.index]
        out = self.convs(x)
        if self.conv_cat is not None:
            out = self.conv_cat(torch.cat([x, out], 1))
        return self.classify(out)


class SETRHead(DenseHead):
    """LayerNorm of one map, then convolutions that each double its size; SETR-PUP, section 3.3.

    mmseg `decode_heads/setr_up_head.py`.
    """

    def __init__(
        self,
        features: Sequence[FeatureSpec],
        classes: int,
        *,
        channels: int = 256,
        convs: int = 4,
        index: int = -1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(channels, classes, dropout)
        inputs = features[index].channels
        self.index = index
        self.norm = nn.LayerNorm(inputs, eps=1e-6)
        self.up_convs = nn.ModuleList(
            nn.Sequential(
                ConvNorm(inputs if i == 0 else channels, channels, 3),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            )
            for i in range(convs)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits at the map's size times 2 for each convolution."""
        x = self.norm(maps[self.index].movedim(1, -1)).movedim(-1, 1)
        for conv in self.up_convs:
            x = conv(x)
        return self.classify(x)


class SSformerHead(DenseHead):
    """Each map by a 1×1 convolution, resized to the first, fused by another; SSformer, section 3.

    SSformer's `decode_heads/segformer_head.py`.
    """

    def __init__(
        self,
        features: Sequence[FeatureSpec],
        classes: int,
        *,
        channels: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(channels, classes, dropout)
        self.convs = nn.ModuleList(ConvNorm(spec.channels, channels) for spec in features)
        self.fusion_conv = ConvNorm(len(features) * channels, channels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the first map."""
        levels = [conv(x) for conv, x in zip(self.convs, maps, strict=True)]
        return self.classify(self.fusion_conv(torch.cat([resize(x, levels[0]) for x in levels], 1)))
