"""Draw the figures of docs/architecture.md.

    python scripts/make_figures.py

The pictures are two of the demo's data, a subset of Fashion-MNIST (MIT licence, Zalando SE).
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

from PIL import Image

import swinkit
from swinkit.explain import figures
from swinkit.explain.windows import draw_windows
from swinkit.models.variants import find_variant

ARCHIVE = Path(swinkit.__file__).parent / "data" / "fashion_mnist.zip"
TARGET = Path(__file__).parent.parent / "docs" / "figures"
BAG, BOOT = "test/Bag/01256.png", "test/Ankle boot/00039.png"


def read_picture(name: str) -> Image.Image:
    with zipfile.ZipFile(ARCHIVE) as archive:
        return Image.open(io.BytesIO(archive.read(f"fashion_mnist/{name}"))).convert("RGB")


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    bag, boot = read_picture(BAG), read_picture(BOOT)
    nano, tiny = find_variant("swin_nano").config(), find_variant("swin_t").config()
    figures.draw_patches(boot, find_variant("swin_t").config(img_size=28), target / "patches.png")
    draw_windows(bag, nano, target / "windows.png")
    figures.draw_fits(bag, target / "fits.png")
    figures.draw_relative_index(target / "relative_position.png")
    figures.draw_merging(target / "merging.png")
    figures.draw_costs(tiny, target / "costs.png")
    figures.draw_pyramid(boot, tiny, target / "pyramid.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
