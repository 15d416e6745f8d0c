"""Parts of pictures: what is cut out of a TIFF is what the whole of it holds there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from swinkit.data.io import large_images as regions
from swinkit.data.io.images import read_channels
from swinkit.data.io.large_images import TiffRegions, WholePicture, open_regions
from swinkit.errors import ImageError

PIXELS = np.random.default_rng(0).integers(0, 256, (150, 210, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "options", "channels", "kind"),
    [
        ("tiles.tif", {"tile": (32, 48), "compression": "zlib", "photometric": "rgb"}, 3, TiffRegions),
        ("strips.tif", {"rowsperstrip": 16, "photometric": "rgb"}, 3, TiffRegions),
        ("grey.tif", {"tile": (64, 64)}, 1, TiffRegions),
        ("grey.tif", {"tile": (64, 64)}, 3, TiffRegions),
        (
            "wide.tif",
            {"tile": (64, 64), "photometric": "minisblack", "planarconfig": "contig"},
            4,
            TiffRegions,
        ),
        ("planes.tif", {"planarconfig": "separate", "photometric": "minisblack"}, 4, WholePicture),
        ("plain.png", None, 3, WholePicture),
    ],
)
def test_parts(
    name: str, options: dict[str, Any] | None, channels: int, kind: type, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(regions, "ROOM", 20_000)  # a few pieces: the others are read again
    path = tmp_path / name
    array = PIXELS[..., 0] if name == "grey.tif" else PIXELS[..., : max(3, channels)]
    if options is None:
        Image.fromarray(array).save(path)
    elif name == "planes.tif":
        tifffile.imwrite(path, np.moveaxis(array, -1, 0), **options)
    else:
        tifffile.imwrite(path, array, **options)
    whole = np.asarray(read_channels(path, channels)[0])
    with open_regions(path, channels) as opened:
        assert isinstance(opened, kind)
        assert opened.size == (150, 210)
        for rows, columns in (((0, 150), (0, 210)), ((31, 33), (47, 100)), ((149, 150), (209, 210))):
            part = np.asarray(opened.read(slice(*rows), slice(*columns)))
            np.testing.assert_array_equal(part, whole[slice(*rows), slice(*columns)])


def test_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS[..., :3], tile=(32, 32), compression="zlib", photometric="rgb")
    data = bytearray(path.read_bytes())
    data[400:4000] = bytes(3600)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.tif"), open_regions(path, 3) as opened:  # noqa: PT012
        for top in range(0, 150, 10):
            opened.read(slice(top, top + 10), slice(0, 210))
    (tmp_path / "b.tif").write_text("no picture")
    with pytest.raises(ImageError, match=r"b\.tif"):
        open_regions(tmp_path / "b.tif", 3)
    tifffile.imwrite(path, PIXELS, tile=(32, 32), photometric="minisblack", planarconfig="contig")
    with pytest.raises(ImageError, match="has 4 channels"), open_regions(path, 3) as opened:
        opened.read(slice(0, 5), slice(0, 5))


def test_a_tiff_with_alpha_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, tile=(32, 32), photometric="rgb", extrasamples=["unassalpha"])
    whole = np.asarray(read_channels(path, 3)[0])
    with open_regions(path, 3) as opened:
        assert isinstance(opened, WholePicture)
        part = np.asarray(opened.read(slice(5, 9), slice(7, 70)))
    np.testing.assert_array_equal(part, whole[5:9, 7:70])


def test_packing_that_needs_a_library_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones are read whole by Pillow; of larger ones it is said what to install."""
    path = tmp_path / "a.tif"
    Image.fromarray(PIXELS[..., :3]).save(path, compression="tiff_lzw")

    def missing(self: TiffRegions, number: int) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(TiffRegions, "_piece", missing)
    with open_regions(path, 3) as opened:
        np.testing.assert_array_equal(np.asarray(opened.read(slice(0, 150), slice(0, 210))), PIXELS[..., :3])
    monkeypatch.setattr(regions, "MAX_PIXELS", 1000)
    with pytest.raises(
        ImageError, match=r"packed by LZW, which needs a library more: `pip install swinkit\[tiff\]`"
    ):
        open_regions(path, 3)


def test_plain_strips_are_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS[..., :3], photometric="rgb")
    with open_regions(path, 3) as opened:
        assert isinstance(opened, TiffRegions)
        assert isinstance(opened._stored, np.memmap)
        np.testing.assert_array_equal(np.asarray(opened.read(slice(3, 5), slice(0, 9))), PIXELS[3:5, :9, :3])
