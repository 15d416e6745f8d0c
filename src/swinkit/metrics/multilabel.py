"""Average precision of a classifier that answers each class for itself."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torchmetrics.classification import MultilabelAveragePrecision, MultilabelF1Score

from swinkit.data.batch import Batch
from swinkit.labels import Labels
from swinkit.metrics.base import Mergeable
from swinkit.visualize.contact_sheet import Tile, draw_sheet

SHOWN = 12  # pictures


class MultiLabelMetric(Mergeable):
    """Collects logits (B, classes) and targets (B, classes) of 1 and 0."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        alone: dict[str, Any] = {"sync_on_compute": False}  # `merge` joins what several processes counted
        self.precision = MultilabelAveragePrecision(len(labels), average="none", **alone)
        self.f1 = MultilabelF1Score(len(labels), average="macro", **alone)
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.precision.reset()
        self.f1.reset()
        self.count = 0
        self.positives = torch.zeros(len(self.labels))
        self.tiles: list[Tile] = []

    def _add(self, other: Self) -> None:
        self.precision.merge_state(other.precision)
        self.f1.merge_state(other.f1)
        self.count += other.count
        self.positives += other.positives
        self.tiles = (self.tiles + other.tiles)[:SHOWN]

    def update(self, raw: Tensor, batch: Batch) -> None:
        """Count a batch in; an empty one (all files unreadable) changes nothing."""
        if not len(batch):
            return
        assert isinstance(batch.targets, Tensor)
        scores, targets = raw.detach().float().cpu().sigmoid(), batch.targets.cpu()
        self.precision.update(scores, targets.long())
        self.f1.update(scores, targets.long())
        self.count += len(batch)
        self.positives += targets.sum(0)
        for path, own, truth in zip(batch.paths, scores, targets, strict=True):
            if len(self.tiles) < SHOWN:
                named = [f"{self.labels.names[i]} {own[i]:.0%}" for i in own.topk(min(2, len(own))).indices]
                true = [self.labels.names[i] for i in truth.nonzero().flatten().tolist()]
                lines = [f"prediction: {', '.join(named)}", f"ground truth: {', '.join(true) or 'none'}"]
                self.tiles.append(Tile(path, lines, bool(((own > 0.5) == (truth > 0.5)).all())))

    def compute(self) -> dict[str, float]:
        """`map`, mean average precision of the classes that occur, and `f1` at 0.5, in percent; `images`."""
        if not self.count:
            return {"map": 0.0, "f1": 0.0, "images": 0.0}
        present = self.positives > 0
        mean = self._precisions()[present].mean().item() if present.any() else 0.0
        return {"map": 100 * mean, "f1": 100 * self.f1.compute().item(), "images": float(self.count)}

    def _precisions(self) -> Tensor:
        """Of each class; without meaning, and a warning of that, for those that do not occur."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No positive samples")
            return self.precision.compute()

    def details(self) -> dict[str, Any]:
        """Average precision of each class in percent; None where no picture had it."""
        values = self._precisions().tolist() if self.count else [0.0] * len(self.labels)
        rows = zip(self.labels.names, values, self.positives.tolist(), strict=True)
        return {"per_class": {name: 100 * value if seen else None for name, value, seen in rows}}

    def draw(self, folder: Path) -> list[Path]:
        """Write predictions.png: some pictures with their likeliest classes."""
        if not self.tiles:
            return []
        draw_sheet({"answers": self.tiles}, folder / "predictions.png")
        return [folder / "predictions.png"]
