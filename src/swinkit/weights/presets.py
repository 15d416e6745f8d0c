"""How each family of published classifiers evaluates images, where no file beside the weights says it."""

from __future__ import annotations

from typing import Any

from swinkit.config.preprocessing import Preprocessing, shape_of
from swinkit.core.config import SwinConfig
from swinkit.weights.image_processors import cut_from
from swinkit.weights.timm_config import read_timm

# torchvision/models/swin_transformer.py: resize_size of Swin_{T,S,B}_Weights.IMAGENET1K_V1
_TORCHVISION: dict[tuple[int, tuple[int, ...]], int] = {
    (96, (2, 2, 6, 2)): 232,
    (96, (2, 2, 18, 2)): 246,
    (128, (2, 2, 18, 2)): 238,
}
_WHOLE = 384  # side from which on Microsoft's and OpenMMLab's configs stretch (TEST.CROP False)


def preset(dialect: str, config: SwinConfig) -> Preprocessing | None:
    """The evaluation transform of a dialect's published classifiers of this size; None where it has none."""
    if config.input_size is None:
        return None
    sides = config.input_size[-2], config.input_size[-1]
    side = min(sides)
    values: dict[str, Any] = {"channels": config.in_chans}
    if dialect == "torchvision3d":
        return Preprocessing.checked(values | _video(config.input_size[0], sides))
    if config.rank != 2:
        return None
    if dialect == "timm":
        return read_timm({"crop_pct": 1.0 if side >= _WHOLE else 0.9}, channels=config.in_chans, side=sides)
    if dialect == "torchvision" and sides == (224, 224):
        resized = _TORCHVISION.get((config.embed_dim, tuple(config.depths)))
        if resized is None:
            return None
        return Preprocessing.checked(values | cut_from((resized, resized), sides))
    if dialect in ("microsoft", "openmmlab"):
        return Preprocessing.checked(values | _microsoft(sides))
    return None


def _microsoft(sides: tuple[int, int]) -> dict[str, Any]:
    """As data/build.py `build_transform` and mmpretrain's swin configs.

    Rectangles, which build_transform can only stretch (TEST.CROP False), are stretched.
    """
    if min(sides) >= _WHOLE or sides[0] != sides[1]:
        return shape_of(sides) | {"crop": 1.0, "resize": "stretch"}
    resized = int(256 / 224 * sides[0])
    return cut_from((resized, resized), sides)


def _video(frames: int, sides: tuple[int, int]) -> dict[str, Any]:
    """As torchvision's Swin3D weights: short side 256 for 224, bilinear without antialias."""
    height, width = (round(256 / 224 * side) for side in sides)
    return cut_from((height, width), sides) | {
        "interpolation": "bilinear",
        "antialias": False,
        "clip": {"frames": frames},
    }
