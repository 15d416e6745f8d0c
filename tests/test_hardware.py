"""What is left to the machine."""

from __future__ import annotations

import os

import pytest
import torch

from swinkit.errors import ConfigError
from swinkit.hardware import pick_batch_size, pick_device, pick_precision, pick_workers

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "cores", "images", "workers"),
    [
        (CUDA, 8, 100, 0),
        (CUDA, 2, 10_000, 1),
        (CUDA, 8, 10_000, 7),
        (CUDA, 64, 10_000, 16),
        (CPU, 2, 10_000, 1),
        (CPU, 16, 10_000, 4),
    ],
)
def test_workers(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, cores: int, images: int, workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert pick_workers(None, images=images, device=device) == workers
    assert pick_workers(3, images=images, device=device) == 3


def test_batch_size_falls_with_the_picture_and_leaves_updates() -> None:
    sizes = [
        pick_batch_size(None, images=10**6, shape=(3, size, size), device=CPU) for size in (32, 224, 384)
    ]
    assert sizes == [64, 16, 8]
    assert pick_batch_size(None, images=10**6, shape=(3, 32, 32), device=CUDA) == 256
    assert pick_batch_size(None, images=300, shape=(3, 32, 32), device=CUDA) == 16
    assert pick_batch_size(5, images=300, shape=(3, 32, 32), device=CUDA) == 5


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:1", "tpu"])
def test_devices_that_are_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match="device"):
        pick_device(name)


def test_precision() -> None:
    assert pick_precision("fp32", CPU) == "32-true"
    assert pick_precision("bf16", CPU) == "bf16-mixed"
    with pytest.raises(ConfigError, match="fp16"):
        pick_precision("fp16", CPU)
