"""Figures of dense prediction from one matrix of places: truth by row, answer by column."""

from __future__ import annotations

import torch
from torch import Tensor

from swinkit.features import IGNORED
from swinkit.metrics.base import Mergeable


class Confusion(Mergeable):
    """How many places of each class were given which one, in int64: exact for any number of pictures."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.reset()

    def reset(self) -> None:
        """Forget all pictures."""
        self.matrix = torch.zeros(self.classes, self.classes, dtype=torch.int64)
        self.count = 0

    def update(self, answer: Tensor, truth: Tensor) -> None:
        """Count one picture in: class ids (H, W) of both, ignored places in the truth."""
        labelled = truth != IGNORED
        pairs = truth[labelled].long() * self.classes + answer[labelled].long()
        counted = torch.bincount(pairs, minlength=self.classes**2)
        self.matrix = self.matrix + counted.view_as(self.matrix).to(self.matrix.device)
        self.count += 1

    def _add(self, other: Confusion) -> None:
        self.matrix = self.matrix + other.matrix
        self.count += other.count

    def iou(self) -> Tensor:
        """Intersection over union of each class (K,); NaN for one that is neither there nor answered."""
        hits = self.matrix.diagonal().double()
        return hits / (self.matrix.sum(0) + self.matrix.sum(1) - hits)

    def accuracy(self) -> Tensor:
        """Share of each class's places that were given it (K,); NaN for a class that is not there."""
        return self.matrix.diagonal().double() / self.matrix.sum(1)

    def figures(self) -> dict[str, float]:
        """In %, as mmseg has them: mIoU and mAcc over the classes that have one, aAcc over all places.

        0 where nothing was labelled.
        """
        places = self.matrix.sum().clamp_min(1)
        values = {
            "miou": self.iou().nanmean(),
            "macc": self.accuracy().nanmean(),
            "aacc": self.matrix.diagonal().sum() / places,
        }
        return {name: 100 * value.nan_to_num(0.0).item() for name, value in values.items()}
