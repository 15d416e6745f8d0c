"""Names of classes that look alike: Unicode's forms, 0 and 0.0, a column of quantities."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from swinkit.data.classification.open import open_classes, save_split
from swinkit.data.detection.open import open_objects
from swinkit.data.segmentation.open import open_masks
from swinkit.errors import DataError, nearest, some, visible
from swinkit.labels import matching_classes, whole_numbers

NAME = "café"
APART = unicodedata.normalize("NFD", NAME)


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    return path


def table(tmp_path: Path, labels: list[str], *, name: str = "data.csv", column: str = "label") -> Path:
    rows = [f"path,{column}"]
    for i, label in enumerate(labels):
        picture(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{label}")
    (tmp_path / name).write_text("\n".join(rows))
    return tmp_path / name


def test_folders_composed_otherwise_are_one_class(tmp_path: Path) -> None:
    for part, name in (("train", NAME), ("val", APART)):
        picture(tmp_path / part / name / "0.png")
        picture(tmp_path / part / "dog" / "0.png")
    data = open_classes(tmp_path)
    assert data.classes == (NAME, "dog")
    assert [len(samples) for samples in data.splits.values()] == [2, 2]


def test_a_model_that_calls_them_otherwise(tmp_path: Path) -> None:
    for name in (NAME, "dog"):
        picture(tmp_path / name / "0.png")
    assert open_classes(tmp_path, val_fraction=0, classes=["dog", APART]).classes == ("dog", APART)


def test_a_split_file_of_before(tmp_path: Path) -> None:
    for name in (APART, "dog"):
        for i in range(3):
            picture(tmp_path / "set" / name / f"{i}.png")
    data = open_classes(tmp_path / "set")
    save_split(data, tmp_path / "split.csv")
    text = (tmp_path / "split.csv").read_text().replace(f",{NAME},", f",{APART},")
    (tmp_path / "split.csv").write_text(text)
    again = open_classes(tmp_path / "set", split_file=tmp_path / "split.csv")
    assert (again.classes, again.splits) == (data.classes, data.splits)


@pytest.mark.parametrize("labels", [["0", "0.0", "1", "1.0"], ["0", "0.", "1", "1.00"]])
def test_one_rule_for_whole_numbers(tmp_path: Path, labels: list[str]) -> None:
    data = open_classes(table(tmp_path, labels), val_fraction=0)
    assert data.classes == ("0", "1")
    assert data.splits["train"].counts(2).tolist() == [2, 2]


def test_whole_numbers_in_parquet_lists_and_several_labels(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    paths = [picture(tmp_path / f"{i}.png").name for i in range(2)]
    parquet.write_table(arrow.table({"path": paths, "label": [0.0, 1.0]}), tmp_path / "a.parquet")
    assert open_classes(tmp_path / "a.parquet", val_fraction=0).classes == ("0", "1")
    parquet.write_table(arrow.table({"path": paths, "label": [0.0, float("nan")]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"Line 2 of .*b\.parquet has no label"):
        open_classes(tmp_path / "b.parquet")
    (tmp_path / "train.txt").write_text("0.png 0.0\n1.png 1\n")
    assert open_classes(tmp_path / "train.txt", val_fraction=0).classes == ("0", "1")
    both = open_classes(table(tmp_path, ["0|0.0", "1"], column="labels"), val_fraction=0)
    assert [sample.label for sample in both.splits["train"]] == [(0,), (1,)]


def test_names_that_are_no_numbers_stay(tmp_path: Path) -> None:
    assert open_classes(table(tmp_path, ["0", "0.0", "cat"]), val_fraction=0).classes == ("0", "0.0", "cat")
    for name in ("1.0", "2.0"):  # of folders: versions, say
        picture(tmp_path / "folders" / name / "a.png")
    assert open_classes(tmp_path / "folders", val_fraction=0).classes == ("1.0", "2.0")


def test_a_model_of_an_older_table(tmp_path: Path) -> None:
    data = open_classes(table(tmp_path, ["1", "2"]), val_fraction=0, classes=["1.0", "2.0", "3.0"])
    assert [data.classes[sample.label] for sample in data.splits["train"]] == ["1.0", "2.0"]


def test_matching_classes() -> None:
    assert matching_classes([NAME, "x"], [APART, "dog"]) == {NAME: APART}
    assert matching_classes([NAME], [APART, NAME]) == {NAME: NAME}  # as written before all
    assert matching_classes(["1", "2.0"], ["1.0", "2"]) == {"1": "1.0", "2.0": "2"}
    assert matching_classes(["1", "cat"], ["1.0", "cat"]) == {"cat": "cat"}
    assert whole_numbers(["0", "0.0", "+3."]) == {"0": "0", "0.0": "0", "+3.": "+3"}
    assert whole_numbers(["0.5", "0"]) == {"0.5": "0.5", "0": "0"}


def test_a_column_of_quantities_is_refused(tmp_path: Path) -> None:
    labels = [f"{0.1 * i:.2f}" for i in range(1, 9)]
    with pytest.raises(
        DataError, match=r"8 different numbers, such as '0\.10', '0\.20', for 8 files: is it a"
    ):
        open_classes(table(tmp_path, labels))


def test_a_few_numbers_are_named(tmp_path: Path) -> None:
    data = open_classes(table(tmp_path, ["0.5", "1.0", "1.5"] * 3), val_fraction=0)
    assert data.classes == ("0.5", "1.0", "1.5")
    assert "Is it a column of scores or of a quantity?" in data.notes[0]


def test_masks_and_boxes_for_a_model_that_calls_them_otherwise(tmp_path: Path) -> None:
    picture(tmp_path / "m" / "images" / "0.png")
    (tmp_path / "m" / "masks").mkdir()
    Image.new("L", (8, 8), 1).save(tmp_path / "m" / "masks" / "0.png")
    (tmp_path / "m" / "dataset.yaml").write_text(f"classes: [dog, {APART}]\n")
    data = open_masks(tmp_path / "m", val_fraction=0, classes=[APART, "dog"])
    assert data.label_map.values == {0: 1, 1: 0}

    picture(tmp_path / "0.png")
    coco = {
        "images": [{"id": 1, "file_name": "0.png", "height": 8, "width": 8}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 1, 4, 4], "area": 16}],
        "categories": [{"id": 7, "name": NAME}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(coco))
    found = open_objects(tmp_path / "instances.json", val_fraction=0, classes=["dog", APART])
    assert found.splits["train"][0].labels.tolist() == [1]
    assert found.labels.categories[1] == 7


@pytest.mark.parametrize(
    ("names", "beside", "shown"),
    [
        (["cat", NAME], [], f"'cat', '{NAME}'"),
        ([APART], [], r"'cafe\u0301'"),
        (["c\u0430t"], [], r"'c\u0430t'"),  # a Cyrillic a
        (["cat\u200b"], [], r"'cat\u200b'"),
        (["\u0441\u043e\u0441\u043e"], ["coco"], r"'\u0441\u043e\u0441\u043e'"),  # all Cyrillic
        (["кошка"], ["cat"], "'кошка'"),
        (["猫", "🐱"], [], "'猫', '🐱'"),
        ([NAME], [APART], r"'caf\xe9'"),
    ],
)
def test_what_cannot_be_seen_is_shown(names: list[str], beside: list[str], shown: str) -> None:
    assert some(names, beside=beside) == shown


def test_other_messages_show_it_too(tmp_path: Path) -> None:
    assert visible(Path("a") / APART) == r"a/cafe\u0301"
    assert visible(Path("a") / NAME) == f"a/{NAME}"
    assert nearest("cafes", [APART]) == r"did you mean 'cafe\u0301'?"
    for part, name in (("train", "coco"), ("val", "\u0441\u043e\u0441\u043e")):
        picture(tmp_path / part / name / "0.png")
        picture(tmp_path / part / "dog" / "0.png")
    with pytest.raises(DataError, match=r"val has classes that train lacks: '\\u0441\\u043e\\u0441\\u043e'"):
        open_classes(tmp_path)


def test_a_class_that_is_no_unicode(tmp_path: Path) -> None:
    for name in ("a", "b\udce9"):
        try:
            picture(tmp_path / name / "0.png")
        except OSError:
            pytest.skip("the file system takes no such name")
    with pytest.raises(DataError, match=r"the class 'b\\udce9', which is not valid Unicode"):
        open_classes(tmp_path)
