"""A data set of pictures with masks of classes: which belong together, and what the masks' values mean.

Stated in YAML, in a file of its own or as `dataset.yaml` (or `config.yaml`) in the folder, paths relative to
it:

    train: {images: images/train, masks: masks/train}
    val: {images: images/val, masks: masks/val}
    classes: {0: sky, 1: building, 7: road}     # value in the masks: name; or a list, counted from 0
    ignored: [255]                              # values that count for nothing
    colours: {sky: [128, 128, 128], …}          # instead of values, for masks in colours
    mask_name: "{name}_mask.png"                # how the mask of an image is called, where names do not tell

A `dataset.yaml` beside the masks of a split says what values mean there: classes go by their names.
Folders may be left out where they are called so, or lie as in a published data set (`layouts.py`); classes
where a table of colours or such a data set tells them. Where nothing does, the values are the classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self, overload

import numpy as np
from numpy.typing import NDArray

from swinkit.config.base import read_yaml
from swinkit.data.io.images import check_header, read_labels
from swinkit.data.io.media import PICTURES, Medium
from swinkit.data.io.parallel import in_threads
from swinkit.data.io.paths import relative
from swinkit.data.segmentation.folders import Layout, find_layout, in_folders, lies_as_pairs
from swinkit.data.segmentation.label_map import LabelMap
from swinkit.data.segmentation.mask_names import Pair
from swinkit.data.segmentation.palettes import are_numbers, with_palette
from swinkit.data.segmentation.published_maps import (
    Description,
    Meaning,
    as_model,
    bare_meaning,
    ignoring,
    named_meaning,
    read_description,
)
from swinkit.data.segmentation.split_label_maps import by_name, maps_of_splits, part_meanings
from swinkit.data.splits import check_apart, held_out
from swinkit.data.tables import Row, read_table, write_table
from swinkit.errors import ConfigError, DataError, ImageError, some
from swinkit.features import IGNORED
from swinkit.labels import Labels

DESCRIPTIONS = ("dataset.yaml", "config.yaml", "data.yaml")
YAML = (".yaml", ".yml")


class Pairs(Sequence[Pair]):
    """Pairs of one part, and what their masks' values mean."""

    def __init__(self, pairs: Iterable[Pair], label_map: LabelMap) -> None:
        self._pairs, self.label_map = tuple(pairs), label_map

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, place: int) -> Pair: ...
    @overload
    def __getitem__(self, place: slice) -> Pairs: ...
    def __getitem__(self, place: int | slice) -> Pair | Pairs:
        return Pairs(self._pairs[place], self.label_map) if isinstance(place, slice) else self._pairs[place]

    def chosen(self, places: Iterable[int]) -> Pairs:
        """Those at these places."""
        return Pairs((self._pairs[place] for place in places), self.label_map)

    def counts(self, classes: int) -> NDArray[np.int64]:
        """How many pixels have each class; every mask is read, and one that cannot be counts for nothing."""
        total = np.zeros(classes, np.int64)
        for counts in in_threads(self._counts, self._pairs):
            total += counts[:classes]
        return total

    def chances(self, classes: int) -> NDArray[np.float64]:
        """Pictures hold many classes at once: ConfigError."""
        raise ConfigError("`sampling=balanced` is for data of one class a picture; see `class_weights`.")

    def groups(self) -> None:
        """All may stand in one batch."""

    def archives(self) -> list[int]:
        """None lie in tar files."""
        return []

    def _counts(self, pair: Pair) -> NDArray[np.int64]:
        try:
            return np.bincount(self.label_map.read(pair.mask).ravel(), minlength=IGNORED + 1)
        except ImageError:
            return np.zeros(IGNORED + 1, np.int64)


@dataclass(frozen=True)
class MaskData:
    """Pictures with masks: names and colours of the classes, and the pairs of each split."""

    root: Path
    labels: Labels
    splits: dict[str, Pairs]
    notes: tuple[str, ...] = ()
    medium: Medium = PICTURES
    multi: bool = False
    task: ClassVar[str] = "segment"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by id."""
        return self.labels.names

    def with_splits(self, splits: dict[str, Pairs], notes: Iterable[str]) -> Self:
        """The same with other splits."""
        return replace(self, splits=splits, notes=tuple(notes))

    def check(self, pair: Pair) -> None:
        """Read the headers of a picture and its mask; ImageError where that cannot be."""
        check_header(pair.image)
        check_header(pair.mask)

    @property
    def label_map(self) -> LabelMap:
        """What the masks' values mean, in the first split."""
        return next(iter(self.splits.values())).label_map


def holds_masks(data: str | Path) -> bool:
    """Whether a path names pictures with masks: by a description, or as folders."""
    path = Path(data)
    if path.suffix.lower() in YAML and path.is_file():
        return True
    if not path.is_dir():
        return False
    file = _description(path)
    return (file is not None and _describes(file)) or lies_as_pairs(path)


def _describes(file: Path) -> bool:
    """Whether a YAML file in a folder tells of masks, and not of something else."""
    try:
        stated = read_yaml(file)
    except ConfigError:
        return False
    parts = (stated.get(part) for part in ("train", "val", "test"))
    return bool({"classes", "mask_name"} & set(stated)) or any(
        isinstance(part, dict) and "masks" in part for part in parts
    )


def open_masks(
    data: str | Path,
    *,
    label_map: str | None = None,
    ignored: Sequence[int] = (),
    val_fraction: float = 0.2,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    split_file: Path | None = None,
) -> MaskData:
    """Find the pairs of a data set, and what their masks' values mean; see above.

    `label_map` names that of a published data set or a description, which then holds instead of what the data
    say; `ignored` are more values that count for nothing. `classes` are a model's, which then number what the
    masks hold. Where there is train but no val, `val_fraction` of train is drawn: the same pairs for the same
    seed, wherever the data lies; a `split_file` that exists decides instead. Raises ConfigError for a
    description that is wrong, DataError for folders without pairs or values that nothing explains.
    """
    path = Path(data)
    if not path.exists():
        raise DataError(f"There is no folder or file {path}; check the path.")
    file = path if path.is_file() else _description(path)
    if file is not None and file.name != DESCRIPTIONS[0] and file != path and not _describes(file):
        file = None  # of something else
    stated = Description() if file is None else read_description(file)
    root = path if path.is_dir() else path.parent
    folders = stated.folders(root)
    layout = in_folders(folders, stated.mask_name) if folders else find_layout(root, stated.mask_name)
    if layout is None:
        raise DataError(
            f"{root} has no folders images and masks; say in dataset.yaml where they are: "
            "`train: {images: FOLDER, masks: FOLDER}`."
        )
    numbers = are_numbers(layout.masks())
    meaning = (
        named_meaning(label_map, numbers=numbers) if label_map else stated.meaning(root, numbers=numbers)
    )
    by_part: dict[str, Meaning] = {}
    if meaning is None:
        ignored = (*ignored, *(value for value in stated.ignored if isinstance(value, int)))
        by_part = part_meanings(layout, root, ignored)
        meaning = None if by_part else _told_by(layout)
    maps: dict[str, LabelMap] = {}
    if by_part:
        labels, maps = by_name(by_part, classes, root, layout.notes)
        values = next(iter(maps.values()))
    elif meaning is None and classes is not None and not _are_values(classes):
        labels, values = _as_ids(classes, ignored, layout)
    else:
        meaning = ignoring(meaning, ignored) if meaning else _bare(layout, ignored)
        meaning = with_palette(*meaning, layout.masks()), meaning[1]
        labels, values = meaning if classes is None else as_model(meaning, classes, root)
    layout.parts = {part: list(dict.fromkeys(pairs)) for part, pairs in layout.parts.items()}
    by_mask = {pair.mask: maps[part] for part in maps for pair in layout.parts[part]}
    if split_file is not None and split_file.exists():
        layout.parts = _read_split(split_file, root)
    elif val_fraction > 0 and "train" in layout.parts and "val" not in layout.parts:
        pairs = layout.parts["train"]
        chosen = held_out([pair.image for pair in pairs], root, val_fraction, seed)
        layout.parts["train"] = [pair for place, pair in enumerate(pairs) if place not in chosen]
        layout.parts["val"] = [pairs[place] for place in sorted(chosen)]
    check_apart({part: (pair.image for pair in pairs) for part, pairs in layout.parts.items()}, root)
    maps = maps_of_splits(layout.parts, by_mask, values)
    splits = {part: Pairs(pairs, maps[part]) for part, pairs in layout.parts.items() if pairs}
    return MaskData(path, labels, splits, tuple(layout.notes))


def save_pairs(data: MaskData, path: Path) -> None:
    """Write which pair is in which split as CSV: the picture as path, its mask as label, split.

    `open_masks(data.root, split_file=path)` gives the same splits again.
    """
    root = data.root if data.root.is_dir() else data.root.parent
    rows = (
        Row(pair.image, (relative(pair.mask, root),), split)
        for split, pairs in data.splits.items()
        for pair in pairs
    )
    write_table(rows, path, root, multi=False)


def _read_split(file: Path, root: Path) -> dict[str, list[Pair]]:
    parts: dict[str, list[Pair]] = {}
    for row in read_table(file, root, exact=True).rows:
        parts.setdefault(row.split or "train", []).append(Pair(row.path, root / row.labels[0]))
    return parts


def _description(folder: Path) -> Path | None:
    return next((folder / name for name in DESCRIPTIONS if (folder / name).is_file()), None)


def _told_by(layout: Layout) -> Meaning | None:
    """What a table of colours, or the data set that lies so, says; with a note in the second case."""
    if layout.like is not None:
        layout.notes.append(
            f"Masks are read as those of {layout.like}; dataset.yaml or label_map may say otherwise."
        )
    return layout.meaning


def _bare(layout: Layout, ignored: Sequence[int]) -> Meaning:
    """Values that nothing describes: read off the masks of training."""
    pairs = layout.parts.get("train") or next(iter(layout.parts.values()))
    values: set[int] = set()
    for found in in_threads(_values, [pair.mask for pair in pairs]):
        if isinstance(found, ImageError):
            continue  # to be told where it is read
        values |= found
    if not values:
        raise DataError(f"No mask can be read: {_values(pairs[0].mask)}")
    left = tuple(ignored) or (IGNORED,)
    meaning = bare_meaning(sorted(values), left)
    layout.notes.append(
        f"Nothing says what the masks' values mean: each of {some(map(str, meaning[1].values), 3)} is a "
        f"class, {some(map(str, left))} counts for nothing; dataset.yaml, label_map and ignore_index say "
        "otherwise."
    )
    return meaning


def _are_values(classes: Sequence[str]) -> bool:
    """Whether a model's classes are values of masks that nothing described, some of them left out."""
    return all(name.isdecimal() for name in classes) and list(classes) != [
        str(i) for i in range(len(classes))
    ]


def _as_ids(classes: Sequence[str], ignored: Sequence[int], layout: Layout) -> Meaning:
    """Values that nothing describes, for a model: they are taken for its class ids."""
    shown = ", ".join(f"{i} {name}" for i, name in enumerate(classes[:3]))
    left = tuple(ignored) or (IGNORED,)
    layout.notes.append(
        f"Nothing says what the masks' values mean: they are taken for the model's ids, {shown} …; "
        f"{some(map(str, left))} counts for nothing. dataset.yaml or label_map say otherwise."
    )
    values = {i: i for i in range(len(classes)) if i not in left}
    return Labels.of(classes), LabelMap(len(classes), values, ignored=left)


def _values(mask: Path) -> set[int] | ImageError:
    try:
        return set(np.unique(read_labels(mask)).tolist())
    except ImageError as error:
        return error
