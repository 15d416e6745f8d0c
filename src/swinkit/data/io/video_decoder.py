"""A video file as FFmpeg decodes it, by PyAV: its frames in order of time, wound to where they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from swinkit.data.io.tar import open_file, place_inside
from swinkit.errors import ClipError, unreadable
from swinkit.files import check_regular

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

FASTEST = 240  # frames a second; a header that says more is not believed before its frames are counted
MAX_RATE = 50_000  # frames a second that high-speed cameras write; with more, reading would not end
WORTH_SEEKING = 8  # frames to skip
JOINED = 0.5  # seconds by which time runs backward where one recording follows on another
# their index can be relied on; of others each frame is decoded up to those that are wanted
_INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
# where a display matrix sends the axes, as FFmpeg's players obey it
_UPRIGHT = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,  # PIL counts counterclockwise
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
_LYING = tuple(turn for (a, _, _, _), turn in _UPRIGHT.items() if a == 0)


class Shot(NamedTuple):
    """A frame, and from when to when it is shown."""

    time: float
    end: float
    frame: VideoFrame


class Reel:
    """The frames of a file one after the other; it is wound forward to where they are wanted.

    Times are seconds after the first frame. `size` is that of stored frames, before they are turned upright.
    """

    def __init__(self, file: Path, name: str, *, threads: int = 0) -> None:
        from av import FFmpegError

        self.name = name
        self._container = _open(file, name)
        try:
            self._stream = _picture_stream(self._container, name)
            self._stream.codec_context.thread_count = threads
            self._stream.thread_type = "NONE" if threads == 1 else "AUTO"
            self._base = float(self._stream.time_base or 0) or 1 / 90_000
            self._start = (self._stream.start_time or 0) * self._base  # until the first frame is there
            self._indexed = self._container.format.name in _INDEXED
            self.rate, self.length = self._measure(file)
            context = self._stream.codec_context
            self.size, self.codec = (context.height, context.width), context.name
        except (FFmpegError, OSError) as error:
            self._container.close()
            raise ClipError(unreadable(name, error, "a video")) from error
        except BaseException:
            self._container.close()
            raise
        self._shots: Iterator[Shot] = iter(())
        self._shown: Shot | None = None
        self._ahead: Shot | None = None
        self._turn: Image.Transpose | None = None
        self._begun = self._damaged = False
        self._times = (0.0, 0.0)  # of the first and the last frame since the file was wound
        self._count = 0

    @property
    def now(self) -> float:
        """Time of the frame that was shown last; below 0 before the first."""
        return -1.0 if self._shown is None else self._shown.time

    def at(self, moment: float, *, strict: bool = True, late: float = 0.0) -> VideoFrame | None:
        """The frame on screen at a moment, which is not before the last one asked for.

        None past the end; the last frame is on screen for `late` seconds more than its time. With `strict` a
        frame that could not be decoded whole, or misses others before it, raises ClipError.
        """
        self._wind(moment)
        while self._ahead is not None and (self._shown is None or self._ahead.time <= moment):
            if strict and (self._damaged or self._ahead.frame.is_corrupt):
                self._refuse_unless_last(self._ahead.time)
                break
            self._shown, self._ahead = self._ahead, next(self._shots, None)
        if self._shown is None or (self._ahead is None and moment > self._shown.end + late):
            return None
        return self._shown.frame

    def _refuse_unless_last(self, time: float) -> None:
        """End the video at a damaged frame where only such ones follow, as in a copy that was cut off."""
        while self._ahead is not None and self._ahead.frame.is_corrupt:
            self._ahead = next(self._shots, None)
        if self._ahead is not None:
            raise ClipError(
                f"{self.name} is damaged at {max(0.0, time):.1f} s: frames cannot be decoded there; "
                "copy it anew or cut that out."
            )

    def true_rate(self) -> float | None:
        """Frames a second of those decoded since the file was wound last."""
        first, last = self._times
        return (self._count - 1) / (last - first) if self._count > 1 and last > first else None

    def upright_size(self, frame: VideoFrame) -> tuple[int, int]:
        """(height, width) of a frame as it is shown."""
        return (frame.width, frame.height) if self._turn in _LYING else (frame.height, frame.width)

    def picture(self, frame: VideoFrame, at_least: int | None) -> Image.Image:
        """RGB and upright; large ones at 1/2, 1/4 … as long as the short side keeps `at_least` pixels."""
        factor = 1
        while at_least and min(frame.width, frame.height) // (2 * factor) >= at_least:
            factor *= 2
        if factor > 1:
            size = {"width": frame.width // factor, "height": frame.height // factor}
            frame = frame.reformat(**size, format="rgb24", interpolation="AREA")
        # not `to_image`, which copies twice
        image = Image.fromarray(frame.to_ndarray(format="rgb24"))
        return image if self._turn is None else image.transpose(self._turn)

    def close(self) -> None:
        """Let the file go, and its decoder at once: freed as garbage in a forked process, it would hang."""
        self._shots, self._shown, self._ahead = iter(()), None, None
        self._container.close()
        vars(self).pop("_stream", None)

    def _wind(self, moment: float) -> None:
        """Begin at the key frame before a moment, where that saves decoding; else go on from here."""
        if not self._begun:
            self._begin()
        key = self._key_before(moment)
        there = self.now if self._ahead is None else self._ahead.time
        if key > there + WORTH_SEEKING / self.rate:
            self._begin_at(key)
            while key > 0 and (self._ahead is None or self._ahead.time > moment):
                # an index tells when to decode, not when to show, and knows what a copy has lost
                key = self._key_before(key - 1 / self.rate)
                self._begin_at(key)

    def _begin(self) -> None:
        """Begin at the first frame, from which time counts: where packets have no times, only it knows."""
        self._shots = self._decoded()
        self._ahead = next(self._shots, None)
        if self._ahead is not None:
            self._turn = _turn_of(self._ahead.frame)
            self._start += self._ahead.time
            self._times = (0.0, 0.0)
            self._ahead = self._ahead._replace(time=0.0, end=self._ahead.end - self._ahead.time)
        self._begun = True

    def _begin_at(self, key: float) -> None:
        from av import FFmpegError

        try:
            self._container.seek(round((key + self._start) / self._base), stream=self._stream)
        except (FFmpegError, OSError) as error:
            raise ClipError(unreadable(self.name, error, "a video")) from error
        self._shots = self._decoded()
        self._shown, self._ahead = None, next(self._shots, None)

    def _key_before(self, moment: float) -> float:
        """Time of the last key frame before a moment by the file's index; 0 where it has none."""
        if not self._indexed:
            return 0.0
        index = self._stream.index_entries
        place = index.search_timestamp(round((moment + self._start) / self._base))
        return max(0.0, index[place].timestamp * self._base - self._start) if place > 0 else 0.0

    def _decoded(self) -> Iterator[Shot]:
        """Frames from here on. Packets that cannot be decoded are left out: the next frame is damaged."""
        from av import FFmpegError

        self._damaged = broken = False
        self._count, shift = 0, 0.0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                frames = [] if packet is None else packet.decode()
            except FFmpegError:
                broken = True
                continue
            for frame in frames:
                # an empty packet ends the file, and brings what the decoder had held back
                self._damaged |= broken and packet is not None and packet.size > 0
                due = self._times[1] + 1 / self.rate if self._count else 0.0
                # AVI stores no times, so those of showing are guesses; frames come in order all the same
                stamp = frame.dts if self._container.format.name == "avi" else frame.pts
                now = due if stamp is None else stamp * self._base - self._start + shift
                if self._count and now < self._times[1] - JOINED:
                    now, shift = due, shift + due - now
                self._count += 1
                self._times = (now if self._count == 1 else self._times[0], now)
                yield Shot(now, now + max((frame.duration or 0) * self._base, 1 / self.rate), frame)
            if packet is None:
                return

    def _measure(self, file: Path) -> tuple[float, float]:
        """Frames a second, and seconds; by the header, or where that is silent by counting packets."""
        stream, container = self._stream, self._container
        rate = float(stream.average_rate or 0)
        length = (stream.duration or 0) * self._base
        if not length and container.duration:
            length = self._seek_end(file) if self._indexed else container.duration / 1e6
        if not length or not 0 < rate <= FASTEST:
            packets = list(self._packet_times(file))
            if not packets:
                raise ClipError(f"{self.name} holds no frames; remove or replace it.")
            times = sorted(time for time in packets if time is not None)
            if not times and rate:
                length = len(packets) / rate
            elif len(times) > 1:
                rate = (len(times) - 1) / max(times[-1] - times[0], 1e-6)
                length = len(times) / rate
        rate = rate or 1.0  # one frame has none
        if rate > MAX_RATE:
            raise ClipError(
                f"{self.name} has {rate:.3g} frames a second by its header and times, which are damaged; "
                "convert it, or remove it."
            )
        if stream.frames and abs(stream.frames - length * rate) <= 2:
            length = stream.frames / rate
        return rate, length or 1 / rate

    def _seek_end(self, file: Path) -> float:
        """Seconds to the end of the last frame; the container's own length may be that of its sound."""
        times = (time for time in self._packet_times(file, self._container.duration) if time is not None)
        return max(times, default=0.0) - self._start + 1 / float(self._stream.average_rate or 25)

    def _packet_times(self, file: Path, after: int | None = None) -> Iterator[float | None]:
        """Times of the packets where they have any, from the last key frame before `after` (µs) on."""
        with _open(file, self.name) as container:
            if after is not None:
                container.seek(after)
            for packet in container.demux(_picture_stream(container, self.name)):
                if packet.size:
                    yield None if packet.pts is None else packet.pts * self._base


def _open(file: Path, name: str) -> InputContainer:
    """Open a file on its own or in a tar file; ClipError says what is wrong with it."""
    import av

    try:
        source: str | IO[bytes] = str(file)
        if place_inside(file) is not None:
            source = open_file(file)
        elif check_regular(file).stat().st_size == 0:
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
            if stream.codec_context is None:
                raise ClipError(f"{name} is stored in a way that cannot be decoded here; convert it.")
            return stream
    sound = "only sound" if container.streams.audio else "no pictures"
    raise ClipError(f"{name} holds {sound}; remove it, or give the video.")


def _turn_of(frame: VideoFrame) -> Image.Transpose | None:
    """How to turn or mirror a frame, that it is upright."""
    # of a small copy: who asks a frame for its side data ties it into a cycle
    copy = frame.reformat(width=16, height=16, format="gray")
    try:
        matrix: Any = copy.side_data.get("DISPLAYMATRIX")
    except ValueError:  # of a kind that PyAV does not know, beside which mirrors go unseen
        return _TURNS.get(frame.rotation % 360)
    if matrix is None:
        return None
    a, b, _, c, d = np.sign(np.round(np.frombuffer(matrix, np.int32)[:5] / 2**16)).astype(int).tolist()
    return _UPRIGHT.get((a, b, c, d))
