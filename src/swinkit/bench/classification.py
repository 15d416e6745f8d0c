"""The published ImageNet-1K table: what Swin stands beside, with images a second as ratios to Swin-T's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import median

from torch import nn

from swinkit.bench.backbones import timm_library
from swinkit.bench.rows import Measured, Row, or_none
from swinkit.models.build import create

MEASURE = "Swin-T"  # whose images a second are 1


def _peer(name: str, size: int, params: float, gflops: float, rate: float, top1: float) -> Row:
    """A model of timm's."""
    return Row(partial(_of_timm, name, size), size, params, gflops, top1, rate)


def _of_timm(name: str, size: int) -> nn.Module:
    timm = timm_library()
    sized = {"img_size": size} if name.startswith(("vit", "deit")) else {}
    model: nn.Module = timm.create_model(name, **sized)
    return model


def _ours(name: str, size: int, params: float, gflops: float, rate: float, top1: float) -> Row:
    return Row(partial(create, name), size, params, gflops, top1, rate)


ROWS: dict[str, Row] = {
    "RegNetY-4G": _peer("regnety_040", 224, 21, 4.0, 1156.7, 80.0),
    "RegNetY-8G": _peer("regnety_080", 224, 39, 8.0, 591.6, 81.7),
    "RegNetY-16G": _peer("regnety_160", 224, 84, 16.0, 334.7, 82.9),
    "EfficientNet-B3": _peer("tf_efficientnet_b3", 300, 12, 1.8, 732.1, 81.6),
    "EfficientNet-B4": _peer("tf_efficientnet_b4", 380, 19, 4.2, 349.4, 82.9),
    "EfficientNet-B5": _peer("tf_efficientnet_b5", 456, 30, 9.9, 169.1, 83.6),
    "EfficientNet-B6": _peer("tf_efficientnet_b6", 528, 43, 19.0, 96.9, 84.0),
    "EfficientNet-B7": _peer("tf_efficientnet_b7", 600, 66, 37.0, 55.1, 84.3),
    "ViT-B/16": _peer("vit_base_patch16_384", 384, 86, 55.4, 85.9, 77.9),
    "ViT-L/16": _peer("vit_large_patch16_384", 384, 307, 190.7, 27.3, 76.5),
    "DeiT-S": _peer("deit_small_patch16_224", 224, 22, 4.6, 940.4, 79.8),
    "DeiT-B": _peer("deit_base_patch16_224", 224, 86, 17.5, 292.3, 81.8),
    "DeiT-B-384": _peer("deit_base_patch16_384", 384, 86, 55.4, 85.9, 83.1),
    "Swin-T": _ours("swin_t", 224, 29, 4.5, 755.2, 81.3),
    "Swin-S": _ours("swin_s", 224, 50, 8.7, 436.9, 83.0),
    "Swin-B": _ours("swin_b", 224, 88, 15.4, 278.1, 83.5),
    "Swin-B-384": _ours("swin_b_384", 384, 88, 47.0, 84.7, 84.5),
}

HEAD = (
    *("model", "size", "parameters", "published", "MACs", "published"),
    *("images/s", "÷ Swin-T's", "published", "top-1, published"),
)


def cells(found: Sequence[Measured]) -> list[tuple[str, ...]]:
    """A line of the table for each row; ratios where Swin-T is among them."""
    measure = next((entry for entry in found if entry.name == MEASURE), None)
    published = ROWS[MEASURE].rate
    assert published is not None
    lines = []
    for entry in found:
        rate, theirs = entry.rate, entry.row.rate
        ratio = "" if measure is None or rate is None else f"{_ratio(entry, measure):.2f}"
        lines.append(
            (
                entry.name,
                f"{entry.row.size}²",
                *entry.costs(),
                "" if rate is None else f"{rate:.2f}",
                ratio,
                "" if theirs is None else f"{theirs / published:.2f}",
                or_none(entry.row.figure),
            )
        )
    return lines


def _ratio(entry: Measured, measure: Measured) -> float:
    """Images a second beside those of Swin-T in the same round: the median."""
    return median(own / other for own, other in zip(entry.rates, measure.rates, strict=True))
