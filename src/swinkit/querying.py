"""What open-vocabulary detectors look for while they are measured, and from which score it counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from swinkit.config import EvaluateConfig, Views
from swinkit.data.dataset import Data
from swinkit.data.objects import ObjectData, ObjectSamples
from swinkit.errors import ConfigError, DataError
from swinkit.hardware import pick_device
from swinkit.labels import Labels
from swinkit.progress import console, remark
from swinkit.tasks.base import Task
from swinkit.tasks.open_vocabulary import OVERLAP, OpenVocabulary
from swinkit.tasks.queries import example_queries, names_in, queries_for
from swinkit.tasks.two_towers import TwoTowers
from swinkit.vocabulary import Vocabulary

Kind = TypeVar("Kind", bound=TwoTowers)


def queried(task: Task, kind: type[Kind], device: str) -> Kind:
    """The model, on a device; ConfigError for one of another kind, which looks for its classes alone."""
    if not isinstance(task, kind):
        raise ConfigError(f"Queries are for open-vocabulary detectors, and this model is for {task.name}.")
    return task.to(pick_device(device))


def asked_for(
    task: OpenVocabulary, data: Data, config: EvaluateConfig, *, open_ended: bool
) -> dict[str, Any]:
    """Limits of a model that is measured: what is looked for, and whose figures stand apart.

    With `open_ended` that are the classes of the data, else the model's own.
    """
    if config.queries is not None and config.shots is not None:
        raise ConfigError("queries are names, and shots examples: give one of them.")
    asked: dict[str, Any] = {}
    apart: dict[str, Sequence[str]] = {}
    if isinstance(data, ObjectData) and data.frequency:
        for letter, group in (("r", "rare"), ("c", "common"), ("f", "frequent")):
            apart[group] = [
                name for name, own in zip(data.classes, data.frequency, strict=True) if own == letter
            ]
    if config.novel is not None:
        novel = [name for name in names_in(Path(config.novel)) if name in data.classes]
        if not novel:
            raise ConfigError(f"{config.novel} names no class of {data.root}: spell them as the data do.")
        apart |= {"novel": novel, "base": [name for name in data.classes if name not in novel]}
    if config.shots is not None:
        train = data.splits.get("train")
        if not isinstance(train, ObjectSamples):
            raise DataError(f"{data.root} has no part train, of which examples are drawn for shots.")
        made, shown = example_queries(task, train, data.classes, shots=config.shots, seed=config.seed)
        asked, apart = {"asked": made, "nms_threshold": OVERLAP}, {**apart, "shown": shown}
        if len(shown) < len(data.classes):
            lost = len(data.classes) - len(shown)
            remark(console(), f"{lost} classes have no example in train: box_ap_shown leaves them out.")
    elif open_ended:
        asked = {"asked": queries_for(task, config.queries, data.classes)}
    return {**asked, "apart": apart}


def calibrate(
    task: OpenVocabulary, known: Vocabulary, samples: Any, config: EvaluateConfig
) -> tuple[Vocabulary, set[str]]:
    """The vocabulary with the score of highest F1 of each name, and the names of which samples tell it."""
    from swinkit.engine.evaluate import run_metric
    from swinkit.metrics.detect import DetectionMetric
    from swinkit.metrics.thresholds import best_thresholds

    plain = Vocabulary(known.names, known.embeddings)
    with task.limited(Views(), asked=plain):
        metric, _ = run_metric(task, samples, config, console=console(), labels=Labels.of(known.names))
    assert isinstance(metric, DetectionMetric)
    found = best_thresholds(metric.answers, len(known))
    thresholds = torch.tensor([task.score_threshold if own is None else own for own in found])
    made = Vocabulary(known.names, known.embeddings, thresholds, known.negatives)
    return made, {name for name, own in zip(known.names, found, strict=True) if own is not None}
