"""Bring tensors to another architecture: other windows, other channels, images to video (FACTS §1, §3)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.core.config import Axes, SwinConfig

TABLE = re.compile(r"layers\.(\d+)\.blocks\.\d+\.attn\.relative_position_bias_table")


def adapt(
    tensors: Mapping[str, Tensor], old: SwinConfig, new: SwinConfig
) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors of a backbone of `old` as `new` takes them, and the names of those that changed.

    Bias tables follow the window, absolute position the image size, the patch convolution the channels and
    the rank. What else differs is left to be refused where the tensors are loaded.
    """
    adapted = dict(tensors)
    for name, tensor in tensors.items():
        match = TABLE.fullmatch(name)
        if match and int(match[1]) < min(old.stages, new.stages):
            stage = int(match[1])
            adapted[name] = resize_table(tensor, old.windows[stage], new.windows[stage])
        elif name == "patch_embed.proj.weight" and tensor.ndim in (4, 5):
            adapted[name] = adapt_patch(tensor, new.patch_size, new.in_chans)
        elif name == "absolute_pos_embed" and old.grid(0) and new.grid(0):
            adapted[name] = resize_position(tensor, old.grid(0) or (), new.grid(0) or ())
    return adapted, [name for name, tensor in adapted.items() if tensor is not tensors[name]]


def resize_table(table: Tensor, old: Axes, new: Axes) -> Tensor:
    """Bias table of another window: (∏(2·old−1), heads) -> (∏(2·new−1), heads).

    Bicubic per head over space, linear over time; a table of an image is repeated over time, not divided
    (Microsoft's `load_pretrained`, Video Swin's `inflate_weights`). A table that is not of `old` is given
    back as it is.
    """
    before, after = ([2 * side - 1 for side in window] for window in (old, new))
    rows = 1
    for side in before:
        rows *= side
    same = before == after[-len(before) :] and all(side == 1 for side in after[: -len(before)])
    if same or len(before) > len(after) or len(table) != rows:
        return table
    planes = table.T.unflatten(1, before)  # (heads, *before)
    if len(before) == 2:
        planes = planes.unsqueeze(1)
    if before[-2:] != after[-2:]:
        planes = F.interpolate(planes.float(), after[-2:], mode="bicubic")
    if len(after) == 3 and planes.shape[1] != after[0]:
        if planes.shape[1] == 1:
            planes = planes.repeat(1, after[0], 1, 1)
        else:
            line = F.interpolate(planes.flatten(2).mT.float(), after[0], mode="linear", align_corners=True)
            planes = line.mT.unflatten(2, planes.shape[2:])
    flat: Tensor = planes.flatten(1)
    return flat.T.contiguous()


def resize_position(table: Tensor, old: Axes, new: Axes) -> Tensor:
    """Absolute position for another grid of an image: (1, ∏old, C) -> (1, ∏new, C), bicubic."""
    if old == new or len(old) != 2 or len(new) != 2 or table.shape[1] != old[0] * old[1]:
        return table
    plane = F.interpolate(table.float().mT.unflatten(2, old), new, mode="bicubic")
    return plane.flatten(2).mT.contiguous()


def adapt_patch(kernel: Tensor, patch: Axes, channels: int) -> Tensor:
    """Patch convolution for video and for other channels, in single precision where it changes."""
    if kernel.shape[1] == channels and (kernel.ndim == 5 or len(patch) == 2):
        return kernel
    return adapt_channels(inflate_patch(kernel.float(), patch), channels)


def inflate_patch(kernel: Tensor, patch: Axes) -> Tensor:
    """Patch convolution of an image for video: repeated over time and divided by its depth."""
    if kernel.ndim != 4 or len(patch) != 3:
        return kernel
    inflated: Tensor = kernel.unsqueeze(2).repeat(1, 1, patch[0], 1, 1) / patch[0]
    return inflated


def adapt_channels(kernel: Tensor, channels: int) -> Tensor:
    """Patch convolution for other input channels.

    One channel takes the sum over the old ones, so that a grey picture answers as its RGB copy does (for
    equal normalisation). More channels repeat the old ones in turn, scaled so that a constant input keeps
    its response.
    """
    old = kernel.shape[1]
    if old == channels:
        return kernel
    if channels == 1:
        return kernel.sum(1, keepdim=True)
    turns = torch.arange(channels) % old
    return kernel[:, turns] * (old / channels)
