"""swin data split: every kind of data, nothing in two splits, and training uses exactly what is stored."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Swin

import swinkit
from swinkit.api import check_data, convert_data
from swinkit.data.open import open_data
from swinkit.data.survey import image_of
from swinkit.errors import ConfigError, DataError

SIDE = 16


def draw(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(path)
    return path


def class_folders(root: Path) -> Path:
    for number in range(20):
        draw(root / ("ant", "bee")[number % 2] / f"{number}.png", number)
    return root


def class_table(root: Path) -> Path:
    rows = ["path,labels"]
    for number in range(20):
        draw(root / f"{number}.png", number)
        rows.append(f"{number}.png,{('ant', 'bee', 'ant|bee', '')[number % 4]}")
    (root / "set.csv").write_text("\n".join(rows))
    return root / "set.csv"


def captions(root: Path) -> Path:
    rows = ["path,caption"]
    for number in range(20):
        draw(root / f"{number}.png", number)
        rows += [f"{number}.png,number {number}", f"{number}.png,again {number}"]
    (root / "set.csv").write_text("\n".join(rows))
    return root / "set.csv"


def frame_folders(root: Path) -> Path:
    for number in range(20):
        for frame in range(4):
            draw(root / ("left", "up")[number % 2] / f"clip{number}" / f"{frame}.png", 10 * number + frame)
    return root


def masks(root: Path) -> Path:
    for number in range(20):
        draw(root / "images" / f"{number}.png", number)
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.full((SIDE, SIDE), number % 2, np.uint8)).save(root / "masks" / f"{number}.png")
    (root / "dataset.yaml").write_text("classes: [sky, road]\n")
    return root


def yolo(root: Path) -> Path:
    for number in range(20):
        draw(root / "images" / f"{number}.png", number)
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.25 0.25\n")
    (root / "classes.txt").write_text("ant\nbee\n")
    return root


def coco(root: Path) -> Path:
    images = [{"id": n, "file_name": f"{n}.png", "height": SIDE, "width": SIDE} for n in range(20)]
    annotations = [
        {"id": n, "image_id": n, "category_id": 3 + n % 2, "bbox": [2, 2, 5, 5], "area": 25, "iscrowd": 0}
        for n in range(20)
    ]
    categories = [{"id": 3, "name": "ant"}, {"id": 4, "name": "bee"}]
    for number in range(20):
        draw(root / "images" / f"{number}.png", number)
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    return root


def converted(to: str) -> Callable[[Path], Path]:
    def write(root: Path) -> Path:
        convert_data(yolo(root / "yolo"), root / to, to=to, progress=False)  # type: ignore[arg-type]
        return root / to

    return write


def shards(root: Path) -> Path:
    from swinkit.api import shard_data

    shard_data(class_folders(root / "folders"), root / "shards", size=7, progress=False)
    return root / "shards"


KINDS: dict[str, tuple[Callable[[Path], Path], str | None]] = {
    "class folders": (class_folders, None),
    "several labels": (class_table, None),
    "captions": (captions, None),
    "frame folders": (frame_folders, "video"),
    "masks": (masks, None),
    "yolo": (yolo, None),
    "coco": (coco, None),
    "voc": (converted("voc"), None),
    "box table": (converted("csv"), None),
    "shards": (shards, None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data(kind: str, tmp_path: Path) -> None:
    make, task = KINDS[kind]
    source = make(tmp_path / "set")
    counts = swinkit.split_data(source, tmp_path / "split", val=0.2, test=0.2, seed=1, task=task)
    whole = open_data(source, task=task, val_fraction=0)
    files = {str(image_of(sample)) for sample in whole.splits["train"]}
    # training asks for a val of its own and for another seed, and gets what is stored
    opened = open_data(tmp_path / "split", task=task, val_fraction=0.5, seed=7)
    names = {split: {str(image_of(one)) for one in own} for split, own in opened.splits.items()}
    assert [len(names[split]) for split in ("train", "val", "test")] == [12, 4, 4]
    assert set.union(*names.values()) == files
    assert counts == {split: len(own) for split, own in opened.splits.items()}
    assert type(opened) is type(whole)
    assert opened.classes == whole.classes
    # the same seed draws the same files again, another seed others
    again = swinkit.split_data(source, tmp_path / "again", val=0.2, test=0.2, seed=1, task=task)
    assert again == counts
    table = (tmp_path / "split" / "split.csv").read_text()
    assert (tmp_path / "again" / "split.csv").read_text() == table
    swinkit.split_data(source, tmp_path / "other", val=0.2, test=0.2, seed=2, task=task)
    assert (tmp_path / "other" / "split.csv").read_text() != table


def test_classes_are_drawn_evenly(tmp_path: Path) -> None:
    for number in range(30):
        draw(tmp_path / "set" / ("rare" if number < 5 else "common") / f"{number}.png", number)
    swinkit.split_data(tmp_path / "set", tmp_path / "split", val=0.2, test=0.2)
    opened = open_data(tmp_path / "split")
    counts = {split: samples.counts(2).tolist() for split, samples in opened.splits.items()}
    assert counts == {"train": [15, 3], "val": [5, 1], "test": [5, 1]}


def test_files_of_the_same_pixels_stay_together(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number in range(10):
        first = draw(root / ("ant", "bee")[number % 2] / f"{number}.png", number)
        Image.open(first).save(first.with_suffix(".bmp"))  # other bytes
        shutil.copy(first, first.with_name(f"copy-{number}.png"))
    swinkit.split_data(root, tmp_path / "split", val=0.2, test=0.2)
    report = check_data(tmp_path / "split", progress=False)
    counts = {split: sum(own) for split, own in report.counts.items()}
    assert counts == {"train": 18, "val": 6, "test": 6}
    assert {problem.kind for problem in report.problems} == {"twice"}


def test_stretches_of_a_video_stay_together(tmp_path: Path) -> None:
    rows = ["path,label,start,end"]
    for number in range(8):
        for frame in range(8):
            draw(tmp_path / f"film{number}" / f"{frame}.png", 10 * number + frame)
        rows += [f"film{number},{('left', 'up')[number % 2]},{start},{start + 4}" for start in (0, 4)]
    (tmp_path / "set.csv").write_text("\n".join(rows))
    swinkit.split_data(tmp_path / "set.csv", tmp_path / "split", val=0.25, test=0.25, task="video")
    with (tmp_path / "split" / "split.csv").open() as file:
        listed = list(csv.DictReader(file))
    films: dict[str, set[str]] = {}
    for row in listed:
        films.setdefault(row["path"].split("#")[0], set()).add(row["split"])
    assert len(listed) == 16
    assert len(films) == 8
    assert all(len(splits) == 1 for splits in films.values())


def test_splits_of_the_data_are_kept_or_drawn_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "set"
    for number in range(20):
        split = "val" if number < 4 else "train"
        draw(root / split / ("ant", "bee")[number % 2] / f"{number}.png", number)
    assert swinkit.split_data(root, tmp_path / "a", test=0.25) == {"train": 12, "val": 4, "test": 4}
    kept = {sample.path.name for sample in open_data(tmp_path / "a").splits["val"]}
    assert kept == {"0.png", "1.png", "2.png", "3.png"}
    assert swinkit.split_data(root, tmp_path / "b", val=0.5) == {"train": 10, "val": 10}
    assert "val split of the data (4)" in " ".join(capsys.readouterr().err.split())
    # a split of a split
    assert swinkit.split_data(tmp_path / "b", tmp_path / "c", test=0.2) == {"train": 8, "val": 10, "test": 2}
    # no val is asked for: training draws none of its own
    assert swinkit.split_data(root, tmp_path / "d", val=0) == {"train": 20}
    assert set(open_data(tmp_path / "d").splits) == {"train"}


def test_the_command_and_training(swin: Swin, tmp_path: Path) -> None:
    source, out = class_folders(tmp_path / "set"), tmp_path / "split"
    ended = swin("data", "split", source, "--out", out, "--val", "0.3", "--test", "0.2", "--seed", "3")
    assert ended.code == 0
    assert "train 10, val 6, test 4" in ended.out
    run = swinkit.train(
        out, out=tmp_path / "run", model="swin_pico", epochs=1, batch_size=5, img_size=32, device="cpu"
    )
    stored, used = ((folder / "split.csv").read_text() for folder in (out, tmp_path / "run"))
    assert sorted(used.splitlines()) == sorted(stored.splitlines())
    del run
    # our own split is replaced; a file of the user's is not
    assert swin("data", "split", source, "--out", out).code == 0
    (out / "split.yaml").unlink()
    refused = swin("data", "split", source, "--out", out)
    assert refused.code == 2
    assert "swinkit has not written it" in refused.err
    assert swin("data", "split", source, "--out", out, "--overwrite").code == 0


def test_what_cannot_be_split(swin: Swin, tmp_path: Path) -> None:
    source = class_folders(tmp_path / "set")
    with pytest.raises(ConfigError, match="together they must be less than 1"):
        swinkit.split_data(source, tmp_path / "split", val=0.5, test=0.5)
    with pytest.raises(ConfigError, match=r"val is 1\.5"):
        swinkit.split_data(source, tmp_path / "split", val=1.5)
    with pytest.raises(DataError, match="lies in the data set"):
        swinkit.split_data(source, source / "split")
    with pytest.raises(ConfigError, match="give a folder"):
        swinkit.split_data(source, draw(tmp_path / "image.png", 0))
    swinkit.split_data(source, tmp_path / "split")
    source.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="which does not exist: correct `source`"):
        open_data(tmp_path / "split")
