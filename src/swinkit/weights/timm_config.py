"""timm's config.json: what it says about the images, the classes and the architecture; read and written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from swinkit.config.preprocessing import Preprocessing, shape_of
from swinkit.core.config import SwinConfig
from swinkit.errors import ConfigError
from swinkit.labels import Labels

_MODES = {"center": "short", "squash": "stretch", "border": "border"}  # ours by timm's
_CROP = 0.875  # timm.data.constants.DEFAULT_CROP_PCT


def pretrained_cfg(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What timm knows about the weights of a config.json; of older files all of it. None in other files."""
    stated = config.get("pretrained_cfg")
    if isinstance(stated, Mapping):
        return stated
    return config if "architecture" in config and "model_type" not in config else None


def timm_arguments(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments with which timm builds the model of a config.json; empty where it has none."""
    arguments = config.get("model_args")
    return arguments if pretrained_cfg(config) is not None and isinstance(arguments, Mapping) else {}


def read_timm(cfg: Mapping[str, Any], *, channels: int, side: int | tuple[int, int]) -> Preprocessing:
    """Preprocessing as timm's `resolve_data_config` and `create_transform` make it for evaluation.

    `side` is that of the input, or its height and width. Raises ConfigError for a mode that is not timm's, by
    name.
    """
    crop = cfg.get("crop_pct") or _CROP
    mode = cfg.get("crop_mode") or "center"
    if mode not in _MODES:
        raise ConfigError(f"crop_mode={mode!r} is not supported: timm has {', '.join(_MODES)}.")
    if isinstance(crop, bool) or not isinstance(crop, int | float) or crop <= 0:
        raise ConfigError(f"crop_pct={crop!r} is not supported: give a number above 0.")
    if cfg.get("crop_border_pixels"):
        raise ConfigError(f"crop_border_pixels={cfg['crop_border_pixels']!r} is not supported.")
    interpolation = cfg.get("interpolation") or "bicubic"
    if interpolation == "random":  # one of two filters for each image of training; evaluation has none
        interpolation = "bicubic"
    sides = (side, side) if isinstance(side, int) else side
    height, width = (max(1, math.floor(length / crop)) for length in sides)
    values: dict[str, Any] = {
        **shape_of(sides),
        "channels": channels,
        "crop": min(1.0, crop),
        "resize": _MODES[mode],
        "interpolation": interpolation,
    }
    if [height, width] != [round(length / values["crop"]) for length in sides]:
        values["resize_to"] = height if height == width else (height, width)
    for name in ("mean", "std"):
        numbers = cfg.get(name)
        if isinstance(numbers, list | tuple) and len(numbers) == 1:
            numbers = [*numbers] * channels
        if numbers and not len(numbers) == 3 != channels:
            values[name] = numbers
    return Preprocessing.checked(values)


def timm_labels(config: Mapping[str, Any]) -> Any:
    """Class names, wherever a config.json has them."""
    inner = pretrained_cfg(config) or {}
    names = (config.get("label_names"), inner.get("label_names"), inner.get("labels"))
    return next((found for found in names if found), None)


def timm_config(
    config: SwinConfig, labels: Labels | None, pre: Preprocessing | None, licence: str
) -> dict[str, Any]:
    """config.json with which timm builds the model, from a folder too (`local-dir:`), and prepares images."""
    size = list(config.input_size or (224, 224))
    classes = 0 if labels is None else len(labels)
    cfg: dict[str, Any] = {
        "num_classes": classes,
        "input_size": [config.in_chans, *size],
        "fixed_input_size": True,
        "pool_size": list(config.grid(config.stages - 1) or (7, 7)),
        "first_conv": "patch_embed.proj",
        "classifier": "head.fc",
    }
    if pre is not None:
        cfg |= timm_images(pre)
    if licence:
        cfg["license"] = licence
    window = config.windows[0]
    arguments = {
        "img_size": size,
        "patch_size": config.patch_size[0] if len(set(config.patch_size)) == 1 else list(config.patch_size),
        "window_size": window[0] if len(set(window)) == 1 else list(window),
        "embed_dim": config.embed_dim,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "mlp_ratio": config.mlp_ratio,
        "in_chans": config.in_chans,
    }
    if config.fit == "roll_pad_shift":
        arguments["always_partition"] = True
    named = {} if labels is None or labels.numbered else {"label_names": list(labels.names)}
    return {
        "architecture": _architecture(config),
        "num_classes": classes,
        "num_features": config.dim(config.stages - 1),
        "global_pool": "avg",
        "model_args": arguments,
        **named,
        "pretrained_cfg": cfg,
    }


def not_timm(pre: Preprocessing) -> list[str]:
    """What timm's transforms cannot say about a preprocessing."""
    faults = {
        f"resize={pre.resize!r}": pre.resize not in _MODES.values(),
        f"longest={pre.longest}": pre.longest is not None,
        "antialias=False": not pre.antialias,
        f"images of {pre.resized} before the crop": _crop_pct(pre) is None,
        "transformers' rounding of odd margins": pre.rounding == "transformers" and pre.resize == "short",
    }
    return [fault for fault, present in faults.items() if present]


def timm_images(pre: Preprocessing) -> dict[str, Any]:
    """Describe images as a pretrained_cfg does."""
    mean, std = pre.statistics_of_8_bits
    modes = {ours: theirs for theirs, ours in _MODES.items()}
    return {
        "input_size": [pre.channels, *pre.sides],
        "interpolation": pre.interpolation,
        "crop_pct": _crop_pct(pre) or pre.crop,
        "crop_mode": modes.get(pre.resize, "center"),
        "mean": list(mean),
        "std": list(std),
    }


def _crop_pct(pre: Preprocessing) -> float | None:
    """The plainest share of which timm, which rounds down, makes so many pixels; None where there is none."""
    candidates = [pre.crop]
    for side, resized in zip(pre.sides, pre.resized, strict=True):
        candidates += [side / resized, side / (resized + 0.5)]
    for share in candidates:
        if tuple(math.floor(side / share) for side in pre.sides) == pre.resized:
            return share
    return None


def _architecture(config: SwinConfig) -> str:
    """Name timm's family of a size; the numbers themselves stand in model_args."""
    names: dict[tuple[int, tuple[int, ...]], str] = {
        (96, (2, 2, 6, 2)): "swin_tiny",
        (96, (2, 2, 18, 2)): "swin_small",
        (128, (2, 2, 18, 2)): "swin_base",
        (192, (2, 2, 18, 2)): "swin_large",
    }
    name = names.get((config.embed_dim, tuple(config.depths)), "swin_tiny")
    large = name in ("swin_base", "swin_large") and config.input_size == (384, 384)
    return f"{name}_patch4_window12_384" if large else f"{name}_patch4_window7_224"
