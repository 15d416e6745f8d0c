"""Losses of dense prediction: logits (B, K, H, W) against class ids (B, H, W) int64.

Places with the id `IGNORED` count for nothing. Where every place is ignored each loss is 0, not NaN.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.features import IGNORED

Average = Literal["all", "valid"]


def cross_entropy(
    logits: Tensor, target: Tensor, *, weights: Tensor | None = None, average: Average = "all"
) -> Tensor:
    """Cross entropy; `weights` (K,) scale each class.

    `all` divides the sum by the number of places, ignored ones included, as the published codes do (mmseg
    `losses/cross_entropy_loss.py`); `valid` by that of labelled ones, or by their weights, as torch does.
    """
    losses = _each(logits, target, weights)
    if average == "all":
        return losses.mean()
    valid = target != IGNORED
    share = valid.to(losses.dtype) if weights is None else weights[target.where(valid, 0)] * valid
    return losses.sum() / share.sum().clamp_min(torch.finfo(losses.dtype).tiny)


def ohem_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    weights: Tensor | None = None,
    threshold: float = 0.7,
    least: int = 100_000,
    average: Average = "all",
) -> Tensor:
    """Cross entropy of hard places: where the true class has less probability than `threshold`.

    At least `least` places an image count, the hardest ones. mmseg `sampler/ohem_pixel_sampler.py`. `valid`
    divides by the number of hard places.
    """
    with torch.no_grad():
        valid = target != IGNORED
        sure = logits.softmax(1).gather(1, target.where(valid, 0)[:, None])[:, 0][valid]
        limit = torch.tensor(threshold, dtype=sure.dtype, device=sure.device)
        if sure.numel():
            place = min(least * len(target), sure.numel() - 1)
            limit = torch.maximum(limit, sure.kthvalue(place + 1).values)
        hard = torch.zeros_like(valid).masked_scatter(valid, sure < limit)
    return cross_entropy(logits, target.where(hard, IGNORED), weights=weights, average=average)


def dice_loss(logits: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """1 − 2·Σpt / (Σp + Σt), the mean over classes that are there; sums run over the batch.

    V-Net (Milletari et al. 2016) with the plain denominator; `smooth` is added to both sides.
    """
    valid = (target != IGNORED)[:, None]
    truth = F.one_hot(target.where(valid[:, 0], 0), logits.shape[1]).movedim(-1, 1) * valid
    guess = logits.softmax(1) * valid
    both, either = ((x.sum((0, 2, 3))) for x in (guess * truth, guess + truth))
    there = truth.sum((0, 2, 3)) > 0
    losses = 1 - (2 * both + smooth) / (either + smooth)
    return (losses * there).sum() / there.sum().clamp_min(1)


def focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    weights: Tensor | None = None,
    gamma: float = 2.0,
    average: Average = "valid",
) -> Tensor:
    """Cross entropy times (1 − probability of the true class)^γ; Lin et al. 2017, over classes by softmax."""
    losses = _each(logits, target, None)
    losses = losses * (1 - (-losses).exp()) ** gamma
    valid = target != IGNORED
    if weights is not None:
        losses = losses * weights[target.where(valid, 0)]
    return losses.mean() if average == "all" else losses.sum() / valid.sum().clamp_min(1)


def _each(logits: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Of every place, 0 where it is ignored: (B, H, W)."""
    return F.cross_entropy(logits, target, weights, ignore_index=IGNORED, reduction="none")
