"""Ours beside timm, torchvision and transformers, with the same weights: images and video.

    python benchmarks/peers.py --markdown peers.md --json peers.json

Method. timm (for video torchvision) draws random weights; they are converted into the other libraries, and
before anything is timed all must give the same logits for one input (fp32, on the CPU, to 1e-4). Each runs as
it comes, with its own default attention; drop path is 0 everywhere. A cell is one model (Swin-T, -S, -B at
224², Swin3D-T at 16×224²), one way (eager or compiled), one mode (`forward`: evaluation, inference_mode;
`train`: forward, cross entropy, backward, AdamW step) and one batch size. A cell runs in rounds: in each one
every library runs once, so that a busy spell of the machine falls on all of them. What ran just before, and
where a model's memory came to lie, move its time by some percent: so rounds make a balanced square (each
follows each other one once), and a cell has two sittings, with models built anew in the listed order and in
the reverse. The first rounds of each sitting are discarded (compilation falls there); it ends after half of
`--rounds`, or after a square once half of `--budget` seconds are over.

Figures. The time is the median over rounds. The ratio is THEIR time / OUR time within one round: above 1 we
are faster. Its median and its quartiles over rounds are given; it is steadier than a quotient of medians.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import re
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
import torch.nn.functional as F
import torchvision
import transformers
from torch import Tensor, nn

import swinkit
from swinkit.bench.machine import describe_machine, in_words
from swinkit.weights.store import canonical_names

CLASSES, OURS = 1000, "swinkit"
WARMUP = 2  # rounds of each sitting
SQUARES = {  # Williams, by the number of libraries
    2: ((0, 1), (1, 0)),
    4: ((0, 1, 3, 2), (1, 2, 0, 3), (2, 3, 1, 0), (3, 0, 2, 1)),
}
TOLERANCE = 1e-4
LIBRARIES = (OURS, "timm", "torchvision", "transformers")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

State = dict[str, Tensor]
Rules = list[tuple[str, str | Callable[[re.Match[str]], str]]]

# timm's names -> Microsoft's, which are ours
FROM_TIMM: Rules = [
    (r"layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample"),
    (r"head\.fc", "head"),
]
# Microsoft's names -> theirs
TO_TORCHVISION: Rules = [
    (r"patch_embed\.proj", "features.0.0"),
    (r"patch_embed\.norm", "features.0.2"),
    (r"layers\.(\d)\.blocks", lambda m: f"features.{2 * int(m[1]) + 1}"),
    (r"layers\.(\d)\.downsample", lambda m: f"features.{2 * int(m[1]) + 2}"),
    (r"mlp\.fc1", "mlp.0"),
    (r"mlp\.fc2", "mlp.3"),
]
TO_TRANSFORMERS: Rules = [
    (r"patch_embed\.proj", "swin.embeddings.patch_embeddings.projection"),
    (r"patch_embed\.norm", "swin.embeddings.norm"),
    (r"^layers", "swin.encoder.layers"),
    (r"^norm", "swin.layernorm"),
    (r"^head", "classifier"),
    (r"\.norm1", ".layernorm_before"),
    (r"\.norm2", ".layernorm_after"),
    (r"attn\.proj", "attention.o_proj"),
    (r"attn\.relative", "attention.relative_position_bias.relative"),
    (r"attn\.(\w)\.", r"attention.\1_proj."),
]


def renamed(state: State, rules: Rules) -> State:
    """Apply all rules to all names, one rule after the other."""
    for pattern, name in rules:
        state = {re.sub(pattern, name, key): tensor for key, tensor in state.items()}
    return state


def split_qkv(state: State) -> State:
    """`attn.qkv` -> `attn.q`, `attn.k`, `attn.v`."""
    split: State = {}
    for key, tensor in state.items():
        parts = zip("qkv", tensor.chunk(3), strict=True) if ".qkv." in key else [("qkv", tensor)]
        split |= {key.replace("qkv", part): piece for part, piece in parts}
    return split


def filled(model: nn.Module, state: State) -> nn.Module:
    """Load every tensor; only indices that a model computes itself may be missing."""
    left = model.load_state_dict(state, strict=False)
    missing = [key for key in left.missing_keys if not key.endswith("relative_position_index")]
    if missing or left.unexpected_keys:
        raise RuntimeError(f"{type(model).__name__}: missing {missing}, unexpected {left.unexpected_keys}")
    return model


class Logits(nn.Module):
    """A model of transformers as a plain one: pixels -> logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Logits alone."""
        return self.model(x).logits


class Images:
    """Swin-T, -S or -B at 224² in four libraries."""

    shape = (3, 224, 224)

    def __init__(self, letter: str) -> None:
        word, dim, depth = {"t": ("tiny", 96, 6), "s": ("small", 96, 18), "b": ("base", 128, 18)}[letter]
        self.letter, self.name = letter, f"Swin-{letter.upper()}"
        self.timm = f"swin_{word}_patch4_window7_224"
        self.numbers = dim, [2, 2, depth, 2], [dim // 32 * 2**stage for stage in range(4)]
        state = stirred(timm.create_model(self.timm, num_classes=CLASSES))
        self.builders: dict[str, Callable[[], nn.Module]] = {
            OURS: lambda: self._build_swinkit(state),
            "timm": lambda: filled(
                timm.create_model(self.timm, num_classes=CLASSES, drop_path_rate=0.0), state
            ),
            "torchvision": lambda: self._build_torchvision(state),
            "transformers": lambda: self._build_transformers(state),
        }

    def _build_swinkit(self, state: State) -> nn.Module:
        model = swinkit.create(f"swin_{self.letter}", CLASSES, drop_path=0.0)
        return filled(model, canonical_names(renamed(state, FROM_TIMM)))

    def _build_torchvision(self, state: State) -> nn.Module:
        dim, depths, heads = self.numbers
        model = torchvision.models.SwinTransformer(
            patch_size=[4, 4],
            embed_dim=dim,
            depths=depths,
            num_heads=heads,
            window_size=[7, 7],
            stochastic_depth_prob=0.0,
            num_classes=CLASSES,
        )
        return filled(model, renamed(state, FROM_TIMM + TO_TORCHVISION))

    def _build_transformers(self, state: State) -> nn.Module:
        dim, depths, heads = self.numbers
        config = transformers.SwinConfig(
            embed_dim=dim, depths=depths, num_heads=heads, drop_path_rate=0.0, num_labels=CLASSES
        )
        model = transformers.SwinForImageClassification(config)
        return Logits(filled(model, renamed(split_qkv(state), FROM_TIMM + TO_TRANSFORMERS)))


class Clips:
    """Swin3D-T on 16 frames of 224², ours and torchvision's: timm and transformers have none."""

    shape = (3, 16, 224, 224)
    name = "Swin3D-T"

    def __init__(self) -> None:
        self.state = stirred(self._build_torchvision())
        self.builders: dict[str, Callable[[], nn.Module]] = {
            OURS: self._build_swinkit,
            "torchvision": lambda: filled(self._build_torchvision(), self.state),
        }

    def _build_swinkit(self) -> nn.Module:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "swin3d_t.pt"
            torch.save(self.state, path)
            model = swinkit.load(path)
        for module in model.modules():
            if type(module).__name__ == "DropPath":
                module.rate = 0.0
        return model

    def _build_torchvision(self) -> nn.Module:
        return torchvision.models.video.SwinTransformer3d(
            patch_size=[2, 4, 4],
            embed_dim=96,
            depths=[2, 2, 6, 2],
            num_heads=[3, 6, 12, 24],
            window_size=[8, 7, 7],
            stochastic_depth_prob=0.0,
            num_classes=CLASSES,
        )


Model = Images | Clips
MODELS: dict[str, Callable[[], Model]] = {
    "t": lambda: Images("t"),
    "s": lambda: Images("s"),
    "b": lambda: Images("b"),
    "video": Clips,
}


def stirred(model: nn.Module) -> State:
    """Its weights, moved a little: zeros and ones would hide a swapped tensor."""
    torch.manual_seed(0)
    return {
        name: tensor + 0.02 * torch.randn_like(tensor) if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }


@torch.inference_mode()
def logit_differences(model: Model) -> dict[str, float]:
    """Largest difference of each peer's logits to ours, for one input; AssertionError above TOLERANCE."""
    picture = torch.randn(1, *model.shape)
    logits = {name: build().eval()(picture) for name, build in model.builders.items()}
    differences = {name: (value - logits[OURS]).abs().max().item() for name, value in logits.items()}
    assert max(differences.values()) <= TOLERANCE, f"the models do not compute the same: {differences}"
    return {name: difference for name, difference in differences.items() if name != OURS}


def forward_step(model: nn.Module, images: Tensor, dtype: torch.dtype) -> Callable[[], None]:
    """Inference; below fp32 the weights themselves are cast."""
    images = images.to(dtype)

    @torch.inference_mode()
    def step() -> None:
        model(images)

    model.eval().to(dtype)
    return step


def train_step(model: nn.Module, images: Tensor, dtype: torch.dtype) -> Callable[[], None]:
    """One update by AdamW; below fp32 by autocast over fp32 weights."""
    targets = torch.randint(CLASSES, images.shape[:1], device=images.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05)
    autocast = torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32)

    def step() -> None:
        with autocast:
            loss = F.cross_entropy(model(images).float(), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    model.train()
    return step


STEPS = {"forward": forward_step, "train": train_step}


class Cell(NamedTuple):
    """What is measured at one time, for all libraries."""

    way: str
    mode: str
    batch: int


def prepared(
    cell: Cell, order: list[str], model: Model, args: argparse.Namespace
) -> dict[str, Callable[[], None]]:
    """One step for each library, built in this order."""
    inputs = torch.randn(cell.batch, *model.shape, device=args.device)
    steps = {}
    for name in order:
        own = model.builders[name]().to(args.device)
        if cell.way == "compiled":
            own.compile(dynamic=False)
        steps[name] = STEPS[cell.mode](own, inputs, DTYPES[args.dtype])
    return steps


def seconds(step: Callable[[], None], synchronize: Callable[[], None]) -> float:
    synchronize()
    start = time.perf_counter()
    step()
    synchronize()
    return time.perf_counter() - start


def measure(cell: Cell, model: Model, args: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each library, one entry a round."""
    samples: dict[str, list[float]] = {name: [] for name in model.builders}
    for order in (list(model.builders), list(model.builders)[::-1]):
        sit(cell, order, samples, model, args)
    return samples


def sit(
    cell: Cell, order: list[str], samples: dict[str, list[float]], model: Model, args: argparse.Namespace
) -> None:
    """One sitting: half of a cell's rounds, added to the samples."""
    torch._dynamo.reset()
    gc.collect()
    steps = prepared(cell, order, model, args)
    square = SQUARES[len(order)]
    synchronize = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    deadline = float("inf")
    for done in range(-WARMUP, max(len(square), args.rounds // 2)):
        if done == 0:
            deadline = time.monotonic() + args.budget / 2
        row = done % len(square)
        if done > 0 and row == 0 and time.monotonic() > deadline:
            break
        for place in square[row]:
            elapsed = seconds(steps[order[place]], synchronize)
            if done >= 0:
                samples[order[place]].append(elapsed)


def summary(samples: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """By library: median milliseconds; median and quartiles of their/our time within a round."""
    result = {}
    for name, times in samples.items():
        ratios = [theirs / ours for theirs, ours in zip(times, samples[OURS], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        row = {"median_ms": 1000 * statistics.median(times)}
        result[name] = row | {"ratio": middle, "ratio_q1": low, "ratio_q3": high}
    return result


def table_row(result: dict[str, Any]) -> str:
    cells = [result["model"], result["way"], result["mode"], str(result["batch"]), str(result["rounds"])]
    for name in LIBRARIES:
        row = result["summary"].get(name)
        if row is None:
            cells.append("–")
            continue
        ratio = f" · ×{row['ratio']:.2f} ({row['ratio_q1']:.2f}–{row['ratio_q3']:.2f})"
        cells.append(f"{row['median_ms']:.0f}" + (ratio if name != OURS else ""))
    return f"| {' | '.join(cells)} |"


def markdown(report: dict[str, Any]) -> str:
    head = ["model", "", "mode", "batch", "rounds", *LIBRARIES]
    rows = "\n".join(map(table_row, report["cells"]))
    equal = "; ".join(
        f"{model}: {', '.join(f'{name} {value:.1e}' for name, value in differences.items())}"
        for model, differences in report["logit_differences"].items()
    )
    return f"""\
Median ms; for the others also · × their time / ours in the same round (its quartiles): above 1 we are faster.

| {" | ".join(head)} |
|{"---|" * len(head)}
{rows}

Same weights; largest difference of logits to ours: {equal}.

{in_words(report["machine"])}; {report["dtype"]}; `{report["command"]}`
"""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--modes", nargs="+", choices=list(STEPS), default=list(STEPS))
    way = parser.add_mutually_exclusive_group()
    for name in ("eager", "compiled"):
        way.add_argument(f"--{name}", action="store_const", dest="ways", const=[name], help=f"only {name}")
    parser.add_argument("--rounds", type=int, default=32, help="at most so many rounds a cell; at least 8")
    parser.add_argument("--budget", type=float, default=120, help="seconds a cell, warm-up not counted")
    parser.add_argument("--threads", type=int, help="by default what torch takes by itself")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=list(DTYPES), default="fp32")
    parser.add_argument("--json", type=Path, metavar="OUT", help="all samples")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="the table")
    parser.set_defaults(ways=["eager", "compiled"])
    return parser.parse_args()


def main() -> None:
    args = parsed()
    if args.threads:
        torch.set_num_threads(args.threads)
    report: dict[str, Any] = {
        "machine": describe_machine(torch.device(args.device)),
        "dtype": args.dtype,
        "command": shlex.join(["python", *sys.argv]),
        "logit_differences": {},
        "cells": [],
    }
    for key in args.models:
        model = MODELS[key]()
        report["logit_differences"][model.name] = logit_differences(model)
        for cell in itertools.starmap(Cell, itertools.product(args.ways, args.modes, args.batch)):
            samples = measure(cell, model, args)
            result = {"model": model.name, **cell._asdict(), "rounds": len(samples[OURS])}
            result["summary"] = summary(samples)
            print(table_row(result), flush=True)
            report["cells"].append({**result, "seconds": samples})
            if args.json:
                args.json.write_text(json.dumps(report, indent=1) + "\n")
            if args.markdown:
                args.markdown.write_text(markdown(report))
    print("\n" + markdown(report))


if __name__ == "__main__":
    main()
