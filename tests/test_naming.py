"""Models whose classes have numbers alone: names from the command line, from files, from the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import swinkit
from swinkit.data.names.reading import read_names
from swinkit.errors import ConfigError
from tests.conftest import CLASSES, TINY, Swin, make_set

NAMES = ["ash", "beech", "cedar"]


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Other people's weights: three classes without names."""
    torch.manual_seed(0)
    model = swinkit.create("swin_pico", 3, **TINY)
    torch.save(swinkit.to_dialect(model, "microsoft"), tmp_path / "x.pth")
    return tmp_path / "x.pth"


FILES = {
    "x.txt": "ash\nbeech\n\ncedar\n",
    "bom.txt": "\ufeffash\r\nbeech\r\ncedar",
    "x.json": json.dumps(NAMES),
    "ids.json": json.dumps({"id2label": {"0": "ash", "2": "cedar", "1": "beech"}}),
    "index.json": json.dumps({"cedar": 2, "ash": 0, "beech": 1}),
    "coco.json": json.dumps(
        [{"id": 2, "name": "beech"}, {"id": 1, "name": "ash"}, {"id": 3, "name": "cedar"}]
    ),
    "one.csv": "ash\nbeech\ncedar\n",
    "head.csv": "name\nash\nbeech\ncedar\n",
    "ids.csv": "id,name\n2,cedar\n0,ash\n1,beech\n",
    "bare.csv": "1;beech\n0;ash\n2;cedar\n",
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_names(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8", newline="")
    assert read_names(tmp_path / name) == NAMES
    assert read_names([str(tmp_path / name)]) == NAMES


def test_names_and_lists() -> None:
    assert read_names(NAMES) == NAMES
    assert len(read_names("imagenet-1k")) == len(read_names(["imagenet-1k"])) == 1000


@pytest.mark.parametrize(
    ("content", "name"),
    [("", "x.txt"), ("{", "x.json"), ("3", "x.json"), ('{"0": "a", "2": "b"}', "x.json"), (None, "x.txt")],
)
def test_bad_files_are_one_sentence(content: str | None, name: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=r"`classes='.*'` (cannot be read|holds no class names)"):
        read_names(tmp_path / name)


def test_load_takes_names_and_files(numbered: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    before = swinkit.load(numbered)
    for classes in (NAMES, tmp_path / "names.txt", str(tmp_path / "names.txt")):
        model = swinkit.load(numbered, classes=classes)
        assert model.classes == tuple(NAMES)
        assert torch.equal(model.state_dict()["head.weight"], before.state_dict()["head.weight"])


def test_predict_and_convert_name_classes(
    numbered: Path, pictures: list[Path], swin: Swin, tmp_path: Path
) -> None:
    (tmp_path / "names.csv").write_text("id,name\n2,cedar\n0,ash\n1,beech\n")
    for classes in (NAMES, [str(tmp_path / "names.csv")]):
        code, out, err = swin("predict", numbered, pictures[0], "--classes", *classes)
        assert (code, "cedar" in out and "beech" in out) == (0, True), err
    (row,) = swinkit.predict(swinkit.load(numbered), pictures[0], classes=tmp_path / "names.csv")
    assert {name for name, _ in row.lines()} <= set(NAMES)
    out = tmp_path / "named.safetensors"
    assert swin("convert", numbered, out, "--to", "safetensors", "--classes", *NAMES).code == 0
    assert swinkit.load(out).classes == tuple(NAMES)
    code, _, err = swin("predict", out, pictures[0], "--classes", "a", "b", "c")
    assert (code, "The model's classes have names ('ash', 'beech', 'cedar')" in err) == (2, True)


@pytest.mark.parametrize("command", ["predict", "evaluate", "convert"])
def test_a_wrong_count_is_one_sentence(
    command: str, numbered: Path, dataset: Path, pictures: list[Path], swin: Swin, tmp_path: Path
) -> None:
    words: dict[str, list[str | Path]] = {
        "predict": [pictures[0]],
        "evaluate": [dataset],
        "convert": [tmp_path / "y.safetensors", "--to", "safetensors"],
    }
    code, _, err = swin(command, numbered, *words[command], "--classes", "ash", "beech")
    assert code == 2
    assert "classes gives 2 names, and the model has 3 classes" in err


def test_evaluation_offers_the_sorted_order(
    numbered: Path, dataset: Path, swin: Swin, tmp_path: Path
) -> None:
    data = make_set(tmp_path / "set", {"val": 2}, classes=("c10", "c2", "C1"))
    code, _, err = swin("evaluate", numbered, data, "--out", tmp_path / "a")
    assert code == 0, err
    assert "classes are numbered; they are taken for those of the data, sorted: 'C1', 'c10', 'c2'" in err
    code, _, err = swin("evaluate", numbered, data, "--classes", "c2", "C1", "c10", "--out", tmp_path / "b")
    assert (code, "are numbered" in err) == (0, False)
    offered = swinkit.evaluate(numbered, data, progress=False)
    assert offered == swinkit.evaluate(numbered, data, classes=["C1", "c10", "c2"], progress=False)
    two = make_set(tmp_path / "two", {"val": 2}, classes=CLASSES[:2])
    code, _, err = swin("evaluate", numbered, two)
    assert (code, "has 2 classes, and the model 3, which are numbered: give --classes" in err) == (1, True)


def test_a_detector_filters_by_name_and_is_named_by_count(tmp_path: Path) -> None:
    from swinkit.config.predict import PredictConfig
    from swinkit.models.class_names import for_prediction

    small = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "channels": 8, "width": 8}
    torch.manual_seed(0)
    model = swinkit.create("swin_t", 3, task="detect", **small)
    task, config = for_prediction(model, PredictConfig.checked({"classes": NAMES}))
    assert (task.classes, config.classes, model.classes) == (tuple(NAMES), (), ("0", "1", "2"))
    _, config = for_prediction(model, PredictConfig.checked({"classes": ["1"]}))
    assert config.classes == ("1",)
    _, config = for_prediction(task, PredictConfig.checked({"classes": ["cedar"]}))
    assert config.classes == ("cedar",)
