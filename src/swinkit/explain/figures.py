"""Figures of the architecture page, each drawn from what the layers themselves compute.

Letters: C channels, M window side, N = M² tokens in a window, p patch side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from swinkit.core.config import SwinConfig
from swinkit.core.layers import PatchEmbed, PatchMerging
from swinkit.core.windows import Fit, plan_windows, relative_index
from swinkit.explain.windows import TokenPicture, by, cut_tokens, draw_legend, draw_picture
from swinkit.visualize.canvas import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUARTERS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7")  # Okabe and Ito's: told apart by every eye
ACCENT = "#d55e00"
MAIN_FITS: tuple[Fit, ...] = ("pad", "pad_shift", "clamp")


def attention_macs(grid: Sequence[int], channels: int, window: Sequence[int] | None = None) -> int:
    """Multiply-adds of one attention layer; without `window` every token sees the whole grid.

    4hwC² for the projections (q, k, v, output), and 2·hw·(tokens seen)·C for QKᵀ and the weighted sum
    of V: 2(hw)²C, or 2M²hwC in windows that fit the grid. Swin paper, eq. 1 and 2, for any rank.
    """
    tokens = math.prod(grid)
    seen = math.prod(grid if window is None else window)
    return 4 * tokens * channels**2 + 2 * tokens * seen * channels


def draw_patches(image: Image.Image, config: SwinConfig, path: Path) -> None:
    """Draw how a picture becomes tokens: the picture, its patches, and the table that the layers read.

    The table is what `PatchEmbed` gives where its convolution only copies (grey picture, no norm).
    """
    from matplotlib.figure import Figure

    picture = cut_tokens(image, config)
    pixels = picture.pixels(plan_windows(picture.grid, (1, 1), shifted=False, fit="pad")).mean(-1)
    side = math.prod(config.patch_size)
    embed = PatchEmbed(config.patch_size, 1, side, norm=False)
    with torch.no_grad():
        embed.proj.weight.copy_(torch.eye(side).view(side, 1, *config.patch_size))
        nn.init.zeros_(embed.proj.bias)  # type: ignore[arg-type]
        tokens = embed(torch.from_numpy(pixels)[None, None])[0]

    figure = Figure(figsize=(11, 4.3), layout="constrained")
    whole, apart, table = figure.subplots(1, 3)
    whole.imshow(pixels, cmap="gray")
    whole.set_title(f"The picture:\n{pixels.shape[0]}×{pixels.shape[1]} pixels", fontsize=10)
    apart.imshow(_pulled_apart(tokens, config.patch_size), cmap="gray")
    patch = "×".join(map(str, config.patch_size))
    apart.set_title(f"Cut into patches of {patch} pixels:\n{by(tokens.shape[:2])} tokens", fontsize=10)
    rows = tokens.flatten(0, 1).numpy()
    table.imshow(rows, cmap="gray", aspect="auto")
    table.set(xlabel=f"{rows.shape[1]} pixels of the patch", ylabel=f"token 1 to {rows.shape[0]}, row by row")
    table.set_title(
        "The same as a table: one row a token.\nA linear layer makes C channels of each", fontsize=10
    )
    _clear(whole, apart, table)
    for axes in (whole, apart, table):
        axes.set_box_aspect(pixels.shape[0] / pixels.shape[1])
    save_figure(figure, path)


def merging_order(grid: tuple[int, int]) -> Tensor:
    """Flat index of the token that fills each of the four parts of 4C: (H/2, W/2, 4); read off the layer."""
    layer = PatchMerging(1)
    layer.norm, layer.reduction = nn.Identity(), nn.Identity()  # type: ignore[assignment]
    tokens = torch.arange(math.prod(grid)).view(1, *grid, 1)
    merged: Tensor = layer(tokens)[0]
    return merged


def draw_merging(path: Path, grid: tuple[int, int] = (4, 4)) -> None:
    """Draw in which order patch merging joins 2×2 neighbours, as `PatchMerging` does it."""
    from matplotlib.figure import Figure

    order = merging_order(grid)
    height, width = order.shape[:2]
    part = {int(token): i for i in range(4) for token in order[..., i].flatten()}
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    before, after = figure.subplots(1, 2, width_ratios=(1, 2.1))
    for token in range(math.prod(grid)):
        row, column = divmod(token, grid[1])
        _cell(before, (column, row), (1, 1), QUARTERS[part[token]], str(token))
    for row in range(height):
        for column in range(width):
            for i, token in enumerate(order[row, column].tolist()):
                _cell(after, (column * 4.4 + i, row * 2.2), (1, 1.6), QUARTERS[i], str(token))
    before.set_title(f"Before: {by(grid)} tokens\nof C channels each", fontsize=11)
    after.set_title(
        f"After: {by((height, width))} tokens of 4C channels in this order;\n"
        "LayerNorm and a linear layer make 2C of them",
        fontsize=11,
    )
    before.set(xlim=(-0.1, grid[1] + 0.1), ylim=(grid[0] + 0.1, -0.1))
    after.set(xlim=(-0.1, width * 4.4 - 0.3), ylim=(height * 2.2 - 0.5, -0.1))
    for axes in (before, after):
        axes.set_aspect("equal")
        axes.set_axis_off()
    save_figure(figure, path)


def draw_relative_index(path: Path, window: int = 3, query: int = 1) -> None:
    """Draw how two tokens of a window find their row of the bias table, for one `query` token."""
    from matplotlib.figure import Figure

    index = relative_index((window, window), (window, window), torch.device("cpu")).numpy()
    wide, count = 2 * window - 1, window**2
    figure = Figure(figsize=(13, 5), layout="constrained")
    offsets, table, matrix = figure.subplots(1, 3)
    for token, row in enumerate(index[query]):
        down, right = divmod(int(row), wide)
        color = ACCENT if token == query else QUARTERS[0]
        text = f"{_signed(down - window + 1)}, {_signed(right - window + 1)}\nrow {row}"
        _cell(offsets, (token % window, token // window), (1, 1), color, text)
    offsets.set_title(
        f"{window}×{window} window: how far the orange token lies from each\n"
        "(rows down, columns right), and so their table row",
        fontsize=10,
    )
    for row in range(wide**2):
        used, own = row in index[query], row == index[query, query]
        color = ACCENT if own else QUARTERS[0] if used else "#f4f4f5"
        _cell(table, (row % wide, row // wide), (1, 1), color, str(row))
    table.set_title(
        f"The table: {wide}² = {wide**2} rows, each one learnt number a head.\n"
        "Coloured: the rows that the orange token uses",
        fontsize=10,
    )
    matrix.imshow(index, cmap="viridis")
    for (i, j), row in np.ndenumerate(index):
        matrix.text(
            j,
            i,
            str(row),
            ha="center",
            va="center",
            fontsize=8,
            color="black" if row > index.max() / 2 else "white",
        )
    _cell(matrix, (-0.5, query - 0.5), (count, 1), "none", "", edge=ACCENT, width=2.5)
    matrix.set_title(f"All pairs: {count}×{count} table rows.\nFramed: the orange token", fontsize=10)
    matrix.set(xlabel="token looked at", ylabel="token that looks")
    _clear(matrix)
    for axes, side in ((offsets, window), (table, wide)):
        axes.set(xlim=(-0.05, side + 0.05), ylim=(side + 0.05, -0.05), aspect="equal")
        axes.set_axis_off()
    save_figure(figure, path)


def draw_costs(config: SwinConfig, path: Path, sides: Sequence[int] = tuple(range(224, 2049, 28))) -> None:
    """Draw the multiply-adds of one attention layer of the first stage against the side of the image."""
    from matplotlib.figure import Figure

    grids = [replace(config, img_size=side).grid(0) or () for side in sides]
    full = [attention_macs(grid, config.dim(0)) / 1e9 for grid in grids]
    windowed = [attention_macs(grid, config.dim(0), config.windows[0]) / 1e9 for grid in grids]
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.loglog(sides, full, color=ACCENT, lw=2, label="global: 4hwC² + 2(hw)²C")
    axes.loglog(sides, windowed, color="#0072b2", lw=2, label="in windows: 4hwC² + 2M²hwC")
    for i in (0, -1):
        axes.plot([sides[i]] * 2, [windowed[i], full[i]], color="grey", ls=":", marker="o", ms=4)
        middle = math.sqrt(windowed[i] * full[i])
        place: dict[str, Any] = {"ha": "left" if i == 0 else "right", "va": "center"}
        axes.text(
            sides[i] * (0.97 if i else 1.03),
            middle,
            f"{sides[i]} pixels:\n{full[i] / windowed[i]:,.0f} times",
            **place,
        )
    axes.set(xlabel="side of the image, pixels", ylabel="GMAC of one attention layer")
    axes.set_xticks(ticks := [224, 384, 512, 768, 1024, 1536, 2048], list(map(str, ticks)))
    axes.minorticks_off()
    window = by(config.windows[0])
    axes.set_title(f"Stage 1, C = {config.dim(0)}, windows of {window} tokens", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save_figure(figure, path)


def draw_pyramid(image: Image.Image, config: SwinConfig, path: Path) -> None:
    """Draw the stages at the model's input size: the picture in their tokens, windows, and channels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * config.stages, 4.2), layout="constrained")
    panels = figure.subplots(1, config.stages)
    for stage, axes in enumerate(np.atleast_1d(panels)):
        picture = cut_tokens(image, config, stage)
        mean = picture.tokens.unflatten(-1, (-1, 3)).mean(-2)  # one colour a token
        plan = config.plan(stage, picture.grid, shifted=False)
        title = f"Stage {stage + 1}\n{by(picture.grid)} tokens × {config.dim(stage)} channels"
        draw_picture(axes, TokenPicture(mean, (1, 1)), plan, title=title)
        facts = (
            f"a token: {by(picture.cell)} pixels\n"
            f"windows: {by(plan.counts)}, each {by(plan.window)} tokens\n"
            f"{config.depths[stage]} blocks, {config.num_heads[stage]} heads"
        )
        axes.set_xlabel(facts, fontsize=9)
    save_figure(figure, path)


def draw_fits(image: Image.Image, path: Path, window: int = 4) -> None:
    """Draw the shifted windows of one small grid under the three main `fit` rules, tokens in their place."""
    from matplotlib.figure import Figure

    config = SwinConfig(depths=(2,), num_heads=(3,), window=window, patch=4, img_size=(12, 28))
    picture = cut_tokens(image, config)
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    for axes, fit in zip(figure.subplots(1, 3), MAIN_FITS, strict=True):
        plan = plan_windows(picture.grid, (window, window), shifted=True, fit=fit)
        title = (
            f'fit="{fit}"\nwindow {by(plan.window)}, padded to {by(plan.padded)}, '
            f"shift {plan.shift[0]} down, {plan.shift[1]} right"
        )
        draw_picture(axes, picture, plan, title=title, unrolled=True)
        axes.set_anchor("N")
    draw_legend(
        figure, plan_windows(picture.grid, (window, window), shifted=True, fit="pad_shift"), marked=False
    )
    save_figure(figure, path)


def _pulled_apart(tokens: Tensor, patch: tuple[int, ...]) -> NDArray[np.float32]:
    """Patches with a gap of one white pixel between them: (H, W, p²) -> (H·(p+1), W·(p+1))."""
    blocks = tokens.unflatten(-1, patch)
    gaps = nn.functional.pad(blocks, (0, 1, 0, 1), value=1.0)
    return np.asarray(gaps.transpose(1, 2).flatten(2, 3).flatten(0, 1)[:-1, :-1].numpy())


def _cell(
    axes: Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    color: str,
    text: str,
    *,
    edge: str = "white",
    width: float = 1.5,
) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle(corner, *size, facecolor=color, edgecolor=edge, linewidth=width))
    axes.text(corner[0] + size[0] / 2, corner[1] + size[1] / 2, text, ha="center", va="center", fontsize=10)


def _signed(number: int) -> str:
    return f"{number:+d}".replace("-", "−") if number else "0"


def _clear(*panels: Axes) -> None:
    for axes in panels:
        axes.set(xticks=[], yticks=[])
