"""CPUs by affinity, by the quota of a cgroup, and by what other processes leave free."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from swinkit import hardware
from swinkit.hardware import free_cpus, usable_cpus

CPU = torch.device("cpu")
MILLION = 1_000_000  # period of a quota in microseconds; any other would do


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 CPUs without quotas; its files are written below the folder."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    for name in ("_CGROUPS", "_OWN_CGROUPS", "_STAT"):
        monkeypatch.setattr(hardware, name, tmp_path / name)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("own", "files", "usable"),
    [
        ("", {}, 16),
        ("0::/\n", {}, 16),
        ("0::/\n", {"cpu.max": f"max {MILLION}"}, 16),
        ("0::/\n", {"cpu.max": f"{4 * MILLION} {MILLION}"}, 4),
        ("0::/\n", {"cpu.max": f"{5 * MILLION // 2} {MILLION}"}, 3),
        ("0::/\n", {"cpu.max": f"{MILLION // 10} {MILLION}"}, 1),
        ("0::/\n", {"cpu.max": f"{64 * MILLION} {MILLION}"}, 16),
        ("0::/\n", {"cpu.max": "nonsense"}, 16),
        # the smallest on the way to the root holds
        ("0::/pod/box\n", {"pod/box/cpu.max": "max 100000", "pod/cpu.max": "200000 100000"}, 2),
        ("0::/pod/box\n", {"pod/box/cpu.max": "300000 100000", "pod/cpu.max": "800000 100000"}, 3),
        # the path is the host's, and the container sees its own quota at the root
        ("0::/kubepods/pod7\n", {"cpu.max": "200000 100000"}, 2),
        # version 1, alone and beside an empty version 2
        ("3:cpu,cpuacct:/box\n", {"cpu,cpuacct/box/cpu.cfs_quota_us": "150000"}, 2),
        ("3:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "500000"}, 5),
        ("3:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1"}, 16),
        ("3:cpuset:/\n2:cpuacct:/\n", {"cpuset/cpu.cfs_quota_us": "100000"}, 16),
    ],
)
def test_quotas_of_cgroups(machine: Path, own: str, files: dict[str, str], usable: int) -> None:
    write(machine / "_OWN_CGROUPS", own)
    for name, text in files.items():
        write(machine / "_CGROUPS" / name, text)
        if name.endswith("cfs_quota_us"):
            write(machine / "_CGROUPS" / name.replace("quota", "period"), "100000\n")
    assert usable_cpus() == usable


def stat(busy: dict[int, int]) -> str:
    """Return /proc/stat with 16 CPUs, idle for 1,000 ticks but for some that are busy instead."""
    lines = ["cpu 0 0 0 0 0 0 0 0 0 0"]
    for number in range(16):
        ticks = busy.get(number, 0)
        lines.append(f"cpu{number} {ticks} 0 0 {1000 - ticks} 0 0 0 0 0 0")
    return "\n".join([*lines, "intr 1"]) + "\n"


@pytest.mark.parametrize(
    ("busy", "quota", "free"),
    [
        ({}, None, 16),
        ({0: 1000, 1: 1000, 2: 1000}, None, 13),
        (dict.fromkeys(range(16), 1000), None, 1),
        (dict.fromkeys(range(15), 1000), 4, 1),
        ({0: 1000}, 4, 4),
    ],
)
def test_what_others_leave_free(
    machine: Path, monkeypatch: pytest.MonkeyPatch, busy: dict[int, int], quota: int | None, free: int
) -> None:
    write(machine / "_OWN_CGROUPS", "0::/\n")
    if quota is not None:
        write(machine / "_CGROUPS" / "cpu.max", f"{quota * MILLION} {MILLION}")
    empty = "".join(f"cpu{number} 0 0 0 0 0 0 0 0\n" for number in range(16))
    write(machine / "_STAT", empty)
    monkeypatch.setattr(hardware.time, "sleep", lambda _: write(machine / "_STAT", stat(busy)))
    assert free_cpus() == free


def test_without_proc_all_are_free(machine: Path) -> None:
    assert free_cpus() == usable_cpus() == 16


@pytest.fixture
def threads() -> Iterator[None]:
    """Put torch's number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_threads_follow_the_quota_and_never_the_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hardware, "usable_cpus", lambda: 3)
    monkeypatch.setattr(hardware, "free_cpus", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(8)
    hardware.fit_threads(CPU)
    assert torch.get_num_threads() == 3
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(hardware, "free_cpus", lambda: 1)
    hardware.fit_threads(CPU)
    assert torch.get_num_threads() == 3
    note = capsys.readouterr().err
    assert "leave about 1 of 3 CPUs free, and torch uses 3 threads" in note
    assert "OMP_NUM_THREADS=1" in note
    hardware.fit_threads(torch.device("cuda"))
    torch.set_num_threads(1)
    hardware.fit_threads(CPU)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("threads")
def test_threads_that_the_user_sets_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "usable_cpus", lambda: 3)
    monkeypatch.setattr(hardware, "free_cpus", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    torch.set_num_threads(8)
    hardware.fit_threads(CPU)
    assert torch.get_num_threads() == 8
