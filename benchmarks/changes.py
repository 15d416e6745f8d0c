"""What single changes save: each beside what stood there before, or what torch does by itself.

    python benchmarks/changes.py --rounds 15

Method. The same model, eager, once as it is and once with the one change undone; both take turns. The ratio
is the time without the change ÷ the time with it within a round: its median and quartiles. `train` is
forward, backward and a step of AdamW.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from statistics import median, quantiles
from unittest import mock

import torch
from torch import Tensor, nn

import swinkit
from swinkit.bench.clock import in_turns
from swinkit.bench.machine import describe_machine, in_words
from swinkit.core import windows
from swinkit.core.attention import WindowAttention, WindowLayout
from swinkit.core.layers import Gelu
from swinkit.core.windows import relative_index

CPU = torch.device("cpu")
Step = Callable[[], None]


def pair_by_pair(self: WindowAttention, layout: WindowLayout) -> Tensor:
    """The bias as the published codes read it: a row of the table, all heads, for each pair of tokens."""
    table = self.relative_position_bias_table
    index = relative_index(layout.plan.window, self.window, table.device, self.prefix_index)
    bias = table[index.flatten()].view(*index.shape, -1).permute(2, 0, 1).contiguous()[None]
    return bias if layout.mask is None else bias + layout.mask[:, None]


UNDONE: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "one gather for windows": lambda: mock.patch.object(windows, "_is_moved", return_value=False),
    "GELU in place": lambda: mock.patch.object(Gelu, "forward", nn.GELU.forward),
    "bias head by head": lambda: mock.patch.object(WindowAttention, "_made_bias", pair_by_pair),
}
FUSED = "fused AdamW"
CASES = (
    ("one gather for windows", "swin_t", "forward", (1, 3, 224, 224)),
    ("one gather for windows", "swin_t", "forward", (8, 3, 224, 224)),
    ("one gather for windows", "swin_t", "train", (1, 3, 224, 224)),
    ("GELU in place", "swin_t", "forward", (1, 3, 224, 224)),
    ("GELU in place", "swin_t", "forward", (8, 3, 224, 224)),
    ("bias head by head", "swin_t", "train", (1, 3, 224, 224)),
    ("bias head by head", "swin_b_384", "train", (1, 3, 384, 384)),
    ("bias head by head", "swin3d_t", "train", (1, 3, 16, 224, 224)),
    (FUSED, "swin_t", "train", (1, 3, 224, 224)),
    (FUSED, "swin_b", "train", (1, 3, 224, 224)),
)


def step_of(model: nn.Module, mode: str, x: Tensor, *, fused: bool) -> Step:
    """One forward pass, or one update."""
    if mode == "forward":
        return torch.inference_mode()(lambda: model.eval()(x))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=fused)

    def update() -> None:
        model.train()(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return update


def without(change: str, step: Step) -> Step:
    """The same, with the change undone."""

    def run() -> None:
        with UNDONE[change]():
            step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, help="by default what torch takes by itself")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print("| change | model | mode | input | ms | without it, × |\n|---|---|---|---|---|---|")
    for change, name, mode, shape in CASES:
        model, x = swinkit.create(name, drop_path=0.0), torch.randn(shape)
        own = step_of(model, mode, x, fused=True)
        before = step_of(model, mode, x, fused=False) if change == FUSED else without(change, own)
        taken, other = in_turns([own, before], CPU, rounds=args.rounds, warmup=2)
        ratios = [b / a for a, b in zip(taken, other, strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        size = "×".join(map(str, (shape[0], *shape[2:])))
        print(
            f"| {change} | {name} | {mode} | {size} | {1000 * median(taken):.0f} "
            f"| {middle:.2f} ({low:.2f}–{high:.2f}) |",
            flush=True,
        )
    print("\n" + in_words(describe_machine(CPU)))


if __name__ == "__main__":
    main()
