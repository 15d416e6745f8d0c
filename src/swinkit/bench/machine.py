"""What a measurement ran on."""

from __future__ import annotations

import datetime
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_LIBRARIES = ("swinkit", "torch", "torchvision", "timm", "transformers", "openvino", "onnxruntime", "triton")


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Processor, cores, threads, GPU, versions and date."""
    cpu = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpu.read_text()) if cpu.is_file() else []
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "versions": {name: own for name in _LIBRARIES if (own := _version(name))},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def in_words(machine: dict[str, Any]) -> str:
    """The machine in one line."""
    gpu = f"{machine['gpu']}, " if machine["gpu"] else ""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    cores = f"{machine['cores']} cores, {machine['threads']} threads"
    return f"{gpu}{machine['cpu']}, {cores}; {versions}; {machine['date']}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
