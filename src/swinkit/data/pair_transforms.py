"""A picture and its mask on their way to tensors: shapes kept for evaluation, varied alike in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from swinkit.data.float_ops import from_hsv, to_hsv
from swinkit.data.planes import Planes
from swinkit.data.reading import Picture
from swinkit.data.resizing import resize_image, shorter_side_to
from swinkit.features import IGNORED
from swinkit.inputs import Augmentation, Preprocessing

Mask = NDArray[np.uint8]
TRIES = 10  # for a crop in which no class has too much


def fitted(size: tuple[int, int], limits: tuple[float, float]) -> tuple[int, int]:
    """(height, width) of a picture that fits in: its long side below the larger limit, its short the smaller.

    As mmcv's `imrescale`, larger or smaller than it was; no side below 1.
    """
    factor = min(max(limits) / max(size), min(limits) / min(size))
    height, width = (max(1, int(side * factor + 0.5)) for side in size)
    return height, width


def whole_picture(image: Picture, pre: Preprocessing, scale: float = 1.0) -> Tensor:
    """The picture resized by `pre.dense`, times a factor, and normalised: float32 (C, H, W)."""
    assert pre.dense is not None
    limits = pre.dense.limits((image.height, image.width))
    height, width = fitted((image.height, image.width), (scale * limits[0], scale * limits[1]))
    if pre.rounding == "transformers" and pre.dense.short is not None:
        longest = None if pre.dense.long is None else round(scale * pre.dense.long)
        width, height = shorter_side_to(image.size, round(scale * pre.dense.short), longest)
    if pre.square == "stretch":
        height, width = (round(scale * side) for side in pre.sides)
    return normalised(resize_image(image, (width, height), pre), pre.mean, pre.std)


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


def normalised(image: Picture, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Values in 0..1 less the mean, over the deviation: float32 (C, H, W)."""
    pixels = np.asarray(image, np.float32).reshape(image.height, image.width, len(mean)).transpose(2, 0, 1)
    values = np.divide(pixels, np.float32(255), order="C")
    values -= np.array(mean, np.float32)[:, None, None]
    values /= np.array(std, np.float32)[:, None, None]
    return torch.from_numpy(values)


def distorted(image: Picture) -> Picture:
    """Other brightness, contrast, saturation and hue of an RGB picture, each by a chance of one half.

    SSD's photometric distortion, in mmseg's order and ranges: ±32 of 255, factors 0.5 to 1.5, ±18 of 180.
    Float images are not rounded on the way.
    """
    chances = torch.rand(5).tolist()
    brightness, contrast, saturation, hue = torch.rand(4).tolist()
    early = chances[4] < 0.5  # contrast before the colours, or after them
    floats = isinstance(image, Planes)
    held = _clipped if floats else _rounded
    pixels = np.asarray(image, np.float32)
    if chances[0] < 0.5:
        pixels = held(pixels + (2 * brightness - 1) * 32)
    if early and chances[1] < 0.5:
        pixels = held(pixels * (0.5 + contrast))
    if chances[2] < 0.5 or chances[3] < 0.5:
        colours = to_hsv(pixels) if floats else _hsv_of_8_bits(pixels)
        if chances[2] < 0.5:
            colours[..., 1] = held(colours[..., 1] * (0.5 + saturation))
        if chances[3] < 0.5:
            colours[..., 0] = (colours[..., 0] + np.round((2 * hue - 1) * 18 * 256 / 180)) % 256
        pixels = from_hsv(colours) if floats else _8_bits_of_hsv(colours)
    if not early and chances[1] < 0.5:
        pixels = held(pixels * (0.5 + contrast))
    return Planes.from_floats(pixels) if floats else Image.fromarray(pixels.astype(np.uint8))


def _hsv_of_8_bits(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(pixels.astype(np.uint8)).convert("HSV"), np.float32).copy()


def _8_bits_of_hsv(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(colours.astype(np.uint8), "HSV").convert("RGB"), np.float32)


def _clipped(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.clip(0, 255)


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """To what 8 bits hold, cut off as there."""
    held: NDArray[np.float32] = np.floor(np.clip(values, 0, 255))
    return held
