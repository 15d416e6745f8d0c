"""Which options are for which tasks: one that would mean nothing is refused, not passed over."""

from __future__ import annotations

from swinkit.config.base import Settings
from swinkit.config.train import TrainConfig
from swinkit.errors import ConfigError

_CLASSES, _MAPS = ("classify", "video"), ("segment", "detect")
_OPEN, _BOXES, _PAIRS = ("open_vocabulary",), ("detect", "open_vocabulary"), ("contrastive",)

OWNERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("clips", "crops", "real"), _CLASSES),
    **dict.fromkeys(("topk",), (*_CLASSES, *_PAIRS)),
    **dict.fromkeys(("runtime",), (*_CLASSES, "segment")),
    **dict.fromkeys(("stream", "hop"), ("video",)),
    **dict.fromkeys(("scales", "short"), _MAPS),
    **dict.fromkeys(("tile", "augmentation.distortion"), (*_MAPS, *_OPEN)),
    **dict.fromkeys(("flip",), (*_CLASSES, *_MAPS, *_PAIRS)),
    **dict.fromkeys(("slide", "save", "label_map", "ignore_index", "loss", "average"), ("segment",)),
    **dict.fromkeys(("augmentation.resize", "augmentation.largest_class"), ("segment",)),
    **dict.fromkeys(("head", "channels"), _MAPS),
    **dict.fromkeys(("auxiliary", "pool_scales", "dilations", "filter_sizes"), ("segment",)),
    **dict.fromkeys(("width",), (*_BOXES, *_PAIRS)),
    **dict.fromkeys(("contrast",), _PAIRS),
    **dict.fromkeys(("heads", "anchor_scale", "regions", "augmentation.copy_paste"), ("detect",)),
    **dict.fromkeys(("classes",), (*_CLASSES, *_MAPS)),
    **dict.fromkeys(
        (
            "score",
            "overlap",
            "detections",
            "track",
            "augmentation.resizing",
            "augmentation.mosaic",
            "augmentation.crowds",
        ),
        _BOXES,
    ),
    **dict.fromkeys(("find", "vocabulary", "prompts", "negatives", "text", "text_lr"), (*_OPEN, *_PAIRS)),
    **dict.fromkeys(("like", "by", "queries", "shots", "novel"), _OPEN),
    **dict.fromkeys(("sampling",), (*_CLASSES, *_BOXES)),
    **dict.fromkeys(("class_weights",), ("classify", "video", "segment")),
    **{
        f"augmentation.{name}": _CLASSES
        for name in (
            *("shift", "randaugment", "color_jitter", "erasing", "mixup"),
            *("cutmix", "mix_prob", "switch_prob", "label_smoothing"),
        )
    },
    "augmentation.hflip": (*_CLASSES, *_MAPS, *_OPEN),
    **dict.fromkeys(("augmentation.crop_scale", "augmentation.crop_ratio"), (*_CLASSES, *_PAIRS)),
}
"""Options that not all tasks have; those of how clips are taken are told by the model's preprocessing."""


def check_owners(config: Settings, task: str, who: str = "the model is") -> None:
    """Refuse options that mean nothing to a task; ConfigError names the first."""
    groups: list[tuple[str, Settings]] = [("", config)]
    if isinstance(config, TrainConfig):
        groups.append(("augmentation.", config.augmentation))
    for group, values in groups:
        for name, field in type(values).model_fields.items():
            owners = OWNERS.get(f"{group}{name}", (task,))
            if task not in owners and getattr(values, name) != field.default:
                raise ConfigError(f"`{group}{name}` is for {' and '.join(owners)}, and {who} for {task}.")
