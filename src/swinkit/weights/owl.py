"""The published OWL detectors, as transformers writes them, under our names; and CLIP's text towers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from swinkit.config.preprocessing import Dense, Preprocessing
from swinkit.errors import ConfigError, WeightsError
from swinkit.towers.text import TextConfig
from swinkit.towers.tokens import read_tokenizer
from swinkit.towers.vit import ViTConfig
from swinkit.weights.containers import Checkpoint, read_checkpoint
from swinkit.weights.image_processors import CLIP_MEAN, CLIP_STD, read_processor

OWL_HEADS = ("class_head.", "box_head.", "objectness_head.", "text.", "vocabulary", "neck.", "logit_")
_NAMES = (
    (r"^owl(vit|v2)\.vision_model\.", "vit."),
    (r"^owl(vit|v2)\.text_model\.", "text.model."),
    (r"^owl(vit|v2)\.text_projection\.", "text.projection."),
    (r"^layer_norm\.", "neck.norm."),
)
_LEFT = re.compile(r"owl(vit|v2)\.(logit_scale|visual_projection\.weight)|.*position_ids|box_bias")
_HEAD = 64  # numbers of an attention head of every published tower


def is_owl(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are tensors of an OWL detector."""
    return any(re.match(r"owl(vit|v2)\.vision_model\.", name) for name in tensors)


def owl_names(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Tensors under our names, and the names of those that only compare whole pictures with text."""
    left = tuple(name for name in tensors if _LEFT.fullmatch(name))
    ours = {}
    for name, tensor in tensors.items():
        if name in left:
            continue
        for pattern, our in _NAMES:
            name = re.sub(pattern, our, name)
        ours[name] = tensor
    return ours, left


def owl_config(ours: Mapping[str, Tensor], checkpoint: Checkpoint) -> tuple[ViTConfig, dict[str, Any]]:
    """What the vision tower is, and the task's settings; numbers of heads are those of config.json.

    Where it tells none, they are the published ones. WeightsError for tensors that make no such detector.
    """
    source, told = checkpoint.source, checkpoint.config
    try:
        patch = ours["vit.embeddings.patch_embedding.weight"]
        places = len(ours["vit.embeddings.position_embedding.weight"]) - 1
        vision = ViTConfig.from_dict(
            {
                "width": patch.shape[0],
                "layers": _layers(ours, "vit."),
                "heads": _heads(told, "vision_config", patch.shape[0], source),
                "mlp": len(ours["vit.encoder.layers.0.mlp.fc1.bias"]),
                "patch": patch.shape[2],
                "img_size": math.isqrt(places) * patch.shape[2],
                "in_chans": patch.shape[1],
            }
        )
        text = text_numbers(ours, "text.", _heads(told, "text_config", _width(ours, "text."), source))
        dim = ours["class_head.dense0.weight"].shape[0]
    except (KeyError, IndexError) as error:
        raise WeightsError(f"{source} is no whole OWL detector: {error} is missing.") from error
    except ConfigError as error:
        raise WeightsError(f"{source} is no OWL detector that is known: {error}") from error
    for part in ("vision_config", "text_config"):
        _check_act(told, part, source)
    settings = {
        "width": vision.width,
        "dim": dim,
        "text": text.to_dict(),
        "objectness": "objectness_head.dense0.weight" in ours,
        "tokenizer": read_tokenizer(Path(source)) if Path(source).is_dir() else "",
    }
    return vision, settings


def owl_preprocessing(
    config: ViTConfig, *, second: bool, told: Mapping[str, Any] | None = None
) -> Preprocessing:
    """As published: the first kind stretches a picture to a square, the second pads it to one.

    `told` are settings of preprocessor_config.json. Raises ConfigError for those that are not supported.
    """
    clip = {"mean": CLIP_MEAN, "std": CLIP_STD} if config.in_chans == len(CLIP_MEAN) else {}
    usual = Preprocessing.checked(
        {
            "size": config.img_size,
            "channels": config.in_chans,
            "crop": 1.0,
            "interpolation": "bilinear" if second else "bicubic",
            "dense": Dense(short=config.img_size, long=config.img_size).model_dump(),
            "square": "pad" if second else "stretch",
            **clip,
        }
    )
    if not told:
        return usual
    model_type = "owlv2" if second else "owlvit"
    read = read_processor(
        told, model_type=model_type, channels=config.in_chans, trained=config.img_size, dense=True
    )
    if read.square is None or read.width is not None:
        raise ConfigError(
            "OWL detectors take squares: give size as equal height and width, and do_resize true."
        )
    changed: dict[str, Any] = {"size": read.size, "dense": read.dense, "mean": read.mean, "std": read.std}
    if not second:  # the second kind resizes by its own code, whatever resample says
        changed["interpolation"] = read.interpolation
    elif told.get("do_pad", True) is False:
        changed["square"] = "stretch"
    return usual.model_copy(update=changed)


class TextFile(NamedTuple):
    """A text tower of a Hugging Face folder: numbers, tensors by the tower's own names, tokenizer as JSON."""

    config: TextConfig
    tensors: dict[str, Tensor]
    tokenizer: str


def read_text_tower(folder: Path) -> TextFile:
    """The text tower of a folder of CLIP's or of an OWL detector; WeightsError where there is none."""
    checkpoint = read_checkpoint(folder)
    own = {re.sub(r"^(owl(vit|v2)|clip)\.", "", name): tensor for name, tensor in checkpoint.tensors.items()}
    tensors = {
        re.sub(r"^text_model\.", "model.", name).replace("text_projection.", "projection."): tensor
        for name, tensor in own.items()
        if name.startswith(("text_model.", "text_projection.")) and not name.endswith("position_ids")
    }
    told = checkpoint.config
    if not _told(told, "text_config"):
        told = {"text_config": told}  # of a folder that holds the tower alone
    _check_act(told, "text_config", checkpoint.source)
    named = {f"text.{name}": tensor for name, tensor in tensors.items()}
    try:
        config = text_numbers(
            named, "text.", _heads(told, "text_config", _width(named, "text."), checkpoint.source)
        )
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"{folder} holds no text tower of CLIP with its projection: {error} is missing."
        ) from error
    tokenizer = read_tokenizer(folder) if folder.is_dir() else ""
    if not tokenizer:
        raise WeightsError(
            f"{folder} has no tokenizer: put tokenizer.json, or vocab.json and merges.txt, into it."
        )
    return TextFile(config, tensors, tokenizer)


def _check_act(told: Mapping[str, Any], part: str, source: str) -> None:
    act = _told(told, part).get("hidden_act", "quick_gelu")
    if act != "quick_gelu":
        raise WeightsError(
            f"{source} says hidden_act={act!r} in config.json, but swinkit knows 'quick_gelu'."
        )


def text_numbers(ours: Mapping[str, Tensor], prefix: str, heads: int) -> TextConfig:
    """Numbers of a text tower under our names; KeyError for one that is not whole."""
    tokens = ours[f"{prefix}model.embeddings.token_embedding.weight"]
    return TextConfig.from_dict(
        {
            "vocabulary": tokens.shape[0],
            "width": tokens.shape[1],
            "layers": _layers(ours, f"{prefix}model."),
            "heads": heads,
            "mlp": len(ours[f"{prefix}model.encoder.layers.0.mlp.fc1.bias"]),
            "context": len(ours[f"{prefix}model.embeddings.position_embedding.weight"]),
            "dim": ours[f"{prefix}projection.weight"].shape[0],
        }
    )


def _width(ours: Mapping[str, Tensor], prefix: str) -> int:
    return ours[f"{prefix}model.embeddings.token_embedding.weight"].shape[1]


def _layers(ours: Mapping[str, Tensor], prefix: str) -> int:
    numbers = [re.match(rf"{re.escape(prefix)}encoder\.layers\.(\d+)\.", name) for name in ours]
    return 1 + max((int(match[1]) for match in numbers if match), default=-1)


def _told(config: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    own = config.get(part)
    return own if isinstance(own, Mapping) else {}


def _heads(config: Mapping[str, Any], part: str, width: int, source: str) -> int:
    told = _told(config, part).get("num_attention_heads")
    if told is not None:
        return int(told)
    if width % _HEAD:
        raise WeightsError(
            f"{source} does not tell how many heads its attention has (num_attention_heads in config.json), "
            f"and its width of {width} is none of a published model: give its whole folder."
        )
    return width // _HEAD
