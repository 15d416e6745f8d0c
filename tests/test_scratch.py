"""Defaults of short runs from random weights, and what keeps the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import swinkit
from swinkit.config.base import read_yaml
from swinkit.config.train import TrainConfig
from swinkit.errors import ConfigError, InterruptedRunError
from swinkit.models.convert import convert_file
from swinkit.models.scratch import anchor_scale, regions_per_image, scratch_config
from swinkit.tasks.detect import Detector
from swinkit.training import run as training
from swinkit.training.callbacks import ModelFiles
from swinkit.training.run_folder import RunFolder
from tests.conftest import TINY
from tests.engine.test_train import send_at
from tests.test_detect_run import make_scenes


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
    for side, sizes in ((64, (4.0, 64)), (480, (6.0, 384)), (800, (8.0, 512))):
        short = scratch_config(config(img_size=side), "detect", 205)
        long = scratch_config(config(img_size=side, epochs=300), "detect", 5000)
        assert (short.anchor_scale, short.regions) == (long.anchor_scale, long.regions) == sizes
        assert long.batch_size is None
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
    sizes = scratch_config(config(anchor_scale=6, regions=100), "detect", 200)
    assert (sizes.anchor_scale, sizes.regions) == (6.0, 100)
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
    assert "pretrained weights (`model=swin_t.in1k`), more images or more epochs (`epochs=3`)" in said
    swinkit.train(dataset, model=tiny_file, out=tmp_path / "tuned", **options)
    assert "random weights" not in capsys.readouterr().err


DETECTOR: dict[str, Any] = {
    "model": "swin_pico", "img_size": 32, "head": "faster_rcnn", "channels": 8, "width": 8, "epochs": 2,
    "workers": 0, "device": "cpu", "precision": "fp32", "progress": False, "seed": 1,
}  # fmt: skip
PUBLISHED: dict[str, Any] = {
    "anchor_scale": 8.0, "regions": 512, "batch_size": 2, "lr": 1e-3, "drop_path": 0.1,
    "augmentation": {"resizing": "published"},
}  # fmt: skip


@pytest.fixture(scope="module")
def few_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scenes(tmp_path_factory.mktemp("few"), {"train": 7, "val": 3})


def interrupt(monkeypatch: pytest.MonkeyPatch, data: Path, out: Path, **options: Any) -> Path:
    """Train until the second step, and give the config.yaml of the run."""
    with monkeypatch.context() as patch:
        send_at(patch, ModelFiles, "on_train_batch_end", lambda trainer: trainer.global_step == 2)
        with pytest.raises(InterruptedRunError):
            swinkit.train(data, out=out, **DETECTOR, **options)
    return out / "config.yaml"


def same_weights(one: Any, other: Any) -> bool:
    tensors, others = one.state_dict(), other.state_dict()
    return tensors.keys() == others.keys() and all(tensors[key].equal(others[key]) for key in tensors)


def test_a_run_of_an_earlier_swinkit_is_resumed_as_it_began(
    few_scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its config.yaml has neither anchors nor regions: they stay the published ones, bit for bit."""
    unbroken = swinkit.train(few_scenes, out=tmp_path / "unbroken", **DETECTOR, **PUBLISHED)
    file = interrupt(monkeypatch, few_scenes, tmp_path / "run", **PUBLISHED)
    lines = file.read_text().splitlines()
    earlier = [line for line in lines if not line.startswith(("anchor_scale:", "regions:"))]
    assert len(earlier) == len(lines) - 2
    file.write_text("\n".join(earlier) + "\n")
    resumed = swinkit.train(resume=tmp_path / "run")
    assert isinstance(resumed.model, Detector)
    assert resumed.model.rpn_head.anchor_scale == 8.0
    assert same_weights(resumed.model, unbroken.model)
    assert resumed.metrics == unbroken.metrics


def test_a_run_keeps_what_was_chosen_at_its_start(
    few_scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In config.yaml, where a resumed run and one that torchrun starts again find it."""
    unbroken = swinkit.train(few_scenes, out=tmp_path / "unbroken", **DETECTOR)
    values = read_yaml(interrupt(monkeypatch, few_scenes, tmp_path / "run"))
    assert (values["anchor_scale"], values["regions"], values["batch_size"]) == (4.0, 64, 4)
    assert values["augmentation"]["resizing"] == "none"
    resumed = swinkit.train(resume=tmp_path / "run")
    assert isinstance(resumed.model, Detector)
    assert resumed.model.rpn_head.anchor_scale == 4.0
    assert same_weights(resumed.model, unbroken.model)
    assert resumed.metrics == unbroken.metrics
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    asked = config(data=str(few_scenes), out=str(tmp_path / "run"))
    assert training._restarted(asked) == RunFolder.open(tmp_path / "run")
