"""Pictures and masks: found in every layout, described, and what is wrong with a description."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swinkit.data.segmentation.open import MaskData, open_masks
from swinkit.errors import ConfigError, DataError

CLASSES = "classes: {0: sky, 1: road, 7: car}\nignored: [255]\n"


def lay(images: Path, masks: Path, count: int = 4, ending: str = "") -> None:
    """Pictures 0.jpg … and their masks."""
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (6, 4), (i, 0, 0)).save(images / f"{i}.jpg")
        stored = np.array([[0, 1, 7, 255, 0, 0]] * 4, np.uint8)
        Image.fromarray(stored).save(masks / f"{i}{ending}.png")


def names(data: MaskData, part: str) -> list[tuple[str, str]]:
    return [(pair.image.name, pair.mask.name) for pair in data.splits[part]]


@pytest.mark.parametrize(
    "layout", ["images/{part}|masks/{part}", "{part}/images|{part}/masks", "img/{part}|annotations/{part}"]
)
def test_folders(tmp_path: Path, layout: str) -> None:
    for part, count in (("train", 12), ("val", 3)):
        images, masks = (tmp_path / place.format(part=part) for place in layout.split("|"))
        lay(images, masks, count)
    (tmp_path / "dataset.yaml").write_text(CLASSES)
    for data in (open_masks(tmp_path), open_masks(tmp_path / "dataset.yaml")):
        assert data.labels.names == ("sky", "road", "car")
        assert names(data, "train") == [(f"{i}.jpg", f"{i}.png") for i in range(12)]
        assert len(data.splits["val"]) == 3
        assert data.notes == ()
        labels = data.label_map.read(data.splits["val"][0].mask, (4, 6))
        assert labels[0].tolist() == [0, 1, 2, 255, 0, 0]


def test_stated_folders_and_endings(tmp_path: Path) -> None:
    lay(tmp_path / "a" / "x", tmp_path / "b" / "x", 5, ending="_mask")
    lay(tmp_path / "a" / "y", tmp_path / "b" / "y", 2)
    (tmp_path / "b" / "y" / "1.png").unlink()
    (tmp_path / "mine.yaml").write_text(
        CLASSES + "train: {images: a/x, masks: b/x}\ntest: {images: a/y, masks: b/y}\n"
    )
    data = open_masks(tmp_path / "mine.yaml", val_fraction=0)
    assert names(data, "train") == [(f"{i}.jpg", f"{i}_mask.png") for i in range(5)]
    assert names(data, "test") == [("0.jpg", "0.png")]
    assert "1 of 2 pictures" in data.notes[0]
    assert "'1.jpg'" in data.notes[0]


def test_validation_is_drawn_by_names(tmp_path: Path) -> None:
    lay(tmp_path / "one" / "images", tmp_path / "one" / "masks", 20)
    (tmp_path / "one" / "dataset.yaml").write_text(CLASSES)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    one, two = open_masks(tmp_path / "one"), open_masks(tmp_path / "two")
    assert names(one, "val") == names(two, "val") != names(open_masks(tmp_path / "one", seed=1), "val")
    assert (len(one.splits["train"]), len(one.splits["val"])) == (16, 4)


def test_classes_that_are_ignored_have_no_id(tmp_path: Path) -> None:
    """COCO's masks name 0 too: unlabelled."""
    lay(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "dataset.yaml").write_text("classes: {0: unlabelled, 1: road, 7: car}\nignored: [0, 255]\n")
    data = open_masks(tmp_path)
    assert data.labels.names == ("road", "car")
    assert data.label_map.read(data.splits["train"][0].mask)[0].tolist() == [255, 0, 1, 255, 255, 255]


def test_colours(tmp_path: Path) -> None:
    lay(tmp_path / "images", tmp_path / "masks", 2)
    for i in range(2):
        Image.new("RGB", (6, 4), (128, 0, 0)).save(tmp_path / "masks" / f"{i}.png")
    text = "classes: [sky, road]\nignored: [[0, 0, 0]]\ncolours: {road: [128, 0, 0], sky: [0, 0, 255]}\n"
    (tmp_path / "dataset.yaml").write_text(text)
    data = open_masks(tmp_path)
    assert data.labels.colours == ((0, 0, 255), (128, 0, 0))
    assert (data.label_map.read(data.splits["train"][0].mask) == 1).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clases: [a]\n", "did you mean 'classes'"),
        ("ignored: 255\n", "give a list of values, or of colours"),
        ("ignored: [a]\n", "give red, green, blue"),
        ("classes: {a: 0}\n", "give values and names, such as"),
        ("classes: 3\n", "give values and names, such as"),
        ("classes: [yes, no]\n", "write names in quotes: YAML reads one as True"),
        ("classes: [a, a]\n", "'a' stands twice"),
        (
            "classes: [a, b]\ntrain: images\n",
            "`train='images'` does not fit: give {images: FOLDER, masks: FOLDER}",
        ),
        ("classes: [a, b]\ntrain: {images: nowhere, masks: masks}\n", "There is no folder .*nowhere;"),
        ("classes: [a, b]\ntrain: {images: other, masks: masks}\n", "No picture in .*other has a mask"),
        ("classes: [a, b]\ncolours: {a: [0, 0, 0]}\n", "needs a colour for each class"),
        ("classes: [a, b]\ncolours: {a: [0, 0, 0], b: [0, 0]}\n", "give red, green, blue"),
        ("classes: [a, b]\ncolours: {a: [0, 0, 0], b: [0, 0, 0]}\n", "two classes the same colour"),
    ],
)
def test_descriptions_that_are_wrong(tmp_path: Path, text: str, said: str) -> None:
    lay(tmp_path / "images", tmp_path / "masks")
    lay(tmp_path / "other", tmp_path / "unused")
    for picture in (tmp_path / "other").iterdir():
        picture.rename(picture.with_name(f"x{picture.name}"))
    (tmp_path / "dataset.yaml").write_text(text)
    with pytest.raises((DataError, ConfigError), match=said):
        open_masks(tmp_path)


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder or file"):
        open_masks(tmp_path / "nothing")
    (tmp_path / "dataset.yaml").write_text(CLASSES)
    with pytest.raises(DataError, match="has no folders images and masks"):
        open_masks(tmp_path)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}.jpg", "{}.jpg.png"),
        ("{}.jpg", "mask_{}.png"),
        ("{}.jpg", "{}_mask.png"),
        ("{}.jpg", "{}-seg.png"),
        ("{}.jpg", "{}.mask.png"),
        ("{}.jpg", "Label-{}.png"),
        ("{}.jpg", "{}_mask-v2.png"),
        ("img_{}.jpg", "mask_{}.png"),
        ("{}_sat.jpg", "{}_mask.png"),
        ("{}_image.jpg", "gt_{}.png"),
        ("a-b_{}.x.jpg", "a-b_{}.x_labels.png"),
        ("in/ner_{}.jpg", "in/mask_ner_{}.png"),
    ],
)
def test_masks_called_otherwise(image: str, mask: str, tmp_path: Path) -> None:
    for number in range(1, 12):
        for folder, name in (("images", image), ("masks", mask)):
            path = tmp_path / folder / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 6), number % 2, np.uint8)).save(path)
    data = open_masks(tmp_path, val_fraction=0)
    pairs = {pair.image.name: pair.mask.name for pair in data.splits["train"]}
    expected = {Path(image.format(n)).name: Path(mask.format(n)).name for n in range(1, 12)}
    assert pairs == expected


def test_names_that_fit_twice_are_not_guessed(tmp_path: Path) -> None:
    folders = {"images": ("a.jpg", "a.png", "b.jpg", "c_d.jpg", "x_c.jpg"), "masks": MASKS_OF_TWO}
    for folder, names_there in folders.items():
        (tmp_path / folder).mkdir()
        for name in names_there:
            Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / folder / name)
    data = open_masks(tmp_path, val_fraction=0)
    assert names(data, "train") == [("a.jpg", "a.jpg.png"), ("a.png", "a.png.png")]
    assert "3 of 5 pictures" in data.notes[0]


MASKS_OF_TWO = ("a.jpg.png", "a.png.png", "mask_b.png", "seg_b.png", "x_c_d.png")


@pytest.mark.parametrize("stated", [True, False])
def test_a_pattern_says_how_masks_are_called(stated: bool, tmp_path: Path) -> None:
    lay(tmp_path / "images", tmp_path / "masks", 5, ending="_semantic")
    lay(tmp_path / "images", tmp_path / "masks", 5, ending="_instance")
    folders = "train: {images: images, masks: masks}\n" if stated else ""
    (tmp_path / "dataset.yaml").write_text(CLASSES + folders + 'mask_name: "{name}_semantic.png"\n')
    data = open_masks(tmp_path, val_fraction=0)
    assert names(data, "train") == [(f"{i}.jpg", f"{i}_semantic.png") for i in range(5)]
    (tmp_path / "dataset.yaml").write_text(CLASSES + folders + 'mask_name: "{name}_depth.png"\n')
    with pytest.raises(DataError, match=r"a mask \{name\}_depth\.png"):
        open_masks(tmp_path)
    (tmp_path / "dataset.yaml").write_text(CLASSES + folders + 'mask_name: "mask.png"\n')
    with pytest.raises(ConfigError, match="give a file name with"):
        open_masks(tmp_path)
