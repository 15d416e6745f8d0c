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
from torch import Tensor
from torch.nn import Module, Parameter

from swinkit.data.loader import ResumableLoader
from swinkit.distributed import collected, highest, rank, whole_state, world
from swinkit.errors import InterruptedRunError
from swinkit.files import write_atomically
from swinkit.training.checkpoints import TrainingState, check_moments
from swinkit.training.module import TrainingModule
from swinkit.training.run_folder import RunFolder
from swinkit.visualize.charts import draw_curves


class Reseed(Callback):
    """Start each epoch from (seed, epoch) alone, so that a resumed run draws what an unbroken one does."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed torch's generators."""
        own = f"/{rank()}" if rank() else ""  # processes draw differently
        digest = hashlib.sha256(f"{self.seed}/{trainer.current_epoch}{own}".encode()).digest()
        torch.manual_seed(int.from_bytes(digest[:7], "big"))


def set_modes(model: Module) -> None:
    """Let all that learns vary as it does in training; what is frozen answers as in tests.

    Models come from `load` as they answer, and Lightning leaves them so.
    """
    model.train()
    for module in model.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()


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
        set_modes(backbone)


class ModelFiles(Callback):
    """Write best.safetensors and last.safetensors. Stands before Ema, whose weights it saves."""

    def __init__(self, run: RunFolder, lineage: dict[str, Any], monitor: str) -> None:
        self.run, self.lineage, self.monitor = run, lineage, monitor
        self.best_figure = float("-inf")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        """Save the model that has just been validated."""
        task = pl_module.task
        metrics, tensors = pl_module.figures(), whole_state(task)
        better = metrics[self.monitor] > self.best_figure
        if trainer.is_global_zero:
            lineage = {**self.lineage, "epoch": trainer.current_epoch + 1, "metrics": metrics}
            task.save(self.run.last, tensors, **lineage)
            if better:
                task.save(self.run.best, tensors, **lineage)
        if better:
            self.best_figure = metrics[self.monitor]

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

    def __init__(
        self, run: RunFolder, stop: StopOnSignal, *, every: float, resumed: TrainingState | None = None
    ) -> None:
        self.run, self.stop, self.every = run, stop, every
        self.resumed = resumed  # until all of it has been restored
        self.saved = time.monotonic()
        self.generators: list[dict[str, Tensor]] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the generators back where the run was broken off."""
        if self.generators is not None and len(self.generators) == world():
            torch.set_rng_state(self.generators[rank()]["cpu"])
            if "cuda" in self.generators[rank()]:
                torch.cuda.set_rng_state(self.generators[rank()]["cuda"])
        self.generators = None
        if self.resumed is not None:
            check_moments(self.resumed, trainer.optimizers[0])
        self.resumed = None

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
        if trainer.is_global_zero:
            write_atomically(self.run.checkpoint, trainer.save_checkpoint, keep=self.run.previous_checkpoint)
        else:
            trainer.save_checkpoint(self.run.checkpoint)  # writes nothing, but the first one waits for it
        self.saved = time.monotonic()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: Any) -> None:
        """Before validation, say so: else Lightning would take it for done."""
        if trainer.validating:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            progress["total"] |= {"ready": 1, "started": 1, "processed": 0, "completed": 0}

    def state_dict(self) -> dict[str, Any]:
        """The states of torch's generators, by process."""
        own = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            own["cuda"] = torch.cuda.get_rng_state()
        return {"generators": collected(own)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep them until training starts."""
        self.generators = state_dict["generators"]

    def _save_if_due(self, trainer: Trainer, seconds: float) -> None:
        """Save where the last time is so long ago, or the run is to stop; then stop it."""
        due = rank() == 0 and time.monotonic() - self.saved >= seconds
        asked, due_anywhere = highest([float(self.stop.signal or 0), float(due)])
        if asked or due_anywhere:
            self.save(trainer)
        if asked:
            raise self.stop.error(int(asked))


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
        self.before = self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        """Put the former handlers back."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Remember the epoch, for the message; take the place of the handler that Lightning has put in front.

        That one would speak to the other processes from within itself, in the midst of anything.
        """
        self.epoch = trainer.current_epoch
        self._listen()

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Remember it."""
        self.epoch = trainer.current_epoch

    def on_validation_batch_end(self, *_: Any) -> None:
        """Stop if asked to: the epoch has been saved before, or goes on from where it was saved."""
        self.check()

    def error(self, number: int) -> InterruptedRunError:
        """What to tell the user."""
        return stopped_by(number, self.run, f" in epoch {self.epoch + 1}")

    def _listen(self) -> dict[int, Any]:
        """Take the signals; the handlers they had."""
        before: dict[int, Any] = {}
        with contextlib.suppress(ValueError):  # only the main thread of a program may listen
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, self._receive)
        return before

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise self.error(number)
        self.signal = number

    def check(self) -> None:
        """Stop if asked to."""
        asked = highest([float(self.signal or 0)])[0]
        if asked:
            raise self.error(int(asked))


def stopped_by(number: int, run: RunFolder, where: str = "") -> InterruptedRunError:
    """What to tell of a run that a signal has ended."""
    kept = f"the run is kept in {run.path}: continue with `swin train --resume {run.path}`"
    return InterruptedRunError(
        f"Stopped by {signal.Signals(number).name}{where}; "
        f"{kept if run.checkpoint.exists() else 'nothing was saved yet'}.",
        number,
    )
