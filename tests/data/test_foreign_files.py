"""Files as other machines leave them: damaged PNGs, named pipes, HEIC and AVIF, names in other encodings."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import CLASSES, Swin

import swinkit
from swinkit.data.io.images import read_channels, read_image, read_labels
from swinkit.data.io.paths import frames_in, walk_files
from swinkit.errors import ConfigError, ImageError, WeightsError
from swinkit.labels import Labels


def mutated_pngs(folder: Path, count: int, seed: int) -> list[Path]:
    """PNGs of which one bit was flipped, anywhere."""
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "sound.png", compress_level=0)
    sound, rng = (folder / "sound.png").read_bytes(), np.random.default_rng(seed)
    paths = []
    for number in range(count):
        data = bytearray(sound)
        data[rng.integers(0, len(data))] ^= 1 << rng.integers(0, 8)
        paths.append(folder / f"{number}.png")
        paths[-1].write_bytes(data)
    return paths


def test_every_flipped_bit_of_a_png_is_noticed(tmp_path: Path) -> None:
    read_image(mutated_pngs(tmp_path, 100, 0)[0].with_name("sound.png"))
    for path in mutated_pngs(tmp_path, 100, 0):
        for channels in (1, 3, 4):
            with pytest.raises(ImageError):
                read_channels(path, channels)
    path = tmp_path / "0.png"
    path.write_bytes((tmp_path / "sound.png").read_bytes()[:-12])
    with pytest.raises(ImageError, match=r"0\.png is cut short: its last chunk is missing"):
        read_image(path)


def test_masks_of_damaged_pngs_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "m.png", compress_level=0)
    data = bytearray((tmp_path / "m.png").read_bytes())
    data[data.index(b"IDAT") + 12] ^= 4
    (tmp_path / "m.png").write_bytes(data)
    with pytest.raises(ImageError, match=r"m\.png is damaged: the checksum of a chunk \('IDAT'\)"):
        read_labels(tmp_path / "m.png")


@pytest.mark.slow
def test_thousands_of_flipped_bits(tmp_path: Path) -> None:
    for path in mutated_pngs(tmp_path, 5000, 7):
        with pytest.raises(ImageError):
            read_image(path)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
def test_only_regular_files_are_read(tmp_path: Path, swin: Swin) -> None:
    """A pipe would make everything wait for ever; a link to a file is read, a link to nothing is named."""
    folder = tmp_path / "set"
    folder.mkdir()
    Image.new("RGB", (20, 20)).save(folder / "a.png")
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.png"))
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "link.png").symlink_to(folder / "a.png")
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    (folder / "sub.jpg").mkdir()
    assert {path.name for path in walk_files(folder)} == {"a.png", "link.png", "gone.png"}
    assert [path.name for path in frames_in(folder)] == ["a.png", "gone.png", "link.png"]
    for name in ("pipe.jpg", "device.png", "socket.png"):
        with pytest.raises(ImageError, match="no regular file"):
            read_image(folder / name)
    with pytest.raises(ImageError, match="is a folder"):
        read_image(folder / "sub.jpg")
    swinkit.save(swinkit.create("swin_pico", classes=CLASSES, img_size=16), tmp_path / "m.safetensors")
    done = swin("predict", tmp_path / "m.safetensors", folder, folder / "pipe.jpg", "--no-progress")
    assert done.code != 0
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(WeightsError):
        swinkit.load(tmp_path / "pipe.safetensors")


@pytest.mark.parametrize("suffix", ["avif", "heic"])
def test_photos_of_phones(tmp_path: Path, suffix: str, swin: Swin, monkeypatch: pytest.MonkeyPatch) -> None:
    if suffix == "heic":
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(Image.new("RGB", (64, 48), (200, 60, 20))).save(tmp_path / "a.heic", quality=95)
    else:
        Image.new("RGB", (64, 48), (200, 60, 20)).save(tmp_path / "a.avif", quality=95)
    image, size = read_channels(tmp_path / f"a.{suffix}", 3)
    assert size == (48, 64)
    assert np.abs(np.asarray(image).astype(int) - (200, 60, 20)).max() <= 6
    swinkit.save(swinkit.create("swin_pico", classes=CLASSES, img_size=16), tmp_path / "m.safetensors")
    assert swin("predict", tmp_path / "m.safetensors", tmp_path, "--no-progress").code == 0
    if suffix == "heic":
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        with pytest.raises(ImageError, match=r"a\.heic is HEIC.*swinkit\[heif\]"):
            read_image(tmp_path / "a.heic")


def test_images_in_unsupported_formats_are_named(
    tmp_path: Path, swin: Swin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # short paths are not folded in the table
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    (tmp_path / "b.jxl").write_bytes(b"\xff\x0a" + bytes(50))
    swinkit.save(swinkit.create("swin_pico", classes=CLASSES, img_size=16), tmp_path / "m.safetensors")
    done = swin("predict", "m.safetensors", ".", "--no-progress")
    assert done.code == 1
    assert "b.jxl" in done.out


def test_a_lone_surrogate_is_no_class_name() -> None:
    with pytest.raises(ConfigError, match=r"class name 'a\\udcff' is not valid text"):
        Labels.of(["a\udcff", "b"])


@pytest.mark.parametrize("share", [-1.0, 1e308, float("nan")])
def test_dropout_out_of_range(share: float) -> None:
    with pytest.raises(ConfigError, match="head_drop="):
        swinkit.create("swin_pico", classes=CLASSES, head_drop=share)
