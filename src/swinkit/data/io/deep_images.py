"""Images that Pillow would reduce to 8 bits, or cannot read: PNG, TIFF, PGM, PPM of 16 bits, .npy arrays."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, PngImagePlugin, PpmImagePlugin, TiffImagePlugin

from swinkit.data.io.multichannel import channels_last, check_pixels, upright
from swinkit.data.io.value_range import TYPE_RANGES, WHITE, Limits, ValueRule, scaled
from swinkit.errors import ImageError

Array = NDArray[Any]
Channels = Literal["plain", "unexplained", "alpha", "premultiplied", "cmyk"]
ORIENTATION = 274  # tag of TIFF
BITS, SAMPLE_FORMAT, EXTRA_SAMPLES = 258, 339, 338
UNSIGNED = 1  # sample format

PNG_CHANNELS = {"I;16B": 1, "RGB;16B": 3, "LA;16B": 2, "RGBA;16B": 4}


@dataclass(frozen=True)
class Stored:
    """The numbers of a file (H, W, C), upright, and what its channels are.

    With `alpha` or `premultiplied` the last channel is opacity. `key` is the value of pixels that are
    transparent, `type_range` the range that the file says it has.
    """

    array: Array
    channels: Channels = "plain"
    key: tuple[int, ...] | None = None
    type_range: Limits | None = None


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether a file, whose header is read, holds other numbers than Pillow gives as 8 bits."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        formats = image.tag_v2.get(SAMPLE_FORMAT, (UNSIGNED,))
        return max(image.tag_v2.get(BITS, (1,))) > 8 or any(form != UNSIGNED for form in formats)
    if isinstance(image, PpmImagePlugin.PpmImageFile):
        return image.mode in ("I", "F") or _pnm_maximum(image) > 255
    if isinstance(image, PngImagePlugin.PngImageFile):
        return _raw_mode(image).endswith("16B")
    return image.mode.startswith(("I", "F"))


def deep_type(image: ImageFile.ImageFile) -> np.dtype[Any]:
    """The type of numbers of such a file, by its header."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = max(image.tag_v2.get(BITS, (1,)))
        kind = {2: "int", 3: "float"}.get(image.tag_v2.get(SAMPLE_FORMAT, (UNSIGNED,))[0], "uint")
        return np.dtype(f"{kind}{16 if bits == 12 else bits}")
    if image.mode == "F":
        return np.dtype(np.float32)
    return np.dtype(np.int32 if image.mode == "I" and image.format != "PPM" else np.uint16)


def tiff_type(file: IO[bytes]) -> np.dtype[Any]:
    """The type of numbers of a TIFF that Pillow does not know, by its header."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        return np.dtype(tiff.pages.first.dtype)


def read_deep(image: ImageFile.ImageFile, file: IO[bytes], path: Path, most: int) -> Stored:
    """The numbers of such a file; ImageError where they cannot be had."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _read_tiff(image, file, path, most)
    if isinstance(image, PpmImagePlugin.PpmImageFile) and image.mode != "F":
        return _read_pnm(image, file, path)
    if isinstance(image, PngImagePlugin.PngImageFile):
        return _read_png(image, file)
    image.load()
    return Stored(channels_last(np.asarray(image)))


def as_colours(
    stored: Stored, channels: int, rule: ValueRule, name: object
) -> tuple[NDArray[np.float32], int]:
    """Grey or RGB (H, W, `channels`) on the scale 0..255, and how many values were clipped.

    Transparency is laid over white. ImageError for numbers whose range is not known, and other channels.
    """
    array = stored.array
    limits = rule.limits(array.dtype, stored.type_range)
    if limits is None:
        raise ImageError(
            f"{name} holds {array.dtype} numbers, whose range is not known: say with `value_range` which "
            "values are black and white."
        )
    if stored.channels == "plain" and array.shape[2] not in (1, 3):
        raise ImageError(f"{name} has {array.shape[2]} channels, not 1 or 3; see `in_chans`.")
    opacity = None
    if stored.channels in ("alpha", "premultiplied"):
        whole = stored.type_range or TYPE_RANGES.get(array.dtype.name, limits)
        opacity = scaled(array[..., -1:], whole)[0] / np.float32(WHITE)
        array = array[..., :-1]
    elif stored.key is not None:
        opacity = (array != np.array(stored.key)).any(-1, keepdims=True).astype(np.float32)
    values, clipped = scaled(array, limits)
    if stored.channels == "cmyk":
        values = ((WHITE - values[..., :3]) * (WHITE - values[..., 3:]) / WHITE).astype(np.float32)
    if opacity is not None:
        covered = values if stored.channels == "premultiplied" else values * opacity
        values = (covered + WHITE * (1 - opacity)).clip(0, WHITE).astype(np.float32)
    if values.shape[2] == channels:
        return values, clipped
    if channels == 1:
        return (values @ np.array([0.299, 0.587, 0.114], np.float32))[..., None], clipped
    return np.repeat(values[..., :1], channels, axis=2), clipped


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How the first part of a file packs its pixels, by Pillow's name."""
    if not image.tile:
        return ""
    args = image.tile[0].args
    return str(args[0] if isinstance(args, tuple) else args)


def _read_png(image: ImageFile.ImageFile, file: IO[bytes]) -> Stored:
    count = PNG_CHANNELS[_raw_mode(image)]
    key = image.info.get("transparency")
    key = (key,) if isinstance(key, int) else key
    if count == 1:
        image.load()
        return Stored(np.asarray(image)[..., None], key=key)
    if count == 2:
        # four bytes per pixel, which Pillow leaves as they are where it takes them for RGBA
        return Stored(_decoded(image, "RGBA", "RGBA").view(">u2"), "alpha")
    if count == 3:
        return Stored(_both_bytes(image, file, "RGB", "RGB;16B", "RGB;16L"), key=key)
    return Stored(_both_bytes(image, file, "RGBA", "RGBA;16B", "RGBA;16L"), "alpha")


def _both_bytes(image: ImageFile.ImageFile, file: IO[bytes], mode: str, upper: str, lower: str) -> Array:
    """(H, W, C) of 16 bits: Pillow keeps one byte of each number, so the file is decoded for either."""
    again = type(image)(_rewound(file))
    array = _decoded(image, mode, upper).astype(np.uint16) << 8
    array |= _decoded(again, mode, lower)
    return array


def _decoded(image: ImageFile.ImageFile, mode: str, raw_mode: str) -> NDArray[np.uint8]:
    """The pixels of a file whose header is read, unpacked in another way."""
    image._mode = mode
    tiles = []
    for tile in image.tile:
        args = (raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
        tiles.append(tile._replace(args=args))
    image.tile = tiles
    image.load()
    return np.asarray(image)


def _rewound(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    return file


def _pnm_maximum(image: ImageFile.ImageFile) -> int:
    """The value of white in a PGM or PPM."""
    if image.mode == "I" and _raw_mode(image) == "I;16B":
        return 65535
    args = image.tile[0].args
    return int(args[1]) if isinstance(args, tuple) and image.tile[0].codec_name.startswith("ppm") else 255


def _read_pnm(image: ImageFile.ImageFile, file: IO[bytes], path: Path) -> Stored:
    """A PGM or PPM of 16 bits, whose numbers Pillow would scale or reduce."""
    maximum, offset = _pnm_maximum(image), image.tile[0].offset
    plain = image.tile[0].codec_name == "ppm_plain"
    shape = (image.height, image.width, 3 if image.mode == "RGB" else 1)
    count = shape[0] * shape[1] * shape[2]
    file.seek(offset)
    data = file.read()
    if plain:
        lines = [line.split(b"#")[0] for line in data.splitlines()]
        numbers = np.array(b" ".join(lines).split()[:count], dtype=np.int64)
    else:
        whole = len(data) // 2 * 2
        numbers = np.frombuffer(data[: min(whole, 2 * count)], ">u2").astype(np.int64)
    if len(numbers) < count:
        raise ImageError(f"{path} is cut short; remove or replace it.")
    if numbers.min() < 0 or numbers.max() > maximum:
        raise ImageError(f"{path} holds values above its own maximum of {maximum}; remove or replace it.")
    return Stored(numbers.astype(np.uint16).reshape(shape), type_range=(0.0, float(maximum)))


def _read_tiff(image: ImageFile.ImageFile, file: IO[bytes], path: Path, most: int) -> Stored:
    """The first page of a TIFF by tifffile, or by Pillow where tifffile lacks what unpacks it."""
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    import tifffile

    kind = _tiff_channels(image)
    try:
        with tifffile.TiffFile(_rewound(file)) as tiff:
            page = tiff.pages.first
            axes, array = page.axes, page.asarray(maxworkers=1)
    except (ValueError, ImportError, KeyError, NotImplementedError):
        return _explained(_by_pillow(image, file, path), kind)
    if axes not in ("YX", "YXS", "SYX"):
        raise ImageError(f"{path} has the axes {axes}, no picture: give height, width and channels.")
    array = np.moveaxis(array, 0, -1) if axes == "SYX" else channels_last(array, array.shape[-1])
    check_pixels(array, path, most)
    return _explained(upright(array, int(image.tag_v2.get(ORIENTATION, 1))), kind)


def _explained(array: Array, kind: Channels) -> Stored:
    """Without a fourth channel that the file does not explain."""
    if kind == "unexplained":
        return Stored(array[..., :3])
    return Stored(array, kind)


def _tiff_channels(image: TiffImagePlugin.TiffImageFile) -> Channels:
    if image.mode == "CMYK":
        return "cmyk"
    if image.mode not in ("RGB", "RGBA") or len(image.tag_v2[BITS]) == 3:
        return "plain"
    extra = image.tag_v2.get(EXTRA_SAMPLES, (2,))
    return {1: "premultiplied", 2: "alpha"}.get(extra[0], "unexplained")  # type: ignore[return-value]


def _by_pillow(image: TiffImagePlugin.TiffImageFile, file: IO[bytes], path: Path) -> Array:
    """Numbers of a TIFF that is packed in a way that only Pillow can unpack; it turns them upright."""
    packed, mode = _raw_mode(image), image.mode
    if mode.startswith(("I", "F")):
        unsigned = packed.startswith("I;32") and SAMPLE_FORMAT not in image.tag_v2
        image.load()
        array = np.asarray(image)[..., None]
        return array.view(np.uint32) if unsigned and array.dtype == np.int32 else array
    if all(_is_16_bit_colour(tile.args) for tile in image.tile):
        count = len(image.tag_v2[BITS])
        layout = "CMYK" if mode == "CMYK" else "RGB" if count == 3 else "RGBA"
        native, other = ("L", "B") if sys.byteorder == "little" else ("B", "L")
        order = packed[-1] if packed[-1] in "LB" else native
        lower = other if order == native else native
        return _both_bytes(image, file, layout, f"{layout};16{order}", f"{layout};16{lower}")
    raise ImageError(
        f"{path} is packed in a way that needs a library more: `pip install swinkit[tiff]`, or store it anew."
    )


def _is_16_bit_colour(args: Any) -> bool:
    packed = str(args[0] if isinstance(args, tuple) else args)
    return packed[:-1].endswith(";16") and packed.startswith(("RGB", "CMYK"))
