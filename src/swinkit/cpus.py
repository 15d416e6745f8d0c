"""How many CPUs this process may use: affinity, the quota of its cgroup, and what others leave free."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

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
