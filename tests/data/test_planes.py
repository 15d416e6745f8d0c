"""Pictures of other than one or three channels, of 16 bits, and arrays: by tifffile, numpy, Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.conftest import CLASSES, QUICK, Swin

import swinkit
from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.data.classification.open import open_classes
from swinkit.data.classification.transforms import evaluation_transform, training_transform
from swinkit.data.io.images import check_header, read_channels, read_image, read_preview, stored_mode
from swinkit.data.io.media import find_inputs
from swinkit.data.io.multichannel import Planes
from swinkit.data.io.value_range import ValueRule
from swinkit.errors import ConfigError, ImageError

RNG = np.random.default_rng(0)
UNIT = {"mean": (0.0,), "std": (1.0,)}


def array(kind: str, channels: int) -> np.ndarray[Any, Any]:
    if kind == "float32":
        return RNG.normal(size=(9, 12, channels)).astype(np.float32)
    return RNG.integers(0, np.iinfo(kind).max, (9, 12, channels), endpoint=True).astype(kind)


def save(path: Path, pixels: np.ndarray[Any, Any], form: str) -> Path:
    if form == "npy":
        np.save(path.with_suffix(".npy"), pixels)
        return path.with_suffix(".npy")
    path = path.with_suffix(".tif")
    if form == "pages":
        tifffile.imwrite(path, np.moveaxis(pixels, -1, 0), photometric="minisblack")
    else:
        options = {"compression": "zlib"} if form == "deflate" else {}
        tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig", **options)
    return path


@pytest.mark.parametrize("form", ["npy", "tiff", "pages", "deflate"])
@pytest.mark.parametrize("channels", [2, 4, 7])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_values_arrive_as_they_are(tmp_path: Path, kind: str, channels: int, form: str) -> None:
    """Whole numbers as shares of their largest, others as they are; without resampling nothing is lost."""
    pixels = array(kind, channels)
    path = save(tmp_path / "x", pixels, form)
    check_header(path)
    picture, size = read_channels(path, channels)
    assert size == (9, 12)
    assert isinstance(picture, Planes)
    scale = 1.0 if kind == "float32" else float(np.iinfo(kind).max)
    np.testing.assert_allclose(np.asarray(picture) / 255, pixels / scale, rtol=1e-5, atol=1e-6)
    assert stored_mode(path) == f"{channels} × {kind}" or form != "npy"
    assert read_preview(path).mode == "RGB"


def test_the_axis_of_channels_is_the_one_that_is_wanted(tmp_path: Path) -> None:
    pixels = array("uint8", 3)
    wide = np.zeros((6, 8, 50), np.uint8)
    np.save(tmp_path / "wide.npy", wide)
    np.save(tmp_path / "high.npy", np.moveaxis(np.repeat(pixels, 40, axis=0), -1, 0))
    assert read_channels(tmp_path / "wide.npy", 50)[1] == (6, 8)
    assert read_channels(tmp_path / "wide.npy", 6)[1] == (8, 50)
    assert read_channels(tmp_path / "high.npy", 3)[1] == (360, 12)


def test_channels_first_and_odd_numbers(tmp_path: Path) -> None:
    pixels = array("int16", 5)
    np.save(tmp_path / "x.npy", np.moveaxis(pixels, -1, 0))
    picture, _ = read_channels(tmp_path / "x.npy", 5)
    np.testing.assert_allclose(np.asarray(picture) / 255, pixels, rtol=1e-5)
    np.save(tmp_path / "y.npy", np.full((4, 4, 2), np.nan))
    assert np.asarray(read_channels(tmp_path / "y.npy", 2)[0]).max() == 0


@pytest.mark.parametrize("form", ["npy", "tiff"])
def test_colours_of_16_bits_become_8(tmp_path: Path, form: str) -> None:
    """A TIFF that Pillow cannot read at all, as RGB."""
    pixels = array("uint16", 3)
    path = tmp_path / f"x.{form}"
    if form == "npy":
        np.save(path, pixels)
    else:
        tifffile.imwrite(path, pixels, photometric="rgb")
    image = read_image(path)
    assert image.mode == "RGB"
    # Pillow, which reads some of them, takes the upper byte
    np.testing.assert_allclose(np.asarray(image), np.round(pixels / 257), atol=0 if form == "npy" else 1)
    np.save(tmp_path / "f.npy", (pixels / 65535).astype(np.float32))
    floats = np.asarray(read_image(tmp_path / "f.npy", rule=ValueRule((0, 1))))
    difference = floats.astype(int) - np.asarray(image)
    assert abs(difference).max() <= 1


def test_alpha_and_cmyk_are_four_channels(tmp_path: Path) -> None:
    pixels = array("uint8", 4)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(read_channels(tmp_path / "a.png", 4)[0]), pixels)
    Image.fromarray(pixels, "CMYK").save(tmp_path / "c.tif")
    np.testing.assert_array_equal(np.asarray(read_channels(tmp_path / "c.tif", 4)[0]), pixels)
    with pytest.raises(ImageError, match=r"a\.png has 4 channels, but 5 are wanted"):
        read_channels(tmp_path / "a.png", 5)


def test_what_is_no_picture(tmp_path: Path) -> None:
    bad = {
        "text.npy": b"no array",
        "short.npy": None,
        "line.npy": np.zeros(5),
        "deep.npy": np.zeros((2, 3, 4, 5)),
        "names.npy": np.array([["a", "b"]]),
        "object.npy": np.array([[{}]], dtype=object),
    }
    for name, content in bad.items():
        path = tmp_path / name
        if isinstance(content, np.ndarray):
            np.save(path, content)
        elif content is None:
            np.save(path, np.zeros((50, 50)))
            path.write_bytes(path.read_bytes()[:1000])
        else:
            path.write_bytes(content)
        for read in (check_header, read_image, lambda path: read_channels(path, 4)):
            with pytest.raises(ImageError, match=name):
                read(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_transforms_are_those_of_pictures(channels: int) -> None:
    """One channel of many is handled as a grey picture of floats would be, in evaluation and in training."""
    pixels = RNG.integers(0, 256, (40, 52), dtype=np.uint8)
    several = Planes.of(np.stack([pixels] * 4, axis=-1))
    wide = Preprocessing(size=16, channels=4, mean=(0,) * 4, std=(1,) * 4)
    grey = Preprocessing(size=16, channels=1, mean=(0,), std=(1,))
    alone = Image.fromarray(pixels)
    ours, theirs = evaluation_transform(wide)(several), evaluation_transform(grey)(alone)
    assert (ours - theirs).abs().max() < 1.5 / 255  # they round to whole numbers
    augmentation = Augmentation(hflip=0.5, color_jitter=0.0, erasing=0.5, crop_scale=(0.3, 1.0))
    for seed in range(5):
        torch.manual_seed(seed)
        ours = training_transform(wide, augmentation)(several)
        torch.manual_seed(seed)
        theirs = training_transform(grey, augmentation)(alone)
        inside = (theirs >= 0) & (theirs <= 1) & (ours[:1] >= 0) & (ours[:1] <= 1)
        assert (ours[:1] - theirs)[inside].abs().median() < 1.5 / 255
        assert ours.shape == (4, 16, 16)


def test_shift_and_jitter_of_many_channels() -> None:
    picture = Planes.of(np.full((8, 8, 5), 100, np.uint8))
    pre = Preprocessing(size=8, channels=5, mean=(0,) * 5, std=(1,) * 5)
    quiet = {"hflip": 0.0, "erasing": 0.0, "color_jitter": 0.0, "shift": 0.25}
    torch.manual_seed(0)
    moved = training_transform(pre, Augmentation(**quiet))(picture)
    assert {round(255 * value) for value in moved.unique().tolist()} <= {0, 100}
    assert (moved == moved[:1]).all()
    bright = training_transform(pre, Augmentation(**{**quiet, "shift": 0.0, "color_jitter": 0.3}))
    values = {round(float(bright(picture)[0, 4, 4]) * 255) for _ in range(20)}
    assert len(values) > 5
    assert min(values) >= 70
    assert max(values) <= 130
    with pytest.raises(ConfigError, match="`randaugment` is for 1 or 3 channels, but the model takes 5"):
        training_transform(pre, Augmentation(randaugment="rand-m9-mstd0.5-inc1"))


def test_training_on_six_channels(tmp_path: Path, swin: Swin) -> None:
    """From files to a model that says what it takes; another number is refused by the name of the file."""
    for part, count in (("train", 12), ("val", 4)):
        for label, name in enumerate(CLASSES):
            folder = tmp_path / "set" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = RNG.integers(0, 9000, (30, 30, 6)).astype(np.uint16)
                pixels[..., 2 * label] += 30_000
                np.save(folder / f"{i}.npy", pixels)
    assert swin("data", "check", tmp_path / "set", "--in-chans", "6", "--out", tmp_path / "s.png").code == 0
    refused = swin("data", "check", tmp_path / "set", "--out", tmp_path / "s.png")
    assert (refused.code, "has 6 channels, not 1 or 3" in refused.out) == (1, True)
    run = swinkit.train(
        tmp_path / "set", model="swin_pico", in_chans=6, mean=(0.2,) * 6, std=(0.2,) * 6, lr=3e-3,
        out=tmp_path / "run", **{**QUICK, "epochs": 4},
    )  # fmt: skip
    model = swinkit.load(run.path)
    assert (model.preprocessing.channels, model.preprocessing.mean) == (6, (0.2,) * 6)
    assert run.metrics["top1"] == 100
    (answer,) = model.predict([tmp_path / "set" / "val" / CLASSES[1] / "0.npy"])
    assert answer.to_dict()["classes"][0]["name"] == CLASSES[1]


def test_arrays_beside_pictures_are_no_pictures(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{i}.png")
        np.save(tmp_path / name / "features.npy", np.zeros(5))
    data = open_classes(tmp_path, val_fraction=0)
    assert len(data.splits["train"]) == 9
    assert data.notes[0].startswith("3 files")
    assert len(find_inputs(tmp_path)) == 9
