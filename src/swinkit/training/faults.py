"""What goes wrong within a step, told so that a user can mend it: overflow, memory, dead loaders."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from swinkit.data.batch import Batch
from swinkit.distributed import gathered, highest, rank, told_by, whole_state, world
from swinkit.errors import RunError
from swinkit.files import write_atomically, write_text
from swinkit.progress import remark
from swinkit.tasks.base import Task

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
LARGEST = 1e4  # no loss of a run that learns


def too_many(broken: int, images: int) -> bool:
    """Whether more files cannot be read than a run may leave out: 1 %, but three of a small set."""
    return broken > max(3, images / 100)


def listed(messages: Sequence[str], limit: int = 10) -> str:
    """The first of some sentences, and how many follow."""
    more = f" … and {len(messages) - limit} more." if len(messages) > limit else ""
    return " ".join(messages[:limit]) + more


class Unreadable:
    """Files that could not be read in training: each is named once, on screen and in unreadable.txt.

    All processes of a run keep the same list; the first one writes and speaks. Of training there are `count`
    files, each a `noun`.
    """

    def __init__(self, path: Path, count: int, noun: str, console: Console) -> None:
        self.path, self.count, self.noun, self.console = path, count, noun, console
        old = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
        self.messages = dict.fromkeys(old)
        self.broken: set[str] = set()  # of training, as far as this process has seen: not those of the file

    def note(self, messages: Sequence[str], *, training: bool) -> None:
        """Take note of what one process has found; RunError where training leaves out too much."""
        everyones = [text for some in gathered(list(messages)) for text in some]
        new = [text for text in dict.fromkeys(everyones) if text not in self.messages]
        if new:
            self.messages.update(dict.fromkeys(new))
            if rank() == 0:
                write_text(self.path, "".join(f"{text}\n" for text in self.messages))
        if training:
            self.broken.update(everyones)
            if too_many(len(self.broken), self.count):
                raise RunError(
                    f"{len(self.broken)} of {self.count} training {self.noun}s cannot be read, more than "
                    f"1 %: {listed(sorted(self.broken))} {self.path} lists all."
                )
        if new and rank() == 0:
            remark(self.console, f"Left out: {listed(new)}")


def has_blown_up(loss: Tensor) -> bool:
    """Whether a loss is no number, or absurd."""
    return not bool(loss.detach().abs() < LARGEST)


def first_overflow(task: Task, images: Tensor) -> str | None:
    """Name of the first layer whose output holds what is no finite number, if any."""
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            tensors = output if isinstance(output, list | tuple) else [output]
            if any(isinstance(t, Tensor) and not bool(torch.isfinite(t).all()) for t in tensors):
                found.append(name)

        return hook

    leaves = [(name, module) for name, module in task.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(watch(name)) for name, module in leaves]
    try:
        with torch.no_grad():
            task.idle(images)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def save_repro(path: Path, state: dict[str, Tensor], batch: Batch, loss: Tensor) -> None:
    """Write the batch as the model saw it, and the weights: `torch.load(path, weights_only=True)`."""
    targets = batch.to("cpu").targets
    plain = [vars(objects) for objects in targets] if isinstance(targets, tuple) else targets
    content = {
        "images": batch.images.cpu(),
        "targets": plain,
        "paths": list(batch.paths),
        "loss": loss.detach().cpu(),
        "state_dict": {name: tensor.cpu() for name, tensor in state.items()},
    }
    write_atomically(path, lambda temporary: torch.save(content, temporary))


def blow_up(task: Task, batch: Batch, loss: Tensor, folder: Path, *, epoch: int, batch_idx: int) -> str:
    """Save what is needed to look into it, and say what happened where.

    Every process must call it; the first whose loss has blown up saves and is quoted.
    """
    path = folder / f"nan-{epoch + 1}-{batch_idx}.pt"
    layer, state = first_overflow(task, batch.images), whole_state(task)
    culprit = -int(highest([-float(rank() if has_blown_up(loss) else world())])[0])
    if rank() != culprit:
        return told_by("", culprit)
    save_repro(path, state, batch, loss)
    where = f"; the first layer that overflows is {layer}" if layer else ""
    shown = ", ".join(batch.paths[:3])
    return told_by(
        f"The loss is {loss.item():.3g} in epoch {epoch + 1}, batch {batch_idx} ({shown} …){where}; batch "
        f"and weights are in {path}.",
        culprit,
    )


def told(error: BaseException, *, batch_size: int, accumulate: int, folder: Path) -> RunError | None:
    """What to tell of an error of torch or the file system; None for one that is not known."""
    text = str(error)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return RunError(
            f"{folder} cannot be written to ({error.strerror}): make room or allow it, and continue with "
            f"`swin train --resume {folder}`."
        )
    resume = f"`swin train --resume {folder}`"
    if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in text:
        smaller = max(1, batch_size // 2)
        more = accumulate * batch_size // smaller
        return RunError(
            f"Memory does not suffice for {batch_size} images a batch: start anew with "
            f"`batch_size={smaller}` and `accumulate={more}`, the same images per step, or "
            "with `checkpointing`."
        )
    dead = re.search(r"DataLoader worker \(pid[^)]*\)[^.:]*", text)
    if dead is not None:
        return RunError(
            f"A loader process died ({dead[0]}): memory may be short, so give fewer "
            f"`workers`; the run is kept: continue with {resume}."
        )
    return None
