"""A data set of pictures with masks of classes: which belong together, and what the masks' values mean.

Stated in YAML, in a file of its own or as `dataset.yaml` (or `config.yaml`) in the folder, paths relative to
it:

    train: {images: images/train, masks: masks/train}
    val: {images: images/val, masks: masks/val}
    classes: {0: sky, 1: building, 7: road}     # value in the masks: name; or a list, counted from 0
    ignored: [255]                              # values that count for nothing
    colours: {sky: [128, 128, 128], …}          # instead of values, for masks in colours

`train` and `val` may be left out where the folders are called so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from swinkit.data.finding import naturally, pictures_among, walk_files
from swinkit.data.masks import LabelMap
from swinkit.data.samples import draw_key, some
from swinkit.data.tables import SPLIT_NAMES
from swinkit.errors import DataError, nearest
from swinkit.labels import Colour, Labels
from swinkit.settings import read_yaml

DESCRIPTIONS = ("dataset.yaml", "config.yaml", "data.yaml")
_IMAGES = ("images", "image", "img", "imgs", "JPEGImages")
_MASKS = ("masks", "mask", "annotations", "labels", "SegmentationClass")
_KEYS = ("train", "val", "test", "classes", "ignored", "colours")


class Pair(NamedTuple):
    """A picture and its mask."""

    image: Path
    mask: Path


@dataclass(frozen=True)
class MaskData:
    """Pictures with masks: names and colours of the classes, and what the masks' values mean."""

    root: Path
    labels: Labels
    label_map: LabelMap
    splits: dict[str, tuple[Pair, ...]]
    notes: tuple[str, ...] = ()


def open_masks(data: str | Path, *, val_fraction: float = 0.2, seed: int = 0) -> MaskData:
    """Find the pairs of a data set, by its description; see above.

    Where there is train but no val, `val_fraction` of train is drawn: the same pairs for the same seed,
    wherever the data lies. Raises DataError for a description that is missing or wrong, and for folders
    without pairs.
    """
    path = Path(data)
    file = path if path.is_file() else _description(path)
    stated = read_yaml(file)
    unknown = [key for key in stated if key not in _KEYS]
    if unknown:
        raise DataError(f"{file} has the key {unknown[0]!r}: {nearest(unknown[0], _KEYS)}")
    labels, label_map = _classes(stated, file)
    notes: list[str] = []
    splits = {
        part: _pairs(images, masks, notes) for part, (images, masks) in _folders(stated, file, labels).items()
    }
    if val_fraction > 0 and "train" in splits and "val" not in splits:
        splits["train"], splits["val"] = _drawn(splits["train"], file.parent, val_fraction, seed)
    return MaskData(file.parent, labels, label_map, splits, tuple(notes))


def _description(folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(f"There is no folder or file {folder}; check the path.")
    for name in DESCRIPTIONS:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"{folder} does not say what the values of its masks mean: write {DESCRIPTIONS[0]} with "
        "`classes: {0: sky, 1: building}` and `ignored: [255]` into it."
    )


def _classes(stated: Mapping[str, Any], file: Path) -> tuple[Labels, LabelMap]:
    """Names and colours of the classes, and the map of values to them, in the order of the description."""
    given, ignored = stated.get("classes"), stated.get("ignored", [])
    if isinstance(given, list):
        given = dict(enumerate(given))
    whole = isinstance(given, dict) and given and all(type(value) is int and value >= 0 for value in given)
    if not isinstance(given, dict) or not whole or not isinstance(ignored, list):
        raise DataError(
            f"{file} needs classes, values and names such as {{0: sky, 1: road}}, and ignored, a list of "
            "values."
        )
    odd = [name for name in given.values() if not isinstance(name, str | int) or isinstance(name, bool)]
    if odd:  # YAML takes a bare no, off or null for something else
        raise DataError(f"{file} has the class {odd[0]!r}, which is no name; write it in quotes.")
    kept = {value: str(name) for value, name in given.items() if value not in ignored}
    labels = Labels.of(kept.values())
    colours = stated.get("colours")
    if colours is None:
        return labels, LabelMap.listed(list(kept), ignored=ignored)
    return _coloured(labels, colours, ignored, file)


def _coloured(labels: Labels, stated: Any, ignored: list[Any], file: Path) -> tuple[Labels, LabelMap]:
    """The same for masks in colours: each class has one, and is drawn in it; `ignored` may be colours."""
    if not isinstance(stated, dict) or set(stated) != set(labels.names):
        raise DataError(f"{file} needs a colour for each class, such as {{sky: [128, 128, 128]}}.")
    table = tuple(_colour(stated[name], file) for name in labels.names)
    nothing = tuple(_colour(value, file) for value in ignored if isinstance(value, list))
    named = Labels(labels.names, table)
    places = {colour: i for i, colour in enumerate(table)}
    if len(places) < len(table):
        raise DataError(f"{file} gives two classes the same colour; give each its own.")
    return named, LabelMap(len(named), colours=places, ignored=nothing)


def _colour(value: Any, file: Path) -> Colour:
    if isinstance(value, list) and len(value) == 3 and all(type(v) is int and 0 <= v <= 255 for v in value):
        return value[0], value[1], value[2]
    raise DataError(f"{file} has {value!r} where a colour stands: give red, green, blue, 0 to 255.")


def _folders(stated: Mapping[str, Any], file: Path, labels: Labels) -> dict[str, tuple[Path, Path]]:
    """The folders of pictures and masks of each part."""
    root = file.parent
    found: dict[str, tuple[Path, Path]] = {}
    for part in ("train", "val", "test"):
        if part not in stated:
            continue
        given = stated[part]
        whole = isinstance(given, dict) and all(isinstance(folder, str) for folder in given.values())
        if not whole or set(given) != {"images", "masks"}:
            raise DataError(f"{file} needs `{part}: {{images: FOLDER, masks: FOLDER}}`.")
        found[part] = root / given["images"], root / given["masks"]
    if found:
        return found
    images, masks = (_first(root, names) for names in (_IMAGES, _MASKS))
    if images is None or masks is None:
        found = {
            SPLIT_NAMES[part.name.lower()]: (own, other)
            for part in _subfolders(root)
            if part.name.lower() in SPLIT_NAMES
            and (own := _first(part, _IMAGES)) is not None
            and (other := _first(part, _MASKS)) is not None
        }
        if not found:
            raise DataError(f"{root} has no folders images and masks; name them in {file.name}.")
        return found
    parts = [part for part in _subfolders(images) if part.name.lower() in SPLIT_NAMES]
    if not parts:
        return {"train": (images, masks)}
    return {SPLIT_NAMES[part.name.lower()]: (part, masks / part.name) for part in parts}


def _first(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir())


def _pairs(images: Path, masks: Path, notes: list[str]) -> tuple[Pair, ...]:
    """Pictures and masks of the same name, but for the suffix and an ending such as `_mask`."""
    for folder in (images, masks):
        if not folder.is_dir():
            raise DataError(f"There is no folder {folder}; check the path.")
    pictures = naturally(pictures_among(walk_files(images)))
    by_name = {_name(path, masks): path for path in pictures_among(walk_files(masks))}
    shortened = {name.rpartition("_")[0]: path for name, path in by_name.items()}
    pairs, alone = [], []
    for picture in pictures:
        name = _name(picture, images)
        mask = by_name.get(name) or shortened.get(name)
        if mask is None:
            alone.append(picture.name)
        else:
            pairs.append(Pair(picture, mask))
    if not pairs:
        raise DataError(f"No picture in {images} has a mask of its name in {masks}; check both.")
    if alone:
        notes.append(
            f"{len(alone)} of {len(pictures)} pictures in {images} have no mask and were left out: "
            f"{some(alone, 3)}."
        )
    return tuple(pairs)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def _drawn(
    pairs: tuple[Pair, ...], root: Path, fraction: float, seed: int
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Those that stay, and those for validation: the ones with the smallest hashes of their names."""
    count = min(max(1, round(len(pairs) * fraction)), len(pairs) - 1)

    chosen = set(sorted(pairs, key=lambda pair: draw_key(pair.image, root, seed))[:count])
    return tuple(p for p in pairs if p not in chosen), tuple(p for p in pairs if p in chosen)
