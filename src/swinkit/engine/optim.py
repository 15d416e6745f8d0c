"""Optimiser groups and learning-rate schedule (FACTS: the published recipe's shape)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn

NO_DECAY = ("relative_position_bias_table", "absolute_pos_embed")
FLOOR = 0.01  # of the peak; the published recipe ends at a hundredth


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two AdamW groups of the trainable parameters, named `decay` and `no_decay`.

    Biases, norms (all vectors), bias tables and absolute position are free of decay, as in Microsoft's
    `optimizer.py`.
    """
    decay: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (free if parameter.ndim <= 1 or name.endswith(NO_DECAY) else decay).append(parameter)
    groups = [
        {"name": "decay", "params": decay, "weight_decay": weight_decay},
        {"name": "no_decay", "params": free, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def cosine_with_warmup(steps: int, warmup: int) -> Callable[[int], float]:
    """Factor of the peak learning rate at each step: linear up over `warmup`, then cosine to 1 %."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))

    return factor


def default_lr(batch: int, *, from_scratch: bool) -> float:
    """Peak learning rate for a batch (accumulation included).

    From random weights 1e-3 at 64 images, fine-tuning 2e-4, growing with the square root of the batch
    (Malladi et al. 2022, AdamW), at most the published 1e-3 at 1024 doubled.
    """
    return min((1e-3 if from_scratch else 2e-4) * math.sqrt(batch / 64), 2e-3)
