"""Data augmentation options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from swinkit.config.base import Settings
from swinkit.errors import ConfigError

MAX_MAGNITUDE = 10.0  # the largest magnitude
_PATTERN = re.compile(r"([a-z]+)(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class RandAugmentSpec:
    """Parameters of RandAugment, as timm's text says them: magnitude 0..10, layers, probability, spread."""

    magnitude: float = MAX_MAGNITUDE
    layers: int = 2
    chance: float = 0.5
    spread: float = 0.0
    increasing: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read timm's spelling, such as "rand-m9-mstd0.5-inc1"; ConfigError for what is not understood."""
        first, *sections = text.split("-")
        matches = [_PATTERN.fullmatch(section) for section in sections]
        values = {match[1]: float(match[2]) for match in matches if match}
        known = {"m": "magnitude", "n": "layers", "p": "chance", "mstd": "spread", "inc": "increasing"}
        if first != "rand" or None in matches or not values.keys() <= known.keys():
            raise ConfigError(
                f"`randaugment={text!r}` is not understood: write it as rand-m9-mstd0.5-inc1, with m the "
                "magnitude (0 to 10), mstd its spread, inc1 for changes that grow with it, n the changes an "
                "image, p the chance of each."
            )
        if values.get("m", 0) > MAX_MAGNITUDE or values.get("p", 0) > 1:
            raise ConfigError(f"`randaugment={text!r}`: m is at most 10, and p at most 1.")
        typed = {"layers": int, "increasing": bool}
        named = {known[key]: value for key, value in values.items()}
        return cls(**{name: typed.get(name, float)(value) for name, value in named.items()})


class Augmentation(Settings):
    """What training varies; the defaults suit data sets of some hundred to some ten thousand images."""

    shift: float | None = Field(
        default=None,
        ge=0,
        le=0.5,
        description="Move by whole pixels, up to this share of the side, instead of a random crop; "
        "by default 1/8 below 64 pixels, where resampling would blur more than it varies.",
    )
    crop_scale: tuple[float, float] | None = Field(
        default=None,
        description="Smallest and largest share of the area that is cut out; by default by input size.",
    )
    crop_ratio: tuple[float, float] = Field(
        default=(3 / 4, 4 / 3),
        description="Narrowest and widest width over height of the cut, relative to that of the input.",
    )
    hflip: float = Field(default=0.5, ge=0, le=1, description="Chance of a left-right flip.")
    randaugment: str | None = Field(
        default=None,
        description="RandAugment in timm's spelling, rand-m9-mstd0.5-inc1 as published; takes the place of "
        "colour jitter.",
    )
    color_jitter: float = Field(
        default=0.2, ge=0, le=1, description="Largest relative change of brightness, contrast and saturation."
    )
    erasing: float = Field(default=0.1, ge=0, le=1, description="Chance that a rectangle becomes noise.")
    mixup: float = Field(default=0.2, ge=0, description="Alpha of mixup's beta distribution; 0 turns it off.")
    cutmix: float = Field(default=1.0, ge=0, description="Alpha of cutmix's; 0 turns it off.")
    mix_prob: float = Field(default=0.5, ge=0, le=1, description="Chance that a batch is mixed at all.")
    switch_prob: float = Field(default=0.5, ge=0, le=1, description="Chance of cutmix where both are on.")
    label_smoothing: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the target that is spread over all classes."
    )
    resize: tuple[float, float] = Field(
        default=(0.5, 2.0), description="With masks: smallest and largest factor before a crop is cut."
    )
    largest_class: float = Field(
        default=0.75, gt=0, le=1, description="With masks: share of a crop that no class shall reach."
    )
    distortion: bool = Field(
        default=True, description="With masks or boxes: vary brightness, contrast, saturation and hue."
    )
    resizing: Literal["published", "jitter", "none"] = Field(
        default="published",
        description="With boxes: short sides and crops as published; large-scale jitter; or as in tests.",
    )
    copy_paste: float = Field(
        default=0.0, ge=0, le=1, description="With boxes: chance that objects of another picture are added."
    )
    crowds: Literal["ignored", "background"] = Field(
        default="ignored",
        description="With boxes: what groups of objects (iscrowd, difficult) teach: nothing, or background, "
        "as in mmdet and the published recipes.",
    )
    mosaic: float = Field(
        default=0.0, ge=0, le=1, description="With boxes: chance of a mosaic of 4 or 9 pictures."
    )

    @field_validator("randaugment")
    @classmethod
    def _check_randaugment(cls, text: str | None) -> str | None:
        if text is not None:
            RandAugmentSpec.parse(text)
        return text

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.crop_scale is not None and not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ValueError(
                f"`crop_scale` is {self.crop_scale}; give two numbers in (0, 1], the smaller first"
            )
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(
                f"`crop_ratio` is {self.crop_ratio}; give two numbers above 0, the smaller first"
            )
        if not 0 < self.resize[0] <= self.resize[1]:
            raise ValueError(f"`resize` is {self.resize}; give two numbers above 0, the smaller first")
        return self

    def shift_for(self, size: int) -> int:
        """Largest shift in pixels for inputs of `size` pixels; 0 where the random crop varies them."""
        if self.shift is None:
            return size // 8 if size < 64 and self.crop_scale is None else 0
        return round(self.shift * size)

    def scale_for(self, size: int) -> tuple[float, float]:
        """Give the range of crop areas for inputs of `size` pixels: small images bear less cutting."""
        if self.crop_scale is not None:
            return self.crop_scale
        if size >= 160:
            return 0.08, 1.0
        return (0.35, 1.0) if size >= 96 else (0.6, 1.0)
