"""What one gather each way saves where windows are shifted or padded, beside roll, pad and cut one by one.

    python benchmarks/copies.py --rounds 15

Method. The same Swin-T, twice, eager: once as it is, once with each step a copy of its own, as it is still
traced and compiled. Both take turns; the ratio is the steps' time ÷ the gather's within a round, its median.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median, quantiles
from unittest import mock

import torch
from torch import Tensor

import swinkit
from swinkit.bench.clock import in_turns
from swinkit.bench.machine import describe_machine, in_words
from swinkit.core import windows
from swinkit.tasks.base import Task

CPU = torch.device("cpu")


@torch.inference_mode()
def forward(model: Task, x: Tensor) -> None:
    """Evaluation."""
    model.eval()(x)


def train(model: Task, x: Tensor) -> None:
    """Forward and backward."""
    model.train().zero_grad()
    model(x).square().mean().backward()


def by_steps(run: Callable[[], None]) -> None:
    """The same, each step a copy."""
    with mock.patch.object(windows, "_is_moved", return_value=False):
        run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = swinkit.create("swin_t", drop_path=0.0)
    for mode, batch, size in ((forward, 1, 224), (forward, 8, 224), (forward, 1, 800), (train, 1, 224)):
        run = partial(mode, model, torch.randn(batch, 3, size, size))
        own, other = in_turns([run, partial(by_steps, run)], CPU, rounds=args.rounds, warmup=2)
        ratios = [b / a for a, b in zip(own, other, strict=True)]
        low, _, high = quantiles(ratios, n=4)
        print(
            f"{mode.__name__}, {batch} of {size}²: {1000 * median(own):.0f} ms, "
            f"by steps ×{median(ratios):.3f} ({low:.3f}–{high:.3f})",
            flush=True,
        )
    print(in_words(describe_machine(CPU)))


if __name__ == "__main__":
    main()
