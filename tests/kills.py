"""Training runs that are killed by SIGKILL at chosen moments, and continued.

A moment is a hook of Lightning's loops, or a file that is about to be replaced or has just been replaced.
Runs are forked from a server process that has imported everything once.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.trainer import call
from safetensors.torch import load_file

import swinkit
import swinkit.training.run
from swinkit.training.run_folder import RunFolder
from tests.conftest import CLASSES, QUICK, make_set
from tests.films import write_video
from tests.owls import owl_swin
from tests.shares import contrastive

EPOCHS = 5
KINDS = ("within", "at", "between")
TOWERS = {"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 2), "window": 4, "img_size": 32}
COLOURS = {"red": (210, 30, 40), "green": (40, 170, 60)}
# moments that every process passes in its first epoch, counted from 1; of a new run, and of a continued one
NEW = {"within": range(1, 15), "at": range(1, 18), "between": range(9, 12)}
CONTINUED = {"within": range(1, 8), "at": range(1, 18), "between": range(1, 8)}


@dataclass(frozen=True)
class Recipe:
    """What a task trains on: its data, and the options of `swinkit.train`."""

    data: Path
    options: dict[str, Any]


# --- data and models: as small as each task allows ----------------------------------------------------


def classify(root: Path) -> Recipe:
    data = make_set(root / "set", {"train": 6, "val": 2})
    model = swinkit.create("swin_pico", classes=CLASSES, **{**TOWERS, "img_size": 16})
    extra = {"repeats": 2, "sampling": "balanced", "accumulate": 2}
    return Recipe(data, {"model": swinkit.save(model, root / "model.safetensors"), **extra})


def video(root: Path) -> Recipe:
    rng = np.random.default_rng(0)
    for part, count in {"train": 6, "val": 2}.items():
        for name in ("up", "down"):
            for i in range(count):
                frames = list(rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8))
                write_video(root / "set" / part / name / f"{i}.mp4", frames)
    settings = {**TOWERS, "img_size": (4, 32, 32), "window": (2, 4, 4)}
    model = swinkit.create("swin3d_pico", classes=("down", "up"), **settings)
    return Recipe(root / "set", {"model": swinkit.save(model, root / "model.safetensors")})


def segment(root: Path) -> Recipe:
    rng = np.random.default_rng(0)
    for part, count in {"train": 12, "val": 4}.items():
        for kind in ("images", "masks"):
            (root / "set" / kind / part).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
            mask = (pixels[..., 0] > 128).astype(np.uint8)
            Image.fromarray(pixels).save(root / "set" / "images" / part / f"{i}.png")
            Image.fromarray(mask).save(root / "set" / "masks" / part / f"{i}.png")
    (root / "set" / "dataset.yaml").write_text("classes: {0: dark, 1: bright}\n")
    settings = {**TOWERS, "head": "upernet", "channels": 8}
    model = swinkit.create("swin_pico", classes=("dark", "bright"), task="segment", **settings)
    return Recipe(root / "set", {"model": swinkit.save(model, root / "model.safetensors")})


def boxes(root: Path) -> Path:
    """Rectangles of two colours on noise, as COCO writes them."""
    rng, number = np.random.default_rng(0), 0
    (root / "set" / "annotations").mkdir(parents=True)
    for part, count in {"train": 8, "val": 4}.items():
        (root / "set" / part).mkdir()
        images, annotations = [], []
        for i in range(count):
            pixels = rng.integers(90, 130, (32, 40, 3), dtype=np.uint8)
            number += 1
            for category, colour in enumerate(COLOURS.values(), start=1):
                left, top = int(rng.integers(0, 24)), int(rng.integers(0, 16))
                pixels[top : top + 14, left : left + 14] = colour
                annotations.append({
                    "id": len(annotations) + 1, "image_id": number, "category_id": category, "iscrowd": 0,
                    "bbox": [left, top, 14, 14], "area": 196.0,
                })  # fmt: skip
            Image.fromarray(pixels).save(root / "set" / part / f"{i}.png")
            images.append({"id": number, "file_name": f"{i}.png", "height": 32, "width": 40})
        categories = [{"id": label, "name": name} for label, name in enumerate(COLOURS, start=1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "set" / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    return root / "set"


def detect(root: Path) -> Recipe:
    settings = {**TOWERS, "head": "faster_rcnn", "channels": 8, "width": 16}
    model = swinkit.create("swin_pico", classes=tuple(COLOURS), task="detect", **settings)
    return Recipe(boxes(root), {"model": swinkit.save(model, root / "model.safetensors")})


def open_vocabulary(root: Path) -> Recipe:
    model = swinkit.save(owl_swin(img_size=32), root / "model.safetensors")
    return Recipe(boxes(root), {"model": model, "prompts": ("a {}", "the {}"), "text_lr": 0.5})


def captions(root: Path) -> Recipe:
    rng, rows = np.random.default_rng(0), ["path,caption,split"]
    for part, count in {"train": 6, "val": 2}.items():
        for name, colour in COLOURS.items():
            for i in range(count):
                pixels = np.full((32, 40, 3), colour, np.uint8) - rng.integers(
                    0, 30, (32, 40, 3), dtype=np.uint8
                )
                Image.fromarray(pixels).save(root / f"{part}-{name}{i}.png")
                rows.append(f"{part}-{name}{i}.png,{'the' if i % 2 else 'a'} {name} ball,{part}")
    (root / "pairs.csv").write_text("\n".join(rows) + "\n")
    model = swinkit.save(contrastive(img_size=32), root / "model.safetensors")
    return Recipe(root / "pairs.csv", {"model": model})


RECIPES: dict[str, Callable[[Path], Recipe]] = {
    "classify": classify, "video": video, "segment": segment, "detect": detect,
    "open_vocabulary": open_vocabulary, "contrastive": captions,
}  # fmt: skip


def make_recipe(task: str, root: Path, *, devices: int, workers: int) -> Recipe:
    """Write the data and the model of a task below a folder."""
    root.mkdir(parents=True)
    torch.manual_seed(0)
    recipe = RECIPES[task](root)
    settings = {
        **QUICK,
        "batch_size": 4 // devices,
        "epochs": EPOCHS,
        "lr": 3e-3,
        "save_minutes": 0,
        "log": (),
    }
    return Recipe(recipe.data, {**settings, "workers": workers, **recipe.options})


# --- runs that are killed -----------------------------------------------------------------------------


@dataclass
class Killer:
    """Kills this process at the `count`-th moment of a `kind`, if one is named; `log` then gets its name."""

    log: Path
    kind: str = ""
    count: int = 0
    now: str = "between"  # the kind of the present moment
    last: str = ""

    def arm(self) -> None:
        """Watch Lightning's hooks and the files that are replaced. For a process that ends with the run."""
        run_hooks, replace = call._call_callback_hooks, Path.replace

        def watched_hooks(trainer: Any, hook: str, *rest: Any, **options: Any) -> None:
            self.pass_moment(hook)
            run_hooks(trainer, hook, *rest, **options)

        def watched_replace(path: Path, target: Path) -> Path:
            self.pass_moment(f"write {target.name}")
            new = replace(path, target)
            self.pass_moment(f"written {target.name}")
            return new

        call._call_callback_hooks = watched_hooks
        Path.replace = watched_replace  # type: ignore[method-assign]

    def pass_moment(self, name: str) -> None:
        """Note a moment, and die at the deadly one."""
        if name == "on_train_batch_start":
            self.now = "within"
        elif name == "on_validation_start":
            self.now = "at"
        elif name in ("written last.ckpt", "on_train_epoch_end") and self.last == "on_train_epoch_end":
            self.now = "between"  # the hook is called again after the state has been saved
        if name.startswith("on_"):
            self.last = name
        if self.now == self.kind:
            self.count -= 1
            if self.count == 0:
                self.log.write_text(f"{self.kind}: {name}\n")
                os.kill(os.getpid(), signal.SIGKILL)


def train_until_killed(
    recipe: Recipe, out: Path, killer: Killer, *, rank: int, devices: int, port: int, shown: bool = False
) -> None:
    """Train or continue a run in this process; of two, as torchrun starts them."""
    if not shown:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
    torch.set_num_threads(1)
    multiprocessing.set_start_method(
        "fork", force=True
    )  # for loaders; a server of their own imports for long
    if devices > 1:
        places = {"RANK": rank, "WORLD_SIZE": devices, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": devices}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "kills"}
        restarts = {"TORCHELASTIC_RESTART_COUNT": 0}
        os.environ |= {name: str(value) for name, value in {**places, **meeting, **restarts}.items()}
    # pictures and figures after training take most of the time of such runs
    swinkit.training.callbacks.draw_curves = lambda *_: None
    swinkit.training.run._final_figures = lambda *_: {}
    killer.arm()
    if (out / "config.yaml").exists():
        swinkit.train(resume=out)
    else:
        swinkit.train(recipe.data, out=out, **recipe.options)
    os._exit(0)  # gloo's threads may abort when they are torn down


@dataclass
class Lives:
    """Runs of one recipe in processes that may be killed."""

    recipe: Recipe
    devices: int = 1

    def live(self, out: Path, kind: str = "", count: int = 0, rank: int = 0) -> str:
        """Train until the end, or until process `rank` dies at a moment, whose name is returned."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.kills"])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = out.with_suffix(".log")
        log.unlink(missing_ok=True)
        processes = []
        for number in range(self.devices):
            killer = Killer(log, kind, count) if number == rank else Killer(log)
            options = {"rank": number, "devices": self.devices, "port": port}
            process = context.Process(
                target=train_until_killed, args=(self.recipe, out, killer), kwargs=options
            )
            process.start()
            processes.append(process)
        codes = _end_together(processes)
        moment = log.read_text() if log.exists() else ""
        assert moment or not any(codes), f"{out}: {codes}"
        return moment


def _end_together(processes: list[ForkServerProcess]) -> list[int]:
    """Wait for processes; when one dies, the others are killed, as a launcher does."""
    end = time.monotonic() + 300
    while any(process.exitcode is None for process in processes):
        wait([process.sentinel for process in processes if process.exitcode is None], timeout=1)
        if time.monotonic() > end or any(process.exitcode for process in processes):
            for process in processes:
                process.kill()
    for process in processes:
        process.join()
    return [process.exitcode or 0 for process in processes]


def history(out: Path) -> list[dict[str, float]]:
    """The rows of metrics.csv, but for the time they took."""
    return [
        {key: value for key, value in row.items() if key != "seconds"}
        for row in RunFolder(out).read_history()
    ]


def assert_same_end(out: Path, whole: Path) -> None:
    """The run has ended as an unbroken one does, bit for bit, and leaves nothing unfinished."""
    for name in ("last.safetensors", "best.safetensors"):
        broken, expected = load_file(out / name), load_file(whole / name)
        assert broken.keys() == expected.keys()
        for key, tensor in expected.items():
            assert torch.equal(broken[key], tensor), f"{out}: {name}, {key}"
    rows, expected_rows = history(out), history(whole)
    assert len(rows) == len(expected_rows)
    for row, expected_row in zip(rows, expected_rows, strict=True):
        assert row == pytest.approx(expected_row, rel=0, abs=0, nan_ok=True), out
    assert not list(out.glob(".*"))


def kill_in_turn(lives: Lives, out: Path, kinds: Sequence[str], rng: random.Random) -> list[str]:
    """Kill a run once at a random moment of each kind, then let it end; the moments at which it died."""
    moments: list[str] = []
    for kind in kinds:
        counts = CONTINUED if (out / "last.ckpt").exists() else NEW
        # the other process writes no files, so it has few moments but those of steps
        rank = rng.randrange(lives.devices) if kind == "within" else 0
        moments.append(lives.live(out, kind, rng.choice(counts[kind]), rank))
    lives.live(out)
    return moments
