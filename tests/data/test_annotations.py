"""Published annotation files, beside videos in the layouts that people have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swinkit.data.classification.open import open_classes
from swinkit.data.classification.samples import ClassData
from swinkit.data.io.media import CLIPS
from swinkit.errors import DataError

HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"


def lay(root: Path, *names: str) -> None:
    """Files that are only looked for."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def listed(data: ClassData, split: str) -> list[tuple[str, str]]:
    return [
        (sample.path.relative_to(data.root).as_posix(), data.classes[sample.labels[0]])
        for sample in data.splits[split]
    ]


@pytest.mark.parametrize("beside", [".", "annotations"])
def test_kinetics(tmp_path: Path, beside: str) -> None:
    folder = tmp_path / beside
    folder.mkdir(exist_ok=True)
    (folder / "train.csv").write_text(
        HEADER
        + 'juggling balls,abcdefghijk,4,14,train,0\n"tying knot (not on a tie)",-1_2,0,10,train,1\n'
        + "juggling balls,gone,7,17,train,0\nabseiling,whole,2,12,train,0\n"
    )
    (folder / "validate.csv").write_text(HEADER + "abseiling,v,10,20,validate,0\n")
    (folder / "test.csv").write_text("youtube_id,time_start,time_end,split\nz,0,10,test\n")
    lay(tmp_path, "train/juggling balls/abcdefghijk_000004_000014.mp4", "train/-1_2_000000_000010.mkv")
    lay(tmp_path, "val/v_000010_000020.mp4", "more/whole.webm", "more/v.webm")
    data = open_classes(tmp_path)
    assert data.medium is CLIPS
    assert data.classes == ("abseiling", "juggling balls", "tying knot (not on a tie)")
    assert listed(data, "train") == [
        ("more/whole.webm#t=2,12", "abseiling"),
        ("train/juggling balls/abcdefghijk_000004_000014.mp4", "juggling balls"),
        ("train/-1_2_000000_000010.mkv", "tying knot (not on a tie)"),
    ]
    assert listed(data, "val") == [("val/v_000010_000020.mp4", "abseiling")]
    (note,) = (note for note in data.notes if "left out" in note)
    assert "1 of 4 videos" in note
    assert "gone_000007_000017" in note


def test_one_csv_by_its_path(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(HEADER + "".join(f"{'ab'[i % 2]},v{i},0,10,train,0\n" for i in range(10)))
    lay(tmp_path, *(f"v{i}_000000_000010.mp4" for i in range(10)))
    assert {part: len(samples) for part, samples in open_classes(table).splits.items()} == {
        "train": 8,
        "val": 2,
    }


@pytest.mark.parametrize(
    ("train", "val", "labels"),
    [
        ("train.json", "validation.json", "labels.json"),
        (
            "something-something-v2-train.json",
            "something-something-v2-validation.json",
            "something-something-v2-labels.json",
        ),
    ],
)
def test_something_something(tmp_path: Path, train: str, val: str, labels: str) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    hold = {"label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]}
    pull = {"label": "pulling a pen", "template": "Pulling [something] from left to right"}
    (folder / train).write_text(json.dumps([{"id": "10", **hold}, {"id": "9", **pull}]))
    (folder / val).write_text(json.dumps([{"id": "11", **hold}]))
    (folder / "test.json").write_text(json.dumps([{"id": "12"}]))
    names = {"Pulling something from left to right": "0", "Holding something": "1"}
    (folder / labels).write_text(json.dumps(names))
    lay(tmp_path, "20bn/10.webm", "20bn/11.webm", "frames/9/00001.jpg", "frames/9/00002.jpg")
    data = open_classes(tmp_path)
    assert data.classes == tuple(names)
    assert listed(data, "train") == [
        ("frames/9", "Pulling something from left to right"),
        ("20bn/10.webm", "Holding something"),
    ]
    assert listed(data, "val") == [("20bn/11.webm", "Holding something")]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,x,4,then,train,0", "Line 2 of .*train.csv has no whole seconds"),
        ("a,x,4,4,train,0", "ends before it begins"),
        (",x,4,14,train,0", "lacks a label"),
        ("a,x,4,14,holdout,0", "unknown split"),
        ("a,x,4,14,train,0", "None of the 1 videos of .*train.csv such as x_000004_000014.mp4 lies below"),
    ],
)
def test_bad_annotations(tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "train.csv").write_text(HEADER + row + "\n")
    with pytest.raises(DataError, match=said):
        open_classes(tmp_path)


def test_labels_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps([{"id": 1, "template": "Holding [something]"}]))
    (tmp_path / "labels.json").write_text(json.dumps({"Pushing something": "0"}))
    lay(tmp_path, "1.webm")
    with pytest.raises(DataError, match=r"labels.json in .* lacks 'Holding something'"):
        open_classes(tmp_path)


def test_other_tables_and_json_are_none(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("path,label\n")
    (tmp_path / "train.json").write_text("[]")
    lay(tmp_path, "a/1.mp4", "b/1.mp4")
    assert open_classes(tmp_path, val_fraction=0).classes == ("a", "b")
