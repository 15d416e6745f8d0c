"""The input size that a checkpoint was trained for, as far as its tensors tell it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from swinkit.core.config import Axes, SwinConfig
from swinkit.errors import WeightsError
from swinkit.weights.convert import CLIP, FLOATS, Converted


def infer_size(given: Converted, config: SwinConfig, stated: Axes | None, wanted: Axes | None) -> Axes | None:
    """Return the size in pixels (and frames) that a checkpoint of this architecture was trained for.

    `config` has the windows, but no size yet. `stated` is what a config.json says, `wanted` what the user
    does. An absolute position or stored shift masks tell the size; else `stated` where it makes these
    windows, a rectangle that is `wanted` where it does, a window cut to its stage, or 32 × the window.
    Raises WeightsError where positions or masks make no grid.
    """
    patch = config.patch_size
    if given.position_grid is not None:
        return _pixels(given.position_grid, patch)
    positions = given.tensors.get("absolute_pos_embed")
    if config.rank == 3:
        window = config.windows[0]
        return None if positions is not None else (CLIP, 32 * window[-2], 32 * window[-1])
    grid = _masked_grid(given.masks, config.windows, given.source)
    if positions is not None and positions.ndim == 3:
        return _positioned_size(positions.shape[1], grid, config, (stated, wanted), given.source)
    if grid is not None:
        return _pixels(grid, patch)
    if stated is not None and (config.fit != "roll_pad" or _makes_windows(stated, config)):
        return stated
    if wanted is not None and wanted[0] != wanted[1] and _makes_windows(wanted, config):
        return wanted
    windows = config.windows
    last = config.stages - 1
    cut = next((stage for stage, window in enumerate(windows) if window != windows[0]), last)
    size = tuple(side * p << cut for side, p in zip(windows[cut], patch, strict=True))
    if cut == last or config.fit != "roll_pad" or _makes_windows(size, config):
        return size
    return tuple(32 * side for side in windows[0])


def _pixels(grid: Axes, patch: Axes) -> Axes:
    return tuple(side * p for side, p in zip(grid, patch, strict=True))


def _makes_windows(size: Axes, config: SwinConfig) -> bool:
    """Whether the family's code makes these windows of one square window at a size."""
    largest = max(max(window) for window in config.windows)
    return replace(config, window=largest, img_size=size).windows == config.windows


def _masked_grid(masks: Mapping[int, Sequence[Tensor]], windows: Sequence[Axes], source: str) -> Axes | None:
    """Return the first stage's grid by the shift masks (windows, N, N) that Microsoft's classifiers store."""
    found: dict[int, Axes] = {}
    for stage, tensors in masks.items():
        for mask in tensors:
            counts = _window_counts(mask) if stage < len(windows) else None
            if counts is not None and mask.shape[1] == math.prod(windows[stage]):
                sides = zip(counts, windows[stage], strict=True)
                found[stage] = tuple(count * side << stage for count, side in sides)
    grids = sorted(set(found.values()))
    if len(grids) > 1:
        raise WeightsError(
            f"{source} is damaged: its shift masks (attn_mask) are of inputs with {grids[0]} and {grids[1]} "
            "patches."
        )
    return grids[0] if grids else None


def _window_counts(mask: Tensor) -> Axes | None:
    """Count windows down and across: the first that the shift parts is the last of the first row."""
    if mask.ndim != 3 or mask.dtype not in FLOATS or mask.is_quantized or mask.layout is not torch.strided:
        return None
    parted = mask.flatten(1).any(1).nonzero()
    if not len(parted):
        return None
    across = int(parted[0]) + 1
    return None if len(mask) % across else (len(mask) // across, across)


def _positioned_size(
    positions: int, masked: Axes | None, config: SwinConfig, sizes: Sequence[Axes | None], source: str
) -> Axes:
    """Return the size that makes so many positions: of the masks, one that is named, else a square."""
    if masked is not None and math.prod(masked) == positions:
        return _pixels(masked, config.patch_size)
    for size in sizes:
        if size is not None and math.prod(replace(config, img_size=size).grid(0) or ()) == positions:
            return size
    side = math.isqrt(positions)
    if side * side == positions:
        return _pixels((side, side), config.patch_size)
    short = next(n for n in range(side, 0, -1) if positions % n == 0)
    grid = (short, positions // short)
    raise WeightsError(
        f"{source} holds an absolute position of {positions} patches, which make no square: was it trained "
        f"on a grid of {grid[0]} × {grid[1]}? Give `img_size={_pixels(grid, config.patch_size)}`, or "
        "its sides the other way round."
    )
