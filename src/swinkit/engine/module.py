"""One LightningModule for all tasks: losses, optimiser, validation figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from swinkit.config import TrainConfig
from swinkit.data.batching import Batch
from swinkit.engine.faults import blow_up, has_blown_up
from swinkit.engine.optim import make_optimizer, parameter_groups, peak_lr, warmup_schedule
from swinkit.engine.outline import Batches
from swinkit.errors import RunError
from swinkit.tasks.base import Task


class TrainingModule(LightningModule):
    """Wraps a task for Lightning; the task itself stays plain PyTorch."""

    def __init__(self, task: Task, config: TrainConfig, batches: Batches, *, from_scratch: bool) -> None:
        super().__init__()
        self.task, self.config, self.batches = task, config, batches
        self.lr = peak_lr(config, batches.step, from_scratch=from_scratch)
        self.mix = task.mixing(config.augmentation)
        self.metric = task.metric()
        self.unreadable: dict[str, None] = {}  # messages, in order, each once
        self.skipped: list[str] = []  # batches whose loss was no number
        self.losses = torch.zeros(2)  # of the epoch: their sum over images, and how many

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
        mixed = replace(batch, images=images, targets=targets)
        loss = _total(self.task.loss(mixed))
        if has_blown_up(loss):
            self._blown_up(mixed, loss, batch_idx)
            return None
        self.losses[0] += len(batch) * loss.detach()
        self.losses[1] += len(batch)
        return loss

    def on_train_epoch_start(self) -> None:
        """Start the mean loss anew; not where an epoch goes on."""
        self.losses = torch.zeros(2, device=self.device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses of an epoch that is broken off."""
        checkpoint["losses"] = self.losses

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back."""
        self.losses = checkpoint["losses"].to(self.device)

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
        """Log the figures as val_NAME, and the epoch's mean loss."""
        self.log("train_loss", self.losses[0] / self.losses[1])
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
        # not counted by Lightning, which would begin to read before it knows where a run goes on
        _, factor = warmup_schedule(config, self.batches.steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _blown_up(self, batch: Batch, loss: Tensor, batch_idx: int) -> None:
        """Stop with RunError, or remember that the batch was skipped."""
        folder = Path(self.trainer.default_root_dir)
        text = blow_up(self.task, batch, loss, folder, epoch=self.trainer.current_epoch, batch_idx=batch_idx)
        if self.config.on_nan == "stop":
            raise RunError(
                f"{text} Lower --lr, train in fp32 or bf16, or skip such batches by --on-nan skip; the run "
                f"is kept: `swin train --resume {folder}`."
            )
        self.skipped.append(text)

    def _note(self, batch: Batch) -> None:
        self.unreadable.update(dict.fromkeys(batch.unreadable))


def _total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()
