"""The image processors of transformers, as preprocessor_config.json describes them: read and written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swinkit.config.preprocessing import Dense, Interpolation, Preprocessing, shape_of
from swinkit.errors import ConfigError, nearest

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5)
# Pillow's numbers of filters
RESAMPLING: tuple[Interpolation, ...] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")


@dataclass(frozen=True)
class _Processor:
    """What a class does where its file says nothing.

    `squares` tells that a lone number as size is that of both sides, not of the short one.
    """

    resample: int = 3
    mean: tuple[float, ...] = _HALF
    std: tuple[float, ...] = _HALF
    squares: bool = True
    crops: bool = False


# transformers/models/*/image_processing_pil_*.py
_PROCESSORS = {
    "ViT": _Processor(resample=2),
    "DeiT": _Processor(crops=True),
    "Beit": _Processor(),
    "CLIP": _Processor(mean=CLIP_MEAN, std=CLIP_STD, squares=False, crops=True),
    "Bit": _Processor(mean=CLIP_MEAN, std=CLIP_STD, squares=False, crops=True),
    "Siglip": _Processor(squares=False),
    "Pvt": _Processor(mean=_IMAGENET_MEAN, std=_IMAGENET_STD),
    "ConvNext": _Processor(squares=False),
    "Segformer": _Processor(resample=2, mean=_IMAGENET_MEAN, std=_IMAGENET_STD),
    "OwlViT": _Processor(mean=CLIP_MEAN, std=CLIP_STD),
    "Owlv2": _Processor(resample=2, mean=CLIP_MEAN, std=CLIP_STD),
}
_USUAL = {"upernet": "Segformer", "owlvit": "OwlViT", "owlv2": "Owlv2"}  # by model_type; else ViT
_STEPS = (
    *("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_pad"),
    *("do_convert_rgb", "do_reduce_labels"),  # the first is done always, the second is for masks
)


def read_processor(
    settings: Mapping[str, Any],
    *,
    model_type: str,
    channels: int,
    trained: int | tuple[int, int],
    dense: bool,
) -> Preprocessing:
    """Preprocessing from the content of a preprocessor_config.json.

    `trained` is the side that the model was trained at, or height and width, which hold where no size is
    stated; a `dense` model keeps whole images. Raises ConfigError for a class or a setting that swinkit does
    not compute, by name.
    """
    name = _class_name(settings, model_type)
    kind = _PROCESSORS[name]
    _refuse_other_steps(settings)
    if name == "Owlv2" and model_type != "owlv2":
        raise ConfigError("Owlv2ImageProcessor is supported for OWLv2 alone: it resizes by code of its own.")
    trained = (trained, trained) if isinstance(trained, int) else trained
    values: dict[str, Any] = {"channels": channels, "rounding": "transformers"}
    values["interpolation"] = _interpolation(settings.get("resample"), kind)
    values |= _statistics(settings, kind, channels)
    size = _sizes(settings, kind, trained)
    crop = _crop_size(settings, kind, trained) if name not in ("Segformer", "ConvNext") else None
    if settings.get("do_resize", True) is False:
        size = {}
    if dense:
        if crop is not None:
            raise ConfigError("do_center_crop: a model that predicts every pixel takes whole images.")
        values |= _whole(size, trained)
    elif name == "ConvNext" and "shortest_edge" in size:
        values |= _convnext(size["shortest_edge"], settings.get("crop_pct") or 224 / 256)
    else:
        values |= _cut(size, crop, trained)
    return Preprocessing.checked(values)


def write_processor(pre: Preprocessing) -> dict[str, Any] | None:
    """Content of a preprocessor_config.json that computes the same; None where transformers has no words."""
    if pre.resize == "border" or not pre.antialias or pre.clip is not None or pre.square == "pad":
        return None
    mean, std = pre.statistics_of_8_bits
    common = {
        "do_resize": True,
        "resample": RESAMPLING.index(pre.interpolation),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(std),
    }
    side = dict(zip(("height", "width"), pre.sides, strict=True))
    if pre.dense is not None:
        limits = {"shortest_edge": pre.dense.short, "longest_edge": pre.dense.long}
        size: dict[str, Any] = {key: value for key, value in limits.items() if value is not None}
        size = side if pre.square == "stretch" else size
        told = {"size": size} if size else {"do_resize": False}
        return {"image_processor_type": "SegformerImageProcessor", **common, "do_reduce_labels": False} | told
    if pre.resize == "exact":
        return {"image_processor_type": "ViTImageProcessor", **common, "do_resize": False, "size": side}
    if pre.resize == "stretch" and pre.resized == pre.sides:
        return {"image_processor_type": "ViTImageProcessor", **common, "size": side}
    # CLIP's class cuts the centre in every release of transformers
    cut = {"do_center_crop": True, "crop_size": side, "do_convert_rgb": pre.channels == 3}
    if pre.resize == "stretch":
        size = dict(zip(("height", "width"), pre.resized, strict=True))
    elif pre.resize == "short" and pre.resized[0] != pre.resized[1]:
        return None
    else:
        size = {"shortest_edge": pre.resized[0]}
        size |= {} if pre.longest is None else {"longest_edge": pre.longest}
    told = {"do_resize": False} if pre.resize == "none" else {"size": size}
    return {"image_processor_type": "CLIPImageProcessor", **common, **cut, **told}


def _class_name(settings: Mapping[str, Any], model_type: str) -> str:
    """Name of a class without what all of them end with."""
    stated = settings.get("image_processor_type") or settings.get("feature_extractor_type")
    if stated is None:
        return _USUAL.get(model_type, "ViT")
    name = re.sub(r"(ImageProcessor(Fast|Pil)?|FeatureExtractor)$", "", str(stated))
    if name not in _PROCESSORS:
        raise ConfigError(f"image_processor_type={stated!r} is not supported: {nearest(name, _PROCESSORS)}")
    return name


def _refuse_other_steps(settings: Mapping[str, Any]) -> None:
    """Refuse a step that would change pixels and is not computed here; ConfigError names it."""
    for key, value in settings.items():
        unknown = key.startswith("do_") and key not in _STEPS
        if value and (unknown or key in ("rescale_offset", "size_divisor")):
            raise ConfigError(f"{key}={value!r} is not supported.")


def _interpolation(resample: Any, kind: _Processor) -> Interpolation:
    number = kind.resample if resample is None else resample
    if type(number) is not int or not 0 <= number < len(RESAMPLING):
        raise ConfigError(f"resample={number!r} is not supported: Pillow's filters are 0 to 5.")
    return RESAMPLING[number]


def _statistics(settings: Mapping[str, Any], kind: _Processor, channels: int) -> dict[str, Any]:
    """Mean and deviation for values in 0..1; a rescale factor other than 1/255 is folded into them."""
    factor = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    if isinstance(factor, bool) or not isinstance(factor, int | float) or factor <= 0:
        raise ConfigError(f"rescale_factor={factor!r} is not supported: give a number above 0.")
    white = 255 * factor  # value of a white pixel before it is normalised
    mean: Any = 0.0
    std: Any = 1.0
    if settings.get("do_normalize", True):
        mean, std = settings.get("image_mean"), settings.get("image_std")
        mean = kind.mean if mean is None else mean
        std = kind.std if std is None else std
    means, stds = (_per_channel(numbers, channels) for numbers in (mean, std))
    if means is None or stds is None:  # the library's default for three channels, which these are not
        return {}
    return {"mean": [value / white for value in means], "std": [value / white for value in stds]}


def _per_channel(numbers: Any, channels: int) -> list[float] | None:
    """A number for each channel; None where three stand for images of another number of channels."""
    if isinstance(numbers, int | float) and not isinstance(numbers, bool):
        return [float(numbers)] * channels
    if not isinstance(numbers, list | tuple) or not all(type(value) in (int, float) for value in numbers):
        raise ConfigError(f"image_mean or image_std is {numbers!r}: give one number per channel.")
    return None if len(numbers) == 3 != channels else [float(value) for value in numbers]


def _sizes(settings: Mapping[str, Any], kind: _Processor, trained: tuple[int, int]) -> dict[str, int]:
    """Size in today's spelling: height and width, or shortest_edge and perhaps longest_edge."""
    size = settings.get("size")
    size = _trained_size(trained) if size is None else size
    longest = settings.get("max_size")
    if _is_side(size):
        size = {"height": size, "width": size} if kind.squares else {"shortest_edge": size}
    elif isinstance(size, list | tuple) and len(size) == 2:
        size = {"height": size[0], "width": size[1]}
    if not isinstance(size, Mapping):
        raise ConfigError(f"size={size!r} is not supported: give height and width, or shortest_edge.")
    sides = {str(key): value for key, value in size.items() if value is not None}
    if longest is not None and "shortest_edge" in sides:
        sides["longest_edge"] = longest
    if set(sides) not in ({"height", "width"}, {"shortest_edge"}, {"shortest_edge", "longest_edge"}):
        raise ConfigError(f"size={dict(size)!r} is not supported: give height and width, or shortest_edge.")
    if not all(_is_side(value) for value in sides.values()):
        raise ConfigError(f"size={dict(size)!r} is not supported: give whole numbers above 0.")
    return sides


def _trained_size(trained: tuple[int, int]) -> int | tuple[int, int]:
    """A lone number for a square, which each class takes in its own way."""
    return trained[0] if trained[0] == trained[1] else trained


def _crop_size(
    settings: Mapping[str, Any], kind: _Processor, trained: tuple[int, int]
) -> tuple[int, int] | None:
    """Height and width of the central crop; None where nothing is cut."""
    crops = settings.get("do_center_crop")
    if not (kind.crops if crops is None else crops):
        return None
    size = settings.get("crop_size")
    size = trained if size is None else size
    sides: Any = (size, size) if _is_side(size) else size
    if isinstance(size, Mapping):
        sides = (size.get("height"), size.get("width"))
    if not isinstance(sides, list | tuple) or len(sides) != 2 or not all(map(_is_side, sides)):
        raise ConfigError(f"crop_size={size!r} is not supported: give height and width above 0.")
    return sides[0], sides[1]


def _is_side(value: Any) -> bool:
    return type(value) is int and value > 0


def _whole(size: Mapping[str, int], trained: tuple[int, int]) -> dict[str, Any]:
    """Whole images of a model that predicts every pixel: stretched, within two sides, or as they are."""
    if "height" in size:
        sides = size["height"], size["width"]
        dense = {"short": min(sides), "long": max(sides)}
        return shape_of(sides) | {"crop": 1.0, "dense": dense, "square": "stretch"}
    limits = Dense(short=size.get("shortest_edge"), long=size.get("longest_edge"))
    return {"size": min(trained), "crop": 1.0, "dense": limits.model_dump()}


def _cut(size: Mapping[str, int], crop: tuple[int, int] | None, trained: tuple[int, int]) -> dict[str, Any]:
    """Resize and crop of a classifier."""
    if not size:
        return shape_of(crop or trained) | {"crop": 1.0, "resize": "exact" if crop is None else "none"}
    if "height" in size:
        sides = size["height"], size["width"]
        return cut_from(sides, crop or sides) | {"resize": "stretch"}
    if crop is None:
        raise ConfigError(
            "size.shortest_edge without do_center_crop is not supported: all inputs of a model have one "
            "size; give height and width, or crop_size."
        )
    side = size["shortest_edge"]
    return cut_from((side, side), crop) | {"longest": size.get("longest_edge")}


def _convnext(side: int, crop_pct: float) -> dict[str, Any]:
    """ConvNeXt's class cuts below 384 pixels, and stretches from there on."""
    if side >= 384:
        return cut_from((side, side), (side, side)) | {"resize": "stretch"}
    resized = int(side / crop_pct)
    return cut_from((resized, resized), (side, side))


def cut_from(resized: tuple[int, int], sides: tuple[int, int]) -> dict[str, Any]:
    """Settings of an input of `sides` that is cut from `resized` pixels, or lies within black."""
    crop = min(1.0, sides[0] / resized[0])
    if tuple(round(side / crop) for side in sides) == resized:
        return shape_of(sides) | {"crop": crop}
    resize_to = resized[0] if resized[0] == resized[1] else resized
    return shape_of(sides) | {"crop": 1.0, "resize_to": resize_to}
