"""A run that is killed at random moments, again and again, ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

import swinkit
from tests.conftest import QUICK
from tests.engine.test_train import same
from tests.kills import KINDS, RECIPES, Lives, assert_same_end, kill_in_turn, make_recipe


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "swinkit", "train", *map(str, arguments)]
    # threads as in this process: sums over more of them are rounded otherwise
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_for(path: Path, process: subprocess.Popen[str], newer_than: float = 0.0) -> None:
    while process.poll() is None and not (path.exists() and path.stat().st_mtime > newer_than):
        time.sleep(0.01)


FIXED = {  # task, processes, loader processes, kind of moment
    "classify, between epochs": ("classify", 1, 1, "between"),
    "segment, two processes, within an epoch": ("segment", 2, 1, "within"),
}


@pytest.mark.parametrize("case", FIXED)
def test_a_killed_run_ends_as_an_unbroken_one(case: str, tmp_path: Path) -> None:
    task, devices, workers, kind = FIXED[case]
    lives = Lives(make_recipe(task, tmp_path / "recipe", devices=devices, workers=workers), devices)
    lives.live(tmp_path / "whole")
    assert all(kill_in_turn(lives, tmp_path / "run", [kind], random.Random(0)))
    assert_same_end(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("task", RECIPES)
def test_runs_killed_at_random_moments(task: str, workers: int, devices: int, tmp_path: Path) -> None:
    """Three kills of each run: within an epoch, at its end, and between two epochs."""
    rng = random.Random(f"{task}/{workers}/{devices}")
    lives = Lives(make_recipe(task, tmp_path / "recipe", devices=devices, workers=workers), devices)
    lives.live(tmp_path / "whole")
    moments = kill_in_turn(lives, tmp_path / "run", rng.sample(KINDS, len(KINDS)), rng)
    print(f"Killed {task}, {workers} workers, {devices} processes:", *moments)
    assert all(moments)
    assert_same_end(tmp_path / "run", tmp_path / "whole")


OPTIONS = {"--epochs": 30, "--batch-size": 4, "--save-minutes": 0, "--device": "cpu", "--precision": "fp32"}


@pytest.mark.slow
def test_kill_9_at_random_moments(dataset: Path, tiny_file: Path, tmp_path: Path) -> None:
    expected = swinkit.train(
        dataset, model=tiny_file, out=tmp_path / "whole", **{**QUICK, "epochs": 30, "batch_size": 4}
    )
    options = [part for pair in OPTIONS.items() for part in pair]
    run, state = tmp_path / "run", tmp_path / "run" / "last.ckpt"
    process = start(dataset, "--model", tiny_file, "--out", run, "--workers", 0, *options)
    rng, kills = random.Random(0), 0
    while kills < 4:
        wait_for(state, process, newer_than=time.time())
        time.sleep(rng.uniform(0.0, 0.6))
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
        process = start("--resume", run)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert kills >= 2
    assert same(load_file(run / "last.safetensors"), load_file(expected.path / "last.safetensors"))
    assert not list(run.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("file", ["last.ckpt", "metrics.csv"])  # before, and after the first validation
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_its_own_code(
    number: int, code: int, file: str, dataset: Path, tiny_file: Path, tmp_path: Path
) -> None:
    options = [part for pair in OPTIONS.items() for part in pair]
    process = start(dataset, "--model", tiny_file, "--out", tmp_path / "run", "--workers", 1, *options)
    wait_for(tmp_path / "run" / file, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "continue with `swin train --resume" in " ".join(err.split())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone ends a process with its parent")
def test_a_killed_launcher_leaves_no_process_behind(dataset: Path, tiny_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "swinkit", "train", dataset, "--model", tiny_file, "--out", run]
    with subprocess.Popen([*map(str, command), "--epochs", "500", "--devices", "2"]) as launcher:
        while not (run / "metrics.csv").exists():
            time.sleep(0.05)
        assert launcher.poll() is None
        launcher.kill()
    end = time.monotonic() + 20
    while subprocess.run(
        ["pgrep", "-f", f"swinkit.training.worker {run}"], check=False, capture_output=True
    ).stdout:
        assert time.monotonic() < end
        time.sleep(0.1)
