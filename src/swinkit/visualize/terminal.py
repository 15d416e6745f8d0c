"""Charts of characters, for terminals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

BLOCKS = " ▁▂▃▄▅▆▇█"


def block_chart(values: Sequence[float], *, width: int = 72, height: int = 8) -> list[str]:
    """Lines of a bar chart of `values`, from 0 to the largest; more values than `width` are averaged."""
    columns = min(width, len(values))
    edges = [round(i * len(values) / columns) for i in range(columns + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    top = max(means) or 1.0
    levels = [round(mean / top * height * 8) for mean in means]
    return [
        "".join(BLOCKS[min(8, max(0, level - 8 * row))] for level in levels)
        for row in range(height - 1, -1, -1)
    ]
