"""Optimiser groups and learning-rate schedule of the published recipes (FACTS §4)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from swinkit.config.train import TrainConfig
from swinkit.errors import ConfigError
from swinkit.tasks.base import Task

NO_DECAY = ("norm", "relative_position_bias_table", "absolute_pos_embed")


def parameter_groups(
    task: Task,
    weight_decay: float,
    *,
    layer_decay: float = 1.0,
    backbone_lr: float = 1.0,
    text_lr: float | None = None,
) -> list[dict[str, Any]]:
    """AdamW groups of the trainable parameters, named `decay` and `no_decay`.

    Norms, bias tables and absolute position are free of decay; biases too, as in Microsoft's `optimizer.py`,
    unless the task decays them, as the published detectors, segmenters and video models do. With a
    `layer_decay` below 1 each layer has groups of its own, `decay.3` say, whose `scale` shrinks by that
    factor for every layer below the head (microsoft/SimMIM, `optimizer.py`). `backbone_lr` scales all but the
    head, `text_lr` a text tower, by default as is usual for the task.
    """
    depths = task.backbone.config.depths
    last = sum(depths) + 1
    text_lr = task.text_lr if text_lr is None else text_lr
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in task.named_parameters():
        if not parameter.requires_grad:
            continue
        free = any(word in name for word in NO_DECAY) or (parameter.ndim <= 1 and not task.decays_biases)
        layer = last if layer_decay == 1 else layer_of(name, depths)
        below = name.startswith("backbone.") and backbone_lr != 1
        text = name.startswith("text.") and text_lr != 1
        parts = (
            ["backbone"] * below
            + ["text"] * text
            + ["no_decay" if free else "decay"]
            + [str(layer)] * (layer_decay != 1)
        )
        key = ".".join(parts)
        group = groups.setdefault(
            key,
            {
                "name": key,
                "params": [],
                "weight_decay": 0.0 if free else weight_decay,
                "scale": layer_decay ** (last - layer)
                * (backbone_lr if below else 1.0)
                * (text_lr if text else 1.0),
            },
        )
        group["params"].append(parameter)
    return sorted(groups.values(), key=lambda group: (-group["scale"], group["name"]))


def layer_of(name: str, depths: Sequence[int]) -> int:
    """Number of a parameter's layer from 0, the patch embedding, over the blocks to the norm and head."""
    name = name.removeprefix("backbone.")
    if name.startswith(("patch_embed.", "absolute_pos_embed", "vit.embeddings.", "vit.pre_layernorm.")):
        return 0
    layer = re.match(r"vit\.encoder\.layers\.(\d+)\.", name)
    if layer is not None:
        return int(layer[1]) + 1
    block = re.match(r"layers\.(\d+)\.(?:blocks\.(\d+)|downsample)\.", name)
    if block is None:
        return sum(depths) + 1
    stage = int(block[1])
    # merging closes its stage
    return sum(depths[:stage]) + (int(block[2]) + 1 if block[2] else depths[stage])


def cosine_with_warmup(
    steps: int, warmup: int, *, start: float | None = None, floor: float = 0.01
) -> Callable[[int], float]:
    """Factor of the peak learning rate by step: linear from `start` over `warmup`, then cosine to `floor`.

    `start` is by default that of a line from 0 at the step before the first.
    """
    first = 1 / (warmup + 1) if start is None else start

    def factor(step: int) -> float:
        if step < warmup:
            return first + (1 - first) * step / warmup
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return factor


def line_with_warmup(
    steps: int, warmup: int, *, start: float | None = None, floor: float = 0.01
) -> Callable[[int], float]:
    """Factor of the peak learning rate by step: a line to `floor`, times one that rises from `start`.

    mmcv's `PolyLrUpdaterHook` of power 1 with linear warm-up: the line falls from the first step on.
    """
    first = 1 / (warmup + 1) if start is None else start

    def factor(step: int) -> float:
        falling = floor + (1 - floor) * (1 - min(1.0, step / max(1, steps)))
        return falling * (first + (1 - first) * step / warmup if step < warmup else 1.0)

    return factor


def steps_with_warmup(
    steps: int, warmup: int, *, start: float | None = None, drops: Sequence[float] = ()
) -> Callable[[int], float]:
    """Factor of the peak learning rate by step: a tenth after each of some shares of the run.

    mmcv's `StepLrUpdaterHook` with linear warm-up.
    """
    first = 1 / (warmup + 1) if start is None else start

    def factor(step: int) -> float:
        fallen = 0.1 ** sum(step >= round(drop * steps) for drop in drops)
        return float(fallen) * (first + (1 - first) * step / warmup if step < warmup else 1.0)

    return factor


def make_optimizer(
    groups: Sequence[dict[str, Any]], lr: float, *, sam: float, fused: bool
) -> torch.optim.Optimizer:
    """AdamW over `parameter_groups` as published; with `sam` the radius of sharpness-aware minimisation.

    `fused`: in one pass over memory; Lightning does not clip for it in mixed precision.
    Raises ConfigError where the library for that is not installed.
    """
    scaled = [{**group, "lr": lr * group["scale"]} for group in groups]
    if not sam:
        return torch.optim.AdamW(scaled, lr=lr, fused=fused)
    try:
        from pytorch_optimizer import SAM
    except ImportError as error:
        raise ConfigError("`sam` needs a library more: `pip install swinkit[sam]`.") from error

    class ClosureSam(SAM):  # type: ignore[misc, unused-ignore]
        """SAM for loops that hand over the closure alone, as Lightning's does."""

        def step(self, closure: Any = None) -> Any:
            """Both gradients of the same draws: mixing, dropout and drop path."""
            with torch.enable_grad(), torch.random.fork_rng():
                loss = closure()
            super().step(closure)
            return loss

    return ClosureSam(scaled, torch.optim.AdamW, rho=sam, lr=lr, fused=fused)  # type: ignore[no-any-return, unused-ignore]


def warmup_schedule(config: TrainConfig, *, steps: int, epochs: int) -> tuple[int, Callable[[int], float]]:
    """Steps of warm-up, by default a tenth of the run and at most 20 epochs; and the factor of each step."""
    warmup = config.warmup_iterations
    if warmup is None:
        wanted = config.warmup_epochs if config.warmup_epochs is not None else min(20.0, epochs / 10)
        warmup = round(steps * wanted / epochs)
    warmup = min(warmup, steps)
    if config.schedule == "step":
        return warmup, steps_with_warmup(steps, warmup, start=config.lr_start, drops=config.lr_drops)
    kinds = {"cosine": cosine_with_warmup, "linear": line_with_warmup}
    return warmup, kinds[config.schedule](steps, warmup, start=config.lr_start, floor=config.lr_end)


def peak_lr(config: TrainConfig, images: int, *, from_scratch: bool) -> float:
    """Peak learning rate for so many images a step: as given, by `base_lr`, or `default_lr`."""
    published = None if config.base_lr is None else config.base_lr * images / 512
    return config.lr or published or default_lr(images, from_scratch=from_scratch)


def default_lr(batch: int, *, from_scratch: bool) -> float:
    """Peak learning rate for a batch (accumulation included).

    From random weights 1e-3 at 64 images, fine-tuning 2e-4, growing with the square root of the batch
    (Malladi et al. 2022, AdamW), at most the published 1e-3 at 1024 doubled.
    """
    return min((1e-3 if from_scratch else 2e-4) * math.sqrt(batch / 64), 2e-3)
