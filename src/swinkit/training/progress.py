"""What a person sees while training: one line an epoch, and a bar with speed and time left."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar as LightningProgress
from rich.console import Console

from swinkit.data.batch import Batch
from swinkit.progress import progress_bar

BOUND = 1 / 3  # share of waiting above which the loader decides the speed
LONG = 5.0  # seconds of an epoch below which this says nothing


class TrainingProgress(LightningProgress):
    """Bar over all batches of the run; after each epoch a line with its figures.

    `wait` is the share of the time in which training waited for the loader; above a third it is said plainly.
    """

    def __init__(self, monitor: str, noun: str, console: Console, *, enabled: bool) -> None:
        super().__init__()
        self.noun = noun  # of what is counted: image, clip
        self.monitor, self.console, self.enabled = monitor, console, enabled
        self.bar = progress_bar(console, enabled=enabled)
        self.told = False
        self.images = 0
        self.seconds = self.waited = 0.0

    def disable(self) -> None:
        """Say nothing: Lightning calls it in all processes but the first."""
        self.enabled = self.bar.lines = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        per_epoch, epochs = int(trainer.num_training_batches), trainer.max_epochs or 1
        done = trainer.current_epoch * per_epoch
        self._reset()
        self.task = self.bar.add_task("", total=per_epoch * epochs, completed=done, speed="")
        self.bar.start()

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Name the epoch."""
        self._reset()
        if not self.bar.disable:
            self.bar.update(self.task, description=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_start(self, *_: Any) -> None:
        """The batch has come."""
        self.waited += time.perf_counter() - self.ended

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Move on."""
        self.images += len(batch) * trainer.world_size
        self.ended = time.perf_counter()
        self.seconds = self.ended - self.started  # without validation
        self._print_if_due(f"batch {batch_idx + 1}/{trainer.num_training_batches}", trainer)
        if self.bar.disable:
            return  # the loss would have to come from the device
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        loss = float("nan") if not isinstance(outputs, dict) else float(outputs["loss"])
        self.bar.update(
            self.task,
            advance=1,
            speed=f"{self._speed():.0f} {self.noun}s/s  loss {loss:.3f}  lr {rate:.2g}  "
            f"wait {self._wait():.0%}",
        )

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        *_: Any,
    ) -> None:
        """Say that validation goes on."""
        self._print_if_due(f"validation, batch {batch_idx + 1}", trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's figures."""
        if not self.enabled:
            return
        self.bar.printed = time.perf_counter()
        figures = trainer.callback_metrics
        value = figures.get(f"val_{self.monitor}")
        shown = "" if value is None else f"  val {self.monitor} {float(value):5.1f} %"
        loss = float(figures.get("train_loss", float("nan")))
        left = (trainer.max_epochs or 1) - trainer.current_epoch - 1
        eta = timedelta(seconds=round(left * (time.perf_counter() - self.started)))
        self.bar.console.print(
            f"epoch {trainer.current_epoch + 1:>3}/{trainer.max_epochs}  loss {loss:.3f}{shown}  "
            f"{self._speed():.0f} {self.noun}s/s  wait {self._wait():.0%}  ETA {eta}",
            highlight=False,
        )
        if self._wait() > BOUND and self.seconds > LONG and not self.told:
            self.told = True
            self.bar.console.print(
                f"Loader-bound: training waits for {self.noun}s {self._wait():.0%} of the time; give more "
                "`workers`, smaller files or a faster disk.",
                highlight=False,
            )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Clear the bar."""
        self.bar.stop()

    def on_exception(self, *_: Any) -> None:
        """Clear the bar, for nothing is torn down after an error."""
        self.bar.stop()

    def _print_if_due(self, where: str, trainer: Trainer) -> None:
        """Print a line where no bar is shown and the last one is a minute old."""
        epoch = f"epoch {trainer.current_epoch + 1:>3}/{trainer.max_epochs}"
        self.bar.print_if_due(f"{epoch}  {where}  {self._speed():.0f} {self.noun}s/s")

    def _reset(self) -> None:
        self.images, self.waited = 0, 0.0
        self.started = self.ended = time.perf_counter()

    def _wait(self) -> float:
        return self.waited / self.seconds if self.seconds else 0.0

    def _speed(self) -> float:
        return self.images / self.seconds if self.seconds else 0.0
