"""Image operations that several tasks share: resizing, normalisation, photometric distortion."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from swinkit.config.preprocessing import Preprocessing
from swinkit.data.float_images import from_hsv, to_hsv
from swinkit.data.io.images import Picture
from swinkit.data.io.multichannel import Planes
from swinkit.data.resizing import resize_image, shorter_side_to


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
