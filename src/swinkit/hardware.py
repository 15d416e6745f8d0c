"""Choose device, precision and batch size for the machine at hand."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import torch

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


_CGROUPS = Path("/sys/fs/cgroup")


_OWN_CGROUPS = Path("/proc/self/cgroup")


_STAT = Path("/proc/stat")


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use, at least 1.

    The least of the CPUs it may run on and of the quotas of its cgroups, which containers and batch systems
    set: `cpu.max` (version 2), `cpu.cfs_quota_us` over `cpu.cfs_period_us` (version 1).
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _quota()
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def free_cpus(seconds: float = 0.1) -> int:
    """Measure how many of the usable CPUs other processes leave free, at least 1; this one sleeps meanwhile.

    Without Linux's /proc/stat all usable CPUs count as free.
    """
    usable = usable_cpus()
    before = _cpu_times()
    time.sleep(seconds if before else 0)
    after = _cpu_times()
    idle_cpus = 0.0
    for name, (idle, total) in after.items():
        idle_before, total_before = before.get(name, (idle, total))
        idle_cpus += (idle - idle_before) / max(1, total - total_before)
    return max(1, min(usable, round(idle_cpus))) if after else usable


def _cpu_times() -> dict[str, tuple[int, int]]:
    """Return idle and total time of each CPU that this process may run on, in ticks of the kernel."""
    try:
        lines = _STAT.read_text().splitlines()
    except OSError:
        return {}
    allowed = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    times = {}
    for line in lines:
        name, *columns = line.split()
        if name in allowed:
            numbers = [
                int(column) for column in columns[:8]
            ]  # user nice system idle iowait irq softirq steal
            times[name] = (numbers[3] + numbers[4], sum(numbers))
    return times


def _quota() -> float | None:
    """Return the smallest CPU quota of the cgroups of this process; None if there is none."""
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:  # not Linux
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            quotas += _quotas_above(_CGROUPS, path)
        elif "cpu" in controllers.split(","):
            quotas += _quotas_above(_CGROUPS / controllers, path)
            quotas += _quotas_above(_CGROUPS / "cpu", path)
    return min(quotas, default=None)


def _quotas_above(root: Path, path: str) -> list[float]:
    """Return the quotas of a cgroup and of all above it.

    Within a container the path may be that of the host, which does not exist there: then `root` alone counts.
    """
    folder = root / path.lstrip("/")
    folders = [folder, *folder.parents]
    quotas = []
    for place in folders[: folders.index(root) + 1]:
        quota = _quota_of(place)
        if quota is not None:
            quotas.append(quota)
    return quotas


def _quota_of(folder: Path) -> float | None:
    """Return the CPU quota of one cgroup in CPUs; None if it has none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return None if quota == "max" or int(quota) <= 0 else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
