"""The architecture of a checkpoint, read off its tensors alone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from swinkit.core.config import Axes, SwinConfig
from swinkit.core.windows import relative_index
from swinkit.errors import ConfigError, WeightsError
from swinkit.weights.convert import Converted

LONGEST = 32  # frames of patches in a window: more is no guess to make


def infer_config(given: Converted, window: Any = None, img_size: Any = None) -> SwinConfig:
    """Read the architecture off the tensors: widths, depths, heads, windows, patch, rank, position, fit.

    `window` chooses where a bias table fits several, `img_size` where an absolute position does. Raises
    WeightsError where the tensors disagree or do not tell.
    """
    tensors, source = given.tensors, given.source
    depths = _depths(tensors, source)
    width = _width(tensors, source)
    _check_widths(tensors, width, len(depths), source)
    patch = _shape(tensors, "patch_embed.proj.weight", (4, 5)) or (width, 3, 4, 4)
    rank = len(patch) - 2
    tables = [
        _shape(tensors, rf"layers\.{s}\.blocks\.\d+\.attn\.relative_position_bias_table", (2,))
        for s in range(len(depths))
    ]
    first, heads = next(((s, found[1]) for s, found in enumerate(tables) if found), (0, 0))
    if not heads:
        raise WeightsError(f"{source} holds no relative position bias tables: is it whole?")
    all_heads = [found[1] if found else heads << s >> first for s, found in enumerate(tables)]
    ratios = [  # hidden widths are rounded down from it
        found[0] / (width << s)
        for s in range(len(depths))
        if (found := _shape(tensors, rf"layers\.{s}\.blocks\.\d+\.mlp\.fc1\.weight", (2,)))
    ]
    position = _shape(tensors, "absolute_pos_embed", (3,))
    dialect = given.dialect
    values: dict[str, Any] = {
        "embed_dim": width,
        "depths": depths,
        "num_heads": tuple(all_heads),
        "window": (7,) * rank,
        "patch": tuple(patch[2:]),
        "in_chans": patch[1],
        "mlp_ratio": max(ratios, default=4.0),
        "qkv_bias": not dialect.no_qkv_bias or any(name.endswith("attn.qkv.bias") for name in tensors),
        "patch_norm": not dialect.no_patch_norm or any(n.startswith("patch_embed.norm.") for n in tensors),
        "fit": "clamp" if rank == 3 else "pad_shift" if given.normed else "pad",
    }
    known = _config(values, source)
    windows = _windows(tables, given, known, window)
    size = _image_size(windows, patch[2:], position, given.masks.get(0, ()))
    if position is not None and img_size is not None:
        wanted = replace(known, img_size=img_size)
        size = wanted.input_size if math.prod(wanted.grid(0) or ()) == position[1] else size
    return _config(
        values | {"window": windows, "absolute_position": position is not None, "img_size": size}, source
    )


def _config(values: dict[str, Any], source: str) -> SwinConfig:
    try:
        return SwinConfig.from_dict(values)
    except ConfigError as error:
        raise WeightsError(f"{source} does not add up to a Swin: {error}") from error


def _shape(tensors: Mapping[str, Tensor], pattern: str, axes: Sequence[int]) -> Axes | None:
    """Shape of the first tensor of that name and of so many axes."""
    shapes = (tuple(t.shape) for name, t in tensors.items() if re.fullmatch(pattern, name))
    return next((shape for shape in shapes if len(shape) in axes), None)


def _depths(tensors: Iterable[str], source: str) -> tuple[int, ...]:
    depth: dict[int, int] = {}
    for name in tensors:
        match = re.match(r"layers\.(\d+)\.blocks\.(\d+)\.", name)
        if match:
            depth[int(match[1])] = max(depth.get(int(match[1]), 0), int(match[2]) + 1)
    if sorted(depth) != list(range(len(depth))) or not depth:
        raise WeightsError(f"{source} holds blocks of the stages {sorted(depth)} only: it is not whole.")
    return tuple(depth[stage] for stage in sorted(depth))


def _width(tensors: Mapping[str, Tensor], source: str) -> int:
    names = (r"layers\.0\.blocks\.\d+\.norm[12]\.\w+", r"patch_embed\.(proj|norm)\.\w+")
    shapes = (_shape(tensors, name, (1, 4, 5)) for name in names)
    width = next((shape[0] for shape in shapes if shape), None)
    if width is None:
        raise WeightsError(f"{source} holds too little of a Swin to tell its width: it is not whole.")
    return width


def _check_widths(tensors: Mapping[str, Tensor], width: int, stages: int, source: str) -> None:
    """Refuse a file whose last stages are gone: what follows them tells how wide they were."""
    last = rf"norm\.\w+|norm{stages - 1}\.\w+|head\.weight"
    for name, tensor in tensors.items():
        if re.fullmatch(last, name) and tensor.ndim and tensor.shape[-1] != width << stages - 1:
            raise WeightsError(
                f"{source} is not whole: {name} is for {tensor.shape[-1]} channels, but the blocks end with "
                f"stage {stages - 1} at {width << stages - 1}."
            )
        stray = re.match(r"norm(\d)\.", name)
        if stray and int(stray[1]) >= stages:
            raise WeightsError(f"{source} is not whole: it holds {name}, but {stages} stages of blocks.")


def _windows(
    tables: Sequence[Axes | None], given: Converted, known: SwinConfig, wanted: Any
) -> tuple[Axes, ...]:
    """Window of each stage; where a table is absent or strange, that of another stage."""
    found = [
        None if table is None else _window(stage, table[0], given, known, wanted)
        for stage, table in enumerate(tables)
    ]
    usual = next(window for window in found if window is not None)
    return tuple(window or usual for window in found)


def _window(stage: int, rows: int, given: Converted, known: SwinConfig, wanted: Any) -> Axes:
    """Window of a bias table: that of the stored relative index; else `wanted`; else the one square in space.

    WeightsError names those that fit where none of these is found.
    """
    candidates = _windows_of(rows, known.rank)
    indices = given.indices.get(stage)
    if indices:
        fitting = [window for window in candidates if any(_is_index(index, window) for index in indices)]
        if not fitting:
            raise WeightsError(
                f"{given.source} is damaged: the bias table of stage {stage} has {rows} rows, which does not "
                f"agree with its relative position index of shape {tuple(indices[0].shape)}."
            )
        return fitting[0]
    if not candidates:
        raise WeightsError(f"{given.source} is damaged: no window has a bias table of {rows} rows.")
    chosen = None if wanted is None else _chosen(stage, known, wanted)
    if chosen in candidates:
        return chosen
    square = [w for w in candidates if w[-1] == w[-2] and (known.rank == 2 or w[0] <= LONGEST)]
    square = [window for window in square if window[-1] > 1] or square
    if len(square) == 1:
        return square[0]
    raise WeightsError(
        f"{given.source} does not tell the window of stage {stage}: its bias table of {rows} rows fits "
        f"{', '.join(map(str, square or candidates))}; say which by window=."
    )


def _chosen(stage: int, known: SwinConfig, wanted: Any) -> Axes | None:
    """The window that a user names, where it is one for this rank: to inflate, it is not."""
    try:
        return replace(known, window=wanted).windows[stage]
    except ConfigError:
        return None


def _is_index(index: Tensor, window: Axes) -> bool:
    own = relative_index(window, window, index.device)
    return own.numel() == index.numel() and bool((own.flatten() == index.flatten()).all())


def _windows_of(rows: int, rank: int) -> list[Axes]:
    """All windows with a bias table of that many rows."""
    sides = [(side + 1) // 2 for side in range(1, rows + 1, 2) if rows % side == 0]
    return [
        (*([depth] if rank == 3 else []), high, rows // (2 * depth - 1) // (2 * high - 1) // 2 + 1)
        for depth in (sides if rank == 3 else [1])
        for high in sides
        if rows % ((2 * depth - 1) * (2 * high - 1)) == 0
    ]


def _image_size(
    windows: Sequence[Axes],
    patch: Sequence[int],
    position: Axes | None,
    masks: Sequence[Tensor],
) -> Axes | None:
    """Trained size in pixels: from absolute position, a stored mask, a window cut by its stage, the window.

    Releases are square with a last grid as large as the window: 7·32 = 224, 12·32 = 384.
    """
    if len(patch) == 3:
        return (32, 32 * windows[0][-2], 32 * windows[0][-1]) if position is None else None
    if position is not None:
        side = math.isqrt(position[1])
        return (side * patch[0], position[1] // side * patch[1])
    mask = next((mask for mask in masks if mask.ndim == 3), None)
    if mask is not None:
        side = math.isqrt(len(mask))
        return (side * windows[0][0] * patch[0], side * windows[0][1] * patch[1])
    cut = next((s for s, window in enumerate(windows) if window != windows[0]), len(windows) - 1)
    return tuple(side * p << cut for side, p in zip(windows[cut], patch, strict=True))
