"""What an R-CNN learns: targets of anchors and regions, and the losses, by OpenMMLab's conventions.

All losses of boxes are divided by the number of all drawn places, positive and negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss, roi_align  # type: ignore[import-untyped, unused-ignore]

from swinkit.features import padded_size
from swinkit.heads.assign import OF_ANCHORS, OF_REGIONS, Sampling, sample
from swinkit.heads.boxes import decode, encode
from swinkit.heads.rpn import STDS, Raw

MASK = 28  # places of the side of a mask that is learnt


class Drawn(NamedTuple):
    """Regions (N, 5) that were drawn, positive ones of a picture first, and what they learn.

    `labels` (N,) are classes, the background K; `targets` (N, 4) the true boxes, of negative ones their own;
    `true` (N,) the place of the true box within its picture, -1 for none; `given` (N,) tells true boxes that
    were drawn themselves.
    """

    regions: Tensor
    labels: Tensor
    targets: Tensor
    true: Tensor
    given: Tensor

    @property
    def positive(self) -> Tensor:
        """Which ones have a true box."""
        return self.true >= 0


def rpn_losses(  # noqa: PLR0913, what each picture holds and the settings of the published codes
    raw: Raw,
    anchors: Tensor,
    truth: Sequence[Tensor],
    sizes: Sequence[tuple[int, int]],
    *,
    padded: Sequence[tuple[int, int]] | None = None,
    sampling: Sampling = OF_ANCHORS,
    border: int | None = None,
    beta: float = 0.0,
    ignored: Sequence[Tensor | None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Losses of scores (binary cross entropy) and changes (L1, or with `beta` smooth) over a batch.

    `anchors` (N, 4) are those of all maps, `truth` the true boxes of each picture. Only anchors of cells
    within `padded` learn, by default within what a picture alone is padded to: what a batch adds for larger
    ones beside it teaches nothing; and of these only those within so many pixels of the picture's `border`.
    `ignored` are the regions (M, 4) of each picture in which there is no background to learn.
    """
    flat = [x.permute(0, 2, 3, 1) for x in raw.scores], [x.permute(0, 2, 3, 1) for x in raw.changes]
    scores = torch.cat([x.flatten(1) for x in flat[0]], 1)
    changes = torch.cat([x.reshape(len(x), -1, 4) for x in flat[1]], 1)
    # every process must have a gradient for all that learns, where nothing is to be found too
    score, change, drawn = scores.sum() * 0, changes.sum() * 0, 0
    padded = padded or [padded_size(size) for size in sizes]
    for i, (boxes, size, around) in enumerate(zip(truth, sizes, padded, strict=True)):
        inside = _inside(anchors, size, around, border)
        own = anchors[inside]
        assigned, _ = sampling.assigner(own, boxes, ignored[i] if ignored else None)
        positive, negative = sample(assigned, sampling.count, sampling.share)
        drawn += len(positive) + len(negative)
        places = inside.nonzero()[:, 0]
        chosen = torch.cat([places[positive], places[negative]])
        wanted = torch.zeros(len(chosen), device=scores.device)
        wanted[: len(positive)] = 1
        score = score + F.binary_cross_entropy_with_logits(scores[i, chosen], wanted, reduction="sum")
        if len(positive):
            targets = encode(own[positive], boxes[assigned[positive] - 1], STDS)
            change = change + _l1(changes[i, places[positive]], targets, beta)
    return score / max(drawn, 1), change / max(drawn, 1)


def _inside(anchors: Tensor, size: tuple[int, int], padded: tuple[int, int], border: int | None) -> Tensor:
    """Which anchors learn: those of cells of the padded picture. mmdet `core/anchor/utils.py`."""
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    own = (centres[:, 0] < padded[1] - 0.5) & (centres[:, 1] < padded[0] - 0.5)
    if border is None:
        return own
    low = (anchors[:, 0] >= -border) & (anchors[:, 1] >= -border)
    return own & low & (anchors[:, 2] < size[1] + border) & (anchors[:, 3] < size[0] + border)


def _l1(given: Tensor, wanted: Tensor, beta: float) -> Tensor:
    return F.smooth_l1_loss(given, wanted, beta=beta, reduction="sum")


def draw_regions(
    proposals: Sequence[Tensor],
    truth: Sequence[Tensor],
    labels: Sequence[Tensor],
    *,
    classes: int,
    sampling: Sampling = OF_REGIONS,
    ignored: Sequence[Tensor | None] | None = None,
) -> Drawn:
    """Regions to learn from: proposals (N_i, 4) of each picture and its true boxes (M_i, 4) with classes.

    `ignored` as in `rpn_losses`.
    """
    parts: list[list[Tensor]] = [[], [], [], [], []]
    for i, (boxes, true, kinds) in enumerate(zip(proposals, truth, labels, strict=True)):
        assigned, _ = sampling.assigner(boxes, true, ignored[i] if ignored else None)
        every = torch.cat([true, boxes])
        assigned = torch.cat([torch.arange(1, len(true) + 1, device=assigned.device), assigned])
        positive, negative = sample(assigned, sampling.count, sampling.share)
        chosen = torch.cat([positive, negative])
        which = torch.cat([assigned[positive] - 1, torch.full_like(negative, -1)])
        own = every[chosen]
        hit = (which >= 0)[:, None]
        targets = torch.where(hit, true[which] if len(true) else own, own)
        kind = torch.where(which >= 0, kinds[which] if len(true) else which, classes)
        values = (F.pad(own, (1, 0), value=float(i)), kind, targets, which, chosen < len(true))
        for part, value in zip(parts, values, strict=True):
            part.append(value)
    return Drawn(*(torch.cat(part) for part in parts))


def box_losses(
    scores: Tensor, changes: Tensor, drawn: Drawn, stds: Sequence[float], *, giou: bool = False
) -> tuple[Tensor, Tensor]:
    """Losses of scores (cross entropy) and changes: L1, or GIoU times 10 of the boxes that they make."""
    count, positive = max(len(drawn.labels), 1), drawn.positive
    score = F.cross_entropy(scores, drawn.labels, reduction="sum") / count
    kinds = drawn.labels[positive]
    own = changes[positive].unflatten(1, (-1, 4))[torch.arange(len(kinds), device=kinds.device), kinds]
    boxes, targets = drawn.regions[positive, 1:], drawn.targets[positive]
    if giou:
        found = decode(boxes, own, stds, None)
        return score, 10 * generalized_box_iou_loss(found, targets, reduction="sum", eps=1e-7) / count
    return score, _l1(own, encode(boxes, targets, stds), 0.0) / count


def mask_loss(logits: Tensor, drawn: Drawn, masks: Sequence[Tensor]) -> Tensor:
    """Binary cross entropy of the masks (N, classes, 28, 28) of positive regions, each of its own class.

    `masks` (M_i, H, W) are those of each picture's true boxes.
    """
    if not drawn.positive.any():
        return logits.sum() * 0
    pictures, wanted = drawn.regions[:, 0], []
    for i, own in enumerate(masks):  # apart, for all masks of a batch in numbers that are pooled are large
        chosen = drawn.positive & (pictures == i)
        boxes = torch.cat([drawn.true[chosen][:, None].to(logits), drawn.regions[chosen, 1:].to(logits)], 1)
        wanted.append(roi_align(own.to(logits)[:, None], boxes, MASK, 1.0, -1, aligned=True)[:, 0])
    kinds = drawn.labels[drawn.positive]
    given = logits[torch.arange(len(kinds), device=kinds.device), kinds]
    return F.binary_cross_entropy_with_logits(given, (torch.cat(wanted) >= 0.5).to(logits.dtype))
