"""Windows, shift and mask on a real picture, computed by the functions that the model itself runs.

Letters: N tokens in a window; `*padded` is the padded grid (H, W), in tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from swinkit.core.config import SwinConfig
from swinkit.core.windows import (
    WindowPlan,
    merge,
    pad_and_roll,
    partition,
    shift_mask,
    shift_regions,
    token_positions,
    unroll_and_crop,
)
from swinkit.data.io.images import clean
from swinkit.errors import ConfigError
from swinkit.visualize.canvas import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TOKENS = 64  # a side of stage 1, where the model has no input size: more cannot be seen
CPU = torch.device("cpu")
MARK, DARK, PADDING = "#f0e442", "#27272a", (0.85, 0.74, 0.97)
ORIGINS = {
    0: ("stays on its side", "#d4d4d8"),
    1: ("comes from the left edge", "#0072b2"),
    2: ("comes from the top edge", "#d55e00"),
    3: ("comes from the top left corner", "#009e73"),
}


class TokenPicture(NamedTuple):
    """A picture as tokens: (1, *grid, cell height · cell width · 3) in 0..1, and the pixels of one token."""

    tokens: Tensor
    cell: tuple[int, int]

    @property
    def grid(self) -> tuple[int, ...]:
        """Tokens down and across."""
        return tuple(self.tokens.shape[1:3])

    def pixels(self, plan: WindowPlan) -> NDArray[np.float32]:
        """Pixels of the picture padded and rolled as in the model; padding is lilac."""
        padding = merge(token_positions(plan, CPU)[None, ..., None], plan) < 0
        rolled = pad_and_roll(self.tokens, plan).unflatten(-1, (*self.cell, 3))
        blocks = torch.where(padding[..., None, None], torch.tensor(PADDING), rolled)[0].transpose(1, 2)
        return np.asarray(blocks.flatten(2, 3).flatten(0, 1).numpy())


def draw_windows(image: Image.Image, config: SwinConfig, path: Path, stage: int = 0) -> None:
    """Draw the regular windows, the shifted ones, the cyclic shift and one window's mask of a stage.

    The picture is brought to the model's input size, cut where the shape differs; without an input size it
    keeps its own, or is shrunk to at most MOST_TOKENS a side. Raises ConfigError for a video model or an
    unknown stage.
    """
    from matplotlib.figure import Figure

    picture = cut_tokens(image, config, stage)
    regular = config.plan(stage, picture.grid, shifted=False)
    shifted = config.plan(stage, picture.grid, shifted=True)

    tall = regular.padded[0] * picture.cell[0] / (regular.padded[1] * picture.cell[1])
    figure = Figure(
        figsize=(10, 2 * (4.6 * float(np.clip(tall, 0.4, 1.6)) + 0.7) + 0.8), layout="constrained"
    )
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.1)  # type: ignore[union-attr, call-arg]
    figure.suptitle(_headline(config, stage, picture), fontsize=13)
    first, second, third, last = figure.subplots(2, 2).flat
    draw_picture(first, picture, regular, title=_title_regular(regular))
    if shifted.is_shifted:
        draw_picture(second, picture, shifted, unrolled=True, title=_title_shifted(shifted))
        draw_picture(third, picture, shifted, title=_title_rolled(shifted))
        mark_window(second, shifted, unrolled=True)
        mark_window(third, shifted)
    else:
        _draw_nothing(second, picture, regular, "2. Shifted windows", _why_unshifted(shifted))
        _draw_nothing(third, picture, regular, "3. Cyclic shift", "Nothing moves,\nso nothing is rolled.")
    _draw_mask(last, shifted)
    draw_legend(figure, shifted, marked=shifted.is_shifted)
    save_figure(figure, path)


def cut_tokens(image: Image.Image, config: SwinConfig, stage: int = 0) -> TokenPicture:
    """Bring a picture to the model's input size and cut it into the tokens of a stage.

    Without an input size the picture keeps its own, or is shrunk to at most MOST_TOKENS a side. Raises
    ConfigError for a video model or an unknown stage.
    """
    if config.rank != 2:
        raise ConfigError("Windows are drawn for images only; this model takes video: choose another.")
    if not 0 <= stage < config.stages:
        raise ConfigError(f"stage={stage}: the model has {config.stages}; give 0 to {config.stages - 1}.")
    image = clean(image)
    height, width = config.patch_size
    cell = (height << stage, width << stage)
    if config.input_size is not None:
        rows, columns = config.input_size
        image = ImageOps.fit(image, (columns, rows), Image.Resampling.BICUBIC)
    else:
        scale = min(1.0, MOST_TOKENS * width / image.width, MOST_TOKENS * height / image.height)
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    grid = replace(config, img_size=(image.height, image.width)).grid(stage)
    assert grid is not None
    page = np.empty((grid[0] * cell[0], grid[1] * cell[1], 3), np.float32)
    page[:] = PADDING
    pixels = np.asarray(image, np.float32)[: page.shape[0], : page.shape[1]] / 255
    page[: pixels.shape[0], : pixels.shape[1]] = pixels
    blocks = torch.from_numpy(page).unflatten(1, (grid[1], cell[1])).unflatten(0, (grid[0], cell[0]))
    return TokenPicture(blocks.transpose(1, 2).flatten(2)[None], cell)


def draw_picture(
    axes: Axes, picture: TokenPicture, plan: WindowPlan, *, title: str, unrolled: bool = False
) -> None:
    """Show the tokens and windows of a plan: rolled as the model computes, or put back in place.

    Where the plan is shifted, pieces that the roll carries to another side are tinted.
    """
    straight = plan._replace(shift=(0,) * len(plan.shift))
    height, width = plan.padded
    shown = picture.pixels(straight if unrolled else plan)
    axes.imshow(shown, extent=(0, width, height, 0), aspect=picture.cell[0] / picture.cell[1])
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])
    spread = max(plan.padded)
    bold = _boldness(plan)
    _draw_lines(axes, np.arange(height * width).reshape(height, width), "white", 6 / spread, alpha=0.45)
    windows = token_map(window_numbers(plan), plan, unrolled=unrolled)
    rows, columns = (token_map(axis, plan, unrolled=unrolled) for axis in shift_regions(plan, CPU))
    pieces = 9 * windows + 3 * rows + columns
    if plan.is_shifted:
        origins = token_map(origin_of(plan), plan, unrolled=unrolled)
        axes.imshow(_tints(origins), extent=(0, width, height, 0), aspect=picture.cell[0] / picture.cell[1])
        if not unrolled:
            _draw_lines(axes, pieces, "white", 1.2, linestyle=(0, (2, 2)))
    _draw_lines(axes, pieces if unrolled else windows, "black", 3.4 * bold)
    _draw_lines(axes, pieces if unrolled else windows, "white", 1.8 * bold)
    axes.set(xlim=(-0.01 * spread, width + 0.01 * spread), ylim=(height + 0.01 * spread, -0.01 * spread))
    axes.spines[:].set_visible(False)


def mark_window(axes: Axes, plan: WindowPlan, *, unrolled: bool = False) -> None:
    """Frame the last window, in the bottom right corner after the roll."""
    windows = token_map(window_numbers(plan), plan, unrolled=unrolled)
    _draw_lines(axes, windows == windows.max(), "black", 5.4 * _boldness(plan), frame=True)
    _draw_lines(axes, windows == windows.max(), MARK, 3.6 * _boldness(plan), frame=True)


def draw_legend(figure: Figure, plan: WindowPlan, *, marked: bool) -> None:
    """Name the colours that a plan needs, below the panels."""
    from matplotlib.patches import Patch

    entries = [Patch(fc="none", ec=MARK, lw=3, label="the marked window")] if marked else []
    if plan.is_shifted:
        entries += [
            Patch(color=ORIGINS[k][1], label=ORIGINS[k][0]) for k in origin_of(plan).unique().tolist()
        ]
    if plan.padded != plan.grid:
        entries.append(Patch(color=PADDING, label="padding"))
    if entries:
        figure.legend(handles=entries, loc="outside lower center", ncols=3, frameon=False)


def window_numbers(plan: WindowPlan) -> Tensor:
    """Number of the window that each token is in: (windows, N)."""
    count = int(np.prod(plan.counts))
    return torch.arange(count)[:, None].expand(count, plan.tokens)


def origin_of(plan: WindowPlan) -> Tensor:
    """Key of ORIGINS for each token, by what the roll brought to the other side: (windows, N)."""
    rolled = plan.grid if plan.rolls_first else plan.padded
    brought = []
    for size, shift, padded in zip(rolled, plan.shift, plan.padded, strict=True):
        place = torch.arange(padded)
        brought.append(((place >= size - shift) & (place < size)).long())
    rows, columns = brought
    laid = 2 * rows[:, None] + columns
    return partition(laid[None, ..., None], plan)[0, ..., 0]


def token_map(values: Tensor, plan: WindowPlan, *, unrolled: bool) -> NDArray[np.int64]:
    """Lay one value a token, (windows, N), out on the padded grid: rolled, or each token in its place."""
    laid = merge(values[None, ..., None], plan)
    if unrolled and plan.rolls_first:
        height, width = plan.grid
        laid[:, :height, :width] = unroll_and_crop(laid, plan)
    elif unrolled:
        laid = unroll_and_crop(laid, plan._replace(grid=plan.padded))  # padding stays
    return np.asarray(laid[0, ..., 0].numpy())


def _boldness(plan: WindowPlan) -> float:
    return float(np.clip(8 / max(plan.counts), 0.5, 1))  # many windows leave no room for thick lines


def _draw_lines(
    axes: Axes, labels: NDArray[np.generic], color: str, width: float, *, frame: bool = False, **style: Any
) -> None:
    """Draw every border between neighbours with different labels; `frame`: only around True cells."""
    from matplotlib.collections import LineCollection

    around = np.pad(labels, 1, constant_values=False if frame else -1)
    rows = _runs(around[1:, 1:-1] != around[:-1, 1:-1])
    columns = _runs((around[1:-1, 1:] != around[1:-1, :-1]).T)
    lines = [((start, y), (stop, y)) for y, start, stop in rows]
    lines += [((x, start), (x, stop)) for x, start, stop in columns]
    axes.add_collection(LineCollection(lines, colors=color, linewidths=width, capstyle="projecting", **style))


def _runs(border: NDArray[np.bool_]) -> Iterable[tuple[int, int, int]]:
    """(line, start, stop) of each unbroken stretch: pieces drawn one by one would show their seams."""
    edges = np.diff(np.pad(border.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, stops = np.argwhere(edges == 1), np.argwhere(edges == -1)[:, 1]
    return [(line, start, stop) for (line, start), stop in zip(starts.tolist(), stops.tolist(), strict=True)]


def _tints(origins: NDArray[np.int64]) -> NDArray[np.float64]:
    """A see-through colour for each origin: (*padded, 4)."""
    from matplotlib.colors import to_rgba

    table = [to_rgba(color, 0.5 if key else 0.0) for key, (_, color) in ORIGINS.items()]
    return np.asarray(table)[origins]


def _draw_mask(axes: Axes, plan: WindowPlan) -> None:
    """Pairs of tokens of the last window: dark where masked, else in the colour of their origin."""
    from matplotlib.colors import to_rgb

    mask = shift_mask(plan, CPU, torch.float32)
    dark = torch.zeros(plan.tokens, plan.tokens).bool() if mask is None else mask[-1] < 0
    colors = np.asarray([to_rgb(color) for _, color in ORIGINS.values()]) * 0.6 + 0.4
    cells = np.broadcast_to(colors[origin_of(plan)[-1].numpy()][:, None], (*dark.shape, 3))
    axes.imshow(np.where(dark.numpy()[..., None], to_rgb(DARK), cells), extent=(0, *dark.shape, 0))
    if mask is None:
        title = f"4. Mask\nNone is needed: all {plan.tokens} tokens of a window see each other"
    else:
        title = "4. Mask of the marked window\nDark: −100, for the roll has put together what is far apart"
    axes.set_title(title, fontsize=10)
    axes.set(xlabel=f"token looked at, 1 to {plan.tokens}", ylabel=f"token that looks, 1 to {plan.tokens}")
    axes.set(xticks=[], yticks=[])


def _draw_nothing(axes: Axes, picture: TokenPicture, plan: WindowPlan, title: str, text: str) -> None:
    """Fill the panel of a step that this stage does not have with the reason."""
    height, width = plan.padded
    axes.imshow(
        picture.pixels(plan),
        extent=(0, width, height, 0),
        aspect=picture.cell[0] / picture.cell[1],
        alpha=0.2,
    )
    axes.text(width / 2, height / 2, text, ha="center", va="center", fontsize=11)
    axes.set_title(f"{title}\nnot used at this stage", fontsize=10)
    axes.set(xticks=[], yticks=[])


def by(sides: Iterable[int]) -> str:
    """Sides as people write them: 7×7."""
    return "×".join(map(str, sides))


def _headline(config: SwinConfig, stage: int, picture: TokenPicture) -> str:
    return (
        f"Stage {stage + 1} of {config.stages}: {by(picture.grid)} tokens, each {by(picture.cell)} pixels, "
        f'in windows of {by(config.windows[stage])} tokens (fit "{config.fit}")'
    )


def _title_regular(plan: WindowPlan) -> str:
    return f"1. Regular windows: {by(plan.counts)}\nA token looks only at tokens of its own window"


def _title_shifted(plan: WindowPlan) -> str:
    return (
        f"2. Shifted windows: moved {plan.shift[0]} tokens down, {plan.shift[1]} right\n"
        "They cross the old borders, but the edges cut them"
    )


def _title_rolled(plan: WindowPlan) -> str:
    return (
        f"3. Cyclic shift: rolled {plan.shift[0]} tokens up, {plan.shift[1]} left\n"
        "What leaves one side fills the cut windows on the other"
    )


def _why_unshifted(plan: WindowPlan) -> str:
    covered = [g <= w for g, w in zip(plan.grid, plan.window, strict=True)]
    if all(covered):
        return f"One window covers\nthe whole {by(plan.grid)} grid:\nthere is nothing to shift."
    return f"A window of {by(plan.window)}\nhas no half on the axes\nthat it does not cover."
