"""Colour changes of float images, as Pillow has them for 8 bits: the same formulas without rounding.

Images are (H, W, C) float32 on the scale 0..255, of one or three channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swinkit.data.io.value_range import WHITE

Pixels = NDArray[np.float32]
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, as Pillow's mode L


def brightness(pixels: Pixels, factor: float) -> Pixels:
    """Blend with black."""
    return _held(pixels * np.float32(factor))


def contrast(pixels: Pixels, factor: float) -> Pixels:
    """Blend with the mean grey."""
    return _blended(np.float32(np.floor(_grey(pixels).mean() + 0.5)), pixels, factor)


def saturation(pixels: Pixels, factor: float) -> Pixels:
    """Blend with the grey image."""
    return _blended(_grey(pixels), pixels, factor)


def sharpness(pixels: Pixels, factor: float) -> Pixels:
    """Blend with a smoothed image; its border stays."""
    if min(pixels.shape[:2]) < 3:
        return pixels
    height, width = pixels.shape[:2]
    total = 4 * pixels[1:-1, 1:-1]
    for row in range(3):
        for column in range(3):
            total = total + pixels[row : height - 2 + row, column : width - 2 + column]
    smooth = pixels.copy()
    smooth[1:-1, 1:-1] = total / 13
    return _blended(smooth, pixels, factor)


def autocontrast(pixels: Pixels) -> Pixels:
    """Stretch each channel over the whole scale."""
    low, high = pixels.min((0, 1)), pixels.max((0, 1))
    flat = high <= low
    stretched = (pixels - low) * (WHITE / np.where(flat, 1, high - low))
    return np.where(flat, pixels, stretched).astype(np.float32)


def equalize(pixels: Pixels) -> Pixels:
    """Spread the values of each channel evenly."""
    return np.stack([_equalized(channel) for channel in np.moveaxis(pixels, -1, 0)], axis=-1)


def _equalized(channel: Pixels) -> Pixels:
    values, place, counts = np.unique(channel, return_inverse=True, return_counts=True)
    step = (channel.size - counts[-1]) // 255
    if len(values) < 2 or step < 1:
        return channel
    below = np.cumsum(counts) - counts
    return _held(((step // 2 + below) / step).astype(np.float32))[place].reshape(channel.shape)


def posterize(pixels: Pixels, bits: int) -> Pixels:
    """Keep so many of 8 bits."""
    step = np.float32(2 ** (8 - bits))
    return np.floor(pixels / step) * step if bits else np.zeros_like(pixels)


def solarize(pixels: Pixels, threshold: float) -> Pixels:
    """Invert values from a threshold on."""
    return np.where(pixels < threshold, pixels, np.float32(WHITE) - pixels)


def solarize_add(pixels: Pixels, added: float) -> Pixels:
    """Add to the darker half."""
    return np.where(pixels < 128, _held(pixels + np.float32(added)), pixels)


def to_hsv(pixels: Pixels) -> Pixels:
    """RGB to hue, saturation and value, each on the scale 0..255; hue 256 is 0."""
    high, low = pixels.max(-1), pixels.min(-1)
    spread = high - low
    safe = np.where(spread > 0, spread, 1)
    red, green, blue = ((high - pixels[..., channel]) / safe for channel in range(3))
    hue = np.where(pixels[..., 1] == high, 2 + red - blue, 4 + green - red)
    hue = np.where(pixels[..., 0] == high, blue - green, hue)
    hue = np.where(spread > 0, hue / 6 % 1, 0)
    saturated = np.where(high > 0, spread / np.where(high > 0, high, 1), 0)
    return np.stack([256 * hue, WHITE * saturated, high], axis=-1).astype(np.float32)


def from_hsv(colours: Pixels) -> Pixels:
    """The inverse of `to_hsv`."""
    hue, saturated, value = colours[..., 0] / 256 * 6, colours[..., 1] / WHITE, colours[..., 2]
    channels = []
    for offset in (5, 3, 1):
        place = (offset + hue) % 6
        channels.append(value - value * saturated * np.minimum(place, 4 - place).clip(0, 1))
    return np.stack(channels, axis=-1).astype(np.float32)


def _grey(pixels: Pixels) -> Pixels:
    """(H, W, 1)."""
    return pixels if pixels.shape[2] == 1 else (pixels @ GREY)[..., None]


def _blended(other: Pixels | np.float32, pixels: Pixels, factor: float) -> Pixels:
    return _held((other + np.float32(factor) * (pixels - other)).astype(np.float32))


def _held(pixels: Pixels) -> Pixels:
    return pixels.clip(0, np.float32(WHITE))
