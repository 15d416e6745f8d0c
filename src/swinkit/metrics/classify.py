"""Top-1, top-5, per class and confusion of a classifier; and which pictures it got right and wrong."""

from __future__ import annotations

import heapq
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

from torch import Tensor
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
)

from swinkit.data.batch import Batch
from swinkit.labels import Labels
from swinkit.metrics.base import Mergeable
from swinkit.visualize.charts import draw_confusion
from swinkit.visualize.contact_sheet import Tile, draw_sheet

LARGEST_CONFUSION = 2000  # classes; the matrix grows with their square
ALONE: dict[str, Any] = {"sync_on_compute": False}  # `merge` joins what several processes counted
KEPT = 12  # hits and misses each


class Judged(NamedTuple):
    """One answered picture; ordered by how sure the model was."""

    score: float
    path: str
    predicted: str
    truth: str


class ClassificationMetric(Mergeable):
    """Collects logits (B, classes) and targets (B,)."""

    def __init__(self, labels: Labels) -> None:
        classes = len(labels)
        self.labels = labels
        self.tops = {
            f"top{k}": MulticlassAccuracy(classes, top_k=k, average="micro", **ALONE)
            for k in (1, 5)
            if k <= classes
        }
        self.per_class = MulticlassAccuracy(classes, average="none", **ALONE)
        # of the surest class, over 15 bins of equal width (Guo et al. 2017)
        self.calibration = MulticlassCalibrationError(classes, n_bins=15, norm="l1", **ALONE)
        self.confusion = MulticlassConfusionMatrix(classes, **ALONE) if classes <= LARGEST_CONFUSION else None
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        for metric in self._all():
            metric.reset()
        self.count = 0
        self.hits: dict[str, list[Judged]] = {}  # by class, so that none fills the page
        self.misses: list[Judged] = []

    def _add(self, other: Self) -> None:
        for mine, theirs in zip(self._all(), other._all(), strict=True):
            mine.merge_state(theirs)
        self.count += other.count
        for judged in other.misses:
            _keep(self.misses, judged, KEPT)
        for truth, hits in other.hits.items():
            for judged in hits:
                self._keep_hit(truth, judged)

    def update(self, raw: Tensor, batch: Batch) -> None:
        """Count a batch in; an empty one (all files unreadable) changes nothing."""
        if not len(batch):
            return
        assert isinstance(batch.targets, Tensor)
        raw, targets = raw.detach().float().cpu(), batch.targets.cpu()
        probabilities = raw.softmax(-1)
        for metric in self._metrics():  # by logits, for small probabilities are rounded to equal ones
            metric.update(raw, targets)
        self.calibration.update(probabilities, targets)
        self.count += len(batch)
        scores, predicted = probabilities.max(-1)
        rows = zip(scores.tolist(), batch.paths, predicted.tolist(), targets.tolist(), strict=True)
        for score, path, guess, truth in rows:
            judged = Judged(score, path, self.labels.names[guess], self.labels.names[truth])
            if guess == truth:
                self._keep_hit(judged.truth, judged)
            else:
                _keep(self.misses, judged, KEPT)  # confident mistakes teach most

    def compute(self) -> dict[str, float]:
        """`top1`, `top5` (of five classes or more), `mean_class`, `ece` in percent; `images`.

        `ece` is the expected calibration error: how far a score is, on average, from the share of hits.
        """
        if not self.count:
            return {"top1": 0.0, "mean_class": 0.0, "ece": 0.0, "images": 0.0}
        figures = {name: 100 * metric.compute().item() for name, metric in self.tops.items()}
        present = self.present()
        mean_class = 100 * self.per_class.compute()[present].mean().item()
        ece = 100 * self.calibration.compute().item()
        return {**figures, "mean_class": mean_class, "ece": ece, "images": float(self.count)}

    def present(self) -> Tensor:
        """Which classes had any picture: (classes,) bool."""
        return (self.per_class.tp + self.per_class.fn) > 0  # type: ignore[operator]

    def details(self) -> dict[str, Any]:
        """Top-1 of each class in percent (None where it had no picture), and the confusion matrix."""
        accuracy = self.per_class.compute()
        rows = zip(self.labels.names, accuracy.tolist(), self.present().tolist(), strict=True)
        matrix = None if self.confusion is None else self.confusion.compute().tolist()
        return {
            "per_class": {name: 100 * value if seen else None for name, value, seen in rows},
            "confusion": matrix,
        }

    def draw(self, folder: Path) -> list[Path]:
        """Write confusion.png (rows: truth) and predictions.png (hits and misses with scores)."""
        written = []
        if self.confusion is not None and self.count:
            written.append(folder / "confusion.png")
            draw_confusion(self.confusion.compute().numpy(), self.labels.names, written[-1])
        hits = heapq.nlargest(KEPT, chain.from_iterable(self.hits.values()))
        groups = {"hits": self._tiles(hits), "misses": self._tiles(self.misses)}
        if any(groups.values()):
            written.append(folder / "predictions.png")
            draw_sheet(groups, written[-1])
        return written

    def _tiles(self, kept: list[Judged]) -> list[Tile]:
        tiles = []
        for judged in sorted(kept, reverse=True):
            right = judged.predicted == judged.truth
            text = [f"prediction: {judged.predicted} {judged.score:.0%}", f"ground truth: {judged.truth}"]
            tiles.append(Tile(judged.path, text, right))
        return tiles

    def _metrics(self) -> list[Any]:
        confusion = [] if self.confusion is None else [self.confusion]
        return [*self.tops.values(), self.per_class, *confusion]

    def _all(self) -> list[Any]:
        return [*self._metrics(), self.calibration]

    def _keep_hit(self, truth: str, judged: Judged) -> None:
        _keep(self.hits.setdefault(truth, []), judged, max(1, KEPT // len(self.labels)))


def _keep(surest: list[Judged], judged: Judged, room: int) -> None:
    """Put an answer into the heap of the `room` surest ones."""
    heapq.heappush(surest, judged)
    if len(surest) > room:
        heapq.heappop(surest)
