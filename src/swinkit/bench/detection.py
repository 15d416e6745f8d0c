"""What detectors cost: multiply-adds as the published figures count them."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from swinkit.heads.rcnn import MASK_SIDE, SIDE
from swinkit.models.variants import SCENE
from swinkit.tasks.detect import Detector

REGIONS, MASKS = 1000, 100  # that mmdet's `forward_dummy` looks at


def macs_of(model: Detector, size: tuple[int, int] = SCENE) -> int:
    """Multiply-adds of one picture of (height, width), 1000 regions and 100 masks.

    `torch.utils.flop_counter`'s FLOPs / 2: convolutions and products of matrices, those of attention too.
    """
    model.backbone.set_attention("eager")  # the counter does not see into SDPA on every device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        maps = model.neck(model.backbone(torch.empty(1, 3, *size, device=model.device)))
        model.rpn_head(maps)
        for heads, count, side in (
            (model.roi_head.box_heads, REGIONS, SIDE),
            (model.roi_head.mask_heads, MASKS, MASK_SIDE),
        ):
            for head in heads:
                head(maps[0].new_empty(count, maps[0].shape[1], side, side))
    return int(counter.get_total_flops() // 2)
