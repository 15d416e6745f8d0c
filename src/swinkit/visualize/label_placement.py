"""Where labels stand: none over another one while there is room on the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Rect = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom are outside
FEW = 64  # labels up to which more places are tried
Box = tuple[float, float, float, float]


def place_labels(boxes: Sequence[Box], sizes: Sequence[tuple[int, int]], page: tuple[int, int]) -> list[Rect]:
    """Return a rectangle for the label of each box, the first boxes served first.

    A label stands above its box, else within, below or beside it, else at the nearest free place of the page.
    Rectangles overlap only where no free place is left.

    Args:
        boxes: corners in pixels of the page.
        sizes: (width, height) of each label.
        page: (width, height).

    """
    taken = np.zeros((0, 4), np.int64)
    too_large: list[tuple[int, int]] = []  # sizes for which no free place was left
    placed: list[Rect] = []
    for box, (width, height) in zip(boxes, sizes, strict=True):
        size = (min(width, page[0]), min(height, page[1]))
        nearby = list(_nearby(box, size, page))
        rect = _first_free(nearby, taken)
        if rect is None and not any(w <= size[0] and h <= size[1] for w, h in too_large):
            rect = _nearest_free(nearby[0], size, taken, page)
            if rect is None:
                too_large.append(size)
        rect = nearby[0] if rect is None else rect
        placed.append(rect)
        taken = np.vstack((taken, rect))
    return placed


def _nearby(box: Box, size: tuple[int, int], page: tuple[int, int]) -> Iterator[Rect]:
    """Yield places at a box, the preferred first: those that would leave the page are moved into it."""
    left, top, right, bottom = map(round, box)
    width, height = size
    rows = (top - height, top, bottom, bottom - height)
    corners = [(x, y) for y in rows for x in (left, right - width)]
    corners += [(right, top), (left - width, top)]
    inside = [(x, y) for x, y in corners if 0 <= y <= page[1] - height]
    for x, y in inside or corners:
        x, y = max(0, min(x, page[0] - width)), max(0, min(y, page[1] - height))
        yield x, y, x + width, y + height


def _first_free(rects: Sequence[Rect], taken: NDArray[np.int64]) -> Rect | None:
    for rect in rects:
        left, top, right, bottom = rect
        apart = (
            (taken[:, 0] >= right) | (taken[:, 2] <= left) | (taken[:, 1] >= bottom) | (taken[:, 3] <= top)
        )
        if apart.all():
            return rect
    return None


def _nearest_free(
    preferred: Rect, size: tuple[int, int], taken: NDArray[np.int64], page: tuple[int, int]
) -> Rect | None:
    """Return the free place nearest to a preferred one; None where there is none.

    Labels are counted on the grid that their edges make, by a table of sums.
    """
    columns = _edges(taken[:, 0], taken[:, 2], page[0])
    rows = _edges(taken[:, 1], taken[:, 3], page[1])
    covered = np.zeros((len(rows), len(columns)), np.int32)
    cells = np.column_stack(
        (np.searchsorted(rows, taken[:, [1, 3]]), np.searchsorted(columns, taken[:, [0, 2]]))
    )
    for top, bottom, left, right in cells.tolist():
        covered[top:bottom, left:right] = 1
    sums = np.zeros((len(rows) + 1, len(columns) + 1), np.int32)
    sums[1:, 1:] = covered.cumsum(0, np.int32).cumsum(1, np.int32)

    xs = _starts(taken[:, 0], taken[:, 2], preferred[0], size[0], page[0])
    ys = _starts(taken[:, 1], taken[:, 3], preferred[1], size[1], page[1])
    first_column = np.searchsorted(columns, xs, "right") - 1
    last_column = np.searchsorted(columns, xs + size[0], "left")
    first_row = np.searchsorted(rows, ys, "right") - 1
    last_row = np.searchsorted(rows, ys + size[1], "left")
    hidden = (
        sums[np.ix_(last_row, last_column)]
        - sums[np.ix_(first_row, last_column)]
        - sums[np.ix_(last_row, first_column)]
        + sums[np.ix_(first_row, first_column)]
    )
    distances = np.abs(ys - preferred[1])[:, None] + np.abs(xs - preferred[0])[None]
    distances = np.where(hidden == 0, distances, np.iinfo(np.int64).max)
    best = int(distances.argmin())
    row, column = divmod(best, len(xs))
    if hidden[row, column]:
        return None
    left, top = int(xs[column]), int(ys[row])
    return left, top, left + size[0], top + size[1]


def _edges(starts: NDArray[np.int64], ends: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    return np.unique(np.concatenate((starts, ends, (0, limit))))


def _starts(
    starts: NDArray[np.int64], ends: NDArray[np.int64], preferred: int, length: int, limit: int
) -> NDArray[np.int64]:
    """Return where a label may begin on an axis: where another one ends, at the page's edge, or as preferred.

    These are enough to find a free place. Of few labels also those before another one, which may be nearer.
    """
    before = starts - length if len(starts) <= FEW else starts[:0]
    candidates = np.unique(np.concatenate((ends, before, (0, preferred))))
    return np.asarray(candidates[(candidates >= 0) & (candidates + length <= limit)], np.int64)
