"""Large pictures window by window: dense answers where windows overlap are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from torch import Tensor

from swinkit.errors import ConfigError


def windows(
    size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each window, from the upper left; the last ones end at the border.

    As mmseg's `EncoderDecoder.slide_inference`. A side that is smaller than the window is one window. Raises
    ConfigError for a stride that would leave gaps.
    """
    if any(not 0 < step <= side for step, side in zip(stride, window, strict=True)):
        raise ConfigError(f"stride={stride} of windows {window}: give steps from 1 to the window's sides.")
    places = [
        [min(start, side - length) for start in range(0, side - length + step, step)]
        if side > length
        else [0]
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
