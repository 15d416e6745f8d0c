"""Names in texts that another system wrote: backslashes, composed letters, the case of suffixes."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from swinkit.data.captions.open import open_captions
from swinkit.data.classification.open import open_classes
from swinkit.data.detection.open import open_objects
from swinkit.data.io.path_matching import FileLocator, spellings
from swinkit.data.segmentation.open import open_masks
from swinkit.errors import DataError

NAME = "é"  # composed; macOS writes it as two letters
APART = unicodedata.normalize("NFD", NAME)


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    return path


def as_windows(name: str) -> str:
    return name.replace("/", "\\")


def in_other_form(name: str) -> str:
    return unicodedata.normalize("NFD", name)


def in_other_case(name: str) -> str:
    return name.replace(".png", ".PNG")


SPELLED = [as_windows, in_other_form, in_other_case]
Spelling = Callable[[str], str]


@pytest.mark.parametrize("spell", SPELLED)
def test_what_is_found(tmp_path: Path, spell: Spelling) -> None:
    path = picture(tmp_path / "a" / f"{NAME}1.png")
    assert FileLocator().find(tmp_path, spell(f"a/{NAME}1.png")) == path
    assert FileLocator().find(tmp_path, spell(str(path))) == path  # absolute


def test_what_is_not_found(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "x.PNG")
    picture(tmp_path / "a" / "x.Png")
    find = FileLocator().find
    assert find(tmp_path, "a/x.PNG") == tmp_path / "a" / "x.PNG"
    assert find(tmp_path, "a/x.png") is None  # either
    assert find(tmp_path, "A/x.PNG") is None  # only the case of a suffix
    assert find(tmp_path, "a/y.png") is None
    assert find(tmp_path, "a/" + "x" * 300 + ".png") is None
    assert find(tmp_path, "a/x\0.png") is None


def test_a_name_that_exists_is_taken_as_written(tmp_path: Path) -> None:
    odd = picture(tmp_path / "a\\b.png")
    picture(tmp_path / "a" / "b.png")
    assert FileLocator().find(tmp_path, "a\\b.png") == odd


def test_escapes_of_yaml_are_undone() -> None:
    assert spellings("images\train\valid")[-1] == "images/train/valid"
    assert spellings("images/train") == ["images/train"]


@pytest.mark.parametrize("spell", SPELLED)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_class_tables(tmp_path: Path, spell: Spelling, suffix: str) -> None:
    files = [picture(tmp_path / "set" / f"{NAME}{i}.png") for i in range(4)]
    rows = [(spell(f"set/{path.name}"), "cat" if i % 2 else "dog") for i, path in enumerate(files)]
    table = tmp_path / f"data{suffix}"
    if suffix == ".csv":
        table.write_text("path,label\n" + "".join(f"{path},{label}\n" for path, label in rows))
    else:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.table({"path": [r[0] for r in rows], "label": [r[1] for r in rows]}), table)
    data = open_classes(table, val_fraction=0)
    assert sorted(sample.path for sample in data.splits["train"]) == files


@pytest.mark.parametrize("spell", SPELLED)
def test_text_lists(tmp_path: Path, spell: Spelling) -> None:
    files = [picture(tmp_path / "images" / str(i) / f"{NAME}{i}.png") for i in range(2)]
    lines = [spell(f"images/{i}/{path.name}") + f" {i}" for i, path in enumerate(files)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    data = open_classes(tmp_path, val_fraction=0)
    assert [sample.path for sample in data.splits["train"]] == files


def test_a_list_of_files_in_both_cases(tmp_path: Path) -> None:
    files = [picture(tmp_path / "images" / name) for name in ("a.png", "b.PNG")]
    (tmp_path / "train.txt").write_text("a.png 0\nb.png 1\n")
    assert [sample.path for sample in open_classes(tmp_path, val_fraction=0).splits["train"]] == files


@pytest.mark.parametrize("spell", SPELLED)
def test_caption_tables(tmp_path: Path, spell: Spelling) -> None:
    file = picture(tmp_path / "set" / f"{NAME}.png")
    (tmp_path / "data.csv").write_text(f"path,caption\n{spell(f'set/{NAME}.png')},a cat\n")
    assert open_captions(tmp_path / "data.csv").splits["train"][0].path == file


@pytest.mark.parametrize("spell", SPELLED)
def test_yolo_lists(tmp_path: Path, spell: Spelling) -> None:
    file = picture(tmp_path / "images" / "train" / f"{NAME}.png")
    label = tmp_path / "labels" / "train" / f"{in_other_form(NAME)}.TXT"
    label.parent.mkdir(parents=True)
    label.write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "train.txt").write_text(spell(f"images/train/{NAME}.png"))
    (tmp_path / "data.yaml").write_text("train: train.txt\nnames: [cat]\n")
    (one,) = open_objects(tmp_path, val_fraction=0).splits["train"]
    assert (one.image, len(one.boxes)) == (file, 1)


@pytest.mark.parametrize(
    "entry", [r"images\train", r"'images\train'", r'"images\train"', r"..\images\train", r".\images\train"]
)
def test_backslashes_in_data_yaml(tmp_path: Path, entry: str) -> None:
    picture(tmp_path / "images" / "train" / "a.png")
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text(f"train: {entry}\nnames: [cat]\n")
    assert len(open_objects(tmp_path, val_fraction=0).splits["train"]) == 1
    (tmp_path / "data.yaml").write_text(f"path: D:\\data\\{tmp_path.name}\ntrain: {entry}\nnames: [cat]\n")
    assert len(open_objects(tmp_path, val_fraction=0).splits["train"]) == 1


def test_an_escape_that_yaml_refuses_is_explained(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text('train: {images: "images\\data", masks: masks}\nclasses: [a, b]\n')
    with pytest.raises(ValueError, match=r"in double quotes write / instead of a backslash"):
        open_masks(tmp_path)


@pytest.mark.parametrize("spell", [in_other_form, in_other_case])
def test_boxes_of_files_spelled_otherwise(tmp_path: Path, spell: Spelling) -> None:
    file = picture(tmp_path / "images" / f"{NAME}.png")
    name = spell(file.name)
    (tmp_path / "boxes.csv").write_text(f"path,label,xmin,ymin,xmax,ymax\n{name},cat,1,1,5,5\n")
    (one,) = open_objects(tmp_path / "boxes.csv", val_fraction=0).splits["train"]
    assert one.image == file


def test_masks_whose_names_are_composed_otherwise(tmp_path: Path) -> None:
    image = picture(tmp_path / "images" / f"{NAME}.png")
    mask = tmp_path / "masks" / f"{APART}.png"
    mask.parent.mkdir()
    Image.new("L", (8, 8), 1).save(mask)
    (tmp_path / "dataset.yaml").write_text("classes: [a, b]\n")
    (pair,) = open_masks(tmp_path, val_fraction=0).splits["train"]
    assert pair == (image, mask)


def test_masks_in_stated_folders_with_backslashes(tmp_path: Path) -> None:
    image = picture(tmp_path / "a" / "images" / "1.png")
    mask = tmp_path / "a" / "masks" / "1.png"
    mask.parent.mkdir()
    Image.new("L", (8, 8), 1).save(mask)
    (tmp_path / "dataset.yaml").write_text(
        "train: {images: 'a\\images', masks: \"a\\\\masks\"}\nclasses: [a, b]\n"
    )
    (pair,) = open_masks(tmp_path, val_fraction=0).splits["train"]
    assert pair == (image, mask)


def test_voc_lists(tmp_path: Path) -> None:
    image = picture(tmp_path / "JPEGImages" / f"{APART}.png")
    mask = tmp_path / "SegmentationClass" / f"{NAME}.PNG"
    mask.parent.mkdir()
    Image.new("L", (8, 8), 1).save(mask)
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_bytes(f"{NAME}\n".encode("utf-8-sig"))
    (pair,) = open_masks(tmp_path, val_fraction=0).splits["train"]
    assert pair == (image, mask)


def test_a_file_that_is_nowhere_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "data.csv").write_text("path,label\na.png,cat\nset\\b.png,dog\n")
    with pytest.raises(DataError, match=r"Line 3 .*b\.png, which does not exist"):
        open_classes(tmp_path / "data.csv")


def test_split_files_saved_by_a_spreadsheet(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / "images" / name)
    (tmp_path / "boxes.csv").write_text(
        "path,label,xmin,ymin,xmax,ymax\na.png,cat,1,1,5,5\nb.png,cat,1,1,5,5\n", encoding="utf-8-sig"
    )
    split = tmp_path / "split.txt"
    split.write_text("path;split\nimages/a.png;train\nimages/b.png;val\n", encoding="utf-8-sig")
    data = open_objects(tmp_path / "boxes.csv", split_file=split)
    assert {part: [one.image.name for one in own] for part, own in data.splits.items()} == {
        "train": ["a.png"],
        "val": ["b.png"],
    }
