"""The main job on real pictures that come along: train, evaluate, predict, show."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from swinkit import api
from swinkit.data.io.images import read_image
from swinkit.data.io.media import find_inputs
from swinkit.explain.windows import draw_windows
from swinkit.files import make_folder
from swinkit.training.run_folder import next_free

MODEL = "swin_pico"
EPOCHS = 22
# The things of this set are centred and point one way, so geometry is left alone; cutmix is what keeps so
# small a set from being learnt by heart.
AUGMENTATION = {
    "shift": 0.0,
    "crop_scale": (1.0, 1.0),
    "crop_ratio": (1.0, 1.0),
    "hflip": 0.0,
    "color_jitter": 0.0,
    "erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 1.0,
    "mix_prob": 0.7,
    "label_smoothing": 0.05,
}


@dataclass(frozen=True)
class DemoReport:
    """What the demo made: top-1 on the test part in percent, the model, and pictures with what they show."""

    top1: float
    model: Path
    pictures: dict[Path, str]


def run_demo(out: Path, *, epochs: int | None = None) -> DemoReport:
    """Unpack Fashion-MNIST's subset, train a small Swin, measure it on the test part, draw."""
    data = unpack(out)
    run = api.train(
        data,
        model=MODEL,
        out=next_free(out, "run"),
        epochs=EPOCHS if epochs is None else epochs,
        val_fraction=0.05,
        lr=1.5e-3,
        batch_size=64,
        weight_decay=0.1,
        drop_path=0.0,
        augmentation=AUGMENTATION,
    )
    samples = [folder for folder in sorted((data / "test").iterdir()) if folder.is_dir()]
    shown = [find_inputs(folder)[0] for folder in samples]
    list(api.predict(run.model, shown, out=run.path / "predicted"))
    windows = run.path / "windows.png"
    draw_windows(read_image(shown[0]), run.model.backbone.config, windows)
    pictures = {
        run.path
        / "predictions.png": "test pictures: surest hits of each class and surest misses, with scores",
        run.path / "confusion.png": "which classes are taken for which",
        run.path / "curves.png": "loss and accuracy by epoch",
        windows: "windows, shift and mask on a test picture",
        run.path / "predicted": "one annotated picture of each class",
    }
    return DemoReport(run.metrics["test_top1"], run.path / "best.safetensors", pictures)


def unpack(out: Path) -> Path:
    """Unpack the pictures below `out`, unless they are there, and give their folder."""
    folder = out / "fashion_mnist"
    if not folder.is_dir():
        make_folder(out)
        with (
            as_file(files("swinkit.data") / "fashion_mnist.zip") as packed,
            zipfile.ZipFile(packed) as archive,
            tempfile.TemporaryDirectory(dir=out) as half,  # whole or not at all
        ):
            archive.extractall(half)
            (Path(half) / folder.name).rename(folder)
    return folder
