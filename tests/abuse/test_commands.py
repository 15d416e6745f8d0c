"""Random command lines: exit code 0, 1 or 2, bounded sentences, no traceback, the user's files unchanged."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import swinkit
from swinkit.cli.app import main
from swinkit.training.run_folder import Run
from tests.builders.commands import Sandbox, commands, draw_line
from tests.builders.limits import LONGEST_SENTENCE, Tally, digests, memory_limit, time_limit, writes_outside
from tests.builders.tables import coco
from tests.conftest import CLASSES, TINY, make_set

CASES, SEED = 910, 24
SAMPLE = 13  # of the default tests: one of each command
SECONDS = 60  # of a command; most take a tenth of one


def make_sandbox(folder: Path, trained: Path) -> Sandbox:
    torch.manual_seed(0)
    work = folder / "work"
    data = make_set(work / "set", {"train": 4, "val": 2})
    model = swinkit.save(swinkit.create("swin_pico", classes=CLASSES, **TINY), work / "model.safetensors")
    mine = work / "mine.txt"
    mine.write_text("the user's own\n")
    boxes = work / "boxes"
    coco(boxes)
    return Sandbox(work, model, shutil.copytree(trained, work / "run"), data, boxes, mine)


def call(line: list[str]) -> tuple[object, str, str]:
    """The exit code, and what is printed."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["swin", *line]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), time_limit(SECONDS):
            main()
    except SystemExit as end:
        return end.code, out.getvalue(), err.getvalue()
    finally:
        sys.argv = before
    raise AssertionError("the command did not end by an exit code")


def check_line(line: list[str]) -> str:
    code, out, err = call(line)
    assert code in (0, 1, 2), f"exit code {code}: {err[-300:]}"
    assert "Traceback" not in out + err, err[-600:]
    assert code == 0 or (out + err).strip(), "an exit code without a word"
    longest = max(map(len, err.splitlines()), default=0)
    assert longest < LONGEST_SENTENCE, f"a line of {longest} characters: {err[:300]}"
    return f"exit code {code}"


def run_cases(folder: Path, trained: Path, cases: int, seed: int) -> Tally:
    tally = Tally("command lines")
    box = make_sandbox(folder, trained)
    every = commands()
    sound, outside = digests(box.work), sorted(folder.iterdir())
    spare = shutil.copytree(box.work, folder / "spare")
    before = Path.cwd()
    os.chdir(box.work)
    try:
        for number in range(cases):
            rng = np.random.default_rng((seed, number))
            name = list(every)[number % len(every)]
            line = draw_line(name, every[name], box, rng)
            with memory_limit(), warnings.catch_warnings(), tally.case(number, " ".join(line)[:500]):
                warnings.simplefilter("ignore")
                with writes_outside(folder) as written:
                    tally.add(check_line(line))
                assert not written, f"written outside: {written[:3]}"
                after = digests(box.work)
                changed = [file for file, content in sound.items() if after.get(file) != content]
                assert not changed, f"files of the user are changed: {changed[:3]}"
            clean(box.work, spare)
    finally:
        os.chdir(before)
    assert sorted(folder.iterdir()) == sorted([*outside, spare])
    return tally


def clean(work: Path, spare: Path) -> None:
    """Bring the folder back to what it was; the folder itself stays, for commands run in it."""
    if digests(work) == digests(spare):
        return
    for path in work.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(spare, work, dirs_exist_ok=True)


def test_writes_are_seen(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with writes_outside(tmp_path / "in") as written:
        (tmp_path / "in" / "a.txt").write_text("x")
        assert not written
        (tmp_path / "b.txt").write_text("x")
        (tmp_path / "folder").mkdir()
    (tmp_path / "c.txt").write_text("x")
    assert written == [f"open {tmp_path.resolve()}/b.txt", f"os.mkdir {tmp_path.resolve()}/folder"]


def test_random_command_lines(tmp_path: Path, run: Run) -> None:
    run_cases(tmp_path, run.path, SAMPLE, SEED).check()


@pytest.mark.slow
def test_many_random_command_lines(tmp_path: Path, run: Run) -> None:
    run_cases(tmp_path, run.path, CASES, SEED + 1).check()
