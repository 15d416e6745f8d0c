"""What predict has computed is on disk, whatever stops it and whatever the inputs are called."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import swinkit
import swinkit.inference.predict
from swinkit.cli.tables import screen
from swinkit.errors import ConfigError, DataError, InputError, RunError, WeightsError
from swinkit.files import check_target, fitting_stem, write_text
from swinkit.inference.output import Names
from swinkit.labels import Labels
from swinkit.results import Classes, DetectedVideo, Detections, Failure, Result, record, results_files
from swinkit.training.run_folder import Run
from tests.conftest import QUICK, Swin

LIGHT = ("--workers", "0", "--device", "cpu", "--no-progress")
OPTIONS = {key: QUICK[key] for key in ("workers", "device", "progress")}
ROWS: list[Result] = [
    Classes(f"{i}.png", (4, 5), (1, 0), ("dots\u2028, blue", "grün"), (0.75, 0.25)) for i in range(3)
]
NOT_UTF8 = b"photo\xff.png".decode("utf-8", "surrogateescape")


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_results(folder: Path) -> list[list[str]]:
    """Paths in each kind of file, each once."""
    whole = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    rows = dict.fromkeys(row["path"] for row in read_csv(folder / "r.csv"))
    return [[row["path"] for row in whole], list(rows)]


# --- rows as they come ---------------------------------------------------------------------------------


def test_each_row_is_on_disk_before_the_next_is_computed(tmp_path: Path) -> None:
    files = results_files(tmp_path / "r.jsonl", tmp_path / "r.csv")
    results = record(iter(ROWS), files)
    for count in range(1, 4):
        next(results)
        assert len((tmp_path / "r.jsonl.part").read_bytes().splitlines()) == count
        assert len(read_csv(tmp_path / "r.csv.part")) == 2 * count
        assert not (tmp_path / "r.jsonl").exists()
    assert list(results) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv", "r.jsonl"]


@pytest.mark.parametrize("count", [1, 3])
def test_json_is_what_it_was(count: int, tmp_path: Path) -> None:
    """Written row by row, the file has the bytes of the whole list, written at once."""
    list(record(iter(ROWS[:count]), results_files(tmp_path / "r.json", None)))
    expected = json.dumps([row.to_dict() for row in ROWS[:count]], indent=2, ensure_ascii=False) + "\n"
    assert (tmp_path / "r.json").read_text(encoding="utf-8") == expected
    list(record(iter(ROWS[:count]), results_files(tmp_path / "r.jsonl", None)))
    lines = (tmp_path / "r.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [row.to_dict() for row in ROWS[:count]]


def test_columns_of_boxes_come_when_there_are_some(tmp_path: Path) -> None:
    """A failure and a video come before the first image with objects."""
    boxes = np.array([[1, 2, 3, 4]], np.float32)
    found = Detections.of((9, 9), boxes, np.array([0.5], np.float32), np.array([0]), Labels.of(["cat"]))
    results = [
        Failure("a.png", "is no image"),
        DetectedVideo("b.mp4", (9, 9), 4, {"cat": 2}, {"cat": 3}, {"cat": 0}),
        found,
        found,
    ]
    list(record(iter(results), results_files(None, tmp_path / "r.csv")))
    rows = read_csv(tmp_path / "r.csv")
    columns = ["path", "rank", "name", "score", "category_id", "x1", "y1", "x2", "y2", "error"]
    assert [list(row) for row in rows] == [columns] * 4
    assert [row["error"] for row in rows] == ["is no image", "", "", ""]
    assert [row["x2"] for row in rows] == ["", "", "3.0", "3.0"]
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]


def test_without_results_the_file_before_stays(tmp_path: Path) -> None:
    for count in (2, 0):
        list(record(iter(ROWS[:count]), results_files(tmp_path / "r.json", None)))
    assert len(json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))) == 2


@pytest.mark.parametrize("ending", [RuntimeError, KeyboardInterrupt, GeneratorExit, OSError])
def test_any_exception_leaves_the_rows_before(ending: type[BaseException], tmp_path: Path) -> None:
    def results() -> Iterator[Result]:
        yield from ROWS[:2]
        raise ending

    with pytest.raises(ending):
        list(record(results(), results_files(tmp_path / "r.json", tmp_path / "r.csv")))
    assert read_results(tmp_path) == [["0.png", "1.png"]] * 2
    assert len(list(tmp_path.iterdir())) == 2


def test_an_iterator_that_is_dropped_leaves_the_rows_before(
    run: Run, pictures: list[Path], tmp_path: Path
) -> None:
    files = {"json": tmp_path / "r.json", "csv": tmp_path / "r.csv"}
    results = swinkit.predict(run.model, pictures, batch_size=1, **files, **OPTIONS)
    assert not list(tmp_path.iterdir())
    next(results)
    del results
    assert read_results(tmp_path) == [[str(pictures[0])]] * 2


def test_a_full_disk_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = results_files(tmp_path / "r.json", tmp_path / "r.csv")
    write = files[0]._append

    def full(text: str) -> None:
        if '"2.png"' in text:
            raise OSError(28, "No space left on device")
        write(text)

    monkeypatch.setattr(files[0], "_append", full)
    results = record(iter(ROWS), files)
    assert [next(results) for _ in ROWS] == ROWS
    with pytest.raises(RunError, match="No space left on device"):
        next(results)
    assert read_results(tmp_path) == [["0.png", "1.png"], ["0.png", "1.png", "2.png"]]


# --- signals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_signals_leave_the_rows_before(
    name: str, code: int, swin: Swin, run: Run, pictures: list[Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def answers(*_: Any) -> Iterator[Result]:
        yield from ROWS[:2]
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(5)
        yield ROWS[2]

    monkeypatch.setattr(swinkit.inference.predict, "answer_files", answers)
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)]
    files = ("--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv")
    ended = swin("predict", run.path, *pictures, *files, *LIGHT)
    assert ended.code == code
    assert "Stopped" in ended.err
    assert "1.png" in ended.out
    assert read_results(tmp_path) == [["0.png", "1.png"]] * 2
    assert len(list(tmp_path.iterdir())) == 2
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGKILL"])
def test_a_killed_process_leaves_its_rows(name: str, run: Run, dataset: Path, tmp_path: Path) -> None:
    photo = next((dataset / "val").rglob("*.png"))
    (tmp_path / "in").mkdir()
    for i in range(3000):
        shutil.copy(photo, tmp_path / "in" / f"{i}.png")
    part = tmp_path / "r.json.part"
    words = ["predict", run.path, tmp_path / "in", "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv"]
    child = subprocess.Popen(
        [sys.executable, "-m", "swinkit", *map(str, words), *LIGHT, "--batch-size", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(getattr(signal, name))
        _, error = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert b"Traceback" not in error
    if name == "SIGKILL":  # whole rows, in the file beside
        assert part.read_text(encoding="utf-8").startswith('[\n  {\n    "path": ')
        return
    first, second = read_results(tmp_path)
    assert first == second
    assert 0 < len(first) < 3000
    assert not part.exists()


# --- names ---------------------------------------------------------------------------------------------


@pytest.fixture
def strange(pictures: list[Path], tmp_path: Path) -> list[Path]:
    """Files whose names are not UTF-8, as long as can be, and plain; for file systems that allow these."""
    names = [NOT_UTF8, "é" * 121 + ".png", "x" * 251 + ".png", "a\nb\t.png", "plain.png"]
    (tmp_path / "in").mkdir()
    paths = [tmp_path / "in" / name for name in names]
    try:
        for path in paths:
            shutil.copy(pictures[0], path)
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    return paths


def test_strange_names_cost_nothing(
    swin: Swin, run: Run, strange: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "width", 1000)  # long paths are not folded in the table
    out = tmp_path / "drawn"
    files = ("--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv", "--out", out)
    for _ in range(2):  # again: the same names
        ended = swin("predict", run.path, *strange, *files, "--topk", "1", *LIGHT)
        assert (ended.code, ended.err) == (0, "")
        assert r"photo\udcff.png" in ended.out
        rows = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
        assert [row["path"] for row in rows] == list(map(str, strange))
        assert read_csv(tmp_path / "r.csv")[0]["path"].endswith(r"photo\udcff.png")
        drawn = sorted(os.fsencode(path.name) for path in out.iterdir())
        assert len(drawn) == 5
        assert b"photo%FF.png" in drawn
        assert max(map(len, drawn)) <= 255


@pytest.mark.parametrize(
    "encoding",
    ["ascii", pytest.param("utf-8", marks=pytest.mark.slow), pytest.param("latin-1", marks=pytest.mark.slow)],
)
def test_a_strict_stdout_is_no_traceback(
    encoding: str, run: Run, strange: list[Path], tmp_path: Path
) -> None:
    code = (
        "import sys; sys.argv = ['swin', 'predict', *sys.argv[1:]]\n"
        f"sys.stdout.reconfigure(encoding={encoding!r}, errors='strict')\n"
        "from swinkit.cli.app import main; main()"
    )
    words = [sys.executable, "-c", code, str(run.path), *(path.name for path in strange), *LIGHT]
    done = subprocess.run(words, capture_output=True, check=False, cwd=strange[0].parent)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"photo\udcff.png" in done.stdout


def test_a_long_stem_is_shortened_by_its_hash(tmp_path: Path) -> None:
    stems = ["é" * 120 + "a", "é" * 120 + "b", "x" * 300]
    short = [fitting_stem(stem, tmp_path, len("_colour.png")) for stem in stems]
    assert len(set(short)) == 3
    for stem in short:
        assert len(f"{stem}-99999_colour.png".encode()) <= 255
        (tmp_path / f"{stem}_colour.png").touch()
    assert fitting_stem("plain", tmp_path, 4) == "plain"
    assert fitting_stem(short[0], tmp_path, len("_colour.png")) == short[0]


def test_long_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".txt")
    write_text(path, "text")
    assert path.read_text() == "text"
    assert len(list(tmp_path.iterdir())) == 1


# --- what is left of killed processes ------------------------------------------------------------------


def test_temporaries_of_killed_processes_are_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from swinkit.files import unfinished\n"
        "with unfinished(Path(sys.argv[1])) as path: path.write_bytes(b'x' * 1000); os._exit(9)"
    )
    target = tmp_path / "m.safetensors"
    for name in ("m.safetensors", "other.png"):
        subprocess.run([sys.executable, "-c", code, tmp_path / name], check=False)
    (tmp_path / ".user.original").write_text("mine")
    (tmp_path / ".m.safetensors.abcdefgh").write_text("mine too")
    assert len(list(tmp_path.iterdir())) == 4
    check_target(target)
    assert len(list(tmp_path.iterdir())) == 3
    Names(tmp_path, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".m.safetensors.abcdefgh", ".user.original"]


def test_a_temporary_in_use_stays(tmp_path: Path) -> None:
    from swinkit.files import unfinished

    with unfinished(tmp_path / "a.json") as temporary:
        temporary.write_text("{}")
        check_target(tmp_path / "a.json")
        Names(tmp_path, [])
        assert temporary.exists()
    assert (tmp_path / "a.json").read_text() == "{}"


# --- mistakes come before the work ---------------------------------------------------------------------


def test_a_place_that_cannot_be_written_is_refused_at_once(pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file" / "r.json", tmp_path / ("x" * 252 + ".json")):
        with pytest.raises(RunError, match="choose another place"):
            swinkit.predict("no-model", pictures, json=target)
    again = tmp_path / ".." / tmp_path.name / "a.json"
    with pytest.raises(ConfigError, match="name the same file"):
        swinkit.predict("no-model", pictures, json=tmp_path / "a.json", csv=again)
    (tmp_path / "r.csv.part").write_text("mine")
    with pytest.raises(ConfigError, match="results are collected in it"):
        swinkit.predict("no-model", pictures, csv=tmp_path / "r.csv")


def test_the_same_input_twice_gives_two_results(run: Run, pictures: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "text.jpg"
    broken.write_text("text")
    paths = [pictures[0], broken, pictures[0], broken, pictures[0].parent, pictures[0]]
    results = list(swinkit.predict(run.model, paths, out=tmp_path / "out", **OPTIONS))
    found = [Path(result.path).name for result in results]
    assert found == ["0.png", "text.jpg", "0.png", "text.jpg", *(f"{i}.png" for i in range(1, 6)), "0.png"]
    assert results[0] == results[2] == results[-1]
    assert len(list((tmp_path / "out").iterdir())) == 8


@pytest.mark.parametrize("address", ["https://example.org/a.png", "s3://bucket/a", "hf://owner/name"])
def test_urls_are_refused_by_name(address: str, swin: Swin, run: Run, dataset: Path, tmp_path: Path) -> None:
    said = f"{address} is a URL, and URLs are not supported: download it and give the file."
    for error, call in (
        (DataError, lambda: swinkit.predict(run.model, address)),
        (DataError, lambda: swinkit.predict(run.model, Path(address))),
        (InputError, lambda: run.model.predict(address)),
        (WeightsError, lambda: swinkit.load(address)),
        (DataError, lambda: swinkit.train(address, model="swin_pico")),
        (DataError, lambda: swinkit.evaluate(run.model, address)),
        (WeightsError, lambda: swinkit.train(dataset, model=address, out=tmp_path / "run")),
        (RunError, lambda: swinkit.train(resume=address)),
    ):
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value) == said
    for words in (
        ("predict", run.path, address),
        ("predict", address, dataset),
        ("data", "check", address),
        ("data", "shard", address, tmp_path / "out"),
        ("data", "convert", address, tmp_path / "out", "--to", "coco"),
        ("convert", address, tmp_path / "out.pth", "--to", "timm"),
        ("inspect", address),
        ("benchmark", address),
        ("train", dataset, "--config", address),
    ):
        ended = swin(*words)
        assert ended.code in (1, 2)
        assert (ended.out, ended.err) == ("", said)
    assert not list(tmp_path.iterdir())


# --- the screen ----------------------------------------------------------------------------------------


def test_many_results_are_summed_up(
    swin: Swin, run: Run, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = sorted((dataset / "val").rglob("*.png"))
    Path("text.jpg").write_text("text")
    ended = swin("predict", run.path, *photos[:16], "text.jpg", *LIGHT)
    assert ended.code == 1
    assert ended.out.count("%") == 48  # 49 rows
    ended = swin("predict", run.path, *photos, "text.jpg", "--json", "r.json", *LIGHT)
    assert ended.code == 1
    assert "%" not in ended.out
    assert ended.out.startswith("19 images in ")
    assert "images per second), 1 failed text.jpg is no image" in ended.out
    assert len(json.loads(Path("r.json").read_text(encoding="utf-8"))) == 19
    ended = swin("predict", run.path, *photos, "text.jpg", "--quiet", *LIGHT)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("text.jpg is no image")
    ended = swin("predict", run.path, photos[0], "--quiet", "--out", "out", *LIGHT)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
