"""Open a data set of pictures with boxes, in whatever form it lies on disk."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from swinkit.data.detection.coco import find_coco, read_coco
from swinkit.data.detection.csv_boxes import holds_boxes, read_box_table
from swinkit.data.detection.layout import Layout
from swinkit.data.detection.samples import NO_CLASS, Annotated, ObjectData, ObjectSamples
from swinkit.data.detection.voc import find_voc, read_voc, voc_home
from swinkit.data.detection.yolo import describes_yolo, description_in, lies_as_yolo, read_yolo
from swinkit.data.io.paths import relative
from swinkit.data.splits import check_apart, held_out
from swinkit.data.tables import check_columns, csv_lines
from swinkit.errors import DataError, check_local, some
from swinkit.files import write_text
from swinkit.labels import Labels, matching_classes

YAML = (".yaml", ".yml")
FORMS = "COCO's JSON, YOLO's folders, Pascal VOC's XML, or a CSV with path, label, xmin, ymin, xmax, ymax"


def reader_for(data: Path) -> Callable[[], Layout] | None:
    """What reads a folder or file of pictures with boxes; None where it is none."""
    if data.is_file():
        if data.suffix.lower() in YAML:
            return (lambda: read_yolo(data)) if describes_yolo(data) else None
        if data.suffix.lower() == ".csv":
            return (lambda: read_box_table(data)) if holds_boxes(data) else None
    if not data.exists():
        return None
    coco = find_coco(data)
    if coco:
        return lambda: read_coco(coco, data)
    if not data.is_dir():
        return None
    if description_in(data) is not None or lies_as_yolo(data):
        return lambda: read_yolo(data)
    if _lies_as_voc(data):
        return lambda: read_voc(data)
    tables = sorted(path for path in data.glob("*.csv") if holds_boxes(path))
    return (lambda: read_box_table(tables[0])) if len(tables) == 1 else None


def holds_objects(data: str | Path) -> bool:
    """Whether a path names pictures with boxes."""
    return reader_for(Path(data)) is not None


def _lies_as_voc(root: Path) -> bool:
    """Whether there are annotations in XML; with masks and lists of these alone it is VOC's segmentation."""
    home = voc_home(root)
    if home is not None:
        lists = home / "ImageSets"
        return (lists / "Main").is_dir() or not (lists / "Segmentation").is_dir()
    return bool(find_voc(root))


def open_objects(
    data: str | Path,
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    split_file: Path | None = None,
) -> ObjectData:
    """List the pictures of a data set and what is in them; `FORMS` says how it may lie.

    Where there is train but no val, `val_fraction` of train is drawn: the same pictures for the same seed,
    wherever the data lies; a `split_file` that exists decides instead. `classes` are a model's, which then
    number the objects. Raises DataError for data that cannot be used as they are.
    """
    root = Path(data)
    check_local(root, DataError)
    if not root.exists():
        raise DataError(f"There is no folder or file {root}; check the path.")
    read = reader_for(root)
    if read is None:
        raise DataError(f"{root} holds no pictures with boxes; give {FORMS}.")
    layout = read()
    layout.drop_unusable()
    notes = layout.notes()
    if not any(layout.parts.values()) and layout.unusable:
        raise DataError(f"{root} has no picture whose objects can be used. {notes[-1]}")
    if not any(layout.parts.values()):
        raise DataError(f"{root} has no picture of those it names: {layout.absent()}.")
    labels = _labels(layout, root)
    numbers = {own: i for i, own in enumerate(labels.categories)}
    if classes is not None:
        labels, numbers = _of_model(labels, numbers, classes, layout, root)
    home = root if root.is_dir() else root.parent
    if split_file is not None and split_file.exists():
        layout.parts = _by_file(layout.parts, split_file, home)
    elif val_fraction > 0 and "train" in layout.parts and "val" not in layout.parts:
        own = layout.parts["train"]
        chosen = held_out([one.image for one in own], home, val_fraction, seed)
        layout.parts["train"] = [one for place, one in enumerate(own) if place not in chosen]
        layout.parts["val"] = [own[place] for place in sorted(chosen)]
    check_apart({part: (one.image for one in own) for part, own in layout.parts.items()}, root)
    splits = {
        part: ObjectSamples(one.of_class(numbers) for one in layout.parts[part])
        for part in ("train", "val", "test")
        if layout.parts.get(part)
    }
    empty = sum(not len(one.boxes) for own in layout.parts.values() for one in own)
    if empty:
        notes.append(f"{empty} pictures have no objects: they teach, and are judged, what is not there.")
    common = {number: layout.frequency[own] for own, number in numbers.items() if own in layout.frequency}
    frequency = tuple(common.get(number, "") for number in range(len(labels))) if common else ()
    found = ObjectData(
        root, labels, splits, (), tuple(layout.faults), tuple(layout.missing), frequency=frequency
    )
    if found.bare and any(own.any_shapes for own in splits.values()):
        notes.append(f"{found.bare}: masks are neither learnt nor measured where they are.")
    return found.with_splits(splits, notes)


def _labels(layout: Layout, root: Path) -> Labels:
    """The classes in the order of their ids, which travel with them."""
    if not layout.names:
        raise DataError(f"{root} names no class: no picture has an object.")
    ordered = sorted(layout.names)
    return Labels.of([layout.names[own] for own in ordered], ordered)


def _of_model(
    labels: Labels, numbers: dict[int, int], classes: Sequence[str], layout: Layout, root: Path
) -> tuple[Labels, dict[int, int]]:
    """The model's numbers for the classes of the data; DataError where it does not know one that is there."""
    places = {name: i for i, name in enumerate(classes)}
    meant = matching_classes(labels.names, classes)
    own = {name: places[label] for name, label in meant.items()}
    there = {int(label) for part in layout.parts.values() for one in part for label in one.labels}
    there.discard(NO_CLASS)
    unknown = [layout.names[label] for label in sorted(there) if layout.names[label] not in own]
    if unknown:
        raise DataError(
            f"{root} has classes that the model does not know: {some(unknown, beside=classes)}; it "
            f"knows {some(classes, beside=unknown)}."
        )
    categories = dict(zip(labels.names, labels.categories, strict=True))
    known = {label: own[name] for name, label in categories.items() if name in own}
    labels_of = {number: label for label, number in known.items()}
    free = max(labels.categories, default=0)
    ids = []
    for number in range(len(classes)):  # what the data do not have gets an id that nothing has
        free += number not in labels_of
        ids.append(labels_of.get(number, free))
    return Labels.of(classes, ids), known


def save_objects(data: ObjectData, path: Path) -> None:
    """Write which picture is in which split as CSV, for `split_file`."""
    home = data.root if data.root.is_dir() else data.root.parent
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "split"))
    for part, samples in data.splits.items():
        writer.writerows((relative(one.image, home), part) for one in samples)
    write_text(path, text.getvalue())


def _by_file(parts: dict[str, list[Annotated]], split_file: Path, home: Path) -> dict[str, list[Annotated]]:
    lines = csv_lines(split_file)
    check_columns(split_file, next(lines)[1], "split")
    listed = {row["path"]: row["split"] for _, row in lines}
    found: dict[str, list[Annotated]] = {}
    for own in parts.values():
        for one in own:
            part = listed.get(relative(one.image, home))
            if part is not None:
                found.setdefault(part, []).append(one)
    return found
