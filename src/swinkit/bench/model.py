"""What one model costs: latency, throughput and memory, by batch, size, precision and runtime."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor

from swinkit.bench.clock import Step, in_turns, peak_memory
from swinkit.bench.machine import describe_machine
from swinkit.bench.rows import macs_of
from swinkit.config.benchmark import BenchmarkConfig
from swinkit.config.predict import PredictConfig
from swinkit.deploy.runtimes import in_runtime, picked
from swinkit.errors import ConfigError
from swinkit.tasks.base import Task

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = {"torch": tuple(TYPES), "openvino": ("fp32", "bf16", "int8"), "onnxruntime": ("fp32",)}
_HAVE = "; ".join(f"{runtime} computes in {', '.join(words)}" for runtime, words in PRECISIONS.items())


WARMUP = 2  # rounds that do not count


@dataclass(frozen=True)
class Way:
    """How a network is computed."""

    runtime: str
    precision: str
    compiled: bool = False

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}" + (" compiled" if self.compiled else "")


def ways_of(task: Task, config: BenchmarkConfig) -> list[Way]:
    """All that are asked for; ConfigError for a runtime or a precision that no other one goes with."""
    ways, runtimes = [], list(dict.fromkeys(picked(task, runtime) for runtime in config.runtime))
    for runtime, precision in itertools.product(runtimes, config.precision):
        if precision in PRECISIONS[runtime]:
            ways.append(Way(runtime, precision))
            if config.compile and runtime == "torch":
                ways.append(Way(runtime, precision, compiled=True))
    for name, words in (("precision", config.precision), ("runtime", runtimes)):
        for word in words:
            if word not in {getattr(way, name) for way in ways}:
                raise ConfigError(f"{name}={word} goes with none of these; {_HAVE}.")
    return ways


def turns(task: Task, config: BenchmarkConfig) -> int:
    """How often `benchmark_model` says that it got on."""
    inputs = len(config.batch_size) * max(1, len(config.size))
    return (WARMUP + config.rounds) * len(ways_of(task, config)) * inputs


def benchmark_model(
    task: Task, config: BenchmarkConfig, *, advance: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """All cells, those of one input in turns; the model's parameters and multiply-adds; the machine."""
    ways, device = ways_of(task, config), task.device
    shape = task.preprocessing.shape
    sizes = [(*shape[:-2], size, size) for size in config.size] or [shape]
    if "int8" in config.precision and sizes != [shape]:
        raise ConfigError("int8 is measured at the model's own size, as its calibration is: give no size.")
    networks = {way: _network(task, way, config) for way in ways}
    cells = []
    for size, batch in itertools.product(sizes, config.batch_size):
        x = _random_input(batch, size, device)
        steps = {way: _step(own, x.to(_input_type(way))) for way, own in networks.items()}
        taken = in_turns(list(steps.values()), device, rounds=config.rounds, warmup=WARMUP, advance=advance)
        for (way, step), seconds in zip(steps.items(), taken, strict=True):
            cells.append(_cell(way, batch, size, seconds) | {"peak_memory": peak_memory(step, device)})
    return {
        "task": task.name,
        "parameters": sum(own.numel() for own in task.parameters()),
        "macs": {"×".join(map(str, size)): _macs(task, size) for size in sizes},
        "device": str(device),
        "machine": describe_machine(device),
        "cells": cells,
    }


def _random_input(batch: int, size: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Noise to measure with; ConfigError for more numbers than there is memory."""
    try:
        return torch.randn(batch, *size, device=device)
    except (RuntimeError, TypeError) as error:  # too much memory, or beyond any integer of torch's
        shape = "×".join(map(str, (batch, *size)))
        raise ConfigError(
            f"An input of {shape} numbers has no room: give a smaller size or batch."
        ) from error


def _network(task: Task, way: Way, config: BenchmarkConfig) -> Task:
    if way.runtime != "torch":
        asked: dict[str, Any] = {"runtime": way.runtime, "precision": way.precision}
        if way.precision == "int8":
            asked |= {"calibration": config.calibration, "force": config.force}
        return in_runtime(task, PredictConfig.checked(asked))
    own = deepcopy(task).eval().to(TYPES[way.precision])
    return in_runtime(own, PredictConfig.checked({"compile": way.compiled}))


def _input_type(way: Way) -> torch.dtype:
    return TYPES[way.precision] if way.runtime == "torch" else torch.float32


def _step(network: Task, x: Tensor) -> Step:
    return torch.inference_mode()(partial(network, x))


def _macs(task: Task, size: tuple[int, ...]) -> int:
    own = deepcopy(task).to("meta")
    return macs_of(own, torch.empty(1, *size, device="meta"))


def _cell(way: Way, batch: int, size: tuple[int, ...], seconds: list[float]) -> dict[str, Any]:
    middle = median(seconds)
    low, _, high = quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else (middle,) * 3
    return {
        "runtime": way.runtime,
        "precision": way.precision,
        "compiled": way.compiled,
        "batch_size": batch,
        "size": list(size),
        "latency_ms": 1000 * middle,
        "latency_ms_quartiles": [1000 * low, 1000 * high],
        "throughput": batch / middle,
        "rounds": len(seconds),
    }


HEAD = ("input", "runtime", "ms", "quartiles", "inputs/s", "peak MB")


def lines(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """A line of the table for each cell."""
    return [
        (
            f"{cell['batch_size']} of {'×'.join(map(str, cell['size'][1:]))}",
            str(Way(cell["runtime"], cell["precision"], cell["compiled"])),
            f"{cell['latency_ms']:.1f}",
            "–".join(f"{own:.1f}" for own in cell["latency_ms_quartiles"]),
            f"{cell['throughput']:.2f}",
            "" if cell["peak_memory"] is None else f"{cell['peak_memory'] / 1e6:.0f}",
        )
        for cell in report["cells"]
    ]


def draw(report: dict[str, Any], path: Path) -> None:
    """Inputs a second of each cell, as bars."""
    from matplotlib.figure import Figure

    from swinkit.visualize.canvas import save_figure

    rows = lines(report)
    figure = Figure(figsize=(9, 1.2 + 0.4 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    rates = [cell["throughput"] for cell in report["cells"]]
    bars = axes.barh([f"{row[0]}, {row[1]}" for row in rows], rates, color="#0072b2")
    axes.bar_label(bars, [f"{row[4]} ({row[2]} ms)" for row in rows], padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.35)
    axes.set(xlabel="inputs a second", title=f"{report['model']} on {report['device']}")
    save_figure(figure, path, dpi=110)
