"""Choose device, precision and batch size for the machine at hand."""

from __future__ import annotations

import os

import torch

from swinkit.cpus import free_cpus, usable_cpus
from swinkit.errors import ConfigError
from swinkit.progress import console, remark


def pick_device(wanted: str = "auto", *, local_rank: int = 0) -> torch.device:
    """The device by name; `auto` is CUDA, else MPS, else CPU. ConfigError for one that is not there.

    Of several processes on a machine each takes the GPU of its `local_rank`.
    """
    if local_rank and (wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available())):
        wanted = f"cuda:{local_rank}"
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ConfigError(
            f"`device={wanted!r}` is no device: give cpu, cuda, cuda:N, mps or auto."
        ) from error
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if (device.index or 0) >= present.get(device.type, 0):
        raise ConfigError(f"`device={wanted!r}` is not on this machine: give cpu or auto.")
    return device


def pick_precision(wanted: str, device: torch.device) -> str:
    """Lightning's name for the precision; `auto` is bf16 where the hardware multiplies it, else fp32.

    On a CPU that is one with bf16 instructions (AVX-512 or AMX): benchmarks/precision.py tells the gain.
    """
    if wanted == "auto":
        if device.type == "cuda":
            wanted = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        else:
            wanted = "bf16" if device.type == "cpu" and _cpu_multiplies_bf16() else "fp32"
    if wanted == "fp16" and device.type == "cpu":
        raise ConfigError("`precision='fp16'` does not train on a CPU: give bf16 or fp32.")
    return {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[wanted]


def _cpu_multiplies_bf16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def pick_batch_size(
    wanted: int | None,
    *,
    shape: tuple[int, ...],
    device: torch.device,
    images: int | None = None,
    dense: bool = False,
) -> int:
    """Inputs a step: a power of two by device and shape, (C, H, W) or (C, T, H, W).

    With `images`, the length of a training epoch, one that leaves some updates in it; `dense` models answer
    every pixel, which takes more memory, and two pictures at least for their batch norms.
    """
    if wanted is not None:
        return wanted
    fits = 256 if device.type == "cuda" else 64
    if len(shape) == 4:  # patches are two frames deep
        fits = max(1, round(fits * 128**2 / (shape[1] / 2 * shape[2] * shape[3])))
    elif shape[-1] > 128:
        fits = max(8, int(fits * (128 / shape[-1]) ** 2))
    if dense:
        fits = max(2, fits // 4)
    if images is not None:
        fits = min(fits, max(8, images // 16))  # fewer than 16 updates an epoch learn slowly
    return 1 << (fits.bit_length() - 1)


def pick_workers(
    wanted: int | None,
    *,
    images: int,
    device: torch.device,
    shape: tuple[int, ...] = (),
    processes: int = 1,
) -> int:
    """Loader processes of each of so many: none for few images, else its cores but one, at most 16.

    Inputs of `shape` (C, T, H, W) are clips, which take long to decode: even few are worth a process.
    Where the CPU computes as well, a quarter of the cores, and one at least: more would take from the model
    what they give to the loader.
    """
    if wanted is not None:
        return wanted
    if images < 200 and len(shape) < 4:
        return 0
    cores = usable_cpus() // processes
    return min(max(1, cores // 4) if device.type == "cpu" else max(1, cores - 1), 16)


def fit_threads(device: torch.device) -> None:
    """Let torch use no more threads than there are usable CPUs, and warn if other processes need them.

    OMP_NUM_THREADS, which users and the launcher of several processes set, is left as it is. The number never
    follows the load: sums over another number of threads are rounded otherwise, and a run could not be
    resumed exactly.
    """
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > usable_cpus():
        torch.set_num_threads(usable_cpus())
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        return
    free = free_cpus()
    if threads > free:
        remark(
            console(),
            f"Note: Other processes leave about {free} of {usable_cpus()} CPUs free, and torch uses "
            f"{threads} threads, which wait for each other: OMP_NUM_THREADS={free} can be much faster.",
        )
