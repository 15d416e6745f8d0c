"""Losses of pictures and what is said of them: each picture goes with its own caption, not with others."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MULTIPLIER = 6364136223846793005  # Knuth's, of a linear congruential generator of 64 bits


def sigmoid_pairs(logits: Tensor, same: Tensor) -> Tensor:
    """SigLIP's (Zhai et al. 2023): each pair for itself, the mean over pictures.

    `logits` (B, N) of pictures and captions; `same` (B, N) says which belong together.
    """
    signs = same.to(logits.dtype) * 2 - 1
    return -F.logsigmoid(signs * logits).sum() / max(1, len(logits))


def softmax_pairs(by_image: Tensor, by_text: Tensor, same: Tensor) -> Tensor:
    """CLIP's (Radford et al. 2021): which caption a picture has, and which picture a caption, their mean.

    Logits (B, N) of own pictures and all captions, and of own captions and all pictures; `same` (B, N) says
    which belong together: of several each is as right.
    """
    targets = same / same.sum(1, keepdim=True)
    losses = [-(F.log_softmax(own, 1) * targets).sum() for own in (by_image, by_text)]
    return torch.stack(losses).mean() / max(1, len(same))


def caption_keys(ids: Tensor) -> Tensor:
    """A number (B,) for each caption (B, L), the same for the same tokens whatever their padding by 0."""
    weights = torch.full((ids.shape[1],), MULTIPLIER, device=ids.device).cumprod(0)
    return (ids * weights).sum(1)
