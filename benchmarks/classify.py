"""Swin-T at 224²: this library, timm, torchvision and transformers, with the same weights, side by side.

    python benchmarks/classify.py --markdown classify.md --json classify.json

Method. timm draws random weights; they are converted into the other three libraries, and before anything is
timed all four must give the same logits for one picture (fp32, on the CPU, to 1e-4). Each library runs as it
comes, with its own default attention; drop path is 0 everywhere. A cell is one way (eager or compiled), one
mode (`forward`: evaluation, inference_mode; `train`: forward, cross entropy, backward, AdamW step) and one
batch size. A cell runs in rounds: in each round every library runs once, so that a busy spell of the machine
falls on all of them. What ran just before, and where a model's memory came to lie, move its time by some
percent: so four rounds make a balanced square (each library follows each other one once), and a cell has two
sittings, with models built anew in the listed order and in the reverse. The first rounds of each sitting are
discarded (compilation falls there); it ends after half of `--rounds`, or after a square once half of
`--budget` seconds are over.

Figures. The time is the median over rounds. The ratio is THEIR time / OUR time within one round: above 1 we
are faster. Its median and its quartiles over rounds are given; it is steadier than a quotient of medians.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import itertools
import json
import os
import platform
import re
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
import torch.nn.functional as F
import torchvision
import transformers
from torch import Tensor, nn

import swinkit
from swinkit.weights.store import canonical_names

SIZE, CLASSES = 224, 1000
OURS, TIMM_NAME = "swinkit", "swin_tiny_patch4_window7_224"
WARMUP = 2  # rounds of each sitting
SQUARE = ((0, 1, 3, 2), (1, 2, 0, 3), (2, 3, 1, 0), (3, 0, 2, 1))  # Williams, for four libraries
TOLERANCE = 1e-4
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


def build_swinkit(state: State) -> nn.Module:
    model = swinkit.create("swin_t", CLASSES, drop_path=0.0)
    return filled(model, canonical_names(renamed(state, FROM_TIMM)))


def build_timm(state: State) -> nn.Module:
    return filled(timm.create_model(TIMM_NAME, num_classes=CLASSES, drop_path_rate=0.0), state)


def build_torchvision(state: State) -> nn.Module:
    model = torchvision.models.SwinTransformer(
        patch_size=[4, 4],
        embed_dim=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=[7, 7],
        stochastic_depth_prob=0.0,
        num_classes=CLASSES,
    )
    return filled(model, renamed(state, FROM_TIMM + TO_TORCHVISION))


def build_transformers(state: State) -> nn.Module:
    config = transformers.SwinConfig(drop_path_rate=0.0, num_labels=CLASSES)
    model = transformers.SwinForImageClassification(config)
    return Logits(filled(model, renamed(split_qkv(state), FROM_TIMM + TO_TRANSFORMERS)))


BUILDERS: dict[str, Callable[[State], nn.Module]] = {
    OURS: build_swinkit,
    "timm": build_timm,
    "torchvision": build_torchvision,
    "transformers": build_transformers,
}


def random_weights() -> State:
    """Initial weights of timm, stirred: zeros and ones would hide a swapped tensor."""
    torch.manual_seed(0)
    state = timm.create_model(TIMM_NAME, num_classes=CLASSES).state_dict()
    return {name: tensor + 0.02 * torch.randn_like(tensor) for name, tensor in state.items()}


@torch.inference_mode()
def logit_differences(state: State) -> dict[str, float]:
    """Largest difference of each peer's logits to ours, for one picture; AssertionError above TOLERANCE."""
    picture = torch.randn(1, 3, SIZE, SIZE)
    logits = {name: build(state).eval()(picture) for name, build in BUILDERS.items()}
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
    cell: Cell, order: list[str], state: State, args: argparse.Namespace
) -> dict[str, Callable[[], None]]:
    """One step for each library, built in this order."""
    images = torch.randn(cell.batch, 3, SIZE, SIZE, device=args.device)
    steps = {}
    for name in order:
        model = BUILDERS[name](state).to(args.device)
        if cell.way == "compiled":
            model.compile(dynamic=False)
        steps[name] = STEPS[cell.mode](model, images, DTYPES[args.dtype])
    return steps


def seconds(step: Callable[[], None], synchronize: Callable[[], None]) -> float:
    synchronize()
    start = time.perf_counter()
    step()
    synchronize()
    return time.perf_counter() - start


def measure(cell: Cell, state: State, args: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each library, one entry a round."""
    samples: dict[str, list[float]] = {name: [] for name in BUILDERS}
    for order in (list(BUILDERS), list(BUILDERS)[::-1]):
        sit(cell, order, samples, state, args)
    return samples


def sit(
    cell: Cell, order: list[str], samples: dict[str, list[float]], state: State, args: argparse.Namespace
) -> None:
    """One sitting: half of a cell's rounds, added to the samples."""
    torch._dynamo.reset()
    gc.collect()
    steps = prepared(cell, order, state, args)
    synchronize = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    deadline = float("inf")
    for done in range(-WARMUP, max(len(SQUARE), args.rounds // 2)):
        if done == 0:
            deadline = time.monotonic() + args.budget / 2
        row = done % len(SQUARE)
        if done > 0 and row == 0 and time.monotonic() > deadline:
            break
        for place in SQUARE[row]:
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


def machine(args: argparse.Namespace) -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.is_file() else []
    libraries = ("swinkit", "torch", "timm", "torchvision", "transformers")
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if args.device == "cuda" else None,
        "dtype": args.dtype,
        "versions": {name: version(name) for name in libraries},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": shlex.join(["python", *sys.argv]),
    }


def sentence(about: dict[str, Any]) -> str:
    """The machine in one line."""
    device = f"{about['gpu']}, " if about["gpu"] else ""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return (
        f"{device}{about['cpu']}, {about['cores']} cores, {about['threads']} threads, {about['dtype']}; "
        f"{versions}; {about['date']}; `{about['command']}`"
    )


def table_row(result: dict[str, Any]) -> str:
    cells = [result["way"], result["mode"], str(result["batch"]), str(result["rounds"])]
    for name, row in result["summary"].items():
        ratio = f" · ×{row['ratio']:.2f} ({row['ratio_q1']:.2f}–{row['ratio_q3']:.2f})"
        cells.append(f"{row['median_ms']:.1f}" + (ratio if name != OURS else ""))
    return f"| {' | '.join(cells)} |"


def markdown(report: dict[str, Any]) -> str:
    head = ["", "mode", "batch", "rounds", *BUILDERS]
    rows = "\n".join(map(table_row, report["cells"]))
    equal = ", ".join(f"{name} {value:.1e}" for name, value in report["logit_differences"].items())
    return f"""\
Swin-T, 224². Median ms; for the others also · × their time / ours in the same round (its quartiles): above 1
we are faster.

| {" | ".join(head)} |
|{"---|" * len(head)}
{rows}

Same weights; largest difference of logits to ours: {equal}.

{sentence(report["machine"])}
"""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
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
    state = random_weights()
    report: dict[str, Any] = {"machine": machine(args), "logit_differences": logit_differences(state)}
    print("largest difference of logits to ours:", report["logit_differences"])
    report["cells"] = []
    for cell in itertools.starmap(Cell, itertools.product(args.ways, args.modes, args.batch)):
        samples = measure(cell, state, args)
        result = {**cell._asdict(), "rounds": len(samples[OURS]), "summary": summary(samples)}
        print(table_row(result), flush=True)
        report["cells"].append({**result, "seconds": samples})
    print("\n" + markdown(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown(report))


if __name__ == "__main__":
    main()
