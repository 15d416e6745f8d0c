"""The training state of a run on disk: find the newest whole one, and where in the data it goes on."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from swinkit.engine.run import RunFolder
from swinkit.errors import RunError
from swinkit.progress import remark


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
            f"or train from {run.last} as --model."
        )
    return None


def _read(path: Path) -> Any:
    """Return the content of a file whose checksums hold, None if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return None
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # noqa: BLE001, of any kind where bytes are damaged
        return None
