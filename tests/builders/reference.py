"""What is recorded of a model: outputs for fixed inputs, and a summary of its tensors in a dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

DATA_WORD = "@DATA@"  # stands for the folder of data in recorded files
DIALECTS = ("microsoft", "openmmlab", "timm", "torchvision", "huggingface")
SIZES = ((32, 32), (40, 56))


def outputs_of(model: Any, task: str) -> dict[str, np.ndarray]:
    """Arrays by name: what the network gives for fixed inputs of two sizes."""
    arrays: dict[str, np.ndarray] = {}
    for height, width in SIZES:
        torch.manual_seed(0)
        x = torch.randn(2, 3, *((4,) if task == "video" else ()), height, width)
        with torch.no_grad():
            raw = _network(model, task)(x)
        for name, tensor in _flat(raw):
            arrays[f"{height}x{width}{name}"] = tensor.float().numpy()
    return arrays


def _network(model: Any, task: str) -> Any:
    if task == "contrastive":
        return model.embed
    if task == "open_vocabulary":
        return lambda x: model(x, queries=torch.linspace(-1, 1, 3 * 24).reshape(3, 24).cos())
    return model


def _flat(raw: Any, name: str = "") -> list[tuple[str, Tensor]]:
    if isinstance(raw, Tensor):
        return [(name, raw)]
    items = raw.items() if isinstance(raw, Mapping) else enumerate(raw)
    return [pair for key, value in items for pair in _flat(value, f"{name}.{key}")]


def summary_of(tensors: Mapping[str, Tensor]) -> dict[str, list[Any]]:
    """Shape, sum and sum of absolute values of each tensor."""
    return {
        name: [
            list(tensor.shape),
            *(f"{v:.5e}" for v in (tensor.double().sum(), tensor.double().abs().sum())),
        ]
        for name, tensor in tensors.items()
    }
