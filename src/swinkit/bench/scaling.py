"""Time and memory over the side of the picture: Swin beside a ViT of like size, and what formulas say.

Letters: h·w tokens, C channels, M window side.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from swinkit.bench.backbones import timm_library
from swinkit.bench.clock import in_turns, peak_memory
from swinkit.core.config import SwinConfig
from swinkit.errors import ConfigError
from swinkit.explain.figures import attention_macs
from swinkit.models.build import create
from swinkit.models.variants import VARIANTS

SIZES = (224, 448, 672, 896, 1120, 1344, 1568, 1792)
SWIN, VIT = "Swin-T", "ViT-S/16"  # 28 and 22 million parameters
_PATCH, _WIDTH, _DEPTH = 16, 384, 12  # of the ViT


def swin_macs(size: int) -> int:
    """Swin-T's multiply-adds by the published formula, 4hwC² + 2M²hwC a layer; MLPs (8hwC²) added."""
    config = VARIANTS["swin_t"].config()
    assert isinstance(config, SwinConfig)
    return sum(
        depth * _layer(math.ceil(size / (config.patch_size[-1] * 2**i)), config.dim(i), config.windows[i][-1])
        for i, depth in enumerate(config.depths)
    )


def vit_macs(size: int) -> int:
    """The ViT's, by 4hwC² + 2(hw)²C a layer; MLPs (8hwC²) added."""
    return _DEPTH * _layer(size // _PATCH, _WIDTH, None)


def _layer(side: int, channels: int, window: int | None) -> int:
    grid, windows = (side, side), None if window is None else (window, window)
    return attention_macs(grid, channels, windows) + 8 * side**2 * channels**2


def _vit(size: int) -> nn.Module:
    model: nn.Module = timm_library().create_model("vit_small_patch16_224", img_size=size, num_classes=1000)
    return model


BUILD: dict[str, Callable[[int], nn.Module]] = {SWIN: lambda _: create("swin_t"), VIT: _vit}
FORMULAS: dict[str, Callable[[int], int]] = {SWIN: swin_macs, VIT: vit_macs}


@dataclass
class Point:
    """A model at a size: seconds of each round, and the most bytes that it held."""

    model: str
    size: int
    seconds: list[float] = field(default_factory=list)
    memory: int | None = None


def measure(
    sizes: Sequence[int],
    device: torch.device,
    *,
    rounds: int,
    advance: Callable[[], object] = lambda: None,
) -> list[Point]:
    """Both models at every size, in turns; one picture, no gradients."""
    if rounds < 1 or not sizes or any(size < 32 or size % 32 for size in sizes):
        raise ConfigError(f"`rounds={rounds}`, sizes={list(sizes)}: give a round or more, sizes by 32.")
    points = []
    for size in sizes:
        torch.manual_seed(0)
        models = {name: build(size).to(device).eval() for name, build in BUILD.items()}
        x = torch.randn(1, 3, size, size, device=device)
        steps = [torch.inference_mode()(partial(model, x)) for model in models.values()]
        taken = in_turns(steps, device, rounds=rounds, advance=advance)
        for name, step, seconds in zip(models, steps, taken, strict=True):
            points.append(Point(name, size, seconds, peak_memory(step, device)))
    return points


HEAD = ("size", "model", "ms", "formula", "MB", "GMAC by formula")


def cells(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """A line for each point; the formula's time begins at the first size's."""
    return [
        (
            f"{point.size}²",
            point.model,
            f"{1000 * median(point.seconds):.0f}",
            f"{1000 * _expected(point, points):.0f}",
            "" if point.memory is None else f"{point.memory / 1e6:.0f}",
            f"{FORMULAS[point.model](point.size) / 1e9:.1f}",
        )
        for point in points
    ]


def _expected(point: Point, points: Sequence[Point]) -> float:
    """Seconds, were they as the multiply-adds of the formula, from the first size's on."""
    first = next(own for own in points if own.model == point.model)
    formula = FORMULAS[point.model]
    return median(first.seconds) * formula(point.size) / formula(first.size)


def draw(points: Sequence[Point], path: Path) -> None:
    """Points as measured, and lines as the formulas have them, over the side of the picture."""
    from matplotlib.figure import Figure

    from swinkit.visualize.canvas import save_figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    time, memory = figure.subplots(1, 2)
    for name, colour in ((SWIN, "#0072b2"), (VIT, "#d55e00")):
        own = [point for point in points if point.model == name]
        sizes = [point.size for point in own]
        time.plot(sizes, [median(point.seconds) for point in own], "o", color=colour, label=name)
        time.plot(sizes, [_expected(point, points) for point in own], color=colour, label=f"{name}, formula")
        held = [(point.size, point.memory / 1e9) for point in own if point.memory is not None]
        if held:
            memory.plot(*zip(*held, strict=True), "o-", color=colour, label=name)
    labels: dict[str, Any] = {"xlabel": "side of the picture, pixels", "xscale": "log", "yscale": "log"}
    time.set(ylabel="seconds", title="A picture", **labels)
    memory.set(ylabel="GB", title="Peak memory", xlabel=labels["xlabel"])
    for axes in (time, memory):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    ticks = sorted({point.size for point in points})
    time.set_xticks(ticks, list(map(str, ticks)), rotation=45)
    time.minorticks_off()
    save_figure(figure, path, dpi=110)


def figures(points: Sequence[Point]) -> str:
    """All points as JSON, with the formulas' multiply-adds."""
    rows = [
        {
            "model": point.model,
            "size": point.size,
            "seconds": point.seconds,
            "memory_bytes": point.memory,
            "macs_by_formula": FORMULAS[point.model](point.size),
        }
        for point in points
    ]
    return json.dumps(rows, indent=2) + "\n"
