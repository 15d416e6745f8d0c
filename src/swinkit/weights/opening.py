"""Open a weights file of any kind: what it holds, and everything known about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swinkit.config.base import stored
from swinkit.config.preprocessing import Preprocessing
from swinkit.core.config import SwinConfig
from swinkit.data.names import labels_named
from swinkit.errors import ConfigError, WeightsError
from swinkit.labels import Labels
from swinkit.towers.vit import ViTConfig
from swinkit.weights.beside import read_beside
from swinkit.weights.companions import (
    check_settings,
    class_colours,
    class_labels,
    preprocessing,
    stated_architecture,
)
from swinkit.weights.containers import Checkpoint, read_checkpoint
from swinkit.weights.convert import check_numbers, convert, normed_stages
from swinkit.weights.dense_heads import HEADS, infer_heads, our_names, split_heads, stated_branches
from swinkit.weights.infer import infer_config
from swinkit.weights.owl import OWL_HEADS, is_owl, owl_config, owl_names, owl_preprocessing
from swinkit.weights.store import FORMAT, HEADER, HEADER_KEY
from swinkit.weights.timm_config import pretrained_cfg


@dataclass(frozen=True)
class Opened:
    """Tensors under Microsoft's names, and the model that they make.

    `dense` are those of dense heads. `others` belong to none of these; `other_head` says what model they make
    of it, if known. `numbered` marks classes that have no names; `labels` is None without a classifier.
    `normed` are the stages whose map has its own norm.
    """

    source: str
    dialect: str
    task: str
    config: SwinConfig | ViTConfig
    tensors: dict[str, Tensor]
    labels: Labels | None
    numbered: bool = False
    normed: tuple[int, ...] = ()
    dense: dict[str, Tensor] = field(default_factory=dict)
    others: dict[str, Tensor] = field(default_factory=dict)
    other_head: str | None = None
    preprocessing: Preprocessing | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    lineage: tuple[dict[str, Any], ...] = ()
    licence: str = ""
    converted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def open_weights(path: Path, *, window: Any = None, img_size: Any = None) -> Opened:
    """Open a file or a Hugging Face folder; WeightsError where it is unreadable or no Swin.

    `window` and `img_size` tell those of a foreign file where its tensors leave a choice.
    """
    checkpoint = read_checkpoint(path)
    if HEADER_KEY in checkpoint.metadata:
        return _open_ours(checkpoint)
    return _open_foreign(checkpoint, window, img_size)


def _open_ours(checkpoint: Checkpoint) -> Opened:
    source = checkpoint.source
    header = _read_header(checkpoint)
    check_numbers(checkpoint.tensors, source)
    dense, tensors = split_heads(
        checkpoint.tensors, OWL_HEADS if header["task"] in ("open_vocabulary", "contrastive") else HEADS
    )
    try:
        return Opened(
            source,
            "swinkit",
            str(header["task"]),
            (ViTConfig if header["config"].get("kind") == "vit" else SwinConfig).from_dict(header["config"]),
            tensors,
            Labels.from_list(header["labels"]),
            normed=normed_stages(tensors),
            dense=dense,
            preprocessing=stored(Preprocessing, header["preprocessing"]),
            settings=dict(header["settings"]),
            lineage=tuple(header["lineage"]),
            licence=str(header["licence"]),
        )
    except ConfigError as error:
        raise WeightsError(f"{source} has a damaged header: {error}") from error
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{source} has a damaged header: it is not as swinkit writes it.") from error


def _read_header(checkpoint: Checkpoint) -> dict[str, Any]:
    """The metadata of our own file, with all keys; WeightsError where it is damaged or newer."""
    source = checkpoint.source
    try:
        header: dict[str, Any] = dict(json.loads(checkpoint.metadata[HEADER_KEY]))
        newer = int(header.get("format", FORMAT)) > FORMAT
    except (TypeError, ValueError, RecursionError) as error:
        raise WeightsError(f"{source} has a damaged header: its metadata is no JSON.") from error
    if newer:
        raise WeightsError(f"{source} was written by a newer swinkit: update with `pip install -U swinkit`.")
    for key in ("format", *HEADER):
        if key not in header:
            raise WeightsError(f"{source} has a damaged header: {key!r} is missing from its metadata.")
    return header


def _open_owl(checkpoint: Checkpoint) -> Opened:
    ours, left = owl_names(checkpoint.tensors)
    config, settings = owl_config(ours, checkpoint)
    check_numbers(ours, checkpoint.source)
    dense, tensors = split_heads(ours, OWL_HEADS)
    try:
        prepared = owl_preprocessing(config, second=settings["objectness"], told=checkpoint.processor)
    except ConfigError as error:
        raise WeightsError(f"The preprocessing in {checkpoint.source} is not understood: {error}") from error
    return Opened(
        checkpoint.source,
        "huggingface",
        "open_vocabulary",
        config,
        tensors,
        Labels.of([]),
        dense=dense | {"vocabulary": torch.zeros(0, settings["dim"])},
        settings=settings,
        preprocessing=prepared,
        lineage=({"file": checkpoint.source, "dialect": "huggingface"},),
        licence="Apache-2.0",
        dropped=left,
    )


def _options(checkpoint: Checkpoint) -> dict[str, Any]:
    """Options of a classifier that config.json states: whether an image may have several classes."""
    several = checkpoint.config.get("problem_type") == "multi_label_classification"
    return {"multi_label": True} if several else {}


def _open_foreign(checkpoint: Checkpoint, window: Any, img_size: Any) -> Opened:
    if is_owl(checkpoint.tensors):
        return _open_owl(checkpoint)
    given = convert(checkpoint)
    config = infer_config(given, window, img_size, stated_architecture(checkpoint.config))
    check_settings(checkpoint, config)
    theirs, others = split_heads(given.others)
    heads = our_names(theirs)
    found = infer_heads(heads) if given.normed else None
    if found is not None:
        check_numbers(heads, checkpoint.source)
    task = found.task if found else "video" if config.rank == 3 else "classify"
    beside = read_beside(checkpoint.metadata, checkpoint.source)
    settings, classes = (found.settings, found.classes) if found else (_options(checkpoint), given.classes)
    settings |= beside.settings if beside and not found else {}
    settings |= stated_branches(
        settings.get("head"), (beside.settings if beside else {}) or checkpoint.config
    )
    names = class_labels(checkpoint.config, classes)
    labels = None if classes is None else labels_named(names or list(map(str, range(classes))))
    if labels is not None and names is not None:
        labels = replace(labels, colours=class_colours(checkpoint.config, len(names)) or labels.colours)
    if beside and beside.labels and (names is None or tuple(names) == beside.labels.names):
        same = labels is not None and len(labels) == len(beside.labels)
        labels, names = (beside.labels, list(beside.labels.names)) if same else (labels, names)
    numbered = names is None or (labels is not None and labels.numbered)
    lineage = {"file": checkpoint.source, "dialect": given.dialect.name}
    timm_licence = (pretrained_cfg(checkpoint.config) or {}).get("license", "")
    return Opened(
        checkpoint.source,
        given.dialect.name,
        task,
        config,
        given.tensors,
        labels,
        numbered=numbered,
        normed=given.normed,
        dense=heads if found else {},
        others=others if found else given.others,
        other_head=None if found else given.other_head(),
        settings=settings,
        preprocessing=preprocessing(checkpoint, config, given.dialect.name, task, beside),
        lineage=(*(beside.lineage if beside else ()), lineage),
        licence=beside.licence if beside else str(timm_licence),
        converted=given.converted,
        dropped=given.dropped,
    )
