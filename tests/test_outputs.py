"""Outputs never replace what swinkit has not written, unless told to; what it wrote is known again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image
from safetensors.torch import save_file

import swinkit
from swinkit.bench import classification, rows, scaling
from swinkit.config.predict import PredictConfig
from swinkit.errors import ConfigError, DataError, RunError
from swinkit.files import check_target, is_ours, is_replaceable
from swinkit.inference.film import FilmFile
from swinkit.inference.timeline import TimelineTable
from swinkit.inference.video_frames import Sightings
from swinkit.models.convert import convert_file
from swinkit.results import Classes, Failure, write_csv, write_json
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.training.run_folder import Run
from swinkit.visualize.canvas import save_image
from tests.conftest import CLASSES, QUICK, Swin, make_set

LIGHT = ("--workers", "0", "--device", "cpu", "--no-progress")
RESULT = Classes('a "b" ü.png', (4, 5), (1, 0), ("dots", "grün"), (0.75, 0.25))


def write_film(path: Path) -> None:
    with FilmFile(path, 5) as film:
        film.add(Image.new("RGB", (32, 32)))


def write_timeline(path: Path) -> None:
    with TimelineTable(path):
        pass


def write_sightings(path: Path) -> None:
    with Sightings(PredictConfig(), 5, path):
        pass


def write_scaling(path: Path) -> None:
    path.write_text(scaling.figures([scaling.Point(next(iter(scaling.FORMULAS)), 224, [0.1])]))


def write_rows(path: Path) -> None:
    name, row = next(iter(classification.ROWS.items()))
    path.write_text(rows.figures([rows.Measured(name, row, 1, 1)], "top1"))


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.png": lambda path: save_image(Image.new("RGB", (300, 300)), path),
    "a.json": lambda path: write_json([RESULT], path),
    "failed.json": lambda path: write_json([Failure("a.png", "is no image")], path),
    "a.csv": lambda path: write_csv([RESULT], path),
    "a.mp4": write_film,
    "timeline.csv": write_timeline,
    "objects.csv": write_sightings,
    "a.safetensors": lambda path: Vocabulary(("a",), torch.ones(1, 4)).save(path),
    "scaling.json": write_scaling,
    "rows.json": write_rows,
}
THEIRS: dict[str, bytes] = {
    "a.json": b'{"images": [], "annotations": []}',
    "list.json": b'[{"path": "a.png", "label": "cat"}]',
    "results.json": b'[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]',
    "a.csv": b"path,label\na.png,cat\n",
    "a.txt": b"a.png\nb.png\n",
    "a.pth": b"PK\x03\x04weights",
    "broken.safetensors": b"\xff" * 64,
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_swinkit_writes_is_known_again(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    assert is_ours(tmp_path / name)
    assert check_target(tmp_path / name) == tmp_path / name


@pytest.mark.parametrize("dialect", ["timm", "microsoft", "openmmlab", "torchvision", "huggingface"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_converted_weights_are_known_again(dialect: str, suffix: str, tmp_path: Path) -> None:
    settings = {"embed_dim": 8, "depths": (2, 2, 2, 2), "num_heads": (2, 2, 2, 2), "img_size": 224}
    model = swinkit.create("swin_t", classes=["cat", "dog"], **settings)
    path = swinkit.save(model, tmp_path / "m.safetensors")
    out = tmp_path / (f"out{suffix}" if dialect != "huggingface" else "folder")
    convert_file(path, out, to=dialect)
    written = [out] if out.is_file() else sorted(out.iterdir())
    assert all(map(is_ours, written))
    convert_file(path, out, to=dialect)
    if suffix == ".pth" and out.is_file():  # the mark does not stand in the way of torch's own reader
        assert torch.load(out, weights_only=True, mmap=True)


@pytest.mark.parametrize("name", THEIRS)
def test_what_others_wrote_is_refused_unless_told_to(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(THEIRS[name])
    with pytest.raises(
        ConfigError, match="swinkit has not written it: give another name, or set `overwrite`"
    ):
        check_target(path)
    assert check_target(path, overwrite=True) == path
    with pytest.raises(ConfigError, match=r"is no \.png"):  # of another kind it is a slip all the same
        check_target(path, ".png", overwrite=True)


def test_nothing_is_lost_with_an_empty_file_or_a_new_name(tmp_path: Path) -> None:
    (tmp_path / "empty.json").touch()
    assert check_target(tmp_path / "empty.json", ".json")
    assert check_target(tmp_path / "new.json", ".json")
    (tmp_path / "dangling.json").symlink_to(tmp_path / "gone.json")
    for path, message in (
        (tmp_path, "is a folder: give the name of a file"),
        (Path("/dev/null"), "is no regular file"),
        (tmp_path / "dangling.json", "swinkit has not written it"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_target(path)
    assert not is_replaceable(tmp_path / "gone.json")


# --- every command -------------------------------------------------------------------------------------


def commands(run: Run, data: Path, folder: Path) -> dict[str, tuple[tuple[str | Path, ...], Path, bytes]]:
    """Command lines without --overwrite, the user's file that each would replace, and what is in it."""
    photo = data / "val" / CLASSES[0] / "0.png"
    theirs = photo.read_bytes()
    figures, report = folder / "figures", folder / "report"
    predict = ("predict", run.path, photo, *LIGHT)
    evaluate = ("evaluate", run.path, data, "--out", figures, *LIGHT)
    check = ("data", "check", data)
    return {
        "predict json": ((*predict, "--json", folder / "a.json"), folder / "a.json", b"[1]"),
        "predict csv": ((*predict, "--csv", folder / "a.csv"), folder / "a.csv", b"path,label"),
        "evaluate report": (evaluate, figures / "evaluation.json", b"{}"),
        "evaluate picture": (evaluate, figures / "confusion.png", theirs),
        "benchmark": (
            ("benchmark", run.path, "--out", report, "--rounds", "1", "--device", "cpu"),
            *(report / "benchmark.json", b"{}"),
        ),
        "convert": (("convert", run.path, folder / "a.pth", "--to", "microsoft"), folder / "a.pth", b"PK"),
        "convert folder": (
            ("convert", run.path, folder / "hf", "--to", "huggingface"),
            *(folder / "hf" / "config.json", b"{}"),
        ),
        "check sheet": ((*check, "--out", photo), photo, theirs),
        "check list": (
            (*check, "--out", folder / "s.png", "--fix-list", folder / "l.txt"),
            folder / "l.txt",
            b"a",
        ),
        "check problems": ((*check, "--out", folder / "s.png"), folder / "s-problems.txt", b"mine"),
        "compare": (
            ("compare", "classification", "Swin-T", "--rounds", "0", "--json", folder / "c.json"),
            *(folder / "c.json", b"[]"),
        ),
    }


@pytest.mark.parametrize("name", [
    *("predict json", "predict csv", "evaluate report", "evaluate picture", "benchmark", "convert"),
    *("convert folder", "check sheet", "check list", "check problems", "compare"),
])  # fmt: skip
def test_no_command_replaces_the_users_file(
    name: str, swin: Swin, run: Run, dataset: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(dataset, tmp_path / "set"))
    words, path, content = commands(run, data, tmp_path)[name]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    ended = swin(*words)
    assert (ended.code, ended.out) == (2, "")
    assert f"{path} is there already, and swinkit has not written it" in ended.err
    assert path.read_bytes() == content
    if name in ("convert", "compare", "predict json"):  # allowed, and then known again
        assert swin(*words, "--overwrite").code == 0
        assert is_ours(path)
        assert swin(*words).code == 0


def test_a_report_may_be_made_again(swin: Swin, run: Run, dataset: Path, tmp_path: Path) -> None:
    words = ("evaluate", run.path, dataset, "--out", tmp_path, *LIGHT)
    for _ in range(2):
        assert swin(*words).code == 0
    report = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert report.pop("creator") == "made by swinkit"
    old = tmp_path / "evaluation.json"  # as it was written before reports named their creator
    old.write_text(json.dumps(report, indent=2))
    assert swin(*words).code == 0


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_sheet_does_not_replace_an_image_of_the_data(swin: Swin, tmp_path: Path, split: str) -> None:
    """Images that swinkit drew, and that somebody then trains on, are theirs."""
    data = make_set(tmp_path / "data", {"train": 3, "val": 3})
    path = data / split / CLASSES[0] / "0.png"
    save_image(Image.new("RGB", (32, 32)), path)
    before = path.read_bytes()
    done = swin("data", "check", str(data), "--out", str(path))
    assert (done.code, path.read_bytes()) == (2, before)
    assert "is a file of the data set" in done.err


@pytest.mark.parametrize(
    "name", ["best.safetensors", "last.ckpt", "metrics.csv", "split.csv", "curves.png", "notes.txt"]
)
def test_a_run_replaces_nothing(name: str, dataset: Path, tiny_file: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises((ConfigError, RunError), match=f"{name} is there already"):
        swinkit.train(dataset, model=tiny_file, out=tmp_path, **(QUICK | {"epochs": 1}))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"mine"


def test_shards_do_not_go_among_other_files(swin: Swin, tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", {"train": 2})
    before = sorted(data.rglob("*"))
    for out in (data, data / "train"):
        ended = swin("data", "shard", data, out)
        assert (ended.code, "give a folder that is new or empty" in ended.err) == (1, True)
    assert sorted(data.rglob("*")) == before
    with pytest.raises(DataError, match="new or empty"):
        swinkit.api.shard_data(data, data / "train" / CLASSES[0] / "0.png", progress=False)


def test_weights_are_not_converted_onto_themselves(swin: Swin, tiny_file: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(tiny_file, tmp_path / "m.safetensors"))
    before = path.read_bytes()
    for words in ((), ("--overwrite",)):
        ended = swin("convert", path, path, "--to", "safetensors", *words)
        assert (ended.code, "is the file to convert: give another name" in ended.err) == (2, True)
    assert path.read_bytes() == before


def test_save_refuses_others_weights(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file({"a": torch.ones(2)}, path)
    with pytest.raises(ConfigError, match="swinkit has not written it"):
        swinkit.save(run.model, path)
    assert list(safetensors.torch.load_file(path)) == ["a"]
    swinkit.save(run.model, path, overwrite=True)
    swinkit.save(run.model, path)
    assert swinkit.load(path).classes == run.model.classes


def test_python_converts_and_inspects_as_the_command_does(tiny_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(b"theirs")
    with pytest.raises(ConfigError, match="swinkit has not written it"):
        swinkit.convert(tiny_file, path, to="microsoft")
    report = swinkit.convert(tiny_file, path, to="microsoft", overwrite=True)
    assert report.loaded
    assert swinkit.inspect(path)["dialect"] == "microsoft"
    assert swinkit.inspect(str(tiny_file))["dialect"] == "swinkit"
