"""How time and memory are measured: warm, synchronised, in rounds through all that is compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

Step = Callable[[], object]
_PROCESS = Path("/proc/self")  # Linux: 5 in clear_refs sets the peak back to what is there now


def wait(device: torch.device) -> None:
    """Until the device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds(step: Step, device: torch.device) -> float:
    """How long a step takes."""
    wait(device)
    begin = time.perf_counter()
    step()
    wait(device)
    return time.perf_counter() - begin


def in_turns(
    steps: Sequence[Step],
    device: torch.device,
    *,
    rounds: int,
    warmup: int = 1,
    advance: Callable[[], object] = lambda: None,
) -> list[list[float]]:
    """Seconds of each step in each round; what slows the machine slows all of them.

    `warmup` rounds come first and do not count: there things are compiled, and memory is taken. Every other
    round goes backwards, so that none always follows the same.
    """
    taken: list[list[float]] = [[] for _ in steps]
    for number in range(-warmup, rounds):
        order = range(len(steps)) if number % 2 else reversed(range(len(steps)))
        for i in order:
            spent = seconds(steps[i], device)
            if number >= 0:
                taken[i].append(spent)
            advance()
    return taken


def peak_memory(step: Step, device: torch.device) -> int | None:
    """The most bytes that a step held: of the GPU's memory, else of the process; None where none tells it.

    The process's is resident memory, all that was there before included.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        step()
        wait(device)
        return torch.cuda.max_memory_allocated(device)
    if device.type != "cpu" or not (_PROCESS / "clear_refs").exists():
        return None
    (_PROCESS / "clear_refs").write_text("5")
    step()
    lines = (_PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
