"""The command line: exit codes, one sentence for each mistake, and the chain of verbs."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import swinkit
import swinkit.training.run
from swinkit import __version__
from swinkit.cli.demo import unpack
from swinkit.config.base import read_yaml
from swinkit.models.variants import VARIANTS
from swinkit.training.run_folder import Run
from tests.conftest import CLASSES, Ended, Swin, make_set, save_huge

LIGHT = ("--workers", "0", "--device", "cpu", "--no-progress")


def is_one_sentence(text: str) -> bool:
    return bool(text) and text.endswith((".", "?")) and "Traceback" not in text and "Error" not in text


# --- the chain -----------------------------------------------------------------------------------------


def test_train_evaluate_predict(
    swin: Swin, dataset: Path, tiny_file: Path, pictures: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    ended = swin("train", dataset, "--model", tiny_file, "--epochs", 2, "--out", out, "--lr", "3e-3", *LIGHT)
    assert (ended.code, ended.err) == (0, "")
    assert f"Run folder: {out}" in ended.out
    assert "top1" in ended.out
    assert "18" in ended.out
    config = read_yaml(out / "config.yaml")
    assert (config["epochs"], config["lr"], config["data"]) == (2, 3e-3, str(dataset))

    ended = swin("evaluate", out, dataset, "--split", "train", "--out", tmp_path / "figures", *LIGHT)
    assert ended.code == 0
    report = json.loads((tmp_path / "figures" / "evaluation.json").read_text(encoding="utf-8"))
    assert f"{report['metrics']['top1']:.2f} %" in ended.out
    assert "48" in ended.out

    files = {kind: tmp_path / f"results.{kind}" for kind in ("json", "csv")}
    ended = swin(
        *("predict", out, *pictures, "--json", files["json"], "--csv", files["csv"]),
        *("--out", tmp_path / "drawn", "--topk", 2, *LIGHT),
    )
    assert ended.code == 0
    assert f"Annotated pictures: {tmp_path / 'drawn'}" in ended.out
    assert len(list((tmp_path / "drawn").iterdir())) == 3
    results = json.loads(files["json"].read_text(encoding="utf-8"))
    assert [row["path"] for row in results] == list(map(str, pictures))
    assert all(len(row["classes"]) == 2 for row in results)
    with files["csv"].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["rank"]) for row in rows] == [(str(p), r) for p in pictures for r in "12"]
    assert rows[0]["name"] == results[0]["classes"][0]["name"]
    assert results[0]["classes"][0]["name"] in ended.out


def test_config_file_repeats_and_options_win(swin: Swin, tiny_file: Path, tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", {"train": 4, "val": 2})
    first = ("--augmentation.mixup", "0.5", "--seed", "3", "--epochs", "2", *LIGHT)
    assert swin("train", data, "--model", tiny_file, "--out", tmp_path / "a", *first).code == 0
    config = tmp_path / "a" / "config.yaml"
    ended = swin("train", "--config", config, "--out", tmp_path / "b")
    assert ended.code == 0
    same, own = read_yaml(tmp_path / "b" / "config.yaml"), read_yaml(config)
    assert same | {"out": ""} == own | {"out": ""}
    metrics = [(tmp_path / name / "metrics.csv").read_text().splitlines()[-1] for name in "ab"]
    assert metrics[0].rsplit(",", 1)[0] == metrics[1].rsplit(",", 1)[0]
    more = ("--epochs", "1", "--augmentation.cutmix", "0", "--no-ema")
    assert swin("train", "--config", config, "--out", tmp_path / "c", *more).code == 0
    changed = read_yaml(tmp_path / "c" / "config.yaml")
    assert (changed["epochs"], changed["ema"], changed["seed"]) == (1, False, 3)
    assert (changed["augmentation"]["mixup"], changed["augmentation"]["cutmix"]) == (0.5, 0)


def test_a_replaced_head_is_reported(swin: Swin, tiny_file: Path, tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", {"train": 3, "val": 1}, classes=("x", "y"))
    ended = swin("train", data, "--model", tiny_file, "--epochs", 1, "--out", tmp_path / "run", *LIGHT)
    assert ended.code == 0
    assert "head" in ended.err


def test_progress_says_what_a_person_wants_to_know(swin: Swin, tiny_file: Path, tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", {"train": 3, "val": 1})
    ended = swin(
        *("train", data, "--model", tiny_file, "--epochs", 2, "--out", tmp_path / "run"), *LIGHT[:-1]
    )
    assert "epoch 1/2 loss " in ended.err
    assert "images/s" in ended.err
    assert "ETA 0:00:" in ended.err
    assert "val top1" in ended.err


def test_models_lists_all_with_cost(swin: Swin) -> None:
    ended = swin("models")
    assert (ended.code, ended.err) == (0, "")
    assert all(name in ended.out for name in VARIANTS)
    assert "28.3 M" in ended.out
    assert "4.49 G" in ended.out


def test_help_and_version(swin: Swin) -> None:
    assert swin("--version") == Ended(0, __version__, "")
    ended = swin("--help")
    assert ended.code == 0
    assert all(verb in ended.out for verb in ("train", "evaluate", "predict", "models", "demo"))
    ended = swin("train", "--help")
    assert ended.code == 0
    words = ("--epochs", "--augmentation.mixup", "--resume", "Peak learning rate", "--no-ema")
    assert all(word in ended.out for word in words)


@pytest.mark.parametrize("numbers", [("0.1", "0.2", "0.3"), ("0.1", "--mean", "0.2", "--mean", "0.3")])
def test_several_numbers_of_an_option(
    swin: Swin, dataset: Path, numbers: tuple[str, ...], tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "run", "--epochs", "1")
    ended = swin(
        "train", dataset, "--model", "swin_pico", "--mean", *numbers, "--std", "1", "1", "1", *out, *LIGHT
    )
    assert ended.code == 0
    assert read_yaml(tmp_path / "run" / "config.yaml")["mean"] == [0.1, 0.2, 0.3]


def test_python_m_swinkit_is_swin() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "swinkit", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == __version__


# --- misuse: exit code 2 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("trian data", 'Unknown command "trian". Did you mean "train"?'),
        ("train data --epoch 3", "Unknown option: --epoch. Did you mean --epochs?"),
        ("train data --augmentation.mixupp 1", "Did you mean --augmentation.mixup?"),
        ("predict run a.png --topkk 3", "Did you mean --topk?"),
        ("train data --epochs many", "--epochs many does not fit"),
        ("train data --epochs 0", "--epochs 0 does not fit: input should be greater than or equal to 1."),
        ("train data --lr -3", "--lr -3 does not fit"),
        ("train data --precision fp8", "--precision fp8 does not fit"),
        ("train data extra", "extra"),
        ("train", "Training needs data"),
        ("predict run", "PATHS"),
        ("evaluate run", "DATA"),
        ("train data --resume run", "give --resume alone"),
        ("train --resume run --epochs 9", "give --resume alone"),
        ("train data --config nothing.yaml", "nothing.yaml cannot be read"),
        ("evaluate run data --split all", "--split all does not fit"),
        ("train data --device gpu", "--device gpu is no device"),
    ],
)
def test_misuse_ends_with_code_2(
    swin: Swin, command: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = swin(*command.split())
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert is_one_sentence(ended.err.split(" Available commands")[0])
    assert list(tmp_path.iterdir()) == []


def test_a_config_with_an_unknown_key(swin: Swin, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("epoch: 3\n")
    ended = swin("train", dataset, "--config", tmp_path / "c.yaml")
    assert ended.code == 2
    assert ended.err == "There is no option 'epoch': did you mean 'epochs'?"


# --- bad input: exit code 1 ----------------------------------------------------------------------------


def bad_data(root: Path, kind: str) -> Path:
    root.mkdir()
    if kind == "one class":
        make_set(root, {"train": 2, "val": 2}, classes=("only",))
    elif kind == "no class folders":
        Image.new("RGB", (8, 8)).save(root / "a.png")
    elif kind == "unknown class in val":
        make_set(root, {"train": 2}, classes=("a", "b"))
        make_set(root, {"val": 2}, classes=("a", "c"))
    elif kind == "only text":
        for name in "ab":
            (root / name).mkdir()
            for i in range(3):
                (root / name / f"{i}.jpg").write_text("text")
    elif kind == "empty class":
        make_set(root, {"train": 2, "val": 1}, classes=("a", "b"))
        (root / "train" / "c").mkdir()
    elif kind == "one picture each":
        make_set(root, {"": 1}, classes=("a", "b"))
    elif kind == "only val":
        make_set(root, {"val": 2}, classes=("a", "b"))
    elif kind == "unreadable class":
        make_set(root, {"train": 2, "val": 1}, classes=("a", "b"))
        for i in range(2):
            (root / "train" / "b" / f"{i}.png").write_text("text")
    return root


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty folder", "holds no class folders; put the images of each class into a folder of its name."),
        ("one class", "has only the class 'only', but 2 are needed; add classes"),
        ("no class folders", "holds 1 images but no class folders"),
        ("unknown class in val", "val has classes that train lacks: 'c'"),
        ("only text", "No image of train in"),
        ("empty class", "Class folders without images in"),
        ("one picture each", "leaves no image for validation"),
        ("only val", "has no part train, only val: add a folder train of class folders."),
        ("unreadable class", "No image of the class 'b' in"),
    ],
)
def test_bad_data_end_in_one_sentence(swin: Swin, tmp_path: Path, kind: str, message: str) -> None:
    data = bad_data(tmp_path / "set", kind)
    ended = swin("train", data, "--model", "swin_pico", "--out", tmp_path / "run", *LIGHT)
    assert (ended.code, ended.out) == (1, "")
    assert message in ended.err
    assert is_one_sentence(ended.err)
    assert not (tmp_path / "run").exists()


def test_odd_pictures_among_good_ones(swin: Swin, tiny_file: Path, tmp_path: Path) -> None:
    """A class missing in val, a text file, one pixel, and 30,000 pixels a side: training goes on."""
    data = make_set(tmp_path / "set", {"train": 4, "val": 2})
    shutil.rmtree(data / "val" / CLASSES[2])
    odd = data / "train" / CLASSES[1]
    (odd / "text.jpg").write_text("text")
    Image.new("RGB", (1, 1), (0, 255, 0)).save(odd / "one.png")
    Image.new("RGB", (30_000, 8), (0, 255, 0)).save(odd / "long.png")
    save_huge(odd / "big.png")
    ended = swin("train", data, "--model", tiny_file, "--epochs", 1, "--out", tmp_path / "run", *LIGHT)
    assert ended.code == 0
    notes = ended.err.split("Note: ")
    assert len(notes) == 4
    for message in ("no image of 'red lines' in val", "text.jpg", "900,000,000 pixels, above the limit"):
        assert len([note for note in notes if message in note]) == 1


def test_classes_that_the_model_does_not_know(swin: Swin, run: Run, tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", {"": 1}, classes=("cat", "dog"))
    ended = swin("evaluate", run.path, data, "--out", tmp_path / "out")
    assert ended.code == 1
    assert "classes that the model does not know: 'cat', 'dog'; it knows 'dots, blue'" in ended.err
    assert is_one_sentence(ended.err)


@pytest.mark.parametrize("command", ["train", "evaluate", "predict --out", "predict --json", "predict --csv"])
def test_no_place_to_write(
    swin: Swin, run: Run, dataset: Path, tiny_file: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").write_text("")
    verb, _, option = command.partition(" ")
    target = tmp_path / "file" / "below"
    arguments = {
        "train": (dataset, "--model", tiny_file, "--out", target),
        "evaluate": (run.path, dataset, "--out", target),
        "predict": (run.path, dataset / "val" / CLASSES[0] / "0.png", option, target),
    }[verb]
    ended = swin(verb, *arguments, *LIGHT)
    assert ended.code == 1
    assert str(target) in ended.err
    assert "choose another place" in ended.err
    assert is_one_sentence(ended.err)
    assert (tmp_path / "file").read_text() == ""


def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    swin: Swin, run: Run, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    files = ("--json", tmp_path / "file" / "a.json", "--csv", tmp_path / "a.csv")
    ended = swin("predict", run.path, pictures[0], *files, *LIGHT)
    assert (ended.code, ended.out) == (1, "")
    assert "choose another place" in ended.err
    assert not (tmp_path / "a.csv").exists()


def test_an_unreadable_picture_gives_code_1_and_the_others_are_answered(
    swin: Swin, run: Run, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the table breaks long paths, and what stands beside them
    Path("text.jpg").write_text("text")
    table = tmp_path / "answers.csv"
    ended = swin("predict", run.path, "text.jpg", pictures[1], "--csv", table, *LIGHT)
    assert ended.code == 1
    assert "no image" in ended.out
    assert "is no image" in table.read_text()
    assert CLASSES[1] in ended.out
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "nothing", "a.png"), "There is no"),
        (("predict", "{run}", "nothing.png"), "There is no file or folder nothing.png; check the path."),
        (("predict", "{run}", "*.tiff"), "*.tiff"),
        (("evaluate", "{run}", "nothing"), "There is no folder or file nothing; check the path."),
        (("evaluate", "{run}", "{data}", "--split", "test"), "has no part 'test': it has train, val."),
        (
            ("train", "{data}", "--model", "swin_tt"),
            "no model, file or run folder swin_tt: did you mean 'swin_t'?",
        ),
        (("train", "{data}", "--model", "swin_pico", "--out", "{run}"), "already holds a run"),
        (("train", "--resume", "{data}"), "is no run folder: it holds no config.yaml."),
        (("evaluate", "{data}", "{data}"), "is it a run folder?"),
    ],
)
def test_what_is_not_there(
    swin: Swin,
    run: Run,
    dataset: Path,
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = swin(*(word.format(run=run.path, data=dataset) for word in arguments))
    assert (ended.code, ended.out) == (1, "")
    assert message in ended.err
    assert is_one_sentence(ended.err)


@pytest.mark.parametrize("name", ["a[red]b.png", "a[/b].png"])
def test_names_are_printed_to_the_letter(
    swin: Swin, run: Run, pictures: list[Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    shutil.copy(pictures[0], tmp_path / name)
    ended = swin("predict", run.path, ".", *LIGHT)
    assert ended.code == 0
    assert name in ended.out


# --- Ctrl-C --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        pytest.param("Stopped."),
    ],
)
def test_ctrl_c_in_a_verb_is_code_130(swin: Swin, monkeypatch: pytest.MonkeyPatch, sentence: str) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(swinkit.training.run, "open_data", pressed)
    ended = swin("train", "data")
    assert (ended.code, ended.out) == (130, "")
    assert sentence in ended.err


def test_a_locked_file_is_one_sentence(
    swin: Swin, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "x.jpg"))

    monkeypatch.setattr(swinkit, "predict", locked, raising=False)
    ended = swin("predict", run.path, tmp_path / "x.jpg", *LIGHT)
    said = f"{tmp_path / 'x.jpg'}: Permission denied; check access rights and the room on the disk."
    assert ended == Ended(1, "", said)


def test_ctrl_c_in_training_loses_nothing(dataset: Path, tiny_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["train", dataset, "--model", tiny_file, "--epochs", 500, "--out", out, *LIGHT]
    child = subprocess.Popen(
        [sys.executable, "-m", "swinkit", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 90
        while not (out / "metrics.csv").exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        printed, error = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert (child.returncode, printed) == (130, "")
    assert len(error.splitlines()) == 1
    assert is_one_sentence(error.strip())
    assert f"continue with `swin train --resume {out}`" in error

    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert swinkit.load(out).classes == CLASSES
    done = len((out / "metrics.csv").read_text().splitlines()) - 1
    assert 1 <= done < 500
    config = (out / "config.yaml").read_text()
    (out / "config.yaml").write_text(config.replace("epochs: 500", f"epochs: {done + 1}", 1))
    resumed = swinkit.train(resume=out)
    assert resumed.metrics["images"] == 18
    assert len((out / "metrics.csv").read_text().splitlines()) - 1 == done + 1


# --- the demo ------------------------------------------------------------------------------------------


def test_half_unpacked_pictures_are_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_off(archive: zipfile.ZipFile, folder: str) -> None:
        (Path(folder) / "fashion_mnist").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", broken_off)
        with pytest.raises(KeyboardInterrupt):
            unpack(tmp_path / "demo")
    assert list((tmp_path / "demo").iterdir()) == []
    assert len(list(unpack(tmp_path / "demo").glob("*/*/*.png"))) == 9500


@pytest.mark.slow
def test_demo(swin: Swin, tmp_path: Path) -> None:
    ended = swin("demo", "--out", tmp_path / "demo", "--epochs", 1)
    assert ended.code == 0
    *_, figure, sign = ended.out.split()
    assert sign == "%"
    assert float(figure) > 40
    assert f"top-1 {figure} %" in ended.out
    (run,) = (tmp_path / "demo").glob("run-*")
    assert {"best.safetensors", "predictions.png", "windows.png", "predicted"} <= {
        p.name for p in run.iterdir()
    }
    assert len(list((run / "predicted").iterdir())) == 10
    again = swin("demo", "--out", tmp_path / "demo", "--epochs", 1)
    assert again.code == 0
    assert len(list((tmp_path / "demo").glob("run-*"))) == 2


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    swin: Swin, dataset: Path, tiny_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    code, text, _ = swin(
        "train", dataset, "--model", tiny_file, "--recipe", "small_data", "--global-batch", "24", "--dry-run",
        "--out", out,
    )  # fmt: skip
    assert code == 0
    for words in (
        "task │ classify",
        "head │ linear, 3 classes: ",
        "device │ cpu, precision ",
        "splits │ train 48, val 18",
        "decay.4",
        "no_decay.0",
        "48 images",
        "= 24 a step",
        "30 epochs = 60 steps, 6 of them",
        "█",
    ):
        assert words in text
    assert not out.exists()
    code, _, err = swin("train", dataset, "--recipe", "smal_data", "--dry-run")
    assert (code, "did you mean 'small_data'?" in err) == (2, True)


def test_a_dry_run_of_a_resumed_run_trains_nothing(swin: Swin, run: Run) -> None:
    code, _, err = swin("train", "--resume", run.path, "--dry-run")
    assert (code, "give --resume alone" in err) == (2, True)
