"""How inputs become tensors: what travels with the weights, and what training varies. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from swinkit.config.base import Settings

Interpolation = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
MAX_SIDE = 2**17  # pixels; more are in no image that can be read
MAX_FRAMES = 2**14  # of a clip
_IMAGENET = {3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), 1: ((0.449,), (0.226,))}


def checked_range(limits: tuple[float, float] | None) -> tuple[float, float] | None:
    """A range of values; ValueError for one without extent, or of numbers that are not finite."""
    if limits is not None and not (limits[0] < limits[1] and math.isfinite(limits[1] - limits[0])):
        raise ValueError("give two finite numbers, the smaller first")
    return limits


class Clips(Settings):
    """Which frames of a video make the input of a model.

    `dense` takes `frames` frames in a row, `stride` apart, and begins anew where a video is shorter;
    `uniform` takes one of each of so many equal parts of the whole. `fps` is the rate at which `stride`
    counts; None: the video's own, as published.
    """

    frames: int = Field(default=32, ge=1, le=MAX_FRAMES, description="Frames of a clip that the model takes.")
    stride: int = Field(
        default=2, ge=1, le=MAX_FRAMES, description="Step from one frame of a clip to the next."
    )
    sampling: Literal["dense", "uniform"] = Field(
        default="dense", description="Frames in a row, or one of each equal part of the whole video."
    )
    fps: float | None = Field(default=None, ge=1e-3, le=1e4, description="Rate at which stride counts.")


class Dense(Settings):
    """To what size a picture is brought for a model that answers every pixel; its shape is kept, all of it.

    It becomes as large as fits: its long side within `long`, its short one within `short`. None: it stays.
    """

    short: int | None = Field(default=None, ge=1, le=MAX_SIDE)
    long: int | None = Field(default=None, ge=1)

    @property
    def stated(self) -> tuple[int, int] | None:
        """(long side, short side); None where pictures stay as they are."""
        return None if self.short is None else (self.long or 2**31, self.short)

    def limits(self, size: tuple[int, int]) -> tuple[int, int]:
        """(long side, short side) for a picture of that size."""
        return self.stated or (max(size), min(size))


class Preprocessing(Settings):
    """How an image or a video becomes the input of a model; it travels with the weights.

    An image is resized to `resized` pixels, then the central square of `size` is cut out. `resize` names the
    side that becomes so long: the short one; both ("stretch"); the long one, with a border of the mean where
    the other is too short ("border"). With "none" the square is cut from the image as it is, and "exact"
    takes images of that size alone. `resize_to` is `resized` where that is not size / crop, rounded; below
    `size` black lies around.
    Where the input is no square, `size` is its height and `width` its width; `resized` then has two sides,
    which with "short" the image covers, and with "border" lies within.
    `longest` limits the long side of "short". `rounding` is whose rule holds for sizes and margins of half a
    pixel. Without `antialias` pixels are skipped where an image shrinks, as in torchvision's videos.

    `mean` and `std` hold for pixels in 0..1, one number a channel; ImageNet's, or their mean for grey. `clip`
    is for videos. With `dense` nothing is cut, and `size` is that of the crops of training; with `square` a
    picture then fills a square of `size`, stretched (to `width`, where it is stated), or padded with grey to
    the right and below.

    `value_range` has the stored values that become 0 and 1; None: by the type of the numbers, 0..255 of
    uint8, 0..65535 of uint16, False and True. It holds for all images, or for those of types that are
    `unbounded`: floats, signed and wider integers.
    """

    size: int = Field(ge=1, le=MAX_SIDE)
    width: int | None = Field(default=None, ge=1, le=MAX_SIDE)
    channels: int = Field(default=3, ge=1, le=2**14)
    crop: float = Field(default_factory=lambda known: usual_crop(known.get("size", 0)), ge=0.01, le=1)
    mean: tuple[float, ...] = Field(default_factory=lambda known: _statistics(known.get("channels", 3))[0])
    std: tuple[float, ...] = Field(default_factory=lambda known: _statistics(known.get("channels", 3))[1])
    interpolation: Interpolation = "bicubic"
    resize: Literal["short", "stretch", "border", "none", "exact"] = "short"
    resize_to: Annotated[int, Field(ge=1)] | tuple[PositiveInt, PositiveInt] | None = None
    longest: int | None = Field(default=None, ge=1, le=2**31)
    rounding: Literal["torchvision", "transformers"] = "torchvision"
    antialias: bool = True
    clip: Clips | None = None
    dense: Dense | None = None
    square: Literal["stretch", "pad"] | None = None
    value_range: tuple[float, float] | None = None
    value_range_for: Literal["all", "unbounded"] = "all"

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of an input in pixels."""
        return self.size, self.width or self.size

    @property
    def resized(self) -> tuple[int, int]:
        """Height and width in pixels before the crop."""
        if isinstance(self.resize_to, tuple):
            return self.resize_to
        height, width = (self.resize_to or round(side / self.crop) for side in self.sides)
        return height, width

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an input, (C, T, H, W) of a clip."""
        frames = () if self.clip is None else (self.clip.frames,)
        return (self.channels, *frames, *self.sides)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(
                f"mean has {len(self.mean)} and std {len(self.std)} numbers for {self.channels} channels; "
                "give one number a channel"
            )
        if not all(1e-6 <= std <= 1e6 for std in self.std):
            raise ValueError(f"std is {self.std}; give numbers above 0, of pixels in 0..1")
        if not all(abs(mean) <= 1e6 for mean in self.mean):
            raise ValueError(f"mean is {self.mean}; give finite numbers, of pixels in 0..1")
        if max(self.resized) > MAX_SIDE:
            raise ValueError(f"images are resized to {max(self.resized):.3g} pixels a side; give less")
        if self.width is not None and self.dense is not None and self.square != "stretch":
            raise ValueError("width is of images that are cut or stretched; these keep their shape")
        if not self.antialias and self.interpolation not in ("nearest", "bilinear", "bicubic"):
            raise ValueError(f"interpolation {self.interpolation!r} is always antialiased")
        return self

    @property
    def ranged(self) -> bool:
        """Whether images of 8 bits have another range than 0..255."""
        return self.value_range not in (None, (0.0, 255.0)) and self.value_range_for == "all"

    @property
    def statistics_of_8_bits(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation for images of 8 bits over 255, whatever the range of values."""
        if not self.ranged or self.value_range is None:
            return self.mean, self.std
        low, high = self.value_range
        scale = (high - low) / 255
        mean = tuple(value * scale + low / 255 for value in self.mean)
        return mean, tuple(value * scale for value in self.std)

    def with_range(self, limits: tuple[float, float], *, unbounded: bool = False) -> Preprocessing:
        """The same with another range of values."""
        scope = "unbounded" if unbounded else "all"
        return self.model_copy(update={"value_range": tuple(limits), "value_range_for": scope})

    @field_validator("value_range")
    @classmethod
    def _check_range(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        return checked_range(limits)


def usual_crop(size: int) -> float:
    """Small pictures have no margin to lose; 384² and more is published without crop."""
    return 0.875 if 96 <= size < 384 else 1.0


def shape_of(sides: Sequence[int]) -> dict[str, int]:
    """`size` and, for inputs that are not square, `width` of Preprocessing, from height and width."""
    height, width = sides
    return {"size": height} if height == width else {"size": height, "width": width}


def _statistics(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return _IMAGENET.get(channels, ((0.5,) * channels, (0.5,) * channels))
