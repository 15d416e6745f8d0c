"""Charts by matplotlib: curves of a run, confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swinkit.visualize.canvas import save_figure
from swinkit.visualize.text import drawable, fit_texts


def draw_confusion(
    matrix: NDArray[np.int64], names: Sequence[str], path: Path, *, counts: bool = True
) -> None:
    """By truth (rows) and prediction (columns), coloured by the share of the row; its counts, or per cent."""
    from matplotlib.figure import Figure  # without pyplot: no window system, safe in threads

    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = float(np.clip(0.5 * len(names), 4, 20))
    figure = Figure(figsize=(side + 1.5, side + 1), layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes, label="share of the true class", shrink=0.8)
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= 40:
        shown_names = [drawable(name, scalable=True) for name in names]
        axes.set_xticks(range(len(names)), shown_names, rotation=60, ha="right")
        axes.set_yticks(range(len(names)), shown_names)
        fit_texts((*axes.get_xticklabels(), *axes.get_yticklabels()))
    if len(names) <= 20:
        for (row, column), count in np.ndenumerate(matrix):
            ink = "white" if share[row, column] > 0.5 else "black"
            text = str(count) if counts else f"{100 * share[row, column]:.0f}"
            axes.text(column, row, text if count else "·", ha="center", va="center", color=ink, size=8)
    save_figure(figure, path, dpi=110)


def draw_curves(history: Sequence[dict[str, float]], monitor: str, path: Path) -> None:
    """Losses, the monitored figure and the learning rate, one point an epoch."""
    from matplotlib.figure import Figure

    panels = [("loss", ["train_loss", "val_loss"]), (f"{monitor} (val)", [f"val_{monitor}"]), ("lr", ["lr"])]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    for axes, (title, keys) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for key in keys:
            points = [(row["epoch"] + 1, row[key]) for row in history if key in row]
            if points:
                axes.plot(*zip(*points, strict=True), marker=".", label=key)
        axes.set(xlabel="epoch", title=title)
        axes.grid(alpha=0.3)
        if len(keys) > 1:
            axes.legend()
    save_figure(figure, path, dpi=110)
