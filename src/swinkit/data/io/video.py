"""Frames of a video: of a file by PyAV, of a folder of pictures, or of an array; only those that are wanted.

Frames are told by ticks: tick n is what a player shows in the middle of the n-th frame time at the rate at
hand. At a constant rate that is the n-th frame; where frames come unevenly, their timestamps decide. A path
may end in `#t=1.5,4`, the stretch from second 1.5 to 4 (W3C media fragments); of a folder of pictures these
are numbers of frames.
"""

from __future__ import annotations

import itertools
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from PIL import Image

from swinkit.data.io.images import PLAIN, header_size, read_channels, read_preview
from swinkit.data.io.in_memory import clip_frames, memory_picture
from swinkit.data.io.paths import frames_in
from swinkit.data.io.value_range import ValueRule
from swinkit.data.io.video_decoder import Reel
from swinkit.errors import ClipError, ImageError

FEWEST = 2  # frames that show motion
LATE = 0.5  # seconds by which a video may end before its header says so
_FRAGMENT = re.compile(r"(.+)#t=(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)")


class EndedEarlyError(ClipError):
    """A video ends before its header says so; `ticks` are those that it has."""

    def __init__(self, path: str, ticks: int) -> None:
        super().__init__(f"{path} is cut short: its frames end after {ticks}; copy it anew or cut it there.")
        self.ticks = ticks


class Stretch(NamedTuple):
    """A file or folder, and from where to where in it; None for all of it."""

    path: Path
    span: tuple[float, float] | None


class Footage(ABC):
    """Frames by tick: `ticks` of them, `rate` a second (None where nobody knows), `size` (height, width)."""

    path: str
    ticks: int
    rate: float | None = None
    size: tuple[int, int]
    stored = "pictures"  # how

    @abstractmethod
    def frames(
        self, ticks: Sequence[int], *, at_least: int | None = None, strict: bool = True
    ) -> Iterator[Image.Image]:
        """RGB frames, upright, of ticks that rise; large ones may be halved down to a short side `at_least`.

        Raises EndedEarlyError where the video has fewer, ClipError where it is damaged before: without
        `strict` such frames of a file are given as far as they can be shown.
        """

    def every(
        self, step: int = 1, *, at_least: int | None = None, strict: bool = True
    ) -> Iterator[Image.Image]:
        """Every `step`-th frame to the end that there is, whatever the header says; else as `frames`."""
        return self.frames(range(0, self.ticks, step), at_least=at_least, strict=strict)

    def true_rate(self) -> float | None:
        """Frames a second, counted over those that were decoded; None where there are no times."""
        return None

    def close(self) -> None:  # noqa: B027, only files need it
        """Let the file go; `with` does so at its end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_length(self, unit: str = "frame") -> None:
        if self.ticks < FEWEST:
            count = f"only 1 {unit}, which shows no motion" if self.ticks else f"no {unit}s"
            raise ClipError(f"{self.path or 'The video'} has {count}; give more, or remove it.")


def stretch_of(path: str | Path) -> Stretch:
    """Split `video.mp4#t=1.5,4` into file and span; ClipError where that ends before it begins."""
    match = _FRAGMENT.fullmatch(str(path))
    if match is None or Path(path).exists():
        return Stretch(Path(path), None)
    span = float(match[2]), float(match[3])
    if span[0] >= span[1]:
        raise ClipError(f"{path} ends before it begins: write #t=START,END.")
    return Stretch(Path(match[1]), span)


def with_span(path: str, start: float, end: float) -> str:
    """A path with its stretch."""
    return f"{path}#t={round(start, 3):.10g},{round(end, 3):.10g}"


def open_footage(
    path: str | Path, *, rate: float | None = None, threads: int = 0, rule: ValueRule | None = None
) -> Footage:
    """Open a video file or a folder of frames. With `rate`, ticks are that many a second.

    `threads` decode a file, 0 as many as fit. The `rule` says which values of frames in a folder are black
    and white; None: they are for people. To be used in `with`. Raises ClipError for what is missing,
    no video, without pictures, or of one frame only.
    """
    place, span = stretch_of(path)
    if place.is_dir():
        return FrameFolder(place, span, name=str(path), rule=rule)
    return VideoFile(place, span, name=str(path), rate=rate, threads=threads)


def read_overview(path: str | Path, *, at_least: int | None = None) -> Image.Image:
    """Four frames spread over a video, in reading order, as one picture of a frame's size, for people.

    ClipError as `open_footage`, and where nothing can be shown.
    """
    try:
        return _overview(path, None, at_least)
    except EndedEarlyError as error:
        if error.ticks < 1:
            raise
        return _overview(path, error.ticks, at_least)


def _overview(path: str | Path, count: int | None, at_least: int | None) -> Image.Image:
    with open_footage(path) as footage:
        return four_frames(footage, count or footage.ticks, at_least)


def four_frames(footage: Footage, count: int, at_least: int | None = None) -> Image.Image:
    """Four frames spread over the first `count`, as `read_overview`."""
    ticks = [(2 * i + 1) * count // 8 for i in range(4)]
    frames = [_as_image(frame) for frame in footage.frames(ticks, at_least=at_least, strict=False)]
    width, height = (max(1, side // 2) for side in frames[0].size)
    whole = Image.new("RGB", (2 * width, 2 * height))
    for i, frame in enumerate(frames):
        whole.paste(frame.resize((width, height), Image.Resampling.BOX), (i % 2 * width, i // 2 * height))
    return whole


def _as_image(frame: Any) -> Image.Image:
    return frame if isinstance(frame, Image.Image) else frame.to_image()


def check_clip(path: str | Path) -> None:
    """Read a header only; ClipError as `open_footage`."""
    with open_footage(path):
        pass


class FramesInMemory(Footage):
    """Frames as `clip_frames` takes them; the `rule` says which values are black and white."""

    def __init__(self, clip: Any, rule: ValueRule = PLAIN) -> None:
        self._frames, self._rule = clip_frames(clip), rule
        self.path, self.ticks = "", len(self._frames)
        self._check_length()
        self.size = self._frame(0)[1]

    def frames(
        self, ticks: Sequence[int], *, at_least: int | None = None, strict: bool = True
    ) -> Iterator[Image.Image]:
        """As `Footage`."""
        return (self._frame(tick)[0] for tick in ticks)

    def _frame(self, tick: int) -> Any:
        return memory_picture(self._frames[tick], 3, self._rule)


class FrameFolder(Footage):
    """Pictures in a folder, in natural order of their names: a tick each."""

    def __init__(
        self, folder: Path, span: tuple[float, float] | None, *, name: str, rule: ValueRule | None = None
    ) -> None:
        self.path, self._rule = name, rule
        pictures = frames_in(folder)
        start, end = (0, None) if span is None else (int(span[0]), int(span[1]))
        self._pictures = pictures[start:end]
        self.ticks = len(self._pictures)
        self._check_length("picture")
        self._frame(self._pictures[0], None)  # one that is damaged is named at once
        self.size = _as_clip_error(header_size, self._pictures[0])

    def frames(
        self, ticks: Sequence[int], *, at_least: int | None = None, strict: bool = True
    ) -> Iterator[Image.Image]:
        """As `Footage`."""
        return (self._frame(self._pictures[tick], at_least) for tick in ticks)

    def _frame(self, path: Path, at_least: int | None) -> Any:
        if self._rule is None:
            return _as_clip_error(read_preview, path, at_least=at_least)
        return _as_clip_error(read_channels, path, 3, at_least=at_least, rule=self._rule)[0]


def _as_clip_error(read: Any, *args: Any, **options: Any) -> Any:
    try:
        return read(*args, **options)
    except ImageError as error:
        raise ClipError(str(error)) from error


class VideoFile(Footage):
    """A file that FFmpeg can read."""

    def __init__(
        self,
        file: Path,
        span: tuple[float, float] | None,
        *,
        name: str,
        rate: float | None = None,
        threads: int = 0,
    ) -> None:
        self.path = name
        self._reel = Reel(file, name, threads=threads)
        try:
            self.rate = self._rate = rate or self._reel.rate
            length = self._reel.length
            start, end = (0.0, length) if span is None else (span[0], min(span[1], length))
            if start >= end:
                raise ClipError(f"{name} begins after the end of the video, {length:.2f} s; mend the times.")
            self._begin, self._cut = start, span is not None
            self.ticks = round((end - start) * self._rate)
            self.size, self.stored = self._reel.size, f"{self._reel.codec}, {self._reel.rate:.3g} fps"
            if rate and self.ticks < FEWEST <= round((end - start) * self._reel.rate):
                raise ClipError(
                    f"{name} lasts {end - start:.2f} s, which has no {FEWEST} frames at `fps={rate:g}`; "
                    "choose a higher rate, or remove it."
                )
            self._check_length()
        except BaseException:
            self._reel.close()
            raise

    def frames(
        self, ticks: Sequence[int], *, at_least: int | None = None, strict: bool = True
    ) -> Iterator[Image.Image]:
        """As `Footage`."""
        for tick in ticks:
            image = self._at(tick, at_least, strict, LATE)
            if image is None:
                shown = self._reel.now - self._begin
                raise EndedEarlyError(self.path, max(0, math.floor(shown * self._rate) + 1))
            yield image

    def every(
        self, step: int = 1, *, at_least: int | None = None, strict: bool = True
    ) -> Iterator[Image.Image]:
        """As `Footage`."""
        ticks = range(0, self.ticks, step) if self._cut else itertools.count(0, step)
        for tick in ticks:
            image = self._at(tick, at_least, strict, 0.0)
            if image is None:
                return
            yield image

    def _at(self, tick: int, at_least: int | None, strict: bool, late: float) -> Image.Image | None:
        # in the middle of a tick no rounding of timestamps can tell another frame
        frame = self._reel.at(self._begin + (tick + 0.5) / self._rate, strict=strict, late=late)
        if frame is None:
            return None
        self.size = self._reel.upright_size(frame)
        return self._reel.picture(frame, at_least)

    def true_rate(self) -> float | None:
        """As `Footage`."""
        return self._reel.true_rate()

    def close(self) -> None:
        """Let the file go."""
        self._reel.close()
