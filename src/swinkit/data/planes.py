"""Pictures of any number of channels: read as arrays, handled like PIL images, one for each channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swinkit.errors import ImageError

Array = NDArray[Any]
TIFF = (".tif", ".tiff")


class Planes:
    """A picture as a float image (mode F) for each channel, on the scale 0..255, used like one of PIL's."""

    mode = "planes"

    def __init__(self, bands: Sequence[Image.Image]) -> None:
        self.bands = tuple(bands)
        self.width, self.height = self.size = self.bands[0].size

    @classmethod
    def of(cls, array: Array) -> Planes:
        """From (H, W, C) of any numbers, scaled by `to_bytes`."""
        values = to_bytes(array)
        return cls([Image.fromarray(np.ascontiguousarray(values[..., c])) for c in range(values.shape[-1])])

    def getbands(self) -> tuple[str, ...]:
        """One name a channel."""
        return tuple(map(str, range(len(self.bands))))

    def each(self, change: Callable[[Image.Image], Image.Image]) -> Planes:
        """All channels changed alike."""
        return Planes([change(band) for band in self.bands])

    def tobytes(self) -> bytes:
        """All numbers."""
        return b"".join(band.tobytes() for band in self.bands)

    def resize(self, size: tuple[int, int], resample: Image.Resampling, box: Any = None) -> Planes:
        """As PIL's."""
        return self.each(lambda band: band.resize(size, resample, box))

    def crop(self, box: tuple[int, int, int, int]) -> Planes:
        """As PIL's."""
        return self.each(lambda band: band.crop(box))

    def transpose(self, method: Image.Transpose) -> Planes:
        """As PIL's."""
        return self.each(lambda band: band.transpose(method))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.stack([np.asarray(band) for band in self.bands], axis=-1).astype(dtype or np.float32)


def to_bytes(array: Array) -> NDArray[np.float32]:
    """Values on the scale 0..255, as float: 16-bit whole numbers are divided by 257, truths become 255.

    Other numbers are times 255: after normalisation a mean and std hold for them as they are. What is no
    finite number becomes 0.
    """
    scale = {"uint8": 1.0, "uint16": 1 / 257}.get(array.dtype.name, 255.0)
    values = np.nan_to_num(array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return (values * np.float32(scale)).astype(np.float32)


def read_npy(file: IO[bytes], path: Path, most: int, channels: int | None = None) -> Array:
    """An array file as (H, W, C); ImageError for one that is no picture, or beyond so many pixels."""
    check_npy(file, path, most)
    file.seek(0)
    return channels_last(np.load(file, allow_pickle=False), channels)


def check_npy(file: IO[bytes], path: Path, most: int) -> None:
    """Read the header of an array file; ImageError for one that is no picture, cut short, or too large."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if len(shape) not in (2, 3) or dtype.kind not in "buif" or 0 in shape:
        raise ImageError(f"{path} holds {dtype} of shape {shape}, no picture: give (H, W, C) numbers.")
    _limit(channels_last(np.broadcast_to(np.zeros(1, dtype), shape)), path, most)
    start = file.tell()
    if file.seek(0, 2) - start < int(np.prod(shape, dtype=np.int64)) * dtype.itemsize:
        raise ImageError(f"{path} is cut short; remove or replace it.")


def read_tiff(file: IO[bytes], path: Path, most: int) -> Array:
    """A TIFF of any number of channels and depth as (H, W, C): of several pages, a page a channel."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        series = tiff.series[0]
        if series.ndim not in (2, 3):
            raise ImageError(f"{path} has {series.ndim} axes ({series.axes}), no picture: give two or three.")
        axes = series.axes
        array = series.asarray(maxworkers=1)
    if array.ndim == 3 and axes[2] in "YX":
        array = np.moveaxis(array, 0, -1)
    array = array.reshape(*array.shape[:2], -1)
    _limit(array, path, most)
    return array


def channels_last(array: Array, channels: int | None = None) -> Array:
    """(H, W), (H, W, C) or (C, H, W) as (H, W, C): the axis of so many channels, or else the shortest."""
    if array.ndim == 2:
        return array[..., None]
    first, _, last = array.shape
    if channels in (first, last):
        return array if channels == last else np.moveaxis(array, 0, -1)
    return np.moveaxis(array, 0, -1) if first < min(array.shape[1], last) else array


def _limit(array: Array, path: Path, most: int) -> None:
    height, width = array.shape[:2]
    if height * width > most:
        raise ImageError(
            f"{path} has {width}×{height} = {width * height:,} pixels, above the limit of {most:,}; "
            "make it smaller, or store it as a TIFF, which --tile reads part by part."
        )
