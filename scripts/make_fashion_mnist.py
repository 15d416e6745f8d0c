"""Make the demo's data: a class-folder subset of Fashion-MNIST as PNGs in one zip.

Source: Debian's package dataset-fashion-mnist (MIT licence, Zalando SE). Get it and run:

    apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb fm
    python scripts/make_fashion_mnist.py fm/usr/share/dataset-fashion-mnist src/swinkit/data

The subset is drawn by a fixed seed: 800 training and 150 test pictures of each of the ten classes.
"""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = (
    *("T-shirt", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
PARTS = {"train": ("train", 800), "test": ("t10k", 150)}
SEED = 0
STAMP = (2020, 1, 1, 0, 0, 0)  # the same zip, byte for byte, on every run


def read_idx(path: Path) -> np.ndarray:
    with gzip.open(path) as file:
        data = file.read()
    axes = data[3]
    shape = np.frombuffer(data, ">u4", axes, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main(source: Path, target: Path) -> None:
    draw = np.random.default_rng(SEED)
    with zipfile.ZipFile(target / "fashion_mnist.zip", "w", zipfile.ZIP_STORED) as archive:
        for part, (prefix, count) in PARTS.items():
            images = read_idx(source / f"{prefix}-images-idx3-ubyte.gz")
            labels = read_idx(source / f"{prefix}-labels-idx1-ubyte.gz")
            for label, name in enumerate(CLASSES):
                chosen = np.sort(draw.permutation(np.flatnonzero(labels == label))[:count])
                for index in chosen:
                    entry = zipfile.ZipInfo(f"fashion_mnist/{part}/{name}/{index:05d}.png", STAMP)
                    archive.writestr(entry, png(images[index]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
