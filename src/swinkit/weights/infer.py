"""The architecture of a checkpoint, read off its tensors alone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from swinkit.core.config import Axes, SwinConfig
from swinkit.core.windows import Fit, relative_index
from swinkit.errors import ConfigError, WeightsError
from swinkit.weights.convert import Converted
from swinkit.weights.rules import classifier_fit
from swinkit.weights.sizes import infer_size

LONGEST = 32  # frames of patches in a window: more is no guess to make


class Stated(NamedTuple):
    """What a config.json beside the tensors says of the architecture, each None where it does not."""

    size: Axes | None = None
    window: Any = None
    fit: Fit | None = None


def infer_config(
    given: Converted, window: Any = None, img_size: Any = None, stated: Stated | None = None
) -> SwinConfig:
    """Read the architecture off the tensors: widths, depths, heads, windows, patch, rank, position, fit.

    `window` chooses where a bias table fits several, `img_size` where an absolute position or a table does.
    Raises WeightsError where the tensors disagree or do not tell.
    """
    stated = stated or Stated()
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
        **_rules(given, rank, stated.fit),
    }
    known = _config(values, source)
    wanted = _expanded_size(known, img_size)
    sizes = (stated.size if rank == 2 else None, wanted)
    windows = _windows(tables, given, known, _choices(known, (window, stated.window), sizes, tables))
    values |= {"window": windows}
    size = infer_size(given, _config(values, source), *sizes)
    config = _config(values | {"absolute_position": position is not None, "img_size": size}, source)
    if config.fit == "square":
        return replace(config, fit=classifier_fit(dialect, config))
    told = wanted is not None or size == stated.size  # else as if built for each input
    return replace(config, fit="roll_pad_fixed") if config.fit == "roll_pad" and told else config


def _rules(given: Converted, rank: int, fit: Fit | None) -> dict[str, Any]:
    """What the code that the checkpoint is from does at the edges."""
    dialect = given.dialect
    usual = dialect.video_fit if rank == 3 else dialect.dense_fit if given.normed else dialect.fit
    return {
        "fit": fit or usual,
        "patch_remainder": dialect.patch_remainder if rank == 2 else "pad",
        "prefix_index": rank == 3 and dialect.prefix_index and not dialect.mends_index,
    }


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
    tables: Sequence[Axes | None],
    given: Converted,
    known: SwinConfig,
    choices: Sequence[tuple[Axes, ...]],
) -> tuple[Axes, ...]:
    """Window of each stage; where a table is absent or strange, that of another stage."""
    found: list[Axes | None] = []
    for stage, table in enumerate(tables):
        chosen = [windows[stage] for windows in choices]
        found.append(None if table is None else _window(stage, table[0], given, known, chosen))
    usual = next(window for window in found if window is not None)
    return tuple(window or usual for window in found)


def _window(stage: int, rows: int, given: Converted, known: SwinConfig, chosen: Sequence[Axes]) -> Axes:
    """Window of a bias table: of the stored relative index; else one `chosen`; else the one square in space.

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
    for window in chosen:
        if window in candidates:
            return window
    square = [w for w in candidates if w[-1] == w[-2] and (known.rank == 2 or w[0] <= LONGEST)]
    square = [window for window in square if window[-1] > 1] or square
    if len(square) == 1:
        return square[0]
    way = ", or the input that it was made for by img_size=" if known.fit == "roll_pad" else ""
    raise WeightsError(
        f"{given.source} does not tell the window of stage {stage}: its bias table of {rows} rows fits "
        f"{', '.join(map(str, square or candidates))}; say which by window={way}."
    )


def _choices(
    known: SwinConfig,
    wanted: Sequence[Any],
    sizes: Sequence[Axes | None],
    tables: Sequence[Axes | None],
) -> list[tuple[Axes, ...]]:
    """Windows of all stages that are named; before them those that the family's code cuts at a named size.

    The latter make all tables. timm cuts each side by itself: there the largest square window is tried too.
    Left out are those that are none for this rank: to inflate, they are not.
    """
    rows = [0 if table is None else table[0] for table in tables]
    named = [window for window in wanted if window is not None]
    squares = [math.isqrt(row) // 2 + 1 for row in rows if row == math.isqrt(row) ** 2]
    cut = [*named, max(squares)] if squares and known.fit == "roll_pad" else named
    found = []
    for size in sizes:
        for window in cut if size is not None else ():
            windows = _expanded(known, window, size)
            made = [math.prod(2 * side - 1 for side in sides) for sides in windows or ()]
            if windows and all(row in (0, count) for row, count in zip(rows, made, strict=True)):
                found.append(windows)
    expanded = [_expanded(known, window, None) for window in named]
    return found + [windows for windows in expanded if windows]


def _expanded(known: SwinConfig, window: Any, size: Axes | None) -> tuple[Axes, ...] | None:
    try:
        return replace(known, window=window, img_size=size).windows
    except ConfigError:
        return None


def _expanded_size(known: SwinConfig, img_size: Any) -> Axes | None:
    """Height and width that a user names; None for a video, and where they are not for this rank."""
    try:
        return replace(known, img_size=img_size).input_size if known.rank == 2 else None
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
