"""How well captions find their pictures, and pictures their captions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swinkit.data.batch import Batch
from swinkit.metrics.base import Mergeable
from swinkit.visualize.contact_sheet import COLUMNS, Tile, draw_sheet

RANKS = (1, 5, 10)
SHOWN = 6  # captions on a page
AT_ONCE = 2**25  # pairs that are compared at once


class RetrievalMetric(Mergeable):
    """Recall at 1, 5 and 10, both ways, over all pictures and all captions that differ (Karpathy & Fei-Fei).

    A picture is found where any of its captions is among the first, a caption where any of its pictures is.
    What is as alike as the right one counts before it, so that a model to which all is alike finds nothing.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.count = 0
        self._images: list[Tensor] = []
        self._texts: list[Tensor] = []
        self._pairs: list[tuple[str, str]] = []

    def update(self, raw: Sequence[Any], batch: Batch) -> None:
        """Count in embeddings (B, dim) of pictures and of their captions, the first two of `raw`."""
        images, texts = (own.float().cpu() for own in raw[:2])
        self._images.append(images)
        self._texts.append(texts)
        self._pairs += zip(batch.paths, batch.records, strict=True)
        self.count += len(batch)

    def _add(self, other: RetrievalMetric) -> None:
        self._images += other._images
        self._texts += other._texts
        self._pairs += other._pairs
        self.count += other.count

    def compute(self) -> dict[str, float]:
        """`image_to_text_r1` … and `text_to_image_r1` … in percent; `recall` is the mean of all six."""
        if not self._pairs:
            return {"recall": 0.0, "images": 0.0}
        (images, paths), (texts, words) = self._sides()
        right = torch.tensor([(paths[path], words[text]) for path, text in self._pairs])
        ways = {
            "image_to_text": _found(images, texts, right),
            "text_to_image": _found(texts, images, right.flip(1)),
        }
        figures = {f"{way}_r{rank}": own[rank] for way, own in ways.items() for rank in RANKS}
        return {"recall": sum(figures.values()) / len(figures), **figures, "images": float(len(images))}

    def _sides(self) -> list[tuple[Tensor, dict[str, int]]]:
        """Embeddings of all pictures and of all captions that differ, and their numbers."""
        sides = zip((self._images, self._texts), zip(*self._pairs, strict=True), strict=True)
        return [_distinct(torch.cat(embeds), keys) for embeds, keys in sides]

    def details(self) -> dict[str, Any]:
        """How many captions there are."""
        return {"captions": len({text for _, text in self._pairs})}

    def draw(self, folder: Path) -> list[Path]:
        """A page of captions, below each the pictures that are most like it."""
        (images, paths), (texts, words) = self._sides()
        said: dict[str, list[str]] = defaultdict(list)
        for path, text in self._pairs:
            said[path].append(text)
        names = list(paths)
        groups = {}
        for text in list(words)[:: max(1, len(words) // SHOWN)][:SHOWN]:
            shares, places = (images @ texts[words[text]]).topk(min(COLUMNS, len(names)))
            found = zip(shares.tolist(), (names[i] for i in places.tolist()), strict=True)
            groups[text] = [
                Tile(path, [f"{share:.2f}", said[path][0]], text in said[path]) for share, path in found
            ]
        draw_sheet(groups, folder / "predictions.png")
        return [folder / "predictions.png"]


def _distinct(embeds: Tensor, keys: Sequence[str]) -> tuple[Tensor, dict[str, int]]:
    """The embedding of each key, where it comes first, and its number."""
    numbers: dict[str, int] = {}
    first = []
    for place, key in enumerate(keys):
        if key not in numbers:
            numbers[key] = len(numbers)
            first.append(place)
    return embeds[first], numbers


def _found(rows: Tensor, columns: Tensor, right: Tensor) -> dict[int, float]:
    """Share of rows, in percent, of which a right column is among the first 1, 5, 10.

    `right` are pairs (P, 2) of rows and columns. What is no number is as bad as can be.
    """
    right = right[right[:, 0].argsort()]
    before = []
    step = max(1, AT_ONCE // len(columns))
    for start in range(0, len(rows), step):
        alike = rows[start : start + step] @ columns.T
        ends = torch.searchsorted(right[:, 0].contiguous(), torch.tensor([start, start + len(alike)]))
        own = right[ends[0] : ends[1]]
        fits = torch.zeros_like(alike, dtype=torch.bool)
        fits[own[:, 0] - start, own[:, 1]] = True
        best = alike.masked_fill(~fits, -torch.inf).amax(1, keepdim=True)
        before.append((~(alike < best) & ~fits).sum(1))
    places = torch.cat(before)
    return {rank: 100 * (places < rank).float().mean().item() for rank in RANKS}
