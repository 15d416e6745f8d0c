"""Heads of OWL's detectors: every token of an image is a box, and is compared with queries.

Minderer et al. 2022 (OWL-ViT) and 2023 (OWLv2), as transformers' `models/owlvit/modeling_owlvit.py` and
`models/owlv2/modeling_owlv2.py` compute them, after Scenic's `projects/owl_vit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.features import FeatureSpec, Size

EPSILON = 1e-4  # of the logit of a place
TINY = 1e-6  # added to lengths


class TokenGrid(nn.Module):
    """Maps, the finest first, to tokens (B, N, width), row by row, and their grid (h, w): the first map's.

    Each map is projected to `width` and resized to the first, and all are added; one map of that width is
    taken as it is. A layer norm follows.
    """

    def __init__(self, features: Sequence[FeatureSpec], width: int) -> None:
        super().__init__()
        single = len(features) == 1 and features[0].channels == width
        self.projections = nn.ModuleList(
            () if single else (nn.Conv2d(spec.channels, width, 1) for spec in features)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Size]:
        """Tokens and grid."""
        grid = maps[0].shape[2], maps[0].shape[3]
        if len(self.projections):
            every = [project(own) for project, own in zip(self.projections, maps, strict=True)]
            whole = every[0]
            for own in every[1:]:
                whole = whole + F.interpolate(own, grid, mode="bilinear", align_corners=False)
        else:
            (whole,) = maps
        return self.norm(whole.flatten(2).transpose(1, 2)), grid


class Looked(NamedTuple):
    """What tokens are: embeddings (B, N, dim), of length 1, and shift and scale (B, N, 1) of their logits."""

    embeds: Tensor
    shift: Tensor
    scale: Tensor

    def compare(self, queries: Tensor) -> Tensor:
        """Logits (B, N, Q) of queries (Q, dim) or (B, Q, dim): cosines, shifted and scaled for each token."""
        alike = self.embeds @ normalised(queries).transpose(-1, -2)
        logits: Tensor = (alike + self.shift) * self.scale
        return logits

    def of(self, place: int) -> Looked:
        """Those of one image of the batch, which stays a batch."""
        return Looked(*(own[place : place + 1] for own in self))


class Projection(nn.Module):
    """Tokens (…, width) into the space of queries."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.dense0 = nn.Linear(width, dim)

    def embed(self, tokens: Tensor) -> Tensor:
        """Embeddings (…, dim), not normalised."""
        embedded: Tensor = self.dense0(tokens)
        return embedded


class ClassHead(Projection):
    """What each token (B, N, width) is, in the space of queries.

    Random weights begin with chances of about 0.01 for queries that are not alike at all.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__(width, dim)
        self.logit_shift = nn.Linear(width, 1)
        self.logit_scale = nn.Linear(width, 1)
        for layer in (self.logit_shift, self.logit_scale):
            nn.init.zeros_(layer.weight)
        nn.init.constant_(self.logit_shift.bias, -0.46)
        nn.init.constant_(self.logit_scale.bias, 9.0)

    def forward(self, tokens: Tensor) -> Looked:
        """Ready to be compared with queries."""
        scale = F.elu(self.logit_scale(tokens)) + 1
        return Looked(normalised(self.embed(tokens)), self.logit_shift(tokens), scale)


class TokenMLP(nn.Module):
    """Three layers from each token (B, N, width) to `out` numbers."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.dense0 = nn.Linear(width, width)
        self.dense1 = nn.Linear(width, width)
        self.dense2 = nn.Linear(width, out)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, out)."""
        answer: Tensor = self.dense2(F.gelu(self.dense1(F.gelu(self.dense0(tokens)))))
        return answer


def normalised(embeds: Tensor) -> Tensor:
    """Embeddings of length 1, as nearly as the references make them."""
    lengths: Tensor = embeds.norm(dim=-1, keepdim=True)
    return embeds / (lengths + TINY)


def location_bias(grid: Size, device: torch.device) -> Tensor:
    """What is added to boxes (N, 4; cx, cy, w, h) before the sigmoid: the token's far corner and its size."""
    height, width = grid
    y, x = (torch.arange(1, side + 1, device=device, dtype=torch.float32) / side for side in grid)
    places = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], -1).flatten(0, 1)
    sizes = torch.stack([torch.full_like(places[:, 0], 1 / side) for side in (width, height)], -1)
    whole = torch.cat([places, sizes], 1)
    return torch.log(whole + EPSILON) - torch.log1p(-whole + EPSILON)


def corners(boxes: Tensor) -> Tensor:
    """Boxes (…, 4) as cx, cy, w, h to x1, y1, x2, y2."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], -1)
