"""Read any common image file as upright RGB or grey: of 8 bits as PIL images, of other numbers as floats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from swinkit.data.io.deep_images import Stored, as_colours, deep_type, is_deep, read_deep, tiff_type
from swinkit.data.io.multichannel import TIFF, Planes, check_npy, npy_header, read_npy, read_tiff, upright
from swinkit.data.io.paths import HEIF_SUFFIXES
from swinkit.data.io.png import check_png
from swinkit.data.io.tar import open_file
from swinkit.data.io.value_range import Limits, ValueRule
from swinkit.errors import ImageError, unreadable

MAX_PIXELS = 178_956_970
"""Largest image that is decoded: Pillow's own limit against decompression bombs, 0.5 GB as RGB."""

PLAIN = ValueRule()
Mode = Literal["RGB", "L"]
Picture = Image.Image | Planes

# Naming the formats keeps Pillow's rarer readers away from untrusted files: EPS, for one, runs Ghostscript.
# JPEG goes past Pillow's factory, which would look for further frames (MPO) that are not wanted here.
_FORMATS: dict[str, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height


def read_image(
    path: str | Path, *, mode: Mode = "RGB", at_least: int | None = None, rule: ValueRule = PLAIN
) -> Image.Image:
    """Read the first frame of a file, upright, as 8-bit RGB or grey.

    Transparency is laid over white. Numbers of other types are brought to 8 bits by the rule, which says
    what becomes black and white. `at_least` lets a JPEG be decoded at 1/2, 1/4 or 1/8 as long as its short
    side keeps that many pixels. A JPEG beyond MAX_PIXELS is decoded at such a fraction in any case.

    Raises ImageError for a file that is missing, broken, no image, or beyond MAX_PIXELS, and for numbers
    whose range the rule does not know.
    """
    return read_sized(path, mode=mode, at_least=at_least, rule=rule)[0]


def read_sized(
    path: str | Path, *, mode: Mode = "RGB", at_least: int | None = None, rule: ValueRule = PLAIN
) -> tuple[Image.Image, tuple[int, int]]:
    """Read like `read_image`, and say the (height, width) in pixels of the full upright image."""
    channels = 1 if mode == "L" else 3
    picture, size = read_channels(path, channels, at_least=at_least, rule=rule)
    return (picture.to_image() if isinstance(picture, Planes) else picture), size


def read_channels(
    path: str | Path, channels: int, *, at_least: int | None = None, rule: ValueRule = PLAIN
) -> tuple[Picture, tuple[int, int]]:
    """Read an image for a model of so many channels, and say the (height, width) of it.

    One and three are grey and RGB: of 8 bits as `read_image` has them, of other numbers `Planes`. Of another
    count a file must have as many itself: they are taken as they are stored, alpha and CMYK too. Raises
    ImageError as `read_image`.
    """
    path = Path(path)
    try:
        with open_file(path) as file:
            if channels not in (1, 3):
                array = _stored_array(file, path, channels)
                return as_picture(array, path, channels, rule), array.shape[:2]
            stored = _read_array(file, path, channels)
            if stored is None:
                image = _open(file, path, whole=True)
                if not is_deep(image):
                    return _read_8_bit(image, path, channels, at_least, rule)
                _limit_size(image, path, None)
                stored = _read_deep(image, file, path)
            return coloured(stored, path, channels, rule), stored.array.shape[:2]
    except Exception as error:
        raise explain(path, error) from error


def as_picture(array: NDArray[Any], name: object, channels: int, rule: ValueRule = PLAIN) -> Picture:
    """(H, W, C) of any numbers for a model of so many channels; ImageError where it has others.

    `name` is what the array is called in a message. Numbers of 8 bits with one or three channels become a PIL
    image, others `Planes`.
    """
    if channels in (1, 3):
        return coloured(Stored(array), name, channels, rule)
    if array.shape[2] != channels:
        raise ImageError(f"{name} has {array.shape[2]} channels, but {channels} are wanted; see `in_chans`.")
    return Planes.of(array, rule)


def opened_picture(
    image: Image.Image, channels: int, rule: ValueRule = PLAIN
) -> tuple[Picture, tuple[int, int]]:
    """A PIL image for a model of so many channels, and its (height, width); ImageError for others."""
    if channels not in (1, 3):
        turn = _TURNS.get(_orientation(image))
        pixels = np.asarray(image if turn is None else image.transpose(turn))
        array = pixels if pixels.ndim == 3 else pixels[..., None]
        return as_picture(array, "The image", channels, rule), array.shape[:2]
    if image.mode.startswith(("I", "F")):
        # Pillow has brought a PGM to 16 bits, and holds it as wide integers
        from_pgm = image.format == "PPM" and image.mode == "I"
        pixels = np.asarray(image).astype(np.uint16) if from_pgm else np.asarray(image)
        array = upright(pixels[..., None], _orientation(image))
        picture = as_picture(array, "The image", channels, rule)
    else:
        picture = _by_rule(clean(image, mode=mode_for(channels)), rule)
    return picture, (picture.height, picture.width)


def mode_for(channels: int) -> Mode:
    """Grey or RGB."""
    return "L" if channels == 1 else "RGB"


def read_labels(path: str | Path, *, colours: bool = False) -> NDArray[Any]:
    """What a mask of classes holds: numbers (H, W), of a palette its indices; with `colours` RGB (H, W, 3).

    Raises ImageError as `read_image`, and for a JPEG, whose compression invents labels.
    """
    path = Path(path)
    try:
        with open_file(path) as file:
            read = _read_array(file, path, 3 if colours else 1)
            if read is None:
                image = _open(file, path, whole=True)
                if isinstance(image, JpegImagePlugin.JpegImageFile):
                    raise ImageError(f"{path} is a JPEG, whose compression invents labels; give a PNG.")
                _limit_size(image, path, None)
                stored = np.asarray(image.convert("RGB") if colours else image)
            else:
                stored = read.array
    except Exception as error:
        raise explain(path, error) from error
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    if channels != (3 if colours else 1):
        kind = "a picture in colours" if channels > 1 else "of one channel"
        raise ImageError(f"{path} is {kind}: say which {'number' if colours else 'colour'} is which class.")
    return stored if colours else stored.reshape(stored.shape[:2])


def read_preview(path: str | Path, *, at_least: int | None = None) -> Image.Image:
    """An image for people: RGB; other numbers than 8 bits are stretched over their range, three channels."""
    path = Path(path)
    try:
        with open_file(path) as file:
            stored = _read_stored(file, path)
    except Exception as error:
        raise explain(path, error) from error
    if stored is None:
        return read_image(path, at_least=at_least)
    array = stored.array
    shown = np.nan_to_num(array[..., [0, 1 % array.shape[2], 2 % array.shape[2]]].astype(np.float32))
    low, high = shown.min((0, 1)), shown.max((0, 1))
    return Image.fromarray((255 * (shown - low) / np.maximum(high - low, 1e-6)).astype(np.uint8))


def clean(image: Image.Image, *, mode: Mode = "RGB") -> Image.Image:
    """Turn an opened image of 8 bits upright and into RGB or grey, as `read_image` does."""
    orientation = _orientation(image)
    pixels = _to_mode(image, mode)
    return pixels.transpose(_TURNS[orientation]) if orientation in _TURNS else pixels


def check_header(path: str | Path) -> None:
    """Read the header of an image file only: cheap, but blind to damage behind it.

    Raises ImageError as `read_image` does.
    """
    path = Path(path)
    try:
        with open_file(path) as file:
            if path.suffix.lower() == ".npy":
                check_npy(file, path, MAX_PIXELS)
            elif not _is_rare_tiff(file, path):
                _limit_size(_open(file, path), path, None)
    except Exception as error:
        raise explain(path, error) from error


class Header(NamedTuple):
    """The (height, width) of the upright image, and its EXIF orientation: 1 where it is stored upright."""

    size: tuple[int, int]
    orientation: int = 1

    @property
    def stored(self) -> tuple[int, int]:
        """The (height, width) of the pixels as they are stored."""
        return self.size[::-1] if self.orientation in _SIDEWAYS else self.size


def read_header(path: str | Path) -> Header:
    """Read size and EXIF orientation from the header of an image; ImageError as `read_image`."""
    path = Path(path)
    try:
        with open_file(path) as file:
            read = _read_array(file, path)
            if read is not None:
                return Header((read.array.shape[0], read.array.shape[1]))
            image = _open(file, path)
            _limit_size(image, path, None)
            orientation = _orientation(image)
            sideways = orientation in _SIDEWAYS
            size = (image.width, image.height) if sideways else (image.height, image.width)
            return Header(size, orientation if orientation in _TURNS else 1)
    except Exception as error:
        raise explain(path, error) from error


def header_size(path: str | Path) -> tuple[int, int]:
    """The (height, width) of the upright picture, by its header; ImageError as `read_image`."""
    return read_header(path).size


def stored_mode(path: str | Path) -> str:
    """How a file stores its pixels, by Pillow's name (RGB, L, CMYK, I;16 …), or as "4 × uint16".

    Raises ImageError as `read_image`.
    """
    path = Path(path)
    try:
        with open_file(path) as file:
            read = _read_array(file, path)
            if read is None:
                with _open(file, path) as image:
                    if not is_deep(image) or image.mode.startswith(("I", "F")):
                        return image.mode
                    read = _read_deep(image, file, path)
            return f"{read.array.shape[2]} × {read.array.dtype}"
    except Exception as error:
        raise explain(path, error) from error


def number_type(path: str | Path) -> np.dtype[Any]:
    """The type of a file's numbers by its header; ImageError as `read_image`."""
    path = Path(path)
    try:
        with open_file(path) as file:
            if path.suffix.lower() == ".npy":
                return npy_header(file)[1]
            if _is_rare_tiff(file, path):
                return tiff_type(file)
            image = _open(file, path)
            return deep_type(image) if is_deep(image) else np.dtype(np.uint8)
    except Exception as error:
        raise explain(path, error) from error


def read_numbers(path: str | Path, channels: int) -> tuple[NDArray[Any], Limits | None]:
    """The numbers of a file (H, W, C) as they are stored, and the range that it says they have.

    ImageError as `read_image`.
    """
    path = Path(path)
    try:
        with open_file(path) as file:
            if channels in (1, 3):
                stored = _read_stored(file, path, channels)
                if stored is not None:
                    return stored.array, stored.type_range
                file.seek(0)
            return _stored_array(file, path, channels), None
    except Exception as error:
        raise explain(path, error) from error


def _read_8_bit(
    image: ImageFile.ImageFile, path: Path, channels: int, at_least: int | None, rule: ValueRule
) -> tuple[Picture, tuple[int, int]]:
    """An image of 8 bits, whose header is read, and the (height, width) that it has in full."""
    width, height = image.size
    _limit_size(image, path, at_least)
    turned = _orientation(image) in (5, 6, 7, 8)
    image.load()
    pixels = clean(image, mode=mode_for(channels))
    return _by_rule(pixels, rule), ((width, height) if turned else (height, width))


def _by_rule(image: Image.Image, rule: ValueRule) -> Picture:
    """An image of 8 bits, as it is unless a range is stated for it too."""
    if rule.keeps_8_bits:
        return image
    pixels = np.asarray(image)
    return Planes.of(pixels.reshape(image.height, image.width, -1), rule)


def coloured(stored: Stored, name: object, channels: int, rule: ValueRule) -> Picture:
    """Stored numbers as grey or RGB: of 8 bits a PIL image, else `Planes`."""
    array = stored.array
    if array.dtype.name in ("uint8", "bool") and rule.keeps_8_bits and array.shape[2] in (1, 3):
        pixels = np.where(array, 255, 0).astype(np.uint8) if array.dtype == bool else array
        image = Image.fromarray(np.ascontiguousarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]))
        return image.convert(mode_for(channels))
    return Planes.from_floats(*as_colours(stored, channels, rule, name))


def _read_deep(image: ImageFile.ImageFile, file: IO[bytes], path: Path) -> Stored:
    """Numbers of other types than 8 bits, upright."""
    stored = read_deep(image, file, path, MAX_PIXELS)
    return replace(stored, array=upright(stored.array, _orientation(image)))


def _read_stored(file: IO[bytes], path: Path, channels: int = 3) -> Stored | None:
    """What a file holds, upright; None for an image of 8 bits that Pillow reads."""
    stored = _read_array(file, path, channels)
    if stored is not None:
        return stored
    image = _open(file, path, whole=True)
    if not is_deep(image):
        return None
    _limit_size(image, path, None)
    return _read_deep(image, file, path)


def _is_rare_tiff(file: IO[bytes], path: Path) -> bool:
    """Whether this is a TIFF that Pillow has no mode for: many channels, or several of 16 bits."""
    if path.suffix.lower() not in TIFF:
        return False
    try:
        _open(file, path)
    except (SyntaxError, OSError, KeyError):
        return file.seek(0) == 0 and file.read(2) in (b"II", b"MM")
    finally:
        file.seek(0)
    return False


def _read_array(file: IO[bytes], path: Path, channels: int = 3) -> Stored | None:
    """What a file holds that Pillow cannot read: .npy, and rare TIFFs; None for others."""
    if path.suffix.lower() == ".npy":
        return Stored(read_npy(file, path, MAX_PIXELS, channels))
    return Stored(read_tiff(file, path, MAX_PIXELS)) if _is_rare_tiff(file, path) else None


def _any_tiff(file: IO[bytes], path: Path) -> NDArray[Any] | None:
    """(H, W, C) of a TIFF; None for one packed in a way that only Pillow knows."""
    try:
        return read_tiff(file, path, MAX_PIXELS)
    except ImageError:
        raise
    except Exception:  # noqa: BLE001, of whatever kind: Pillow says what is wrong, if anything
        file.seek(0)
        return None


def _stored_array(file: IO[bytes], path: Path, channels: int = 3) -> NDArray[Any]:
    """(H, W, C) of any file, as it is stored, upright."""
    array = _any_tiff(file, path) if path.suffix.lower() in TIFF else None
    if array is not None:
        return array
    stored = _read_stored(file, path, channels)
    if stored is not None:
        return stored.array
    file.seek(0)
    image = _open(file, path)
    _limit_size(image, path, None)
    turn = _TURNS.get(_orientation(image))
    image.load()
    array = np.asarray(image if turn is None else image.transpose(turn))
    return array if array.ndim == 3 else array[..., None]


def _open(file: IO[bytes], path: Path, *, whole: bool = False) -> ImageFile.ImageFile:
    """Read the header; `PIL.Image.open` would warn of or refuse what a smaller draft makes harmless.

    With `whole` the checksums of a PNG are verified too.
    """
    prefix = file.read(16)
    if not prefix:
        raise ImageError(f"{path} is empty (0 bytes); remove or replace it.")
    for name, factory in _FORMATS.items():
        accept = Image.OPEN[name][1]
        if accept is not None and accept(prefix) is True:
            file.seek(0)
            image = factory(file)
            if whole and name == "PNG":
                check_png(file, path)
            return image
    if prefix[4:8] == b"ftyp" and path.suffix.lower() in HEIF_SUFFIXES:
        file.seek(0)
        return _open_heif(file, path)
    raise ImageError(f"{path} is no image in a known format ({', '.join(_FORMATS)}); remove or convert it.")


def _open_heif(file: IO[bytes], path: Path) -> ImageFile.ImageFile:
    """Read the header of an HEIC file; ImageError where its library is not installed."""
    try:
        from pillow_heif import HeifImageFile  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise ImageError(
            f"{path} is HEIC, which needs a library more: `pip install swinkit[heif]`, or convert it."
        ) from error
    read: Callable[[IO[bytes]], ImageFile.ImageFile] = HeifImageFile
    image = read(file)
    return image


def _limit_size(image: ImageFile.ImageFile, path: Path, at_least: int | None) -> None:
    """Choose the fraction at which a JPEG is decoded; refuse what is too large all the same."""
    width, height = image.size
    # A progressive JPEG is held whole in memory, however small its draft.
    if isinstance(image, JpegImagePlugin.JpegImageFile) and not (
        image.info.get("progressive") and width * height > MAX_PIXELS
    ):
        fitting = [scale for scale in (1, 2, 4) if (width // scale) * (height // scale) <= MAX_PIXELS]
        scale = fitting[0] if fitting else 8
        if at_least:
            scale = max(scale, min(8, min(width, height) // at_least))
        if scale > 1:
            image.draft(None, (max(1, width // scale), max(1, height // scale)))
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(
            f"{path} has {width}×{height} = {width * height:,} pixels, above the limit of {MAX_PIXELS:,}; "
            "make it smaller, or store it as a TIFF, which `tile` reads part by part."
        )


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns a TIFF upright itself, and gives its size so from the start
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - broken metadata, of whatever kind, must not cost a sound picture
        return 1


def _to_mode(image: Image.Image, mode: Mode) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    elif image.mode == "P":
        # A palette may hold any colours: grey is taken of these, never of the indices.
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def explain(path: Path, error: Exception) -> ImageError:
    """Put whatever went wrong with a file into one sentence."""
    if isinstance(error, ImageError):
        return error
    if isinstance(error, IsADirectoryError):
        return ImageError(f"{path} is a folder, not an image; name a file in it.")
    return ImageError(unreadable(path, error, "an image"))
