"""Small videos made for tests: every frame tells its number, so that a test sees which one it got."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

BITS = 8  # stripes, each black or white


def numbered(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A frame with its number in stripes of black and white, the lowest bit on the left."""
    stripes = [255 * (number >> bit & 1) for bit in range(BITS)]
    row = np.repeat(np.array(stripes, np.uint8), -(-width // BITS))[:width]
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def number_of(image: Image.Image | np.ndarray) -> int:
    """The number that a frame tells."""
    grey = np.asarray(image).mean((0, 2))
    step = len(grey) / BITS
    return sum(int(grey[int((bit + 0.5) * step)] > 127) << bit for bit in range(BITS))


def write_video(
    path: Path,
    frames: Sequence[np.ndarray] | int = 20,
    *,
    rate: float = 25,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    key_every: int = 12,
    rotation: int = 0,
    form: str | None = None,
    sound: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    """Write frames, or so many numbered ones; `times` in seconds instead of an even rate."""
    pictures = [numbered(i) for i in range(frames)] if isinstance(frames, int) else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", form, options=options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p" if codec != "gif" else "rgb8"
        stream.codec_context.gop_size = key_every
        if codec == "libx264":
            stream.options = {"crf": "12", "preset": "veryfast", "sc_threshold": "0"}
        if rotation:
            stream.set_display_rotation(rotation)
        audio = container.add_stream("aac", rate=8000, layout="mono") if sound else None
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(1000 * times[i]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            _add_tone(container, audio)
    return path


def write_sound(path: Path) -> Path:
    """A file of sound alone."""
    with av.open(str(path), "w") as container:
        _add_tone(container, container.add_stream("aac", rate=8000, layout="mono"))
    return path


def _add_tone(container: av.container.OutputContainer, stream: av.AudioStream) -> None:
    samples = np.sin(np.arange(8000) / 5).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate = 8000
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_frames(folder: Path, count: int) -> Path:
    """A folder of numbered frames, named so that only a natural order is right."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(numbered(i)).save(folder / f"frame{i}.png")
    return folder


def damaged(path: Path, target: Path, change: Callable[[bytearray], None]) -> Path:
    """A copy with changed bytes."""
    content = bytearray(path.read_bytes())
    change(content)
    target.write_bytes(content)
    return target


def write_damaged(path: Path, count: int = 60) -> Path:
    """A video of noise whose third quarter is zeros: about half of its frames can be decoded."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(count)]
    whole = write_video(path.with_name(f"whole-{path.name}"), noise, key_every=count // 4)

    def clear(content: bytearray) -> None:
        quarter = len(content) // 4
        content[2 * quarter : 3 * quarter] = bytes(quarter)

    damaged(whole, path, clear)
    whole.unlink()
    return path


def packed(path: Path, archive: Path) -> Path:
    """The path of a file inside a tar file made for it."""
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo(path.name)
        content = path.read_bytes()
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return archive / path.name
