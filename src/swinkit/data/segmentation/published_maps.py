"""What the values of masks mean: as a description says, as published data sets have it, as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from swinkit.config.base import Settings, read_yaml
from swinkit.data.io.path_matching import FileLocator
from swinkit.data.names import class_names
from swinkit.data.segmentation.label_map import LabelMap
from swinkit.data.segmentation.mask_names import NAME
from swinkit.errors import ConfigError, DataError, check_local, nearest, some
from swinkit.labels import Colour, Labels, matching_classes
from swinkit.text_files import composed

Meaning = tuple[Labels, LabelMap]


def _folders(given: Any) -> Any:
    whole = isinstance(given, dict) and all(isinstance(folder, str) for folder in given.values())
    if not whole or set(given) != {"images", "masks"}:
        raise ValueError("give {images: FOLDER, masks: FOLDER}")
    return given


def _classes(given: Any) -> Any:
    if isinstance(given, list):
        given = dict(enumerate(given))
    whole = isinstance(given, dict) and given and all(type(value) is int and value >= 0 for value in given)
    if not isinstance(given, dict) or not whole:
        raise ValueError("give values and names, such as {0: sky, 1: road}, or a list of names")
    odd = [name for name in given.values() if not isinstance(name, str | int) or isinstance(name, bool)]
    if odd:  # YAML takes a bare no, off or null for something else
        raise ValueError(f"write names in quotes: YAML reads one as {odd[0]!r}")
    return {value: composed(str(name)) for value, name in given.items()}


def _colour(given: Any) -> Any:
    if isinstance(given, list) and len(given) == 3 and all(type(v) is int and 0 <= v <= 255 for v in given):
        return tuple(given)
    raise ValueError("give red, green, blue, 0 to 255")


def _ignored(given: Any) -> Any:
    if not isinstance(given, list):
        raise ValueError("give a list of values, or of colours")
    return tuple(_colour(value) if type(value) is not int or value < 0 else value for value in given)


def _pattern(given: Any) -> Any:
    if isinstance(given, str) and given.count(NAME) == 1 and not set("{}/\\") & set(given.replace(NAME, "")):
        return composed(given)
    raise ValueError(f'give a file name with {NAME} in it, such as "{NAME}_mask.png"')


# SegNet's order and colours
_CAMVID: dict[str, Colour] = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
_VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)
# cityscapesScripts, helpers/labels.py: id, colour
_CITYSCAPES: dict[str, tuple[int, Colour]] = {
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
# ids of COCO's things and stuff, 1 to 182, that no class has
_NOT_IN_COCO = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)


Folders = Annotated[dict[str, str], BeforeValidator(_folders)]
RGB = Annotated[tuple[int, int, int], BeforeValidator(_colour)]


class Description(Settings):
    """A description of pictures with masks, as `pairs.py` shows it."""

    train: Folders | None = None
    val: Folders | None = None
    test: Folders | None = None
    classes: Annotated[dict[int, str], BeforeValidator(_classes)] | None = None
    ignored: Annotated[tuple[int | Colour, ...], BeforeValidator(_ignored)] = ()
    colours: dict[str, RGB] | None = None
    mask_name: Annotated[str, BeforeValidator(_pattern)] | None = None

    def folders(self, root: Path) -> dict[str, tuple[Path, Path]]:
        """The folders of pictures and masks of each part that is named."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        locator = FileLocator()
        folders: dict[str, tuple[Path, Path]] = {}
        for part, stated in parts.items():
            if stated:
                images, masks = (stated[kind] for kind in ("images", "masks"))
                for folder in (images, masks):
                    check_local(folder, ConfigError, f"{root}, {part}")
                located = locator.find(root, images), locator.find(root, masks)
                folders[part] = (located[0] or root / images, located[1] or root / masks)
        return folders

    def meaning(self, file: Path, *, numbers: bool = False) -> Meaning | None:
        """Names of the classes and the map of values to them, in its order; None where it has none.

        Where the masks hold `numbers`, colours are only drawn.
        """
        classes = self.classes if self.colours is None else self.classes or dict(enumerate(self.colours))
        if classes is None:
            return None
        kept = {value: name for value, name in classes.items() if value not in self.ignored}
        if not kept:
            raise DataError(f"{file} names no class that is not ignored.")
        labels = Labels.of(kept.values())
        ignored_numbers = [value for value in self.ignored if isinstance(value, int)]
        if self.colours is None:
            return labels, LabelMap.listed(list(kept), ignored=ignored_numbers)
        if set(self.colours) != set(labels.names):
            raise DataError(f"{file} needs a colour for each class, such as {{sky: [128, 128, 128]}}.")
        colours = {name: self.colours[name] for name in labels.names}
        if numbers and self.classes is not None:
            labels, _ = in_colours(colours, (), file)
            return labels, LabelMap.listed(list(kept), ignored=ignored_numbers)
        ignored = tuple(value for value in self.ignored if not isinstance(value, int))
        if ignored_numbers:
            raise DataError(f"{file} ignores numbers, but its masks are in colours: give colours.")
        return in_colours(colours, ignored, file)


def read_description(file: Path) -> Description:
    """A description in YAML; ConfigError where it is wrong."""
    try:
        return Description.checked(read_yaml(file))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def in_colours(colours: dict[str, Colour], ignored: Iterable[Colour], file: Path) -> Meaning:
    """Classes that masks tell by colour, and are drawn in; DataError where two have the same."""
    places = {colour: i for i, colour in enumerate(colours.values())}
    if len(places) < len(colours):
        raise DataError(f"{file} gives two classes the same colour; give each its own.")
    labels = Labels(tuple(colours), tuple(colours.values()))
    return labels, LabelMap(len(labels), colours=places, ignored=tuple(ignored))


def _ade20k() -> Meaning:
    """0 is what no class holds; 1 to 150 are the classes."""
    return _numbered(class_names("ade20k"), range(1, 151), ignored=(0, 255))


def _cityscapes() -> Meaning:
    """labelIds; what is not among the 19 classes of the benchmark counts for nothing."""
    ids = [own for own, _ in _CITYSCAPES.values()]
    return _coloured(LabelMap.listed(ids, ignored=tuple(i for i in (*range(34), 255) if i not in ids)))


def _coloured(label_map: LabelMap) -> Meaning:
    return Labels(tuple(_CITYSCAPES), tuple(colour for _, colour in _CITYSCAPES.values())), label_map


def _coco_stuff() -> Meaning:
    """Things and stuff by COCO's ids less one, as in the PNGs of the 164k release."""
    ids = [i - 1 for i in range(1, 183) if i not in _NOT_IN_COCO]
    return _numbered(class_names("coco-stuff"), ids, ignored=(255,))


def voc_colours(count: int) -> tuple[Colour, ...]:
    """Pascal VOC's colours: the bits of the number over red, green and blue (its `VOClabelcolormap`)."""

    def channel(number: int, first: int) -> int:
        return sum((number >> 3 * bit + first & 1) << 7 - bit for bit in range(3))

    return tuple((channel(i, 0), channel(i, 1), channel(i, 2)) for i in range(count))


def _numbered(names: Sequence[str], values: Iterable[int], ignored: tuple[int, ...]) -> Meaning:
    return Labels.of(names), LabelMap.listed(list(values), ignored=ignored)


PUBLISHED: dict[str, Callable[[], Meaning]] = {
    "ade20k": _ade20k,
    "cityscapes": _cityscapes,
    "cityscapes-train-ids": lambda: _coloured(LabelMap.plain(len(_CITYSCAPES))),
    "coco-stuff": _coco_stuff,
    "coco-stuff-train-ids": lambda: _numbered(class_names("coco-stuff"), range(171), (255,)),
    "voc": lambda: (Labels(_VOC, voc_colours(len(_VOC))), LabelMap.plain(len(_VOC))),
    "camvid": lambda: (
        Labels(tuple(_CAMVID), tuple(_CAMVID.values())),
        LabelMap.plain(len(_CAMVID), ignored=(len(_CAMVID), 255)),
    ),
}


def named_meaning(name: str, *, numbers: bool = False) -> Meaning:
    """That of a published data set, or of a description in YAML; ConfigError for neither.

    `numbers` as for `Description.meaning`.
    """
    if name in PUBLISHED:
        return PUBLISHED[name]()
    check_local(name, ConfigError, "label_map")
    file = Path(name)
    if not file.is_file():
        raise ConfigError(
            f"`label_map={name!r}` is neither a description in YAML nor a known one: "
            f"{nearest(name, PUBLISHED)}"
        )
    meaning = read_description(file).meaning(file, numbers=numbers)
    if meaning is None:
        raise ConfigError(f"{file} names no classes: write `classes: {{0: sky, 1: road}}` into it.")
    return meaning


def bare_meaning(values: Iterable[int], ignored: Sequence[int]) -> Meaning:
    """Numbers that nothing describes, called by themselves: class ids are the values, without gaps."""
    known = [value for value in values if value not in ignored]
    if not known:
        raise DataError(f"The masks hold nothing but ignored values: {some(map(str, ignored))}.")
    if max(known) >= 255:
        raise DataError(
            f"The masks hold the value {max(known)}, so it is no class id: say what values mean in "
            "dataset.yaml, `classes: {0: sky, 300: road}`."
        )
    if len(known) == 1:
        raise DataError(
            f"The masks hold nothing but {known[0]} and ignored values ({some(map(str, ignored))}): say what "
            "values mean in dataset.yaml, `classes: {0: background, 255: object}`."
        )
    count = max(known) + 1
    inside = tuple(value for value in ignored if value < count)
    if inside:
        kept = [value for value in range(count) if value not in inside]
        return Labels.of(map(str, kept)), LabelMap.listed(kept, ignored=tuple(ignored))
    return Labels.of(map(str, range(count))), LabelMap.plain(count, ignored=tuple(ignored))


def ignoring(meaning: Meaning, values: Sequence[int]) -> Meaning:
    """The same where these values count for nothing; classes that had them are gone."""
    labels, label_map = meaning
    if not values:
        return meaning
    if label_map.colours:
        raise ConfigError(
            "`ignore_index` is for masks of numbers, and these are in colours: see dataset.yaml."
        )
    kept = {value: label for value, label in label_map.values.items() if value not in values}
    order = sorted(set(kept.values()))
    places = {label: i for i, label in enumerate(order)}
    ignored = tuple(dict.fromkeys((*label_map.ignored, *values)))
    chosen = Labels(tuple(labels.names[i] for i in order), tuple(labels.colours[i] for i in order))
    return chosen, LabelMap(len(order), {value: places[label] for value, label in kept.items()}, {}, ignored)


def as_model(meaning: Meaning, classes: Sequence[str], root: Path) -> Meaning:
    """The same with a model's class ids, by their names; DataError where it does not know one of them."""
    labels, label_map = meaning
    meant = matching_classes(labels.names, classes)
    unknown = [name for name in labels.names if name not in meant]
    if unknown:
        raise DataError(
            f"{root} has classes that the model does not know: {some(unknown, beside=classes)}; it knows "
            f"{some(classes, beside=unknown)}. See `label_map` and `ignore_index`."
        )
    places = {i: list(classes).index(meant[name]) for i, name in enumerate(labels.names)}
    changed: dict[str, Any] = {
        key: {value: places[label] for value, label in table.items()}
        for key, table in (("values", label_map.values), ("colours", label_map.colours))
    }
    return Labels.of(classes), replace(label_map, classes=len(classes), **changed)
