"""What a person sees while training: one line an epoch, and a bar with speed and time left."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar as LightningProgress
from rich.console import Console

from swinkit.data.batching import Batch
from swinkit.progress import progress_bar


class TrainingProgress(LightningProgress):
    """Bar over all batches of the run; after each epoch a line with its figures."""

    def __init__(self, monitor: str, console: Console, *, enabled: bool) -> None:
        super().__init__()
        self.monitor, self.console, self.enabled = monitor, console, enabled
        self.bar = progress_bar(console, enabled=enabled)
        self.images = 0
        self.seconds = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        per_epoch, epochs = int(trainer.num_training_batches), trainer.max_epochs or 1
        done = trainer.current_epoch * per_epoch
        self.images, self.started = 0, time.perf_counter()
        self.task = self.bar.add_task("", total=per_epoch * epochs, completed=done, speed="")
        self.bar.start()

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Name the epoch."""
        self.images, self.started = 0, time.perf_counter()
        self.bar.update(self.task, description=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Move on."""
        self.images += len(batch)
        self.seconds = time.perf_counter() - self.started  # without validation
        self.bar.update(self.task, advance=1, speed=f"{self._speed():.0f} images/s")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's figures."""
        if not self.enabled:
            return
        figures = trainer.callback_metrics
        value = figures.get(f"val_{self.monitor}")
        shown = "" if value is None else f"  val {self.monitor} {float(value):5.1f} %"
        loss = float(figures.get("train_loss", float("nan")))
        left = (trainer.max_epochs or 1) - trainer.current_epoch - 1
        eta = timedelta(seconds=round(left * (time.perf_counter() - self.started)))
        self.bar.console.print(
            f"epoch {trainer.current_epoch + 1:>3}/{trainer.max_epochs}  loss {loss:.3f}{shown}  "
            f"{self._speed():.0f} images/s  ETA {eta}",
            highlight=False,
        )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Clear the bar."""
        self.bar.stop()

    def on_exception(self, *_: Any) -> None:
        """Clear the bar, for nothing is torn down after an error."""
        self.bar.stop()

    def _speed(self) -> float:
        return self.images / self.seconds if self.seconds else 0.0
