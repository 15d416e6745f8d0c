"""Published data sets of masks as they lie on disk, tables of colours, and what nothing describes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swinkit.data.classification.samples import ClassData
from swinkit.data.open import open_data
from swinkit.data.segmentation.open import MaskData, holds_masks, open_masks
from swinkit.data.segmentation.published_maps import PUBLISHED, named_meaning, voc_colours
from swinkit.errors import ConfigError, DataError, ImageError


def put(path: Path, stored: list[int] | list[tuple[int, int, int]] | None = None) -> None:
    """A picture, or a mask with these values from the left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if stored is None:
        Image.new("RGB", (6, 4), (10, 20, 30)).save(path)
    else:
        Image.fromarray(np.array([stored] * 4, np.uint8)).save(path)


def first_row(data: MaskData, part: str = "train") -> list[int]:
    pair = data.splits[part][0]
    return data.splits[part].label_map.read(pair.mask, (4, 6))[0].tolist()


def ade20k(root: Path) -> None:
    for part in ("training", "validation"):
        put(root / "images" / part / "ADE_1.jpg")
        put(root / "annotations" / part / "ADE_1.png", [0, 1, 2, 150, 3, 3])


def cityscapes(root: Path) -> None:
    for part in ("train", "val", "test"):
        put(root / "leftImg8bit" / part / "aachen" / "aachen_0_leftImg8bit.png")
        for kind in ("labelIds", "instanceIds"):
            put(root / "gtFine" / part / "aachen" / f"aachen_0_gtFine_{kind}.png", [0, 7, 8, 33, 26, 3])


def cityscapes_train_ids(root: Path) -> None:
    cityscapes(root)
    for part in ("train", "val"):
        path = root / "gtFine" / part / "aachen" / "aachen_0_gtFine_labelTrainIds.png"
        put(path, [255, 0, 1, 18, 13, 255])


def voc(root: Path) -> None:
    home = root / "VOCdevkit" / "VOC2012"
    for name in ("2007_1", "2007_2", "2007_3"):
        put(home / "JPEGImages" / f"{name}.jpg")
    (home / "SegmentationClass").mkdir()
    for name in ("2007_1", "2007_2"):
        mask = Image.fromarray(np.array([[0, 1, 20, 255, 15, 15]] * 4, np.uint8), "P")
        mask.putpalette([channel for colour in voc_colours(256) for channel in colour])
        mask.save(home / "SegmentationClass" / f"{name}.png")
    lists = home / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_1\n")
    (lists / "val.txt").write_text("2007_2\n")


def coco_stuff(root: Path) -> None:
    for part in ("train2017", "val2017"):
        put(root / part / "1.jpg")
        put(root / "stuffthingmaps" / part / "1.png", [0, 10, 12, 91, 181, 255])


def camvid(root: Path) -> None:
    for part in ("train", "val", "test"):
        put(root / part / "1.png")
        put(root / f"{part}annot" / "1.png", [0, 1, 10, 11, 3, 3])


LAYOUTS: dict[str, tuple[Callable[[Path], None], int, list[int], str]] = {
    "ade20k": (ade20k, 150, [255, 0, 1, 149, 2, 2], "wall"),
    "cityscapes": (cityscapes, 19, [255, 0, 1, 18, 13, 255], "road"),
    "cityscapes-train-ids": (cityscapes_train_ids, 19, [255, 0, 1, 18, 13, 255], "road"),
    "voc": (voc, 21, [0, 1, 20, 255, 15, 15], "background"),
    "coco-stuff": (coco_stuff, 171, [0, 10, 11, 80, 170, 255], "person"),
    "camvid": (camvid, 11, [0, 1, 10, 255, 3, 3], "sky"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_layouts(name: str, tmp_path: Path) -> None:
    lay, classes, row, first = LAYOUTS[name]
    lay(tmp_path)
    assert holds_masks(tmp_path)
    data = open_data(tmp_path)
    assert isinstance(data, MaskData)
    assert (len(data.classes), data.classes[0]) == (classes, first)
    assert first_row(data) == row
    assert first_row(data, "val") == row
    assert f"read as those of {name};" in data.notes[0]
    assert len(set(data.labels.colours)) == classes or name in ("ade20k", "coco-stuff")


def test_every_published_meaning_has_a_class_for_each_name() -> None:
    for name in PUBLISHED:
        labels, label_map = named_meaning(name)
        assert sorted(label_map.values.values()) == list(range(len(labels)))
    assert {"cityscapes-train-ids", "coco-stuff-train-ids"} <= set(PUBLISHED)


def test_the_benchmark_has_no_test_labels(tmp_path: Path) -> None:
    cityscapes(tmp_path)
    assert set(open_masks(tmp_path).splits) == {"train", "val"}
    for mask in tmp_path.glob("gtFine/*/*/*_labelIds.png"):
        mask.unlink()
    with pytest.raises(DataError, match="holds no masks"):
        open_masks(tmp_path)


def test_what_the_user_says_wins(tmp_path: Path) -> None:
    camvid(tmp_path)
    (tmp_path / "own.yaml").write_text("classes: {0: above, 1: below, 10: rider}\nignored: [3, 11]\n")
    data = open_masks(tmp_path, label_map=str(tmp_path / "own.yaml"))
    assert (data.classes, data.notes) == (("above", "below", "rider"), ())
    assert first_row(data) == [0, 1, 2, 255, 255, 255]
    assert first_row(open_masks(tmp_path, ignored=[1])) == [0, 255, 9, 255, 2, 2]
    data = open_masks(tmp_path, label_map="voc")
    assert data.classes[11] == "diningtable"
    with pytest.raises(ConfigError, match=r"`label_map='camvidd'` is neither .*did you mean 'camvid'"):
        open_masks(tmp_path, label_map="camvidd")
    (tmp_path / "dataset.yaml").write_text("classes: [a, b, c, d, e, f, g, h, i, j, k]\nignored: [11]\n")
    data = open_masks(tmp_path)
    assert (data.classes[:2], data.notes) == (("a", "b"), ())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("class_dict.csv", "name,r,g,b\nRoad,128,64,128\nTraffic light,0,64,64\nVoid,0,0,0\n"),
        ("label_colors.txt", "128 64 128\tRoad\n0 64 64\tTraffic light\n0 0 0\t\tVoid\n"),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nRoad:128,64,128::\nTraffic light:0,64,64::\nVoid:0,0,0::\n",
        ),
    ],
)
def test_tables_of_colours(name: str, text: str, tmp_path: Path) -> None:
    for part in ("train", "val"):
        put(tmp_path / part / "1.png")
        colours = [(128, 64, 128), (0, 64, 64), (0, 0, 0), (0, 0, 0), (0, 64, 64), (128, 64, 128)]
        put(tmp_path / f"{part}_labels" / "1_L.png", colours)
    (tmp_path / name).write_text(text)
    data = open_masks(tmp_path)
    assert data.classes == ("Road", "Traffic light")
    assert data.labels.colours == ((128, 64, 128), (0, 64, 64))
    assert first_row(data) == [0, 1, 255, 255, 1, 0]
    put(tmp_path / "train_labels" / "1_L.png", [(1, 2, 3)] * 6)
    with pytest.raises(ImageError, match=r"has the colour \(1, 2, 3\) at row 0, column 0, which is no class"):
        first_row(data)
    (tmp_path / name).write_text(text.replace("64", "x"))
    with pytest.raises(DataError, match="is no table of names and colours"):
        open_masks(tmp_path)


def test_values_that_nothing_describes(tmp_path: Path) -> None:
    put(tmp_path / "images" / "1.png")
    put(tmp_path / "masks" / "1.png", [0, 1, 4, 255, 4, 4])
    data = open_masks(tmp_path, val_fraction=0)
    assert data.classes == ("0", "1", "2", "3", "4")
    assert first_row(data) == [0, 1, 4, 255, 4, 4]
    assert "each of '0', '1', '2' and 2 more is a class, '255' counts for nothing" in data.notes[0]
    data = open_masks(tmp_path, val_fraction=0, ignored=[0, 255])
    assert data.classes == ("1", "2", "3", "4")
    assert first_row(data) == [255, 0, 3, 255, 3, 3]
    put(tmp_path / "masks" / "1.png", [255] * 6)
    with pytest.raises(DataError, match="hold nothing but ignored values: '255'"):
        open_masks(tmp_path)
    (tmp_path / "masks" / "1.png").write_text("no picture")
    with pytest.raises(DataError, match=r"No mask can be read: .*1\.png"):
        open_masks(tmp_path)


def test_masks_as_a_model_numbers_them(tmp_path: Path) -> None:
    camvid(tmp_path)
    names = ("road", *(name for name in named_meaning("camvid")[0].names if name != "road"), "more")
    data = open_masks(tmp_path, classes=names)
    assert data.classes == names
    assert first_row(data) == [1, 2, 10 if names[10] == "bicyclist" else names.index("bicyclist"), 255, 0, 0]
    with pytest.raises(DataError, match="classes that the model does not know: 'sky'"):
        open_masks(tmp_path, classes=[name for name in names if name != "sky"])
    put(tmp_path / "bare" / "images" / "1.png")
    put(tmp_path / "bare" / "masks" / "1.png", [0, 1, 2, 2, 1, 0])
    bare = open_masks(tmp_path / "bare", classes=names)
    assert (bare.classes, first_row(bare)) == (names, [0, 1, 2, 2, 1, 0])


def test_folders_of_classes_are_no_masks(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        put(tmp_path / "train" / name / "1.png")
    (tmp_path / "config.yaml").write_text("model: swin_t\n")
    assert not holds_masks(tmp_path)
    assert isinstance(open_data(tmp_path), ClassData)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text("0 0.5 0.5 1 1")
    assert not holds_masks(tmp_path)


# --- what a hostile reader found ----------------------------------------------------------------------


def test_numbers_are_never_shifted(tmp_path: Path) -> None:
    """A model of the values 1, 2, 3 answers these; one with names takes values for its ids, and says so."""
    put(tmp_path / "images" / "1.png")
    put(tmp_path / "masks" / "1.png", [0, 1, 2, 3, 255, 255])
    trained = open_masks(tmp_path, ignored=(0, 255), val_fraction=0)
    assert trained.classes == ("1", "2", "3")
    again = open_masks(tmp_path, ignored=(0, 255), classes=trained.classes, val_fraction=0)
    assert first_row(again) == [255, 0, 1, 2, 255, 255]
    with pytest.raises(
        DataError, match=r"classes that the model does not know: '0'; .* See `label_map` and `ignore"
    ):
        open_masks(tmp_path, classes=trained.classes)
    ten = open_masks(tmp_path, classes=[str(i) for i in range(10)], val_fraction=0)
    assert first_row(ten) == [0, 1, 2, 3, 255, 255]
    named = open_masks(tmp_path, classes=["a", "b", "c", "d"], val_fraction=0)
    assert first_row(named) == [0, 1, 2, 3, 255, 255]
    assert "taken for the model's ids, 0 a, 1 b, 2 c …" in named.notes[0]
    left = open_masks(tmp_path, classes=["a", "b", "c", "d"], ignored=(0, 255), val_fraction=0)
    assert first_row(left) == [255, 1, 2, 3, 255, 255]


def test_masks_of_other_pictures_are_not_taken(tmp_path: Path) -> None:
    for name in ("scene", "scene_2", "lot", "odd"):
        put(tmp_path / "images" / f"{name}.jpg")
    for name in ("scene_2", "lot_1", "odd_mask", "odd_gt"):
        put(tmp_path / "masks" / f"{name}.png", [0, 1, 2, 0, 1, 2])
    data = open_masks(tmp_path, val_fraction=0)
    assert [(pair.image.stem, pair.mask.stem) for pair in data.splits["train"]] == [("scene_2", "scene_2")]
    assert "3 of 4 pictures" in data.notes[0]


def test_what_is_left_out_of_a_layout_is_counted(tmp_path: Path) -> None:
    cityscapes(tmp_path)
    put(tmp_path / "leftImg8bit" / "train" / "bonn" / "bonn_1_leftImg8bit.png")
    put(tmp_path / "gtFine" / "train" / "aachen" / "aachen_0_gtFine_labelTrainIds.png", [0] * 6)
    data = open_masks(tmp_path)
    assert {part: len(pairs) for part, pairs in data.splits.items()} == {"train": 1, "val": 1}
    assert first_row(data) == [255, 0, 1, 18, 13, 255]
    assert "1 of 2 pictures of train" in data.notes[0]


def test_a_layout_of_voc_with_other_names_and_colours(tmp_path: Path) -> None:
    """As CVAT exports it: PNG pictures, names with blanks, a table of colours."""
    put(tmp_path / "JPEGImages" / "my photo.png")
    put(tmp_path / "SegmentationClass" / "my photo.png", [(9, 9, 9), (0, 0, 0), (1, 1, 1)] * 2)
    (tmp_path / "SegmentationClassAug").mkdir()
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("my photo\r\ngone\r\n")
    (tmp_path / "labelmap.txt").write_text("cat:9,9,9::\ndog:1,1,1::\nvoid:0,0,0::\n")
    data = open_masks(tmp_path, val_fraction=0)
    assert data.classes == ("cat", "dog")
    assert first_row(data) == [0, 255, 1, 0, 255, 1]
    assert "1 of 2 pictures of train" in data.notes[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"name,r,g,b\na,1,2,3\na,4,5,6\n", "two colours for 'a'"),
        (b"a,1,2,3\n,4,5,6\n", "has no name, or no colour"),
        (b"a,1,2,300\nb,4,5,6\n", "has no name, or no colour 0 to 255, for 'a'"),
        ("name,r,g,b\nVäg,1,2,3\n".encode("latin-1"), "cannot be read as text in UTF-8"),
    ],
)
def test_tables_that_are_wrong(text: bytes, said: str, tmp_path: Path) -> None:
    put(tmp_path / "images" / "1.png")
    put(tmp_path / "masks" / "1.png", [(1, 2, 3)] * 6)
    (tmp_path / "class_dict.csv").write_bytes(text)
    with pytest.raises(DataError, match=said):
        open_masks(tmp_path)


def test_a_table_without_a_head(tmp_path: Path) -> None:
    put(tmp_path / "images" / "1.png")
    put(tmp_path / "masks" / "1.png", [(1, 2, 3), (4, 5, 6)] * 3)
    (tmp_path / "class_dict.csv").write_text("sky,1,2,3\nroad,4,5,6\n")
    assert first_row(open_masks(tmp_path, val_fraction=0)) == [0, 1] * 3


def test_masks_of_one_class_teach_nothing(tmp_path: Path) -> None:
    put(tmp_path / "images" / "1.png")
    put(tmp_path / "masks" / "1.png", [0, 255] * 3)
    with pytest.raises(DataError, match=r"nothing but 0 and ignored values \('255'\): .*255: object"):
        open_masks(tmp_path)


def test_a_picture_in_two_parts_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "images" / "1.png")
    put(tmp_path / "masks" / "1.png", [0, 1] * 3)
    both = "{images: images, masks: masks}"
    (tmp_path / "dataset.yaml").write_text(f"classes: [a, b]\ntrain: {both}\nval: {both}\n")
    with pytest.raises(DataError, match=r"1\.png is in train and in val"):
        open_masks(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("classes: {0: a, 70000: b}\n", "values from 0 to 65535, not 70000"),
        ("classes: [a, b]\nignored: [70000]\n", "values from 0 to 65535, not 70000"),
        ("classes: {0: a}\nignored: [0]\n", "names no class that is not ignored"),
        (
            "colours: {a: [1, 2, 3], b: [4, 5, 6]}\nignored: [255]\n",
            "ignores numbers, but its masks are in colours",
        ),
    ],
)
def test_descriptions_that_cannot_be(text: str, said: str, tmp_path: Path) -> None:
    put(tmp_path / "images" / "1.png")
    put(tmp_path / "masks" / "1.png", [0, 1] * 3)
    (tmp_path / "dataset.yaml").write_text(text)
    with pytest.raises((ConfigError, DataError), match=said):
        open_masks(tmp_path)


def test_files_of_others_beside_masks(tmp_path: Path) -> None:
    put(tmp_path / "images" / "1.png")
    put(tmp_path / "masks" / "1.png", [0, 1] * 3)
    (tmp_path / "data.yaml").write_text("train: images/train\nnc: 2\nnames: [a, b]\n")
    assert open_masks(tmp_path, val_fraction=0).classes == ("0", "1")
    for name in ("cat", "dog"):
        put(tmp_path / "classes" / "train" / name / "1.png")
    (tmp_path / "classes" / "train_labels").mkdir()
    (tmp_path / "classes" / "train_labels" / "all.csv").write_text("x")
    assert not holds_masks(tmp_path / "classes")


def test_a_turned_picture_is_told(tmp_path: Path) -> None:
    put(tmp_path / "masks" / "1.png", [0, 1] * 3)
    put(tmp_path / "images" / "1.png")
    data = open_masks(tmp_path, val_fraction=0)
    with pytest.raises(ImageError, match="turned by its EXIF data, the mask is not"):
        data.label_map.read(tmp_path / "masks" / "1.png", (6, 4))
