"""Numbers that overflow, memory that ends, loader processes that die."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import swinkit
from swinkit.errors import RunError
from swinkit.tasks.classify import Classifier
from swinkit.training.faults import first_overflow, has_blown_up, told
from swinkit.training.module import TrainingModule
from swinkit.training.run_folder import Run
from tests.conftest import QUICK, TINY

Fit = Callable[..., Run]


@pytest.fixture
def fit(dataset: Path, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    monkeypatch.setattr("swinkit.training.callbacks.draw_curves", lambda *_: None)
    monkeypatch.setattr("swinkit.metrics.classify.ClassificationMetric.draw", lambda *_: [])

    def train(**options: Any) -> Run:
        settings = {**QUICK, "epochs": 1, "lr": 1e-3, **options}
        return swinkit.train(dataset, model=tiny_file, out=tmp_path / "run", **settings)

    return train


@pytest.mark.parametrize(("value", "expected"), [(1.0, False), (1e5, True), (float("nan"), True)])
def test_what_no_loss_can_be(value: float, expected: bool) -> None:
    assert has_blown_up(torch.tensor(value)) == expected


def test_the_first_layer_that_overflows_is_named() -> None:
    model = swinkit.create("swin_pico", 2, **TINY)
    assert first_overflow(model, torch.zeros(1, 3, 16, 16)) is None
    with torch.no_grad():
        model.backbone.layers[1].blocks[0].mlp.fc1.bias[0] = float("inf")
    assert first_overflow(model, torch.zeros(1, 3, 16, 16)) == "backbone.layers.1.blocks.0.mlp.fc1"


def poison(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Make the loss of one training batch infinite."""
    original, calls = Classifier.loss, []

    def loss(self: Classifier, batch: Any, raw: Tensor | None = None) -> dict[str, Tensor]:
        losses = original(self, batch, raw)
        calls.append(raw is None)
        return (
            {k: v * float("inf") for k, v in losses.items()} if sum(calls) == at and raw is None else losses
        )

    monkeypatch.setattr(Classifier, "loss", loss)


def test_a_loss_that_is_no_number_stops(fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, at=2)
    with pytest.raises(
        RunError, match=r"The loss is inf in epoch 1, batch 1 \(.*png.*`on_nan=skip`"
    ) as error:
        fit()
    assert "\n" not in str(error.value)
    repro = torch.load(tmp_path / "run" / "nan-1-1.pt", weights_only=True)
    assert len(repro["paths"]) == len(repro["images"]) == len(repro["targets"]) == 16
    assert not torch.isfinite(repro["loss"])
    assert "backbone.layers.0.blocks.0.norm1.weight" in repro["state_dict"]


def test_a_loss_that_is_no_number_may_be_skipped(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    poison(monkeypatch, at=2)
    done = fit(on_nan="skip")
    assert all(torch.isfinite(parameter).all() for parameter in done.model.parameters())
    assert "1 batches were skipped. The loss is inf" in " ".join(capsys.readouterr().err.split())


def test_memory_that_ends_says_what_to_halve(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(TrainingModule, "training_step", full)
    with pytest.raises(RunError, match=r"16 images a batch: .*`batch_size=8` and `accumulate=2`"):
        fit()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dead_loader_process_is_one_sentence(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = os.getpid()
    original = Classifier.dataset

    def dying(self: Classifier, *arguments: Any) -> Any:
        data = original(self, *arguments)
        read = data.__class__.__getitem__

        class Dying(data.__class__):  # type: ignore[name-defined, misc]
            def __getitem__(self, key: Any) -> Any:
                if os.getpid() != parent:
                    os.kill(os.getpid(), signal.SIGKILL)
                return read(self, key)

        data.__class__ = Dying
        return data

    monkeypatch.setattr(Classifier, "dataset", dying)
    with pytest.raises(RunError, match=r"A loader process died .*fewer `workers`.*--resume"):
        fit(workers=1)


def test_other_errors_stay_what_they_are() -> None:
    assert told(RuntimeError("shape mismatch"), batch_size=4, accumulate=1, folder=Path()) is None
