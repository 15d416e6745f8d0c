"""Evaluation of a model on a data set, from options to evaluation.json."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from swinkit.config.common import Masks
from swinkit.config.evaluate import EvaluateConfig
from swinkit.config.mirrored_classes import without_flip
from swinkit.data.captions.open import Captions
from swinkit.data.classification.imagenet_real import relabel
from swinkit.data.classification.samples import Samples
from swinkit.data.detection.samples import ObjectData, ObjectSamples
from swinkit.data.open import Data, open_data
from swinkit.data.segmentation.open import Pairs
from swinkit.deploy.runtimes import in_runtime
from swinkit.errors import ConfigError, DataError, RunError
from swinkit.evaluation.queries import asked_for
from swinkit.hardware import fit_threads, pick_device
from swinkit.models.class_names import open_for, with_class_names
from swinkit.progress import console, print_notes, remark
from swinkit.tasks.base import Task
from swinkit.tasks.open_vocab.detector import OpenVocabulary


class TrainedOn(NamedTuple):
    """The run folder of a model; the split and the label map to read the data with."""

    path: Path
    split_file: Path | None
    masks: Masks


def evaluate_model(
    task: Task, data: str | Path, config: EvaluateConfig, *, name: str = "", run: TrainedOn | None = None
) -> dict[str, Any]:
    """Return what evaluation.json holds: figures as `metrics`, and details of the task, such as `per_class`.

    `name` is that of the model for the report; with one, the report goes into the run folder by default.
    """
    from swinkit.evaluation.loop import evaluate_split

    task = with_class_names(task, config.classes)
    masks, split_file = (config.masks, None) if run is None else (run.masks, run.split_file)
    open_with = partial(_open_to_evaluate, data, task.name, masks, split_file)
    notes: list[str] = []
    if isinstance(task, OpenVocabulary):
        opened = open_with(None)
    else:
        task, opened, notes = open_for(task, open_with)
    config, unflipped = without_flip(config, task.result_names)
    if opened.multi and not task.multi_label:
        raise DataError(
            f"{opened.root} gives {task.medium.noun}s several labels, but the model answers with one class."
        )
    split = pick_split(opened, config.split)
    samples: Samples | Pairs | ObjectSamples | Captions = opened.splits[split]
    if config.real is not None:
        assert isinstance(samples, Samples)
        samples = relabel(samples, Path(config.real), classes=len(task.classes))
    print_notes([*notes, *opened.notes, *([unflipped] if unflipped else [])])
    if split == "train" and config.split is None:
        remark(console(), f"{opened.root} has no part val or test: all of train is measured.")
    out = _place(config, run.path if run and name else None)
    source = {
        "data": str(data),
        "split": split,
        "model": name,
        "clips": config.clips or task.clips,
        "crops": config.crops,
        "flip": config.flip,
        **({"scales": config.scales, "slide": config.slide, "stride": config.stride} if task.ragged else {}),
        "real": config.real,
        **(config.sought if isinstance(task, OpenVocabulary) else {}),
    }
    labels = opened.labels if isinstance(opened, ObjectData) else None
    device = pick_device(config.device)
    fit_threads(device)
    task = task.to(device)
    asked = asked_for(task, opened, config) if isinstance(task, OpenVocabulary) else {}
    limited = in_runtime(task.limited(**asked), config)
    return evaluate_split(limited, samples, config, out=out, source=source, console=console(), labels=labels)


def _open_to_evaluate(
    data: str | Path, task: str, masks: Masks, split_file: Path | None, classes: Sequence[str] | None
) -> Data:
    return open_data(
        data, task=task, masks=masks, val_fraction=0, classes=classes, split_file=split_file, min_classes=1
    )


def pick_split(data: Data, wanted: str | None) -> str:
    """The part to evaluate: as wanted, else val, else test, else all there is."""
    order = (wanted,) if wanted else ("val", "test", "train")
    for split in order:
        if data.splits.get(split):
            return split
    have = ", ".join(data.splits)
    raise DataError(f"{data.root} has no part {wanted!r}: it has {have}.")


def _place(config: EvaluateConfig, usual: Path | None) -> Path | None:
    """Where figures are saved; RunError or ConfigError where that is wanted and cannot be."""
    from swinkit.evaluation.loop import check_evaluation

    if config.out is not None:
        return check_evaluation(Path(config.out), overwrite=config.overwrite)
    try:
        return None if usual is None else check_evaluation(usual, overwrite=config.overwrite)
    except (ConfigError, RunError) as error:  # a colleague's run folder, say
        remark(console(), f"The figures are shown, but not saved. {error}")
        return None
