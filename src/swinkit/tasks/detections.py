"""What a detector has found: moved between the sizes of a picture, pasted into it, as a result."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.errors import ConfigError
from swinkit.features import Size
from swinkit.heads.boxes import has_area, paste_near
from swinkit.labels import Labels
from swinkit.results import Detections
from swinkit.rle import RLE, rle_of_part

Found = dict[str, Tensor]
HARD = 0.5  # probability from which a pixel is the object's


def check_limits(counts: Mapping[str, int | None], shares: Mapping[str, float | None]) -> None:
    """Refuse limits that are none: counts from 1 on, shares from 0 to 1; None stands for what stays."""
    for name, count in counts.items():
        if count is not None and (type(count) is not int or count < 1):
            raise ConfigError(f"{name}={count!r}: give a whole number from 1 on.")
    for name, share in shares.items():
        if share is not None and not (isinstance(share, int | float) and 0 <= share <= 1):
            raise ConfigError(f"{name}={share!r}: give a number from 0 to 1.")


def check_min_box_size(value: float | None) -> None:
    """Raise ConfigError unless the smallest side of a box is a finite number; None is allowed."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if value is not None and not number:
        raise ConfigError(f"min_box_size={value!r}: give a number of pixels; -1 keeps boxes without area.")


class View:
    """A picture's pyramid at one size (height, width), perhaps mirrored."""

    def __init__(self, maps: list[Tensor], size: Size, flipped: bool) -> None:
        self.maps, self.size, self.flipped = maps, size, flipped

    def to_original(self, boxes: Tensor, size: Size) -> Tensor:
        """Boxes (…, 4) of the view in pixels of the original of (height, width)."""
        return self._turned(boxes, self.size[1]) * self._factor(boxes, self.size, size)

    def from_original(self, boxes: Tensor, size: Size) -> Tensor:
        """Boxes (…, 4) of the original in pixels of the view."""
        return self._turned(boxes * self._factor(boxes, size, self.size), self.size[1])

    def _turned(self, boxes: Tensor, width: int) -> Tensor:
        if not self.flipped:
            return boxes
        left, top, right, bottom = boxes.unbind(-1)
        return torch.stack([width - right, top, width - left, bottom], -1)

    @staticmethod
    def _factor(boxes: Tensor, given: Size, wanted: Size) -> Tensor:
        return boxes.new_tensor([wanted[1] / given[1], wanted[0] / given[0]] * 2)


def mirrored(image: Tensor, width: int) -> Tensor:
    """A padded picture (1, C, H, W), mirrored within its first `width` columns."""
    return F.pad(image[..., :width].flip(-1), (0, image.shape[-1] - width))


def detections(found: Found, size: Size, labels: Labels) -> Detections:
    """What was found in a picture, for the original of (height, width)."""
    own = {name: tensor.detach().cpu() for name, tensor in found.items()}
    height, width = own["size"].tolist()
    boxes = own["boxes"].float() * torch.tensor([size[1] / width, size[0] / height] * 2)
    # a sliver can lose its area by rounding; a box that had none was asked for by min_box_size=-1
    rows = (has_area(boxes) | ~has_area(own["boxes"])).nonzero()[:, 0]
    boxes = boxes[rows]
    rles = None
    if "roi_masks" in own:
        masks = own["roi_masks"][rows].float()
        rles = [mask_rle(mask, box, size) for mask, box in zip(masks, boxes, strict=True)]
    scores, numbers = own["scores"][rows].float().numpy(), own["labels"][rows].numpy()
    return Detections.of(size, boxes.numpy(), scores, numbers, labels, rles)


def mask_rle(mask: Tensor, box: Tensor, size: Size) -> RLE:
    """A soft mask (h, w) of a box (4,) as run lengths in a picture of (height, width).

    Only the part of the picture around the box is ever held.
    """
    part, corner = paste_near(mask, box, size)
    return rle_of_part((part >= HARD).numpy(), corner, size)


def whole_masks(masks: Tensor, boxes: Tensor, size: Size) -> Tensor:
    """Soft masks (N, h, w) of boxes (N, 4) in a picture of (height, width): (N, 1, height, width)."""
    pages = boxes.new_zeros(len(boxes), 1, *size)
    for i, (mask, box) in enumerate(zip(masks.to(boxes.dtype), boxes, strict=True)):
        part, (top, left) = paste_near(mask, box, size)
        pages[i, 0, top : top + part.shape[0], left : left + part.shape[1]] = part
    return pages
