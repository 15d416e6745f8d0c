"""How each family of published classifiers evaluates images, where no file beside the weights says it."""

from __future__ import annotations

from typing import Any

from swinkit.core.config import SwinConfig
from swinkit.inputs import Preprocessing
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
    side = min(config.input_size[-2:])
    values: dict[str, Any] = {"channels": config.in_chans}
    if dialect == "torchvision3d":
        return Preprocessing.checked(values | _video(config.input_size[0], side))
    if config.rank != 2:
        return None
    if dialect == "timm":
        return read_timm({"crop_pct": 1.0 if side >= _WHOLE else 0.9}, channels=config.in_chans, side=side)
    if dialect == "torchvision" and side == 224:
        resized = _TORCHVISION.get((config.embed_dim, tuple(config.depths)))
        return None if resized is None else Preprocessing.checked(values | cut_from(resized, side))
    if dialect in ("microsoft", "openmmlab"):
        return Preprocessing.checked(values | _microsoft(side))
    return None


def _microsoft(side: int) -> dict[str, Any]:
    """As data/build.py `build_transform` and mmpretrain's swin configs."""
    if side >= _WHOLE:
        return {"size": side, "crop": 1.0, "resize": "stretch"}
    return cut_from(int(256 / 224 * side), side)


def _video(frames: int, side: int) -> dict[str, Any]:
    """As torchvision's Swin3D weights: short side 256 for 224, bilinear without antialias."""
    return cut_from(round(256 / 224 * side), side) | {
        "interpolation": "bilinear",
        "antialias": False,
        "clip": {"frames": frames},
    }
