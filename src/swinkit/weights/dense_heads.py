"""Dense heads in files: told by their tensors, and spelled as others do. Our names are OpenMMLab's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from swinkit.errors import ConfigError
from swinkit.weights.dialects.spelling import renamed

HEADS = ("decode_head.", "auxiliary_head.")
LAST = "conv_seg."  # the layer that depends on the classes

# what only that head has; those with parts of others come first
_MARKS = (
    (r"fpn_convs\.", "upernet"),
    (r"psp_modules\.", "pspnet"),
    (r"sep_bottleneck\.", "deeplabv3plus"),
    (r"dcm_modules\.", "dmnet"),
    (r"attention_p\.", "psanet"),
    (r"up_convs\.", "setr_pup"),
    (r"fusion_conv\.", "ssformer"),
    (r"convs\.0\.", "fcn"),
)
_THEIRS = ((".batch_norm.", ".bn."), ("_head.classifier.", f"_head.{LAST}"))  # transformers'


def split_heads(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors of dense heads, and the others."""
    heads = {name: tensor for name, tensor in tensors.items() if name.startswith(HEADS)}
    return heads, {name: tensor for name, tensor in tensors.items() if name not in heads}


def our_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of transformers' heads under our names; others as they are."""
    return renamed(tensors, _replaced(0, 1))


def their_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of heads under transformers' names."""
    return renamed(tensors, _replaced(1, 0))


def _replaced(old: int, new: int) -> Callable[[str], str]:
    def rename(name: str) -> str:
        for pair in _THEIRS:
            name = name.replace(pair[old], pair[new]) if name.startswith(HEADS) else name
        return name

    return rename


def infer_head(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Any], int] | None:
    """Settings of the head that tensors under our names make, and its classes; None where there is none."""
    last = tensors.get(f"decode_head.{LAST}weight")
    if last is None or last.ndim != 4:
        return None
    own = [name.removeprefix("decode_head.") for name in tensors if name.startswith("decode_head.")]
    for mark, head in _MARKS:
        if any(re.match(mark, name) for name in own):
            aside = tensors.get(f"auxiliary_head.{LAST}weight")
            width = 0 if aside is None or aside.ndim != 4 else aside.shape[1]
            return {"head": head, "channels": last.shape[1], "auxiliary": width}, last.shape[0]
    return None


def check_head(dialect: str, settings: Mapping[str, Any], stages: int) -> None:
    """Refuse a head that the other code cannot build."""
    head = settings.get("head")
    if dialect == "huggingface" and (head != "upernet" or stages != 4):
        raise ConfigError(
            f"This model cannot be written in transformers' spelling (huggingface): it knows UPerNet on four "
            f"stages, not {head} on {stages}."
        )


def huggingface_heads(settings: Mapping[str, Any], dim: int) -> dict[str, Any]:
    """The part of config.json that tells transformers of the heads; `dim` is the width of the first map."""
    auxiliary = settings["auxiliary"]
    return {
        "model_type": "upernet",
        "architectures": ["UperNetForSemanticSegmentation"],
        "hidden_size": settings["channels"],
        "pool_scales": [1, 2, 3, 6],
        "use_auxiliary_head": bool(auxiliary),
        "auxiliary_loss_weight": 0.4,
        "auxiliary_in_channels": 4 * dim,
        "auxiliary_channels": auxiliary or 256,
        "auxiliary_num_convs": 1,
        "auxiliary_concat_input": False,
    }
