"""Films with answers written into them."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from PIL import Image, ImageDraw

from swinkit.files import MADE_BY, not_writable
from swinkit.visualize.canvas import INK, PAPER, enlarge
from swinkit.visualize.text import shortened

if TYPE_CHECKING:
    from swinkit.results import Moment

LARGEST = 480  # pixels of the short side: frames wait in memory for the answer of the window around them


class FilmFile:
    """An mp4 of pictures, written as it goes, so that it can be played whatever stops it."""

    def __init__(self, path: Path, rate: float) -> None:
        import av

        self._rate = Fraction(rate).limit_denominator(1001)
        self._stream: Any = None
        try:
            # in fragments, each whole by itself
            self._container = av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"})
            self._container.metadata["comment"] = MADE_BY
        except OSError as error:
            raise not_writable(path, error) from error

    def add(self, image: Image.Image) -> None:
        """Write the next picture; the first one tells the size."""
        import av

        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            # even sides, for colours are stored at half the resolution
            self._stream.width, self._stream.height = (max(2, side // 2 * 2) for side in image.size)
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "23", "preset": "veryfast"}
        if image.size != (self._stream.width, self._stream.height):  # the video may change its size too
            image = image.resize((self._stream.width, self._stream.height))
        self._container.mux(self._stream.encode(av.VideoFrame.from_image(image)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


class Film:
    """A film of the frames, each with the answer of the window whose middle is nearest."""

    def __init__(self, path: Path, rate: float, hop: float) -> None:
        self._file, self._hop = FilmFile(path, rate), hop
        self._waiting: deque[tuple[float, Image.Image]] = deque()
        self._last: Moment | None = None

    def saw(self, time: float, image: Image.Image) -> None:
        """Keep a frame until its answer is there."""
        scale = min(1.0, LARGEST / min(image.size))
        width, height = (max(2, round(side * scale) // 2 * 2) for side in image.size)
        frame = enlarge(image.resize((width, height), Image.Resampling.BILINEAR))
        self._waiting.append((time, frame))

    def answered(self, moment: Moment) -> None:
        """Write the frames that are nearer to this window than to the next one."""
        until = (moment.start + moment.end + self._hop) / 2
        while self._waiting and self._waiting[0][0] < until:
            self._write(self._waiting.popleft()[1], moment)
        self._last = moment

    def _write(self, image: Image.Image, moment: Moment) -> None:
        _label(image, f"{moment.names[0]}  {moment.scores[0]:.0%}")
        self._file.add(image)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._last is not None:
            while self._waiting:
                self._write(self._waiting.popleft()[1], self._last)
        self._file.__exit__()


def _label(image: Image.Image, text: str) -> None:
    """Write a line at the bottom, white on a dark band."""
    size = max(11, min(image.size) // 16)
    line = shortened(text, size, image.width - size)
    top = image.height - line.height - size // 6
    ImageDraw.Draw(image).rectangle((0, top, image.width, image.height), INK)
    line.draw(image, (size // 2, top), PAPER)
