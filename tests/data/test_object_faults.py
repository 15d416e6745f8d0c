"""Objects that cannot be used as they stand: repaired, ignored, or their image left out, never a negative."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco_mask

from swinkit.api import check_data, convert_data
from swinkit.data.detection.open import open_objects
from swinkit.data.detection.samples import NO_CLASS, Annotated, ObjectData
from swinkit.data.detection.segmentations import read_shape
from swinkit.errors import DataError
from swinkit.rle import as_rle, mask_of

COCO_WARNING = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
SIZE = 48, 64  # height, width
Square = tuple[int, int, int, int]
SQUARES: dict[str, Square] = {f"{i}.png": (3 * i + 4, 2 * i + 5, 3 * i + 20, 2 * i + 21) for i in range(6)}
"""A red square on noise in each image: x1, y1, x2, y2."""


def draw_squares(folder: Path, squares: dict[str, Square] = SQUARES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, (left, top, right, bottom) in squares.items():
        pixels = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        pixels[top:bottom, left:right] = (255, 0, 0)
        Image.fromarray(pixels).save(folder / name)


def write_coco(root: Path, changes: Sequence[dict[str, Any]]) -> Path:
    """One square an image; the first annotations are changed so, None removes a key."""
    draw_squares(root / "images")
    images, rows = [], []
    for i, (name, box) in enumerate(SQUARES.items()):
        left, top, right, bottom = box
        images.append({"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        corners = [left, top, right, top, right, bottom, left, bottom]
        rows.append({"id": i, "image_id": i, "category_id": 1,
                     "bbox": [left, top, right - left, bottom - top], "segmentation": [corners]})  # fmt: skip
    for row, change in zip(rows, changes, strict=False):
        row |= change
        for key in [key for key, value in change.items() if value is None]:
            del row[key]
    content = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "square"}]}
    (root / "annotations").mkdir()
    (root / "annotations/instances_train.json").write_text(json.dumps(content))
    return root


def write_yolo(root: Path, line: str, files: int = 6, squares: dict[str, Square] = SQUARES) -> Path:
    """Lines of the first files are made of `line`, those of the others are right."""
    draw_squares(root / "images/train", squares)
    (root / "labels/train").mkdir(parents=True)
    for i, (left, top, right, bottom) in enumerate(squares.values()):
        names = {"x": (left + right) / 2, "y": (top + bottom) / 2, "w": right - left, "h": bottom - top}
        names |= {"x1": left, "y1": top, "x2": right, "y2": bottom, "W": SIZE[1], "H": SIZE[0]}
        good = "0 {x}/{W} {y}/{H} {w}/{W} {h}/{H}"
        words = (line if i < files else good).format(**names).split()
        values = [str(eval(word, {})) if word[0].isdigit() or word[0] == "-" else word for word in words]
        (root / "labels/train" / f"{i}.txt").write_text(" ".join(values) + "\n")
    (root / "data.yaml").write_text("names: [square]\ntrain: images/train\n")
    return root


def write_csv(root: Path, rows: Sequence[str], columns: str = "path,xmin,ymin,xmax,ymax,label") -> Path:
    draw_squares(root / "images")
    (root / "boxes.csv").write_text("\n".join([columns, *rows]) + "\n")
    return root


def write_voc(root: Path, element: str, files: int = 6) -> Path:
    """The bndbox of the first files is `element`."""
    draw_squares(root / "JPEGImages")
    (root / "Annotations").mkdir()
    good = "<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"
    for i, (name, (left, top, right, bottom)) in enumerate(SQUARES.items()):
        inner = (element if i < files else good).format(x1=left + 1, y1=top + 1, x2=right, y2=bottom)
        text = (
            f"<annotation><filename>{name}</filename><object><name>square</name>{inner}</object></annotation>"
        )
        (root / "Annotations" / f"{i}.xml").write_text(text)
    return root


def opened(root: Path) -> ObjectData:
    return open_objects(root, val_fraction=0)


def samples_of(data: ObjectData) -> dict[str, Annotated]:
    return {sample.image.name: sample for sample in data.splits["train"]}


def assert_squares(data: ObjectData, squares: dict[str, Square] = SQUARES) -> None:
    """These images are there, each with its square."""
    samples = samples_of(data)
    assert list(samples) == list(squares)
    for name, sample in samples.items():
        assert sample.labels.tolist() == [0]
        assert not sample.crowd.any()
        np.testing.assert_allclose(sample.boxes, [squares[name]], atol=1e-6)


def problems(root: Path) -> tuple[dict[str, int], bool]:
    report = check_data(root, progress=False)
    kinds = [problem.kind for problem in report.problems]
    return {kind: kinds.count(kind) for kind in set(kinds)}, report.broken


# --- repaired -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("box", [None, [], [0, 0, 0, 0], [1, 2, 3], [200, 5, 20, 20], ["x", 1, 2, 3]])
@pytest.mark.parametrize("runs", [False, True])
def test_a_box_from_the_shape(tmp_path: Path, box: Any, runs: bool) -> None:
    changes: list[dict[str, Any]] = []
    for left, top, right, bottom in list(SQUARES.values())[:4]:
        mask = np.zeros(SIZE, np.uint8)
        mask[top:bottom, left:right] = 1
        rle = coco_mask.encode(np.asfortranarray(mask))
        told = {"size": rle["size"], "counts": rle["counts"].decode()}
        changes.append({"bbox": box, **({"segmentation": told} if runs else {})})
    data = opened(write_coco(tmp_path, changes))
    assert_squares(data)
    assert any(
        note.startswith("4 boxes are missing or invalid, and were computed from") for note in data.notes
    )
    assert problems(tmp_path) == ({"box from shape": 4}, False)


def test_corners_in_order(tmp_path: Path) -> None:
    """Of VOC, whose smaller corner counts from 1, of a CSV, of COCO by sides below 0."""
    swapped = "<bndbox><xmin>{x2}</xmin><ymin>{y1}</ymin><xmax>{x1}</xmax><ymax>{y2}</ymax></bndbox>"
    rows = [f"{name},{x2},{y2},{x1},{y1},square" for name, (x1, y1, x2, y2) in SQUARES.items()]
    changes = [{"bbox": [x2, y2, x1 - x2, y1 - y2]} for x1, y1, x2, y2 in SQUARES.values()]
    roots = [
        write_voc(tmp_path / "voc", swapped),
        write_csv(tmp_path / "csv", rows),
        write_coco(tmp_path / "coco", changes),
        write_yolo(tmp_path / "yolo", "0 {x}/{W} {y}/{H} -{w}/{W} {h}/{H}"),
    ]
    for root in roots:
        data = opened(root)
        assert_squares(data)
        assert any(
            note.startswith("6 boxes have swapped corners, which were put in order") for note in data.notes
        )
        assert problems(root) == ({"swapped corners": 6}, False)


@pytest.mark.parametrize(
    "line",
    [
        "0 {x}/{W} {y}/{H} {w}/{W} {h}/{H} 0.83",
        "0 {x}/{W} {y}/{H} {w}/{W} {h}/{H} 1",
        "0 {x}/{W} {y}/{H} {w}/{W} {h}/{H} 0.83 17",
        "0 {x1}/{W} {y1}/{H} {x2}/{W} {y1}/{H} {x2}/{W} {y2}/{H} {x1}/{W} {y2}/{H} 0.5",
        "square {x}/{W} {y}/{H} {w}/{W} {h}/{H} 0.83",
    ],
)
def test_a_confidence_is_ignored(tmp_path: Path, line: str) -> None:
    data = opened(write_yolo(tmp_path, line, files=4))
    assert_squares(data)
    assert any(note.startswith("4 lines have a number more than a box or polygon") for note in data.notes)
    assert problems(tmp_path) == ({"extra number": 4}, False)


@pytest.mark.parametrize(
    "line",
    [
        "0 {x} {y} {w} {h}",
        "0 {x1} {y1} {x2} {y2}",
        "0 {x1} {y1} {w} {h}",
        "0 {x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2}",
    ],
)
def test_pixels_for_fractions(tmp_path: Path, line: str) -> None:
    """In whichever form, where one alone fits; the squares near all borders tell which."""
    squares = {
        "0.png": (0, 0, 30, 30), "1.png": (30, 14, 64, 48), "2.png": (40, 30, 60, 44), "3.png": (3, 5, 9, 9)
    }  # fmt: skip
    data = opened(write_yolo(tmp_path, line, 3, squares))
    assert_squares(data, squares)
    assert any(note.startswith("3 label files are in pixels, not in fractions") for note in data.notes)


def test_fractions_for_pixels(tmp_path: Path) -> None:
    high, wide = SIZE
    shares = {name: (a / wide, b / high, c / wide, d / high) for name, (a, b, c, d) in SQUARES.items()}
    rows = [",".join([name, *map(repr, box), "square"]) for name, box in shares.items()]
    changes = [{"bbox": [a, b, c - a, d - b]} for a, b, c, d in shares.values()]
    for root in (write_csv(tmp_path / "csv", rows), write_coco(tmp_path / "coco", changes)):
        data = opened(root)
        assert_squares(data)
        assert any(
            "boxes in fractions of the sides, not in pixels, and were read so" in note for note in data.notes
        )


def test_entries_of_one_image_are_joined(tmp_path: Path) -> None:
    """An image that is listed twice has the objects of both entries, once each."""
    root = write_coco(tmp_path, [])
    file = root / "annotations/instances_train.json"
    content = json.loads(file.read_text())
    content["images"].append(content["images"][0] | {"id": 77})
    content["annotations"] += [
        {"id": 90, "image_id": 77, "category_id": 1, "bbox": [30, 30, 8, 8], "iscrowd": 0},
        content["annotations"][0] | {"id": 91, "image_id": 77},
    ]
    file.write_text(json.dumps(content))
    data = opened(root)
    assert samples_of(data)["0.png"].boxes.tolist() == [[4, 5, 20, 21], [30, 30, 38, 38]]
    assert problems(root) == ({"same picture": 1, "repeated": 1}, False)
    assert any(note.startswith("1 images are listed more than once") for note in data.notes)


def test_exact_copies_are_dropped(tmp_path: Path) -> None:
    """In all forms, with a note; the same box of another class or with another shape stays."""
    rows = [f"{name},{x1},{y1},{x2},{y2},square" for name, (x1, y1, x2, y2) in SQUARES.items()]
    csv = write_csv(tmp_path / "csv", [*rows, rows[0], rows[0], rows[1].replace("square", "other")])
    yolo = write_yolo(tmp_path / "yolo", "0 {x}/{W} {y}/{H} {w}/{W} {h}/{H}")
    for i in (0, 1):
        text = yolo / f"labels/train/{i}.txt"
        text.write_text(text.read_text() * 2)
    voc = write_voc(tmp_path / "voc", "")
    inner = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    twice = f"<object><name>square</name>{inner}</object>" * 3
    for file in (voc / "Annotations").iterdir():
        file.write_text(f"<annotation>{twice}</annotation>")
    for root, copies, left in ((csv, 2, 7), (yolo, 2, 6), (voc, 12, 6)):
        data = opened(root)
        assert sum(len(sample.boxes) for sample in data.splits["train"]) == left
        assert any(note.startswith(f"{copies} objects repeat another") for note in data.notes)
        assert problems(root)[0]["repeated"] == copies


# --- ignored or left out ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "0 {x}/{W} {y}/{H}",
        "0 nan {y}/{H} {w}/{W} {h}/{H}",
        "0 {x}/{W} {y}/{H} 0.0 {h}/{H}",
        "0 3.5 {y}/{H} {w}/{W} {h}/{H}",
        "0 1.7 {y}/{H} {w}/{W} {h}/{H}",
        "0 31.0 20.5 16 16",
    ],
)
def test_an_image_with_an_unusable_object_is_left_out(tmp_path: Path, line: str) -> None:
    data = opened(write_yolo(tmp_path, line, files=2))
    assert_squares(data, dict(list(SQUARES.items())[2:]))
    assert any(note.startswith("2 images were left out of training and evaluation") for note in data.notes)
    assert not any("have no objects" in note for note in data.notes)
    assert problems(tmp_path)[1]
    with pytest.raises(DataError, match=r"no picture whose objects can be used\. 6 images were left out"):
        opened(write_yolo(tmp_path / "all", line))


def test_unusable_in_other_forms(tmp_path: Path) -> None:
    rows = [f"{name},{x1},{y1},{x2},{y2},square" for name, (x1, y1, x2, y2) in SQUARES.items()]
    rows[:4] = [
        "0.png,9,9,9,20,square",
        "1.png,a,b,c,d,square",
        "2.png,70,5,80,9,square",
        "3.png,0.1,0.2,0.5,0.4,square",
    ]
    changes: list[dict[str, Any]] = [
        {"bbox": [5, 5, 0, 9], "segmentation": []},
        {"bbox": None, "segmentation": None},
        {"bbox": [5, 60, 3, 3], "segmentation": None},
        {"bbox": [0.1, 0.1, 0.5, 0.5], "segmentation": []},
    ]
    roots = [
        write_csv(tmp_path / "csv", rows),
        write_coco(tmp_path / "coco", changes),
        write_voc(tmp_path / "voc", "<bndbox><xmin>4</xmin></bndbox>", files=4),
    ]
    for root in roots:
        data = opened(root)
        assert_squares(data, dict(list(SQUARES.items())[4:]))
        assert any(
            note.startswith("4 images were left out of training and evaluation") for note in data.notes
        )
        counts, broken = problems(root)
        assert broken
        assert sum(counts.values()) == 4


def test_a_class_without_a_name_is_ignored(tmp_path: Path) -> None:
    """Its region is known: it is kept as one of no class, and does not count as background."""
    coco = write_coco(tmp_path / "coco", [{"category_id": 9}, {"category_id": None}])
    yolo = write_yolo(tmp_path / "yolo", "7 {x}/{W} {y}/{H} {w}/{W} {h}/{H}", files=2)
    for root in (coco, yolo):
        data = opened(root)
        assert data.classes == ("square",)
        for name, sample in samples_of(data).items():
            unnamed = name in ("0.png", "1.png")
            assert sample.labels.tolist() == [NO_CLASS if unnamed else 0]
            assert sample.crowd.tolist() == [unnamed]
            np.testing.assert_allclose(sample.boxes, [SQUARES[name]], atol=1e-6)
        assert data.splits["train"].counts(1).tolist() == [4]
        assert data.splits["train"].chances(1) == pytest.approx([1 / 6] * 6)
        assert any(note.startswith("2 objects are of classes without a name") for note in data.notes)
        assert problems(root) == ({"no such class": 2}, True)
        again = samples_of(open_objects(root, val_fraction=0, classes=("circle", "square")))
        assert again["0.png"].labels.tolist() == [NO_CLASS]
        notes = convert_data(root, tmp_path / f"{root.name}-out", to="csv", progress=False)
        assert "2 pictures were left out: they have objects of classes without a name." in notes


def test_annotations_of_no_image_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"none of its 6 annotations is for an image that it lists: image_id is '0\.png'"
    ):
        opened(write_coco(tmp_path, [{"image_id": name} for name in SQUARES]))


# --- segmentations ------------------------------------------------------------------------------------

RING = [10.0, 5.0, 30.0, 5.0, 30.0, 25.0, 14.0, 28.0]
POINTS = [[10.0, 5.0], [30.0, 5.0], [30.0, 25.0], [14.0, 28.0]]
RING_BOX = 10.0, 5.0, 30.0, 28.0


@COCO_WARNING
def test_spellings_of_polygons() -> None:
    shares = [value / SIZE[1 - i % 2] for i, value in enumerate(RING)]
    exchanged = [value for x, y in POINTS for value in (y, x)]
    for stored in (
        [RING], RING, POINTS, [POINTS], [{"x": x, "y": y} for x, y in POINTS], [list(map(str, RING))],
        json.dumps([RING]), [shares], shares, [exchanged], [RING, [1, 2, 3, 4]],
    ):  # fmt: skip
        shape = read_shape(stored, SIZE, RING_BOX)
        assert isinstance(shape, list), stored
        np.testing.assert_allclose(shape, [RING], err_msg=str(stored))
        ours = mask_of(as_rle(shape, SIZE))
        theirs = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([RING], *SIZE)))
        assert np.array_equal(ours, theirs.astype(bool))
    for stored in (
        [[40.0, 40, 50, 40, 50, 46]],
        [1, 2, 3, 4],
        [["a"] * 6],
        "text",
        5,
        [],
        [[1.0, 2] * 3 + [9]],
    ):
        assert read_shape(stored, SIZE, RING_BOX) is None, stored


@COCO_WARNING
def test_spellings_of_run_lengths() -> None:
    """As pycocotools decodes them, whatever their counts are made of and whichever side comes first."""
    mask = np.zeros(SIZE, np.uint8)
    mask[5:28, 10:30] = np.random.default_rng(0).random((23, 20)) < 0.8
    box = 10.0, 5.0, 30.0, 28.0
    packed = coco_mask.encode(np.asfortranarray(mask))
    padded = np.concatenate([[0], mask.T.ravel(), [0]])
    edges = np.flatnonzero(np.diff(padded.astype(int)))
    runs = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    assert np.array_equal(
        coco_mask.decode(coco_mask.frPyObjects({"size": list(SIZE), "counts": runs}, *SIZE)), mask
    )
    turned = coco_mask.encode(np.asfortranarray(mask.T))
    text = packed["counts"].decode()
    for stored in (
        {"size": list(SIZE), "counts": packed["counts"]},
        {"size": list(SIZE), "counts": text},
        {"size": list(SIZE), "counts": runs},
        {"size": list(SIZE), "counts": [float(run) for run in runs]},
        {"size": [float(side) for side in SIZE], "counts": text},
        {"size": list(SIZE), "counts": " ".join(map(str, runs))},
        {"size": list(SIZE[::-1]), "counts": text},
        {"size": list(SIZE[::-1]), "counts": [float(run) for run in runs]},
        {"size": turned["size"], "counts": turned["counts"].decode()},
        json.dumps({"size": list(SIZE), "counts": text}),
    ):
        shape = read_shape(stored, SIZE, box)
        assert isinstance(shape, dict), stored
        assert np.array_equal(mask_of(shape), mask.astype(bool)), stored
        json.dumps(shape)
    for stored in (
        {"size": list(SIZE), "counts": "garbage"},
        {"size": list(SIZE), "counts": [1.5, 2]},
        {"size": [SIZE[0]], "counts": text},
        {"size": [10, 10], "counts": [40, 60]},
        {"size": list(SIZE), "counts": None},
        {"size": list(SIZE[::-1]), "counts": [0, mask.size]},  # the whole image: no side tells
        {"counts": text},
    ):
        assert read_shape(stored, SIZE, box) is None, stored
    assert read_shape({"size": list(SIZE[::-1]), "counts": text}, SIZE, (np.nan,) * 4) is None


def test_all_or_some_segmentations_that_cannot_be_read(tmp_path: Path) -> None:
    bad = {"segmentation": {"size": list(SIZE), "counts": "%%%"}}
    with pytest.raises(DataError, match="none of its 6 segmentations can be read, the first is"):
        opened(write_coco(tmp_path / "all", [bad] * 6))
    root = write_coco(tmp_path / "some", [bad] * 2)
    data = opened(root)
    assert_squares(data)
    assert any(note.startswith("2 segmentations cannot be read") for note in data.notes)
    assert problems(root)[0] == {"no shape": 2}
    assert not data.has_shapes


def test_polygons_in_fractions_beside_boxes_in_pixels(tmp_path: Path) -> None:
    changes = []
    for a, b, c, d in SQUARES.values():
        ring = [a, b, c, b, c, d, a, d]
        changes.append({"segmentation": [[value / SIZE[1 - i % 2] for i, value in enumerate(ring)]]})
    data = opened(write_coco(tmp_path, changes))
    for name, sample in samples_of(data).items():
        left, top, right, bottom = SQUARES[name]
        expected = np.zeros(SIZE, bool)
        expected[top:bottom, left:right] = True
        assert np.array_equal(mask_of(as_rle(sample.shapes[0], SIZE)), expected)


def test_a_shape_that_differs_from_its_box_is_listed(tmp_path: Path) -> None:
    """One that meets its box is kept; the check names it."""
    ring = [4.0, 5, 12, 5, 12, 12, 4, 12]  # a quarter of the square
    root = write_coco(tmp_path, [{"segmentation": [ring]}])
    assert samples_of(opened(root))["0.png"].shapes[0] == [ring]
    assert problems(root) == ({"shape and box": 1}, False)


# --- EXIF ---------------------------------------------------------------------------------------------


def turn(folder: Path, names: Sequence[str], orientation: int) -> None:
    """Store images as JPEG with a tag that turns them."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in names:
        with Image.open(folder / name) as image:
            image.save(folder / name, "JPEG", exif=exif)


def test_boxes_made_on_stored_pixels(tmp_path: Path) -> None:
    """Where sizes tell it, EXIF is named with the remedy: in training, in the check, and without sizes."""
    root = write_coco(tmp_path / "coco", [])
    turn(root / "images", ["0.png"], 6)
    data = opened(root)
    with pytest.raises(
        DataError, match=r"0\.png has 48 × 64 pixels, .* 64 × 48: its EXIF orientation 6 .*exiftool"
    ):
        data.check(samples_of(data)["0.png"])
    report = check_data(root, progress=False)
    assert ["EXIF" in problem.text for problem in report.problems if problem.kind == "other size"] == [True]
    rows = ["0.png,50,5,62,20,square", "1.png,1,2,9,9,square"]
    csv = write_csv(tmp_path / "csv", rows)
    turn(csv / "images", ["0.png"], 6)
    data = opened(csv)
    assert list(samples_of(data)) == ["1.png"]
    assert "EXIF orientation 6" in data.notes[0]
    yolo = write_yolo(tmp_path / "yolo", "0 {x}/{W} {y}/{H} {w}/{W} {h}/{H}")
    turn(yolo / "images/train", ["1.png", "2.png"], 3)
    assert any(
        note.startswith("2 images are turned by their EXIF orientation") for note in opened(yolo).notes
    )
    assert problems(yolo)[0] == {"orientation": 2}


# --- ids ----------------------------------------------------------------------------------------------


def test_classes_with_other_ids_in_another_part(tmp_path: Path) -> None:
    """They are read by their names, and a note names the ids; a new name for an old id is an error."""
    names = {"train": {1: "cat", 2: "dog", 5: "owl"}, "val": {1: "dog", 2: "owl", 3: "cat", 7: "fox"}}
    for part, categories in names.items():
        draw_squares(tmp_path / part)
        content = {
            "images": [{"id": i, "file_name": f"{i}.png"} for i in range(4)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": own, "bbox": [1, 1, 9, 9]}
                for i, own in enumerate(categories)
            ],
            "categories": [{"id": own, "name": name} for own, name in categories.items()],
        }
        (tmp_path / part / "_annotations.coco.json").write_text(json.dumps(content))
    data = opened(tmp_path)
    assert dict(zip(data.classes, data.labels.categories, strict=True)) == {
        "cat": 1,
        "dog": 2,
        "owl": 5,
        "fox": 7,
    }
    for part, categories in names.items():
        labels = [label for sample in data.splits[part] for label in sample.labels.tolist()]
        assert [data.classes[label] for label in labels] == list(categories.values())
    (note,) = [note for note in data.notes if "other ids" in note]
    assert "'dog' 1, elsewhere 2; 'owl' 2, elsewhere 5; 'cat' 3, elsewhere 1" in note


# --- written ------------------------------------------------------------------------------------------


def test_voc_is_written_in_whole_pixels(tmp_path: Path) -> None:
    """Where a box is whole but for rounding, as one that comes from YOLO's fractions."""
    root = write_yolo(tmp_path / "in", "0 {x}/{W} {y}/{H} {w}/{W} {h}/{H}")
    for i, text in enumerate(sorted((root / "labels/train").iterdir())):
        words = [f"{float(word):.6f}" for word in text.read_text().split()[1:]]
        text.write_text(" ".join(["0", *words]) + ("\n0 0.3 0.3 0.1234 0.1111\n" if i == 0 else "\n"))
    convert_data(root, tmp_path / "out", to="voc", progress=False)
    edges = {}
    for file in sorted((tmp_path / "out/Annotations").iterdir()):
        tree = ElementTree.parse(file)
        edges[file.stem] = [[end.text for end in box] for box in tree.iter("bndbox")]
    for name, (left, top, right, bottom) in SQUARES.items():
        assert edges[Path(name).stem][0] == [str(left + 1), str(top + 1), str(right), str(bottom)]
    assert edges["0"][1][0] == "16.2512"


def test_data_yaml_has_val(tmp_path: Path) -> None:
    """As other programs need it; read again, there is no such part, and coco128's form is read so."""
    root = write_csv(tmp_path / "in", [f"{name},1,2,9,9,square" for name in SQUARES])
    notes = convert_data(root, tmp_path / "out", to="yolo", progress=False)
    stated = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert (stated["train"], stated["val"]) == ("images/train", "images/train")
    assert any("data.yaml names images/train as val too" in note for note in notes)
    assert list(opened(tmp_path / "out").splits) == ["train"]
    drawn = open_objects(tmp_path / "out")
    assert {part: len(samples) for part, samples in drawn.splits.items()} == {"train": 5, "val": 1}
