"""One LightningModule for all tasks: losses, optimiser, validation figures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from swinkit.config.train import TrainConfig
from swinkit.data.batch import Batch
from swinkit.distributed import broadcast_statistics, collected, gathered, rank, summed, told_by, world
from swinkit.errors import RunError
from swinkit.tasks.base import Task
from swinkit.training.faults import Unreadable, blow_up, has_blown_up
from swinkit.training.optimizer import make_optimizer, parameter_groups, peak_lr, warmup_schedule
from swinkit.training.plan import Batches


class TrainingModule(LightningModule):
    """Wraps a task for Lightning; the task itself stays plain PyTorch."""

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        batches: Batches,
        unreadable: Unreadable,
        *,
        from_scratch: bool,
    ) -> None:
        super().__init__()
        self.task, self.config, self.batches = task, config, batches
        self.lr = peak_lr(config, batches.step, from_scratch=from_scratch)
        self.mix = task.mixing(config.augmentation)
        self.metric = task.metric()
        self.unreadable = unreadable
        self.skipped: list[str] = []  # batches whose loss was no number
        self.losses = torch.zeros(2)  # of the epoch: their sum over images, and how many
        self.val_losses = [0.0, 0.0]
        self._figures: dict[str, float] | None = None  # of the last validation
        self.sharded = False

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch."""
        return batch.to(device, non_blocking=True)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """The summed loss of a mixed batch; None (skip) where no file of it could be read.

        Of several processes each gives its share of the mean over all images of the step.
        """
        if len(batch):
            batch = self.mix(batch)
            loss = _total(self.task.loss(batch))
        else:
            loss = self._no_loss(batch)
        own = float(len(batch))
        images_in_all, bad, dropped = summed([own, float(has_blown_up(loss)), float(len(batch.unreadable))])
        if dropped:
            self.unreadable.note(batch.unreadable, training=True)
        if bad:
            self._blown_up(batch, loss, batch_idx)
        if bad or not images_in_all:
            return None if world() == 1 else self._no_loss(batch)  # the others wait for gradients
        self.losses[0] += own * loss.detach()
        self.losses[1] += own
        return loss * (own * world() / images_in_all)

    def on_train_epoch_start(self) -> None:
        """Start the mean loss anew; not where an epoch goes on."""
        self.losses = torch.zeros(2, device=self.device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses of an epoch that is broken off, (processes, 2)."""
        checkpoint["losses"] = torch.tensor(gathered(self.losses.tolist()))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back: each process its own, for sums in another order are rounded otherwise."""
        losses = checkpoint["losses"].reshape(-1, 2)
        own = losses[rank()] if len(losses) == world() else losses.sum(0) / world()
        self.losses = own.to(self.device)

    def on_validation_epoch_start(self) -> None:
        """Start the figures anew, of the model that the first process saves."""
        broadcast_statistics(self.task)
        self.task.settle()
        self.metric.reset()
        self.val_losses = [0.0, 0.0]
        self.dropped: list[str] = []
        self._figures = None

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a batch into the figures."""
        self.dropped += batch.unreadable
        if not len(batch):
            if world() > 1:
                self.task.idle(_one_blank(batch))  # with FSDP2 the others wait in each layer
            return
        raw = self.task.measure(batch)
        self.metric.update(raw, batch)
        losses = self.task.loss(batch, raw)
        if losses:  # a detector's are those of what it draws for training
            self.val_losses[0] += len(batch) * _total(losses).item()
            self.val_losses[1] += len(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the figures as val_NAME, and the epoch's mean losses."""
        for name, losses in (("train_loss", self.losses.tolist()), ("val_loss", self.val_losses)):
            total, images = summed(losses)
            self.log(name, total / images if images else math.nan)
        self.unreadable.note(self.dropped, training=False)
        for name, value in self.figures().items():
            self.log(f"val_{name}", value)

    def figures(self) -> dict[str, float]:
        """Validation figures over what all processes have counted; every process must ask."""
        if self._figures is None:
            metrics = collected(self.metric)
            for other in metrics[1:]:
                self.metric.merge(other)
            self._figures = told_by(self.metric.compute() if metrics else {})
        return self._figures

    def configure_model(self) -> None:
        """With FSDP2 share the weights out: those of each block together, the rest together."""
        if self.config.strategy == "fsdp2" and world() > 1 and not self.sharded:
            assert self.device_mesh is not None
            mesh = self.device_mesh["data_parallel"]
            for block in self.task.backbone.blocks():
                fully_shard(block, mesh=mesh)
            # else the weights of the last use would stay gathered, and the average could not take their place
            fully_shard(self.task, mesh=mesh, reshard_after_forward=True)
            for method in self.task.forwards:
                register_fsdp_forward_method(self.task, method)
            self.sharded = True

    def configure_optimizers(self) -> Any:
        """AdamW with decay groups, cosine with warm-up by step."""
        config = self.config
        groups = parameter_groups(
            self.task,
            config.weight_decay,
            layer_decay=config.layer_decay,
            backbone_lr=config.backbone_lr,
            text_lr=config.text_lr,
        )
        optimizer = make_optimizer(groups, self.lr, sam=config.sam, fused=self.trainer.precision == "32-true")
        # not counted by Lightning, which would begin to read before it knows where a run goes on
        _, factor = warmup_schedule(config, steps=self.batches.steps, epochs=self.batches.epochs)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _blown_up(self, batch: Batch, loss: Tensor, batch_idx: int) -> None:
        """Stop with RunError, or remember that the batch was skipped."""
        folder = Path(self.trainer.default_root_dir)
        batch = batch if len(batch) else replace(batch, images=_one_blank(batch))
        text = blow_up(self.task, batch, loss, folder, epoch=self.trainer.current_epoch, batch_idx=batch_idx)
        if self.config.on_nan == "stop":
            raise RunError(
                f"{text} Lower `lr`, train in fp32 or bf16, or skip such batches by `on_nan=skip`; the run "
                f"is kept: `swin train --resume {folder}`."
            )
        self.skipped.append(text)

    def _no_loss(self, batch: Batch) -> Tensor:
        """A loss without gradient, all layers passed: with FSDP2 the others wait in each of them."""
        return self.task.no_loss(_one_blank(batch))


def _one_blank(batch: Batch) -> Tensor:
    """A picture of zeros, of the batch's shape."""
    return batch.images.new_zeros(1, *batch.images.shape[1:])


def _total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()
