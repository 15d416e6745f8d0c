"""Top-1 and top-5 where any of several labels is right: ImageNet-Real."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from torch import Tensor

from swinkit.data.batch import Batch
from swinkit.labels import Labels
from swinkit.metrics.base import Mergeable


class AnyOfMetric(Mergeable):
    """Collects logits (B, classes) and targets (B, classes) of 1 for each right label."""

    def __init__(self, labels: Labels) -> None:
        self.ks = [k for k in (1, 5) if k <= len(labels)]
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.count = 0
        self.hits = dict.fromkeys(self.ks, 0)

    def _add(self, other: Self) -> None:
        self.count += other.count
        self.hits = {k: self.hits[k] + other.hits[k] for k in self.ks}

    def update(self, raw: Tensor, batch: Batch) -> None:
        """Count a batch in."""
        if not len(batch):
            return
        assert isinstance(batch.targets, Tensor)
        right = batch.targets.cpu()
        self.count += len(batch)
        for k in self.ks:
            chosen = raw.detach().float().cpu().topk(k).indices
            self.hits[k] += int((right.gather(1, chosen) > 0).any(1).sum())

    def compute(self) -> dict[str, float]:
        """`top1` and `top5`: the share of pictures of which one of the k likeliest is right, in percent."""
        shares = {f"top{k}": 100 * self.hits[k] / max(1, self.count) for k in self.ks}
        return {**shares, "images": float(self.count)}

    def details(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def draw(self, folder: Path) -> list[Path]:
        """No pictures."""
        return []
