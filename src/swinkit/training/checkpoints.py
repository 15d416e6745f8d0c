"""The training state of a run on disk: find the newest whole one, and check that it is this run's."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from swinkit.errors import RunError, shortened, unreadable
from swinkit.files import check_readable
from swinkit.progress import remark
from swinkit.training.run_folder import RunFolder

PARTS = {
    "state_dict": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "callbacks": dict,
    "loops": dict,
    "losses": Tensor,
    "epoch": int,
    "global_step": int,
}
"""What a training state of ours holds, and of which type."""


@dataclass(frozen=True)
class TrainingState:
    """A training state that could be read: `content` is what Lightning wrote."""

    path: Path
    content: Any

    @property
    def position(self) -> dict[str, int]:
        """The state of the training loader: the epoch, and the batches of it that are done.

        Lightning restores it only within an epoch, and loader processes read ahead before Lightning names the
        epoch. So it must reach the loader before training starts.
        """
        loaders = self.content["loops"]["fit_loop"]["state_dict"]["combined_loader"]
        position: dict[str, int] = loaders[0]
        return position

    def check(self, weights: Mapping[str, Tensor], *, epochs: int, averaged: Mapping[str, Tensor]) -> None:
        """Refuse a state that is not this run's.

        Args:
            weights: the state dict of the training module.
            epochs: the length of the run.
            averaged: the tensors that have a moving average; none without one.

        Raises:
            RunError: names what does not fit, and how to go on.

        """
        if not isinstance(self.content, dict) or not self.content:
            raise self.unfit("it holds no training state")
        for name, kind in PARTS.items():
            if not isinstance(self.content.get(name), kind):
                raise self.unfit(f"it holds no {name}")
        self._check_position()
        self._check_tensors("weights", self.content["state_dict"], weights)
        if averaged:
            self._check_tensors("moving average", self.content.get("average"), averaged)
        self._check_optimizer(weights)
        if self.position["epoch"] > epochs:
            raise RunError(
                f"{self.path} has been trained for {self.position['epoch']} epochs, and config.yaml says "
                f"epochs={epochs}: give as many there, or more."
            )

    def unfit(self, reason: str) -> RunError:
        """Return the error for a state that this run cannot go on from."""
        return RunError(
            f"{self.path} is not the training state of this run, {shortened(reason)}: put the right file "
            "there, undo changes of config.yaml, or delete it to go on from previous.ckpt or the start."
        )

    def _check_position(self) -> None:
        try:
            position = self.position
            numbers = [position[name] for name in ("epoch", "batches", "whole")]
        except (KeyError, IndexError, TypeError) as error:
            raise self.unfit("it does not say where in the data it stopped") from error
        if any(type(number) is not int or number < 0 for number in numbers) or not position["whole"]:
            raise self.unfit(f"it says that it stopped at {position}")

    def _check_tensors(self, what: str, stored: Any, expected: Mapping[str, Tensor]) -> None:
        """Compare names and shapes; all numbers must be finite."""
        if not isinstance(stored, dict):
            raise self.unfit(f"it holds no {what}")
        missing = [name for name in expected if name not in stored]
        unknown = [str(name) for name in stored if name not in expected]
        if missing or unknown:
            reason = f"{missing[0]} is missing" if missing else f"{unknown[0]} is not part of the model"
            raise self.unfit(f"of the {what} {reason}")
        for name, tensor in expected.items():
            value = stored[name]
            if not isinstance(value, Tensor) or value.shape != tensor.shape:
                shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise self.unfit(f"of the {what} {name} is {shape}, and the model has {tuple(tensor.shape)}")
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise self.unfit(f"of the {what} {name} holds numbers that are not finite (NaN)")

    def _check_optimizer(self, weights: Mapping[str, Tensor]) -> None:
        """One optimiser and one schedule, which have made steps where the run has."""
        optimizers, schedules = self.content["optimizer_states"], self.content["lr_schedulers"]
        if len(optimizers) != 1 or not isinstance(optimizers[0], dict) or len(schedules) != 1:
            raise self.unfit("it holds no optimiser with its schedule")
        moments = optimizers[0].get("state")
        if not isinstance(moments, dict) or not isinstance(optimizers[0].get("param_groups"), list):
            raise self.unfit("it holds no optimiser")
        if self.content["global_step"] and not moments:
            raise self.unfit("it holds no state of the optimiser")
        if len(moments) > len(weights):
            raise self.unfit("its optimiser has more parameters than the model")
        for entry in moments.values():
            for value in entry.values() if isinstance(entry, dict) else ():
                if isinstance(value, Tensor) and not bool(value.isfinite().all()):
                    raise self.unfit("its optimiser holds numbers that are not finite (NaN)")


def check_moments(state: TrainingState, optimizer: torch.optim.Optimizer) -> None:
    """Refuse a restored optimiser whose moments are not of the shapes of its parameters."""
    for parameter, entry in optimizer.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            moment = entry.get(name)
            if isinstance(moment, Tensor) and moment.shape != parameter.shape:
                raise state.unfit(f"its optimiser is of another model ({tuple(moment.shape)})")


def newest_state(run: RunFolder, console: Console) -> TrainingState | None:
    """Return the newest training state that is whole, None for a run without any.

    Raises:
        RunError: if all training states are damaged.

    """
    paths = [path for path in (run.checkpoint, run.previous_checkpoint) if path.exists()]
    for path in paths:
        content = _read(path)
        if content is not None:
            if path != paths[0]:
                remark(console, f"{paths[0]} is damaged: the run goes on from {path}.")
            return TrainingState(path, content)
    if paths:
        raise RunError(
            f"{paths[0]} cannot be read, it may be cut short: delete it to start the run anew, "
            f"or train from {run.last} as `model`."
        )
    return None


def _read(path: Path) -> Any:
    """Return the content of a file whose checksums hold, None if it is damaged.

    Raises:
        RunError: if it is no file that may be read.

    """
    try:
        check_readable(path)
    except OSError as error:
        raise RunError(unreadable(path, error, "a training state")) from error
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return None
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # noqa: BLE001, of any kind where bytes are damaged
        return None
    return {} if content is None else content
