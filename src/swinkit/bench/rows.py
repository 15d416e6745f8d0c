"""A published table: how each row's model is built, what was published of it, and what is found here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from swinkit.bench.clock import in_turns
from swinkit.errors import ConfigError, nearest
from swinkit.tasks.base import Task


@dataclass(frozen=True)
class Row:
    """A model, the side of its input, and what was published of it; None where nothing was.

    Millions of parameters, GFLOPs (multiply-adds), images a second, and the figure (top-1, mIoU).
    """

    build: Callable[[], nn.Module]
    size: int
    params: float | None = None
    gflops: float | None = None
    figure: float | None = None
    rate: float | None = None


@dataclass
class Measured:
    """What was found of a row; `rates` are images a second of each round."""

    name: str
    row: Row
    params: int
    macs: int
    rates: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float | None:
        """Images a second, in the middle of all rounds."""
        return median(self.rates) if self.rates else None

    def costs(self) -> tuple[str, ...]:
        """Parameters and multiply-adds, each beside the published number, as cells of a table."""
        return (
            f"{self.params / 1e6:.1f} M",
            or_none(self.row.params, " M"),
            f"{self.macs / 1e9:.1f} G",
            or_none(self.row.gflops, " G"),
        )


def or_none(value: float | None, unit: str = "") -> str:
    """A number as a cell of a table; nothing where there is none."""
    return "" if value is None else f"{value}{unit}"


def chosen(words: Sequence[str], rows: Mapping[str, Row]) -> dict[str, Row]:
    """Rows by their names, all where none is given; ConfigError for an unknown one."""
    known = {name.lower() for name in rows}
    for word in words:
        if word.lower() not in known:
            raise ConfigError(f"There is no row {word!r}: {nearest(word, rows)}")
    return {name: row for name, row in rows.items() if not words or name.lower() in map(str.lower, words)}


def count(name: str, row: Row) -> Measured:
    """Parameters and multiply-adds (`torch.utils.flop_counter`, FLOPs / 2); nothing is computed."""
    with torch.device("meta"):
        model = row.build().eval()
        x = torch.empty(1, 3, row.size, row.size)
    return Measured(name, row, sum(p.numel() for p in model.parameters()), macs_of(model, x))


def macs_of(model: nn.Module, x: torch.Tensor) -> int:
    """Multiply-adds for an input, those of attention included."""
    if isinstance(model, Task):
        model.backbone.set_attention("eager")  # the counter does not see into SDPA on every device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return int(counter.get_total_flops() // 2)


def measure(
    found: Sequence[Measured],
    device: torch.device,
    *,
    rounds: int,
    batch_size: int,
    advance: Callable[[], object] = lambda: None,
) -> None:
    """Time all rows one after the other, and so again each round; each model is there while it is timed."""
    if rounds < 0 or batch_size < 1:
        raise ConfigError(
            f"`rounds={rounds}`, `batch_size={batch_size}`: give 0 rounds or more of 1 image or more."
        )
    for _ in range(rounds):
        for entry in found:
            entry.rates.append(batch_size / _answer_once(entry.row, device, batch_size))
            advance()


@torch.inference_mode()
def _answer_once(row: Row, device: torch.device, batch_size: int) -> float:
    """Seconds for a batch of a warm model."""
    torch.manual_seed(0)
    model = row.build().to(device).eval()
    x = torch.randn(batch_size, 3, row.size, row.size, device=device)
    return in_turns([lambda: model(x)], device, rounds=1)[0][0]


def figures(found: Sequence[Measured], figure: str) -> str:
    """All that was found and published as JSON; `figure` is what the published one is called."""
    rows = [
        {
            "model": entry.name,
            "size": entry.row.size,
            "params": entry.params,
            "macs": entry.macs,
            "images_per_second": entry.rates,
            "published": {
                "params_m": entry.row.params,
                "gflops": entry.row.gflops,
                "images_per_second": entry.row.rate,
                figure: entry.row.figure,
            },
        }
        for entry in found
    ]
    return json.dumps(rows, indent=2) + "\n"
