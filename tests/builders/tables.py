"""Small data sets described by tables in every dialect, to be damaged; what each of their images shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from swinkit.data.captions.open import CaptionData
from swinkit.data.detection.samples import ObjectData
from swinkit.data.open import Data, open_data
from swinkit.data.segmentation.open import MaskData
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.text_files import composed

Listing = dict[str, Any]
"""What a reader found of each image, by its name."""
NAMES = (*(f"photo{number}.png" for number in range(6)), "grün 6.png", "photo7.jpg")
SIZE = (24, 32)  # height, width
CLASSES = ("cat", "grün", "red lines")


class Found(NamedTuple):
    """A listing, with the classes, and all sentences that tell of losses."""

    listing: Listing
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    faults: int
    source: Path


class Document(NamedTuple):
    """A data set and the text files in it; `by_file`: each of these tells of the one image of its name."""

    kind: str
    source: Path
    files: tuple[Path, ...]
    head: int = 0  # lines of a file before its rows
    by_file: bool = False
    global_files: tuple[str, ...] = ()  # names of those that tell of all images
    read: Callable[[Path], Found] | None = None


def draw(folder: Path, names: tuple[str, ...] = NAMES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(folder / name)


def class_csv(root: Path) -> Document:
    draw(root)
    rows = [f"{name},{CLASSES[i % 3]},{'val' if i > 4 else 'train'}\n" for i, name in enumerate(NAMES)]
    (root / "table.csv").write_text("path,label,split\n" + "".join(rows), encoding="utf-8")
    return Document("class CSV", root / "table.csv", (root / "table.csv",), head=1)


def labels_csv(root: Path) -> Document:
    draw(root)
    rows = [f"{name};{'|'.join(CLASSES[: i % 4])}\n" for i, name in enumerate(NAMES)]
    (root / "labels.csv").write_text("path;labels\n" + "".join(rows), encoding="utf-8")
    return Document("labels CSV", root / "labels.csv", (root / "labels.csv",), head=1)


def text_lists(root: Path) -> Document:
    draw(root)
    lines = [f"{name} {i % 3}\n" for i, name in enumerate(NAMES)]
    (root / "train.txt").write_text("".join(lines[:5]), encoding="utf-8")
    (root / "val.txt").write_text("".join(lines[5:]), encoding="utf-8")
    return Document("text lists", root, (root / "train.txt", root / "val.txt"))


def captions_csv(root: Path) -> Document:
    draw(root)
    rows = [f'{name},"a {CLASSES[i % 3]}, number {i}"\n{name},other {i}\n' for i, name in enumerate(NAMES)]
    (root / "table.csv").write_text("path,caption\n" + "".join(rows), encoding="utf-8")
    return Document("captions CSV", root / "table.csv", (root / "table.csv",), head=1)


def boxes_csv(root: Path) -> Document:
    draw(root / "images")
    rows = [
        f"{name},{CLASSES[i % 3]},{i + j},{2 + j},{i + 12 + j},{14 + j}\n"
        for i, name in enumerate(NAMES)
        for j in range(1 + i % 2)
    ]
    (root / "boxes.csv").write_text("path,label,xmin,ymin,xmax,ymax\n" + "".join(rows), encoding="utf-8")
    return Document("boxes CSV", root / "boxes.csv", (root / "boxes.csv",), head=1)


def bare_boxes_csv(root: Path) -> Document:
    draw(root / "images")
    rows = [f"{name},{i},2,{i + 12},14,{CLASSES[i % 3]}\n" for i, name in enumerate(NAMES)]
    (root / "boxes.csv").write_text("".join(rows), encoding="utf-8")
    return Document("boxes CSV without a head", root / "boxes.csv", (root / "boxes.csv",), head=1)


def coco_content() -> dict[str, Any]:
    images, annotations = [], []
    for i, name in enumerate(NAMES):
        images.append({"id": 10 * i + 3, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        for j in range(1 + i % 2):
            left, top = float(i + j), float(2 + j)
            ring = [left, top, left + 12, top, left + 12, top + 12, left, top + 12]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 10 * i + 3,
                    "category_id": 1 + 2 * (i % 3),
                    "bbox": [left, top, 12.0, 12.0],
                    "area": 144.0,
                    "iscrowd": 0,
                    "segmentation": [ring],
                }
            )
    categories = [{"id": 1 + 2 * i, "name": name} for i, name in enumerate(CLASSES)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def coco(root: Path) -> Document:
    draw(root / "images")
    (root / "annotations").mkdir()
    file = root / "annotations" / "instances_train.json"
    file.write_text(json.dumps(coco_content(), ensure_ascii=False), encoding="utf-8")
    return Document("COCO", root, (file,))


def yolo(root: Path) -> Document:
    draw(root / "images" / "train")
    (root / "labels" / "train").mkdir(parents=True)
    files = [root / "data.yaml"]
    for i, name in enumerate(NAMES):
        lines = [f"{(i + j) % 3} {0.4 + j / 16} 0.5 0.25 {0.25 + i / 64}\n" for j in range(1 + i % 2)]
        files.append(root / "labels" / "train" / f"{Path(name).stem}.txt")
        files[-1].write_text("".join(lines))
    files[0].write_text(
        f"path: .\ntrain: images/train\nnames:\n  0: {CLASSES[0]}\n  1: {CLASSES[1]}\n  2: {CLASSES[2]}\n",
        encoding="utf-8",
    )
    return Document("YOLO", root, tuple(files), by_file=True, global_files=("data.yaml",))


def voc(root: Path) -> Document:
    draw(root / "JPEGImages")
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    files = [root / "ImageSets" / "Main" / "train.txt"]
    files[0].write_text("".join(f"{Path(name).stem}\n" for name in NAMES), encoding="utf-8")
    for i, name in enumerate(NAMES):
        objects = "".join(
            f"<object><name>{CLASSES[(i + j) % 3]}</name><difficult>0</difficult><bndbox><xmin>{2 + i}</xmin>"
            f"<ymin>{3 + j}</ymin><xmax>{14 + i}</xmax><ymax>{15 + j}</ymax></bndbox></object>\n"
            for j in range(1 + i % 2)
        )
        text = (
            f"<annotation><filename>{name}</filename>\n<size><width>{SIZE[1]}</width><height>{SIZE[0]}"
            f"</height><depth>3</depth></size>\n{objects}</annotation>\n"
        )
        files.append(root / "Annotations" / f"{Path(name).stem}.xml")
        files[-1].write_text(text, encoding="utf-8")
    return Document("VOC", root, tuple(files), by_file=True, global_files=("train.txt",))


def _draw_masks(root: Path, colours: bool) -> None:
    draw(root / "images")
    (root / "masks").mkdir()
    for i, name in enumerate(NAMES):
        mask = np.full(SIZE, i % 3, np.uint8)
        mask[:4] = 1
        table = np.array([[128, 64, 128], [0, 64, 64], [0, 0, 0]], np.uint8)
        Image.fromarray(table[mask] if colours else mask).save(root / "masks" / f"{Path(name).stem}.png")


def masks_yaml(root: Path) -> Document:
    _draw_masks(root, colours=False)
    text = (
        "classes:\n  0: road\n  1: grün\n  2: red lines\nignored: [255]\n"
        "train: {images: images, masks: masks}\n"
    )
    (root / "dataset.yaml").write_text(text, encoding="utf-8")
    return Document(
        "masks' YAML", root, (root / "dataset.yaml",), by_file=True, global_files=("dataset.yaml",)
    )


def colours_csv(root: Path) -> Document:
    _draw_masks(root, colours=True)
    text = "name,r,g,b\nroad,128,64,128\ngrün,0,64,64\nred lines,0,0,0\n"
    (root / "class_dict.csv").write_text(text, encoding="utf-8")
    return Document(
        "colours CSV", root, (root / "class_dict.csv",), by_file=True, global_files=("class_dict.csv",)
    )


def vocabulary(root: Path) -> Document:
    root.mkdir(parents=True, exist_ok=True)
    embeddings = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    file = Vocabulary(CLASSES, embeddings).save(root / "names.safetensors")
    return Document("vocabulary", file, (file,), by_file=True, global_files=(file.name,), read=_vocabulary)


def vocabulary_npz(root: Path) -> Document:
    root.mkdir(parents=True, exist_ok=True)
    file = root / "names.npz"
    embeddings = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    np.savez(file, text=embeddings, text_names=np.array(CLASSES))
    return Document(
        "vocabulary npz", file, (file,), by_file=True, global_files=(file.name,), read=_vocabulary
    )


def _vocabulary(source: Path) -> Found:
    read = Vocabulary.load(f"{source}:text" if source.suffix == ".npz" else source)
    rows = {name: row.tolist() for name, row in zip(read.names, read.embeddings, strict=True)}
    return Found(rows, read.names, (), 0, source)


DOCUMENTS: tuple[Callable[[Path], Document], ...] = (
    class_csv,
    labels_csv,
    text_lists,
    captions_csv,
    boxes_csv,
    bare_boxes_csv,
    coco,
    yolo,
    voc,
    masks_yaml,
    colours_csv,
    vocabulary,
    vocabulary_npz,
)


def read_found(document: Document) -> Found:
    """What our reader finds; SwinkitError where it refuses."""
    if document.read is not None:
        return document.read(document.source)
    data = open_data(document.source, val_fraction=0, min_classes=1)
    faults = len(data.faults) + len(data.missing) if isinstance(data, ObjectData) else 0
    return Found(listing_of(data), tuple(data.classes), tuple(data.notes), faults, document.source)


def listing_of(data: Data) -> Listing:
    listing: Listing = {}
    for split, samples in data.splits.items():
        for sample in samples:
            name, shown = _shown(data, sample)
            known = listing.setdefault(name, [])
            known.append((split, shown))
    return {name: sorted(known, key=repr) for name, known in listing.items()}


def _shown(data: Data, sample: Any) -> tuple[str, Any]:
    if isinstance(data, ObjectData):
        rows = zip(sample.labels.tolist(), sample.boxes.round(2).tolist(), sample.crowd.tolist(), strict=True)
        objects = [("?" if label < 0 else data.classes[label], box, crowd) for label, box, crowd in rows]
        return sample.image.name, sorted(objects, key=repr)
    if isinstance(data, MaskData):
        return sample.image.name, sample.mask.name
    if isinstance(data, CaptionData):
        return sample.path.name, sample.text
    return sample.path.name, [data.classes[label] for label in sample.labels]


def images_in(lines: list[str]) -> set[str]:
    """Images whose names, or whose names without suffix, stand in lines."""
    text = "\n".join(lines)
    return {name for name in NAMES if re.search(rf"{re.escape(Path(name).stem)}(?!\d)", composed(text))}


def check_valid(found: Found) -> None:
    """What holds whatever was read: names that exist, boxes within their images, texts of bounded length."""
    assert found.classes or found.listing
    for name, shown in found.listing.items():
        for row in shown if isinstance(shown, list) else []:
            if isinstance(row, tuple) and isinstance(row[1], list):
                for entry in row[1]:
                    check_entry(name, entry, found.classes)


def check_entry(name: str, entry: Any, classes: tuple[str, ...]) -> None:
    if isinstance(entry, str):
        assert entry in classes, (name, entry)
        return
    label, box, crowd = entry
    left, top, right, bottom = box
    assert label in classes or (label == "?" and crowd), (name, entry)
    assert np.isfinite(box).all(), (name, entry)
    assert left <= right, (name, entry)  # rounded
    assert top <= bottom, (name, entry)
