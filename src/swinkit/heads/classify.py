"""Classification: the mean over all tokens, then one linear layer.

Letters: B batch, C channels, `*grid` is (H, W) or (T, H, W).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.features import FeatureSpec


class PooledLinear(nn.Linear):
    """Mean over the grid, dropout, linear: (B, C, *grid) -> (B, classes).

    A Linear itself, so that its tensors are named `head.weight` and `head.bias` as in Microsoft's files.
    """

    def __init__(self, features: FeatureSpec, classes: int, dropout: float = 0.0) -> None:
        super().__init__(features.channels, classes)
        self.dropout = dropout
        nn.init.trunc_normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)

    def pool(self, feature_map: Tensor) -> Tensor:
        """The vector that stands for the picture: (B, C, *grid) -> (B, C)."""
        return feature_map.flatten(2).mean(-1)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Logits of a feature map."""
        vector = F.dropout(self.pool(feature_map), self.dropout, self.training)
        return super().forward(vector)
