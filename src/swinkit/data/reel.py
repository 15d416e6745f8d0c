"""A video file as FFmpeg decodes it, by PyAV: its frames in order of time, wound to where they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image

from swinkit.data.archives import open_file, place_inside
from swinkit.errors import ClipError, unreadable

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

FASTEST = 240  # frames a second; a header that says more is not believed before its frames are counted
WORTH_SEEKING = 8  # frames to skip
LATE = 0.5  # seconds by which a video may end before its header says so
# a display matrix turns counterclockwise, as PIL does
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


class Reel:
    """The frames of a file one after the other; it is wound forward to where they are wanted.

    Times are seconds after the first frame. `size` is that of stored frames, before they are turned upright.
    """

    def __init__(self, file: Path, name: str, *, threads: int = 0) -> None:
        self.name = name
        self._container = _open(file, name)
        try:
            self._stream = _picture_stream(self._container, name)
            self._stream.codec_context.thread_count = threads
            self._stream.thread_type = "NONE" if threads == 1 else "AUTO"
            self._base = float(self._stream.time_base or 0) or 1 / 90_000
            self._start = (self._stream.start_time or 0) * self._base
            self.rate, self.length = self._measure()
            context = self._stream.codec_context
            self.size, self.codec = (context.height, context.width), context.name
        except BaseException:
            self._container.close()
            raise
        self._frames: Iterator[VideoFrame] = iter(())
        self._shown: VideoFrame | None = None
        self._ahead: VideoFrame | None = None
        self._begun = self._damaged = False
        self._times = (0.0, 0.0)  # of the first and the last frame since the file was wound
        self._count = 0

    @property
    def now(self) -> float:
        """Time of the frame that was shown last; below 0 before the first."""
        return -1.0 if self._shown is None else self._time(self._shown)

    def at(self, moment: float, *, strict: bool = True) -> VideoFrame | None:
        """The frame on screen at a moment, which is not before the last one asked for; None past the end.

        With `strict` a frame that could not be decoded whole, or misses others before it, raises ClipError.
        """
        self._wind(moment)
        while self._ahead is not None and (self._shown is None or self._time(self._ahead) <= moment):
            if strict and (self._damaged or self._ahead.is_corrupt):
                self._refuse_unless_last(self._time(self._ahead))
                break
            self._shown, self._ahead = self._ahead, next(self._frames, None)
        if self._ahead is None and moment > self._end_of_shown():
            return None
        return self._shown

    def _refuse_unless_last(self, time: float) -> None:
        """End the video at a damaged frame where only such ones follow, as in a copy that was cut off."""
        while self._ahead is not None and self._ahead.is_corrupt:
            self._ahead = next(self._frames, None)
        if self._ahead is not None:
            raise ClipError(
                f"{self.name} is damaged at {max(0.0, time):.1f} s: frames cannot be decoded there; "
                "copy it anew or cut that out."
            )

    def true_rate(self) -> float | None:
        """Frames a second of those decoded since the file was wound last."""
        first, last = self._times
        return (self._count - 1) / (last - first) if self._count > 1 and last > first else None

    def close(self) -> None:
        """Let the file go."""
        self._container.close()

    def _wind(self, moment: float) -> None:
        """Begin at the key frame before a moment, where that saves decoding; else go on from here."""
        key = self._key_before(moment)
        there = self.now if self._ahead is None else self._time(self._ahead)
        if not self._begun or key > there + WORTH_SEEKING / self.rate:
            self._begin_at(key)
            while key > 0 and (self._ahead is None or self._time(self._ahead) > moment):
                # an index tells when to decode, not when to show, and knows what a copy has lost
                key = self._key_before(key - 1 / self.rate)
                self._begin_at(key)

    def _begin_at(self, key: float) -> None:
        if self._begun or key > 0:
            self._container.seek(round((key + self._start) / self._base), stream=self._stream)
        self._frames = self._decoded()
        self._shown, self._ahead = None, next(self._frames, None)
        self._begun = True

    def _key_before(self, moment: float) -> float:
        """Time of the last key frame before a moment by the file's index; 0 where it has none."""
        index = self._stream.index_entries
        place = index.search_timestamp(round((moment + self._start) / self._base))
        return max(0.0, index[place].timestamp * self._base - self._start) if place > 0 else 0.0

    def _decoded(self) -> Iterator[VideoFrame]:
        """Frames from here on. Packets that cannot be decoded are left out: the next frame is damaged."""
        from av import FFmpegError

        self._damaged = broken = False
        self._count = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                frames = [] if packet is None else packet.decode()
            except FFmpegError:
                broken = True
                continue
            for frame in frames:
                if frame.pts is not None:
                    # an empty packet ends the file, and brings what the decoder had held back
                    self._damaged |= broken and packet is not None and packet.size > 0
                    self._count += 1
                    now = self._time(frame)
                    self._times = (now if self._count == 1 else self._times[0], now)
                    yield frame
            if packet is None:
                return

    def _measure(self) -> tuple[float, float]:
        """Frames a second, and seconds; by the header, or where that is silent by counting packets."""
        stream, container = self._stream, self._container
        rate = float(stream.average_rate or 0)
        length = (stream.duration or 0) * self._base or (container.duration or 0) / 1e6
        if not length or not 0 < rate <= FASTEST:
            times = sorted(p.pts * self._base for p in container.demux(stream) if p.pts is not None)
            container.seek(0)
            if len(times) > 1:
                rate = (len(times) - 1) / max(times[-1] - times[0], 1e-6)
                length = len(times) / rate
        if stream.frames and abs(stream.frames - length * rate) <= 2:
            length = stream.frames / rate
        return rate or 1.0, length or 1 / (rate or 1.0)

    def _time(self, frame: VideoFrame) -> float:
        assert frame.pts is not None
        return frame.pts * self._base - self._start

    def _end_of_shown(self) -> float:
        if self._shown is None:
            return -1.0
        lasts = (self._shown.duration or 0) * self._base
        return self._time(self._shown) + max(lasts, 1 / self.rate) + LATE


def _open(file: Path, name: str) -> InputContainer:
    """Open a file on its own or in a tar file; ClipError says what is wrong with it."""
    import av

    try:
        source: str | IO[bytes] = str(file)
        if place_inside(file) is not None:
            source = open_file(file)
        elif file.stat().st_size == 0:
            raise ClipError(f"{name} is empty (0 bytes); remove or replace it.")
        return av.open(source, "r", metadata_errors="replace")
    except ClipError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipError(unreadable(name, error, "a video")) from error


def _picture_stream(container: InputContainer, name: str) -> VideoStream:
    """The first video stream that is no cover picture."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    sound = "only sound" if container.streams.audio else "no pictures"
    raise ClipError(f"{name} holds {sound}; remove it, or give the video.")


def upright_size(frame: VideoFrame) -> tuple[int, int]:
    """(height, width) of a frame as it is shown."""
    return (frame.width, frame.height) if frame.rotation % 180 else (frame.height, frame.width)


def as_image(frame: VideoFrame, at_least: int | None) -> Image.Image:
    """RGB and upright; large ones at 1/2, 1/4 … as long as the short side keeps `at_least` pixels."""
    factor, turned = 1, frame.rotation % 360
    while at_least and min(frame.width, frame.height) // (2 * factor) >= at_least:
        factor *= 2
    if factor > 1:
        size = {"width": frame.width // factor, "height": frame.height // factor}
        frame = frame.reformat(**size, format="rgb24", interpolation="AREA")
    # not `to_image`, which copies twice
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    turn = _TURNS.get(turned)
    return image if turn is None else image.transpose(turn)
