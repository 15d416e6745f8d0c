"""Swin-T on a CPU through other runtimes, beside timm eager and beside the machine's floor, in one run.

    python benchmarks/runtimes.py --threads 1 --json runtimes.json

Method. timm draws random weights, and ours are the same, converted; every way must give timm's logits for one
picture: fp32 to 1e-3, bf16 to 5 % and int8 to 30 % of the largest. Ways: timm eager; timm's graph through
OpenVINO; ours eager, optimised (`swinkit.optimize`), compiled, and the optimised graph through ONNX Runtime
and OpenVINO, in fp32, in bf16 where the CPU has it, and in int8 (NNCF, calibrated on noise: for speed alone).
All take turns, once a round; the median is given, and timm's eager time ÷ it within a round.

The floor of the products: all of the model's (linear layers, patch convolution, both of attention), each in
its own shape, by torch's GEMM into memory that is there, timed in the same rounds. The floor of the bytes:
weights, and input and output of each block, once, at the rate of a large copy.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import timm
import torch
from torch import Tensor, nn

import swinkit
from swinkit.bench.clock import in_turns
from swinkit.bench.machine import describe_machine, in_words
from swinkit.core.attention import WindowAttention
from swinkit.deploy.graphs import compiled, converted, has_bf16, onnxruntime_graph
from swinkit.deploy.quantising import quantised

NAME = "swin_tiny_patch4_window7_224"
TOLERANCE = {"fp32": 1e-3, "bf16": 0.05, "int8": 0.3}
CPU = torch.device("cpu")
Answer = Callable[[Tensor], Tensor]
Product = tuple[Tensor, Tensor, Tensor]  # two factors, and where the result goes


def models() -> tuple[nn.Module, nn.Module]:
    """timm's, stirred, and ours with the same weights."""
    torch.manual_seed(0)
    theirs = timm.create_model(NAME).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "timm.pth"
        torch.save(theirs.state_dict(), path)
        return theirs, swinkit.load(path).eval()


def ways(theirs: nn.Module, ours: nn.Module, x: Tensor) -> dict[str, tuple[str, Answer]]:
    """Precision and answer of each."""
    fast = swinkit.optimize(ours)
    noise = [torch.randn(1, 3, 224, 224).numpy() for _ in range(8)]
    found: dict[str, tuple[str, Answer]] = {
        "timm eager": ("fp32", theirs),
        "swinkit eager": ("fp32", ours),
        "swinkit optimised": ("fp32", fast),
        "swinkit compiled": ("fp32", torch.compile(swinkit.optimize(ours), dynamic=False)),
        "timm, OpenVINO": ("fp32", _tensors(compiled(converted(theirs, x)))),
        "swinkit, ONNX Runtime": ("fp32", _tensors(onnxruntime_graph(fast, x))),
        "swinkit, OpenVINO": ("fp32", _tensors(compiled(converted(fast, x)))),
        "swinkit, OpenVINO int8": ("int8", _tensors(compiled(quantised(converted(fast, x), noise)))),
    }
    if has_bf16():
        found["timm, OpenVINO bf16"] = ("bf16", _tensors(compiled(converted(theirs, x), "bf16")))
        found["swinkit, OpenVINO bf16"] = ("bf16", _tensors(compiled(converted(fast, x), "bf16")))
    return found


def _tensors(run: Callable[[Any], Any]) -> Answer:
    return lambda x: torch.from_numpy(run(x.numpy()))


def products(model: nn.Module, x: Tensor) -> list[Product]:
    """Every product that the model computes for an input, with factors of noise."""
    found: list[Product] = []

    def linear(module: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            rows, inner, columns = answer[:, 0].numel(), module.weight[0].numel(), module.out_channels
        else:
            rows, inner, columns = given[0][..., 0].numel(), given[0].shape[-1], answer.shape[-1]
        found.append(product((rows, inner), (inner, columns)))

    def attention(module: nn.Module, given: tuple[Any, ...], _: Tensor) -> None:
        assert isinstance(module, WindowAttention)
        plan, heads = given[1].plan, module.num_heads
        count = given[0].shape[0] * heads
        for number in plan.counts:
            count *= number
        width = given[0].shape[-1] // heads
        found.append(product((count, plan.tokens, width), (count, width, plan.tokens)))
        found.append(product((count, plan.tokens, plan.tokens), (count, plan.tokens, width)))

    hooks = [
        module.register_forward_hook(attention if isinstance(module, WindowAttention) else linear)
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv2d | WindowAttention)
    ]
    model(x)
    for hook in hooks:
        hook.remove()
    return found


def product(left: tuple[int, ...], right: tuple[int, ...]) -> Product:
    """Factors of these shapes, and room for what they give."""
    return torch.randn(left), torch.randn(right), torch.empty(*left[:-1], right[-1])


@torch.inference_mode()
def multiply(all_of_them: list[Product]) -> None:
    """Each product once."""
    for left, right, out in all_of_them:
        torch.matmul(left, right, out=out)


def bytes_once(model: nn.Module, x: Tensor) -> int:
    """Weights, and input and output of each block, read or written once."""
    moved = sum(parameter.numel() for parameter in model.parameters())

    def count(module: nn.Module, given: tuple[Any, ...], answer: Tensor) -> None:
        nonlocal moved
        moved += given[0].numel() + answer.numel()

    hooks = [block.register_forward_hook(count) for block in model.backbone.blocks()]
    model(x)
    for hook in hooks:
        hook.remove()
    return 4 * moved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="OUT", help="all samples")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    theirs, ours = (model.requires_grad_(False) for model in models())
    x = torch.randn(1, 3, 224, 224)
    answers = ways(theirs, ours, x)
    with torch.inference_mode():
        floor, least_bytes, wanted = products(ours, x), bytes_once(ours, x), theirs(x)
        for name, (precision, answer) in answers.items():
            off = (answer(x) - wanted).abs().max() / wanted.abs().max()
            assert off < TOLERANCE[precision], f"{name} is {off:.2g} of the largest logit off"
    source, target = torch.empty(2, 64 << 20, dtype=torch.uint8)
    steps: dict[str, Callable[[], object]] = {
        name: torch.inference_mode()(partial(answer, x)) for name, (_, answer) in answers.items()
    }
    steps |= {"products": partial(multiply, floor), "copy": partial(target.copy_, source)}
    taken = dict(zip(steps, in_turns(list(steps.values()), CPU, rounds=args.rounds, warmup=3), strict=True))
    rate = 2 * source.numel() / median(taken.pop("copy"))
    macs = sum(left.numel() * right.shape[-1] for left, right, _ in floor)
    least, eager = median(taken.pop("products")), taken["timm eager"]
    print("| way | ms | timm eager ÷ it | ÷ floor of the products |\n|---|---|---|---|")
    for name, seconds in sorted(taken.items(), key=lambda item: -median(item[1])):
        ratio = median(one / own for one, own in zip(eager, seconds, strict=True))
        print(f"| {name} | {1000 * median(seconds):.0f} | {ratio:.2f} | {median(seconds) / least:.2f} |")
    print(
        f"\nFloor of the products: {1000 * least:.0f} ms ({macs / 1e9:.2f} GMAC, {macs / least / 1e9:.0f} "
        f"GMAC/s); of the bytes: {1000 * least_bytes / rate:.1f} ms ({rate / 1e9:.1f} GB/s).\n"
        f"{in_words(describe_machine(CPU))}; `{shlex.join(['python', *sys.argv])}`"
    )
    if args.json:
        args.json.write_text(
            json.dumps({"machine": describe_machine(CPU), "floor": least, **taken}, indent=1)
        )


if __name__ == "__main__":
    main()
