"""Which boxes learn which true ones, and which of them are drawn; by OpenMMLab's conventions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou  # type: ignore[import-untyped, unused-ignore]

BACKGROUND, UNUSED = 0, -1
INSIDE = 0.5  # part of a box's area within an ignored region from which the box teaches nothing


@dataclass(frozen=True)
class Assigner:
    """True boxes by overlap: k for the k-th (from 1), 0 for none, -1 for neither one nor the other.

    A box has the true one that it overlaps most, from `positive` on; none below `negative`. With
    `low_quality` every true box also has those that it overlaps most, from `least` on. mmdet
    `core/bbox/assigners/max_iou_assigner.py`.
    """

    positive: float
    negative: float
    least: float
    low_quality: bool

    def __call__(self, boxes: Tensor, truth: Tensor, ignored: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Boxes (N, 4) and true ones (M, 4) -> (N,) as above, and the largest overlap (N,).

        Of the boxes that have none, those in `ignored` regions (K, 4) count for nothing either.
        """
        assigned, best = self._assigned(boxes, truth)
        if ignored is not None and len(ignored) and len(boxes):
            hidden = covered(boxes, ignored) | (box_iou(boxes, ignored).amax(1) >= self.negative)
            assigned = torch.where(hidden & (assigned == BACKGROUND), UNUSED, assigned)
        return assigned, best

    def _assigned(self, boxes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        if not len(truth):
            return boxes.new_zeros(len(boxes), dtype=torch.long), boxes.new_zeros(len(boxes))
        overlaps = box_iou(truth, boxes)
        best, which = overlaps.max(0)
        assigned = torch.full_like(which, UNUSED)
        assigned[best < self.negative] = BACKGROUND
        assigned = torch.where(best >= self.positive, which + 1, assigned)
        if self.low_quality:
            most = overlaps.max(1).values if len(boxes) else overlaps.new_zeros(len(truth))
            # of several true ones with the same box the last has it
            for number in (most >= self.least).nonzero()[:, 0].tolist():
                assigned = torch.where(overlaps[number] == most[number], number + 1, assigned)
        return assigned, best


def covered(boxes: Tensor, regions: Tensor) -> Tensor:
    """Which of boxes (…, 4) lie by half and more in one of some regions (K, 4)."""
    low = torch.maximum(boxes[..., None, :2], regions[:, :2])
    high = torch.minimum(boxes[..., None, 2:], regions[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
    return ((shared > 0) & (shared >= INSIDE * areas[..., None])).any(-1)


@dataclass(frozen=True)
class Sampling:
    """What learns: by an assigner, and how many are drawn, of them at most a `share` of positive ones."""

    assigner: Assigner
    count: int
    share: float


RPN = Assigner(0.7, 0.3, 0.3, low_quality=True)
MASK_RCNN = Assigner(0.5, 0.5, 0.5, low_quality=True)
OF_ANCHORS = Sampling(RPN, 256, 0.5)
OF_REGIONS = Sampling(MASK_RCNN, 512, 0.25)
CASCADE = tuple(Assigner(iou, iou, iou, low_quality=False) for iou in (0.5, 0.6, 0.7))


def sample(assigned: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Places of drawn positive boxes, at most `share` of `count`, and of negative ones, for the rest.

    mmdet `core/bbox/samplers/random_sampler.py`; draws from torch's global generator.
    """
    positive = _drawn((assigned > BACKGROUND).nonzero()[:, 0], int(count * share))
    negative = _drawn((assigned == BACKGROUND).nonzero()[:, 0], count - len(positive))
    return positive, negative


def _drawn(places: Tensor, count: int) -> Tensor:
    if len(places) <= count:
        return places
    return places[torch.randperm(len(places))[:count].to(places.device)].sort().values
