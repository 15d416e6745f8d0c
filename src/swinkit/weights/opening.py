"""Open a weights file of any kind: what it holds, and everything known about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from swinkit.config import Preprocessing
from swinkit.core.config import SwinConfig
from swinkit.errors import WeightsError
from swinkit.labels import Labels
from swinkit.weights.containers import Checkpoint, read_checkpoint
from swinkit.weights.convert import convert, infer_config
from swinkit.weights.store import FORMAT, HEADER, HEADER_KEY


@dataclass(frozen=True)
class Opened:
    """Tensors under Microsoft's names, and the model that they make.

    `others` belong to neither backbone nor classifier; `other_head` says what model they make of it, if
    known. `numbered` marks classes that have no names; `labels` is None without a classifier.
    """

    source: str
    dialect: str
    task: str
    config: SwinConfig
    tensors: dict[str, Tensor]
    labels: Labels | None
    numbered: bool = False
    dense: bool = False
    others: dict[str, Tensor] = field(default_factory=dict)
    other_head: str | None = None
    preprocessing: Preprocessing | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    lineage: tuple[dict[str, Any], ...] = ()
    licence: str = ""
    converted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def open_weights(path: Path) -> Opened:
    """Open a file or a Hugging Face folder; WeightsError where it is unreadable or no Swin."""
    checkpoint = read_checkpoint(path)
    return _open_ours(checkpoint) if HEADER_KEY in checkpoint.metadata else _open_foreign(checkpoint)


def _open_ours(checkpoint: Checkpoint) -> Opened:
    source = checkpoint.source
    try:
        header: dict[str, Any] = json.loads(checkpoint.metadata[HEADER_KEY])
        absent = [key for key in ("format", *HEADER) if key not in header]
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{source} has a damaged header: its metadata is no JSON.") from error
    if absent:
        raise WeightsError(f"{source} has a damaged header: {absent[0]!r} is missing from its metadata.")
    if header["format"] > FORMAT:
        raise WeightsError(f"{source} was written by a newer swinkit: update with `pip install -U swinkit`.")
    return Opened(
        source,
        "swinkit",
        header["task"],
        SwinConfig.from_dict(header["config"]),
        checkpoint.tensors,
        Labels.from_list(header["labels"]),
        preprocessing=Preprocessing.checked(header["preprocessing"]),
        settings=header["settings"],
        lineage=tuple(header["lineage"]),
        licence=header["licence"],
    )


def _open_foreign(checkpoint: Checkpoint) -> Opened:
    given = convert(checkpoint)
    config = infer_config(given)
    names = _names(checkpoint.config, given.classes)
    lineage = {"file": checkpoint.source, "dialect": given.dialect.name}
    return Opened(
        checkpoint.source,
        given.dialect.name,
        "video" if config.rank == 3 else "classify",
        config,
        given.tensors,
        None if given.classes is None else Labels.of(names or map(str, range(given.classes))),
        numbered=names is None,
        dense=given.dense,
        others=given.others,
        other_head=given.other_head(),
        lineage=(lineage,),
        converted=given.converted,
        dropped=given.dropped,
    )


def _names(config: Mapping[str, Any], classes: int | None) -> list[str] | None:
    """Class names of a Hugging Face config.json, where it has one for each class and no two are alike."""
    found = config.get("id2label")
    if not isinstance(found, dict) or len(found) != classes:
        return None
    names = [str(found.get(str(i), "")) for i in range(len(found))]
    generic = [f"LABEL_{i}" for i in range(len(found))]
    return names if names != generic and len(set(names)) == len(names) and all(names) else None
