"""Large pictures window by window: where windows overlap, their answers are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor

from swinkit.errors import ConfigError

WINDOW_STEP = 2 / 3  # of sliding windows by default, of their side


def windows(
    size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each window, from the upper left; the last ones end at the border.

    As mmseg's `EncoderDecoder.slide_inference`. A side that is smaller than the window is one window. Raises
    ConfigError for a stride that would leave gaps.
    """
    if any(not 0 < step <= side for step, side in zip(stride, window, strict=True)):
        raise ConfigError(f"`stride={stride}` of windows {window}: give steps from 1 to the window's sides.")
    places = [
        _starts(side, min(length, side), step)
        for side, length, step in zip(size, window, stride, strict=True)
    ]
    for top, left in product(*places):
        yield slice(top, min(top + window[0], size[0])), slice(left, min(left + window[1], size[1]))


def slide(
    answer: Callable[[Tensor], Tensor], x: Tensor, window: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """Mean of the answers of all windows: (B, C, H, W) -> (B, K, H, W).

    `answer` gives (B, K, h, w) for a window (B, C, h, w).
    """
    total: Tensor | None = None
    times = x.new_zeros(x.shape[2:])
    for rows, columns in windows((x.shape[2], x.shape[3]), window, stride):
        given = answer(x[..., rows, columns])
        if total is None:
            total = given.new_zeros(len(x), given.shape[1], *x.shape[2:])
        total[..., rows, columns] += given
        times[rows, columns] += 1
    assert total is not None
    return total / times


class Blend:
    """Class ids of a picture of any size, of tiles that overlap, in memory that does not grow with it.

    Where tiles overlap their probabilities are averaged, each weighed by how far inside the tile a pixel is.
    `tile` and `stride` are sides and steps in pixels; `room` bounds the numbers that are held: of a wide
    picture bands are answered one after the other, and tiles on their edges twice.
    """

    def __init__(self, size: tuple[int, int], tile: int, stride: int, *, classes: int, room: int) -> None:
        if not 0 < stride <= tile:
            raise ConfigError(f"`stride={stride}` of tiles of {tile}: give a step from 1 to the tile's side.")
        self.size, self.classes = size, classes
        self.sides = (min(tile, size[0]), min(tile, size[1]))
        self.rows, self.columns = (
            _starts(own, side, stride) for own, side in zip(size, self.sides, strict=True)
        )
        self.at_once = max(1, room // (classes * self.sides[0] * self.sides[1]))
        ramps = [_ramp(side, tile - stride) for side in self.sides]
        self.weight = torch.outer(*ramps)

    def bands(self) -> Iterator[tuple[int, int, list[int]]]:
        """First and last column (exclusive) of each band, and where its tiles begin."""
        begin = 0
        for first in range(0, len(self.columns), self.at_once):
            end = self.columns[min(first + self.at_once, len(self.columns)) - 1] + self.sides[1]
            yield begin, end, [x for x in self.columns if x < end and x + self.sides[1] > begin]
            begin = end

    @property
    def tiles(self) -> int:
        """How many are answered in all."""
        return len(self.rows) * sum(len(starts) for _, _, starts in self.bands())

    def answers(
        self, answer: Callable[[list[tuple[slice, slice]]], Iterator[Tensor]]
    ) -> Iterator[tuple[slice, slice, Tensor]]:
        """Rows, columns and ids (h, w) uint8 of parts that make up the picture.

        `answer` gives the probabilities (K, h, w) of each of some tiles, by their rows and columns.
        """
        high, wide = self.sides
        for begin, end, starts in self.bands():
            left = starts[0]
            total = torch.zeros(self.classes, high, starts[-1] + wide - left)
            weight = torch.zeros(total.shape[1:])
            for top, below in zip(self.rows, [*self.rows[1:], self.size[0]], strict=True):
                places = [(slice(top, top + high), slice(x, x + wide)) for x in starts]
                for x, given in zip(starts, answer(places), strict=True):
                    own = slice(x - left, x - left + wide)
                    total[..., own] += given.float().cpu() * self.weight
                    weight[..., own] += self.weight
                done = below - top
                ids = (total[:, :done] / weight[:done]).argmax(0).to(torch.uint8)
                yield slice(top, below), slice(begin, end), ids[:, begin - left : end - left]
                total[:, : high - done] = total[:, done:].clone()
                weight[: high - done] = weight[done:].clone()
                total[:, high - done :] = 0
                weight[high - done :] = 0


def _starts(size: int, side: int, step: int) -> list[int]:
    """Where windows begin; the last one ends at the border."""
    return list(dict.fromkeys(min(start, size - side) for start in range(0, size - side + step, step)))


def _ramp(side: int, overlap: int) -> Tensor:
    """Weight by place: rising over the overlap from both ends."""
    places = torch.arange(side)
    inside = torch.minimum(places + 1, side - places)
    return inside.clamp_max(max(1, overlap)).float()
