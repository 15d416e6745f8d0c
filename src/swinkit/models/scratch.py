"""Defaults of short runs from random weights; published recipes and pretrained weights keep their own.

Options that a user gives always win. docs/training.md and docs/detection.md explain the rules.
"""

from __future__ import annotations

import math
from typing import Any

from swinkit.config.train import TrainConfig
from swinkit.models.variants import VARIANTS
from swinkit.weights.catalog import CATALOG

SUITED = ("classify", "video", "segment", "detect")  # tasks that weights of ImageNet help
SHORT_RUN = 1_000_000  # images seen in all epochs together, below which a run is short
STEPS = {"classify": 100, "detect": 50}  # per epoch at least, from which the batch size follows
SMALLEST_BATCH = {"classify": 8, "detect": 4}
DETECTOR_LR = 1e-3  # at 16 images: each image holds hundreds of anchors and regions to learn from
ANCHOR_SCALE = 8.0  # published: 32 to 512 pixels on strides 4 to 64, for a short side of 800
REGIONS = 512  # published number of regions per image that the box heads learn from
USUAL_SIDE = 640  # pixels of the short side from which the published numbers hold


def is_fresh(config: TrainConfig) -> bool:
    """Whether the model begins with random weights."""
    return config.model in VARIANTS and config.model not in CATALOG


def is_short(images: int, config: TrainConfig) -> bool:
    """Whether a run over so many images per epoch sees few of them."""
    return images * config.epochs < SHORT_RUN and config.iterations is None


def scratch_config(config: TrainConfig, task: str, images: int) -> TrainConfig:
    """Fill in what suits a run from random weights, where the user gives nothing else.

    This is for a run that begins. Its config.yaml keeps the values, and a run that is resumed follows that
    file alone: a run of an earlier swinkit, whose file lacks some of them, goes on with the published ones.
    """
    if task not in STEPS or config.recipe is not None or not is_fresh(config):
        return config
    changes = _sizes(config) if task == "detect" else {}
    if is_short(images, config):
        changes |= _short_run(config, task, images)
    return config.model_copy(update=changes)


def _sizes(config: TrainConfig) -> dict[str, Any]:
    """Anchors and regions of a detector, which follow the size of the images."""
    short = short_side(config)
    return {
        "anchor_scale": config.anchor_scale or anchor_scale(short),
        "regions": config.regions or regions_per_image(short),
    }


def _short_run(config: TrainConfig, task: str, images: int) -> dict[str, Any]:
    """More steps, and less of what keeps a long run from overfitting."""
    changes: dict[str, Any] = {}
    if config.drop_path is None:
        changes["drop_path"] = 0.0
    one_process = (config.devices or 1) * config.num_nodes == 1 and config.global_batch is None
    if one_process and config.accumulate == 1:
        changes["batch_size"] = batch_size = config.batch_size or _batch_size(task, images)
        if task == "detect" and config.lr is None and config.base_lr is None and batch_size is not None:
            changes["lr"] = min(DETECTOR_LR * math.sqrt(batch_size / 16), 2e-3)
    usual: dict[str, Any] = {"mix_prob": 0.0, "erasing": 0.0}
    if task == "detect":
        usual = {"resizing": "none"}
    known = config.augmentation.model_fields_set
    varied = {name: value for name, value in usual.items() if name not in known}
    changes["augmentation"] = config.augmentation.model_copy(update=varied)
    return changes


def _batch_size(task: str, images: int) -> int | None:
    """A power of two that leaves enough steps per epoch; None where the machine's choice leaves them."""
    size = max(SMALLEST_BATCH[task], images // STEPS[task])
    return None if size >= 64 else 1 << (size.bit_length() - 1)


def short_side(config: TrainConfig) -> int:
    """Pixels of the short side of a detector's images."""
    usual = min(VARIANTS[config.model].input_size, default=800)
    return config.short or config.img_size or usual


def anchor_scale(short: int) -> float:
    """Anchor side in strides, for images of this short side: 8 from 640 pixels on, 4 up to 320."""
    return ANCHOR_SCALE * min(1.0, max(0.5, short / USUAL_SIDE))


def regions_per_image(short: int) -> int:
    """Regions per image that the box heads learn from: 512 from 640 pixels on, fewer for smaller images."""
    return max(64, min(REGIONS, round(REGIONS * short / USUAL_SIDE)))


def advice(images: int, epochs: int) -> str:
    """Say in one line what helps after a short run from random weights."""
    return (
        f"The run started from random weights and saw {images:,} images for {epochs} epochs: pretrained "
        f"weights (`model=swin_t.in1k`), more images or more epochs (`epochs={3 * epochs}`) would help."
    )
