"""The heads of torchvision's Mask R-CNN under our names: where an R-CNN of ours may begin.

Its background comes first and ours last; of the background it stores changes of boxes and masks too. Its
anchors are rounded and its regions lie half a pixel beside OpenMMLab's, so that they are a beginning for
training, and no model whose answers would be the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from swinkit.weights.dialects.spelling import renamed

_NAMES = (
    (r"^(module\.)?backbone\.fpn\.inner_blocks\.(\d)\.(0\.)?", r"neck.lateral_convs.\2.conv."),
    (r"^(module\.)?backbone\.fpn\.layer_blocks\.(\d)\.(0\.)?", r"neck.fpn_convs.\2.conv."),
    (r"^(module\.)?rpn\.head\.conv\.(0\.0\.)?", "rpn_head.rpn_conv."),
    (r"^(module\.)?rpn\.head\.cls_logits\.", "rpn_head.rpn_cls."),
    (r"^(module\.)?rpn\.head\.bbox_pred\.", "rpn_head.rpn_reg."),
    (r"^(module\.)?roi_heads\.box_head\.fc6\.", "roi_head.bbox_head.shared_fcs.0."),
    (r"^(module\.)?roi_heads\.box_head\.fc7\.", "roi_head.bbox_head.shared_fcs.1."),
    (r"^(module\.)?roi_heads\.box_predictor\.cls_score\.", "roi_head.bbox_head.fc_cls."),
    (r"^(module\.)?roi_heads\.box_predictor\.bbox_pred\.", "roi_head.bbox_head.fc_reg."),
    (r"^(module\.)?roi_heads\.mask_predictor\.conv5_mask\.", "roi_head.mask_head.upsample."),
    (r"^(module\.)?roi_heads\.mask_predictor\.mask_fcn_logits\.", "roi_head.mask_head.conv_logits."),
)
_STARTS = ("neck.", "rpn_head.", "roi_head.")
_OF_CLASSES = (".fc_cls.", ".fc_reg.", ".conv_logits.")
_MASKS = r"^(?:module\.)?roi_heads\.mask_head\.(?:(\d)\.0\.|mask_fcn(\d)\.)"  # the second as it once was


def torchvision_heads(tensors: Mapping[str, Tensor], categories: Sequence[int]) -> dict[str, Tensor]:
    """Tensors of pyramid and heads under our names; others are left out.

    Rows of classes are those of `categories` where the file counts COCO's 90 ids and these are among them;
    else, where it has as many classes, its own in their order.
    """
    theirs = {name: tensor for name, tensor in tensors.items() if _ours(name) != name}
    found = {name: tensor for name, tensor in renamed(theirs, _ours).items() if name.startswith(_STARTS)}
    scores = found.get("roi_head.bbox_head.fc_cls.weight")
    if scores is None:
        return found
    classes = len(scores) - 1
    rows = list(range(1, classes + 1))
    if classes == 90 and len(categories) < 90 and set(categories) <= set(rows):
        rows = list(categories)
    for name in [name for name in found if any(part in name for part in _OF_CLASSES)]:
        each = found[name].unflatten(0, (classes + 1, -1))
        kept = [*rows, 0] if ".fc_cls." in name else rows
        found[name] = each[torch.tensor(kept)].flatten(0, 1)
    return found


def _ours(name: str) -> str:
    match = re.match(_MASKS, name)
    if match:
        number = match[1] if match[1] is not None else str(int(match[2]) - 1)
        return f"roi_head.mask_head.convs.{number}.conv.{name[match.end() :]}"
    for pattern, ours in _NAMES:
        name, count = re.subn(pattern, ours, name)
        if count:
            break
    return name
