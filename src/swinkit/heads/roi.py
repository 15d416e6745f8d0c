"""The second half of an R-CNN: stage by stage from regions to boxes with classes, and their masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from swinkit.features import FeatureSpec
from swinkit.heads.assign import CASCADE, OF_REGIONS, Sampling
from swinkit.heads.boxes import decode, has_area, pool
from swinkit.heads.rcnn import MASK_SIDE, SIDE, BoxHead, MaskHead, likeliest, refine, within
from swinkit.heads.rcnn_losses import Drawn, box_losses, draw_regions, mask_loss


@dataclass(frozen=True)
class Stage:
    """One look at the regions: from which of them it learns, the spread of its changes, its loss's weight."""

    sampling: Sampling
    stds: tuple[float, float, float, float]
    weight: float = 1.0


@dataclass(frozen=True)
class System:
    """A published R-CNN: its stages, the layers of their box heads, what is learnt by GIoU instead of L1.

    `kept` regions of the proposal network are learnt from; `border` and `beta` are those of its loss.
    """

    stages: tuple[Stage, ...]
    masks: bool
    convs: int
    layers: int
    giou: bool
    kept: int
    border: int | None
    beta: float


def _one_stage(*, masks: bool) -> System:
    stage = Stage(OF_REGIONS, (0.1, 0.1, 0.2, 0.2))
    return System((stage,), masks, convs=0, layers=2, giou=False, kept=1000, border=None, beta=0.0)


def _cascade(*, masks: bool) -> System:
    spreads = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
    stages = tuple(
        Stage(Sampling(assigner, OF_REGIONS.count, OF_REGIONS.share), stds, weight)
        for assigner, stds, weight in zip(CASCADE, spreads, (1.0, 0.5, 0.25), strict=True)
    )
    return System(stages, masks, convs=4, layers=1, giou=True, kept=2000, border=0, beta=1 / 9)


SYSTEMS = {
    "mask_rcnn": _one_stage(masks=True),
    "faster_rcnn": _one_stage(masks=False),
    "cascade_mask_rcnn": _cascade(masks=True),
    "cascade_rcnn": _cascade(masks=False),
}


class RoIHead(nn.Module):
    """Box heads and mask heads of all stages; mmdet `roi_heads/standard_roi_head.py`, `cascade_roi_head.py`.

    `features` are those maps of the pyramid that regions are pooled from. Files number the heads of several
    stages, and not that of one.
    """

    def __init__(
        self, features: Sequence[FeatureSpec], classes: int, system: System, *, width: int = 1024
    ) -> None:
        super().__init__()
        channels = features[0].channels
        self.system, self.classes, self.width = system, classes, width
        self.strides = [spec.stride for spec in features]
        self.bbox_head = _one_or_list(
            BoxHead(channels, classes, convs=system.convs, layers=system.layers, width=width)
            for _ in system.stages
        )
        self.mask_head = (
            _one_or_list(MaskHead(channels, classes) for _ in system.stages) if system.masks else None
        )

    @property
    def box_heads(self) -> list[nn.Module]:
        """That of each stage."""
        return _listed(self.bbox_head)

    @property
    def mask_heads(self) -> list[nn.Module]:
        """That of each stage; none of a system without masks."""
        return [] if self.mask_head is None else _listed(self.mask_head)

    def look(
        self, maps: Sequence[Tensor], regions: Tensor, sizes: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Probabilities (N, classes + 1) and boxes (N, classes · 4) of regions (N, 5).

        Each stage begins with the boxes of the one before; their class scores are averaged before they
        become probabilities, and the boxes are the last one's.
        """
        every = []
        for stage, head in zip(self.system.stages, self.box_heads, strict=True):
            scores, changes = head(pool(maps, regions, self.strides, SIDE))
            every.append(scores)
            if stage is not self.system.stages[-1]:
                regions = refine(regions, likeliest(scores), changes, stage.stds, sizes)
        boxes = decode(regions[:, 1:], changes, stage.stds, None).unflatten(1, (-1, 4))
        mean = torch.stack(every).mean(0)
        return mean.softmax(-1), within(boxes, regions[:, 0].long(), sizes).flatten(1)

    def masks(self, maps: Sequence[Tensor], regions: Tensor, labels: Tensor) -> Tensor:
        """Probabilities (N, 28, 28) that places of regions (N, 5) are the object of their class (N,)."""
        pooled = pool(maps, regions, self.strides, MASK_SIDE)
        each = torch.arange(len(labels), device=labels.device)
        soft = [head(pooled)[each, labels].sigmoid() for head in self.mask_heads]
        return torch.stack(soft).mean(0)

    def losses(
        self,
        maps: Sequence[Tensor],
        proposals: Sequence[Tensor],
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
        masks: Sequence[Tensor] | None,
        sizes: Sequence[tuple[int, int]],
        *,
        min_size: float = 0.0,
        ignored: Sequence[Tensor | None] | None = None,
    ) -> dict[str, Tensor]:
        """Losses of each stage; later ones learn from the boxes of the one before, true ones left out.

        Boxes of a stage with a side of at most `min_size` are dropped; `ignored` as in `rpn_losses`.
        """
        losses: dict[str, Tensor] = {}
        stages = self.system.stages
        for number, (stage, head) in enumerate(zip(stages, self.box_heads, strict=True)):
            drawn = draw_regions(
                proposals, boxes, labels, classes=self.classes, sampling=stage.sampling, ignored=ignored
            )
            scores, changes = head(pool(maps, drawn.regions, self.strides, SIDE))
            found = box_losses(scores, changes, drawn, stage.stds, giou=self.system.giou)
            own = dict(zip(("class", "box"), found, strict=True))
            if self.mask_head is not None and masks is not None:
                own["mask"] = self._mask_loss(maps, drawn, masks, number)
            prefix = f"{number}_" if len(stages) > 1 else ""
            losses |= {f"{prefix}{name}": stage.weight * value for name, value in own.items()}
            if number + 1 < len(stages):
                moved = _next(drawn, scores, changes, stage, sizes)
                proposals = [own[has_area(own, min_size)] for own in moved]
        return losses

    def _mask_loss(
        self, maps: Sequence[Tensor], drawn: Drawn, masks: Sequence[Tensor], number: int
    ) -> Tensor:
        regions = drawn.regions[drawn.positive]
        logits = self.mask_heads[number](pool(maps, regions, self.strides, MASK_SIDE))
        return mask_loss(logits, drawn, masks)


@torch.no_grad()
def _next(
    drawn: Drawn, scores: Tensor, changes: Tensor, stage: Stage, sizes: Sequence[tuple[int, int]]
) -> list[Tensor]:
    """The boxes of a stage, from which the next one learns."""
    moved = refine(drawn.regions, likeliest(scores, drawn.labels), changes, stage.stds, sizes)
    return [moved[(moved[:, 0] == i) & ~drawn.given, 1:] for i in range(len(sizes))]


def _one_or_list(heads: Iterable[nn.Module]) -> nn.Module:
    found = list(heads)
    return found[0] if len(found) == 1 else nn.ModuleList(found)


def _listed(heads: nn.Module) -> list[nn.Module]:
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]
