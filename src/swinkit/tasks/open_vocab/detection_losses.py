"""Losses of OWL's detectors: each object is matched with one token, as in DETR.

Minderer et al. 2022, appendix A1: focal loss of all queries (α 0.3, γ 2), L1 and GIoU of the matched boxes,
weighted alike; boxes that overlap nearly wholly are one object of several names. Matching is that of
Deformable DETR, by SciPy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import (  # type: ignore[import-untyped, unused-ignore]
    box_iou,
    generalized_box_iou,
    generalized_box_iou_loss,
    sigmoid_focal_loss,
)

from swinkit.data.batch import Objects
from swinkit.features import Size
from swinkit.heads.assign import covered

ALPHA, GAMMA = 0.3, 2.0
SAME = 0.9  # overlap above which two boxes are one object, as published
CLOSE = 1e-8  # added to probabilities before their logarithm
Match = tuple[Tensor, Tensor]  # tokens and objects that belong together


def merged(own: Objects, queries: int) -> tuple[Tensor, Tensor]:
    """Boxes (M, 4), of those of one object the first, and which of so many queries each is (M, Q)."""
    same = (box_iou(own.boxes, own.boxes) > SAME).fill_diagonal_(fill_value=True)  # of no area: NaN
    first = same.int().argmax(1) if len(own.boxes) else own.labels
    while not torch.equal(first, first[first]):  # one that is like one that is like the first
        first = first[first]
    wanted = own.boxes.new_zeros(len(own.boxes), queries, dtype=torch.bool)
    wanted[first, own.labels] = True
    kept = first.unique()
    return own.boxes[kept], wanted[kept]


@torch.no_grad()
def matched(logits: Tensor, boxes: Tensor, truth: Tensor, wanted: Tensor) -> Match:
    """Which tokens are which objects, so that the whole costs least.

    `logits` (N, Q), `boxes` (N, 4) and `truth` (M, 4) as corners in shares of the sides; `wanted` (M, Q) says
    which queries an object is, of several the mean cost counts.
    """
    from scipy.optimize import linear_sum_assignment

    chances = logits.float().sigmoid()
    right = ALPHA * (1 - chances) ** GAMMA * -(chances + CLOSE).log()
    wrong = (1 - ALPHA) * chances**GAMMA * -(1 - chances + CLOSE).log()
    unlike = (right - wrong) @ (wanted / wanted.sum(1, keepdim=True)).T
    found, own = boxes.float(), truth.float()
    distance = torch.cdist(_centred(found), _centred(own), p=1)
    cost = unlike + distance - generalized_box_iou(found, own)
    tokens, objects = linear_sum_assignment(cost.nan_to_num(nan=1e6).cpu().numpy())
    return (
        torch.as_tensor(tokens, dtype=torch.long, device=logits.device),
        torch.as_tensor(objects, dtype=torch.long, device=logits.device),
    )


def detection_losses(
    logits: Tensor,
    boxes: Tensor,
    objectness: Tensor | None,
    truth: Sequence[Objects],
    known: Tensor | None = None,
) -> dict[str, Tensor]:
    """Losses of a batch, each divided by how many objects it has (one at least).

    `logits` (B, N, Q), `boxes` (B, N, 4) as corners and those of `truth` in shares of the sides; labels are
    numbers of queries. `known` (B, Q) says of which queries it is known whether a picture has them: others
    are not judged, but for the objects that it has. Tokens in ignored regions learn no background.
    """
    every = [merged(own, logits.shape[2]) for own in truth]
    matches = [
        matched(own_logits, own_boxes, *own)
        for own_logits, own_boxes, own in zip(logits, boxes, every, strict=True)
    ]
    count = max(1, sum(len(own) for own, _ in every))
    targets = torch.zeros_like(logits, dtype=torch.float32)
    objects = torch.zeros_like(targets[..., 0])
    for i, ((tokens, places), (_, queries)) in enumerate(zip(matches, every, strict=True)):
        targets[i, tokens] = queries[places].float()
        objects[i, tokens] = 1.0
    each = sigmoid_focal_loss(logits.float(), targets, alpha=ALPHA, gamma=GAMMA)
    if known is not None:
        each = each * (known[:, None] | (targets > 0))
    counted = _counted(boxes.detach(), objects, truth)
    each = each * counted[..., None]
    found = torch.cat([own[tokens] for own, (tokens, _) in zip(boxes, matches, strict=True)]).float()
    wanted = torch.cat([own[places] for (own, _), (_, places) in zip(every, matches, strict=True)]).float()
    losses = {
        "class": each.sum() / count,
        "box": F.l1_loss(_centred(found), _centred(wanted), reduction="sum") / count,
        "giou": generalized_box_iou_loss(found, wanted, reduction="sum") / count,
    }
    if objectness is not None:
        own = sigmoid_focal_loss(objectness.float(), objects, alpha=ALPHA, gamma=GAMMA)
        losses["objectness"] = (own * counted).sum() / count
    return losses


def _counted(boxes: Tensor, objects: Tensor, truth: Sequence[Objects]) -> Tensor:
    """Which tokens (B, N) learn: those that are an object, and others not in an ignored region."""
    counted = torch.ones_like(objects, dtype=torch.bool)
    for i, own in enumerate(truth):
        if own.ignored is not None:
            counted[i] = (objects[i] > 0) | ~covered(boxes[i].float(), own.ignored)
    return counted


def in_shares(objects: Objects, size: Size) -> Objects:
    """Objects of an image of (height, width) in shares of its sides."""
    sides = objects.boxes.new_tensor([size[1], size[0]] * 2)
    ignored = None if objects.ignored is None else objects.ignored / sides
    return Objects(objects.boxes / sides, objects.labels, None, ignored=ignored)


def known_of(truth: Sequence[Objects], classes: int) -> Tensor | None:
    """Which classes are known to be there or not (B, classes); None where all is known of each image."""
    if all(own.absent is None and own.partial is None for own in truth):
        return None
    return torch.stack([own.known(classes) for own in truth])


def _centred(boxes: Tensor) -> Tensor:
    """Corners to cx, cy, w, h."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)
