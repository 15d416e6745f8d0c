"""A class that has another id in another split is one class by its name, or the ids are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swinkit.api import check_data
from swinkit.data.classification.open import open_classes
from swinkit.data.detection.open import open_objects
from swinkit.data.detection.samples import ObjectData
from swinkit.data.open import open_data
from swinkit.data.segmentation.open import MaskData, open_masks
from swinkit.errors import DataError


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, path.name))
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)).save(path)


def write_yolo(root: Path, layout: str, names_at: str, names: dict[str, list[str]]) -> None:
    """One image a split, whose only object has the number 0."""
    for split, own in names.items():
        images = root / layout.format(kind="images", split=split)
        draw(images / f"{split}.png")
        text = root / layout.format(kind="labels", split=split) / f"{split}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("0 0.5 0.5 0.2 0.2\n")
        file = root / names_at.format(split=split)
        if file.suffix == ".yaml":
            file.write_text(f"names: {own}\n{split}: {images.relative_to(root)}\n")
        else:
            file.write_text("\n".join(own))


def classes_of(data: ObjectData) -> dict[str, list[str]]:
    return {
        split: [data.classes[label] for one in samples for label in one.labels]
        for split, samples in data.splits.items()
    }


@pytest.mark.parametrize(
    ("layout", "names_at"),
    [
        ("{split}/{kind}", "{split}/classes.txt"),
        ("{split}/{kind}", "{split}/labels/classes.txt"),
        ("{split}/{kind}", "{split}/data.yaml"),
        ("{kind}/{split}", "labels/{split}/classes.txt"),
        ("{kind}/{split}", "{split}.yaml"),
    ],
)
def test_yolo_with_classes_of_each_split(layout: str, names_at: str, tmp_path: Path) -> None:
    write_yolo(tmp_path, layout, names_at, {"train": ["ant", "bee"], "val": ["bee", "ant"]})
    data = open_objects(tmp_path)
    assert data.classes == ("ant", "bee")
    assert classes_of(data) == {"train": ["ant"], "val": ["bee"]}
    assert any("read by their names: 'bee' 0, elsewhere 1" in note for note in data.notes)


def test_yolo_with_another_class_in_a_split(tmp_path: Path) -> None:
    names = {"train": ["ant", "bee"], "val": ["wasp", "ant"]}
    write_yolo(tmp_path, "{split}/{kind}", "{split}/classes.txt", names)
    data = open_objects(tmp_path)
    assert classes_of(data) == {"train": ["ant"], "val": ["wasp"]}
    names = {"train": ["ant", "bee"], "val": ["wasp", "bee"]}
    write_yolo(tmp_path, "{split}/{kind}", "{split}/classes.txt", names)
    with pytest.raises(DataError, match="category 0 'wasp', and another part 'ant'"):
        open_objects(tmp_path)


def test_yolo_whose_description_is_contradicted(tmp_path: Path) -> None:
    write_yolo(tmp_path, "{split}/{kind}", "{split}/labels/classes.txt", {"train": ["bee", "ant"]})
    (tmp_path / "data.yaml").write_text("names: [ant, bee]\ntrain: train/images\n")
    data = open_objects(tmp_path)
    assert classes_of(data) == {"train": ["ant"]}
    assert any("0 is 'ant', there 'bee'" in note for note in data.notes)


def test_one_list_of_classes_in_the_folder_of_texts(tmp_path: Path) -> None:
    write_yolo(tmp_path, "{kind}", "labels/classes.txt", {"train": ["ant", "bee"]})
    data = open_objects(tmp_path)
    assert data.classes == ("ant", "bee")
    assert classes_of(data) == {"train": ["ant"]}


def test_voc_goes_by_names(tmp_path: Path) -> None:
    box = "<bndbox><xmin>3</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    for split, name in (("train", "bee"), ("val", "ant"), ("train", "ant")):
        draw(tmp_path / split / f"{name}.png")
        text = f"<annotation><object><name>{name}</name>{box}</object></annotation>"
        (tmp_path / split / f"{name}.xml").write_text(text)
    data = open_objects(tmp_path)
    assert {split: sorted(own) for split, own in classes_of(data).items()} == {
        "train": ["ant", "bee"],
        "val": ["ant"],
    }


DESCRIPTIONS = {
    "train/dataset.yaml": "classes: {0: sky, 1: road}\nignored: [255]\n",
    "val/dataset.yaml": "classes: {0: road, 5: sky}\nignored: [9]\n",
}
TABLES = {
    "train/class_dict.csv": "name,r,g,b\nsky,0,0,0\nroad,1,1,1\n",
    "val/class_dict.csv": "name,r,g,b\nroad,0,0,0\nsky,5,5,5\n",
}


@pytest.mark.parametrize("files", [DESCRIPTIONS, TABLES])
def test_masks_with_a_map_of_each_split(files: dict[str, str], tmp_path: Path) -> None:
    for split, values in (("train", (0, 1)), ("val", (5, 0))):
        for number in range(2):
            draw(tmp_path / split / "images" / f"{split}{number}.png")
            mask = np.full((20, 20), values[0], np.uint8)
            mask[:5] = values[1]
            (tmp_path / split / "masks").mkdir(exist_ok=True)
            stored = Image.fromarray(mask) if files is DESCRIPTIONS else Image.fromarray(mask).convert("RGB")
            stored.save(tmp_path / split / "masks" / f"{split}{number}.png")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    data = open_data(tmp_path)
    assert isinstance(data, MaskData)
    assert data.classes == ("sky", "road")
    for pairs in data.splits.values():
        assert pairs.counts(2).tolist() == [2 * 300, 2 * 100]
    assert any("they are read by the names" in note for note in data.notes)
    report = check_data(tmp_path, progress=False)
    assert not report.broken
    # a model's classes in another order
    again = open_masks(tmp_path, classes=("road", "sky"))
    assert [pairs.counts(2).tolist() for pairs in again.splits.values()] == [[200, 600], [200, 600]]


def test_lists_whose_numbers_mean_other_synsets(tmp_path: Path) -> None:
    for split, numbers in (("train", (0, 1)), ("val", (1, 0))):
        lines = []
        for synset, number in zip(("n01440764", "n01443537"), numbers, strict=True):
            draw(tmp_path / synset / f"{split}.png")
            lines.append(f"{synset}/{split}.png {number}")
        (tmp_path / f"{split}.txt").write_text("\n".join(lines))
    data = open_classes(tmp_path)
    for samples in data.splits.values():
        assert {sample.path.parent.name: sample.label for sample in samples} == {
            "n01440764": 0,
            "n01443537": 1,
        }
    assert any("other numbers" in note for note in data.notes)
