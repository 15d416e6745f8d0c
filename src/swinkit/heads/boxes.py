"""Boxes of R-CNNs, by OpenMMLab's conventions: anchors, coding, regions of a pyramid, masks into a picture.

Boxes are (x1, y1, x2, y2) in pixels, without rounding and without the +1 of old codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align  # type: ignore[import-untyped, unused-ignore]

LARGEST_RATIO = abs(math.log(16 / 1000))  # to which changes of width and height are cut
FINEST = 56  # pixels of the side of a box on the first map


def single(x: Tensor) -> Tensor:
    """Numbers of 32 bits at least: fewer, as of mixed precision, hold no coordinates in pixels."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def anchors(
    sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    *,
    scale: float = 8.0,
    ratios: Sequence[float] = (0.5, 1.0, 2.0),
    device: torch.device | str = "cpu",
) -> list[Tensor]:
    """Anchors (H · W · ratios, 4) of each map, by rows, columns, ratios (height over width).

    They are centred on the upper left corners of the cells (mmdet `core/anchor/anchor_generator.py`).
    """
    found = []
    roots = torch.tensor(ratios, device=device).sqrt()
    for (height, width), stride in zip(sizes, strides, strict=True):
        wide, high = stride * scale / roots, stride * scale * roots
        base = torch.stack([-wide, -high, wide, high], 1) / 2
        x, y = (torch.arange(side, device=device) * stride for side in (width, height))
        shifts = torch.stack(torch.meshgrid(x, y, indexing="xy") * 2, -1).view(-1, 1, 4)
        found.append((shifts + base).view(-1, 4))
    return found


def encode(boxes: Tensor, targets: Tensor, stds: Sequence[float]) -> Tensor:
    """What leads from boxes to targets (N, 4): moves of the centre, logarithms of the sides, over `stds`."""
    centres, sides = _parts(boxes)
    wanted, wanted_sides = _parts(targets)
    deltas = torch.cat([(wanted - centres) / sides, (wanted_sides / sides).log()], -1)
    return deltas / deltas.new_tensor(stds)


def decode(boxes: Tensor, deltas: Tensor, stds: Sequence[float], size: tuple[int, int] | None) -> Tensor:
    """Boxes (N, 4) changed by deltas (N, 4 · K), cut at the borders of a picture of (height, width).

    mmdet `core/bbox/coder/delta_xywh_bbox_coder.py`.
    """
    changes = deltas.unflatten(-1, (-1, 4)) * deltas.new_tensor(stds)
    centres, sides = (part[:, None] for part in _parts(boxes))
    middle = centres + changes[..., :2] * sides
    half = sides * changes[..., 2:].clamp(-LARGEST_RATIO, LARGEST_RATIO).exp() / 2
    found = torch.cat([middle - half, middle + half], -1)
    return clip(found, size).flatten(-2)


def clip(boxes: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Boxes (…, 4) within a picture of (height, width); None leaves them."""
    if size is None:
        return boxes
    x, y = (boxes[..., i::2].clamp(0, side) for i, side in ((0, size[1]), (1, size[0])))
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)


def has_area(boxes: Tensor, min_size: float = 0.0) -> Tensor:
    """Return which boxes (..., 4) have both sides longer than `min_size`; a negative one keeps every box.

    mmdet `dense_heads/rpn_head.py`, `min_bbox_size`.
    """
    return (boxes[..., 2:] - boxes[..., :2] > min_size).all(-1)


def _parts(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centres and sides, (…, 2) each."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, high - low


def levels(boxes: Tensor, count: int) -> Tensor:
    """The map of a pyramid for each box (N, 4), from 0: larger boxes on coarser ones."""
    sides = boxes[:, 2:] - boxes[:, :2]
    found = (sides.prod(1).sqrt() / FINEST + 1e-6).log2().floor()
    return found.clamp(0, count - 1).long()


def pool(maps: Sequence[Tensor], regions: Tensor, strides: Sequence[int], side: int) -> Tensor:
    """Features (N, C, side, side) of regions (N, 5), whose first number is that of the picture.

    mmdet `roi_heads/roi_extractors/single_level_roi_extractor.py`, with mmcv's RoIAlign: aligned, as many
    samples as a bin has pixels.
    """
    own = levels(regions[:, 1:], len(maps))
    kind = maps[0].dtype
    maps = [single(features) for features in maps]
    pooled = maps[0].new_zeros(len(regions), maps[0].shape[1], side, side)
    for level, (features, stride) in enumerate(zip(maps, strides, strict=True)):
        chosen = (own == level).nonzero()[:, 0]
        given = roi_align(features, regions[chosen].to(features), side, 1 / stride, -1, aligned=True)
        pooled = pooled.index_copy(0, chosen, given)
    return pooled.to(kind)


def paste(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (N, 1, h, w) of boxes (N, 4) in a picture of (height, width): (N, height, width), 0 outside.

    Values at the centres of pixels, bilinear; mmdet `mask_heads/fcn_mask_head.py`, `_do_paste_mask` without
    `skip_empty`.
    """
    height, width = size
    x, y = (
        (torch.arange(side, device=masks.device, dtype=boxes.dtype) + 0.5 - low[:, None])
        / (high - low)[:, None]
        * 2
        - 1
        for side, low, high in ((width, boxes[:, 0], boxes[:, 2]), (height, boxes[:, 1], boxes[:, 3]))
    )
    x, y = (places.masked_fill(places.isinf(), 0.0) for places in (x, y))
    grid = torch.stack([x[:, None].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], -1)
    return F.grid_sample(masks, grid.to(masks.dtype), align_corners=False)[:, 0]


def paste_near(mask: Tensor, box: Tensor, size: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
    """A mask (h, w) of a box (4,) as `paste` has it, without what is 0 around; and where that part begins.

    The corner is (row, column); the soft border of a mask reaches half a place of it beyond the box.
    """
    left, top, right, bottom = box.tolist()
    wide, high = (right - left) / mask.shape[1] / 2 + 1, (bottom - top) / mask.shape[0] / 2 + 1
    x = max(0, math.floor(left - wide)), min(size[1], math.ceil(right + wide))
    y = max(0, math.floor(top - high)), min(size[0], math.ceil(bottom + high))
    near = box - box.new_tensor([x[0], y[0]] * 2)
    part = paste(mask[None, None], near[None], (max(0, y[1] - y[0]), max(0, x[1] - x[0])))[0]
    return part, (y[0], x[0])
