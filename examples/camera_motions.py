"""Clips with known camera motions, made of your photographs: pan left and right, zoom in and out, still.

python examples/camera_motions.py PHOTOS CLIPS && swin train CLIPS --model swin3d_pico

No single frame tells the motion, so a model that names it has learnt to use time. Photographs of training and
validation are different ones.
"""

import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

from swinkit.data.media import find_inputs
from swinkit.data.reading import read_image

SIDE, FRAMES, RATE = 128, 16, 12
MOTIONS = ("pan left", "pan right", "still", "zoom in", "zoom out")


def boxes(motion: str, size: tuple[int, int], rng: np.random.Generator) -> list[tuple[float, ...]]:
    """Left, upper, right, lower of the camera's view in each frame; a shaking hand moves it a little."""
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


def film(photo: Image.Image, motion: str, path: Path, rng: np.random.Generator) -> None:
    """Write one clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for left, top, right, bottom in boxes(motion, photo.size, rng):
            box = (max(0, left), max(0, top), min(photo.width, right), min(photo.height, bottom))
            view = photo.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
            container.mux(stream.encode(av.VideoFrame.from_image(view)))
        container.mux(stream.encode(None))


def main(photos: Path, out: Path, each: int = 5) -> None:
    """One clip of each motion of every photograph; every fifth photograph is for validation."""
    rng = np.random.default_rng(0)
    for number, source in enumerate(find_inputs(photos)):
        photo = read_image(source)
        part = "val" if number % each == 0 else "train"
        for motion in MOTIONS:
            film(photo, motion, out / part / motion / f"{number:05d}.mp4", rng)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
