"""Broken pictures in training, rare classes, trackers."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import swinkit
from swinkit.config.train import TrainConfig
from swinkit.data.classification.samples import Sample, Samples
from swinkit.data.sampler import SeededBatches
from swinkit.errors import ConfigError, RunError
from swinkit.training.faults import Unreadable, too_many
from swinkit.training.loggers import make_loggers
from swinkit.training.run_folder import Run
from tests.conftest import CLASSES, QUICK, Swin, make_set


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """300 training pictures."""
    return make_set(tmp_path / "set", {"train": 100, "val": 2})


@pytest.fixture
def fit(data: Path, tiny_file: Path, tmp_path: Path) -> Callable[..., Run]:
    def train(**options: Any) -> Run:
        return swinkit.train(data, model=tiny_file, out=tmp_path / "run", **{**QUICK, "epochs": 3, **options})

    return train


def cut(folder: Path, count: int) -> list[Path]:
    """Files whose header is whole, and nothing behind it."""
    paths = []
    for i in range(count):
        paths.append(folder / f"{i}.png")
        Image.effect_noise((64, 64), 90).save(paths[-1])
        paths[-1].write_bytes(paths[-1].read_bytes()[:900])
    return paths


@pytest.mark.parametrize(
    ("broken", "images", "stops"), [(3, 10, False), (4, 10, True), (13, 1300, False), (14, 1300, True)]
)
def test_one_percent(broken: int, images: int, stops: bool) -> None:
    assert too_many(broken, images) is stops


def test_broken_pictures_are_named_once(data: Path, fit: Callable[..., Run], capsys: Any) -> None:
    """Over three epochs and validation; the run goes on."""
    paths = [*cut(data / "train" / CLASSES[0], 3), *cut(data / "val" / CLASSES[1], 1)]
    done = fit()
    screen = "".join(capsys.readouterr().err.split())
    listed = (done.path / "unreadable.txt").read_text(encoding="utf-8").splitlines()
    assert len(listed) == 4
    for path in paths:
        assert sum(str(path) in line for line in listed) == 1
    for path in paths[:3]:
        assert screen.count("".join(f"{path}iscutshort".split())) == 1
    assert "4filescouldnotberead" in screen


@pytest.mark.parametrize("workers", [0, 2])
def test_more_than_one_percent_stops(
    data: Path, fit: Callable[..., Run], tmp_path: Path, workers: int
) -> None:
    paths = cut(data / "train" / CLASSES[0], 4)
    with pytest.raises(
        RunError, match=r"^4 of 300 training images cannot be read, more than 1 %: "
    ) as stopped:
        fit(workers=workers)
    listed = (tmp_path / "run" / "unreadable.txt").read_text(encoding="utf-8")
    for path in paths:
        assert str(path) in listed
        assert str(path) in str(stopped.value)


def test_more_than_one_percent_without_a_header_stops_at_once(
    data: Path, tmp_path: Path, tiny_file: Path, swin: Swin
) -> None:
    for i in range(4):
        (data / "train" / CLASSES[1] / f"{i}.png").write_text("no picture")
    ended = swin("train", data, "--model", tiny_file, "--out", tmp_path / "run")
    assert ended.code == 1
    assert "4 of 300 training images cannot be read, more than 1 %" in ended.err
    assert "--fix-list" in ended.err
    assert not (tmp_path / "run").exists()


def test_the_rule_holds_for_a_resumed_run(data: Path, fit: Callable[..., Run], tmp_path: Path) -> None:
    cut(data / "train" / CLASSES[0], 5)
    for again in (False, True):
        with pytest.raises(RunError, match=r"^[45] of 300 training images cannot be read, more than 1 %: "):
            swinkit.train(resume=tmp_path / "run") if again else fit(save_minutes=0)


def test_what_validation_leaves_out_does_not_count(tmp_path: Path) -> None:
    list_ = Unreadable(tmp_path / "unreadable.txt", 48, "image", Console(quiet=True))
    for i in range(9):
        list_.note([f"val/{i}.png is broken."], training=False)
    for _ in range(9):
        list_.note(["0.png is broken.", "1.png is broken.", "2.png is broken."], training=True)
    with pytest.raises(RunError, match=r"^4 of 48 training images .*: 0\.png is broken"):
        list_.note(["3.png is broken."], training=True)


def test_a_list_goes_on_with_the_run(tmp_path: Path) -> None:
    path, console = tmp_path / "unreadable.txt", Console(quiet=True)
    path.write_text("old.png is broken.\n")
    list_ = Unreadable(path, 1000, "image", console)
    list_.note(["new.png is broken.", "old.png is broken."], training=True)
    assert path.read_text() == "old.png is broken.\nnew.png is broken.\n"


# --- rare classes ----------------------------------------------------------------------------------------


def test_balanced_sampling_draws_classes_equally() -> None:
    samples = Samples(Sample(Path(f"{i}.png"), int(i >= 90)) for i in range(100))
    order = SeededBatches(1000, 10, shuffle=True, seed=1, chances=np.resize(samples.chances(2), 1000))
    drawn = Counter(draw.place % 100 >= 90 for batch in order for draw in batch)
    assert abs(drawn[True] - 500) < 80
    first, second = ([draw.place for batch in order for draw in batch] for _ in range(2))
    assert first != second
    again = SeededBatches(1000, 10, shuffle=True, seed=1, chances=np.resize(samples.chances(2), 1000))
    again.set_epoch(1)
    assert [draw.place for batch in again for draw in batch] == first


def test_a_rare_class_among_several_draws_its_pictures() -> None:
    samples = Samples([Sample(Path("a"), (0,)), Sample(Path("b"), (0, 1)), Sample(Path("c"), ())], multi=True)
    assert samples.chances(2).tolist() == pytest.approx([0.25, 0.5, 0.25])


def test_a_rare_class_is_learnt(tmp_path: Path, tiny_file: Path) -> None:
    data = make_set(tmp_path / "set", {"train": 30, "val": 4})
    for path in sorted((data / "train" / CLASSES[0]).iterdir())[2:]:
        path.unlink()
    options = {**QUICK, "epochs": 3, "lr": 3e-3, "sampling": "balanced", "class_weights": "balanced"}
    run = swinkit.train(data, model=tiny_file, out=tmp_path / "run", **options)
    assert run.metrics["images"] == 12
    with (run.path / "metrics.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 3


# --- trackers --------------------------------------------------------------------------------------------


def test_trackers_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = swinkit.training.run_folder.RunFolder(tmp_path)
    assert [type(logger).__name__ for logger in make_loggers(TrainConfig(data="x"), folder)] == [
        "TensorBoardLogger"
    ]
    assert make_loggers(TrainConfig(data="x", log=()), folder) == []
    folder.split_file.touch()

    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError

    for name, kind in (("wandb", "WandbLogger"), ("mlflow", "MLFlowLogger")):
        monkeypatch.setattr(f"pytorch_lightning.loggers.{kind}", missing)
        with pytest.raises(ConfigError, match=rf"pip install swinkit\[{name}\]"):
            make_loggers(TrainConfig(data="x", log=(name,)), folder)
    with pytest.raises(ConfigError, match=r"`log\.0='comet'` does not fit"):
        TrainConfig.checked({"data": "x", "log": ["comet"]})
