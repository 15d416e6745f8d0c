"""Masks in every form they are stored in, and what a label map makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swinkit.data.segmentation.label_map import LabelMap
from swinkit.errors import ConfigError, ImageError

IDS = np.array([[0, 1, 2], [2, 1, 255]], np.uint8)
RED, GREEN, GREY = (255, 0, 0), (0, 128, 0), (7, 7, 7)


def test_numbers(tmp_path: Path) -> None:
    Image.fromarray(IDS).save(tmp_path / "a.png")
    labels = LabelMap.plain(3).read(tmp_path / "a.png", (2, 3))
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, IDS)


def test_indices_of_a_palette(tmp_path: Path) -> None:
    """Pascal VOC's: the numbers count, whatever colours they are shown in."""
    picture = Image.fromarray(IDS, "P")
    picture.putpalette([*GREY, *RED, *GREEN, *[0] * (3 * 252), 224, 224, 192])
    picture.save(tmp_path / "a.png")
    assert np.array_equal(LabelMap.plain(3).read(tmp_path / "a.png"), IDS)
    by_colour = LabelMap(2, colours={RED: 0, GREEN: 1}, ignored=(GREY, (224, 224, 192)))
    assert np.array_equal(by_colour.read(tmp_path / "a.png"), [[255, 0, 1], [1, 0, 255]])


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGB", (3, 2), RED)
    picture.putpixel((1, 0), GREEN)
    picture.putpixel((2, 1), GREY)
    picture.convert(mode).save(tmp_path / "a.png")
    labels = LabelMap(2, colours={GREEN: 0, RED: 1}, ignored=(GREY,)).read(tmp_path / "a.png")
    assert np.array_equal(labels, [[1, 0, 1], [1, 1, 255]])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_sixteen_bits_and_gaps(tmp_path: Path, suffix: str) -> None:
    stored = np.array([[300, 7], [40_000, 0]], np.uint16)
    path = tmp_path / f"a{suffix}"
    np.save(path, stored) if suffix == ".npy" else Image.fromarray(stored).save(path)
    assert np.array_equal(LabelMap.listed([7, 300, 40_000], ignored=(0,)).read(path), [[1, 0], [2, 255]])


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert np.array_equal(LabelMap.plain(2).read(tmp_path / "a.png"), [[1, 0]])


def test_nothing_is_shifted_unless_it_is_said(tmp_path: Path) -> None:
    """ADE20K's files count from 1, and 0 is what nobody labelled."""
    Image.fromarray(np.array([[0, 1, 150]], np.uint8)).save(tmp_path / "a.png")
    ade = LabelMap.listed(range(1, 151), ignored=(0,))
    assert np.array_equal(ade.read(tmp_path / "a.png"), [[255, 0, 149]])
    with pytest.raises(ImageError, match="value 150 at row 0, column 2"):
        LabelMap.plain(150).read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.array([[0, 9]], np.uint8), "value 9 at row 0, column 1, which is no class"),
        (np.zeros((2, 2, 3), np.uint8), "a picture in colours: say which colour"),
        (np.array([[0.5]], np.float32), "holds 0.5, which is no label"),
        (np.array([[-1]], np.int16), "holds -1, which is no label"),
    ],
)
def test_what_is_no_mask(tmp_path: Path, content: np.ndarray, said: str) -> None:
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(ImageError, match=said):
        LabelMap.plain(3).read(tmp_path / "a.npy")


def test_bad_files(tmp_path: Path) -> None:
    Image.fromarray(IDS).save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="is a JPEG, whose compression invents labels"):
        LabelMap.plain(3).read(tmp_path / "a.jpg")
    Image.fromarray(IDS).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="is 3×2, but its picture 6×4"):
        LabelMap.plain(3).read(tmp_path / "a.png", (4, 6))
    with pytest.raises(ImageError, match="of one channel: say which number"):
        LabelMap(2, colours={RED: 0, GREEN: 1}).read(_saved(tmp_path / "b.npy", IDS))
    (tmp_path / "c.png").write_text("text")
    with pytest.raises(ImageError, match="is no image"):
        LabelMap.plain(3).read(tmp_path / "c.png")


def _saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": 2}, "numbers or colours"),
        ({"classes": 2, "values": {0: 0}, "colours": {RED: 0}}, "numbers or colours"),
        ({"classes": 2, "values": {0: 2}}, "names the class 2, but there are 0 to 1"),
        ({"classes": 2, "values": {0: 0, 1: 1}, "ignored": (1,)}, "ignores 1, and gives it a class"),
        ({"classes": 256, "values": {0: 0}}, "give 1 to 255"),
    ],
)
def test_maps_that_contradict_themselves(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        LabelMap(**options)
