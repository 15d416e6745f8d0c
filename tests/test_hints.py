"""Errors name what a user of another library means."""

from __future__ import annotations

from pathlib import Path

import pytest

import swinkit
from swinkit.errors import ConfigError
from swinkit.training.initial_model import is_random
from tests.conftest import Swin


def test_options_of_other_libraries_are_named() -> None:
    for call in (swinkit.create, swinkit.load, swinkit.backbone):
        with pytest.raises(ConfigError, match=r"did you mean 'num_classes'\?"):
            call("swin_t", n_classes=3)
        with pytest.raises(ConfigError, match=r"swinkit\.load\('swin_t\.in1k'\)"):
            call("swin_t", pretrained=True)


def test_an_architecture_leads_to_its_weights(swin: Swin, pictures: list[Path]) -> None:
    code, _, err = swin("predict", "swin_t", pictures[0])
    assert (code, "an architecture without weights: take published weights, swin_t.in1k" in err) == (1, True)
    assert (
        "swin_pico is an architecture without weights: train it"
        in swin("predict", "swin_pico", pictures[0])[2]
    )


def test_a_history_tells_random_weights() -> None:
    random = {"architecture": "swin_pico", "weights": "random"}
    assert is_random([random, {"file": "x.pth", "dialect": "microsoft"}])
    assert not is_random([random, {"data": "d", "epochs": 3, "seed": 0}])
    assert not is_random([{"file": "x.pth", "dialect": "timm"}])
