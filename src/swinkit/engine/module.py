"""One LightningModule for all tasks: losses, optimiser, validation figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from swinkit.config import TrainConfig
from swinkit.data.batching import Batch
from swinkit.engine.optim import make_optimizer, parameter_groups, peak_lr, warmup_schedule
from swinkit.tasks.base import Task


class TrainingModule(LightningModule):
    """Wraps a task for Lightning; the task itself stays plain PyTorch. `images` are those of a step."""

    def __init__(self, task: Task, config: TrainConfig, *, images: int, from_scratch: bool) -> None:
        super().__init__()
        self.task, self.config = task, config
        self.lr = peak_lr(config, images, from_scratch=from_scratch)
        self.mix = task.mixing(config.augmentation)
        self.metric = task.metric()
        self.unreadable: dict[str, None] = {}  # messages, in order, each once

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch."""
        return batch.to(device, non_blocking=True)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """The summed loss of a mixed batch; None (skip) where no file of it could be read."""
        self._note(batch)
        if not len(batch):
            return None
        assert batch.targets is not None
        images, targets = self.mix(batch.images, batch.targets)
        loss = _total(self.task.loss(replace(batch, images=images, targets=targets)))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start the figures anew."""
        self.metric.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a batch into the figures."""
        self._note(batch)
        if not len(batch):
            return
        raw = self.task(batch.images)
        self.metric.update(raw, batch)
        self.log("val_loss", _total(self.task.loss(batch, raw)), batch_size=len(batch))

    def on_validation_epoch_end(self) -> None:
        """Log the figures as val_NAME."""
        for name, value in self.metric.compute().items():
            self.log(f"val_{name}", value)

    def configure_optimizers(self) -> Any:
        """AdamW with decay groups, cosine with warm-up by step."""
        config = self.config
        groups = parameter_groups(
            self.task,
            config.weight_decay,
            layer_decay=config.layer_decay,
            depths=self.task.backbone.config.depths,
        )
        optimizer = make_optimizer(groups, self.lr, sam=config.sam)
        steps = int(self.trainer.estimated_stepping_batches)
        _, factor = warmup_schedule(config, steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _note(self, batch: Batch) -> None:
        self.unreadable.update(dict.fromkeys(batch.unreadable))


def _total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()
