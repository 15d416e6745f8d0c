"""Pictures with boxes written in another form, and what that form cannot say."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as ET

import numpy as np
import yaml

from swinkit.data.detection.samples import NO_CLASS, Annotated, ObjectData, Shape
from swinkit.data.io.images import header_size
from swinkit.errors import ImageError, some
from swinkit.features import Size
from swinkit.files import check_new_folder, check_outside, make_folder, not_writable, write_text
from swinkit.rle import mask_of, polygons

WHOLE = 1e-3  # pixels from a whole number that are rounding
Form = Literal["coco", "yolo", "voc", "csv"]


class Placed:
    """A picture at its new place: its part, its name there, its size, and what is in it."""

    def __init__(self, part: str, name: str, sample: Annotated, size: Size) -> None:
        self.part, self.name, self.sample, self.size = part, name, sample, size

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem


def convert_objects(
    data: ObjectData,
    out: Path,
    form: Form,
    *,
    link: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """Write a data set in another form into a folder that is empty; notes on what that cannot say.

    Pictures are copied, or linked to. Raises DataError for a folder that is not empty, RunError where it
    cannot be written.
    """
    check_new_folder(out)
    check_outside(out, data.root)
    notes: list[str] = []
    placed = _place(data, notes)
    folders = {part: out / _folder(form, part) for part in data.splits}
    for one in placed:
        make_folder(folders[one.part])
        _bring(one.sample.image, folders[one.part] / one.name, link=link)
        advance(1)
    writers = {"coco": _coco, "yolo": _yolo, "voc": _voc, "csv": _csv}
    writers[form](data, placed, out, notes)
    return notes


def _folder(form: Form, part: str) -> str:
    return {"coco": part, "yolo": f"images/{part}", "voc": "JPEGImages", "csv": f"images/{part}"}[form]


def _place(data: ObjectData, notes: list[str]) -> list[Placed]:
    """Each picture with a name that no other has, for forms that keep all in one folder."""
    taken: set[str] = set()
    times: Counter[str] = Counter()
    placed, unreadable, unnamed, flat = [], [], 0, 0
    for part, samples in data.splits.items():
        for sample in samples:
            if NO_CLASS in sample.labels.tolist():  # without its region the image would show nothing there
                unnamed += 1
                continue
            try:
                data.check(sample)
                size = sample.size or header_size(sample.image)
            except ImageError as error:
                unreadable.append(str(error))
                continue
            stem = sample.image.stem
            while stem in taken:
                times[sample.image.stem] += 1
                stem = f"{sample.image.stem}-{times[sample.image.stem] + 1}"
            taken.add(stem)
            rows = np.flatnonzero((sample.boxes[:, 2:] > sample.boxes[:, :2]).all(1)).tolist()
            flat += len(sample.boxes) - len(rows)
            placed.append(Placed(part, f"{stem}{sample.image.suffix}", sample.chosen(rows), size))
    if unnamed:
        notes.append(f"{unnamed} pictures were left out: they have objects of classes without a name.")
    if unreadable:
        notes.append(f"{len(unreadable)} pictures were left out: {unreadable[0]}")
    if flat:
        notes.append(f"{flat} objects were left out: their boxes have no area.")
    return placed


def _bring(source: Path, target: Path, *, link: bool) -> None:
    try:
        if link:
            target.symlink_to(source.resolve())
        else:
            shutil.copyfile(source, target)
    except OSError as error:
        raise not_writable(target, error) from error


def _coco(data: ObjectData, placed: list[Placed], out: Path, notes: list[str]) -> None:
    """`annotations/instances_PART.json` beside the parts' folders; ids are kept where they are numbers."""
    labels = data.labels
    categories = [
        {"id": own, "name": name} for own, name in zip(labels.categories, labels.names, strict=True)
    ]
    whole = all(isinstance(one.sample.number, int) for one in placed)
    if not whole:
        notes.append("Pictures are numbered anew: COCO's ids are numbers.")
    total = 0
    for part in data.splits:
        images: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for count, one in enumerate((one for one in placed if one.part == part), start=1):
            own = one.sample.number if whole else count
            images.append({"id": own, "file_name": one.name, "height": one.size[0], "width": one.size[1]})
            for place in range(len(one.sample.boxes)):
                total += 1
                rows.append({"id": total, "image_id": own, **_coco_row(one.sample, place, data)})
        content = {"images": images, "annotations": rows, "categories": categories}
        make_folder(out / "annotations")
        text = json.dumps(content, ensure_ascii=False) + "\n"
        write_text(out / "annotations" / f"instances_{part}.json", text)


def _coco_row(sample: Annotated, place: int, data: ObjectData) -> dict[str, Any]:
    left, top, right, bottom = sample.boxes[place].tolist()
    shape = sample.shapes[place]
    return {
        "category_id": data.labels.categories[int(sample.labels[place])],
        "bbox": [left, top, right - left, bottom - top],
        "area": float(sample.areas[place]),
        "iscrowd": int(sample.crowd[place]),
        **({} if shape is None else {"segmentation": shape}),
    }


def _yolo(data: ObjectData, placed: list[Placed], out: Path, notes: list[str]) -> None:
    """`data.yaml`, `images/PART` and `labels/PART`; an object with a shape is a polygon."""
    crowds = 0
    for one in placed:
        sample, lines = one.sample, []
        for place, (label, box) in enumerate(zip(sample.labels.tolist(), sample.boxes, strict=True)):
            if sample.crowd[place]:
                crowds += 1
                continue
            values = _polygon(sample.shapes[place], one.size)
            if values is None:
                low, high = box[:2] / one.size[::-1], box[2:] / one.size[::-1]
                values = np.concatenate([(low + high) / 2, high - low])
            lines.append(" ".join([str(label), *(f"{value:.8g}" for value in values)]))
        folder = out / "labels" / one.part
        make_folder(folder)
        write_text(folder / f"{one.stem}.txt", "".join(f"{line}\n" for line in lines))
    parts = {part: f"images/{part}" for part in data.splits}
    if "val" not in parts:  # without it, ultralytics refuses the file; read again, it is no part of its own
        parts["val"] = parts.get("train") or parts["test"]
        notes.append(
            f"data.yaml names {parts['val']} as val too, which YOLO needs: the data have no such part."
        )
    stated = {**parts, "names": dict(enumerate(data.classes))}
    write_text(out / "data.yaml", yaml.safe_dump(stated, allow_unicode=True, sort_keys=False))
    if crowds:
        notes.append(f"{crowds} groups (iscrowd) were left out: YOLO knows none.")
    _without_ids(data, "YOLO", notes)


def _polygon(shape: Shape, size: Size) -> np.ndarray | None:
    """All rings of a shape as one, x and y in shares of the sides: each is entered and left at its start."""
    if shape is None:
        return None
    if isinstance(shape, dict):
        rings = [np.array(part[0][:-1]) for part in polygons(mask_of(shape))]
    else:
        rings = [np.reshape(ring, (-1, 2)) for ring in shape]
    if not rings:
        return None
    first, *others = rings
    whole = [first]
    for ring in others:
        whole += [first[:1], ring, ring[:1]]
    if others:
        whole.append(first[:1])
    found: np.ndarray = (np.concatenate(whole) / size[::-1]).clip(0, 1).ravel()
    return found


def _voc(data: ObjectData, placed: list[Placed], out: Path, notes: list[str]) -> None:
    """`Annotations`, and lists of the parts in `ImageSets/Main`; groups are marked as difficult."""
    make_folder(out / "Annotations")
    make_folder(out / "ImageSets" / "Main")
    for one in placed:
        root = ET.Element("annotation")
        ET.SubElement(root, "filename").text = one.name
        size = ET.SubElement(root, "size")
        for name, value in (("width", one.size[1]), ("height", one.size[0]), ("depth", 3)):
            ET.SubElement(size, name).text = str(value)
        for label, box, crowd in zip(
            one.sample.labels.tolist(), one.sample.boxes.tolist(), one.sample.crowd.tolist(), strict=True
        ):
            element = ET.SubElement(root, "object")
            ET.SubElement(element, "name").text = data.classes[label]
            ET.SubElement(element, "difficult").text = str(int(crowd))
            edges = ET.SubElement(element, "bndbox")
            for name, value, more in zip(("xmin", "ymin", "xmax", "ymax"), box, (1, 1, 0, 0), strict=True):
                ET.SubElement(edges, name).text = _shortest(value + more)
        ET.indent(root)
        text = ET.tostring(root, encoding="unicode")
        write_text(out / "Annotations" / f"{one.stem}.xml", text + "\n")
    for part in data.splits:
        stems = "".join(f"{one.stem}\n" for one in placed if one.part == part)
        write_text(out / "ImageSets" / "Main" / f"{part}.txt", stems)
    _without_shapes(placed, "Pascal VOC", notes)
    _by_name_alone(data, placed, "Pascal VOC", notes)


def _shortest(value: float) -> str:
    """A number of pixels, whole where it is so but for rounding: many readers take no other."""
    nearest = round(value)
    return str(nearest) if abs(value - nearest) <= WHOLE else f"{value:.8g}"


def _csv(data: ObjectData, placed: list[Placed], out: Path, notes: list[str]) -> None:
    """`boxes.csv` with path, label, edges and split; a picture without objects has a row without edges."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "label", "xmin", "ymin", "xmax", "ymax", "split"))
    crowds = 0
    for one in placed:
        path, sample = f"images/{one.part}/{one.name}", one.sample
        crowds += int(sample.crowd.sum())
        kept = [place for place in range(len(sample.boxes)) if not sample.crowd[place]]
        for place in kept:
            edges = map(_shortest, sample.boxes[place].tolist())
            writer.writerow((path, data.classes[int(sample.labels[place])], *edges, one.part))
        if not kept:
            writer.writerow((path, "", "", "", "", "", one.part))
    write_text(out / "boxes.csv", text.getvalue())
    if crowds:
        notes.append(f"{crowds} groups (iscrowd) were left out: a CSV knows none.")
    _without_shapes(placed, "a CSV", notes)
    _by_name_alone(data, placed, "a CSV", notes)


def _without_shapes(placed: list[Placed], what: str, notes: list[str]) -> None:
    count = sum(shape is not None for one in placed for shape in one.sample.shapes)
    if count:
        notes.append(f"The shapes of {count} objects were left out: {what} knows boxes only.")


def _without_ids(data: ObjectData, what: str, notes: list[str]) -> None:
    if data.labels.categories != tuple(range(len(data.classes))):
        notes.append(f"Classes are numbered from 0: {what} knows no other ids.")


def _by_name_alone(data: ObjectData, placed: list[Placed], what: str, notes: list[str]) -> None:
    """Forms that know classes by the objects that have them."""
    _without_ids(data, what, notes)
    there = {int(label) for one in placed for label in one.sample.labels}
    unused = [name for label, name in enumerate(data.classes) if label not in there]
    if unused:
        notes.append(f"{what} knows no class without objects: {some(unused)}.")
