"""The published ADE20K table, row by row: parameters, multiply-adds and images a second at 512²."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from swinkit.bench.backbones import DilatedResNet, PlainViT
from swinkit.bench.rows import Measured, Row, or_none
from swinkit.heads import DENSE_HEADS
from swinkit.heads.dense import DenseHead, resize
from swinkit.heads.plain import FCNHead, SETRHead
from swinkit.models.build import create

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
    "FCN": Row(partial(_resnet, "fcn", channels=512, convs=2, concat=True), SIZE, 68.6, 275.7, 39.91),
    "DeepLabV3+": Row(partial(_resnet, "deeplabv3plus"), SIZE, 62.7, 255.1, 45.47),
    "DMNet": Row(partial(_resnet, "dmnet"), SIZE, 72.3, 273.6, 45.42),
    "PSPNet": Row(partial(_resnet, "pspnet"), SIZE, 68.1, 256.4, 44.39),
    "PSANet": Row(partial(_resnet, "psanet", window=(66, 66)), SIZE, 73.1, 272.5, 43.74),
    "SETR-PUP": Row(_setr, SIZE, 317.3, 362.1, 48.24),
    "Swin-B (UPerNet)": Row(partial(create, "upernet_swin_b"), SIZE, 121.3, 297.2, 50.31),
    "SSformer": Row(partial(create, "ssformer_swin_b"), SIZE, 87.5, 91.01, 47.71),
    "Swin-T (UPerNet)": Row(partial(create, "upernet_swin_t"), SIZE, 60, None, 44.51),
    "Swin-S (UPerNet)": Row(partial(create, "upernet_swin_s"), SIZE, 81, None, 47.64),
}

HEAD = ("model", "parameters", "published", "MACs", "published", "images/s", "mIoU, published")


def cells(found: Sequence[Measured]) -> list[tuple[str, ...]]:
    """A line of the table for each row."""
    return [
        (
            entry.name,
            *entry.costs(),
            "" if entry.rate is None else f"{entry.rate:.2f}",
            or_none(entry.row.figure),
        )
        for entry in found
    ]
