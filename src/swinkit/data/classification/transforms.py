"""From a PIL image to the tensor a model sees: exact for evaluation, varied for training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.nn import functional as F

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.data import float_images
from swinkit.data.classification.randaugment import Canvas, RandAugment
from swinkit.data.io.images import Picture
from swinkit.data.io.multichannel import Planes
from swinkit.data.resizing import FILTERS, central_crop
from swinkit.errors import ConfigError

_FLOAT_KINDS = (float_images.brightness, float_images.contrast, float_images.saturation)
ImageTransform = Callable[[Picture], Tensor]
BatchMix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def evaluation_transform(preprocessing: Preprocessing, crops: int = 1) -> ImageTransform:
    """Give the transform of evaluation: resize as `Preprocessing` says, centre crop, normalise.

    picture of `preprocessing.channels` -> (C, H, W), float32. With three crops (3, C, H, W): both ends and
    the middle of the long side. With five (5, C, H, W): corners and centre of the whole central square, of
    which the model's crop is a part; ConfigError where it is all of it.

    Same arithmetic as torchvision's `Resize` and `CenterCrop` on PIL images. Where the resized image would
    have more than 16 times the pixels of the input, and more than 4 million, only those of the crop are
    computed: the same up to rounding, in little memory.
    """
    high, wide = preprocessing.sides
    margins = preprocessing.resized[0] - high, preprocessing.resized[1] - wide
    cropped = min(margins) > 0 and preprocessing.resize not in ("none", "exact")
    if (crops == 5 and not cropped) or (crops == 3 and not cropped and preprocessing.resize != "short"):
        raise ConfigError(
            f"`crops={crops}` needs a margin, but the model takes whole pictures of {wide}×{high}."
        )
    return _EvaluationTransform(preprocessing, crops)


def training_transform(preprocessing: Preprocessing, augmentation: Augmentation) -> ImageTransform:
    """Give the transform of training: crop, flip, RandAugment or colour jitter, normalise, random erasing.

    picture of `preprocessing.channels` -> (C, H, W), float32. Draws from torch's global generator.
    Small inputs are shifted by whole pixels instead of cropped at random (`Augmentation.shift`).
    The steps are those of `torchvision.transforms.v2`, on PIL images and without its dispatch, which
    would cost more than the work itself on images of 28 pixels.
    """
    if augmentation.randaugment is not None and preprocessing.channels not in (1, 3):
        raise ConfigError(
            f"`randaugment` is for 1 or 3 channels, but the model takes {preprocessing.channels}."
        )
    # Imported here, not in the transform: forked workers then inherit it instead of taking seconds each.
    from torchvision import transforms  # type: ignore[import-untyped, unused-ignore]

    return _TrainingTransform(
        preprocessing,
        augmentation,
        transforms.RandomResizedCrop.get_params,
        transforms.RandomErasing.get_params,
        None if augmentation.randaugment is None else RandAugment.parse(augmentation.randaugment),
    )


def mix_batch(augmentation: Augmentation, num_classes: int) -> BatchMix:
    """Give the function that mixes the images of a batch and their targets by mixup or cutmix.

    images (B, C, *T, H, W), targets (B,) int64 -> images of the same shape, soft targets (B, num_classes)
    float32, each row of sum 1; targets (B, num_classes) of 1 and 0 are mixed as they are. Label smoothing is
    left to the loss. Draws from torch's global generator.
    """
    from torchvision.transforms import v2  # type: ignore[import-untyped, unused-ignore]

    mixup, cutmix = (
        kind(alpha=alpha, num_classes=num_classes) if alpha > 0 else None
        for kind, alpha in ((v2.MixUp, augmentation.mixup), (v2.CutMix, augmentation.cutmix))
    )

    def mix(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        chance, switch = torch.rand(2).tolist()
        chosen = (
            (cutmix if switch < augmentation.switch_prob else mixup) if mixup and cutmix else mixup or cutmix
        )
        if chosen is None or chance >= augmentation.mix_prob or len(images) < 2:
            return images, targets if targets.ndim == 2 else F.one_hot(targets, num_classes).float()
        planes, soft = chosen(images.flatten(1, -3), targets)  # all frames of a clip alike
        return planes.view(images.shape), soft

    return mix


@dataclass(frozen=True)
class _EvaluationTransform:
    """A class, not a closure, so that it can be sent to worker processes; so the next one."""

    preprocessing: Preprocessing
    crops: int

    def __call__(self, image: Picture) -> Tensor:
        pre = self.preprocessing
        if self.crops == 1:
            return _normalise(central_crop(image, pre), pre)
        if self.crops == 3:
            parts = [central_crop(image, pre, place) for place in (0.0, 0.5, 1.0)]
        else:
            (height, width), (high, wide) = pre.resized, pre.sides
            whole = central_crop(image, pre.model_copy(update={"size": height, "width": width, "crop": 1.0}))
            below, right = height - high, width - wide
            corners = [(0, 0), (right, 0), (0, below), (right, below), (right // 2, below // 2)]
            parts = [whole.crop((x, y, x + wide, y + high)) for x, y in corners]
        return torch.stack([_normalise(part, pre) for part in parts])


@dataclass(frozen=True)
class _TrainingTransform:
    preprocessing: Preprocessing
    augmentation: Augmentation
    draw_crop: Callable[..., tuple[int, int, int, int]]
    draw_erasing: Callable[..., tuple[int, int, int, int, Tensor]]
    randaugment: RandAugment | None

    def __call__(self, image: Picture) -> Tensor:
        pre, aug = self.preprocessing, self.augmentation
        reach = aug.shift_for(min(pre.sides))
        if reach:
            image = _shift(central_crop(image, pre), reach)
        else:
            image = image.resize(pre.sides[::-1], FILTERS[pre.interpolation], self._draw_box(image))
        flip, erase = torch.rand(2).tolist()
        if flip < aug.hflip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.randaugment is not None:
            image = self.randaugment(image, _canvas(pre))
        elif aug.color_jitter > 0:
            image = _jitter(image, aug.color_jitter)
        tensor = _normalise(image, pre)
        if erase < aug.erasing:
            top, left, height, width, noise = self.draw_erasing(
                tensor, scale=(0.02, 1 / 3), ratio=(0.3, 3.3), value=None
            )
            tensor[:, top : top + height, left : left + width] = noise
        return tensor

    def _draw_box(self, image: Picture) -> tuple[int, int, int, int]:
        """Left, upper, right, lower of what is cut out."""
        high, wide = self.preprocessing.sides
        scale, (narrow, broad) = self.augmentation.scale_for(min(high, wide)), self.augmentation.crop_ratio
        ratio = (narrow * wide / high, broad * wide / high)
        if scale == ratio == (1.0, 1.0) and image.width == image.height:
            return (0, 0, image.width, image.height)  # nothing to draw, which is the slow part
        frame = image.bands[0] if isinstance(image, Planes) else image
        top, left, height, width = self.draw_crop(frame, scale, ratio)
        return (left, top, left + width, top + height)


def _canvas(pre: Preprocessing) -> Canvas:
    """What RandAugment fills with: the mean, as timm has it."""
    mean = tuple(min(255, round(255 * value)) for value in pre.mean)
    return Canvas(mean if len(mean) > 1 else mean[0], FILTERS[pre.interpolation])


def _shift(image: Picture, reach: int) -> Picture:
    """Move by up to `reach` pixels each way; black comes in, as in the usual recipe for CIFAR."""
    across, down = torch.randint(-reach, reach + 1, (2,)).tolist()

    def moved(band: Image.Image) -> Image.Image:
        empty = Image.new(band.mode, band.size)
        empty.paste(band, (across, down))
        return empty

    return image.each(moved) if isinstance(image, Planes) else moved(image)


def _jitter(image: Picture, strength: float) -> Picture:
    """Change brightness, contrast and, of colours, saturation by factors of 1 ± strength, in random order."""
    kinds: list[Any] = [ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color]
    count = 3 if len(image.getbands()) == 3 else 2
    factors = torch.empty(count).uniform_(1 - strength, 1 + strength).tolist()
    if isinstance(image, Planes) and len(image.bands) not in (1, 3):
        return image.each(lambda band: _brighter(band, *factors))
    for kind in torch.randperm(count).tolist():
        if isinstance(image, Planes):
            image = image.changed(partial(_FLOAT_KINDS[kind], factor=factors[kind]))
        else:
            image = kinds[kind](image).enhance(factors[kind])
    return image


def _brighter(band: Image.Image, brightness: float, contrast: float) -> Image.Image:
    """A float channel with other brightness, then other contrast about its mean."""
    values = np.asarray(band) * np.float32(brightness)
    return Image.fromarray(values.mean() + np.float32(contrast) * (values - values.mean()))


def _normalise(image: Picture, pre: Preprocessing) -> Tensor:
    # in numpy: on small pictures torch's dispatch would cost more than the work
    pixels = np.asarray(image).reshape(*pre.sides, pre.channels).transpose(2, 0, 1)
    values = np.divide(pixels, np.float32(255), order="C")
    mean, std = (np.array(numbers, np.float32)[:, None, None] for numbers in (pre.mean, pre.std))
    values -= mean
    values /= std
    return torch.from_numpy(values)
