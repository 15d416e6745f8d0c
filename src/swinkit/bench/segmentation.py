"""The published ADE20K table, row by row: parameters, multiply-adds and images a second at 512²."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from swinkit.bench.backbones import DilatedResNet, PlainViT
from swinkit.errors import ConfigError, nearest
from swinkit.heads import DENSE_HEADS
from swinkit.heads.dense import DenseHead, resize
from swinkit.heads.plain import FCNHead, SETRHead
from swinkit.models import create
from swinkit.tasks.base import Task

SIZE, CLASSES = 512, 150


class Composed(nn.Module):
    """Backbone, head and auxiliary heads, which do not answer: (B, 3, H, W) -> logits at that size."""

    def __init__(self, backbone: nn.Module, head: DenseHead, auxiliary: Sequence[DenseHead]) -> None:
        super().__init__()
        self.backbone, self.decode_head = backbone, head
        self.auxiliary_head = nn.ModuleList(auxiliary)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return resize(self.decode_head(self.backbone(x)), x)


@dataclass(frozen=True)
class Row:
    """A row of the table: how the model is built, and what was published of it.

    Millions of parameters, GFLOPs (multiply-adds) at 512² and mIoU; None where nothing was.
    """

    build: Callable[[], nn.Module]
    params: float | None = None
    gflops: float | None = None
    miou: float | None = None


def _resnet(head: str, **options: Any) -> nn.Module:
    backbone = DilatedResNet()
    features = backbone.features
    auxiliary = FCNHead(features, CLASSES, channels=256, index=2)
    return Composed(backbone, DENSE_HEADS[head](features, CLASSES, **options), [auxiliary])


def _setr() -> nn.Module:
    backbone = PlainViT(SIZE)
    features = backbone.features
    auxiliary = [SETRHead(features, CLASSES, convs=2, index=i) for i in range(3)]
    return Composed(backbone, SETRHead(features, CLASSES), auxiliary)


ROWS: dict[str, Row] = {
    "FCN": Row(partial(_resnet, "fcn", channels=512, convs=2, concat=True), 68.6, 275.7, 39.91),
    "DeepLabV3+": Row(partial(_resnet, "deeplabv3plus"), 62.7, 255.1, 45.47),
    "DMNet": Row(partial(_resnet, "dmnet"), 72.3, 273.6, 45.42),
    "PSPNet": Row(partial(_resnet, "pspnet"), 68.1, 256.4, 44.39),
    "PSANet": Row(partial(_resnet, "psanet", window=(66, 66)), 73.1, 272.5, 43.74),
    "SETR-PUP": Row(_setr, 317.3, 362.1, 48.24),
    "Swin-B (UPerNet)": Row(partial(create, "upernet_swin_b"), 121.3, 297.2, 50.31),
    "SSformer": Row(partial(create, "ssformer_swin_b"), 87.5, 91.01, 47.71),
    "Swin-T (UPerNet)": Row(partial(create, "upernet_swin_t"), 60, None, 44.51),
    "Swin-S (UPerNet)": Row(partial(create, "upernet_swin_s"), 81, None, 47.64),
}


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

    def cells(self) -> tuple[str, ...]:
        """As a row to show."""
        row = self.row
        return (
            self.name,
            f"{self.params / 1e6:.1f} M",
            _or_none(row.params, " M"),
            f"{self.macs / 1e9:.1f} G",
            _or_none(row.gflops, " G"),
            "" if self.rate is None else f"{self.rate:.2f}",
            _or_none(row.miou, ""),
        )


def count(name: str, row: Row) -> Measured:
    """Parameters and multiply-adds (`torch.utils.flop_counter`, FLOPs / 2) at 512²; nothing is computed."""
    with torch.device("meta"):
        model = row.build().eval()
    if isinstance(model, Task):
        model.backbone.set_attention("eager")  # the counter does not see into SDPA on every device
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, SIZE, SIZE, device="meta"))
    return Measured(name, row, sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)


def chosen(words: Sequence[str]) -> dict[str, Row]:
    """Rows by their names, all where none is given; ConfigError for an unknown one."""
    known = {name.lower(): name for name in ROWS}
    for word in words:
        if word.lower() not in known:
            raise ConfigError(f"There is no row {word!r}: {nearest(word, ROWS)}")
    return {name: row for name, row in ROWS.items() if not words or name.lower() in map(str.lower, words)}


@torch.inference_mode()
def measure(
    found: Sequence[Measured],
    device: torch.device,
    *,
    rounds: int,
    batch_size: int,
    advance: Callable[[], object] = lambda: None,
) -> None:
    """Time all rows one after the other, and so again each round: what slows the machine slows them all."""
    if rounds < 0 or batch_size < 1:
        raise ConfigError(
            f"rounds={rounds}, batch_size={batch_size}: give 0 rounds or more of 1 image or more."
        )
    x = torch.randn(batch_size, 3, SIZE, SIZE, device=device)
    for _ in range(rounds):
        for entry in found:
            torch.manual_seed(0)
            model = entry.row.build().to(device).eval()
            model(x)  # what is built at first use is not counted
            _wait(device)
            begin = time.perf_counter()
            model(x)
            _wait(device)
            entry.rates.append(batch_size / (time.perf_counter() - begin))
            del model  # all of them at once would not fit
            advance()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _or_none(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value}{unit}"


def figures(found: Sequence[Measured]) -> str:
    """All figures as JSON."""
    rows = [
        {
            "model": entry.name,
            "params": entry.params,
            "macs": entry.macs,
            "images_per_second": entry.rates,
            "published": {"params_m": entry.row.params, "gflops": entry.row.gflops, "miou": entry.row.miou},
        }
        for entry in found
    ]
    return json.dumps(rows, indent=2) + "\n"
