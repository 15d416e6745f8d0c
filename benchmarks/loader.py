"""Images a second of one loader process, decoding and the published augmentation included, beside timm's.

    python benchmarks/loader.py FOLDER --size 224

Method. FOLDER holds class folders of JPEGs. Both loaders read the same files with one worker process and the
augmentation of `in1k_300e`: random resized crop (bicubic), flip, rand-m9-mstd0.5-inc1, normalisation, random
erasing 0.25. Mixing is left out: it is the model's process that mixes. timm's is `create_loader` without its
prefetcher, which is for GPUs, and with `re_mode="pixel"`. Rounds of both alternate; each reads every file
once, after a round that is not counted; the median is given. Ours keeps no decoded picture here. timm's
posterising by 0 bits, which today's Pillow refuses, is mended.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image, ImageOps
from timm.data import auto_augment, create_dataset, create_loader

import swinkit
from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.data.classification.image_dataset import ImageDataset
from swinkit.data.classification.open import open_classes
from swinkit.data.classification.transforms import training_transform
from swinkit.data.loader import make_loader
from swinkit.data.sampler import SeededBatches
from swinkit.recipes import read_recipe

BATCH = 32


def ours(folder: Path, size: int) -> Iterable[Any]:
    samples = open_classes(folder, val_fraction=0, min_classes=1).splits["train"]
    pre = Preprocessing(size=size)
    augmentation = Augmentation.checked(read_recipe("in1k_300e", "swin_t")["augmentation"])
    dataset = ImageDataset(samples, pre, training_transform(pre, augmentation), at_least=2 * size)
    order = SeededBatches(len(samples), BATCH, shuffle=True, seed=0)
    return make_loader(dataset, order, workers=1)


def theirs(folder: Path, size: int) -> Iterable[Any]:
    return create_loader(
        create_dataset("", root=str(folder)),
        input_size=(3, size, size),
        batch_size=BATCH,
        is_training=True,
        use_prefetcher=False,
        re_prob=0.25,
        re_mode="pixel",
        scale=(0.08, 1.0),
        hflip=0.5,
        auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="bicubic",
        num_workers=1,
        persistent_workers=True,
        device=torch.device("cpu"),
    )


def posterize(image: Image.Image, bits: int, **_: Any) -> Image.Image:
    """timm's, for a Pillow that refuses 0 bits: these are black."""
    if bits >= 8:
        return image
    return ImageOps.posterize(image, bits) if bits else image.point([0] * 256 * len(image.getbands()))


def images(batch: Any) -> int:
    return len(batch.images if hasattr(batch, "images") else batch[0])


def rate(loader: Iterable[Any]) -> float:
    start, count = time.perf_counter(), 0
    for batch in loader:
        count += images(batch)
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    makers: dict[str, Callable[[Path, int], Iterable[Any]]] = {"swinkit": ours, "timm": theirs}
    auto_augment.NAME_TO_OP["PosterizeIncreasing"] = posterize
    loaders = {name: make(given.folder, given.size) for name, make in makers.items()}
    rates: dict[str, list[float]] = {name: [] for name in loaders}
    for number in range(given.rounds + 1):
        for name, loader in loaders.items():
            measured = rate(loader)
            if number:
                rates[name].append(measured)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    files = [path for path in given.folder.rglob("*") if path.is_file()]
    print("| loader | images/s, one process | ÷ timm |\n|---|---|---|")
    for name, value in medians.items():
        print(f"| {name} | {value:.0f} | {value / medians['timm']:.2f} |")
    mean = sum(path.stat().st_size for path in files) / len(files)
    print(
        f"\n{len(files)} files of {mean / 1000:.0f} kB, input {given.size}², {given.rounds} rounds; swinkit "
        f"{swinkit.__version__}, timm {timm.__version__}, {platform.processor() or platform.machine()}"
    )


if __name__ == "__main__":
    main()
