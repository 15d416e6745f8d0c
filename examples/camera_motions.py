"""Clips with known camera motions, made of your photographs: pan left and right, zoom in and out, still.

python examples/camera_motions.py PHOTOS CLIPS && swin train CLIPS --model swin3d_pico

No single frame tells the motion, so a model that names it has learnt to use time. Photographs of training and
validation are different ones. CLIPS/journey.mp4 shows all motions one after the other, for
`swin predict --stream`.
"""

import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

from swinkit.data.io.images import read_image
from swinkit.data.io.media import find_inputs

SIDE, FRAMES, RATE = 128, 16, 12
MOTIONS = ("pan left", "pan right", "still", "zoom in", "zoom out")


Box = tuple[float, float, float, float]  # left, upper, right, lower of the camera's view


def short_way(motion: str, size: tuple[int, int], rng: np.random.Generator) -> list[Box]:
    """What the camera sees in each frame of a clip; a shaking hand moves it a little."""
    side = min(size) * rng.uniform(0.45, 0.65)
    path = np.linspace(0, 1, FRAMES)
    reach = side * rng.uniform(0.12, 0.35)
    scale = np.ones(FRAMES)
    shift = np.zeros(FRAMES)
    if motion.startswith("pan"):
        shift = (path - 0.5) * reach * (1 if motion == "pan right" else -1)
    elif motion.startswith("zoom"):
        scale = 1 + (path if motion == "zoom out" else path[::-1]) * rng.uniform(0.15, 0.45)
    margin = side * scale.max() / 2 + reach / 2 + 2
    x, y = (rng.uniform(min(margin, s / 2), max(s - margin, s / 2)) for s in size)
    x, y = x + shift + rng.normal(0, 0.3, FRAMES), y + rng.normal(0, 0.3, FRAMES)
    half = side * scale / 2
    return list(zip(x - half, y - half, x + half, y + half, strict=True))


def journey(size: tuple[int, int], rng: np.random.Generator) -> list[Box]:
    """All motions without a cut, each of two clips' length; the camera ends where it began."""
    x, y, half = size[0] * 0.35, size[1] / 2, min(size) * 0.33
    seen = []
    for motion in ("pan right", "zoom in", "still", "zoom out", "pan left"):
        for _ in range(2 * FRAMES):
            x += {"pan right": 0.025, "pan left": -0.025}.get(motion, 0) * half
            half *= {"zoom in": 1 / 1.018, "zoom out": 1.018}.get(motion, 1)
            left, top = x - half + rng.normal(0, 0.3), y - half + rng.normal(0, 0.3)
            seen.append((left, top, left + 2 * half, top + 2 * half))
    return seen


def film(photo: Image.Image, way: list[Box], path: Path) -> None:
    """Write what the camera sees on its way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for left, top, right, bottom in way:
            box = (max(0, left), max(0, top), min(photo.width, right), min(photo.height, bottom))
            view = photo.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
            container.mux(stream.encode(av.VideoFrame.from_image(view)))
        container.mux(stream.encode(None))


def main(folder: Path, out: Path, each: int = 5) -> None:
    """One clip of each motion of every photograph; every fifth photograph is for validation."""
    rng = np.random.default_rng(0)
    photos = [read_image(source) for source in find_inputs(folder)]
    for number, photo in enumerate(photos):
        part = "val" if number % each == 0 else "train"
        for motion in MOTIONS:
            film(photo, short_way(motion, photo.size, rng), out / part / motion / f"{number:05d}.mp4")
    film(photos[0], journey(photos[0].size, rng), out / "journey.mp4")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
