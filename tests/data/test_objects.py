"""Pictures with boxes in every form that is read, beside pycocotools; what is wrong in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from swinkit.api import check_data, convert_data
from swinkit.data.detection.open import open_objects
from swinkit.data.detection.samples import NO_CLASS, ObjectData, ObjectSamples
from swinkit.data.detection.writers import convert_objects
from swinkit.data.open import open_data, save_splits
from swinkit.errors import ConfigError, DataError
from swinkit.rle import as_rle, mask_of

SIZES = {"a.jpg": (40, 60), "b.jpg": (50, 30), "c.jpg": (20, 20)}  # height, width
TRIANGLE = [10.0, 5.0, 30.0, 5.0, 10.0, 25.0]


def draw(folder: Path, names: dict[str, tuple[int, int]] = SIZES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(names))
    for name, size in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)


def coco_content() -> dict[str, Any]:
    """Ids with gaps and out of order; polygons, run lengths, a crowd, a picture without objects."""
    crowd = {"size": [50, 30], "counts": [100, 50, 1350]}
    return {
        "images": [
            {"id": 90, "file_name": "a.jpg", "height": 40, "width": 60},
            {"id": 7, "file_name": "b.jpg", "height": 50, "width": 30},
            {"id": 12, "file_name": "c.jpg", "height": 20, "width": 20},
        ],
        "categories": [{"id": 40, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 77, "name": "no such"}],
        "annotations": [
            {"id": 1, "image_id": 90, "category_id": 40, "bbox": [10, 5, 20, 20], "area": 200.0, "iscrowd": 0,
             "segmentation": [TRIANGLE]},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [2, 0, 1, 50], "area": 50, "iscrowd": 1,
             "segmentation": crowd},
            {"id": 5, "image_id": 90, "category_id": 3, "bbox": [1.5, 2.5, 10.25, 4.0], "area": 41.0,
             "iscrowd": 0, "segmentation": [[1.5, 2.5, 11.75, 2.5, 11.75, 6.5]]},
        ],
    }  # fmt: skip


def write_coco(
    root: Path, content: dict[str, Any] | None = None, name: str = "annotations/train.json"
) -> Path:
    draw(root / "images")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(content or coco_content()))
    return root


def by_name(data: ObjectData, part: str = "train") -> dict[str, Any]:
    return {one.image.name: one for one in data.splits[part]}


# --- COCO ---------------------------------------------------------------------------------------------


def test_coco_as_pycocotools_reads_it(tmp_path: Path) -> None:
    data = open_objects(write_coco(tmp_path), val_fraction=0)
    theirs = COCO(tmp_path / "annotations/train.json")
    assert data.classes == ("cat", "dog", "no such")
    assert data.labels.categories == (3, 40, 77)
    assert len(data.splits["train"]) == 3
    for one in data.splits["train"]:
        told = theirs.loadImgs(one.number)[0]
        assert (told["file_name"], (told["height"], told["width"])) == (one.image.name, one.size)
        rows = theirs.loadAnns(theirs.getAnnIds(one.number))
        assert [data.labels.categories[label] for label in one.labels] == [row["category_id"] for row in rows]
        for row, box, area, crowd in zip(rows, one.boxes, one.areas, one.crowd, strict=True):
            left, top, width, height = row["bbox"]
            assert box.tolist() == [left, top, left + width, top + height]
            assert (area, crowd) == (row["area"], row["iscrowd"])
    assert not data.has_shapes or all(len(one.shapes) == len(one.boxes) for one in data.splits["train"])
    assert "1 pictures have no objects" in data.notes[0]


@pytest.mark.parametrize(
    ("json_at", "images_at", "part"),
    [
        ("annotations/instances_val2017.json", "val2017", "val"),
        ("valid/_annotations.coco.json", "valid", "val"),
        ("annotations/train.json", "images/train", "train"),
        ("train.json", "data", "train"),
        ("labels.json", ".", "train"),
        ("test/annotations.json", "test/images", "test"),
    ],
)
def test_where_coco_lies(tmp_path: Path, json_at: str, images_at: str, part: str) -> None:
    draw(tmp_path / images_at)
    file = tmp_path / json_at
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(coco_content()))
    for source in (tmp_path, file):
        data = open_data(source, val_fraction=0)
        assert isinstance(data, ObjectData)
        assert {name: len(own) for name, own in data.splits.items()} == {part: 3}


def test_lvis_names_pictures_by_their_address(tmp_path: Path) -> None:
    content = coco_content()
    for row in content["images"]:
        row["coco_url"] = f"http://images.example/train2017/{row.pop('file_name')}"
        row |= {"neg_category_ids": [77], "not_exhaustive_category_ids": []}
    draw(tmp_path / "train2017")
    (tmp_path / "lvis_v1_train.json").write_text(json.dumps(content))
    assert set(by_name(open_objects(tmp_path, val_fraction=0))) == set(SIZES)


def test_what_is_wrong_in_coco(tmp_path: Path) -> None:
    """Objects that cannot be right are left out and told, by training in a note, by the check one by one."""
    content = coco_content()
    good = content["annotations"][0]
    for number, change in enumerate(
        (
            {"bbox": [5, 5, 0, 9]},
            {"bbox": [float("nan"), 1, 2, 3]},
            {"bbox": [100, 5, 20, 20]},
            {"bbox": [1, 2, 3]},
            {"bbox": ["x", 1, 2, 3]},
            {"category_id": 5},
            {"image_id": 1},
            {"segmentation": [[1, 2, 3]]},
            {"segmentation": {"size": [40, 60], "counts": [1, 2]}},
            {"segmentation": {"size": [40, 60], "counts": "garbage"}},
            {"id": 1},
            {"bbox": [50, 30, 20, 20]},
            {"bbox": [3, 3, 1, 1]},
        ),
        start=100,
    ):
        content["annotations"].append({**good, "id": number, **change})
    content["images"] += [
        {"id": 90, "file_name": "c.jpg", "height": 20, "width": 20},
        {"id": 91, "file_name": "gone.jpg", "height": 20, "width": 20},
    ]
    content["images"][1]["height"] = 51
    data = open_objects(write_coco(tmp_path, content), val_fraction=0)
    one = by_name(data)["a.jpg"]
    assert len(one.boxes) == 3 + 3
    assert one.crowd.tolist() == [label == NO_CLASS for label in one.labels]
    assert any(note.startswith("5 boxes are missing or invalid, and were computed") for note in data.notes)
    assert any("1 pictures are not there: 'gone.jpg'" in note for note in data.notes)
    report = check_data(tmp_path, progress=False)
    kinds = [problem.kind for problem in report.problems]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counts == {
        "box from shape": 5, "no such class": 1, "no such image": 1, "no shape": 6, "repeated": 8,
        "same id": 2, "missing": 1, "other size": 1, "beyond": 1, "tiny": 1, "same box": 1,
    }  # fmt: skip
    assert report.broken
    assert report.counts == {"train": [1, 4, 0]}
    assert [path.name for path in report.to_drop()] == ["b.jpg"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("{", "cannot be read as JSON"),
        ({"categories": []}, "names no categories"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "two categories with the id 1"),
        ({"categories": [{"id": 40, "name": "a"}, {"id": 3, "name": "a"}]}, "two classes 'a'"),
        ({"categories": [{"id": "x", "name": "a"}]}, "it needs a whole id and a name"),
        ({"annotations": {}}, "needs lists of images, annotations and categories"),
        ({"images": [5]}, "an entry of images is no object"),
        ({"images": [{"file_name": "a.jpg"}]}, "it needs an id"),
        ({"images": [{"id": 1}]}, "it needs a file_name"),
        (
            {"images": [{"id": 1, "file_name": "z.jpg"}], "annotations": []},
            "no picture of those it names: 'z.jpg'",
        ),
    ],
)
def test_files_that_are_no_coco(tmp_path: Path, change: Any, said: str) -> None:
    write_coco(tmp_path)
    file = tmp_path / "annotations/train.json"
    text = '{"images": [' if change == "{" else json.dumps(coco_content() | change)
    file.write_text(text)
    with pytest.raises(DataError, match=said):
        open_objects(tmp_path)


def test_parts_that_disagree(tmp_path: Path) -> None:
    write_coco(tmp_path)
    content = coco_content()
    content["categories"][0]["name"] = "wolf"
    write_coco(tmp_path, content, "annotations/val.json")
    with pytest.raises(DataError, match="calls category 40 'wolf', and another part 'dog'"):
        open_objects(tmp_path)
    write_coco(tmp_path, coco_content(), "annotations/val.json")
    with pytest.raises(DataError, match=r"a\.jpg is in train and in val"):
        open_objects(tmp_path)


# --- YOLO ---------------------------------------------------------------------------------------------

YOLO = "1 0.5 0.25 0.5 0.5\n\n0 0.1 0.1 0.5 0.1 0.5 0.9\n"


USUAL = "names: [x, y]\ntrain: images/train\nval: images/val\n"


def write_yolo(
    root: Path, *, yaml: str | None = "names: [x, y]\ntrain: images/train\nval: images/val\n"
) -> Path:
    for part in ("train", "val"):
        draw(root / "images" / part, {f"{part}-{name}": size for name, size in SIZES.items()})
        (root / "labels" / part).mkdir(parents=True)
        (root / "labels" / part / f"{part}-a.txt").write_text(YOLO)
        (root / "labels" / part / f"{part}-b.txt").write_text("")
    if yaml is not None:
        (root / "data.yaml").write_text(yaml)
    return root


@pytest.mark.parametrize(
    "yaml",
    [
        "names: [x, y]\ntrain: images/train\nval: images/val\n",
        "path: .\nnames: {0: x, 1: y}\ntrain: [images/train]\nval: images/val\n",
        "names: [x, y]\ntrain: ../images/train\nvalid: ../images/val\n",
        "names: [x, y]\ntrain: train.txt\nval: images/val\n",
    ],
)
def test_yolo(tmp_path: Path, yaml: str) -> None:
    write_yolo(tmp_path, yaml=yaml)
    (tmp_path / "train.txt").write_text("".join(f"./images/train/train-{name}\n" for name in SIZES))
    for source in (tmp_path, tmp_path / "data.yaml"):
        data = open_data(source)
        assert isinstance(data, ObjectData)
        assert data.classes == ("x", "y")
        one = by_name(data)["train-a.jpg"]
        assert one.size == (40, 60)
        np.testing.assert_allclose(one.boxes, [[15, 0, 45, 20], [6, 4, 30, 36]], atol=1e-9)
        assert one.labels.tolist() == [1, 0]
        assert one.shapes[0] is None
        np.testing.assert_allclose(one.shapes[1], [[6, 4, 30, 4, 30, 36]])
        assert one.areas[1] == pytest.approx(24 * 32 / 2)
        assert {name: len(own) for name, own in data.splits.items()} == {"train": 3, "val": 3}


def test_yolo_without_a_description(tmp_path: Path) -> None:
    """Folders of the parts, also the other way round; names from a list, or numbers."""
    write_yolo(tmp_path / "a", yaml=None)
    assert open_objects(tmp_path / "a").classes == ("0", "1")
    (tmp_path / "a" / "classes.txt").write_text("fox\nhen\n")
    assert open_objects(tmp_path / "a").classes == ("fox", "hen")
    draw(tmp_path / "b/train/images")
    (tmp_path / "b/train/labels").mkdir()
    (tmp_path / "b/train/labels/a.txt").write_text(YOLO)
    assert len(open_objects(tmp_path / "b", val_fraction=0).splits["train"]) == 3
    draw(tmp_path / "c/images")
    (tmp_path / "c/labels").mkdir()
    (tmp_path / "c/labels/a.txt").write_text(YOLO)
    data = open_objects(tmp_path / "c", val_fraction=0.4)
    assert {name: len(own) for name, own in data.splits.items()} == {"train": 2, "val": 1}


def test_what_is_wrong_in_yolo(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "labels/train/train-a.txt").write_text(
        "5 0.5 0.5 0.1 0.1\n0 0.5 0.5\n1 nan 0.5 0.1 0.1\nx 1 2 3 4\n0 0.5 0.5 0.2 0.2\n-1 0.5 0.5 0.1 0.1\n"
    )
    data = open_objects(tmp_path)
    assert set(by_name(data)) == {"train-b.jpg", "train-c.jpg"}  # a.jpg has objects that nobody can place
    assert [fault.kind for fault in data.faults] == [
        "no box", "no box", "no such class", "no box", "no such class", "repeated"
    ]  # fmt: skip
    (tmp_path / "data.yaml").write_text("names: {}\ntrain: images/train\n")
    with pytest.raises(DataError, match="needs names"):
        open_objects(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [no, yes]\ntrain: images/train\n")
    with pytest.raises(DataError, match="write names in quotes"):
        open_objects(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [a, b]\ntrain: images/nowhere\n")
    with pytest.raises(DataError, match="names images/nowhere, which is not there"):
        open_objects(tmp_path)


# --- Pascal VOC ---------------------------------------------------------------------------------------

XML = """<annotation><filename>{name}</filename><size><width>60</width><height>40</height></size>
<object><name>dög</name><difficult>1</difficult>
<bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>25</ymax></bndbox></object>
<object><name>cat</name><bndbox><ymin>1</ymin><xmin>1</xmin><ymax>40</ymax><xmax>60</xmax></bndbox></object>
</annotation>"""


def write_voc(root: Path, home: str = "VOCdevkit/VOC2007") -> Path:
    base = root / home
    draw(base / "JPEGImages", {"1.jpg": (40, 60), "2.jpg": (40, 60), "3.jpg": (40, 60)})
    (base / "Annotations").mkdir()
    for number in (1, 2, 3):
        text = XML.format(name=f"{number}.jpg")
        (base / "Annotations" / f"{number}.xml").write_text(text, encoding="utf-8")
    (base / "ImageSets/Main").mkdir(parents=True)
    (base / "ImageSets/Main/train.txt").write_text("1\n3\n")
    (base / "ImageSets/Main/val.txt").write_text("2\n")
    return root


@pytest.mark.parametrize("home", [".", "VOCdevkit/VOC2007"])
def test_voc(tmp_path: Path, home: str) -> None:
    data = open_data(write_voc(tmp_path, home))
    assert isinstance(data, ObjectData)
    assert data.classes == ("cat", "dög")
    assert {name: sorted(by_name(data, name)) for name in data.splits} == {
        "train": ["1.jpg", "3.jpg"], "val": ["2.jpg"]
    }  # fmt: skip
    one = by_name(data)["1.jpg"]
    assert one.boxes.tolist() == [[10, 5, 30, 25], [0, 0, 60, 40]]
    assert (one.size, one.number) == ((40, 60), "1")
    assert one.crowd.tolist() == [True, False]
    assert not data.has_shapes


def test_voc_beside_its_pictures(tmp_path: Path) -> None:
    """As labelling tools and Roboflow write it: texts among the pictures of each part."""
    for part in ("train", "valid"):
        draw(tmp_path / part, {f"{part}1.jpg": (40, 60)})
        (tmp_path / part / f"{part}1.xml").write_text(XML.format(name="elsewhere.jpg"), encoding="utf-8")
    data = open_objects(tmp_path)
    assert {name: len(own) for name, own in data.splits.items()} == {"train": 1, "val": 1}


def test_what_is_wrong_in_voc(tmp_path: Path) -> None:
    write_voc(tmp_path, ".")
    (tmp_path / "Annotations/1.xml").write_text(
        XML.format(name="1.jpg").replace("<xmin>11</xmin>", "").replace("<ymax>40</ymax>", "<ymax>-3</ymax>")
    )
    (tmp_path / "ImageSets/Main/train.txt").write_text("1\n9\n")
    data = open_objects(tmp_path)
    assert [fault.kind for fault in data.faults] == ["no box", "no area"]
    assert data.missing == ("9",)
    for text, said in (
        ("<annotation>", "cannot be read as XML"),
        ("<html/>", "no annotation of Pascal VOC"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "cannot be read as XML"),
        ("<annotation><object/></annotation>", "an object without <name>"),
    ):
        (tmp_path / "Annotations/2.xml").write_text(text)
        with pytest.raises(DataError, match=said):
            open_objects(tmp_path)


# --- CSV ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "path,xmin,ymin,xmax,ymax,label\na.jpg,10,5,30,25,cat\na.jpg,0,0,60,40,dog\nb.jpg,,,,,\n",
        "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        "a.jpg,60,40,cat,10,5,30,25\na.jpg,60,40,dog,0,0,60,40\nb.jpg,30,50,,,,,\n",
        "a.jpg,10,5,30,25,cat\na.jpg,0,0,60,40,dog\nb.jpg,,,,,\n",
        "path;xmin;ymin;xmax;ymax;label\na.jpg;10;5;30;25;cat\na.jpg;0;0;60;40;dog\nb.jpg;;;;;\n",
        "a.jpg;10;5;30;25;cat\na.jpg;0;0;60;40;dog\nb.jpg;;;;;\n",
    ],
)
def test_csv(tmp_path: Path, text: str) -> None:
    draw(tmp_path / "images")
    (tmp_path / "boxes.csv").write_text(text)
    for source in (tmp_path, tmp_path / "boxes.csv"):
        data = open_data(source, val_fraction=0)
        assert isinstance(data, ObjectData)
        assert data.classes == ("cat", "dog")
        assert by_name(data)["a.jpg"].boxes.tolist() == [[10, 5, 30, 25], [0, 0, 60, 40]]
        assert len(by_name(data)["b.jpg"].boxes) == 0


def test_what_is_wrong_in_csv(tmp_path: Path) -> None:
    draw(tmp_path)
    head = "path,xmin,ymin,xmax,ymax,label,split\n"
    for row, said in (
        (",1,2,3,4,cat,train\n", "Line 2 of .* has no path"),
        ("a.jpg,1,2,3,4,,train\n", "Line 2 of .* has a box without label"),
        ("a.jpg,1,2,3,4,cat,tarin\n", "has the split 'tarin'"),
        ("a.jpg,1,2,3,4,cat,train\na.jpg,1,2,3,4,cat,val\n", "in a second part"),
        ("", "lists no files"),
        ("z.jpg,1,2,3,4,cat,train\n", "no picture of those it names"),
    ):
        (tmp_path / "t.csv").write_text(head + row)
        with pytest.raises(DataError, match=said):
            open_objects(tmp_path / "t.csv")


# --- all of them --------------------------------------------------------------------------------------


def test_splits_are_kept(tmp_path: Path) -> None:
    """A drawn part is the same wherever the data lies, and is read again from its file."""
    parts = []
    for place in ("here", "there"):
        draw(tmp_path / place / "images", {f"{i}.jpg": (20, 20) for i in range(10)})
        rows = "".join(f"{i}.jpg,1,2,10,11,cat\n" for i in range(10))
        (tmp_path / place / "boxes.csv").write_text("path,xmin,ymin,xmax,ymax,label\n" + rows)
        data = open_objects(tmp_path / place, seed=3)
        parts.append({name: sorted(by_name(data, name)) for name in data.splits})
        save_splits(data, tmp_path / "split.csv")
        again = open_objects(tmp_path / place, seed=4, split_file=tmp_path / "split.csv")
        assert {name: sorted(by_name(again, name)) for name in again.splits} == parts[-1]
    assert parts[0] == parts[1]
    assert {name: len(own) for name, own in parts[0].items()} == {"train": 8, "val": 2}


def test_splits_of_pictures_that_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same from wherever the data are called."""
    draw(tmp_path / "pictures", {f"{i}.jpg": (20, 20) for i in range(10)})
    (tmp_path / "boxes").mkdir()
    paths = [f"../pictures/{i}.jpg" if i % 2 else f"{tmp_path}/pictures/{i}.jpg" for i in range(10)]
    rows = "".join(f"{path},1,2,10,11,cat\n" for path in paths)
    (tmp_path / "boxes/boxes.csv").write_text("path,xmin,ymin,xmax,ymax,label\n" + rows)
    save_splits(open_objects(tmp_path / "boxes", seed=3), tmp_path / "split.csv")
    monkeypatch.chdir(tmp_path)
    again = open_objects("boxes", split_file=tmp_path / "split.csv")
    assert {name: len(own) for name, own in again.splits.items()} == {"train": 8, "val": 2}


def test_classes_of_a_model(tmp_path: Path) -> None:
    write_coco(tmp_path)
    data = open_objects(tmp_path, classes=("dog", "bird", "cat"), val_fraction=0)
    assert data.labels.categories == (40, 78, 3)
    assert by_name(data)["a.jpg"].labels.tolist() == [0, 2]
    with pytest.raises(DataError, match="classes that the model does not know: 'cat'"):
        open_objects(tmp_path, classes=("dog",))


def test_no_boxes_at_all(tmp_path: Path) -> None:
    draw(tmp_path / "images")
    with pytest.raises(DataError, match="holds no pictures with boxes"):
        open_objects(tmp_path)
    with pytest.raises(DataError, match="no folder or file"):
        open_objects(tmp_path / "gone")
    content = coco_content() | {"annotations": []}
    data = open_objects(write_coco(tmp_path, content), val_fraction=0)
    assert sum(len(one.boxes) for one in data.splits["train"]) == 0


# --- from one form to another -------------------------------------------------------------------------


def described(data: ObjectData) -> dict[str, Any]:
    """What is in each picture, by part and name, without groups and shapes."""
    return {
        f"{part}/{one.image.name}": sorted(
            (data.classes[label], *np.round(box, 2).tolist())
            for label, box, crowd in zip(one.labels, one.boxes, one.crowd, strict=True)
            if not crowd
        )
        for part, samples in data.splits.items()
        for one in samples
    }


@pytest.mark.parametrize("to", ["coco", "yolo", "voc", "csv"])
@pytest.mark.parametrize("link", [False, True])
def test_convert(to: Any, link: bool, tmp_path: Path) -> None:
    """Read again, all objects are as they were; what the form cannot say is told."""
    write_coco(tmp_path / "here")
    given = open_objects(tmp_path / "here", val_fraction=0)
    notes = convert_data(tmp_path / "here", tmp_path / "there", to=to, link=link, progress=False)
    found = open_objects(tmp_path / "there", val_fraction=0)
    assert described(found) == described(given)
    assert next(iter(found.splits["train"])).image.is_symlink() == link
    told = " ".join(notes)
    assert ("shapes of 3 objects were left out" in told) == (to in ("voc", "csv"))
    assert ("1 groups (iscrowd) were left out" in told) == (to in ("yolo", "csv"))
    if to == "coco":
        assert notes == []
        assert found.labels.categories == given.labels.categories
        for one, other in zip(given.splits["train"], found.splits["train"], strict=True):
            assert (one.number, one.size, one.shapes) == (other.number, other.size, other.shapes)
            assert np.array_equal(one.areas, other.areas)
    if to == "yolo":
        assert found.classes == given.classes
        np.testing.assert_allclose(by_name(found)["a.jpg"].shapes[0], [TRIANGLE], atol=1e-5)
    if to == "voc":
        assert by_name(found)["b.jpg"].crowd.tolist() == [True]
    with pytest.raises(DataError, match="is there already"):
        convert_data(tmp_path / "here", tmp_path / "there", to=to, progress=False)


def test_convert_shapes_of_several_parts(tmp_path: Path) -> None:
    """Rings become one that passes through all of them; its mask is that of all."""
    content = coco_content()
    rings = [[2.0, 2, 12, 2, 12, 12, 2, 12], [30.0, 20, 50, 20, 50, 35, 30, 35]]
    content["annotations"] = [content["annotations"][0] | {"segmentation": rings, "bbox": [2, 2, 48, 33]}]
    convert_data(write_coco(tmp_path / "a", content), tmp_path / "b", to="yolo", progress=False)
    (shape,) = by_name(open_objects(tmp_path / "b", val_fraction=0))["a.jpg"].shapes
    one, other = (mask_of(as_rle(part, (40, 60))) for part in (shape, rings))
    assert (one != other).sum() <= 30  # COCO's rules draw the way between the parts too


def test_convert_pictures_of_one_name(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        draw(tmp_path / "in" / part, {"x.jpg": (40, 60)})
        (tmp_path / "in" / part / "x.xml").write_text(XML.format(name="x.jpg"), encoding="utf-8")
    notes = convert_data(tmp_path / "in", tmp_path / "out", to="voc", progress=False)
    assert notes == []
    data = open_objects(tmp_path / "out")
    assert {name: sorted(by_name(data, name)) for name in data.splits} == {
        "train": ["x.jpg"], "val": ["x-2.jpg"]
    }  # fmt: skip


# --- as others write it -------------------------------------------------------------------------------


def test_ids_and_numbers_as_text(tmp_path: Path) -> None:
    """Whole floats, numbers in quotes, "0" for no: read as what they mean, ids kept as whole numbers."""
    content = coco_content()
    for row in content["images"]:
        row["id"] = float(row["id"])
    row = content["annotations"][0]
    row |= {"image_id": "90", "category_id": "40", "iscrowd": "0", "bbox": ["10", "5", "20", "20"]}
    row["segmentation"] = [[str(side) for side in TRIANGLE]]
    one = by_name(open_objects(write_coco(tmp_path, content), val_fraction=0))["a.jpg"]
    assert (one.number, one.boxes[0].tolist(), one.crowd[0]) == (90, [10, 5, 30, 25], False)
    assert one.shapes[0] == [TRIANGLE]


def test_numbers_without_end(tmp_path: Path) -> None:
    content = coco_content()
    good = content["annotations"][0]
    content["images"][0] |= {"width": float("inf"), "file_name": "x" * 300 + ".jpg"}
    content["annotations"] = [
        {**good, "image_id": 7, "bbox": [10**400, 0, 5, 5]},
        {**good, "image_id": [7]},
        {**good, "image_id": 7, "category_id": {"a": 1}},
        {**good, "image_id": 7, "category_id": 10**30},
        {**good, "image_id": 7, "bbox": [1, 1, 5, 5], "segmentation": [[1, 1, 9, 1, 9, 9, 30000, 30000]]},
    ]
    data = open_objects(write_coco(tmp_path, content), val_fraction=0)
    assert [one.labels.tolist() for one in data.splits["train"]] == [[1, NO_CLASS, 1], []]
    assert sorted(fault.kind for fault in data.faults) == [
        "box from shape", "no shape", "no such class", "no such class", "no such image", "repeated", "same id"
    ]  # fmt: skip


def test_exports_of_tools(tmp_path: Path) -> None:
    """Roboflow's categories that nothing uses, paths of Windows, several files of a part, LVIS's others."""
    content = coco_content()
    for row in content["categories"]:
        row["supercategory"] = "animals"
    content["categories"].append({"id": 90, "name": "animals", "supercategory": "none"})
    content["categories"].append({"id": 0, "name": "dog", "supercategory": "none"})
    content["images"][0]["file_name"] = "images\\a.jpg"
    content["images"][1]["file_name"] = "/data/upload/1/b.jpg"
    root = write_coco(tmp_path, content, "annotations/instances_default.json")
    draw(root / "images", {"d.jpg": (20, 20)})
    more = coco_content() | {"images": [{"id": 1, "file_name": "d.jpg"}], "annotations": []}
    (root / "annotations/instances_extra.json").write_text(json.dumps(more))
    (root / "annotations/lvis_v1_image_info_test_dev.json").write_text('{"images": [], "categories": []}')
    data = open_objects(root, val_fraction=0)
    assert set(by_name(data)) == {*SIZES, "d.jpg"}
    assert data.classes == ("cat", "dog", "no such")
    assert "2 files make the part train." in data.notes


@pytest.mark.parametrize("stray", ["a/0.png.aux.xml", "labels.json", "a/0.xml"])
def test_what_lies_beside_class_folders(stray: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw(tmp_path / name, {"0.png": (20, 20), "1.png": (20, 20)})
    text = '{"categories": {"a": 1}, "images": 6}' if stray.endswith("json") else "<PAMDataset/>"
    (tmp_path / stray).write_text(text)
    assert open_data(tmp_path, val_fraction=0).classes == ("a", "b")


def test_yolo_is_read_from_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever one stands: there may be another data set of the same names."""
    for name in ("here", "there"):
        write_yolo(tmp_path / name, yaml="path: .\nnames: [x, y]\ntrain: images/train\nval: images/val\n")
    monkeypatch.chdir(tmp_path / "here")
    data = open_objects(tmp_path / "there")
    assert all(one.image.is_relative_to(tmp_path / "there") for one in data.splits["train"])


def test_yolo_of_other_tools(tmp_path: Path) -> None:
    """CVAT's folders, labelImg's texts beside the pictures, key points after the boxes, equal names."""
    draw(tmp_path / "cvat/obj_train_data", {"a.jpg": (40, 60)})
    (tmp_path / "cvat/obj_train_data/a.txt").write_text(YOLO)
    (tmp_path / "cvat/obj.names").write_text("x\ny\n")
    assert open_objects(tmp_path / "cvat", val_fraction=0).classes == ("x", "y")
    draw(tmp_path / "img", {"a.jpg": (40, 60)})
    (tmp_path / "img/a.txt").write_text(YOLO)
    (tmp_path / "img/classes.txt").write_text("x\ny\n")
    assert len(by_name(open_objects(tmp_path / "img", val_fraction=0))["a.jpg"].boxes) == 2
    write_yolo(tmp_path / "pose", yaml=USUAL + "kpt_shape: [2, 2]\n")
    (tmp_path / "pose/labels/train/train-a.txt").write_text("0 .5 .5 .2 .2 .1 .1 .9 .9\n")
    one = by_name(open_objects(tmp_path / "pose"))["train-a.jpg"]
    np.testing.assert_allclose(one.boxes, [[24, 16, 36, 24]])
    assert one.shapes == (None,)
    for folder in ("u", "v"):
        draw(tmp_path / "deep/images/train" / folder, {"0.png": (20, 20)})
        (tmp_path / "deep/labels/train" / folder).mkdir(parents=True)
        (tmp_path / "deep/labels/train" / folder / "0.txt").write_text(YOLO)
    numbers = [one.number for one in open_objects(tmp_path / "deep", val_fraction=0).splits["train"]]
    assert numbers == ["images/train/u/0", "images/train/v/0"]


def test_voc_of_equal_and_odd_names(tmp_path: Path) -> None:
    """Texts and pictures in folders of their own; names with blanks; parts by folders such as train2017."""
    for part in ("train", "val"):
        draw(tmp_path / "a/JPEGImages" / part, {"0.jpg": (40, 60)})
        (tmp_path / "a/Annotations" / part).mkdir(parents=True)
        (tmp_path / "a/Annotations" / part / "0.xml").write_text(XML.format(name="0.jpg"), encoding="utf-8")
        draw(tmp_path / "b" / f"{part}2017", {f"{part}.jpg": (40, 60)})
        (tmp_path / "b" / f"{part}2017/{part}.xml").write_text(XML.format(name="x"), encoding="utf-8")
    for name in ("a", "b"):
        data = open_objects(tmp_path / name)
        assert {part: len(own) for part, own in data.splits.items()} == {"train": 1, "val": 1}
    draw(tmp_path / "c/images", {"my pic 1.png": (40, 60), "b.png": (40, 60)})
    rows = "path,xmin,ymin,xmax,ymax,label,split\nimages/my pic 1.png,1,2,9,9,cat,train\n"
    (tmp_path / "c/boxes.csv").write_text(rows + "images/b.png,1,2,9,9,cat,val\n")
    convert_data(tmp_path / "c", tmp_path / "d", to="voc", progress=False)
    data = open_objects(tmp_path / "d")
    assert {part: sorted(by_name(data, part)) for part in data.splits} == {
        "train": ["my pic 1.png"], "val": ["b.png"]
    }  # fmt: skip


def test_csv_of_other_tools(tmp_path: Path) -> None:
    """Names without suffix, two spellings of a path, an empty line."""
    draw(tmp_path / "images")
    (tmp_path / "t.csv").write_text("image_id,x1,y1,x2,y2,class\na,1,2,9,9,cat\nb,1,2,9,9,cat\n")
    assert set(by_name(open_objects(tmp_path / "t.csv", val_fraction=0))) == {"a.jpg", "b.jpg"}
    (tmp_path / "t.csv").write_text("a.jpg,1,2,9,9,cat\n\n./a.jpg,3,4,9,9,cat\n")
    assert len(by_name(open_objects(tmp_path / "t.csv", val_fraction=0))["a.jpg"].boxes) == 2


def test_groups_need_no_shape(tmp_path: Path) -> None:
    content = coco_content()
    for row in content["annotations"]:
        if row["iscrowd"]:
            row["segmentation"] = []
    assert open_objects(write_coco(tmp_path, content), val_fraction=0).has_shapes


@pytest.mark.parametrize("to", ["coco", "yolo", "voc", "csv"])
def test_convert_leaves_boxes_without_area(to: Any, tmp_path: Path) -> None:
    """A data set made in Python may hold what no reader lets through."""
    data = open_objects(write_coco(tmp_path / "in"), val_fraction=0)
    train = []
    for sample in data.splits["train"]:
        boxes = sample.boxes.copy()
        boxes[:1, 3] = boxes[:1, 1]
        train.append(sample._replace(boxes=boxes))
    flat = sum(len(sample.boxes) > 0 for sample in train)
    notes = convert_objects(data.with_splits({"train": ObjectSamples(train)}, ()), tmp_path / "out", to)
    assert f"{flat} objects were left out: their boxes have no area." in notes
    again = open_objects(tmp_path / "out", val_fraction=0)
    assert again.faults == ()
    crowds = sum(int(sample.crowd[1:].sum()) for sample in train)
    written = sum(len(sample.boxes) for sample in train) - flat
    assert sum(map(len, (one.boxes for one in again.splits["train"]))) == written - (
        crowds if to in ("yolo", "csv") else 0
    )


def test_convert_tells_what_is_lost(tmp_path: Path) -> None:
    write_coco(tmp_path / "in")
    for to, what in (("voc", "Pascal VOC"), ("csv", "a CSV")):
        notes = convert_data(tmp_path / "in", tmp_path / to, to=to, progress=False)
        assert f"Classes are numbered from 0: {what} knows no other ids." in notes
        assert f"{what} knows no class without objects: 'no such'." in notes
    content = coco_content()
    content["images"][0] |= {"height": 400, "width": 600}  # not its size
    write_coco(tmp_path / "wrong", content)
    notes = convert_data(tmp_path / "wrong", tmp_path / "w", to="yolo", progress=False)
    assert any(note.startswith("1 pictures were left out") and "a.jpg" in note for note in notes)
    assert not list((tmp_path / "w").rglob("a.*"))


@pytest.mark.parametrize("text", ["", "[]", '{"ima', '{"info": 1}'])
def test_a_damaged_file_of_coco_is_not_passed_over(text: str, tmp_path: Path) -> None:
    """Else another part would be measured in its place."""
    write_coco(tmp_path, name="annotations/instances_train2017.json")
    file = tmp_path / "annotations/instances_val2017.json"
    file.write_text(text)
    with pytest.raises(DataError, match="instances_val2017"):
        open_data(tmp_path)


@pytest.mark.parametrize("text", ["", "train: [", "train: images", "names: [a]"])
def test_a_damaged_description_of_yolo_is_not_passed_over(text: str, tmp_path: Path) -> None:
    """Else its classes would be called by their numbers."""
    write_yolo(tmp_path, yaml=text)
    with pytest.raises((DataError, ConfigError), match=r"data\.yaml"):
        open_data(tmp_path)


def test_lists_of_voc(tmp_path: Path) -> None:
    lists = write_voc(tmp_path, ".") / "ImageSets/Main"
    (lists / "train.txt").write_text("1\n")
    data = open_objects(tmp_path)
    assert set(by_name(data)) == {"1.jpg"}
    assert any(f"1 pictures are in no list of {lists}: '3'" in note for note in data.notes)
    (lists / "train.txt").rename(lists / "trainval.txt")
    (lists / "trainval.txt").write_text("1\n2\n3\n")
    data = open_objects(tmp_path)
    assert {part: set(by_name(data, part)) for part in data.splits} == {
        "train": {"1.jpg", "3.jpg"}, "val": {"2.jpg"}
    }  # fmt: skip
    (tmp_path / "JPEGImages/3.jpg").unlink()
    assert len(open_objects(tmp_path).missing) == 1


def test_a_few_objects_without_shape_are_told(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"][0]["segmentation"] = []
    data = open_objects(write_coco(tmp_path, content), val_fraction=0)
    assert not data.has_shapes
    assert any(note.startswith("1 objects have no shape, the first in ") for note in data.notes)
    for row in content["annotations"]:
        row["segmentation"] = []
    data = open_objects(write_coco(tmp_path / "none", content), val_fraction=0)
    assert not any("shape" in note for note in data.notes)
