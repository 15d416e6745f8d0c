"""Parts of a picture that may be larger than memory: a TIFF is read where it is wanted, others whole."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from swinkit.data.io.images import MAX_PIXELS, Picture, as_picture, explain, read_channels
from swinkit.data.io.multichannel import TIFF, Planes
from swinkit.data.io.value_range import ValueRule
from swinkit.errors import ImageError
from swinkit.files import check_regular

ROOM = 2**28  # bytes of decoded pieces of a TIFF that are kept

Array = NDArray[Any]


class Regions(Protocol):
    """A picture of which parts are read; a context manager."""

    size: tuple[int, int]  # height and width

    def clipped(self) -> int:
        """Count the stored values outside of the value range, of all parts read so far, each once."""

    def read(self, rows: slice, columns: slice) -> Picture:
        """A part, as `read_channels` gives whole pictures; ImageError where it cannot be read."""

    def __enter__(self) -> Self:
        """Open."""

    def __exit__(self, *_: object) -> None:
        """Close."""


def open_regions(path: Path, channels: int, rule: ValueRule = ValueRule()) -> Regions:  # noqa: B008, frozen
    """An image for a model of so many channels; ImageError for one that cannot be read."""
    if path.suffix.lower() in TIFF:
        try:
            return TiffRegions(path, channels, rule)
        except _WholeOnly:
            pass
        except Exception as error:
            raise explain(path, error) from error
    return WholePicture(path, channels, rule)


class WholePicture:
    """A picture that is decoded at once."""

    def __init__(self, path: Path, channels: int, rule: ValueRule) -> None:
        self._picture, self.size = read_channels(path, channels, rule=rule)

    def clipped(self) -> int:
        """As `Regions`."""
        return self._picture.clipped if isinstance(self._picture, Planes) else 0

    def read(self, rows: slice, columns: slice) -> Picture:
        """As `Regions`."""
        return self._picture.crop((columns.start, rows.start, columns.stop, rows.stop))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _WholeOnly(Exception):  # noqa: N818, never told
    """A TIFF whose pieces hold no pixels with all of their channels."""


class TiffRegions:
    """The first page of a TIFF, whose tiles or strips are decoded where they are wanted."""

    def __init__(self, path: Path, channels: int, rule: ValueRule) -> None:
        import tifffile

        self.path, self.channels, self.rule = path, channels, rule
        with ExitStack() as opened:
            tiff = opened.enter_context(tifffile.TiffFile(check_regular(path)))
            self._page = page = tiff.pages.first
            turned = page.tags.get("Orientation")
            if page.axes not in ("YX", "YXS") or (turned is not None and turned.value != 1):
                raise _WholeOnly
            bands = page.shape[2] if len(page.shape) == 3 else 1
            if channels in (1, 3) and bands not in (1, 3):  # alpha is laid over white
                raise _WholeOnly
            if tifffile.PHOTOMETRIC(page.photometric).name not in ("MINISBLACK", "RGB", "YCBCR"):
                raise _WholeOnly
            self._file = tiff.filehandle
            self.size = page.shape[0], page.shape[1]
            self._high, self._wide = page.chunks[:2]
            self._across = -(-self.size[1] // self._wide)
            self._kept: OrderedDict[int, Array] = OrderedDict()
            self._room = ROOM
            self._stored: Array | None = None
            self._counted = np.zeros(self.size[0], np.int64)  # columns of each row whose values are counted
            self._clipped = 0
            if page.is_memmappable:
                self._stored = tifffile.memmap(path, mode="r").reshape(*self.size, bands)
            else:
                self._check_packing()
            self._opened = opened.pop_all()

    def read(self, rows: slice, columns: slice) -> Picture:
        """As `Regions`."""
        try:
            array = self._array(rows, columns)
        except Exception as error:
            raise explain(self.path, error) from error
        picture = as_picture(array, self.path, self.channels, self.rule)
        if isinstance(picture, Planes) and picture.clipped:
            self._count(array, rows, columns)
        return picture

    def clipped(self) -> int:
        """As `Regions`."""
        return self._clipped

    def _count(self, array: Array, rows: slice, columns: slice) -> None:
        """Count values outside of the range; parts overlap, and come from left to right in each row."""
        limits = self.rule.limits(array.dtype)
        assert limits is not None  # as values were clipped
        new = np.arange(columns.start, columns.stop)[None] >= self._counted[rows, None]
        inside = (array >= limits[0]) & (array <= limits[1])
        self._clipped += int((~inside & new[..., None]).sum())
        self._counted[rows] = np.maximum(self._counted[rows], columns.stop)

    def _check_packing(self) -> None:
        """Decode one piece; where a library is missing, Pillow may read the whole of a smaller picture."""
        import tifffile

        try:
            self._piece(0)
        except (ImportError, ValueError) as error:
            if not isinstance(error, ImportError) and "imagecodecs" not in str(error):
                raise
            if self.size[0] * self.size[1] <= MAX_PIXELS:
                raise _WholeOnly from error
            kind = tifffile.COMPRESSION(self._page.compression).name
            raise ImageError(
                f"{self.path} is packed by {kind}, which needs a library more: `pip install swinkit[tiff]`."
            ) from error

    def _array(self, rows: slice, columns: slice) -> Array:
        """(h, w, C) of the numbers that are stored."""
        if self._stored is not None:
            return self._stored[rows, columns]
        bands = self._page.shape[2] if len(self._page.shape) == 3 else 1
        part = np.zeros((rows.stop - rows.start, columns.stop - columns.start, bands), self._page.dtype)
        for down in range(rows.start // self._high, -(-rows.stop // self._high)):
            for right in range(columns.start // self._wide, -(-columns.stop // self._wide)):
                piece = self._piece(down * self._across + right)
                top, left = down * self._high, right * self._wide
                own = (
                    slice(max(rows.start, top), min(rows.stop, top + piece.shape[0])),
                    slice(max(columns.start, left), min(columns.stop, left + piece.shape[1])),
                )
                part[own[0].start - rows.start : own[0].stop - rows.start,
                     own[1].start - columns.start : own[1].stop - columns.start] = piece[
                    own[0].start - top : own[0].stop - top, own[1].start - left : own[1].stop - left
                ]  # fmt: skip
        return part

    def _piece(self, number: int) -> Array:
        """A tile or strip, (h, w, C); those used last are kept."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        page = self._page
        self._file.seek(page.dataoffsets[number])
        data = self._file.read(page.databytecounts[number])
        decoded, _, shape = page.decode(data, number, jpegtables=page.jpegtables)
        piece = np.zeros(shape[1:], page.dtype) if decoded is None else decoded[0][: shape[1], : shape[2]]
        self._kept[number] = piece
        self._room -= piece.nbytes
        while self._room < 0 and len(self._kept) > 1:
            self._room += self._kept.popitem(last=False)[1].nbytes
        return piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()
