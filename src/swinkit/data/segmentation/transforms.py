"""A picture and its mask on their way to tensors: shapes kept for evaluation, varied alike in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.data.image_ops import distorted, fitted, normalised
from swinkit.data.io.images import Picture
from swinkit.features import IGNORED

Mask = NDArray[np.uint8]
TRIES = 10  # for a crop in which no class has too much


def training_pairs(pre: Preprocessing, augmentation: Augmentation) -> PairTransform:
    """The training transform of a model: crops of `pre.sides`."""
    assert pre.dense is not None
    return PairTransform(
        pre.sides,
        pre.dense.stated,
        pre.mean,
        pre.std,
        ratios=augmentation.resize,
        most=augmentation.largest_class,
        flip=augmentation.hflip,
        distort=augmentation.distortion and pre.channels == 3,
    )


@dataclass(frozen=True)
class PairTransform:
    """Picture and mask for training: resized by a random factor, cut, mirrored, distorted in colour, padded.

    `crop` is (height, width); `limits` (long side, short side; None: the picture's own) times a factor from
    `ratios` bound the picture before it is cut. A crop in which a class has a share of `most` (below 1) or
    more is drawn anew. As in mmseg's `datasets/pipelines/transforms.py`; draws from torch's global generator.
    """

    crop: tuple[int, int]
    limits: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    ratios: tuple[float, float] = (0.5, 2.0)
    most: float = 0.75
    flip: float = 0.5
    distort: bool = True

    def __call__(self, image: Picture, mask: Mask) -> tuple[Tensor, Tensor]:
        """Picture and class ids (H, W) -> (C, *crop) float32 and (*crop) int64; ignored where padded."""
        low, high = self.ratios
        factor = low + (high - low) * torch.rand(()).item()
        limits = self.limits or (max(mask.shape), min(mask.shape))
        height, width = fitted(mask.shape[:2], (limits[0] * factor, limits[1] * factor))
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        mask = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
        rows, columns = self._draw(mask)
        image = image.crop((columns.start, rows.start, columns.stop, rows.stop))
        mask = mask[rows, columns]
        if torch.rand(()).item() < self.flip:
            image, mask = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mask[:, ::-1]
        if self.distort:
            image = distorted(image)
        return self._padded(image, mask)

    def _draw(self, mask: Mask) -> tuple[slice, slice]:
        """Rows and columns of a crop, or of all there is."""
        sides = [min(have, wanted) for have, wanted in zip(mask.shape, self.crop, strict=True)]
        for _ in range(TRIES):
            starts = [
                int(torch.randint(have - side + 1, ()).item())
                for have, side in zip(mask.shape, sides, strict=True)
            ]
            rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
            counts = np.bincount(mask[rows, columns].ravel(), minlength=IGNORED + 1)[:IGNORED]
            if self.most >= 1 or ((counts > 0).sum() > 1 and counts.max() < self.most * counts.sum()):
                break
        return rows, columns

    def _padded(self, image: Picture, mask: Mask) -> tuple[Tensor, Tensor]:
        """Normalised and brought to the size of the crop: the mean, and ignored, to the right and below."""
        height, width = mask.shape
        picture = torch.zeros(len(self.mean), *self.crop)
        labels = torch.full(self.crop, IGNORED, dtype=torch.int64)
        picture[:, :height, :width] = normalised(image, self.mean, self.std)
        labels[:height, :width] = torch.from_numpy(mask.astype(np.int64))
        return picture, labels
