"""Open a data set of any kind: classes of pictures or clips, pictures with masks, boxes or captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swinkit.config.common import Masks
from swinkit.data.captions.open import CaptionData, holds_captions, open_captions, save_captions
from swinkit.data.classification.open import open_classes, save_split
from swinkit.data.classification.samples import ClassData
from swinkit.data.detection.open import holds_objects, open_objects, save_objects
from swinkit.data.detection.samples import ObjectData
from swinkit.data.io.media import medium_for
from swinkit.data.io.tar_integrity import refuse_unreadable
from swinkit.data.segmentation.open import MaskData, holds_masks, open_masks, save_pairs
from swinkit.data.stored_splits import find_split
from swinkit.errors import ConfigError, DataError, check_local

Data = ClassData | MaskData | ObjectData | CaptionData


def open_data(data: str | Path, **options: Any) -> Data:
    """List a data set as `open_to_check` does; DataError if nothing of one of its tar files can be used."""
    opened = open_to_check(data, **options)
    refuse_unreadable(getattr(opened, "damaged", ()))
    return opened


def open_to_check(
    data: str | Path,
    *,
    task: str | None = None,
    masks: Masks | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    split_file: Path | None = None,
    min_classes: int = 2,
) -> Data:
    """List a data set for a task; None: for that which its files tell.

    `data` may be a split that `swin data split` has stored. A `split_file` that exists wins over it.

    `masks` says what values of masks mean; ConfigError where there are none. The others are those of
    `open_classes` and `open_masks`.
    """
    check_local(data, DataError)
    masks = masks or Masks()
    stored = find_split(data)
    if stored is not None:
        data = stored.source
        if split_file is None or not split_file.exists():
            split_file = stored.table
    if task is None:
        task = task_told(data)
    if task == "segment":
        return open_masks(
            data,
            label_map=masks.label_map,
            ignored=masks.ignore_index,
            val_fraction=val_fraction,
            seed=seed,
            classes=classes,
            split_file=split_file,
        )
    if masks.label_map is not None or masks.ignore_index:
        raise ConfigError(f"`label_map` and `ignore_index` are for masks, and {data} has none.")
    if task in ("detect", "open_vocabulary"):
        return open_objects(
            data, val_fraction=val_fraction, seed=seed, classes=classes, split_file=split_file
        )
    if task == "contrastive":
        return open_captions(data, val_fraction=val_fraction, seed=seed, split_file=split_file)
    return open_classes(
        data,
        val_fraction=val_fraction,
        seed=seed,
        classes=classes,
        split_file=split_file,
        min_classes=min_classes,
        medium=medium_for(task),
    )


def task_told(data: str | Path) -> str | None:
    """The task that files tell; None: they have classes."""
    tellers = {"detect": holds_objects, "segment": holds_masks, "contrastive": holds_captions}
    return next((task for task, holds in tellers.items() if holds(data)), None)


def save_splits(data: Data, path: Path) -> None:
    """Write which file is in which split, for `split_file`; DataError where it cannot be written."""
    if isinstance(data, MaskData):
        save_pairs(data, path)
    elif isinstance(data, ObjectData):
        save_objects(data, path)
    elif isinstance(data, CaptionData):
        save_captions(data, path)
    else:
        save_split(data, path)
