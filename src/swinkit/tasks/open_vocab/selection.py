"""Which boxes of an open-vocabulary detector count, by how much they are what is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms  # type: ignore[import-untyped, unused-ignore]

from swinkit.heads.boxes import has_area
from swinkit.tasks.detections import Found


@dataclass(frozen=True)
class Sought:
    """How sure a box must be, and how many are given. One with a side of at most `min_size` is dropped.

    With `several` a box may be all queries that are sure enough, else it is its likeliest. `thresholds` (Q,)
    are the queries' own scores. Of boxes of a query that overlap more than `overlap` the surest stays; None:
    all. What is rather one of the last `negatives` queries is left out.
    """

    score: float = 0.1
    keep: int = 300
    overlap: float | None = None
    several: bool = False
    thresholds: Tensor | None = None
    negatives: int = 0
    min_size: float = 0.0

    def select(self, parts: Iterable[Tensor], boxes: Tensor) -> Found:
        """Of boxes (N, 4) the surest first, by logits (N, some) of the queries, which come part by part."""
        scores, labels, places, count = (self._pairs if self.several else self._best)(parts)
        wanted = (labels < count - self.negatives) & has_area(boxes[places], self.min_size)
        scores, labels, places = scores[wanted], labels[wanted], places[wanted]
        chosen = boxes[places]
        if self.overlap is None:
            order = scores.argsort(descending=True, stable=True)
        else:
            order = batched_nms(chosen.float(), scores, labels, self.overlap)
        order = order[: self.keep]
        return {"boxes": chosen[order], "scores": scores[order], "labels": labels[order]}

    def _best(self, parts: Iterable[Tensor]) -> tuple[Tensor, Tensor, Tensor, int]:
        """Each box as its likeliest query; memory does not grow with their number."""
        best, labels, count = None, None, 0
        for logits in parts:
            sure, own = logits.max(1)
            if best is None or labels is None:
                best, labels = sure, own
            else:
                labels = torch.where(sure > best, own + count, labels)
                best = torch.maximum(sure, best)
            count += logits.shape[1]
        assert best is not None
        assert labels is not None
        scores = best.float().sigmoid()
        kept = (scores > self._needed(scores, 0, count)[labels]).nonzero()[:, 0]
        return scores[kept], labels[kept], kept, count

    def _pairs(self, parts: Iterable[Tensor]) -> tuple[Tensor, Tensor, Tensor, int]:
        """Boxes and queries that fit, the surest `keep` of them."""
        every: list[tuple[Tensor, Tensor, Tensor]] = []
        count = 0
        for logits in parts:
            chances = logits.float().sigmoid()
            needed = self._needed(chances, count, count + logits.shape[1])
            rows, columns = (chances > needed).nonzero(as_tuple=True)
            every.append((chances[rows, columns], columns + count, rows))
            scores, labels, places = (torch.cat(own) for own in zip(*every, strict=True))
            top = scores.argsort(descending=True, stable=True)[: self.keep]
            every = [(scores[top], labels[top], places[top])]
            count += logits.shape[1]
        return *every[0], count

    def _needed(self, like: Tensor, first: int, last: int) -> Tensor:
        """The scores above which queries count."""
        if self.thresholds is None:
            return like.new_full((last - first,), self.score)
        return self.thresholds[first:last].to(like)
