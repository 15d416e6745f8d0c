"""Run a task over a data set and sum up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from swinkit.config.evaluate import EvaluateConfig
from swinkit.data.loader import in_order
from swinkit.errors import DataError
from swinkit.files import MADE_BY, check_targets, check_writable, is_ours, write_text
from swinkit.hardware import pick_batch_size, pick_device, pick_workers
from swinkit.labels import Labels
from swinkit.progress import note_clipped, progress_bar, remark
from swinkit.tasks.base import Metric, Task

WRITTEN = ("evaluation.json", "confusion.png", "predictions.png")


def check_evaluation(folder: Path, *, overwrite: bool = False) -> Path:
    """Return a folder in which figures can be saved; RunError if not writable, ConfigError as `check_target`.

    A results.json beside our own evaluation.json is ours too: COCO's format has no place for a mark.
    """
    beside = () if is_ours(folder / "evaluation.json") else ("results.json",)
    check_targets(folder, (*WRITTEN, *beside), overwrite=overwrite)
    return check_writable(folder)


def evaluate_split(
    task: Task,
    samples: Sequence[Any],
    config: EvaluateConfig,
    *,
    out: Path | None,
    source: dict[str, Any],
    console: Console,
    labels: Labels | None = None,
) -> dict[str, Any]:
    """Figures of a task on samples and their details; with `out`, also as evaluation.json, with pictures.

    `source` says what was evaluated; `labels` are as in `Task.metric`. Raises DataError where no file could
    be read.
    """
    metric, unreadable = run_metric(task, samples, config, console=console, labels=labels)
    report = {**source, "metrics": metric.compute(), **metric.details(), "unreadable": unreadable}
    if unreadable:
        remark(console, f"{len(unreadable)} files could not be read and do not count: {unreadable[0]}")
    if out is not None:
        text = json.dumps({"creator": MADE_BY, **report}, indent=2, ensure_ascii=False) + "\n"
        write_text(out / "evaluation.json", text)
        metric.draw(out)
    return report


@torch.inference_mode()
def run_metric(
    task: Task,
    samples: Sequence[Any],
    config: EvaluateConfig,
    *,
    console: Console,
    labels: Labels | None = None,
) -> tuple[Metric, list[str]]:
    """The filled metric, and one message for each file that could not be read.

    Raises DataError where no file could be read.
    """
    device = pick_device(config.device)
    task = task.to(device).limited(config)
    shape = task.preprocessing.shape
    size = task.at_once(pick_batch_size(config.batch_size, shape=shape, device=device))
    workers = pick_workers(config.workers, images=len(samples), device=device, shape=shape)
    several = config.real is not None
    metric, unreadable, seen = task.metric(several=several, labels=labels), [], 0
    clipped = Counter[str]()
    with ExitStack() as opened:
        opened.enter_context(task.answering())
        pictures = task.dataset(
            samples, clips=config.clips or task.clips, crops=config.crops, several=several
        )
        loader = opened.enter_context(closing(in_order(pictures, batch_size=size, workers=workers)))
        bar = opened.enter_context(progress_bar(console, enabled=config.progress))
        step = bar.add_task("evaluate", total=len(samples), speed="")
        for batch in loader:
            if len(batch):
                metric.update(task.measure(batch, flip=config.flip), batch)
            seen += len(batch)
            clipped.update(batch.clipped_counts())
            unreadable += batch.unreadable
            bar.update(step, advance=len(batch) + len(batch.unreadable))
    note_clipped(clipped["values"], clipped["images"])
    if not seen:
        raise DataError(f"None of the {len(samples)} {task.medium.noun}s could be read: {unreadable[0]}")
    return metric, unreadable
