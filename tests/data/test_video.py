"""Frames of videos, held to PyAV's plain loop and to numbers that the frames themselves tell."""

from __future__ import annotations

import contextlib
import gc
import random
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.films import damaged, number_of, numbered, packed, write_frames, write_sound, write_video

from swinkit.data.io.video import (
    EndedEarlyError,
    FramesInMemory,
    VideoFile,
    open_footage,
    read_overview,
    stretch_of,
)
from swinkit.data.io.video_decoder import Reel, Shot
from swinkit.errors import ClipError, ConfigError, ImageError


def numbers(path: Path | str, ticks: Sequence[int] | None = None, **options: object) -> list[int]:
    with open_footage(path, **options) as footage:
        wanted = range(footage.ticks) if ticks is None else ticks
        return [number_of(image) for image in footage.frames(wanted)]


def plain(path: Path) -> list[np.ndarray]:
    """PyAV's own loop over all frames."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def whole_frames(path: Path) -> int:
    """How many frames come out before the first packet that cannot be decoded."""
    count = 0
    with av.open(str(path)) as container, contextlib.suppress(av.FFmpegError):
        for packet in container.demux(video=0):
            count += len(packet.decode())
    return count


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mkv", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.webm", "libvpx"),
        ("a.ts", "libx264"),
    ],
)
@pytest.mark.parametrize("rate", [25, 30000 / 1001])
def test_every_frame_of_every_container(tmp_path: Path, name: str, codec: str, rate: float) -> None:
    path = write_video(tmp_path / name, 40, rate=rate, codec=codec)
    expected = plain(path)
    with open_footage(path) as footage:
        assert footage.ticks == len(expected) == 40
        assert footage.rate == pytest.approx(rate, rel=1e-2)
        assert footage.size == (48, 64)
        for got, frame in zip(footage.frames(range(40)), expected, strict=True):
            assert np.array_equal(np.asarray(got), frame)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_some_frames_from_anywhere(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, 200, key_every=10)
    draw = random.Random(1)
    for _ in range(8):
        ticks = sorted(draw.sample(range(200), 6))
        assert numbers(path, ticks) == ticks
    assert numbers(path, [5, 5, 7]) == [5, 5, 7]


def test_only_what_is_wanted_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "long.mp4", 240, key_every=10)
    seen = []
    decoded = Reel._decoded

    def watched(self: Reel) -> Iterator[Shot]:
        for shot in decoded(self):
            seen.append(shot.time)
            yield shot

    monkeypatch.setattr(Reel, "_decoded", watched)
    assert numbers(path, [101, 103, 201, 203]) == [101, 103, 201, 203]
    assert len(set(seen)) < 40  # of 240: two groups of pictures and what B-frames hold back


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.avi", "mpeg4"),
        ("h264.avi", "libx264"),
        ("a.mpg", "mpeg2video"),
        ("a.flv", "libx264"),
        ("a.wmv", "wmv2"),
    ],
)
def test_some_frames_where_times_or_index_are_poor(tmp_path: Path, name: str, codec: str) -> None:
    """Packets without times, times that are when to decode, an index that is a guess."""
    path = write_video(tmp_path / name, 120, key_every=10, codec=codec)
    frames = plain(path)
    for ticks in ([0], [1, 2], [37], [60, 90], [99]):
        with open_footage(path) as footage:
            for tick, image in zip(ticks, footage.frames(ticks), strict=True):
                assert np.array_equal(np.asarray(image), frames[tick]), (ticks, tick)


def test_a_raw_stream(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.h264", 30, form="h264")
    assert numbers(path) == list(range(30))


def test_time_begins_with_the_first_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 50, times=[5 + i / 25 for i in range(50)])
    with open_footage(path) as footage:
        assert footage.ticks == 50
    assert numbers(path, [0, 20, 49]) == [0, 20, 49]


def test_two_recordings_in_one_file(tmp_path: Path) -> None:
    """The header tells of one; where all frames are asked for, both are given."""
    one = write_video(tmp_path / "a.ts", 40).read_bytes()
    path = tmp_path / "b.ts"
    path.write_bytes(one + one)
    with open_footage(path) as footage:
        assert [number_of(image) for image in footage.every(strict=False)] == [*range(40), *range(40)]


def test_every_frame_ends_where_the_video_does(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 40, sound=True)  # which lasts a second
    with open_footage(path) as footage:
        assert [number_of(image) for image in footage.every(3)] == list(range(0, 40, 3))
    with open_footage(f"{path}#t=0.4,0.8") as footage:
        assert [number_of(image) for image in footage.every()] == list(range(10, 20))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux tells them")
def test_a_closed_video_leaves_no_decoder_to_the_garbage(tmp_path: Path) -> None:
    """Else a forked loader process, which has none of its threads, would wait for them for ever."""
    path = write_video(tmp_path / "a.mp4", 100)

    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    gc.disable()
    try:
        before = threads()
        with open_footage(path, threads=4) as footage:
            next(footage.frames([3]))
            assert threads() >= before + 4
        assert threads() == before
    finally:
        gc.enable()


def test_uneven_frames_are_shown_when_they_are_due(tmp_path: Path) -> None:
    """Ten frames a second, then one that stays a second, then quick ones: as a player shows them."""
    times = [i / 10 for i in range(10)] + [2.0 + i / 30 for i in range(30)]
    path = write_video(tmp_path / "v.mkv", 40, times=times, rate=30)
    with open_footage(path, rate=10) as footage:
        assert footage.ticks in (29, 30)
        shown = [number_of(image) for image in footage.frames(range(29))]
    moments = [(tick + 0.5) / 10 for tick in range(29)]
    assert shown == [max(i for i, time in enumerate(times) if time <= moment + 1e-6) for moment in moments]


def test_rate_of_ticks(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 60, rate=30)
    assert numbers(path, rate=15) == [2 * i + 1 for i in range(30)]
    assert numbers(path, rate=60)[:6] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_undone(tmp_path: Path, rotation: int) -> None:
    """A red corner at the upper left, stored turned, is seen where the display matrix puts it."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16, 0] = 255
    path = write_video(tmp_path / "r.mp4", [picture] * 4, rotation=rotation)
    expected = np.rot90(picture, rotation // 90)  # counterclockwise, as FFmpeg's documentation has it
    with open_footage(path) as footage:
        image = np.asarray(next(footage.frames([2])))
        assert footage.size == image.shape[:2] == expected.shape[:2]
    assert np.abs(image.astype(int) - expected).mean() < 12


@pytest.mark.parametrize(("hflip", "vflip"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_mirrored_videos(tmp_path: Path, rotation: int, hflip: bool, vflip: bool) -> None:
    """As a phone's front camera may store them; the oracle is FFmpeg's documentation of its matrix."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :32, 0] = 255
    path = write_video(tmp_path / "r.mp4", [picture] * 4, rotation=90)
    turned = matrix_of(rotation)  # then mirrored, as av_display_matrix_flip does it
    for column, flip in ((0, hflip), (1, vflip)):
        turned[:, column] *= -1 if flip else 1
    content = path.read_bytes()
    assert content.count(in_mp4(matrix_of(90))) == 1
    path.write_bytes(content.replace(in_mp4(matrix_of(90)), in_mp4(turned)))
    with open_footage(path) as footage:
        image = np.asarray(next(footage.frames([1])))
    assert np.abs(image.astype(int) - drawn(picture, turned)).mean() < 12


def matrix_of(degrees: int) -> np.ndarray:
    """Where a turn counterclockwise sends (x, y), y downward: (x, y) @ matrix."""
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    return np.array([[cos, -sin], [sin, cos]])


def in_mp4(matrix: np.ndarray) -> bytes:
    """The first five numbers of mp4's display matrix."""
    (a, b), (c, d) = (matrix * 2**16).tolist()
    return struct.pack(">5i", a, b, 0, c, d)


def drawn(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Pixel by pixel, to where the matrix sends it."""
    height, width = picture.shape[:2]
    places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2) @ matrix
    places -= places.min(0)
    out = np.zeros((*(places.max(0) + 1)[::-1], 3), np.uint8)
    out[places[:, 1], places[:, 0]] = picture.reshape(-1, 3)
    return out


def test_large_frames_are_halved_on_the_way(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [numbered(i, 240, 320) for i in range(4)])
    with open_footage(path) as footage:
        image = next(footage.frames([3], at_least=60))
        assert image.size == (80, 60)
        assert footage.size == (240, 320)
        assert number_of(image) == 3


def test_stretches(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 100, rate=25)
    assert numbers(f"{path}#t=1,2") == list(range(25, 50))
    assert numbers(f"{path}#t=3.2,99") == list(range(80, 100))
    assert stretch_of("x/a b.mp4#t=0.5,2") == (Path("x/a b.mp4"), (0.5, 2.0))
    with pytest.raises(ClipError, match="ends before it begins"):
        open_footage(f"{path}#t=3,2")
    with pytest.raises(ClipError, match=r"begins after the end of the video, 4\.00 s"):
        open_footage(f"{path}#t=5,9")
    odd = path.rename(tmp_path / "a.mp4#t=1,2")
    assert len(numbers(odd)) == 100  # that is the name of the file


def test_folder_of_frames(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 12)
    (folder / ".hidden.png").write_bytes(b"")
    assert numbers(folder) == list(range(12))
    assert numbers(f"{folder}#t=2,5") == [2, 3, 4]
    with open_footage(folder) as footage:
        assert (footage.rate, footage.size) == (None, (48, 64))
    (folder / "frame3.png").write_text("no picture")
    with pytest.raises(ClipError, match=r"frame3\.png"):
        numbers(folder)


def test_frames_in_memory() -> None:
    with FramesInMemory(np.stack([numbered(i) for i in range(5)])) as footage:
        assert [number_of(image) for image in footage.frames([1, 4])] == [1, 4]
    for wrong in (np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8, 7), np.uint8)):
        with pytest.raises(ConfigError, match=r"\(T, H, W, C\)"):
            FramesInMemory(wrong)
    with pytest.raises(ClipError, match="no frames"):
        FramesInMemory(np.zeros((0, 8, 8, 3), np.uint8))
    with pytest.raises(ImageError, match="range is not known"):
        FramesInMemory(np.zeros((4, 8, 8, 3)))


def test_video_in_a_tar_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 30)
    assert numbers(packed(path, tmp_path / "shard.tar"), [0, 29]) == [0, 29]


def test_sound_beside_and_alone(tmp_path: Path) -> None:
    assert numbers(write_video(tmp_path / "a.mp4", 10, sound=True))[:10] == list(range(10))
    with pytest.raises(ClipError, match=r"only sound"):
        open_footage(write_sound(tmp_path / "s.mp4"))
    with pytest.raises(ClipError, match=r"only sound"):
        open_footage(write_sound(tmp_path / "s.m4a"))


def test_animation(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.gif", 10, rate=10, codec="gif")
    assert numbers(path) == list(range(10))


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("hello " * 1000)
    Image.fromarray(numbered(1)).save(tmp_path / "still.png")
    (tmp_path / "still.png").rename(tmp_path / "still.mp4")
    for form, name in {"GIF": "gif.mp4", "WEBP": "webp.gif", "TIFF": "tiff.mp4"}.items():
        Image.fromarray(numbered(1)).save(tmp_path / name, form)
    write_sound(tmp_path / "sound.mp4")
    (tmp_path / "none.y4m").write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420\n")
    film = write_video(tmp_path / "film.avi", codec="mpeg4")
    rate = film.read_bytes().find(b"strh") + 32
    damaged(film, tmp_path / "fast.avi", lambda b: b.__setitem__(slice(rate, rate + 4), b"\xff" * 4))
    (tmp_path / "empty").mkdir()
    write_frames(tmp_path / "one", 1)
    write_video(tmp_path / "one.mp4", 1)
    faults = {
        "zero.mp4": "is empty",
        "text.mp4": "cannot be read as a video",
        "still.mp4": "has only 1 frame",
        "gif.mp4": "has only 1 frame",
        "webp.gif": "has only 1 frame",
        "tiff.mp4": "has only 1 frame",
        "sound.mp4": "only sound",
        "none.y4m": "holds no frames",
        "fast.avi": "frames a second by its header and times, which are damaged",
        "empty": "has no pictures",
        "one": "has only 1 picture,",
        "one.mp4": "has only 1 frame,",
        "gone.mp4": "There is no file",
    }
    for name, fault in faults.items():
        with pytest.raises(ClipError, match=fault) as told:
            open_footage(tmp_path / name)
        assert str(tmp_path / name) in str(told.value)


def test_damage_in_the_middle(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 96, key_every=24)

    def scramble(content: bytearray) -> None:
        middle = len(content) // 2
        content[middle - 300 : middle + 300] = random.Random(0).randbytes(600)

    broken = damaged(path, tmp_path / "b.mp4", scramble)
    assert numbers(broken, [0, 10]) == [0, 10]
    with pytest.raises(ClipError, match=r"b\.mp4 is damaged at \d\.\d s"):
        numbers(broken)
    with open_footage(broken) as footage:
        assert isinstance(footage, VideoFile)
        assert len(list(footage.frames(range(96), strict=False))) == 96


def test_a_tail_that_is_cut_off(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 96, key_every=24, options={"movflags": "faststart"})
    short = damaged(
        path, tmp_path / "b.mp4", lambda content: content.__delitem__(slice(-len(content) // 3, None))
    )
    with open_footage(short) as footage:
        assert footage.ticks == 96
        with pytest.raises(EndedEarlyError, match="is cut short") as told:
            list(footage.frames(range(96)))
    assert told.value.ticks == whole_frames(short)
    assert numbers(short, range(0, told.value.ticks, 5)) == list(range(0, told.value.ticks, 5))
    with pytest.raises(EndedEarlyError) as far, open_footage(short) as footage:
        next(footage.frames([95]))
    assert far.value.ticks == told.value.ticks


def test_overview_for_people(tmp_path: Path) -> None:
    overview = read_overview(write_video(tmp_path / "a.mp4", 21))
    assert overview.size == (64, 48)
    parts = [overview.crop((x, y, x + 32, y + 24)) for y in (0, 24) for x in (0, 32)]
    assert [number_of(part) for part in parts] == [2, 7, 13, 18]


def test_overview_of_what_is_there(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", 96, options={"movflags": "faststart"})
    cut = damaged(
        whole, tmp_path / "b.mp4", lambda content: content.__delitem__(slice(-len(content) // 3, None))
    )
    assert read_overview(cut).size == (64, 48)
