"""One schema for API, command line and YAML: it repeats itself, and says what is wrong with a value."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import swinkit
from swinkit.config.augmentation import Augmentation
from swinkit.config.base import merged, read_yaml, to_yaml
from swinkit.config.evaluate import EvaluateConfig
from swinkit.config.predict import PredictConfig
from swinkit.config.preprocessing import Preprocessing
from swinkit.config.train import TrainConfig
from swinkit.errors import ConfigError, nearest
from swinkit.recipes import read_recipe, recipes
from swinkit.training.optimizer import warmup_schedule


def test_yaml_round_trip(tmp_path: Path) -> None:
    config = TrainConfig(
        data="/somewhere/ü: #1",
        model="a'b.safetensors",
        epochs=7,
        lr=3e-5,
        warmup_epochs=0.5,
        patience=3,
        precision="bf16",
        augmentation=Augmentation(crop_scale=(0.3, 0.9), mixup=0.0),
    )
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert TrainConfig.checked(read_yaml(path)) == config
    assert TrainConfig.checked({"data": "x"}) == TrainConfig(data="x")


def test_yaml_holds_every_option() -> None:
    text = to_yaml(TrainConfig(data="x"))
    for name in (*TrainConfig.model_fields, *Augmentation.model_fields):
        assert f"{name}:" in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, r"There is no option 'epoch': did you mean 'epochs'\?"),
        (
            {"augmentation": {"mixupp": 1}},
            r"There is no option 'augmentation\.mixupp': did you mean 'mixup'\?",
        ),
        ({"zzzzzz": 3}, r"There is no option 'zzzzzz': choose from .*epochs"),
        ({"epochs": 0}, r"`epochs=0` does not fit: .*greater than or equal to 1"),
        ({"epochs": "many"}, r"`epochs='many'` does not fit: .*integer"),
        ({"epochs": 2.5}, r"`epochs=2.5` does not fit"),
        ({"lr": -1}, r"`lr=-1` does not fit: .*greater than 0"),
        ({"lr": float("nan")}, r"`lr=nan` does not fit"),
        ({"precision": "fp8"}, r"`precision='fp8'` does not fit: .*'bf16'"),
        ({"val_fraction": 1.0}, r"`val_fraction=1.0` does not fit"),
        ({"batch_size": 0}, r"`batch_size=0` does not fit"),
        ({"augmentation": {"crop_scale": [0.9, 0.1]}}, r"smaller first"),
        ({"augmentation": {"hflip": 2}}, r"`augmentation\.hflip=2` does not fit"),
        ({"augmentation": 3}, r"`augmentation=3` does not fit"),
    ],
)
def test_mistakes_are_named_in_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        TrainConfig.checked({"data": "x", **values})
    assert "\n" not in str(error.value)
    assert str(error.value).endswith((".", "?"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epochs: [1", r"is not valid YAML"),
        ("- 1\n- 2\n", r"holds no settings"),
        ("", r"holds no settings"),
        ("on: 1\n", r"holds no settings"),
        (b"\xff\xfe\x00", r"cannot be read"),
        (None, r"cannot be read"),
        ("!!python/object/apply:os.system ['true']", r"is not valid YAML"),
    ],
)
def test_bad_yaml(tmp_path: Path, content: str | bytes | None, message: str) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=message) as error:
        read_yaml(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_are_immutable_and_separate() -> None:
    config = PredictConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.topk = 3  # type: ignore[misc]
    with pytest.raises(ConfigError, match="no option 'topk'"):
        EvaluateConfig.checked({"topk": 3})
    with pytest.raises(ConfigError, match="no option 'epochs'"):
        PredictConfig.checked({"epochs": 3})


@pytest.mark.parametrize(("size", "crop"), [(28, 1.0), (95, 1.0), (96, 0.875), (224, 0.875), (384, 1.0)])
def test_crop_by_size(size: int, crop: float) -> None:
    assert Preprocessing(size=size).crop == crop
    assert Preprocessing(size=size, crop=0.5).crop == 0.5


def test_statistics_by_channels() -> None:
    assert Preprocessing(size=8).mean == (0.485, 0.456, 0.406)
    grey = Preprocessing(size=8, channels=1)
    assert (grey.mean, grey.std) == ((0.449,), (0.226,))
    assert len(Preprocessing(size=8, channels=5).std) == 5
    with pytest.raises(ConfigError, match="one number a channel"):
        Preprocessing.checked({"size": 8, "mean": [0.5], "std": [0.5]})
    with pytest.raises(ConfigError, match="above 0"):
        Preprocessing.checked({"size": 8, "std": [0.0, 1.0, 1.0]})


def test_small_pictures_are_cut_less() -> None:
    scales = [Augmentation().scale_for(size)[0] for size in (28, 96, 224)]
    assert scales == sorted(scales, reverse=True)
    assert len(set(scales)) == 3
    assert Augmentation(crop_scale=(0.1, 0.2)).scale_for(28) == (0.1, 0.2)


def test_schema_imports_no_torch() -> None:
    code = "import sys, swinkit.config.train; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_nearest() -> None:
    assert nearest("epoch", ["epochs", "model"]) == "did you mean 'epochs'?"
    assert nearest("qqq", ["b", "a"]) == "choose from a, b."


# FACTS §4, by model: epochs, images a step, peak learning rate there, first, last, warm-up, decay, drop path
PUBLISHED = {
    ("in1k_300e", "swin_t"): (300, 1024, 1e-3, 1e-6, 1e-5, 20, 0.05, 0.2),
    ("in1k_300e", "swin_s"): (300, 1024, 1e-3, 1e-6, 1e-5, 20, 0.05, 0.3),
    ("in1k_300e", "swin_b"): (300, 1024, 1e-3, 1e-6, 1e-5, 20, 0.05, 0.5),
    ("in22k_90e", "swin_t"): (90, 4096, 1e-3, 1e-6, 1e-5, 5, 0.05, 0.1),
    ("in22k_90e", "swin_l"): (90, 4096, 1e-3, 1e-6, 1e-5, 5, 0.05, 0.2),
    ("in22k_to_in1k_30e", "swin_t.in22k"): (30, 1024, 4e-5, 4e-8, 4e-7, 5, 1e-8, 0.1),
    ("in22k_to_in1k_30e", "swin_b.in22k"): (30, 1024, 4e-5, 4e-8, 4e-7, 5, 1e-8, 0.2),
    ("finetune_384", "swin_b.in1k"): (30, 1024, 4e-5, 4e-8, 4e-7, 5, 1e-8, 0.5),
    ("finetune_384", "swin_l.in22k"): (30, 1024, 4e-5, 4e-8, 4e-7, 5, 1e-8, 0.2),
}


@pytest.mark.parametrize(("name", "model"), PUBLISHED)
def test_recipes_are_the_published_ones(name: str, model: str) -> None:
    config = TrainConfig.checked({**read_recipe(name, model), "data": "x"})
    assert config.base_lr
    assert config.lr_start
    assert config.global_batch
    peak = config.base_lr * config.global_batch / 512
    found = (config.epochs, config.global_batch, peak, peak * config.lr_start, peak * config.lr_end,
             config.warmup_epochs, config.weight_decay, config.drop_path)  # fmt: skip
    assert found == pytest.approx(PUBLISHED[name, model])
    aug = config.augmentation
    assert (aug.randaugment, aug.erasing, aug.mixup, aug.cutmix) == ("rand-m9-mstd0.5-inc1", 0.25, 0.8, 1.0)
    assert (aug.mix_prob, aug.switch_prob, aug.label_smoothing, aug.crop_scale) == (
        1.0,
        0.5,
        0.1,
        (0.08, 1.0),
    )
    assert (config.clip, config.ema, config.recipe) == (5.0, False, name)
    assert (config.img_size, config.window) == ((384, 12) if name == "finetune_384" else (None, None))


# FACTS §4, by model: epochs, clips a step, learning rate of the head, decay, drop path
VIDEO = {
    ("k400_30e", "swin_t.in1k"): (30, 256, 1e-3, 0.02, 0.1),
    ("k400_30e", "swin_s.in1k"): (30, 512, 1e-3, 0.02, 0.1),
    ("k400_30e", "swin_b.in1k"): (30, 512, 1e-3, 0.05, 0.3),
    ("k400_30e", "swin_b.in22k"): (30, 512, 3e-4, 0.05, 0.2),
    ("ssv2_60e", "swin3d_b.in22k_k400"): (60, 512, 3e-4, 0.05, 0.4),
}


@pytest.mark.parametrize(("name", "model"), VIDEO)
def test_video_recipes_are_the_published_ones(name: str, model: str) -> None:
    config = TrainConfig.checked({**read_recipe(name, model), "data": "x"})
    found = (config.epochs, config.global_batch, config.lr, config.weight_decay, config.drop_path)
    assert found == VIDEO[name, model]
    assert (config.task, config.backbone_lr, config.warmup_epochs, config.lr_end) == ("video", 0.1, 2.5, 0.0)
    assert (config.frames, config.stride) == (32, 2)
    aug, something = config.augmentation, name == "ssv2_60e"
    assert config.frame_sampling == ("uniform" if something else "dense")
    assert (aug.hflip, aug.erasing, aug.label_smoothing) == ((0, 0.25, 0.1) if something else (0.5, 0, 0))
    assert (aug.mixup, aug.cutmix, aug.color_jitter, aug.crop_scale) == (0, 0, 0, (0.08, 1.0))
    assert aug.randaugment == ("rand-m7-n4-mstd0.5-inc1" if something else None)


def test_the_segmentation_recipe_is_the_published_one() -> None:
    """FACTS §4."""
    config = TrainConfig.checked({**read_recipe("ade20k_160k", "swin_t.in1k"), "data": "x"})
    assert (config.iterations, config.global_batch, config.img_size) == (160_000, 16, 512)
    assert (config.lr, config.weight_decay, config.schedule, config.lr_end) == (6e-5, 0.01, "linear", 0.0)
    assert (config.warmup_iterations, config.lr_start, config.clip, config.ema) == (1500, 1e-6, 0.0, False)
    assert (config.head, config.channels, config.auxiliary, config.drop_path) == (None, None, None, 0.3)
    model = swinkit.create("swin_t", 150, task=config.task, embed_dim=24, drop_path=config.drop_path)
    published = {"head": "upernet", "channels": 512, "auxiliary": 256, "pool_scales": [1, 2, 3, 6]}
    assert model.settings() == published
    assert (config.loss, config.average) == (("cross_entropy",), "all")
    aug = config.augmentation
    assert (aug.resize, aug.largest_class, aug.distortion, aug.hflip) == ((0.5, 2.0), 0.75, True, 0.5)


# Epochs, drops of the learning rate (epochs), drop path.
DETECTORS = {
    ("mask_rcnn_1x", "swin_t.in1k"): (12, [8, 11], 0.1),
    ("mask_rcnn_3x", "swin_t.in1k"): (36, [27, 33], 0.2),
    ("mask_rcnn_3x", "swin_s.in1k"): (36, [27, 33], 0.2),
    ("cascade_mask_rcnn_1x", "swin_t.in1k"): (12, [8, 11], 0.0),
    ("cascade_mask_rcnn_3x", "swin_t.in1k"): (36, [27, 33], 0.2),
    ("cascade_mask_rcnn_3x", "swin_b.in1k"): (36, [27, 33], 0.3),
}


@pytest.mark.parametrize(("name", "model"), DETECTORS)
def test_detection_recipes_are_the_published_ones(name: str, model: str) -> None:
    """FACTS §4: AdamW 1e-4, decay 0.05, batch 16, 500 steps of warm-up from a thousandth, step schedule."""
    config = TrainConfig.checked({**read_recipe(name, model), "data": "x"})
    epochs, drops, drop_path = DETECTORS[name, model]
    assert (config.epochs, config.drop_path, config.head) == (epochs, drop_path, name[:-3])
    assert (config.lr, config.weight_decay, config.global_batch) == (1e-4, 0.05, 16)
    assert (config.clip, config.ema, config.augmentation.distortion) == (0.0, False, False)
    steps = 100 * epochs
    warmup, factor = warmup_schedule(config, steps=steps, epochs=epochs)
    assert warmup == 500
    assert factor(0) == pytest.approx(0.001)
    assert factor(250) == pytest.approx(0.5005)
    rates = [factor(step) for step in range(500, steps)]
    falls = [(i + 501) / 100 for i, (a, b) in enumerate(itertools.pairwise(rates)) if b < a]
    assert falls == drops
    assert sorted(set(rates), reverse=True) == pytest.approx([1.0, 0.1, 0.01])


def test_every_recipe_is_valid() -> None:
    assert {"small_data", "linear_probe"} <= set(recipes())
    for name in recipes():
        assert TrainConfig.checked({**read_recipe(name, "swin_t"), "data": "x"}).recipe == name


def test_an_unknown_recipe_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'in1k_300'.*did you mean 'in1k_300e'"):
        read_recipe("in1k_300", "swin_t")


def test_groups_of_options_are_merged() -> None:
    base = {"epochs": 3, "augmentation": {"mixup": 0.8, "cutmix": 1.0}}
    given = {"augmentation": Augmentation(mixup=0.1)}
    assert merged(base, given) == {"epochs": 3, "augmentation": {"mixup": 0.1, "cutmix": 1.0}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 1e-3, "base_lr": 1e-3}, "`lr` and `base_lr` are both given"),
        ({"accumulate": 2, "global_batch": 64}, "`global_batch` and `accumulate` are both given"),
        ({"sam": 0.05, "accumulate": 2}, "`sam` takes two passes"),
        ({"augmentation": {"randaugment": "m9"}}, "`randaugment='m9'` .*write it as rand-m9-mstd0.5-inc1"),
        ({"freeze": "some"}, "freeze"),
        ({"freeze": -1}, "freeze"),
    ],
)
def test_options_that_exclude_each_other(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainConfig.checked({"data": "x", **options})
