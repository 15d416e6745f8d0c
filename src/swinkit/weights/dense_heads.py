"""Heads on the maps of all stages, in files: told by their tensors, and spelled as others do.

Our names are OpenMMLab's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from swinkit.errors import ConfigError, WeightsError
from swinkit.heads.branches import BRANCHES
from swinkit.weights.dialects.spelling import renamed

HEADS = ("decode_head.", "auxiliary_head.", "neck.", "rpn_head.", "roi_head.")
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


def split_heads(
    tensors: Mapping[str, Tensor], beginnings: tuple[str, ...] = HEADS
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors of dense heads, and the others."""
    heads = {name: tensor for name, tensor in tensors.items() if name.startswith(beginnings)}
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


class Heads(NamedTuple):
    """What heads make of a backbone: the task, its settings, and the number of classes."""

    task: str
    settings: dict[str, Any]
    classes: int


def infer_heads(tensors: Mapping[str, Tensor]) -> Heads | None:
    """What tensors under our names make; None where there is no head that is known."""
    return _segmenter(tensors) or _detector(tensors)


def _segmenter(tensors: Mapping[str, Tensor]) -> Heads | None:
    last = tensors.get(f"decode_head.{LAST}weight")
    if last is None or last.ndim != 4:
        return None
    own = [name.removeprefix("decode_head.") for name in tensors if name.startswith("decode_head.")]
    for mark, head in _MARKS:
        if any(re.match(mark, name) for name in own):
            aside = tensors.get(f"auxiliary_head.{LAST}weight")
            width = 0 if aside is None or aside.ndim != 4 else aside.shape[1]
            settings = {"head": head, "channels": last.shape[1], "auxiliary": width}
            return Heads("segment", settings, last.shape[0])
    return None


_WHAT = {
    "pool_scales": "pools at {} scales",
    "dilations": "has {} dilated branches",
    "filter_sizes": "has {} filters",
}


def check_branches(tensors: Mapping[str, Tensor], head: str, options: Mapping[str, Any], source: str) -> None:
    """Refuse a head with another number of branches than its options say; WeightsError names the option."""
    if head not in BRANCHES:
        return
    own = BRANCHES[head]
    start = f"decode_head.{own.modules}."
    branches = len({name[len(start) :].split(".")[0] for name in tensors if name.startswith(start)})
    numbers = options.get(own.option) or own.usual
    command = "--" + own.option.replace("_", "-")
    if branches and branches != len(numbers):
        example = ", ".join(map(str, _example(own.usual, branches)))
        raise WeightsError(
            f"{source} {_WHAT[own.option].format(branches)} (decode_head.{own.modules}), which its tensors "
            f"do not name: give `{own.option}` with {branches} numbers, such as ({example}) if these are "
            f"its own; `swin convert {command}` writes a file that tells them."
        )
    if branches and own.option == "dilations":
        plain = [f"{start}{i}.conv.weight" in tensors for i in range(branches)]
        if plain != [number == 1 for number in numbers]:
            raise WeightsError(
                f"{source} has plain convolutions, which are not dilated, at other places than "
                f"`dilations={tuple(numbers)}` have a 1: give `dilations`."
            )


def _example(usual: tuple[int, ...], count: int) -> list[int]:
    """So many numbers that go on as the usual ones end."""
    step = usual[-1] - usual[-2]
    return [*usual[:count], *(usual[-1] + step * more for more in range(1, count - len(usual) + 1))]


def stated_branches(head: str | None, settings: Mapping[str, Any]) -> dict[str, list[int]]:
    """Numbers of a head's branches that a config.json or settings beside the tensors state, if they do."""
    if head not in BRANCHES:
        return {}
    option = BRANCHES[head].option
    numbers = settings.get(option)
    plain = isinstance(numbers, list) and all(type(number) is int and number > 0 for number in numbers)
    return {option: numbers} if plain and numbers else {}


def _detector(tensors: Mapping[str, Tensor]) -> Heads | None:
    """Swin's own: two layers for the boxes, or in each of three stages four convolutions and a layer."""
    masks = any(name.startswith("roi_head.mask_head.") for name in tensors)
    for start, mark, head, bare in (
        ("roi_head.bbox_head.", "shared_fcs.1.", "mask_rcnn", "faster_rcnn"),
        ("roi_head.bbox_head.2.", "shared_convs.3.conv.", "cascade_mask_rcnn", "cascade_rcnn"),
    ):
        own = (f"{start}fc_cls.", f"{start}fc_reg.", "neck.fpn_convs.0.conv.", start + mark)
        names = [f"{name}weight" for name in own]
        if all(name in tensors and tensors[name].ndim in (2, 4) for name in names):
            scores, changes, pyramid, _ = (tensors[name] for name in names)
            classes, width = len(scores) - 1, scores.shape[1]
            if len(changes) == 4 * classes:
                settings = {"head": head if masks else bare, "channels": len(pyramid), "width": width}
                return Heads("detect", settings, classes)
    return None


def check_head(dialect: str, head: str | None, stages: int) -> None:
    """Refuse a head that the other code cannot build."""
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
        "pool_scales": list(settings["pool_scales"]),
        "use_auxiliary_head": bool(auxiliary),
        "auxiliary_loss_weight": 0.4,
        "auxiliary_in_channels": 4 * dim,
        "auxiliary_channels": auxiliary or 256,
        "auxiliary_num_convs": 1,
        "auxiliary_concat_input": False,
    }
