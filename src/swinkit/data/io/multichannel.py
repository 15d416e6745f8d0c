"""Images of any number of channels as floats, handled like PIL images: an image of mode F per channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swinkit.data.io.value_range import ValueRule, scaled, unscaled
from swinkit.errors import ImageError

Array = NDArray[Any]
TIFF = (".tif", ".tiff")


class Planes:
    """A float image (mode F) per channel, on the scale 0..255, used like one of PIL's.

    `clipped` counts the stored values that lay outside of the value range.
    """

    mode = "planes"

    def __init__(self, bands: Sequence[Image.Image], clipped: int = 0) -> None:
        self.bands = tuple(bands)
        self.width, self.height = self.size = self.bands[0].size
        self.clipped = clipped

    @classmethod
    def of(cls, array: Array, rule: ValueRule = ValueRule()) -> Planes:  # noqa: B008, frozen
        """From (H, W, C) of any numbers; types without a range are taken as they are."""
        limits = rule.limits(array.dtype)
        values, clipped = (unscaled(array), 0) if limits is None else scaled(array, limits)
        return cls.from_floats(values, clipped)

    @classmethod
    def from_floats(cls, values: NDArray[np.float32], clipped: int = 0) -> Planes:
        """From (H, W, C) on the scale 0..255."""
        return cls(list(_bands(values)), clipped)

    @classmethod
    def of_image(cls, image: Image.Image) -> Planes:
        """The same as an 8-bit image."""
        pixels = np.asarray(image, np.float32)
        return cls.from_floats(pixels.reshape(image.height, image.width, -1))

    def getbands(self) -> tuple[str, ...]:
        """One name per channel."""
        return tuple(map(str, range(len(self.bands))))

    def each(self, change: Callable[[Image.Image], Image.Image]) -> Planes:
        """All channels changed alike."""
        return Planes([change(band) for band in self.bands], self.clipped)

    def changed(self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Planes:
        """All numbers (H, W, C) changed together."""
        return Planes.from_floats(change(np.asarray(self)), self.clipped)

    def tobytes(self) -> bytes:
        """All numbers."""
        return b"".join(band.tobytes() for band in self.bands)

    def copy(self) -> Planes:
        """As PIL's."""
        return self.each(lambda band: band.copy())

    def paste(self, other: Planes, corner: tuple[int, int], mask: Image.Image | None = None) -> None:
        """As PIL's."""
        for band, pasted in zip(self.bands, other.bands, strict=True):
            band.paste(pasted, corner, mask)

    def resize(self, size: tuple[int, int], resample: Image.Resampling, box: Any = None) -> Planes:
        """As PIL's."""
        return self.each(lambda band: band.resize(size, resample, box))

    def crop(self, box: tuple[int, int, int, int]) -> Planes:
        """As PIL's."""
        return self.each(lambda band: band.crop(box))

    def transpose(self, method: Image.Transpose) -> Planes:
        """As PIL's."""
        return self.each(lambda band: band.transpose(method))

    def to_image(self) -> Image.Image:
        """Rounded to 8 bits: RGB, or grey of one channel."""
        pixels = np.asarray(self).round().clip(0, 255).astype(np.uint8)
        return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.stack([np.asarray(band) for band in self.bands], axis=-1).astype(dtype or np.float32)


def _bands(values: NDArray[np.float32]) -> Iterator[Image.Image]:
    for channel in range(values.shape[-1]):
        yield Image.fromarray(np.ascontiguousarray(values[..., channel]))


def read_npy(file: IO[bytes], path: Path, most: int, channels: int | None = None) -> Array:
    """An array file as (H, W, C); ImageError for one that is no picture, or beyond so many pixels."""
    check_npy(file, path, most)
    file.seek(0)
    return channels_last(np.load(file, allow_pickle=False), channels)


def check_npy(file: IO[bytes], path: Path, most: int) -> None:
    """Read the header of an array file; ImageError for one that is no picture, cut short, or too large."""
    shape, dtype = npy_header(file)
    if len(shape) not in (2, 3) or dtype.kind not in "buif" or 0 in shape:
        raise ImageError(f"{path} holds {dtype} of shape {shape}, no picture: give (H, W, C) numbers.")
    check_pixels(channels_last(np.broadcast_to(np.zeros(1, dtype), shape)), path, most)
    start = file.tell()
    if file.seek(0, 2) - start < int(np.prod(shape, dtype=np.int64)) * dtype.itemsize:
        raise ImageError(f"{path} is cut short; remove or replace it.")


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array file."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def read_tiff(file: IO[bytes], path: Path, most: int) -> Array:
    """A TIFF of any number of channels and depth as (H, W, C), upright: of several pages, one per channel."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        series = tiff.series[0]
        if series.ndim not in (2, 3):
            raise ImageError(f"{path} has {series.ndim} axes ({series.axes}), no picture: give two or three.")
        axes = series.axes
        orientation = tiff.pages.first.tags.valueof("Orientation", 1)
        array = series.asarray(maxworkers=1)
    if array.ndim == 3 and axes[2] in "YX":
        array = np.moveaxis(array, 0, -1)
    array = array.reshape(*array.shape[:2], -1)
    check_pixels(array, path, most)
    return upright(array, int(orientation))


def upright(array: Array, orientation: int) -> Array:
    """(H, W, C) turned as the orientation of EXIF and TIFF says."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def channels_last(array: Array, channels: int | None = None) -> Array:
    """(H, W), (H, W, C) or (C, H, W) as (H, W, C): the axis of so many channels, or else the shortest."""
    if array.ndim == 2:
        return array[..., None]
    first, _, last = array.shape
    if channels in (first, last):
        return array if channels == last else np.moveaxis(array, 0, -1)
    return np.moveaxis(array, 0, -1) if first < min(array.shape[1], last) else array


def check_pixels(array: Array, path: object, most: int) -> None:
    """ImageError for (H, W, C) of more pixels."""
    height, width = array.shape[:2]
    if height * width > most:
        raise ImageError(
            f"{path} has {width}×{height} = {width * height:,} pixels, above the limit of {most:,}; "
            "make it smaller, or store it as a TIFF, which `tile` reads part by part."
        )
