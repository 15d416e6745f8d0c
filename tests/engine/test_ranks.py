"""Several processes on one machine, gloo on the CPU: one and two of them give the same."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

import swinkit
from swinkit.config.train import TrainConfig
from swinkit.errors import ConfigError, InterruptedRunError, RunError
from swinkit.training.fit import check_devices, devices_of, share_batch
from swinkit.training.launch import _told, is_launcher, node_rank
from swinkit.training.run_folder import Run, RunFolder
from tests.conftest import CLASSES, QUICK, Swin, make_set

# nothing is drawn for whole batches: that would differ between processes
PLAIN = {"augmentation": {"mixup": 0.0, "cutmix": 0.0, "erasing": 0.5}, "drop_path": 0.0, "lr": 3e-3}
OPTIONS = {**QUICK, **PLAIN, "epochs": 4, "global_batch": 12, "batch_size": None}
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 pictures to train, 13 to validate: the last batch of these has nothing for the second process."""
    root = make_set(tmp_path_factory.mktemp("uneven") / "set", {"train": 16, "val": 4})
    for part, number in (("train", 2), ("val", 1)):
        for i in range(number):
            source = root / part / CLASSES[0] / f"{i}.png"
            (source.parent / f"more-{i}.png").write_bytes(source.read_bytes())
    return root


@pytest.fixture(scope="module")
def alone(uneven: Path, tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return swinkit.train(uneven, model=tiny_file, out=tmp_path_factory.mktemp("alone") / "run", **OPTIONS)


@pytest.fixture
def fit(uneven: Path, tiny_file: Path, tmp_path: Path) -> Callable[..., Run]:
    def train(**options: Any) -> Run:
        return swinkit.train(
            uneven, model=tiny_file, out=tmp_path / "run", **{**OPTIONS, "devices": 2, **options}
        )

    return train


def rows(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open(encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def names(run: Path) -> set[str]:
    return {entry.name for entry in run.iterdir() if not entry.name.startswith("events.")}


def processes_of(run: Path) -> list[int]:
    """The ranks of a run, not their loaders."""
    found = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", f"swinkit.training.worker {run}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(pid) for pid in found.stdout.split()]


def when(condition: Callable[[], bool], act: Callable[[], object]) -> threading.Thread:
    """Do something in the background as soon as something holds."""

    def watch() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if condition():
                act()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "options",
    [pytest.param({"checkpointing": True}, marks=pytest.mark.slow), {"strategy": "fsdp2", "freeze": 0}],
    ids=["ddp, checkpointing", "fsdp2, frozen embedding"],
)
def test_two_processes_learn_what_one_does(
    options: dict[str, Any],
    alone: Run,
    uneven: Path,
    tiny_file: Path,
    tmp_path: Path,
    fit: Callable[..., Run],
) -> None:
    """The same losses, figures and weights; each picture validated once; the same files."""
    if options.get("freeze") is not None:
        alone = swinkit.train(uneven, model=tiny_file, out=tmp_path / "one", **{**OPTIONS, "freeze": 0})
    before = {number: signal.getsignal(number) for number in HANDLED}
    both = fit(**options)
    assert {number: signal.getsignal(number) for number in HANDLED} == before
    assert len(rows(both.path)) == 4
    for mine, theirs in zip(rows(both.path), rows(alone.path), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
        assert mine["val_images"] == 13
    assert both.metrics == pytest.approx(alone.metrics, rel=1e-4)
    one, two = (load_file(run.path / "last.safetensors") for run in (alone, both))
    assert one.keys() == two.keys()
    for name in one:
        if not name.endswith("qkv.bias"):  # of keys: no gradient but rounding, which Adam blows up
            torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)
    assert names(both.path) == names(alone.path)


def test_a_process_that_dies_is_replaced(alone: Run, tmp_path: Path, fit: Callable[..., Run]) -> None:
    """kill -9 in the second epoch; all go on where they were, to the same end."""
    history, killed = tmp_path / "run" / "metrics.csv", []

    def kill() -> None:
        killed.append(processes_of(tmp_path / "run")[-1])
        os.kill(killed[0], signal.SIGKILL)

    thread = when(history.exists, kill)
    both = fit(max_restarts=1)
    thread.join()
    assert killed
    for mine, theirs in zip(rows(both.path), rows(alone.path), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


def test_a_signal_stops_all_and_the_run_goes_on(alone: Run, tmp_path: Path, fit: Callable[..., Run]) -> None:
    """Weights that are shared out are saved whole, within an epoch; no process is left behind."""
    history = tmp_path / "run" / "metrics.csv"
    thread = when(history.exists, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRunError, match=r"Stopped by SIGTERM; .*`swin train --resume") as stopped:
        fit(strategy="fsdp2", epochs=40)
    thread.join()
    assert stopped.value.signal == signal.SIGTERM
    assert not processes_of(tmp_path / "run")
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    tensors = [*state["state_dict"].values(), *state["average"].values()]
    assert {type(tensor) for tensor in tensors} == {torch.Tensor}
    assert state["global_step"] >= 4 * len(rows(tmp_path / "run"))
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 40", f"epochs: {state['epoch'] + 2}"))
    assert swinkit.train(resume=tmp_path / "run").metrics["images"] == 13


def test_what_stops_one_process_is_told_once(tmp_path: Path, fit: Callable[..., Run], capfd: Any) -> None:
    with pytest.raises(RunError, match=r"^The loss is .* in epoch 1, batch \d .*nan-1-\d\.pt") as stopped:
        fit(lr=1e12, warmup_epochs=0, clip=0)
    path = next((tmp_path / "run").glob("nan-*.pt"))
    saved = torch.load(path, weights_only=True)
    assert len(saved["paths"]) == 6
    assert str(path) in str(stopped.value)
    assert "Traceback" not in capfd.readouterr().err


def test_torchrun_starts_it_too(alone: Run, uneven: Path, tiny_file: Path, tmp_path: Path) -> None:
    """Without a launcher of ours; the number of processes is torchrun's."""
    config = tmp_path / "plain.yaml"
    config.write_text((alone.path / "config.yaml").read_text())
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "swinkit", "train", "--config", str(config), "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Run folder") == 1
    for mine, theirs in zip(rows(tmp_path / "run"), rows(alone.path), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


# --- arithmetic and mistakes -----------------------------------------------------------------------------


@pytest.fixture
def by_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"RANK": 5, "WORLD_SIZE": 8, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 4, "TORCHELASTIC_RUN_ID": "x"}
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


def settings(**options: Any) -> TrainConfig:
    return TrainConfig.checked({"data": "x", **options})


def test_batches_are_shared() -> None:
    assert share_batch(1024, 64, 8, exactly=False) == (64, 2)
    assert share_batch(1024, 100, 8, exactly=False) == (64, 2)
    with pytest.raises(ConfigError, match="`global_batch=10` is no multiple of 4 processes"):
        share_batch(10, 4, 4, exactly=False)
    with pytest.raises(ConfigError, match="no multiple of `batch_size=3` × 2 processes"):
        share_batch(8, 3, 2, exactly=True)


def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_devices(torch.device("cuda"), 2, "auto")
    check_devices(torch.device("cpu"), 9, "auto")
    for processes, name in ((3, "auto"), (2, "cuda:1")):
        with pytest.raises(ConfigError, match=f"`devices={processes}` takes as many GPUs"):
            check_devices(torch.device("cuda"), processes, name)
    with pytest.raises(ConfigError, match="`devices=2` takes as many GPUs"):
        check_devices(torch.device("mps"), 2, "auto")


def test_a_dry_run_counts_processes(uneven: Path, tiny_file: Path, swin: Swin) -> None:
    ended = swin("train", uneven, "--model", tiny_file, "--devices", 2, "--batch-size", 4, "--dry-run")
    assert "50 images; 4 a batch × 2 processes × 1 accumulated = 8 a step; 6 batches an epoch" in ended.out


def test_who_starts_processes() -> None:
    assert is_launcher(settings(devices=2))
    assert not is_launcher(settings())
    assert not is_launcher(settings(devices=1))
    assert devices_of(settings(devices=3)) == 3


@pytest.mark.usefixtures("by_torchrun")
def test_torchrun_knows_how_many() -> None:
    assert not is_launcher(settings(devices=4, num_nodes=2))
    assert devices_of(settings(num_nodes=2)) == 4
    for options in ({}, {"devices": 2, "num_nodes": 2}):
        with pytest.raises(ConfigError, match="torchrun has started 4 processes on each of 2 machines"):
            devices_of(settings(**options))


def test_several_machines_must_know_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="missing: MASTER_ADDR, MASTER_PORT, NODE_RANK"):
        node_rank(settings(num_nodes=2, out="x"))
    for name, value in (("MASTER_ADDR", "a"), ("MASTER_PORT", "1"), ("NODE_RANK", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="missing: out"):
        node_rank(settings(num_nodes=2))
    assert node_rank(settings(num_nodes=2, out="x")) == 1
    assert node_rank(settings()) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"strategy": "fsdp2", "sam": 0.05}, "give no `sam` and no fp16"),
        ({"strategy": "fsdp2", "precision": "fp16"}, "give no `sam` and no fp16"),
        ({"strategy": "fsdp"}, "`strategy='fsdp'` does not fit"),
        ({"devices": 0}, "`devices=0` does not fit"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        settings(**options)


def failure(tmp_path: Path, code: int, message: str = "", timestamp: int = 0) -> ProcessFailure:
    made = ProcessFailure(0, 1, code, str(tmp_path / "none"))
    made.message = {"message": message} if message else "To enable traceback see"  # as torch has it
    made.timestamp = timestamp
    return made


def test_the_first_failure_speaks(tmp_path: Path) -> None:
    """Not those that it left waiting, or that were ended then, though they may be seen before."""
    run = RunFolder(Path("R"))
    waiting = failure(tmp_path, 1, "RuntimeError: Connection closed by peer", 1)
    ended = failure(tmp_path, -signal.SIGTERM, timestamp=2)
    killed = failure(tmp_path, -signal.SIGKILL, timestamp=3)
    assert str(_told({0: waiting, 1: ended, 2: killed}, run)).startswith("Process 2 died of SIGKILL")
    own = failure(tmp_path, 1, "RunError: No room: make some.", 3)
    assert str(_told({0: waiting, 1: own}, run)) == "No room: make some."
    other = failure(tmp_path, 1, "KeyError: 'x'", 3)
    assert str(_told({0: waiting, 1: other}, run)) == "Process 1 failed: KeyError: 'x'"
    assert "ended with code 3" in str(_told({0: failure(tmp_path, 3)}, run))
    stopped = _told({0: failure(tmp_path, 128 + signal.SIGTERM)}, run)
    assert isinstance(stopped, InterruptedRunError)
    assert stopped.signal == signal.SIGTERM
    assert "nothing was saved yet" in str(stopped)


@pytest.mark.slow
def test_a_process_may_be_told_to_stop(tmp_path: Path, fit: Callable[..., Run]) -> None:
    """One of them: all stop at the same step, and the run is kept."""
    history = tmp_path / "run" / "metrics.csv"
    thread = when(history.exists, lambda: os.kill(processes_of(tmp_path / "run")[-1], signal.SIGTERM))
    with pytest.raises(InterruptedRunError, match="Stopped by SIGTERM; the run is kept") as stopped:
        fit(epochs=60)
    thread.join()
    assert stopped.value.signal == signal.SIGTERM
