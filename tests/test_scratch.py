"""Defaults of short runs from random weights, and what keeps the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import swinkit
from swinkit.config import TrainConfig
from swinkit.conversion import convert_file
from swinkit.errors import ConfigError
from swinkit.scratch import anchor_scale, regions_per_image, scratch_config
from swinkit.tasks.detect import Detector
from tests.conftest import TINY


def config(**options: Any) -> TrainConfig:
    return TrainConfig.model_validate({"data": "data", "model": "swin_pico", **options})


def test_a_short_run_of_a_classifier() -> None:
    """2,000 images: 125 steps of 16 an epoch, neither mixing nor erasing nor stochastic depth."""
    chosen = scratch_config(config(), "classify", 2000)
    assert (chosen.batch_size, chosen.drop_path, chosen.lr) == (16, 0.0, None)
    assert (chosen.augmentation.mix_prob, chosen.augmentation.erasing) == (0.0, 0.0)
    assert chosen.augmentation.label_smoothing == 0.1
    assert scratch_config(config(), "classify", 100).batch_size == 8
    assert scratch_config(config(), "classify", 20_000).batch_size is None  # the machine's choice


def test_a_short_run_of_a_detector() -> None:
    chosen = scratch_config(config(), "detect", 205)
    assert (chosen.batch_size, chosen.lr, chosen.drop_path) == (4, 5e-4, 0.0)
    assert chosen.augmentation.resizing == "none"
    assert chosen.augmentation.mix_prob == 0.5
    assert scratch_config(config(batch_size=16), "detect", 205).lr == 1e-3


@pytest.mark.parametrize(
    ("task", "images", "options"),
    [
        ("classify", 2000, {"recipe": "in1k_300e"}),
        ("classify", 2000, {"model": "swin_t.in1k"}),
        ("classify", 2000, {"model": "run/best.safetensors"}),
        ("classify", 50_000, {"epochs": 20}),
        ("classify", 2000, {"iterations": 100_000}),
        ("detect", 205, {"recipe": "mask_rcnn_1x"}),
        ("detect", 205, {"model": "mask_rcnn_swin_t.coco"}),
        ("segment", 205, {}),
    ],
)
def test_other_runs_keep_the_published_defaults(task: str, images: int, options: dict[str, Any]) -> None:
    given = config(**options)
    assert scratch_config(given, task, images) == given


def test_given_options_win() -> None:
    augmentation = {"mix_prob": 0.7, "erasing": 0.2, "resizing": "jitter"}
    given = config(batch_size=32, drop_path=0.2, lr=1e-2, augmentation=augmentation)
    for task in ("classify", "detect"):
        chosen = scratch_config(given, task, 200)
        assert (chosen.batch_size, chosen.drop_path, chosen.lr) == (32, 0.2, 1e-2)
        varied = chosen.augmentation
        assert (varied.mix_prob, varied.erasing, varied.resizing) == (0.7, 0.2, "jitter")
    for batches in ({"global_batch": 64}, {"accumulate": 2}, {"devices": 2}):
        assert scratch_config(config(**batches), "classify", 200).batch_size is None


def test_anchors_and_regions_by_size() -> None:
    assert [anchor_scale(side) for side in (32, 160, 320, 480, 640, 800)] == [4, 4, 4, 6, 8, 8]
    assert [regions_per_image(side) for side in (32, 160, 320, 640, 800)] == [64, 128, 256, 512, 512]


def test_anchors_travel_with_the_weights(tmp_path: Path) -> None:
    """Other anchors than the published ones are stored, and named where a dialect has no place for them."""
    detector = {**TINY, "task": "detect", "head": "faster_rcnn", "channels": 8, "width": 8}
    usual = swinkit.create("swin_pico", 2, **detector)
    assert "anchor_scale" not in usual.settings()
    small = swinkit.create("swin_pico", 2, anchor_scale=4.0, **detector)
    swinkit.save(small, tmp_path / "small.safetensors")
    again = swinkit.load(tmp_path / "small.safetensors")
    assert isinstance(again, Detector)
    assert again.rpn_head.anchor_scale == 4.0
    report = convert_file(tmp_path / "small.safetensors", tmp_path / "theirs.pth", to="openmmlab")
    assert any("scales=[4]" in note for note in report.notes)
    with pytest.raises(ConfigError, match="anchor_scale=0"):
        swinkit.create("swin_pico", 2, anchor_scale=0.0, **detector)


def test_regions_are_drawn_in_every_stage() -> None:
    options = {**TINY, "task": "detect", "head": "cascade_rcnn", "channels": 8, "width": 8}
    model = swinkit.create("swin_pico", 2, **options)
    assert isinstance(model, Detector)
    model.sample_regions(64)
    assert [stage.sampling.count for stage in model.roi_head.system.stages] == [64] * 3
    assert [stage.sampling.count for stage in model.system.stages] == [512] * 3


def test_a_run_says_what_helps(
    dataset: Path, tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, after random weights only."""
    options: dict[str, Any] = {"epochs": 1, "workers": 0, "device": "cpu", "progress": False}
    swinkit.train(dataset, model="swin_pico", out=tmp_path / "random", **options)
    said = capsys.readouterr().err
    assert said.count("started from random weights") == 1
    assert "pretrained weights (--model swin_t.in1k), more images or more epochs (--epochs 3)" in said
    swinkit.train(dataset, model=tiny_file, out=tmp_path / "tuned", **options)
    assert "random weights" not in capsys.readouterr().err
