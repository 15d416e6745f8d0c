"""The compared table: every row's parameters and multiply-adds beside the published ones; its figures."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import swinkit
from swinkit.bench import segmentation
from swinkit.bench.backbones import DilatedResNet, PlainViT
from swinkit.bench.segmentation import ROWS, Row, chosen, count
from swinkit.errors import ConfigError
from tests.conftest import Swin

# parameters of the official code's models (../shared/golden/counts.json), and GMACs by fvcore there
OFFICIAL = {
    "FCN": (68_590_732, 276.1),
    "DeepLabV3+": (62_682_876, 255.7),
    "DMNet": (72_268_940, 274.3),
    "PSPNet": (68_068_492, 256.9),
    "PSANet": (73_057_420, 274.0),
    "SETR-PUP": (317_291_096, 426.0),
    "Swin-B (UPerNet)": (121_279_716, 299.6),
    "SSformer": (87_539_790, 93.2),
    "Swin-T (UPerNet)": (59_941_862, 237.3),
    "Swin-S (UPerNet)": (81_259_766, 261.1),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_the_published_models(name: str) -> None:
    """fvcore counts norms and resizing too, which is up to 2.2 % more."""
    row = ROWS[name]
    found = count(name, row)
    params, macs = OFFICIAL[name]
    assert found.params == params
    assert row.params == pytest.approx(params / 1e6, rel=0.01)
    assert 0.975 < found.macs / 1e9 / macs <= 1.0


def test_rows_by_name() -> None:
    assert list(chosen([])) == list(ROWS)
    assert list(chosen(["ssformer", "FCN"])) == ["FCN", "SSformer"]
    with pytest.raises(ConfigError, match=r"no row 'PSPnett': did you mean 'PSPNet'"):
        chosen(["PSPnett"])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    build = partial(
        swinkit.create,
        "swin_pico",
        150,
        task="segment",
        img_size=64,
        embed_dim=8,
        depths=(1, 1),
        num_heads=(1, 2),
    )
    monkeypatch.setattr(segmentation, "SIZE", 64)
    monkeypatch.setattr(segmentation, "ROWS", {"one": Row(build, 1.0, 2.0, 3.0), "two": Row(build)})


def test_the_command(small: None, swin: Swin, tmp_path: Path) -> None:
    place = tmp_path / "figures.json"
    ended = swin("compare", "segmentation", "--rounds", "2", "--device", "cpu", "--json", place)
    assert ended.code == 0
    assert "median of 2 rounds" in ended.out
    rows: list[dict[str, Any]] = json.loads(place.read_text())
    assert [row["model"] for row in rows] == ["one", "two"]
    assert rows[0]["published"] == {"params_m": 1.0, "gflops": 2.0, "miou": 3.0}
    assert rows[1]["published"] == {"params_m": None, "gflops": None, "miou": None}
    for row in rows:
        assert len(row["images_per_second"]) == 2
        assert min(row["images_per_second"]) > 0
    ended = swin("compare", "segmentation", "two", "--rounds", "0")
    assert (ended.code, "one" in ended.out.split("│")) == (0, False)
    assert swin("compare", "segmentation", "three").code == 2


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    for build in (DilatedResNet, PlainViT):
        with pytest.raises(ConfigError, match=r"pip install swinkit\[compare\]"), torch.device("meta"):
            build()
