"""Which of a picture's boxes may stand for an example in it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou, generalized_box_iou  # type: ignore[import-untyped, unused-ignore]

from swinkit.errors import ConfigError, nearest

CHOICES = ("dissimilar", "objectness")
NEAR = 0.8  # share of the best overlap from which a box may stand for an example
ROUNDING = 1e-3  # share of a side by which a box may leave its image
FARTHER = 1.2  # the same where nothing overlaps, and generalised overlap is below 0


def box_in_shares(box: Tensor | Sequence[float] | None, x: Tensor) -> Tensor | None:
    """Boxes (B, 4) in shares of the sides of images (B, C, H, W); ConfigError for what is none of these."""
    if box is None:
        return None
    height, width = x.shape[2], x.shape[3]
    given = torch.as_tensor(box, dtype=torch.float32, device=x.device)
    if given.shape not in ((4,), (len(x), 4)):
        raise ConfigError(f"box={tuple(given.shape)}: give x1, y1, x2, y2, for each image or for all.")
    given = given.expand(len(x), 4)
    shares = given if given.max() <= 1 else given / given.new_tensor([width, height] * 2)
    inside = (shares >= -ROUNDING) & (shares <= 1 + ROUNDING)
    if not (inside.all() and (shares[:, :2] < shares[:, 2:]).all()):
        raise ConfigError(f"box={given.tolist()}: give x1, y1, x2, y2 within the {width}×{height} pixels.")
    return shares


def fitting_boxes(box: Tensor, boxes: Tensor) -> Tensor:
    """Which of boxes (N, 4) overlap a box (4,) nearly as much as the best."""
    overlap = box_iou(box[None], boxes.float())[0]
    if bool((overlap == 0).all()):  # overlap below 0: what is nearly the best is farther below
        overlap = generalized_box_iou(box[None], boxes.float())[0]
        best = overlap.max() * FARTHER
    else:
        best = overlap.max() * NEAR
    fits: Tensor = overlap >= best
    return fits


def checked_choice(by: str | None) -> str | None:
    """How queries are chosen of examples; ConfigError for what is no such way."""
    if by is not None and by not in CHOICES:
        raise ConfigError(f"There is no choice of queries by {by!r}: {nearest(by, CHOICES)}")
    return by
