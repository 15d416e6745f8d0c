"""What is printed while a job runs, with a terminal and without."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from swinkit.progress import lines_meanwhile, progress_bar
from tests.conftest import Swin


def test_a_bar_that_nobody_sees_prints_a_line_when_one_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    with progress_bar(Console(file=text)) as bar:
        step = bar.add_task("check", total=3, speed="")
        bar.advance(step)
        assert text.getvalue() == ""  # the last minute is not over
        monkeypatch.setattr("swinkit.progress.QUIET", 0.0)
        bar.advance(step)
        bar.update(bar.add_task("film.mp4", total=None, speed=""), completed=7, total=None)
    assert text.getvalue() == "check  2/3\nfilm.mp4  7\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_that_is_seen_or_switched_off_prints_no_lines(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swinkit.progress.QUIET", 0.0)
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100)
    with progress_bar(console, enabled=terminal) as bar:
        bar.advance(bar.add_task("check", total=3, speed=""))
    assert "check  1/3\n" not in text.getvalue()


def test_a_job_without_a_count_prints_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("swinkit.progress.QUIET", 0.02)
    with lines_meanwhile("Reading"):
        time.sleep(0.3)
    with lines_meanwhile("Silent", enabled=False):
        time.sleep(0.1)
    shown = capsys.readouterr().err
    assert "Reading: 0 s\n" in shown
    assert "Silent" not in shown


def test_commands_print_lines_without_a_terminal(
    swin: Swin, dataset: Path, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swinkit.progress.QUIET", 0.0)
    evaluated = swin("evaluate", tiny_file, dataset, "--device", "cpu", "--out", tmp_path / "figures")
    assert "evaluate 18/18" in evaluated.err
    checked = swin("data", "check", dataset, "--out", tmp_path / "sheet.png")
    assert "check 66/66" in checked.err
    predicted = swin("predict", tiny_file, dataset / "val", "--device", "cpu")
    assert (predicted.code, "predict 18" in predicted.err) == (0, True)
