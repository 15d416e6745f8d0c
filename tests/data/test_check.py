"""swin data check: what is broken is found, listed, and gone once the list is followed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import CLASSES, Swin, make_set
from tests.films import write_video

from swinkit.api import check_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_set(tmp_path / "set", {"train": 6, "val": 3})


def spoil(data: Path) -> dict[str, set[Path]]:
    """One of each kind of problem."""
    first, second = (data / "train" / name for name in CLASSES[:2])
    (first / "0.png").write_bytes((first / "0.png").read_bytes()[:100])
    shutil.copy(data / "val" / CLASSES[0] / "0.png", first / "leak.png")
    shutil.copy(first / "2.png", second / "other.png")
    image = Image.open(second / "3.png")
    image.save(second / "again.bmp")  # the same pixels in another format
    return {
        "unreadable": {first / "0.png"},
        "in two parts": {first / "leak.png"},
        "two classes": {first / "2.png", second / "other.png"},
        "twice": {second / "again.bmp"},
    }


def test_a_sound_set_is_sound(data: Path) -> None:
    report = check_data(data, progress=False)
    assert not report.broken
    assert report.problems == ()
    assert report.counts == {"train": [6, 6, 6], "val": [3, 3, 3]}
    assert len(report.sizes) == 27
    assert report.modes == {"RGB": 27}


def test_every_problem_is_found(data: Path) -> None:
    expected = spoil(data)
    report = check_data(data, progress=False)
    found = {kind: {p.path for p in report.problems if p.kind == kind} for kind in expected}
    # of two files with the same pixels the later one is called the second
    found["twice"] = {path.with_name("again.bmp") for path in found["twice"]}
    assert found == expected
    assert report.broken
    for path in report.to_drop():
        path.unlink()
    again = check_data(data, progress=False)
    assert not again.broken
    assert again.problems == ()


def test_modes_are_counted(data: Path) -> None:
    folder = data / "train" / CLASSES[0]
    Image.fromarray(np.full((30, 30), 7, np.uint8)).save(folder / "grey.png")
    Image.new("RGBA", (30, 30), (9, 9, 9, 100)).save(folder / "clear.png")
    Image.fromarray(np.full((30, 30), 700, np.uint16)).save(folder / "deep.png")
    modes = check_data(data, progress=False).modes
    assert {key: modes[key] for key in ("RGB", "L", "RGBA", "I;16")} == {
        "RGB": 27,
        "L": 1,
        "RGBA": 1,
        "I;16": 1,
    }


def test_the_command(swin: Swin, data: Path, tmp_path: Path) -> None:
    sheet, drop = tmp_path / "sheet.png", tmp_path / "drop.txt"
    code, text, _ = swin("data", "check", data, "--out", sheet)
    assert (code, "Nothing is broken" in text) == (0, True)
    assert "32 to 63" in text
    expected = spoil(data)
    code, text, _ = swin("data", "check", data, "--out", sheet, "--fix-list", drop)
    assert code == 1
    for words in ("unreadable", "in two parts", "two classes", "twice", "Broken: mend it"):
        assert words in text
    listed = set(drop.read_text(encoding="utf-8").splitlines())
    assert {str(path) for path in expected["unreadable"] | expected["two classes"]} <= listed
    with Image.open(sheet) as image:
        assert image.height > 400
    code, _, err = swin("data", "check", tmp_path / "nowhere")
    assert (code, "There is no folder or file" in err) == (1, True)


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_the_range_of_floats_is_reported(swin: Swin, tmp_path: Path, suffix: str) -> None:
    """Numbers without a range of their own are no damage: training measures their range."""
    for name, low in (("a", -2.0), ("b", 0.0)):
        folder = tmp_path / "set" / "train" / name
        folder.mkdir(parents=True)
        for number in range(4):
            values = np.linspace(low, 3 + number, 16 * 16, dtype=np.float32).reshape(16, 16)
            if suffix == ".npy":
                np.save(folder / f"{number}.npy", values)
            else:
                Image.fromarray(values).save(folder / f"{number}.tif")
    report = check_data(tmp_path / "set", progress=False)
    assert not report.broken
    assert (report.values["float32"].low, report.values["float32"].high) == (-2.0, 6.0)
    assert report.values["float32"].images == 8
    code, text, _ = swin("data", "check", tmp_path / "set", "--out", tmp_path / "sheet.png")
    assert code == 0
    assert "8 images of the data hold float32 values from -2 to 6" in text


@pytest.mark.parametrize("layout", [".", "train"])
def test_a_flat_folder(layout: str, swin: Swin, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    (root / layout).mkdir(parents=True)
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 4096, (12, 10), np.uint16)
        Image.fromarray(noise).save(root / layout / f"{number}.png")
    (root / layout / "raw.dng").touch()
    sound = swin("data", "check", root, "--out", tmp_path / "sheet.png")
    assert sound.code == 0, sound.err
    assert "4 images without class folders or annotations" in sound.err
    assert "raw.dng" in sound.err
    assert "uint16 values from" in sound.out
    assert "Nothing is broken." in sound.out
    shutil.copy(root / layout / "0.png", root / layout / "again.png")
    twice = swin("data", "check", root, "--out", tmp_path / "sheet.png")
    assert twice.code == 0
    assert "twice" in twice.out
    (root / layout / "1.png").write_bytes((root / layout / "1.png").read_bytes()[:80])
    broken = swin("data", "check", root, "--out", tmp_path / "sheet.png")
    assert broken.code == 1
    assert "unreadable" in broken.out


def test_a_flat_folder_of_clips_and_one_that_is_empty(swin: Swin, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for number in range(2):
        write_video(tmp_path / "clips" / f"{number}.mp4", 8 + number)
    ended = swin("data", "check", tmp_path / "clips", "--out", tmp_path / "sheet.png")
    assert ended.code == 0, ended.err
    assert "2 clips without class folders" in ended.err
    (tmp_path / "empty").mkdir()
    empty = swin("data", "check", tmp_path / "empty", "--out", tmp_path / "sheet.png")
    assert empty.code == 1
    assert "no class folders" in empty.err
