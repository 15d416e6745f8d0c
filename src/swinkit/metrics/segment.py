"""Figures of dense prediction from one matrix of places: truth by row, answer by column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from swinkit.data.batch import Batch
from swinkit.features import IGNORED
from swinkit.heads.dense import likeliest
from swinkit.labels import Labels
from swinkit.metrics.base import Mergeable
from swinkit.visualize.charts import draw_confusion
from swinkit.visualize.overlay import Answered, draw_answers

SHOWN = 6  # pictures that are drawn


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
        places = self.matrix.sum().clamp_min(1).double()
        values = {
            "miou": self.iou().nanmean(),
            "macc": self.accuracy().nanmean(),
            "aacc": self.matrix.diagonal().sum() / places,
        }
        return {name: 100 * value.nan_to_num(0.0).item() for name, value in values.items()}


class SegmentationMetric(Confusion):
    """mIoU and its like over a data set, with some pictures to look at."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        super().__init__(len(labels))

    def reset(self) -> None:
        """Forget all pictures."""
        super().reset()
        self.shown: list[Answered] = []
        self.step = 1

    def update(self, raw: Tensor, batch: Batch) -> None:  # type: ignore[override]
        """Count a batch in: logits (B, K, h, w), resized to the masks."""
        assert isinstance(batch.targets, Tensor)
        for logits, target, path in zip(raw, batch.targets, batch.paths, strict=True):
            wanted = self.count % self.step == 0
            truth = target.to(logits.device)
            answer = likeliest(logits, (target.shape[0], target.shape[1]))
            super().update(answer, truth)
            if wanted:
                pair = (part.cpu().numpy().astype(np.uint8) for part in (truth, answer))
                self.shown.append(Answered(path, *pair))
            if len(self.shown) == 2 * SHOWN:  # every second one, that they come from all of the data
                self.shown, self.step = self.shown[::2], 2 * self.step

    def _add(self, other: Confusion) -> None:
        super()._add(other)
        if isinstance(other, SegmentationMetric):
            self.shown = [*self.shown, *other.shown][-SHOWN:]

    def compute(self) -> dict[str, float]:
        """mIoU, mAcc, aAcc in %, and how many pictures count."""
        return {**self.figures(), "images": float(self.count)}

    def details(self) -> dict[str, Any]:
        """IoU and accuracy of each class in %, None for one that is not there; the matrix."""
        return {
            "per_class": self._by_class(self.iou()),
            "accuracy_per_class": self._by_class(self.accuracy()),
            "confusion": self.matrix.tolist(),
        }

    def _by_class(self, values: Tensor) -> dict[str, float | None]:
        shares = (None if np.isnan(value) else 100 * value for value in values.tolist())
        return dict(zip(self.labels.names, shares, strict=True))

    def draw(self, folder: Path) -> list[Path]:
        """confusion.png; predictions.png: pictures, their masks, and the answers."""
        confusion, sheet = folder / "confusion.png", folder / "predictions.png"
        draw_confusion(self.matrix.cpu().numpy(), self.labels.names, confusion, counts=False)
        draw_answers(self.shown[:SHOWN], self.labels, sheet)
        return [confusion, sheet]
