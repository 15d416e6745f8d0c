"""A tiny data set, a small model and one trained run, made once for each worker."""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported, and torch may do that

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

import swinkit
from swinkit.cli.app import main
from swinkit.training.run_folder import Run

# the models here are tiny: on shared cores a second thread only waits for the first
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of processes that tests start

CLASSES = ("dots, blue", "grün", "red lines")  # in natural order; names that a careless file format breaks
QUICK: dict[str, Any] = {
    "batch_size": 16,
    "workers": 0,
    "device": "cpu",
    "precision": "fp32",
    "progress": False,
}
TINY: dict[str, Any] = {
    "embed_dim": 16,
    "depths": (1, 2),
    "num_heads": (1, 2),
    "img_size": 16,
    "window": 4,
}


def read_file(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and header of one of our files."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["swinkit"])


def draw_picture(label: int, rng: np.random.Generator) -> Image.Image:
    """Blue dots, plain green or red lines, over noise, 28 to 40 pixels a side."""
    height, width = rng.integers(28, 41, 2)
    pixels = rng.integers(0, 60, (height, width, 3))
    mark = np.zeros((height, width), bool)
    if label == 0:
        mark[::3, ::3] = mark[1::3, ::3] = True
    elif label == 1:
        mark[:] = True
    else:
        mark[::3] = True
    pixels[mark, (2, 1, 0)[label]] += 190
    return Image.fromarray(pixels.astype(np.uint8))


def make_set(root: Path, counts: dict[str, int], *, classes: tuple[str, ...] = CLASSES) -> Path:
    """Class folders: `make_set(root, {"train": 16, "val": 6})`; the part "" puts classes at once below."""
    rng = np.random.default_rng(0)
    for part, count in counts.items():
        for label, name in enumerate(classes):
            folder = root / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                draw_picture(label, rng).save(folder / f"{number}.png")
    return root


def save_huge(path: Path) -> None:
    """A whole PNG of 30000 × 30000 black pixels, 1 bit each; by hand, as Pillow would hold 0.9 GB."""
    packer = zlib.compressobj(1)
    row = bytes(1 + 30_000 // 8)
    pixels = b"".join([*(packer.compress(row * 100) for _ in range(300)), packer.flush()])
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 classes, 16 pictures each to train, 6 to validate. Not to be changed: copy it."""
    return make_set(tmp_path_factory.mktemp("data") / "set", {"train": 16, "val": 6})


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 20 thousand parameters with random weights, for the classes of `dataset`."""
    torch.manual_seed(0)
    model = swinkit.create("swin_pico", classes=CLASSES, **TINY)
    return swinkit.save(model, tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


@pytest.fixture(scope="session")
def start_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights of a model that learns drawn scenes of 64² in seconds; the variants take minutes."""
    torch.manual_seed(0)
    model = swinkit.create(
        "swin_pico", 3, embed_dim=24, depths=(1, 2), num_heads=(2, 4), img_size=64, window=4, patch=4
    )
    return str(swinkit.save(model, tmp_path_factory.mktemp("start") / "start.safetensors"))


@pytest.fixture(scope="session")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs from random weights. Its folder is not to be changed: copy it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return swinkit.train(dataset, model="swin_pico", out=out, epochs=2, **QUICK)


@pytest.fixture
def pictures(dataset: Path) -> list[Path]:
    """One validation picture of each class, in the order of the classes."""
    return [dataset / "val" / name / "0.png" for name in CLASSES]


class Ended(NamedTuple):
    """How a command ended: exit code, and what it printed with all white space made one blank."""

    code: int
    out: str
    err: str


Swin = Callable[..., Ended]


@pytest.fixture
def swin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Swin:
    """Run the command in this process."""

    def call(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["swin", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return Ended(code, " ".join(out.split()), " ".join(err.split()))

    return call
