"""Training end to end on tiny pictures: what lies in the run folder, what repeats, resumes, stops."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch._dynamo.testing import CompileCounterWithBackend

import swinkit
from swinkit.api import dry_run
from swinkit.config.base import read_yaml
from swinkit.config.train import TrainConfig
from swinkit.data.classification.image_dataset import ImageDataset
from swinkit.errors import ConfigError, DataError, InterruptedRunError, RunError, WeightsError
from swinkit.tasks.classify import Classifier
from swinkit.training.callbacks import Checkpoint, ModelFiles, StopOnSignal
from swinkit.training.fit import prepare
from swinkit.training.module import TrainingModule
from swinkit.training.run_folder import Run, RunFolder, next_free
from tests.conftest import CLASSES, QUICK, make_set

FAST = {**QUICK, "lr": 3e-3}


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "last.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def rows(path: Path) -> list[dict[str, str]]:
    with (path / "metrics.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """What one test leaves behind shall not reach the next."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take most of the time of a tiny run; the shared `run` has them all."""
    monkeypatch.setattr("swinkit.training.callbacks.draw_curves", lambda *_: None)
    monkeypatch.setattr("swinkit.metrics.classify.ClassificationMetric.draw", lambda *_: [])


@pytest.fixture
def fit(no_charts: None, dataset: Path, tiny_file: Path, tmp_path: Path) -> Callable[..., Run]:
    """Train the tiny model on the tiny set into tmp_path/NAME."""

    def train(name: str = "run", data: Path = dataset, **options: Any) -> Run:
        return swinkit.train(data, model=tiny_file, out=tmp_path / name, **{**FAST, "epochs": 1, **options})

    return train


# --- the run folder ------------------------------------------------------------------------------------


def test_run_folder_holds_what_design_says(run: Run) -> None:
    names = {entry.name for entry in run.path.iterdir()}
    assert {
        "config.yaml",
        "split.csv",
        "last.ckpt",
        "last.safetensors",
        "best.safetensors",
        "metrics.csv",
        "curves.png",
        "confusion.png",
        "predictions.png",
        "evaluation.json",
    } <= names
    assert not [name for name in names if name.startswith(".")], "temporary files are left"
    events = next(run.path.glob("events.out.tfevents.*")).read_bytes()
    assert all(tag in events for tag in (b"train_loss", b"val_loss", b"val_top1"))
    for name in ("curves.png", "confusion.png", "predictions.png"):
        with Image.open(run.path / name) as image:
            image.load()
            assert min(image.size) > 100


def test_history_has_a_row_an_epoch(run: Run) -> None:
    history = rows(run.path)
    assert [float(row["epoch"]) for row in history] == [0, 1]
    assert [float(row["step"]) for row in history] == [3, 6]
    for row in history:
        assert {"train_loss", "val_loss", "val_top1", "lr", "seconds"} <= row.keys()
        assert 0 < float(row["train_loss"]) < 5
        assert 0 <= float(row["val_top1"]) <= 100
        assert float(row["val_images"]) == 18


def test_split_file_lists_every_picture(run: Run, dataset: Path) -> None:
    with (run.path / "split.csv").open(encoding="utf-8", newline="") as file:
        listed = {(row["path"], row["label"], row["split"]) for row in csv.DictReader(file)}
    expected = {
        (f"{split}/{name}/{i}.png", name, split)
        for split, count in (("train", 16), ("val", 6))
        for name in CLASSES
        for i in range(count)
    }
    assert listed == expected
    assert all((dataset / path).is_file() for path, _, _ in listed)


def test_run_is_what_its_folder_says(run: Run) -> None:
    report = json.loads((run.path / "evaluation.json").read_text(encoding="utf-8"))
    assert report["metrics"] == run.metrics
    assert report["split"] == "val"
    assert run.metrics["images"] == 18
    assert run.metrics["top1"] == max(float(row["val_top1"]) for row in rows(run.path))
    assert run.model.classes == CLASSES
    assert not run.model.training
    assert same(
        load_file(run.path / "best.safetensors"), load_file(swinkit.load(run.path).load_report.source)
    )


def test_it_learns(fit: Callable[..., Run]) -> None:
    """The tiny model has seen nothing; six epochs must beat chance (33 %) by far."""
    done = fit(epochs=6, ema=False, augmentation={"mix_prob": 0, "crop_scale": (0.7, 1), "erasing": 0})
    assert done.metrics["top1"] >= 80


def test_test_part_is_measured_too(fit: Callable[..., Run], tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", {"train": 4, "val": 2, "test": 3})
    done = fit(data=data)
    assert (done.metrics["images"], done.metrics["test_images"]) == (6, 9)
    report = json.loads((done.path / "evaluation.json").read_text(encoding="utf-8"))
    assert report["split"] == "test"


# --- repeat --------------------------------------------------------------------------------------------


def test_config_repeats_the_run(run: Run, tmp_path: Path) -> None:
    settings = read_yaml(run.path / "config.yaml") | {"out": str(tmp_path / "again")}
    again = swinkit.train(settings.pop("data"), **settings)
    assert again.metrics == run.metrics
    assert same(weights(again.path), weights(run.path))
    own, other = (read_yaml(path / "config.yaml") for path in (run.path, again.path))
    assert own | {"out": ""} == other | {"out": ""}


def test_config_repeats_the_run_from_another_place(
    fit: Callable[..., Run], dataset: Path, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset.parent)
    done = fit(data=Path("set"))
    monkeypatch.chdir(tmp_path)
    settings = read_yaml(done.path / "config.yaml") | {"out": str(tmp_path / "again")}
    assert same(weights(swinkit.train(settings.pop("data"), **settings).path), weights(done.path))


def test_config_finds_the_model_from_another_place(
    dataset: Path, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_file.parent)
    swinkit.train(dataset, model="tiny.safetensors", out=tmp_path / "run", epochs=1, **FAST)
    monkeypatch.chdir(tmp_path)
    settings = read_yaml(tmp_path / "run" / "config.yaml") | {"out": "again"}
    swinkit.train(settings.pop("data"), **settings)


def test_seed_decides(fit: Callable[..., Run]) -> None:
    one, other = fit("a", seed=1), fit("b", seed=2)
    assert not same(weights(one.path), weights(other.path))


# --- interruption and resume ---------------------------------------------------------------------------


def send_at(
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    hook: str,
    when: Callable[[Any], bool],
    number: int = signal.SIGINT,
) -> None:
    """Send this process a signal once, after a hook of a callback, where `when(trainer)` holds."""
    original, sent = getattr(owner, hook), []

    def wrapped(self: Any, trainer: Any, *rest: Any) -> None:
        original(self, trainer, *rest)
        if when(trainer) and not sent:
            sent.append(True)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(owner, hook, wrapped)


PLACES: dict[str, tuple[type, str, Callable[[Any], bool], int]] = {
    "in the first epoch": (ModelFiles, "on_train_batch_end", lambda t: t.global_step == 1, 0),
    "at the last batch of epoch 1": (ModelFiles, "on_train_batch_end", lambda t: t.global_step == 3, 0),
    "after epoch 1": (Checkpoint, "on_train_epoch_end", lambda t: t.current_epoch == 0, 1),
    "in epoch 2": (ModelFiles, "on_train_batch_end", lambda t: t.global_step == 5, 1),
    "at the last batch of all": (ModelFiles, "on_train_batch_end", lambda t: t.global_step == 9, 2),
    "in the validation of epoch 2": (
        StopOnSignal,
        "on_validation_batch_end",
        lambda t: t.current_epoch == 1,
        1,
    ),
    "after epoch 2": (Checkpoint, "on_train_epoch_end", lambda t: t.current_epoch == 1, 2),
}


@pytest.fixture(scope="module")
def unbroken(dataset: Path, tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("unbroken") / "run"
    return swinkit.train(dataset, model=tiny_file, out=out, **FAST, epochs=3, drop_path=0.3)


@pytest.mark.parametrize("place", PLACES)
def test_a_resumed_run_equals_an_unbroken_one(
    fit: Callable[..., Run], unbroken: Run, place: str, tmp_path: Path
) -> None:
    owner, hook, when, kept = PLACES[place]
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, owner, hook, when)
        with pytest.raises(InterruptedRunError, match="SIGINT") as error:
            fit(epochs=3, drop_path=0.3)
    text = str(error.value)
    assert f"continue with `swin train --resume {out}`" in text
    assert "\n" not in text
    assert f"the run is kept in {out}" in text
    if kept:
        assert len(rows(out)) == kept
        assert swinkit.load(out).classes == CLASSES
    resumed = swinkit.train(resume=out)
    assert same(weights(resumed.path), weights(unbroken.path))
    assert same(load_file(out / "best.safetensors"), load_file(unbroken.path / "best.safetensors"))
    assert resumed.metrics == unbroken.metrics
    timeless = [[{**row, "seconds": ""} for row in rows(path)] for path in (out, unbroken.path)]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_run_with_loader_processes_goes_on_after_an_epoch(
    fit: Callable[..., Run], unbroken: Run, epoch: int, workers: int, tmp_path: Path
) -> None:
    """Loader processes read ahead before Lightning names the epoch to the sampler."""
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, Checkpoint, "on_train_epoch_end", lambda t: t.current_epoch == epoch)
        with pytest.raises(InterruptedRunError):
            fit(epochs=3, drop_path=0.3, workers=workers)
    assert len(rows(tmp_path / "run")) == epoch + 1
    resumed = swinkit.train(resume=tmp_path / "run")
    assert same(weights(resumed.path), weights(unbroken.path))


def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The pictures of every training batch, from now on."""
    batches: list[tuple[str, ...]] = []
    original = TrainingModule.training_step

    def noting(self: Any, batch: Any, batch_idx: int) -> Any:
        batches.append(batch.paths)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", noting)
    return batches


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 2},
        {"batch_size": 8, "accumulate": 2},
        {"batch_size": 10, "accumulate": 3, "repeats": 2},
        {"ema": False, "freeze_epochs": 1, "precision": "bf16"},
        {"sam": 0.05},
    ],
    ids=["workers", "accumulate", "uneven", "frozen", "sam"],
)
def test_within_an_epoch_no_picture_is_repeated_or_missed(
    fit: Callable[..., Run], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 2, "drop_path": 0.3, **options}
    batches = seen(monkeypatch)
    whole = fit("whole", **settings)
    expected, batches[:] = list(batches), []
    run = whole.path.parent / "run"
    for step in (1, 2, 3):
        with pytest.MonkeyPatch.context() as patch:
            send_at(patch, ModelFiles, "on_train_batch_end", lambda t, step=step: t.global_step == step)
            with pytest.raises(InterruptedRunError):
                fit(**settings) if step == 1 else swinkit.train(resume=run)
    resumed = swinkit.train(resume=run)
    assert batches == expected
    assert same(weights(resumed.path), weights(whole.path))


def test_a_torn_state_falls_back_on_the_one_before(
    fit: Callable[..., Run], unbroken: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, ModelFiles, "on_train_batch_end", lambda t: t.global_step == 5)
        with pytest.raises(InterruptedRunError):
            fit(epochs=3, drop_path=0.3)
    newest = tmp_path / "run" / "last.ckpt"
    torn = bytearray(newest.read_bytes())
    torn[len(torn) // 2] ^= 0xFF
    newest.write_bytes(torn)
    resumed = swinkit.train(resume=tmp_path / "run")
    assert "last.ckpt is damaged: the run goes on from" in " ".join(capsys.readouterr().err.split())
    assert same(weights(resumed.path), weights(unbroken.path))


def test_the_state_is_saved_within_an_epoch_too(
    fit: Callable[..., Run], unbroken: Run, tmp_path: Path
) -> None:
    """As after kill -9: nothing of the process is left, and the run goes on from the last saved step."""
    calls = 0
    original = TrainingModule.training_step

    def dying(self: Any, batch: Any, batch_idx: int) -> Any:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise MemoryError("killed")
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", dying)
        with pytest.raises(MemoryError):
            fit(epochs=3, drop_path=0.3, save_minutes=0)
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 5
    resumed = swinkit.train(resume=tmp_path / "run")
    assert same(weights(resumed.path), weights(unbroken.path))


def exit_of(call: Callable[[], object]) -> BaseException | None:
    """What a call ends with, SystemExit included."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001
        return error
    return None


@pytest.mark.parametrize("step", ["training_step", "validation_step"])
def test_sigterm_stops_as_well(fit: Callable[..., Run], step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = getattr(TrainingModule, step)

    def stopped(self: Any, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments)

    monkeypatch.setattr(TrainingModule, step, stopped)
    with pytest.raises(InterruptedRunError, match="Stopped by SIGTERM in epoch 1"):
        fit()


@pytest.mark.parametrize("place", PLACES)
def test_sigterm_between_batches(fit: Callable[..., Run], place: str) -> None:
    owner, hook, when, _ = PLACES[place]
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, owner, hook, when, signal.SIGTERM)
        assert isinstance(exit_of(lambda: fit(epochs=3)), InterruptedRunError)


def test_a_second_ctrl_c_ends_at_once(fit: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes before the end of the batch, where the first would have been noticed."""
    original = TrainingModule.training_step

    def pressed_twice(self: Any, *arguments: Any) -> Any:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments)

    monkeypatch.setattr(TrainingModule, "training_step", pressed_twice)
    assert isinstance(exit_of(fit), InterruptedRunError | KeyboardInterrupt)


def test_handlers_are_put_back(fit: Callable[..., Run]) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    fit()
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("error", [InterruptedRunError("stop"), RunError("disk full")], ids=["stop", "error"])
def test_handlers_are_put_back_after_an_error(
    fit: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Else the next Ctrl-C in a notebook is swallowed."""
    before = [signal.getsignal(number) for number in SIGNALS]

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Checkpoint, "on_train_epoch_end", fail)
    with pytest.raises(RunError):
        fit()
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_resume_of_a_finished_run_changes_nothing(fit: Callable[..., Run]) -> None:
    done = fit()
    before = weights(done.path)
    again = swinkit.train(resume=done.path)
    assert again.metrics == done.metrics
    assert same(weights(done.path), before)
    assert len(rows(done.path)) == 1


def test_resume_keeps_to_its_split(fit: Callable[..., Run], tmp_path: Path) -> None:
    """New pictures after the start are left out, or training ones would turn up in validation."""
    data = make_set(tmp_path / "set", {"": 8})
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, Checkpoint, "on_train_epoch_end", lambda t: t.current_epoch == 0)
        with pytest.raises(InterruptedRunError):
            fit(data=data, epochs=2)
    split = (tmp_path / "run" / "split.csv").read_text(encoding="utf-8")
    shutil.copy(data / CLASSES[0] / "0.png", data / CLASSES[0] / "new.png")
    swinkit.train(resume=tmp_path / "run")
    assert (tmp_path / "run" / "split.csv").read_text(encoding="utf-8") == split


def test_resume_refuses(run: Run, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no run folder: it holds no config\.yaml"):
        swinkit.train(resume=tmp_path)
    with pytest.raises(ConfigError, match="give resume alone"):
        swinkit.train(dataset, resume=run.path)
    with pytest.raises(ConfigError, match="give resume alone"):
        swinkit.train(resume=run.path, epochs=9)


def test_damaged_training_state_is_one_sentence(fit: Callable[..., Run]) -> None:
    done = fit()
    whole = (done.path / "last.ckpt").read_bytes()
    (done.path / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"last\.ckpt"):
        swinkit.train(resume=done.path)


def test_disk_full_in_an_epoch_keeps_the_last_one(
    fit: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import swinkit.weights.store as store

    original, calls = store.save_file, []

    def second_fails(*arguments: Any) -> None:
        calls.append(True)
        if len(calls) > 2:  # last and best of epoch 1 go through
            raise OSError(28, "No space left on device")
        original(*arguments)

    monkeypatch.setattr(store, "save_file", second_fails)
    with pytest.raises(RunError, match="No space left on device"):
        fit(epochs=2)
    monkeypatch.undo()
    assert len(rows(tmp_path / "run")) == 1
    assert swinkit.load(tmp_path / "run").classes == CLASSES
    assert len(rows(swinkit.train(resume=tmp_path / "run").path)) == 2


@pytest.mark.parametrize("slow", [True, False])
def test_a_loader_that_is_too_slow_is_named(
    fit: Callable[..., Run], slow: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("swinkit.training.progress.LONG", 0.0)
    read = ImageDataset.__getitem__

    def slowly(self: ImageDataset, key: Any) -> Any:
        time.sleep(0.02)
        return read(self, key)

    if slow:
        monkeypatch.setattr(ImageDataset, "__getitem__", slowly)
    else:
        monkeypatch.setattr("swinkit.training.progress.BOUND", 0.9)
    fit(progress=True, epochs=2)
    shown = " ".join(capsys.readouterr().err.split())
    assert ("Loader-bound: training waits for images" in shown) == slow
    assert shown.count("Loader-bound") == slow
    assert "wait" in shown


def test_without_a_terminal_settings_and_lines_are_printed(
    fit: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("swinkit.progress.QUIET", 0.0)
    fit(progress=True)
    shown = " ".join(capsys.readouterr().err.split())
    assert "Training classify: model " in shown
    assert "device cpu, precision 32-true" in shown
    assert "48 images; batch 16, 16 per step; 1 epochs." in shown
    assert "epoch 1/1 batch 2/3" in shown
    assert "epoch 1/1 validation, batch 1" in shown
    assert "evaluate 18/18" in shown  # the best model, at the end


# --- options -------------------------------------------------------------------------------------------


def test_average_is_saved_and_validated(fit: Callable[..., Run]) -> None:
    plain, averaged = fit("plain", ema=False), fit("averaged", ema=True)
    assert not same(weights(plain.path), weights(averaged.path))
    state = torch.load(plain.path / "last.ckpt", weights_only=False)["state_dict"]
    for name, tensor in weights(plain.path).items():
        own = state.get(f"task.{name}", state.get(f"task.backbone.{name}"))
        assert torch.equal(own, tensor), name
    steps = [float(row["val_loss"]) for path in (plain.path, averaged.path) for row in rows(path)]
    assert steps[0] != steps[1]


def test_patience_stops_early(fit: Callable[..., Run]) -> None:
    done = fit(epochs=9, patience=2, lr=1e-12)  # nothing moves: the first epoch stays the best
    assert len(rows(done.path)) == 3
    swinkit.train(resume=done.path)  # has ended
    assert len(rows(done.path)) == 3
    assert swinkit.load(done.path / "best.safetensors").lineage[-1]["epoch"] == 1
    assert swinkit.load(done.path / "last.safetensors").lineage[-1]["epoch"] == 3


def test_best_is_the_best(fit: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure that falls after epoch 1 leaves best there, and last at the end."""
    from swinkit.metrics.classify import ClassificationMetric

    figures = iter([50.0, 50.0, 40.0, 40.0, 30.0, 30.0])
    original, last = ClassificationMetric.compute, {}

    def falling(self: Any) -> dict[str, float]:
        value = next(figures, 30.0)
        return original(self) | {"top1": last.setdefault(len(last), value)}

    monkeypatch.setattr(ClassificationMetric, "compute", falling)
    done = fit(epochs=3)
    assert swinkit.load(done.path / "best.safetensors").lineage[-1]["epoch"] == 1
    assert swinkit.load(done.path / "last.safetensors").lineage[-1]["epoch"] == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "top1"),
        ({"sampling": "balanced"}, "mean_class"),
        ({"class_weights": "balanced"}, "mean_class"),
        ({"sampling": "balanced", "monitor": "top1"}, "top1"),
        ({"monitor": "mean_class"}, "mean_class"),
    ],
)
def test_what_picks_the_best_epoch_follows_the_options(
    fit: Callable[..., Run], options: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two figures are made to disagree: top-1 is best in epoch 1, the mean over classes in epoch 2."""
    from swinkit.metrics.classify import ClassificationMetric

    figures = {"top1": iter([60.0, 50.0]), "mean_class": iter([40.0, 45.0])}
    original = ClassificationMetric.compute
    monkeypatch.setattr(
        ClassificationMetric,
        "compute",
        lambda self: original(self) | {name: next(values, 0.0) for name, values in figures.items()},
    )
    done = fit(epochs=2, **options)
    best = swinkit.load(done.path / "best.safetensors").lineage[-1]["epoch"]
    assert best == (1 if expected == "top1" else 2)


def test_a_figure_to_monitor_that_is_none(fit: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`monitor='miuo'` is not a figure of classify"):
        fit(monitor="miuo")
    assert not (tmp_path / "run").exists()


def test_compiled(fit: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights but for rounding, in a file as any other."""
    graphs = CompileCounterWithBackend("eager")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=graphs))
    options = {"batch_size": 7, "drop_path": 0.0, "epochs": 2}
    one, other = fit("plain", **options), fit("compiled", compile=True, **options)
    assert 1 <= graphs.frame_count <= 4  # whole batches and the last one, in training and in evaluation
    assert other.metrics == pytest.approx(one.metrics, abs=1e-2)
    for name, tensor in weights(one.path).items():
        torch.testing.assert_close(weights(other.path)[name], tensor, atol=1e-4, rtol=1e-3, msg=name)
    with pytest.raises(ConfigError, match="fsdp2 shares it out"):
        fit("shared", compile=True, strategy="fsdp2")


def test_freeze(fit: Callable[..., Run], tiny_file: Path) -> None:
    before, after = load_file(tiny_file), weights(fit(freeze=1, ema=False).path)
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == {name for name in before if name.startswith(("patch_embed.", "layers.0."))}


def test_freeze_all_trains_the_head_alone(fit: Callable[..., Run], tiny_file: Path) -> None:
    before, after = load_file(tiny_file), weights(fit(recipe="linear_probe", epochs=1).path)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.weight", "head.bias"}


def test_the_backbone_thaws_after_its_epochs(fit: Callable[..., Run], tiny_file: Path) -> None:
    before = load_file(tiny_file)
    done = fit(epochs=2, freeze_epochs=1, freeze=1, ema=False)
    state = torch.load(done.path / "last.ckpt", weights_only=True)
    first, last = load_file(done.path / "last.safetensors"), state["state_dict"]
    assert state["epoch"] == 1
    changed = {name for name in before if not torch.equal(before[name], first[name])}
    assert {"head.weight", "layers.1.blocks.0.mlp.fc1.weight", "norm.weight"} <= changed
    assert not [name for name in changed if name.startswith(("patch_embed.", "layers.0."))]  # frozen for good
    assert torch.equal(last["task.head.weight"], first["head.weight"])
    one = fit("one", epochs=2, freeze_epochs=2, ema=False)
    only = {name for name in before if not torch.equal(before[name], weights(one.path)[name])}
    assert only == {"head.weight", "head.bias"}


def test_what_learns_varies_and_what_is_frozen_does_not(
    fit: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models are loaded as they answer, and drop path, batch norms and class weights would do nothing."""
    seen: list[dict[str, bool]] = []
    real = Classifier.loss

    def watched(self: Classifier, batch: Any, raw: Any = None) -> Any:
        if raw is None:
            seen.append({name: module.training for name, module in self.named_modules()})
        return real(self, batch, raw)

    monkeypatch.setattr(Classifier, "loss", watched)
    fit(epochs=2, freeze=1, drop_path=0.3)
    assert len(seen) >= 4
    for modes in seen:  # after a validation too
        assert modes[""]
        assert modes["backbone.layers.1.blocks.0.drop_path"]
        assert not modes["backbone.patch_embed"]
        assert not modes["backbone.layers.0.blocks.0.drop_path"]
    seen.clear()
    fit("thawed", epochs=2, freeze_epochs=1)
    half = len(seen) // 2
    assert [modes["backbone.layers.1"] for modes in seen] == [False] * half + [True] * half
    assert all(modes["head"] for modes in seen)


def test_sharpness_aware_steps(fit: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """The update is AdamW's with the gradient at the weights moved by rho along the first gradient."""
    options = {"sam": 0.05, "ema": False, "clip": 0, "accumulate": 1}
    seen: list[float] = []
    real = TrainingModule.training_step

    def watched(self: TrainingModule, batch: Any, batch_idx: int) -> Any:
        flat = torch.cat([p.detach().flatten() for p in self.task.parameters()])
        seen.append(flat)
        return real(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", watched)
    done = fit("sam", **options)
    assert len(seen) == 2 * 3  # two passes for each of three steps
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        assert (second - first).norm().item() == pytest.approx(0.05, rel=1e-3)
    assert not same(weights(done.path), weights(fit("plain", **{**options, "sam": 0}).path))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"global_batch": 24, "batch_size": 8}, (8, 3)),
        ({"global_batch": 20, "batch_size": None}, (5, 4)),  # 8 fit these few images
        ({"global_batch": 7, "batch_size": None}, (7, 1)),
        ({"batch_size": 8, "accumulate": 2}, (8, 2)),
    ],
)
def test_batch_arithmetic(tiny_file: Path, options: dict[str, Any], expected: tuple[int, int]) -> None:
    config = TrainConfig.checked({**FAST, **options, "data": "x"})
    plan = prepare(swinkit.load(tiny_file), 48, config)
    assert (plan.batches.batch_size, plan.batches.accumulate) == expected


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"batch_size": 20}, {"batch_size": 48}])
def test_an_outline_counts_the_steps_that_training_makes(
    fit: Callable[..., Run], dataset: Path, tiny_file: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**FAST, "epochs": 2, "model": tiny_file, **options}
    plan = dry_run(dataset, **settings, out=tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    assert (plan.task, plan.head, plan.classes) == ("classify", "linear", CLASSES)
    assert (plan.device, plan.precision, plan.splits) == ("cpu", "32-true", {"train": 48, "val": 18})
    done = fit(**{"epochs": 2, **options})
    assert float(rows(done.path)[-1]["step"]) == plan.batches.steps == len(plan.rates)
    assert float(rows(done.path)[-1]["lr"]) == pytest.approx(3e-3 * 0.01, rel=0.9)
    assert max(plan.rates) == pytest.approx(3e-3)
    assert sum(group.parameters for group in plan.groups) + plan.frozen == sum(
        parameter.numel() for parameter in done.model.parameters()
    )


def test_a_global_batch_that_does_not_divide(fit: Callable[..., Run]) -> None:
    with pytest.raises(ConfigError, match="`global_batch=20` is no multiple of `batch_size=16`"):
        fit(global_batch=20)


def test_a_recipe_gives_way_to_options(fit: Callable[..., Run]) -> None:
    done = fit(recipe="in1k_300e", lr=2e-3, accumulate=1, warmup_epochs=0, augmentation={"mixup": 0.5})
    values = read_yaml(done.path / "config.yaml")
    assert (values["recipe"], values["lr"], values["base_lr"], values["epochs"]) == (
        "in1k_300e",
        2e-3,
        None,
        1,
    )
    assert values["augmentation"]["mixup"] == 0.5
    assert values["augmentation"]["randaugment"] == "rand-m9-mstd0.5-inc1"


def test_checkpointing_changes_no_number(fit: Callable[..., Run]) -> None:
    one, other = fit("a", drop_path=0.5), fit("b", drop_path=0.5, checkpointing=True)
    for name, tensor in weights(one.path).items():
        torch.testing.assert_close(weights(other.path)[name], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "recomputed"),
    [({}, []), ({"checkpointing": True}, [0, 1]), ({"checkpoint_stages": (1,)}, [1])],
    ids=["none", "all", "one"],
)
def test_which_stages_are_recomputed(tiny_file: Path, options: dict[str, Any], recomputed: list[int]) -> None:
    model = swinkit.load(tiny_file)
    prepare(model, 8, TrainConfig(data="x", **options))
    stages = enumerate(model.backbone.layers)
    assert [number for number, stage in stages if stage.checkpointing] == recomputed


def test_a_stage_to_recompute_that_is_not_there(tiny_file: Path) -> None:
    with pytest.raises(ConfigError, match="the stages are 0 to 1"):
        prepare(swinkit.load(tiny_file), 8, TrainConfig(data="x", checkpoint_stages=(4,)))


def test_accumulation_makes_fewer_steps(fit: Callable[..., Run]) -> None:
    done = fit(epochs=2, accumulate=2, ema=True)  # three batches an epoch
    assert [float(row["step"]) for row in rows(done.path)] == [2, 4]


def test_bf16_trains_and_saves_fp32(fit: Callable[..., Run]) -> None:
    done = fit(precision="bf16")
    assert {tensor.dtype for tensor in weights(done.path).values()} == {torch.float32}
    assert float(rows(done.path)[0]["train_loss"]) < 5
    assert not same(weights(done.path), weights(fit("fp32").path))


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_any_batch_size(fit: Callable[..., Run], tmp_path: Path, batch_size: int) -> None:
    data = make_set(tmp_path / "set", {"train": 3, "val": 1})
    done = fit(data=data, batch_size=batch_size)
    assert float(rows(done.path)[0]["step"]) == {1: 9, 7: 2, 1000: 1}[batch_size]
    assert done.metrics["images"] == 3


def test_fine_tuning_replaces_the_head(fit: Callable[..., Run], tmp_path: Path, tiny_file: Path) -> None:
    data = make_set(tmp_path / "set", {"train": 4, "val": 2}, classes=("x", "y"))
    done = fit(data=data, ema=False, lr=1e-9)
    assert done.model.classes == ("x", "y")
    assert done.model.head.weight.shape == (2, 32)
    old, new = load_file(tiny_file), weights(done.path)
    for name in old.keys() - {"head.weight", "head.bias"}:
        torch.testing.assert_close(new[name], old[name], atol=1e-6, rtol=0)
    assert len(done.model.lineage) == 2


def test_fine_tuning_keeps_the_head_of_the_same_classes(fit: Callable[..., Run], tiny_file: Path) -> None:
    new = weights(fit(ema=False, lr=1e-9).path)
    torch.testing.assert_close(new["head.weight"], load_file(tiny_file)["head.weight"], atol=1e-6, rtol=0)


def test_fine_tuning_starts_lower(dataset: Path, tiny_file: Path, tmp_path: Path) -> None:
    options = {**QUICK, "epochs": 1, "warmup_epochs": 0}
    tuned = swinkit.train(dataset, model=tiny_file, out=tmp_path / "tuned", **options)
    fresh = swinkit.train(dataset, model="swin_pico", img_size=8, out=tmp_path / "fresh", **options)
    assert float(rows(tuned.path)[0]["lr"]) < float(rows(fresh.path)[0]["lr"]) / 4
    assert fresh.model.preprocessing.size == 8


def test_csv_and_one_folder(fit: Callable[..., Run], tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", {"": 5})
    done = fit(data=data, val_fraction=0.4)
    assert done.metrics["images"] == 6
    table = tmp_path / "table.csv"
    table.write_text(
        "path,label\n" + "".join(f"set/{name}/{i}.png,{i % 2}\n" for name in CLASSES[1:] for i in range(5))
    )
    assert fit("csv", data=table).model.classes == ("0", "1")


# --- bad input -----------------------------------------------------------------------------------------


def test_unreadable_pictures_are_left_out_and_reported(
    fit: Callable[..., Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_set(tmp_path / "set", {"train": 4, "val": 2})
    (data / "train" / CLASSES[0] / "text.jpg").write_text("no picture")
    for part in ("train", "val"):
        path = data / part / CLASSES[1] / "cut.png"
        Image.effect_noise((64, 64), 90).save(path)
        path.write_bytes(path.read_bytes()[:900])  # header whole, pixels cut
    done = fit(data=data)
    screen = " ".join(capsys.readouterr().err.split())
    assert "text.jpg is no image" in screen.replace("- ", "")
    assert "could not be read and were left out" in screen
    listed = (done.path / "unreadable.txt").read_text(encoding="utf-8").splitlines()
    assert sorted("train" in line for line in listed) == [False, True]
    assert all("cut.png" in line for line in listed)
    report = json.loads((done.path / "evaluation.json").read_text(encoding="utf-8"))
    assert (report["metrics"]["images"], len(report["unreadable"])) == (6, 1)


def test_a_part_without_readable_pictures(fit: Callable[..., Run], tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", {"train": 2})
    for name in CLASSES:
        (data / "val" / name).mkdir(parents=True)
        (data / "val" / name / "a.png").write_text("text")
    with pytest.raises(DataError, match=r"No image of val in .* can be read"):
        fit(data=data)
    assert not (tmp_path / "run").exists()


def test_no_room_for_validation(fit: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image for validation"):
        fit(data=make_set(tmp_path / "set", {"": 3}), val_fraction=0)
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_not_overwritten(run: Run, dataset: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.iterdir()}
    with pytest.raises(RunError, match=r"already holds a run: continue it with `swin train --resume"):
        swinkit.train(dataset, model="swin_pico", out=run.path, **QUICK)
    assert {path: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"device": "cuda:99"}, ConfigError, "not on this machine"),
        ({"device": "gpu"}, ConfigError, "is no device"),
        ({"model": "nothing.safetensors"}, WeightsError, "check the path"),
        ({"epoch": 3}, ConfigError, "did you mean 'epochs'"),
        ({"img_size": 2}, ConfigError, "img_size=2"),
    ],
)
def test_mistakes_leave_no_litter(
    dataset: Path, tmp_path: Path, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        swinkit.train(dataset, **{**QUICK, "model": "swin_pico", "out": tmp_path / "run", **options})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [{"freeze": 9}, {"precision": "fp16"}],
    ids=["freeze beyond the stages", "fp16 on a CPU"],
)
def test_late_mistakes_leave_no_litter(
    fit: Callable[..., Run], tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        fit(**options)
    assert not (tmp_path / "run").exists()


def test_a_negative_seed_works_or_is_refused(fit: Callable[..., Run]) -> None:
    try:
        fit(seed=-1)
    except ConfigError as error:
        assert "seed" in str(error)  # noqa: PT017


def test_no_data(dataset: Path) -> None:
    with pytest.raises(ConfigError, match="Training needs data"):
        swinkit.train()


def test_next_free(tmp_path: Path) -> None:
    assert next_free(tmp_path / "none", "a") == tmp_path / "none" / "a-1"
    (tmp_path / "a-1").mkdir()
    (tmp_path / "a-3").mkdir()
    assert next_free(tmp_path, "a") == tmp_path / "a-2"


def test_default_run_folder(
    dataset: Path, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = swinkit.train(dataset, model=tiny_file, epochs=1, **FAST)
    assert done.path == Path("runs/tiny-1")
    assert RunFolder(done.path).read_history()[0]["epoch"] == 0


def test_model_files_remember_the_best_figure() -> None:
    one, other = (ModelFiles(RunFolder(Path()), {}, "top1") for _ in range(2))
    one.best_figure = 71.5
    other.load_state_dict(one.state_dict())
    assert other.best_figure == 71.5
