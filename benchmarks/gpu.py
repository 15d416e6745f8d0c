"""All that needs a GPU, in one run of some minutes: the fused kernels checked and timed, models beside peers.

    python benchmarks/gpu.py --json gpu.json
    python benchmarks/gpu.py --rehearse        # the same steps, tiny, on a CPU: whether the script runs

Method. First correctness: fused attention against the eager oracle in fp64, output and gradients, for
windows of 49, 144, 392 and 784 tokens in bf16, fp16 and fp32; a failure ends the run. Then the kernel
beside its floor: bytes that must be read and written once, divided by what a large copy reaches in the same
run. Then models: ours, timm's and torchvision's, eager and compiled, with random weights, bf16, in turns;
time and peak memory of inference and of a training step (autocast, AdamW). Medians over rounds; ratios are
theirs ÷ ours.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import swinkit
from swinkit.bench.clock import in_turns, peak_memory
from swinkit.bench.machine import describe_machine, in_words
from swinkit.core.attention import WindowAttention, WindowLayout
from swinkit.core.windows import plan_windows

CASES = {  # grid, window, channels, heads
    "image 56², window 7": ((56, 56), (7, 7), 96, 3),
    "image 96², window 12": ((96, 96), (12, 12), 128, 4),
    "padded 50×83, window 7": ((50, 83), (7, 7), 96, 3),
    "video 8×28², window 8·7·7": ((8, 28, 28), (8, 7, 7), 192, 6),
    "video 16×14², window 16·7·7": ((16, 14, 14), (16, 7, 7), 384, 12),
}
TOLERANCE = {torch.float32: 1e-3, torch.float16: 5e-3, torch.bfloat16: 4e-2}  # of the largest value


def outputs(attention: WindowAttention, x: Tensor, backend: str) -> list[Tensor]:
    """Output and all gradients of shifted windows."""
    attention.backend = backend
    plan = plan_windows(tuple(x.shape[1:-1]), attention.window, shifted=True, fit="pad_shift")
    x = x.detach().requires_grad_()
    assert backend == "eager" or attention.resolve(x) == backend, "the fused kernels do not run here"
    out = attention(x, WindowLayout(plan, x.device, x.dtype))
    out.float().square().mean().backward()
    found = [out, x.grad, *(parameter.grad for parameter in attention.parameters())]
    attention.zero_grad(set_to_none=True)
    return [own.detach().double() for own in found if own is not None]


def check(device: torch.device, rehearse: bool) -> dict[str, float]:
    """The largest error of each case, as a share of the largest value; AssertionError above the tolerance."""
    errors = {}
    for name, (grid, window, channels, heads) in CASES.items():
        if rehearse:
            grid, window = tuple(min(4, n) for n in grid), tuple(min(3, n) for n in window)
            channels, heads = 16, 1
        for dtype in TOLERANCE:
            torch.manual_seed(0)
            attention = WindowAttention(channels, window, heads).to(device)
            nn.init.normal_(attention.relative_position_bias_table)
            exact = copy.deepcopy(attention.to(dtype)).double()
            x = torch.randn(1 if rehearse else 4, *grid, channels, device=device, dtype=dtype)
            wanted = outputs(exact, x.double(), "eager")
            found = outputs(attention, x, "fused")
            worst = max(
                ((a - b).abs().max() / b.abs().max()).item() for a, b in zip(found, wanted, strict=True)
            )
            errors[f"{name}, {str(dtype).removeprefix('torch.')}"] = worst
            assert worst < TOLERANCE[dtype], f"{name}, {dtype}: {worst:.1e} off"
    return errors


def copy_rate(device: torch.device, rehearse: bool) -> float:
    """Bytes a second of a large copy, read and written."""
    source = torch.empty((1 if rehearse else 512) << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = in_turns([lambda: target.copy_(source)], device, rounds=20, warmup=3)[0]
    return 2 * source.numel() / median(seconds)


def kernel_floors(device: torch.device, rate: float, batch: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of the forward kernel in bf16, and ÷ its floor."""
    from swinkit.core import fused

    found = {}
    for name, (grid, window, channels, heads) in CASES.items():
        if device.type == "cpu":
            grid, window, channels, heads = (4,) * len(grid), (2,) * len(grid), 16, 1
        attention = WindowAttention(channels, window, heads).to(device, torch.bfloat16)
        plan = plan_windows(grid, window, shifted=True, fit="pad_shift")
        qkv = torch.randn(batch, *grid, 3 * channels, device=device, dtype=torch.bfloat16)
        step = torch.inference_mode()(lambda q=qkv, a=attention, p=plan: fused.attend(q, a, p))
        taken = median(in_turns([step], device, rounds=rounds, warmup=3)[0])
        moved = batch * math.prod(grid) * (4 * channels * 2 + 4 * heads)  # qkv read, answer and norms written
        found[name] = {"ms": 1000 * taken, "times_floor": taken / (moved / rate)}
    return found


def _image_models(size: str) -> dict[str, Callable[[], nn.Module]]:
    letter = {"t": "tiny", "s": "small", "b": "base"}[size]
    return {
        "swinkit": lambda: swinkit.create(f"swin_{size}", drop_path=0.0),
        "timm": lambda: timm.create_model(f"swin_{letter}_patch4_window7_224", drop_path_rate=0.0),
        "torchvision": lambda: getattr(torchvision.models, f"swin_{size}")(),
    }


def _video_models() -> dict[str, Callable[[], nn.Module]]:
    return {
        "swinkit": lambda: swinkit.create("swin3d_t", drop_path=0.0),
        "torchvision": lambda: torchvision.models.video.swin3d_t(),
    }


def beside_peers(
    builders: dict[str, Callable[[], nn.Module]],
    shape: tuple[int, ...],
    mode: str,
    device: torch.device,
    rounds: int,
) -> dict[str, dict[str, float]]:
    """Milliseconds and peak bytes of each library, eager and compiled, in turns."""
    ways = {
        f"{name}, {way}": (build, way) for name, build in builders.items() for way in ("eager", "compiled")
    }
    x = torch.randn(*shape, device=device)
    steps = {}
    for name, (build, way) in ways.items():
        model = build().to(device)
        if way == "compiled" and device.type == "cuda":
            model.compile(dynamic=False)
        steps[name] = _train_step(model, x) if mode == "train" else _forward_step(model, x)
    taken = in_turns(list(steps.values()), device, rounds=rounds, warmup=3)
    found = {}
    for (name, step), seconds in zip(steps.items(), taken, strict=True):
        found[name] = {"ms": 1000 * median(seconds), "peak_bytes": float(peak_memory(step, device) or 0)}
    return found


def _forward_step(model: nn.Module, x: Tensor) -> Callable[[], object]:
    model.eval().to(torch.bfloat16)
    images = x.to(torch.bfloat16)
    return torch.inference_mode()(lambda: model(images))


def _train_step(model: nn.Module, x: Tensor) -> Callable[[], object]:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=x.is_cuda)
    targets = torch.zeros(len(x), dtype=torch.long, device=x.device)

    def step() -> None:
        with torch.autocast(x.device.type, torch.bfloat16):
            loss = F.cross_entropy(model(x).float(), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def summary(cells: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """A line a cell: ours at its best, and the best peer's time and memory ÷ ours."""
    lines = []
    for name, found in cells.items():
        ours = min(own["ms"] for key, own in found.items() if key.startswith("swinkit"))
        best = min(own["ms"] for key, own in found.items() if not key.startswith("swinkit"))
        held = min(own["peak_bytes"] for key, own in found.items() if key.startswith("swinkit"))
        theirs = min(own["peak_bytes"] for key, own in found.items() if not key.startswith("swinkit"))
        memory = f", memory {held / theirs:.2f} of theirs" if theirs else ""
        lines.append(f"{name}: {ours:.1f} ms, best peer ÷ ours {best / ours:.2f}{memory}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on a CPU")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--limit", type=float, default=420, help="seconds after which no further cell begins")
    args = parser.parse_args()
    begin, rehearse = time.monotonic(), args.rehearse
    device = torch.device("cpu" if rehearse else "cuda")
    rounds = 1 if rehearse else args.rounds
    machine = describe_machine(device)
    print(in_words(machine), flush=True)
    report: dict[str, Any] = {"machine": machine, "errors": check(device, rehearse)}
    print(f"fused equals eager in {len(report['errors'])} cases; worst {max(report['errors'].values()):.1e}")
    rate = copy_rate(device, rehearse)
    report["copy_bytes_a_second"] = rate
    report["kernel"] = kernel_floors(device, rate, 1 if rehearse else 64, rounds)
    for name, own in report["kernel"].items():
        print(f"kernel, {name}: {own['ms']:.3f} ms, {own['times_floor']:.2f} of the floor", flush=True)
    side, batches = (32, (1, 1, 1)) if rehearse else (224, (128, 64, 8))
    cells = {
        "inference T, batch 128": (_image_models("t"), (batches[0], 3, side, side), "forward"),
        "training T, batch 64": (_image_models("t"), (batches[1], 3, side, side), "train"),
        "video T, batch 8": (_video_models(), (batches[2], 3, 4 if rehearse else 32, side, side), "forward"),
        "video T training, batch 8": (
            _video_models(),
            (batches[2], 3, 4 if rehearse else 32, side, side),
            "train",
        ),
        "inference B, batch 128": (_image_models("b"), (batches[0], 3, side, side), "forward"),
        "training B, batch 64": (_image_models("b"), (batches[1], 3, side, side), "train"),
    }
    report["models"] = {}
    for name, (builders, shape, mode) in cells.items():
        if time.monotonic() - begin > args.limit:
            print(f"{name}: left out, the time is up")
            continue
        if rehearse:
            builders = {"swinkit": builders["swinkit"], "torchvision": builders["torchvision"]}
        torch._dynamo.reset()
        report["models"][name] = beside_peers(builders, shape, mode, device, rounds)
        print(*summary({name: report["models"][name]}), sep="\n", flush=True)
        if args.json:
            args.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{time.monotonic() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
