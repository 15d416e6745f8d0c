"""What stands beside the tensors in a folder of transformers or timm: class names, size, statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from swinkit.config.preprocessing import Preprocessing
from swinkit.core.config import SwinConfig
from swinkit.errors import ConfigError, WeightsError
from swinkit.labels import Colour
from swinkit.weights.beside import Beside
from swinkit.weights.containers import Checkpoint
from swinkit.weights.image_processors import read_processor, write_processor
from swinkit.weights.infer import Stated
from swinkit.weights.presets import preset
from swinkit.weights.timm_config import pretrained_cfg, read_timm, timm_arguments, timm_images, timm_labels


def check_settings(checkpoint: Checkpoint, config: SwinConfig) -> None:
    """Refuse a folder whose config.json tells of another model than its tensors make, or than is built."""
    if checkpoint.config.get("model_type") != "swin":
        return
    read = {
        "embed_dim": config.embed_dim,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "num_channels": config.in_chans,
        "patch_size": config.patch_size[0],
        "mlp_ratio": config.mlp_ratio,
        "qkv_bias": config.qkv_bias,
        "use_absolute_embeddings": config.absolute_position,
    }
    built = {"hidden_act": "gelu", "layer_norm_eps": 1e-5}
    for key, value in (read | built).items():
        said = checkpoint.config.get(key, value)
        if said != value:
            what = f"its tensors make {value!r}: is it whole?" if key in read else f"swinkit knows {value!r}."
            raise WeightsError(f"{checkpoint.source} says {key}={said!r} in config.json, but {what}")


def class_labels(config: Mapping[str, Any], classes: int | None) -> list[str] | None:
    """Class names of config.json, where it has one for each class; those that stand twice get their id."""
    names = timm_labels(config)
    found = config.get("id2label")
    if isinstance(found, dict):
        names = [found.get(str(i)) for i in range(len(found))]
    if not isinstance(names, list) or len(names) != classes or not all(names):
        return None
    if names == [f"LABEL_{i}" for i in range(len(names))]:  # transformers' numbers
        return None
    times = Counter(map(str, names))
    own = [str(name) if times[str(name)] == 1 else f"{name} ({i})" for i, name in enumerate(names)]
    return own if len(set(own)) == len(own) else None


def class_colours(config: Mapping[str, Any], classes: int) -> tuple[Colour, ...] | None:
    """Colours of the classes, where there is one for each."""
    found = config.get("palette")
    if not isinstance(found, list | tuple) or len(found) != classes:
        return None
    if not all(isinstance(one, list | tuple) and len(one) == 3 for one in found):
        return None
    if not all(type(value) is int and 0 <= value <= 255 for one in found for value in one):
        return None
    return tuple((red, green, blue) for red, green, blue in found)


def stated_architecture(config: Mapping[str, Any]) -> Stated:
    """What a config.json says of size, window and the rule at the edges, beyond what tensors tell."""
    arguments = timm_arguments(config)
    shifts_always = arguments.get("always_partition") is True
    window = arguments.get("window_size")
    return Stated(trained_size(config), window, "roll_pad_shift" if shifts_always else None)


def trained_size(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width that config.json names, if it does."""
    timm = pretrained_cfg(config)
    said = config.get("image_size") if timm is None else timm_arguments(config).get("img_size")
    if timm is not None and said is None:
        said = timm.get("input_size")
    sizes = [said, said] if isinstance(said, int) else said
    if not isinstance(sizes, list) or len(sizes) < 2:
        return None
    height, width = sizes[-2:]
    plain = all(isinstance(side, int) and side > 0 for side in (height, width))
    return (height, width) if plain else None


def preprocessing(
    checkpoint: Checkpoint, config: SwinConfig, dialect: str, task: str, beside: Beside | None
) -> Preprocessing | None:
    """Preprocessing that the folder states; else that of the dialect's published classifiers, if any.

    What swinkit itself wrote `beside` the tensors holds as long as the folder says the same.
    """
    if beside is not None and beside.preprocessing is not None and _agrees(beside.preprocessing, checkpoint):
        return beside.preprocessing
    timm, theirs = pretrained_cfg(checkpoint.config), checkpoint.processor
    height, width = (config.input_size or (224, 224))[-2:]
    try:
        if theirs and config.rank == 2:
            return read_processor(
                theirs,
                model_type=str(checkpoint.config.get("model_type")),
                channels=config.in_chans,
                trained=(height, width),
                dense=task == "segment",
            )
        if timm is not None and task == "classify":
            return read_timm(timm, channels=config.in_chans, side=(height, width))
    except ConfigError as error:
        raise WeightsError(f"The preprocessing in {checkpoint.source} is not understood: {error}") from error
    return preset(dialect, config) if task in ("classify", "video") else None


def _agrees(pre: Preprocessing, checkpoint: Checkpoint) -> bool:
    """Whether a folder still states the preprocessing with which it was written."""
    timm, theirs = pretrained_cfg(checkpoint.config), checkpoint.processor
    written = {} if timm is None else timm_images(pre)
    stated = {key: value for key, value in theirs.items() if key != "creator"}
    same = not stated or stated == write_processor(pre)
    return same and all((timm or {}).get(key) == value for key, value in written.items())
