"""Run a task over a data set and sum up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from swinkit.config import Compute
from swinkit.data.batching import make_loader
from swinkit.errors import DataError
from swinkit.files import write_text
from swinkit.hardware import pick_batch_size, pick_device, pick_workers
from swinkit.progress import progress_bar, remark
from swinkit.tasks.base import Metric, Task


def evaluate_split(
    task: Task,
    samples: Sequence[Any],
    config: Compute,
    *,
    out: Path | None,
    source: dict[str, str],
    console: Console,
) -> dict[str, float]:
    """Figures of a task on samples; with `out`, evaluation.json and the task's pictures are written there.

    `source` says in the JSON what was evaluated. Raises DataError where no file could be read.
    """
    metric, unreadable = run_metric(task, samples, config, console=console)
    figures = metric.compute()
    if unreadable:
        remark(console, f"{len(unreadable)} files could not be read and do not count: {unreadable[0]}")
    if out is not None:
        report = {**source, "metrics": figures, **metric.details(), "unreadable": unreadable}
        text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        write_text(out / "evaluation.json", text)
        metric.draw(out)
    return figures


@torch.inference_mode()
def run_metric(
    task: Task, samples: Sequence[Any], config: Compute, *, console: Console
) -> tuple[Metric, list[str]]:
    """The filled metric, and one message for each file that could not be read.

    Raises DataError where no file could be read.
    """
    device = pick_device(config.device)
    size = pick_batch_size(config.batch_size, size=task.preprocessing.size, device=device)
    workers = pick_workers(config.workers, images=len(samples), device=device)
    loader = make_loader(task.dataset(samples), batch_size=size, shuffle=False, workers=workers, seed=0)
    metric, unreadable, seen = task.metric(), [], 0
    task.to(device).eval()
    with progress_bar(console, enabled=config.progress) as bar:
        step = bar.add_task("evaluate", total=len(samples), speed="")
        for batch in loader:
            if len(batch):
                metric.update(task(batch.images.to(device, task.dtype)), batch)
            seen += len(batch)
            unreadable += batch.unreadable
            bar.update(step, advance=len(batch) + len(batch.unreadable))
    if not seen:
        raise DataError(f"None of the {len(samples)} images could be read: {unreadable[0]}")
    return metric, unreadable
