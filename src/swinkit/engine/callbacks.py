"""What happens around the epochs: files, history, seeds, averaging, Ctrl-C."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import time
from types import FrameType
from typing import Any, Self

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor
from torch.nn import Parameter

from swinkit.data.batching import ResumableLoader
from swinkit.engine.module import TrainingModule
from swinkit.engine.run import RunFolder
from swinkit.errors import InterruptedRunError
from swinkit.explain.charts import draw_curves
from swinkit.files import write_atomically


class Ema(WeightAveraging):
    """Moving average with a warm-up, validated and saved in place of the weights.

    It runs over about a twentieth of the run's steps unless `decay` is given.
    """

    def __init__(self, steps: int, device: torch.device, decay: float | None = None) -> None:
        # the device is named, for Lightning makes the average while the model is still on the CPU
        super().__init__(device, multi_avg_fn=self._average)
        self.decay = decay or min(0.9999, max(0.9, 1 - 20 / max(steps, 1)))
        self.step = 0

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After each step, of which it takes note."""
        self.step = self.step if step_idx is None else step_idx
        return step_idx is not None

    def _average(self, averages: Any, currents: Any, count: Tensor | int) -> None:
        # early on the average follows quickly, or it would drag the random start along; the step is known
        # here, while `count` would have to come from the device
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(averages, currents, 1 - decay)


class Reseed(Callback):
    """Start each epoch from (seed, epoch) alone, so that a resumed run draws what an unbroken one does."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed torch's generators."""
        digest = hashlib.sha256(f"{self.seed}/{trainer.current_epoch}".encode()).digest()
        torch.manual_seed(int.from_bytes(digest[:7], "big"))


class Thaw(Callback):
    """Let the head alone learn in the first epochs; then what was trainable of the backbone too."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.frozen: list[Parameter] = []

    def on_train_start(self, trainer: Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        """Freeze where a run goes on within such an epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        """Freeze, or set free again."""
        backbone = pl_module.task.backbone
        early = trainer.current_epoch < self.epochs
        if early and not self.frozen:
            self.frozen = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
        for parameter in self.frozen:
            parameter.requires_grad_(not early)
        backbone.train(not early)


class ModelFiles(Callback):
    """Write best.safetensors and last.safetensors. Stands before Ema, whose weights it saves."""

    def __init__(self, run: RunFolder, lineage: dict[str, Any]) -> None:
        self.run, self.lineage = run, lineage
        self.best_figure = float("-inf")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        """Save the model that has just been validated."""
        task = pl_module.task
        metrics = pl_module.metric.compute()
        better = metrics[task.monitor] > self.best_figure
        if trainer.is_global_zero:
            lineage = {**self.lineage, "epoch": trainer.current_epoch + 1, "metrics": metrics}
            task.save(self.run.last, **lineage)
            if better:
                task.save(self.run.best, **lineage)
        if better:
            self.best_figure = metrics[task.monitor]

    def state_dict(self) -> dict[str, Any]:
        """The best figure so far."""
        return {"best_figure": self.best_figure}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best figure back."""
        self.best_figure = state_dict["best_figure"]


class Checkpoint(Callback):
    """Write the training state: after each epoch, `every` so many seconds, and before a stop on a signal.

    Stands last: it saves the others. A state within an epoch holds the place of the loader and the
    generators, and is taken only where a step has been made, so that no gradient is lost.
    """

    def __init__(self, run: RunFolder, stop: StopOnSignal, *, every: float) -> None:
        self.run, self.stop, self.every = run, stop, every
        self.saved = time.monotonic()
        self.generators: dict[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the generators back where the run was broken off."""
        if self.generators is not None:
            torch.set_rng_state(self.generators["cpu"])
            for device, state in enumerate(self.generators["cuda"]):
                torch.cuda.set_rng_state(state, device)
            self.generators = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the place; save where it is time, and stop where asked to."""
        loader = trainer.train_dataloader
        assert isinstance(loader, ResumableLoader)
        loader.position = trainer.current_epoch, batch_idx + 1
        last = batch_idx + 1 == trainer.num_training_batches  # validation follows, and saves
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if stepped and not last:
            self._save_if_due(trainer, self.every)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what an epoch has taught before it is measured, where that took long; stop where asked to."""
        self._save_if_due(trainer, min(60.0, self.every))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch."""
        loader = trainer.train_dataloader
        assert isinstance(loader, ResumableLoader)
        loader.position = trainer.current_epoch + 1, 0
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Replace last.ckpt, whole or not at all; what it held becomes previous.ckpt."""
        write_atomically(self.run.checkpoint, trainer.save_checkpoint, keep=self.run.previous_checkpoint)
        self.saved = time.monotonic()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: Any) -> None:
        """Before validation, say so: else Lightning would take it for done."""
        if trainer.validating:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            progress["total"] |= {"ready": 1, "started": 1, "processed": 0, "completed": 0}

    def state_dict(self) -> dict[str, Any]:
        """The states of torch's generators."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep them until training starts."""
        self.generators = state_dict

    def _save_if_due(self, trainer: Trainer, seconds: float) -> None:
        """Save where the last time is so long ago, or the run is to stop; then stop it."""
        if self.stop.signal is not None or time.monotonic() - self.saved >= seconds:
            self.save(trainer)
        self.stop.check()


class History(Callback):
    """Write metrics.csv after each epoch, and curves.png too, at most every ten seconds."""

    def __init__(self, run: RunFolder, monitor: str) -> None:
        self.run, self.monitor = run, monitor
        self.rows: list[dict[str, float]] = []
        self.started, self.drawn = time.perf_counter(), 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a row."""
        figures = {key: float(value) for key, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        seconds = time.perf_counter() - self.started
        epoch = float(trainer.current_epoch)
        row = {"epoch": epoch, "step": float(trainer.global_step), "lr": rate, **figures, "seconds": seconds}
        # a resumed run repeats the epoch that was broken off
        self.rows = [old for old in self.run.read_history() if old["epoch"] < epoch] + [row]
        if trainer.is_global_zero:
            self.run.write_history(self.rows)
            if time.perf_counter() - self.drawn > 10:
                self._draw()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the whole run."""
        if trainer.is_global_zero and self.rows:
            self._draw()

    def _draw(self) -> None:
        draw_curves(self.rows, self.monitor, self.run.path / "curves.png")
        self.drawn = time.perf_counter()


class StopOnSignal(Callback):
    """Turn Ctrl-C and SIGTERM into InterruptedRunError at a batch's end; a second one ends at once.

    A context manager too, for Lightning tears no callback down after an error.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.signal: int | None = None
        self.epoch = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Listen, where this thread may."""
        with contextlib.suppress(ValueError):  # only the main thread of a program may listen
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        """Put the former handlers back."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Remember the epoch, for the message."""
        self.epoch = trainer.current_epoch

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Remember it."""
        self.epoch = trainer.current_epoch

    def on_validation_batch_end(self, *_: Any) -> None:
        """Stop if asked to: the epoch has been saved before, or goes on from where it was saved."""
        self.check()

    def error(self, number: int) -> InterruptedRunError:
        """What to tell the user."""
        name = signal.Signals(number).name
        return InterruptedRunError(
            f"Stopped by {name} in epoch {self.epoch + 1}; the run is kept in {self.run.path}: "
            f"continue with `swin train --resume {self.run.path}`.",
            number,
        )

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise self.error(number)
        self.signal = number

    def check(self) -> None:
        """Stop if asked to."""
        if self.signal is not None:
            raise self.error(self.signal)
