"""What open-vocabulary detectors look for while they are measured, and from which score it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from swinkit.config.evaluate import EvaluateConfig
from swinkit.config.predict import EmbedConfig
from swinkit.data.detection.samples import ObjectData, ObjectSamples
from swinkit.data.open import Data
from swinkit.errors import ConfigError, DataError, nearest, some
from swinkit.hardware import pick_device
from swinkit.labels import Labels
from swinkit.progress import console, remark
from swinkit.tasks.base import Task
from swinkit.tasks.open_vocab.detector import OVERLAP, OpenVocabulary
from swinkit.tasks.open_vocab.queries import example_queries, find_queries, names_in, parse_names, queries_for
from swinkit.tasks.open_vocab.two_towers import TwoTowers
from swinkit.tasks.open_vocab.vocabulary import Vocabulary

Kind = TypeVar("Kind", bound=TwoTowers)


def queried(task: Task, kind: type[Kind], device: str) -> Kind:
    """The model, on a device; ConfigError for one of another kind, which looks for its classes alone."""
    if not isinstance(task, kind):
        raise ConfigError(f"Queries are for open-vocabulary detectors, and this model is for {task.name}.")
    return task.to(pick_device(device))


def embedded_queries(
    task: Task, names: Any, file: str | Path | None, like: Any, config: EmbedConfig
) -> Vocabulary:
    """The vocabulary of names, those in a file, and examples; ConfigError for a model without queries."""
    model = queried(task, TwoTowers, config.device)  # type: ignore[type-abstract]  # of either kind
    if file is not None:
        if isinstance(names, str):
            names = [names]
        listed = names if isinstance(names, Mapping) else {name: [name] for name in names or ()}
        named = {name: list(asked) for name, asked in listed.items()}
        for name, asked in parse_names(names_in(Path(file))).items():
            named[name] = list(dict.fromkeys([*named.get(name, ()), *asked]))
        names = named
    chosen: dict[str, Any] = config.model_dump(include={"prompts", "negatives", "by"})
    return find_queries(model, names, like, **chosen)


def asked_for(task: OpenVocabulary, data: Data, config: EvaluateConfig) -> dict[str, Any]:
    """Limits of a model that is measured: the classes of the data as queries, and whose figures stand apart.

    Queries are drawn examples or of a file where that is wanted, else the model's own where it knows all of
    the classes, else what its text tower reads.
    """
    if config.queries is not None and config.shots is not None:
        raise ConfigError("`queries` are names, and `shots` examples: give one of them.")
    assert isinstance(data, ObjectData)
    apart: dict[str, Sequence[str]] = dict(data.by_frequency)
    if config.novel is not None:
        novel = list(parse_names(names_in(Path(config.novel))))
        unknown = [name for name in novel if name not in data.classes]
        if unknown:
            raise ConfigError(
                f"{config.novel} names {unknown[0]!r}, no class of {data.root}: "
                f"{nearest(unknown[0], data.classes)}"
            )
        apart |= {"novel": novel, "base": [name for name in data.classes if name not in novel]}
    if config.shots is not None:
        train = data.splits.get("train")
        if not isinstance(train, ObjectSamples):
            raise DataError(f"{data.root} has no part train, of which examples are drawn for `shots`.")
        made, shown = example_queries(task, train, data.classes, shots=config.shots, seed=config.seed)
        if len(shown) < len(data.classes):
            lost = len(data.classes) - len(shown)
            remark(console(), f"{lost} classes have no example in train: box_ap_shown leaves them out.")
        return {"asked": made, "nms_threshold": OVERLAP, "apart": {**apart, "shown": shown}}
    if config.queries is None and task.has_vocabulary:
        own = task.own_vocabulary()
        unknown = own.missing(data.classes)
        if not unknown:
            return {"asked": own.chosen(data.classes), "apart": apart}
        if not task.can_read:
            raise DataError(
                f"{data.root} has the class {unknown[0]!r}, which the model neither knows nor can read: give "
                "`queries`, a vocabulary with embeddings."
            )
    return {"asked": queries_for(task, config.queries, data.classes), "apart": apart}


def calibrated(
    task: OpenVocabulary, known: Vocabulary, data: ObjectData, part: str, config: EvaluateConfig
) -> tuple[Vocabulary, set[str]]:
    """The vocabulary with the score of highest F1 of each name, and the names of which a part tells it."""
    from swinkit.evaluation.loop import run_metric
    from swinkit.metrics.detect import DetectionMetric
    from swinkit.metrics.thresholds import best_thresholds

    names = known.spelt(data.classes).names
    numbers = {i: names.index(name) for i, name in enumerate(data.classes) if name in names}
    if not numbers:
        raise DataError(f"{data.root} has nothing that the vocabulary names: it has {some(data.classes)}.")
    samples = ObjectSamples(one.of_class(numbers) for one in data.splits[part])
    labels = Labels.of(known.names)
    metric, _ = run_metric(task.limited(asked=known), samples, config, console=console(), labels=labels)
    assert isinstance(metric, DetectionMetric)
    found = best_thresholds(metric.answers, len(known))
    thresholds = torch.tensor([task.score_threshold if own is None else own for own in found])
    made = replace(known, thresholds=thresholds)
    return made, {name for name, own in zip(known.names, found, strict=True) if own is not None}
