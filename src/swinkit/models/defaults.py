"""How a model's pictures and clips are prepared: as is usual for its task, and as its file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from swinkit.config.preprocessing import Clips, Dense, Preprocessing, shape_of, usual_crop
from swinkit.core.config import SwinConfig
from swinkit.errors import ConfigError
from swinkit.towers.vit import ViTConfig
from swinkit.weights.opening import Opened
from swinkit.weights.owl import owl_preprocessing

PAIRED = 224  # side of pictures that are learnt with captions, as CLIP's
SQUARE = 768  # side of an open-vocabulary detector's pictures, as OWL-ViT's
SIDES = {"segment": (512, 2048), "detect": (800, 1333)}  # short and at most long one, as published


def sides_for(task: str, short: int) -> Dense:
    """The sides of pictures of a task, in the published proportion to a short one."""
    usual, long = SIDES[task]
    return Dense(short=short, long=round(short * long / usual))


def preprocessing_for(
    config: SwinConfig | ViTConfig,
    task: str,
    options: Mapping[str, Any] | None = None,
    *,
    img_size: int | Sequence[int] | None = None,
) -> Preprocessing:
    """The usual preprocessing at a backbone's size; of videos as in Video Swin's test pipeline.

    `options` are the task's own. A vision transformer keeps the size that it was trained for, and answers
    pictures of `img_size`.
    """
    size = config.input_size
    if isinstance(config, ViTConfig) and isinstance(img_size, int):
        size = (img_size, img_size)
    side = min(size[-2:]) if size else 224
    if task == "contrastive":
        return Preprocessing(size=side, channels=config.in_chans, crop=1.0)
    if isinstance(config, ViTConfig):
        usual = owl_preprocessing(config, second=bool((options or {}).get("objectness", True)))
        return usual.model_copy(update={"size": side, "dense": Dense(short=side, long=side)})
    if task == "open_vocabulary":
        side = min(size) if size else SQUARE
        return Preprocessing(
            size=side,
            channels=config.in_chans,
            crop=1.0,
            interpolation="bilinear",
            dense=Dense(short=side, long=side),
            square="pad",
        )
    if task in SIDES:
        side = min(size) if size else SIDES[task][0]
        return Preprocessing(
            size=side,
            channels=config.in_chans,
            crop=1.0,
            interpolation="bilinear",
            dense=sides_for(task, side),
        )
    shape = shape_of(size[-2:] if size else (side, side))
    if config.rank == 2:
        return Preprocessing.checked({**shape, "channels": config.in_chans, "crop": usual_crop(side)})
    # the one published model with windows so deep is that of Something-Something
    sampling: Literal["dense", "uniform"] = "uniform" if config.windows[0][0] >= 16 else "dense"
    clip = Clips(frames=size[0] if size else 32, sampling=sampling)
    values = {**shape, "channels": config.in_chans, "crop": 1.0, "interpolation": "bilinear", "clip": clip}
    return Preprocessing.checked(values)


def preprocessing_of(
    opened: Opened, config: SwinConfig | ViTConfig, task: str, img_size: int | Sequence[int] | None
) -> Preprocessing:
    """The file's own preprocessing, at another size or for other channels where asked for."""
    stored, usual = opened.preprocessing, preprocessing_for(config, task, img_size=img_size)
    if stored is None or config.in_chans != stored.channels:
        return usual
    if (task != opened.task and not {task, opened.task} <= {"classify", "video"}) or (
        (stored.clip is None) != (usual.clip is None)
    ):
        return usual.model_copy(update={"mean": stored.mean, "std": stored.std})  # of another task
    if img_size is None:
        return stored
    if stored.square is not None:
        if not isinstance(img_size, int):
            raise ConfigError(f"`img_size={img_size!r}`: the model's pictures are squares, give one side.")
        return stored.model_copy(update={"size": img_size, "dense": Dense(short=img_size, long=img_size)})
    if stored.dense is not None:
        dense = usual.dense if stored.dense.short is not None else stored.dense
        return stored.model_copy(update={"size": usual.size, "dense": dense})
    if usual.clip is None or stored.clip is None:
        return _at_size(stored, usual.sides)
    frames = stored.clip.frames if isinstance(img_size, int) else usual.clip.frames
    clip = stored.clip.model_copy(update={"frames": frames})
    return stored.model_copy(
        update={"size": usual.size, "width": usual.width, "clip": clip, "resize_to": None}
    )


def _at_size(stored: Preprocessing, sides: tuple[int, int]) -> Preprocessing:
    """The same preprocessing at another size: an unusual crop is kept, the usual one is that of the size."""
    if sides == stored.sides:
        return stored
    kept = stored.model_dump(exclude={"size", "width", "crop", "resize_to"})
    usual = stored.resize == "short" and stored.crop == usual_crop(min(stored.sides))
    margins = [resized - side for resized, side in zip(stored.resized, stored.sides, strict=True)]
    if stored.resize_to is not None and min(margins) < 0:
        factors = [resized / side for resized, side in zip(stored.resized, stored.sides, strict=True)]
        kept["resize_to"] = tuple(max(1, round(f * side)) for f, side in zip(factors, sides, strict=True))
    crop = usual_crop(min(sides)) if usual else stored.crop
    return Preprocessing.checked(kept | shape_of(sides) | {"crop": crop})
