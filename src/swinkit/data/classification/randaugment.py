"""RandAugment as the published recipes draw it: a few of fifteen changes, each of a drawn strength.

Semantics are those of timm's `rand-m9-mstd0.5-inc1` (Cubuk et al. 2019 with a spread of the magnitude, and
changes that all grow with it); torchvision's RandAugment has neither. Strengths run from 0 to 10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

from swinkit.config.augmentation import MAX_MAGNITUDE, RandAugmentSpec
from swinkit.data import float_images
from swinkit.data.io.multichannel import Planes

Picture = Image.Image | Planes


@dataclass(frozen=True)
class Canvas:
    """What geometric changes need: the colour that comes in from outside, and the filter."""

    fill: tuple[int, ...] | int
    resample: Image.Resampling


@dataclass(frozen=True)
class RandAugment(RandAugmentSpec):
    """Draws `layers` changes with replacement and applies each with probability `chance`.

    The strength of each is normal around `magnitude` with deviation `spread`, cut to 0..10. With `increasing`
    every change grows with its strength; without it the enhancements run from 0.1 to 1.9, and posterising and
    solarising weaken. Draws from torch's global generator.
    """

    def __call__(self, image: Picture, canvas: Canvas) -> Picture:
        """Change an image of mode RGB or L, or a float image of so many channels."""
        changes = GROWING if self.increasing else CHANGES
        names = list(changes)
        for place in torch.randint(len(names), (self.layers,)).tolist():
            applied, sign, strength = torch.rand(2).tolist() + torch.randn(1).tolist()
            if applied < self.chance:
                level = min(MAX_MAGNITUDE, max(0.0, self.magnitude + self.spread * strength))
                image = changes[names[place]](image, level / MAX_MAGNITUDE, -1 if sign < 0.5 else 1, canvas)
        return image


# of the image, its strength in 0..1, a drawn sign, and the canvas
Change = Callable[[Any, float, int, Canvas], Any]


def _filled(image: Picture, canvas: Canvas, change: Callable[..., Image.Image]) -> Picture:
    """A geometric change, of a float image channel by channel."""
    if not isinstance(image, Planes):
        return change(image, resample=canvas.resample, fillcolor=canvas.fill)
    fills = canvas.fill if isinstance(canvas.fill, tuple) else (canvas.fill,)
    bands = []
    for band, fill in zip(image.bands, fills, strict=True):
        # a cubic filter overshoots, which 8 bits cut off
        changed = change(band, resample=canvas.resample, fillcolor=fill)
        bands.append(Image.fromarray(np.asarray(changed).clip(0, 255)))
    return Planes(bands, image.clipped)


def _affine(image: Picture, matrix: tuple[float, ...], canvas: Canvas) -> Picture:
    def change(band: Image.Image, **options: Any) -> Image.Image:
        return band.transform(band.size, Image.Transform.AFFINE, matrix, **options)

    return _filled(image, canvas, change)


def _rotate(image: Picture, strength: float, sign: int, canvas: Canvas) -> Picture:
    return _filled(image, canvas, lambda band, **options: band.rotate(sign * 30 * strength, **options))


def _shear_x(image: Picture, strength: float, sign: int, canvas: Canvas) -> Picture:
    return _affine(image, (1, sign * 0.3 * strength, 0, 0, 1, 0), canvas)


def _shear_y(image: Picture, strength: float, sign: int, canvas: Canvas) -> Picture:
    return _affine(image, (1, 0, 0, sign * 0.3 * strength, 1, 0), canvas)


def _translate_x(image: Picture, strength: float, sign: int, canvas: Canvas) -> Picture:
    return _affine(image, (1, 0, sign * 0.45 * strength * image.width, 0, 1, 0), canvas)


def _translate_y(image: Picture, strength: float, sign: int, canvas: Canvas) -> Picture:
    return _affine(image, (1, 0, 0, 0, 1, sign * 0.45 * strength * image.height), canvas)


def _autocontrast(image: Picture, *_: object) -> Picture:
    if isinstance(image, Planes):
        return image.changed(float_images.autocontrast)
    return ImageOps.autocontrast(image)


def _equalize(image: Picture, *_: object) -> Picture:
    return image.changed(float_images.equalize) if isinstance(image, Planes) else ImageOps.equalize(image)


def _invert(image: Picture, *_: object) -> Picture:
    if isinstance(image, Planes):
        return image.changed(lambda pixels: 255 - pixels)
    return ImageOps.invert(image)


def _solarize_add(image: Picture, strength: float, *_: object) -> Picture:
    added = min(128, int(110 * strength))
    if isinstance(image, Planes):
        return image.changed(lambda pixels: float_images.solarize_add(pixels, added))
    table = [min(255, value + added) if value < 128 else value for value in range(256)]
    return image.point(table * len(image.getbands()))


FLOAT_KINDS = {
    ImageEnhance.Color: float_images.saturation,
    ImageEnhance.Contrast: float_images.contrast,
    ImageEnhance.Brightness: float_images.brightness,
    ImageEnhance.Sharpness: float_images.sharpness,
}


def _enhance(kind: Any, *, growing: bool) -> Change:
    """Brightness, contrast, colour or sharpness: away from 1 by up to 0.9 with a sign, or 0.1 to 1.9."""

    def change(image: Picture, strength: float, sign: int, canvas: Canvas) -> Picture:
        factor = max(0.1, 1 + sign * 0.9 * strength) if growing else 1.8 * strength + 0.1
        if isinstance(image, Planes):
            return image.changed(lambda pixels: FLOAT_KINDS[kind](pixels, factor))
        changed: Image.Image = kind(image).enhance(factor)
        return changed

    return change


def _changes(*, growing: bool) -> dict[str, Change]:
    """The fifteen changes in timm's order."""

    def posterize(image: Picture, strength: float, *_: object) -> Picture:
        bits = 4 - int(4 * strength) if growing else int(4 * strength)
        if isinstance(image, Planes):
            return image.changed(lambda pixels: float_images.posterize(pixels, bits))
        # no bits give black, as in the Pillow of the time; today's refuses
        return ImageOps.posterize(image, bits) if bits else image.point([0] * 256 * len(image.getbands()))

    def solarize(image: Picture, strength: float, *_: object) -> Picture:
        threshold = min(256, int(256 * strength))
        if isinstance(image, Planes):
            threshold = 256 - threshold if growing else threshold
            return image.changed(lambda pixels: float_images.solarize(pixels, threshold))
        return ImageOps.solarize(image, 256 - threshold if growing else threshold)

    return {
        "autocontrast": _autocontrast,
        "equalize": _equalize,
        "invert": _invert,
        "rotate": _rotate,
        "posterize": posterize,
        "solarize": solarize,
        "solarize_add": _solarize_add,
        "color": _enhance(ImageEnhance.Color, growing=growing),
        "contrast": _enhance(ImageEnhance.Contrast, growing=growing),
        "brightness": _enhance(ImageEnhance.Brightness, growing=growing),
        "sharpness": _enhance(ImageEnhance.Sharpness, growing=growing),
        "shear_x": _shear_x,
        "shear_y": _shear_y,
        "translate_x": _translate_x,
        "translate_y": _translate_y,
    }


CHANGES, GROWING = _changes(growing=False), _changes(growing=True)
