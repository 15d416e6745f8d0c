"""The region proposal network: where something may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms  # type: ignore[import-untyped, unused-ignore]

from swinkit.features import FeatureSpec
from swinkit.heads.boxes import anchors, decode, has_area, single

STDS = (1.0, 1.0, 1.0, 1.0)
RATIOS = (0.5, 1.0, 2.0)
OVERLAP = 0.7  # of proposals, above which the less likely one goes


class Raw(NamedTuple):
    """What the network says of each anchor of each map: scores (B, A · 1, H, W), changes (B, A · 4, H, W)."""

    scores: list[Tensor]
    changes: list[Tensor]


class RPNHead(nn.Module):
    """One 3×3 convolution and two of 1×1, the same for all maps; mmdet `dense_heads/rpn_head.py`."""

    def __init__(self, features: Sequence[FeatureSpec], *, anchor_scale: float = 8.0) -> None:
        super().__init__()
        channels = features[0].channels
        self.strides = [spec.stride for spec in features]
        self.anchor_scale = anchor_scale
        self.rpn_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.rpn_cls = nn.Conv2d(channels, len(RATIOS), 1)
        self.rpn_reg = nn.Conv2d(channels, 4 * len(RATIOS), 1)
        for module in (self.rpn_conv, self.rpn_cls, self.rpn_reg):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> Raw:
        """Scores and changes, map by map."""
        seen = [F.relu(self.rpn_conv(x)) for x in maps]
        return Raw([single(self.rpn_cls(x)) for x in seen], [single(self.rpn_reg(x)) for x in seen])

    def anchors(self, raw: Raw) -> list[Tensor]:
        """The anchors (H · W · A, 4) of each map."""
        first = raw.scores[0]
        sizes = [(scores.shape[2], scores.shape[3]) for scores in raw.scores]
        return anchors(sizes, self.strides, scale=self.anchor_scale, ratios=RATIOS, device=first.device)

    def proposals(
        self,
        raw: Raw,
        sizes: Sequence[tuple[int, int]],
        *,
        before: int,
        keep: int,
        overlap: float = OVERLAP,
        min_size: float = 0.0,
    ) -> list[Tensor]:
        """The likeliest boxes (N, 5) of each picture, the last number their probability, best first.

        Of each map the `before` best are taken; of those that overlap more the best; then the `keep` best of
        all maps. `sizes` are the pictures' own (height, width) within the batch. Boxes with a side of at most
        `min_size` pixels after clipping are dropped.
        """
        places = self.anchors(raw)
        scores, boxes, kinds = [], [], []
        for level, (given, changes, own) in enumerate(zip(raw.scores, raw.changes, places, strict=True)):
            chances = given.permute(0, 2, 3, 1).flatten(1).sigmoid()
            deltas = changes.permute(0, 2, 3, 1).reshape(len(chances), -1, 4)
            best, which = chances.topk(min(before, chances.shape[1]))
            scores.append(best)
            boxes.append((own[which], deltas.gather(1, which[..., None].expand(-1, -1, 4))))
            kinds.append(torch.full_like(which, level))
        chance, kind = torch.cat(scores, 1), torch.cat(kinds, 1)
        base, deltas = (torch.cat(parts, 1) for parts in zip(*boxes, strict=True))
        found = []
        for i, size in enumerate(sizes):
            own = decode(base[i], deltas[i], STDS, size)
            valid = has_area(own, min_size).nonzero()[:, 0]
            kept = valid[batched_nms(own[valid], chance[i][valid], kind[i][valid], overlap)[:keep]]
            found.append(torch.cat([own[kept], chance[i][kept][:, None]], 1))
        return found
