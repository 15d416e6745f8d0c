"""What looks at the regions that may hold something: box heads, the mask head, and the choice among boxes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms  # type: ignore[import-untyped, unused-ignore]

from swinkit.heads.boxes import decode, has_area, single
from swinkit.heads.dense import ConvNorm
from swinkit.heads.fpn import Conv

SIDE, MASK_SIDE = 7, 14  # places of a region that the heads see


class BoxHead(nn.Module):
    """Convolutions with norm and fully connected layers to class scores and changes of the box.

    Mask R-CNN has no convolution and two layers, Cascade R-CNN four and one; mmdet
    `bbox_heads/convfc_bbox_head.py`. The last score is that of the background.
    """

    def __init__(
        self, channels: int, classes: int, *, convs: int = 0, layers: int = 2, width: int = 1024
    ) -> None:
        super().__init__()
        self.shared_convs = nn.ModuleList(ConvNorm(channels, channels, 3) for _ in range(convs))
        sides = [channels * SIDE**2, *[width] * layers]
        self.shared_fcs = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sides))
        self.fc_cls = nn.Linear(width, classes + 1)
        self.fc_reg = nn.Linear(width, 4 * classes)
        for layer in self.shared_fcs:
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for last, spread in ((self.fc_cls, 0.01), (self.fc_reg, 0.001)):
            nn.init.normal_(last.weight, std=spread)
            nn.init.zeros_(last.bias)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, 7, 7) -> scores (N, classes + 1) and changes (N, classes · 4)."""
        for conv in self.shared_convs:
            regions = conv(regions)
        x = regions.flatten(1)
        for layer in self.shared_fcs:
            x = F.relu(layer(x))
        return single(self.fc_cls(x)), single(self.fc_reg(x))


class MaskHead(nn.Module):
    """Four convolutions, doubled in size, and a mask for each class; mmdet `mask_heads/fcn_mask_head.py`."""

    def __init__(self, channels: int, classes: int, *, convs: int = 4) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Conv(channels, channels, 3) for _ in range(convs))
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.conv_logits = nn.Conv2d(channels, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, regions: Tensor) -> Tensor:
        """(N, C, 14, 14) -> logits (N, classes, 28, 28)."""
        for conv in self.convs:
            regions = F.relu(conv(regions))
        return single(self.conv_logits(F.relu(self.upsample(regions))))


def refine(
    regions: Tensor,
    labels: Tensor,
    changes: Tensor,
    stds: Sequence[float],
    sizes: Sequence[tuple[int, int]],
) -> Tensor:
    """Regions (N, 5) moved by the changes of a class (N,), within their pictures of (height, width).

    mmdet `BBoxHead.regress_by_class`.
    """
    own = changes.unflatten(1, (-1, 4))[torch.arange(len(labels), device=labels.device), labels]
    boxes = decode(regions[:, 1:], own, stds, None)
    return torch.cat([regions[:, :1], within(boxes, regions[:, 0].long(), sizes)], 1)


def within(boxes: Tensor, numbers: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Boxes (N, …, 4) cut at the borders of pictures of (height, width), each at those of its own."""
    limits = torch.tensor([[size[1], size[0]] * 2 for size in sizes], device=boxes.device, dtype=boxes.dtype)
    own = limits[numbers].view(len(boxes), *[1] * (boxes.ndim - 2), 4)
    return boxes.clamp_min(0).minimum(own)


def likeliest(scores: Tensor, labels: Tensor | None = None) -> Tensor:
    """The likeliest class (N,) of each region, the background left out; where `labels` know a class, that."""
    best = scores[:, :-1].argmax(1)
    return best if labels is None else torch.where(labels < scores.shape[1] - 1, labels, best)


def with_numbers(boxes: Sequence[Tensor]) -> Tensor:
    """Boxes of several pictures (N_i, 4 …) as regions (N, 5): the number of the picture first."""
    return torch.cat([F.pad(own[:, :4], (1, 0), value=float(i)) for i, own in enumerate(boxes)])


def select(
    boxes: Tensor, scores: Tensor, *, threshold: float, overlap: float, keep: int, min_size: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """The surest boxes (N, 4) of all classes, their probabilities and classes, best first.

    `boxes` (M, classes · 4) and `scores` (M, classes + 1), the background last, which is left out. Scores
    above `threshold` count; of boxes of a class that overlap more than `overlap` the best. Boxes with a
    side of at most `min_size` pixels are dropped. mmdet `post_processing/bbox_nms.py`.
    """
    chances = scores[:, :-1].masked_fill(boxes.isfinite().all(1, keepdim=True).logical_not(), 0.0)
    valid = has_area(boxes.unflatten(1, (-1, 4)), min_size)
    rows, labels = ((chances > threshold) & valid).nonzero(as_tuple=True)
    found, sure = boxes.unflatten(1, (-1, 4))[rows, labels], chances[rows, labels]
    kept = batched_nms(found, sure, labels, overlap)[:keep]
    return found[kept], sure[kept], labels[kept]
