"""Training from random weights on few images, beside plain peers in equal CPU time.

    python benchmarks/small_data.py detect BCCD --epochs 12 --seeds 0 1
    python benchmarks/small_data.py classify CIFAR10 --classes cat dog --seeds 0 1 2

BCCD and CIFAR10 are folders in any layout that `swin train` reads.

Method of `detect`. `swin train DATA --model faster_rcnn_swin_nano --img-size 160` runs with default
settings in a process of its own on one thread; its CPU time (user and system, loader processes included,
from the start of Python to the last figure) is the budget. torchvision's
`fasterrcnn_mobilenet_v3_large_320_fpn` without any weights then trains for that CPU time on the same
images, resized beforehand to a short side of 160 pixels (which costs it nothing): batches of 8, left-right
flips, AdamW 5e-4 with weight decay 0.05, warm-up over a tenth and cosine over the steps that fit, gradients
clipped at 5. pycocotools measures both on the validation split, in pixels of the original images.

Method of `classify`. Of two classes `--images` training and `--val-images` validation images are drawn, the
first ones by name. `swin train DATA --model swin_pico` runs with default settings. Logistic regression on
24 × 24 pixels is fitted by L-BFGS with L2 penalties from 1e-4 to 1, and the penalty that is best on the
validation split counts (in favour of it). torchvision's `resnet18` with a stem of stride 1 and no max
pooling trains on the same pixels for the CPU time of `swin train`: batches of 64, flips and shifts by up to
4 pixels, AdamW 1e-3 with weight decay 0.05, warm-up and cosine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import Tensor, nn

SHORT = 160  # pixels
CLIP = 5.0


def swin_train(data: Path, out: Path, options: list[str]) -> float:
    """Train with default settings on one thread; CPU seconds of the process and its children."""
    command = [
        sys.executable,
        "-m",
        "swinkit",
        "train",
        str(data),
        "--out",
        str(out),
        "--no-progress",
        *options,
    ]
    before = _children()
    log = out.with_suffix(".log")
    with log.open("w") as file:
        done = subprocess.run(
            command,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()[-2000:]}")
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def train_for(
    seconds: float, model: nn.Module, batch: Callable[[], Tensor], *, lr: float, measured: int = 4
) -> int:
    """Train for so many CPU seconds: `batch` gives the loss of the next one; the number of steps.

    The first steps tell how many fit, and the learning rate follows that number.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    started, steps, step = time.process_time(), 1000, 0
    while step < steps:
        warm = min(1.0, (step + 1) / max(1, steps // 10))
        rate = lr * warm * 0.5 * (1 + np.cos(np.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = batch()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        step += 1
        if step % measured == 0:
            spent = time.process_time() - started
            steps = max(step, int(step * seconds / spent))
    return step


# --- detection ----------------------------------------------------------------------------------------


def coco_truth(samples: Any, classes: int) -> dict[str, Any]:
    """The validation split as COCO has it."""
    images, rows = [], []
    for number, sample in enumerate(samples, start=1):
        width, height = Image.open(sample.image).size
        images.append({"id": number, "width": width, "height": height, "file_name": str(sample.image)})
        for box, label, crowd in zip(
            sample.boxes.tolist(), sample.labels.tolist(), sample.crowd, strict=True
        ):
            sides = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            row = {"image_id": number, "category_id": label, "bbox": sides, "area": sides[2] * sides[3]}
            rows.append({**row, "id": len(rows) + 1, "iscrowd": int(crowd)})
    return {
        "images": images,
        "annotations": rows,
        "categories": [{"id": i, "name": str(i)} for i in range(classes)],
    }


def average_precision(truth: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    """Box AP in percent, by pycocotools."""
    from contextlib import redirect_stdout

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not rows:
        return 0.0
    with redirect_stdout(None):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        judge = COCOeval(known, known.loadRes(rows), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return 100 * float(judge.stats[0])


def row(number: int, label: int, box: list[float], score: float) -> dict[str, Any]:
    sides = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    return {"image_id": number, "category_id": label, "bbox": sides, "score": score}


def resized(path: Path) -> tuple[Tensor, float]:
    """An image (3, h, w) in 0..1 whose short side is 160 pixels, and its scale."""
    image = Image.open(path).convert("RGB")
    scale = SHORT / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255, scale


def peer_detector(data: Any, truth: dict[str, Any], seconds: float, seed: int) -> tuple[float, float]:
    """Box AP of torchvision's detector after so many CPU seconds, and its epochs."""
    torch.manual_seed(seed)
    classes = len(data.classes)
    model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=classes + 1, min_size=SHORT, max_size=10 * SHORT
    )
    pairs = []
    for sample in data.splits["train"]:
        image, scale = resized(sample.image)
        boxes = torch.from_numpy(sample.boxes * scale).float()
        pairs.append((image, boxes, torch.from_numpy(sample.labels) + 1))
    rng = np.random.default_rng(seed)
    order: list[int] = []

    def batch() -> Tensor:
        nonlocal order
        if len(order) < 8:
            order = rng.permutation(len(pairs)).tolist()
        images, targets = [], []
        for place in order[:8]:
            image, boxes, labels = pairs[place]
            if rng.random() < 0.5:
                image, width = image.flip(-1), image.shape[-1]
                boxes = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
            images.append(image)
            targets.append({"boxes": boxes, "labels": labels})
        order = order[8:]
        total: Tensor = sum(model(images, targets).values())
        return total

    model.train()
    steps = train_for(seconds, model, batch, lr=5e-4)
    model.eval()
    rows = []
    with torch.inference_mode():
        for number, sample in enumerate(data.splits["val"], start=1):
            image, scale = resized(sample.image)
            (found,) = model([image])
            for box, label, score in zip(
                found["boxes"] / scale, found["labels"], found["scores"], strict=True
            ):
                rows.append(row(number, int(label) - 1, box.tolist(), float(score)))
    return average_precision(truth, rows), round(8 * steps / len(pairs), 1)


def our_rows(model: Any, data: Any) -> list[dict[str, Any]]:
    """What a trained model finds in the validation split."""
    rows = []
    for number, sample in enumerate(data.splits["val"], start=1):
        (found,) = model.predict(sample.image)
        for box, label, score in zip(found.boxes.tolist(), found.labels, found.scores, strict=True):
            rows.append(row(number, int(label), box, float(score)))
    return rows


def detect(given: argparse.Namespace) -> dict[str, Any]:
    """Box AP of both, seed by seed."""
    import swinkit
    from swinkit.data.detection.open import open_objects

    data = open_objects(Path(given.data), val_fraction=0.2)
    truth = coco_truth(data.splits["val"], len(data.classes))
    results = []
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            options = ["--model", given.model, "--img-size", str(SHORT), "--seed", str(seed)]
            seconds = swin_train(Path(given.data), out, [*options, "--epochs", str(given.epochs)])
            ours = average_precision(truth, our_rows(swinkit.load(out), data))
        peer, epochs = peer_detector(data, truth, seconds, seed)
        result = {
            "seed": seed,
            "cpu_seconds": round(seconds),
            "swinkit": round(ours, 1),
            "peer": round(peer, 1),
        }
        results.append({**result, "peer_epochs": epochs, "ratio": round(ours / max(peer, 1e-9), 2)})
        print(json.dumps(results[-1]), flush=True)
    means = {name: statistics.mean(one[name] for one in results) for name in ("swinkit", "peer")}
    ratio = means["swinkit"] / max(means["peer"], 0.1)
    print(f"box AP {means['swinkit']:.1f}, peer {means['peer']:.1f}, ratio {ratio:.2f}")
    return {"results": results}


# --- classification -----------------------------------------------------------------------------------


def two_classes(source: Path, out: Path, classes: list[str], counts: dict[str, int]) -> None:
    """Link the first images of each class of each split into a data set of their own."""
    for split, count in counts.items():
        for name in classes:
            folder = out / split / name
            folder.mkdir(parents=True)
            for path in sorted((source / split / name).iterdir())[: count // len(classes)]:
                (folder / path.name).symlink_to(path.resolve())


def pixels(folder: Path, side: int | None = None) -> tuple[Tensor, Tensor]:
    """Images (N, 3, side, side) in 0..1 and labels (N,)."""
    images, labels = [], []
    for label, name in enumerate(sorted(path.name for path in folder.iterdir())):
        for path in sorted((folder / name).iterdir()):
            image = Image.open(path).convert("RGB")
            if side is not None:
                image = image.resize((side, side), Image.Resampling.BILINEAR)
            images.append(torch.from_numpy(np.asarray(image).copy()))
            labels.append(label)
    return torch.stack(images).permute(0, 3, 1, 2) / 255, torch.tensor(labels)


def logistic_regression(data: Path) -> float:
    """Top-1 in percent on 24 × 24 pixels, of the best L2 penalty."""
    (x, y), (x_val, y_val) = pixels(data / "train", 24), pixels(data / "val", 24)
    mean, std = x.mean(0), x.std(0)
    x, x_val = ((part - mean).div(std).flatten(1) for part in (x, x_val))
    best = 0.0
    for penalty in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        weight = torch.zeros(2, x.shape[1], requires_grad=True)
        bias = torch.zeros(2, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

        def closure(penalty: float = penalty, weight: Tensor = weight, bias: Tensor = bias) -> Tensor:
            for tensor in (weight, bias):
                tensor.grad = None
            loss = F.cross_entropy(x @ weight.T + bias, y) + penalty * weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        right = ((x_val @ weight.T + bias).argmax(1) == y_val).float().mean()
        best = max(best, 100 * right.item())
    return best


def resnet(data: Path, seconds: float, seed: int) -> float:
    """Top-1 in percent of resnet18 after so many CPU seconds."""
    torch.manual_seed(seed)
    x, y = pixels(data / "train")
    mean, std = x.mean((0, 2, 3), keepdim=True)[0], x.std((0, 2, 3), keepdim=True)[0]
    model = torchvision.models.resnet18(weights=None, num_classes=2)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    padded = F.pad((x - mean) / std, (4, 4, 4, 4))
    size = x.shape[-1]

    def batch() -> Tensor:
        places = torch.randint(len(x), (64,))
        top, left = torch.randint(9, (2,)).tolist()
        images = padded[places, :, top : top + size, left : left + size]
        flipped = torch.rand(len(images)) < 0.5
        images = torch.where(flipped[:, None, None, None], images.flip(-1), images)
        loss: Tensor = F.cross_entropy(model(images), y[places])
        return loss

    train_for(seconds, model.train(), batch, lr=1e-3)
    x_val, y_val = pixels(data / "val")
    with torch.inference_mode():
        scores = torch.cat([model.eval()((part - mean) / std) for part in x_val.split(200)])
    return 100 * (scores.argmax(1) == y_val).float().mean().item()


def classify(given: argparse.Namespace) -> dict[str, Any]:
    """Top-1 of the three, seed by seed."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        counts = {"train": given.images, "val": given.val_images}
        two_classes(Path(given.data), data, given.classes, counts)
        linear = logistic_regression(data)
        print(f"logistic regression on 24 × 24 pixels: {linear:.1f}", flush=True)
        for seed in given.seeds:
            out = Path(folder) / f"run{seed}"
            seconds = swin_train(data, out, ["--model", given.model, "--seed", str(seed)])
            ours = json.loads((out / "evaluation.json").read_text())["metrics"]["top1"]
            peer = resnet(data, seconds, seed) if given.peer else float("nan")
            results.append(
                {"seed": seed, "cpu_seconds": round(seconds), "swinkit": ours, "resnet18": round(peer, 1)}
            )
            print(json.dumps(results[-1]), flush=True)
    mean = statistics.mean(one["swinkit"] for one in results)
    print(f"top-1 {mean:.1f}, logistic regression {linear:.1f}: {mean - linear:+.1f} points")
    return {"logistic_regression": linear, "results": results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    boxes = commands.add_parser("detect")
    boxes.add_argument("--model", default="faster_rcnn_swin_nano")
    boxes.add_argument("--epochs", type=int, default=30)
    labels = commands.add_parser("classify")
    labels.add_argument("--model", default="swin_pico")
    labels.add_argument("--classes", nargs=2, default=["cat", "dog"])
    labels.add_argument("--images", type=int, default=2000)
    labels.add_argument("--val-images", type=int, default=1000)
    labels.add_argument("--no-peer", dest="peer", action="store_false", help="leave resnet18 out")
    for command in (boxes, labels):
        command.add_argument("data")
        command.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
        command.add_argument("--json", help="write the figures here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures = {"detect": detect, "classify": classify}[given.command](given)
    if given.json:
        Path(given.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
