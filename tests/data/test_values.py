"""Numbers of other types than 8 bits: one rule for all files of a data set, and no level lost."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.data.classification.randaugment import CHANGES, GROWING, Canvas
from swinkit.data.classification.transforms import training_transform
from swinkit.data.detection.transforms import View, pasted, tiled
from swinkit.data.image_ops import distorted
from swinkit.data.io.images import read_channels, read_image
from swinkit.data.io.large_images import TiffRegions, open_regions
from swinkit.data.io.multichannel import Planes
from swinkit.data.io.value_range import ValueRule
from swinkit.errors import ConfigError, ImageError

Array = np.ndarray[Any, Any]
LEVELS = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def png(path: Path, pixels: Array, colour_type: int, extra: bytes = b"") -> Path:
    """A PNG of 16 bits with any number of channels, which Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def pnm(path: Path, pixels: Array, magic: str, maximum: int) -> Path:
    head = f"{magic}\n# a comment\n{pixels.shape[1]} {pixels.shape[0]}\n{maximum}\n".encode()
    text = " ".join(map(str, pixels.ravel().tolist())).encode()
    path.write_bytes(head + (text if magic in ("P2", "P3") else pixels.astype(">u2").tobytes()))
    return path


def write(path: Path, form: str, pixels: Array) -> Path:
    """16-bit numbers (H, W) or (H, W, C) in a file."""
    grey = pixels.ndim == 2
    if form == "npy":
        np.save(path.with_suffix(".npy"), pixels)
        return path.with_suffix(".npy")
    if form == "png":
        return png(path.with_suffix(".png"), pixels if not grey else pixels[..., None], 0 if grey else 2)
    if form in ("binary", "text"):
        magic = {("binary", True): "P5", ("binary", False): "P6", ("text", True): "P2", ("text", False): "P3"}
        return pnm(path.with_suffix(".ppm"), pixels, magic[form, grey], 65535)
    path = path.with_suffix(".tif")
    if form == "lzw":  # with a predictor, as OpenCV writes it; tifffile cannot unpack it alone
        cv2.imwrite(str(path), pixels if grey else np.ascontiguousarray(pixels[..., ::-1]))
        return path
    options: dict[str, Any] = {
        "tiff": {},
        "big-endian": {"byteorder": ">"},
        "deflate": {"compression": "zlib", "predictor": True},
        "planar": {} if grey else {"planarconfig": "separate"},
    }[form]
    stored = np.moveaxis(pixels, -1, 0) if form == "planar" and not grey else pixels
    tifffile.imwrite(path, stored, photometric="minisblack" if grey else "rgb", **options)
    return path


FORMS = ["npy", "png", "binary", "text", "tiff", "big-endian", "deflate", "planar", "lzw"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_keep_their_levels(tmp_path: Path, form: str, channels: int) -> None:
    """0..4095 in uint16: all 4,096 levels arrive, by the type's range and by a range of the data set."""
    pixels = LEVELS if channels == 1 else np.stack([LEVELS, LEVELS[::-1], LEVELS.T], axis=-1)
    path = write(tmp_path / "x", form, pixels)
    expected = pixels.reshape(64, 64, channels) / 65535
    for rule, factor in ((ValueRule(), 1), (ValueRule((0, 4095)), 65535 / 4095)):
        picture, size = read_channels(path, channels, rule=rule)
        assert (size, type(picture)) == ((64, 64), Planes)
        np.testing.assert_allclose(np.asarray(picture) / 255, factor * expected, rtol=1e-6, atol=1e-7)
        assert len(np.unique(np.asarray(picture)[..., 0])) == 4096
    shown = np.asarray(read_image(path, mode="L" if channels == 1 else "RGB"))
    np.testing.assert_array_equal(shown.reshape(expected.shape), np.round(255 * expected))


@pytest.mark.parametrize(
    "kind", ["int8", "int16", "int32", "uint32", "int64", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("form", ["npy", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_types_without_a_range_need_one(tmp_path: Path, kind: str, form: str, channels: int) -> None:
    """The peak of a file decides nothing: 1.00 or 1.02, 255 or 256, alone or beside others."""
    low, high = (0.0, 2.0) if kind.startswith("f") else (-50.0, 100.0) if kind[0] == "i" else (0.0, 1e9)
    rule, pixels = ValueRule((low, high)), np.linspace(low, high, 64).reshape(8, 8)
    for peak in (high, low + (high - low) / 2, low + (high - low) / 1.96):
        values = np.minimum(pixels, peak).astype(kind)
        values = values if channels == 1 else np.stack([values] * 3, axis=-1)
        path = tmp_path / f"x.{form}"
        if form == "npy":
            np.save(path, values)
        else:
            tifffile.imwrite(path, values, photometric="minisblack" if channels == 1 else "rgb")
        with pytest.raises(ImageError, match=rf"x\.{form} holds {kind} numbers.*`value_range`"):
            read_channels(path, channels)
        picture, _ = read_channels(path, channels, rule=rule)
        expected = (values.astype(np.float64).reshape(8, 8, channels) - low) / (high - low)
        np.testing.assert_allclose(np.asarray(picture) / 255, expected, atol=1e-6)


def test_values_outside_are_clipped_and_counted(tmp_path: Path) -> None:
    values = np.array([[-1.0, 0.0, 0.5, 1.0, 1.02, np.nan, np.inf, -np.inf]], np.float32)
    np.save(tmp_path / "x.npy", values)
    picture, _ = read_channels(tmp_path / "x.npy", 1, rule=ValueRule((0, 1)))
    assert isinstance(picture, Planes)
    np.testing.assert_allclose(np.asarray(picture)[0, :, 0], [0, 0, 127.5, 255, 255, 0, 255, 0])
    assert picture.clipped == 5


def test_a_measured_range_is_for_types_without_one(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.full((4, 4), 0.51, np.float32))
    np.save(tmp_path / "w.npy", np.full((4, 4), 257 * 100, np.uint16))
    Image.new("L", (4, 4), 100).save(tmp_path / "b.png")
    rule = ValueRule((0, 1.02), unbounded_only=True)
    means = [np.asarray(read_channels(tmp_path / f"{name}", 1, rule=rule)[0]).mean() for name in
             ("f.npy", "w.npy", "b.png")]  # fmt: skip
    np.testing.assert_allclose(means, [127.5, 100, 100], rtol=1e-5)
    stated = ValueRule((0, 200))
    np.testing.assert_allclose(np.asarray(read_channels(tmp_path / "b.png", 3, rule=stated)[0]), 127.5)


def test_a_pgm_says_its_own_maximum(tmp_path: Path) -> None:
    path = pnm(tmp_path / "x.pgm", np.array([[0, 1000, 4095]]), "P5", 4095)
    np.testing.assert_allclose(np.asarray(read_channels(path, 1)[0]).ravel() / 255, [0, 1000 / 4095, 1])
    stated, _ = read_channels(path, 1, rule=ValueRule((0, 2000)))
    np.testing.assert_allclose(np.asarray(stated).ravel() / 255, [0, 0.5, 1])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ImageError, match=r"x\.pgm is cut short"):
        read_channels(path, 1)


def test_transparency_of_16_bits_is_laid_over_white(tmp_path: Path) -> None:
    grey = np.array([[[20000, 0], [20000, 65535], [20000, 13107]]])
    path = png(tmp_path / "la.png", grey, 4)
    over = np.array([65535, 20000, 0.2 * 20000 + 0.8 * 65535]) / 257
    np.testing.assert_allclose(np.asarray(read_channels(path, 1)[0]).ravel(), over, rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(read_channels(path, 2)[0]), (grey / 257).astype(np.float32))
    colour = np.array([[[1000, 2000, 3000, 65535], [1000, 2000, 3000, 0]]])
    path = png(tmp_path / "rgba.png", colour, 6)
    np.testing.assert_allclose(
        np.asarray(read_channels(path, 3)[0])[0] * 257, [[1000, 2000, 3000], [65535] * 3], rtol=1e-5
    )
    np.testing.assert_allclose(np.asarray(read_channels(path, 4)[0]) * 257, colour, rtol=1e-5)
    body = b"tRNS" + struct.pack(">3H", 1000, 2000, 3000)
    key = struct.pack(">I", 6) + body + struct.pack(">I", zlib.crc32(body))
    path = png(tmp_path / "key.png", colour[..., :3] + [[[0], [1]]], 2, key)
    np.testing.assert_allclose(
        np.asarray(read_channels(path, 3)[0])[0] * 257, [[65535] * 3, [1001, 2001, 3001]], rtol=1e-5
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bits_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    """As Pillow turns 8 bits."""
    from PIL import ImageOps

    pixels = np.random.default_rng(0).integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    eight = Image.fromarray((pixels >> 8).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    eight.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(eight))
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb", extratags=[(274, "H", 1, orientation)])
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    png(tmp_path / "x.png", pixels, 2, chunk)
    for name in ("x.tif", "x.png"):
        picture, size = read_channels(tmp_path / name, 3)
        np.testing.assert_array_equal(np.asarray(picture) * 257 // 256, expected)
        assert size == expected.shape[:2]


@pytest.mark.parametrize("kind", ["uint16", "float32", "int16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_parts_of_a_tiff_are_those_of_the_whole(tmp_path: Path, kind: str, channels: int) -> None:
    shape = (100, 120) if channels == 1 else (100, 120, 3)
    pixels = np.random.default_rng(0).integers(0, 3000, shape).astype(kind)
    tifffile.imwrite(
        tmp_path / "x.tif", pixels, tile=(32, 32), photometric="minisblack" if channels == 1 else "rgb"
    )
    rule = ValueRule((0, 3000))
    whole = np.asarray(read_channels(tmp_path / "x.tif", channels, rule=rule)[0])
    with open_regions(tmp_path / "x.tif", channels, rule) as regions:
        assert isinstance(regions, TiffRegions)
        part = np.asarray(regions.read(slice(20, 90), slice(31, 101)))
    np.testing.assert_array_equal(part, whole[20:90, 31:101])


@pytest.mark.parametrize("limits", [(1, 1), (2, 1), (0, float("nan")), (-1e308, 1e308)])
def test_a_range_has_an_extent(limits: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"value_range=.*give two finite numbers, the smaller first"):
        Preprocessing.checked({"size": 8, "value_range": limits})


def smooth_image(channels: int) -> Image.Image:
    """Colours that change slowly, so that a pixel more or less is no large difference."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 7, channels), dtype=np.uint8)
    image = Image.fromarray(noise if channels == 3 else noise[..., 0])
    return image.resize((70, 60), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("name", list(CHANGES))
@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_changes_of_floats_are_pillows(name: str, growing: bool, channels: int) -> None:
    """Each change of RandAugment on 8 bits and on floats, but for Pillow's rounding."""
    changes = GROWING if growing else CHANGES
    image = smooth_image(channels)
    canvas = Canvas((124, 116, 104) if channels == 3 else 114, Image.Resampling.BICUBIC)
    for strength, sign in ((0.0, 1), (0.3, -1), (0.9, 1), (1.0, -1)):
        theirs = np.asarray(changes[name](image, strength, sign, canvas), np.float32)
        changed = changes[name](Planes.of_image(image), strength, sign, canvas)
        assert isinstance(changed, Planes)
        ours = np.asarray(changed).reshape(theirs.shape)
        # Pillow rounds the grey or smoothed image, then cuts the fraction of the blend off
        assert np.abs(ours - theirs).max() <= 1.5


def test_jitter_and_randaugment_keep_levels_between_8_bits() -> None:
    """One float image and the 8-bit image nearest to it vary alike, and floats stay floats."""
    image = smooth_image(3)
    floats = Planes.from_floats(np.asarray(image, np.float32) + np.float32(0.25))
    pre = Preprocessing(size=48, mean=(0.0,) * 3, std=(1.0,) * 3)
    for options in ({"color_jitter": 0.4}, {"randaugment": "rand-m9-mstd0.5-inc1"}):
        transform = training_transform(pre, Augmentation(erasing=0.0, hflip=0.5, **options))
        for seed in range(6):
            torch.manual_seed(seed)
            theirs = transform(image)
            torch.manual_seed(seed)
            ours = transform(floats)
            difference = (ours - theirs).abs()
            assert difference.median() < 3 / 255  # of three changes each rounds to whole numbers
            assert ours.shape == theirs.shape


def test_distortion_of_floats() -> None:
    """Hue is rounded to 256 steps by Pillow, brightness and contrast to whole numbers."""
    image = smooth_image(3)
    for seed in range(20):
        torch.manual_seed(seed)
        theirs = np.asarray(distorted(image), np.float32)
        torch.manual_seed(seed)
        ours = distorted(Planes.of_image(image))
        assert isinstance(ours, Planes)
        assert np.abs(np.asarray(ours) - theirs).mean() < 2.5
        assert np.abs(np.asarray(ours) - theirs).max() < 13


def test_objects_are_pasted_and_tiled_in_floats() -> None:
    """As in 8 bits; a float image beside one of 8 bits makes both floats."""
    image, other = smooth_image(3), smooth_image(3).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    mask = np.zeros((1, 60, 70), bool)
    mask[0, 10:30, 20:50] = True
    box, label = np.array([[20.0, 10.0, 50.0, 30.0]]), np.array([0])
    for first, second in ((Planes.of_image(image), Planes.of_image(other)), (Planes.of_image(image), other)):
        torch.manual_seed(0)  # the object is chosen
        theirs = pasted(View(image, box, label, mask), View(other, box, label, mask))
        torch.manual_seed(0)
        ours = pasted(View(first, box, label, mask), View(second, box, label, mask))
        assert (np.asarray(theirs.picture) != np.asarray(image)).any()
        np.testing.assert_array_equal(np.asarray(ours.picture), np.asarray(theirs.picture))
        page = tiled([View(first, box, label, mask), View(second, box, label, mask)] * 2, 2, 80)
        plain = tiled([View(image, box, label, mask), View(other, box, label, mask)] * 2, 2, 80)
        np.testing.assert_array_equal(np.asarray(page.picture), np.asarray(plain.picture))
