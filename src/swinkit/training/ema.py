"""The moving average of the weights."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from swinkit.distributed import local, shared_out, whole
from swinkit.tasks.base import Task
from swinkit.training.module import TrainingModule


class Ema(Callback):
    """Moving average of the weights with a warm-up, validated and saved in their place.

    It runs over about a twentieth of the run's steps unless `decay` is given. Lightning's own keeps a copy of
    the whole model, which cannot be made of one that FSDP2 has shared out.
    """

    def __init__(self, steps: int, decay: float | None = None) -> None:
        self.decay = decay or min(0.9999, max(0.9, 1 - 20 / max(steps, 1)))
        self.averages: dict[str, Tensor] = {}
        self.resumed: dict[str, Tensor] = {}  # whole ones, of a checkpoint
        self.step = 0

    def on_train_start(self, trainer: Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        """Start from the weights, or go on."""
        for name, weight in floats(pl_module.task).items():
            old = self.resumed.get(name)
            self.averages[name] = weight.detach().clone() if old is None else shared_out(old, weight)
        self.resumed = {}
        self.step = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: TrainingModule, *_: Any) -> None:  # type: ignore[override]
        """Follow a step."""
        if trainer.global_step == self.step:
            return
        self.step = trainer.global_step
        # early on the average follows quickly, or it would drag the random start along
        decay = min(self.decay, self.step / (9 + self.step))
        averages, weights = self._pairs(pl_module)
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        """Put the average in the place of the weights."""
        self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        """Put the weights back."""
        self._swap(pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: Any) -> None:
        """Keep the average."""
        checkpoint["average"] = {name: whole(average) for name, average in self.averages.items()}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: Any) -> None:
        """Take it back when training starts."""
        self.resumed = checkpoint["average"]

    def _pairs(self, pl_module: TrainingModule) -> tuple[list[Tensor], list[Tensor]]:
        weights = floats(pl_module.task)
        return [local(self.averages[name]) for name in weights], [local(w.detach()) for w in weights.values()]

    @torch.no_grad()
    def _swap(self, pl_module: TrainingModule) -> None:
        for average, weight in zip(*self._pairs(pl_module), strict=True):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)


def floats(task: Task) -> dict[str, Tensor]:
    """Weights and statistics by name."""
    named = chain(task.named_parameters(), task.named_buffers())
    return {name: tensor for name, tensor in named if tensor.is_floating_point()}
