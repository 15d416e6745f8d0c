"""Damaged checkpoints and run folders: the right model or one sentence; nothing in a file is ever run."""

from __future__ import annotations

import pickle
import shutil
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import swinkit
from swinkit.errors import SwinkitError
from swinkit.tasks.base import Task
from tests.builders.checkpoints import Container, call_of, containers, logits_of
from tests.builders.limits import Tally, attempt, digests, memory_limit
from tests.builders.mutations import BYTES, change_tokens, choose
from tests.conftest import CLASSES, QUICK, TINY, make_set

CASES, RUNS, SEED = 1400, 120, 24
SAMPLE = 32  # of the default tests: 8 of each container
PIXELS = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def check_checkpoint(container: Container, before: np.ndarray) -> str:
    model = attempt(partial(swinkit.load, container.file))
    attempt(partial(swinkit.inspect, container.file))
    if isinstance(model, SwinkitError):
        return "refused"
    assert isinstance(model, Task)
    logits = logits_of(model, PIXELS)
    if logits.shape == before.shape and np.array_equal(logits, before):
        return "right"
    assert not container.sealed, "another model in spite of the checksum"
    return "another model, without a checksum"


def run_cases(folder: Path, cases: int, seed: int) -> Tally:
    tally = Tally("checkpoints")
    torch.manual_seed(0)
    model = swinkit.create("swin_pico", classes=CLASSES, **TINY)
    canary = folder / "canary"
    home = folder / "weights"
    home.mkdir()
    made = containers(model, home)
    for place, container in enumerate(made):
        content, before = container.file.read_bytes(), logits_of(swinkit.load(container.file), PIXELS)
        for number in range(cases // len(made)):
            rng = np.random.default_rng((seed, place, number))
            change = choose(container.damages, rng)
            container.file.write_bytes(change(content, rng, canary))
            sound = digests(folder)
            deed = f"{container.kind}: {change.__name__}"
            with memory_limit(), warnings.catch_warnings(), tally.case(number, deed):
                warnings.simplefilter("error")
                tally.add(check_checkpoint(container, before))
            assert not canary.exists(), deed
            assert digests(folder) == sound
        container.file.write_bytes(content)
    return tally


def test_the_canary_is_one(tmp_path: Path) -> None:
    """What the cases hold runs in Python's own unpickler."""
    pickle.loads(b"\x80\x02" + call_of("os", "mkdir", (str(tmp_path / "canary"),)) + b".")
    assert (tmp_path / "canary").exists()


def test_damaged_checkpoints(tmp_path: Path) -> None:
    run_cases(tmp_path, SAMPLE, SEED).check()


@pytest.mark.slow
def test_many_damaged_checkpoints(tmp_path: Path) -> None:
    run_cases(tmp_path, CASES, SEED + 1).check()


@pytest.mark.slow
def test_many_damaged_run_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resume goes on, or ends in one sentence; the data are never touched."""
    monkeypatch.setattr("swinkit.training.callbacks.draw_curves", lambda *_: None)
    monkeypatch.setattr("swinkit.training.run._final_figures", lambda *_: {})
    tally = Tally("run folders")
    torch.manual_seed(0)
    start = swinkit.save(swinkit.create("swin_pico", classes=CLASSES, **TINY), tmp_path / "start.safetensors")
    data = make_set(tmp_path / "set", {"train": 3, "val": 2})
    trained = swinkit.train(data, model=start, out=tmp_path / "run", epochs=1, log=(), **QUICK).path
    (trained / "config.yaml").write_text(
        (trained / "config.yaml").read_text().replace("epochs: 1", "epochs: 2")
    )
    (trained / "previous.ckpt").unlink(missing_ok=True)
    sound = digests(data)
    for number in range(RUNS):
        rng = np.random.default_rng((SEED, number))
        run = tmp_path / "touched"
        shutil.copytree(trained, run)
        file = run / choose(["config.yaml", "metrics.csv", "split.csv", "last.ckpt"], rng)
        if file.suffix != ".ckpt" and rng.random() < 0.7:
            lines = file.read_text().splitlines(keepends=True)
            place = int(rng.integers(0, len(lines)))
            lines[place] = change_tokens(lines[place], rng)
            file.write_bytes("".join(lines).encode("utf-8", "surrogatepass"))
        else:
            file.write_bytes(choose(BYTES, rng)(file.read_bytes(), rng))
        with tally.case(number, file.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ended = attempt(partial(swinkit.train, resume=run))
            tally.add("refused" if isinstance(ended, SwinkitError) else "resumed")
        shutil.rmtree(run)
        assert digests(data) == sound
    tally.check()
