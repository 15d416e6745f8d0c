"""Groups, schedule, averaging and the choices for the machine at hand: no training needed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from timm.scheduler import CosineLRScheduler

import swinkit
from swinkit.config.train import TrainConfig
from swinkit.errors import ConfigError, RunError
from swinkit.hardware import pick_batch_size, pick_device, pick_precision
from swinkit.training.ema import Ema
from swinkit.training.fit import check_loaded
from swinkit.training.optimizer import (
    cosine_with_warmup,
    default_lr,
    layer_of,
    line_with_warmup,
    parameter_groups,
    warmup_schedule,
)
from swinkit.training.plan import Batches
from tests.conftest import TINY

CPU = torch.device("cpu")


def test_what_decays_and_what_does_not() -> None:
    model = swinkit.create("swin_pico", num_classes=2, absolute_position=True, **TINY)
    groups = {group["name"]: group for group in parameter_groups(model, 0.07)}
    assert (groups["decay"]["weight_decay"], groups["no_decay"]["weight_decay"]) == (0.07, 0.0)
    ids = {key: {id(p) for p in group["params"]} for key, group in groups.items()}
    decayed = {name for name, p in model.named_parameters() if id(p) in ids["decay"]}
    free = {name for name, p in model.named_parameters() if id(p) in ids["no_decay"]}
    assert not decayed & free
    assert decayed | free == {name for name, _ in model.named_parameters()}
    words = ("patch_embed.proj.weight", "qkv.weight", "proj.weight", "fc1.weight", "fc2.weight")
    assert all(name.endswith((*words, "reduction.weight", "head.weight")) for name in decayed)
    assert "head.weight" in decayed
    assert {"backbone.absolute_pos_embed", "head.bias", "backbone.norm.weight"} <= free
    assert "backbone.layers.0.blocks.0.attn.relative_position_bias_table" in free


def test_layers_are_numbered_from_the_patches_to_the_head() -> None:
    """By hand, from the rule in microsoft/SimMIM: merging belongs to the stage that it closes."""
    expected = {
        "backbone.patch_embed.proj.weight": 0,
        "backbone.absolute_pos_embed": 0,
        "backbone.layers.0.blocks.0.norm1.weight": 1,
        "backbone.layers.0.blocks.1.mlp.fc1.bias": 2,
        "backbone.layers.0.downsample.reduction.weight": 2,
        "backbone.layers.1.blocks.0.attn.qkv.weight": 3,
        "backbone.layers.2.blocks.5.attn.proj.weight": 10,
        "backbone.layers.2.downsample.norm.bias": 10,
        "backbone.layers.3.blocks.1.norm2.bias": 12,
        "backbone.norm.weight": 13,
        "head.weight": 13,
    }
    assert {name: layer_of(name, (2, 2, 6, 2)) for name in expected} == expected


def test_layers_of_a_vision_transformer() -> None:
    expected = {
        "backbone.vit.embeddings.class_embedding": 0, "backbone.vit.pre_layernorm.weight": 0,
        "backbone.vit.encoder.layers.0.mlp.fc1.weight": 1, "backbone.vit.encoder.layers.11.mlp.fc1.bias": 12,
        "backbone.vit.post_layernorm.weight": 13, "class_head.dense0.weight": 13,
    }  # fmt: skip
    assert {name: layer_of(name, (12,)) for name in expected} == expected


def test_layer_decay_scales_each_layer() -> None:
    model = swinkit.create("swin_pico", num_classes=2, **TINY)
    depths = model.backbone.config.depths
    groups = parameter_groups(model, 0.07, layer_decay=0.5)
    own = {id(p): name for name, p in model.named_parameters()}
    held = {own[id(p)]: group for group in groups for p in group["params"]}
    assert held.keys() == dict(model.named_parameters()).keys()
    for name, group in held.items():
        assert group["scale"] == 0.5 ** (sum(depths) + 1 - layer_of(name, depths))
        assert group["name"].endswith(f".{layer_of(name, depths)}")
        assert group["weight_decay"] == (0.07 if group["name"].startswith("decay") else 0.0)
    assert held["head.weight"]["scale"] == 1.0
    assert held["backbone.patch_embed.proj.weight"]["scale"] == 0.5 ** (sum(depths) + 1)


def test_frozen_parameters_are_in_no_group() -> None:
    model = swinkit.create("swin_pico", num_classes=2, **TINY)
    model.backbone.freeze(2)
    held = [p for group in parameter_groups(model, 0.1) for p in group["params"]]
    assert len(held) == 4  # norm and head
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.head.bias.requires_grad_(True)
    assert [group["name"] for group in parameter_groups(model, 0.1)] == ["no_decay"]


def test_schedule_rises_linearly_then_falls_as_a_cosine() -> None:
    factor = cosine_with_warmup(100, 10)
    values = [factor(step) for step in range(101)]
    assert values[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert values[10] == 1.0
    assert values[55] == pytest.approx((1 + 0.01) / 2)
    assert values[100] == pytest.approx(0.01)
    assert values[10:] == sorted(values[10:], reverse=True)
    assert factor(500) == pytest.approx(0.01)
    assert cosine_with_warmup(10, 0)(0) == 1.0
    assert 0 < cosine_with_warmup(1, 1)(1) <= 1


def test_schedule_is_that_of_the_published_recipe() -> None:
    """timm's scheduler as Microsoft sets it: from a thousandth over the warm-up, then to a hundredth."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    theirs = CosineLRScheduler(
        torch.optim.SGD([parameter], lr=1.0),
        t_initial=280,
        lr_min=0.01,
        warmup_t=20,
        warmup_lr_init=0.001,
        warmup_prefix=True,
        t_in_epochs=False,
    )
    factor = cosine_with_warmup(300, 20, start=0.001, floor=0.01)
    for step in range(300):
        assert factor(step) == pytest.approx(theirs._get_lr(step)[0], abs=1e-12)


def test_learning_rate_grows_with_the_root_of_the_batch() -> None:
    assert default_lr(64, from_scratch=True) == pytest.approx(1e-3)
    assert default_lr(256, from_scratch=True) == pytest.approx(2e-3)
    assert default_lr(10**6, from_scratch=True) == pytest.approx(2e-3)
    assert default_lr(16, from_scratch=False) == pytest.approx(1e-4)


def test_average_follows_quickly_then_slowly() -> None:
    assert Ema(10).decay == pytest.approx(0.9)
    assert Ema(1000).decay == pytest.approx(0.98)
    assert Ema(10**9).decay == pytest.approx(0.9999)
    ema = Ema(1000)
    module = SimpleNamespace(task=torch.nn.Linear(1, 1, bias=False))
    for step, expected in ((1, 0.9), (10**6, 0.02)):
        torch.nn.init.zeros_(module.task.weight)
        ema.on_train_start(SimpleNamespace(global_step=step - 1), module)
        torch.nn.init.ones_(module.task.weight)
        for _ in range(2):  # a batch without a step changes nothing
            ema.on_train_batch_end(SimpleNamespace(global_step=step), module)
        ema.on_validation_epoch_start(None, module)
        assert module.task.weight.item() == pytest.approx(expected)
        ema.on_validation_epoch_end(None, module)
        assert module.task.weight.item() == 1


def test_a_backbone_from_nowhere_is_refused(tiny_file) -> None:
    model = swinkit.load(tiny_file)
    check_loaded(model)
    report = model.load_report
    assert report is not None
    names = [name for name in report.loaded if name.startswith("backbone.")]
    model.load_report = replace(report, loaded=tuple(names[: len(names) // 2]))
    with pytest.raises(RunError, match=r"Only 50% of the backbone's tensors were loaded from .*tiny"):
        check_loaded(model)
    model.load_report = replace(report, loaded=tuple(names))  # a fresh head alone is fine tuning
    check_loaded(model)
    model.load_report = None
    check_loaded(model)


@pytest.mark.parametrize(
    ("images", "size", "expected"),
    [(10**6, 28, 64), (10**6, 128, 64), (10**6, 224, 16), (10**6, 1000, 8), (400, 28, 16), (3, 28, 8)],
)
def test_batch_size(images: int, size: int, expected: int) -> None:
    assert pick_batch_size(None, images=images, shape=(3, size, size), device=CPU) == expected
    assert pick_batch_size(5, images=images, shape=(3, size, size), device=CPU) == 5


def test_devices() -> None:
    assert pick_device("cpu") == CPU
    assert pick_device().type in {"cpu", "cuda", "mps"}
    for wanted, message in (
        ("gpu", "is no device"),
        ("cuda:99", "not on this machine"),
        ("", "is no device"),
    ):
        with pytest.raises(ConfigError, match=message):
            pick_device(wanted)
    with pytest.raises(ConfigError, match="not on this machine"):
        pick_device("xpu:7")


def test_precisions() -> None:
    names = {"fp32": "32-true", "bf16": "bf16-mixed"}
    assert {key: pick_precision(key, CPU) for key in names} == names
    assert pick_precision("fp16", torch.device("cuda")) == "16-mixed"
    assert pick_precision("auto", CPU) in names.values()
    with pytest.raises(ConfigError, match="does not train on a CPU: give bf16 or fp32"):
        pick_precision("fp16", CPU)


def test_line_is_that_of_the_published_segmentation_recipe() -> None:
    """mmcv's formulas: poly of power 1 to 0, and a linear warm-up of what that gives, from a millionth."""
    factor = line_with_warmup(160_000, 1500, start=1e-6, floor=0.0)
    for step in (0, 1, 700, 1499, 1500, 1501, 80_000, 159_999):
        regular = (1 - step / 160_000) ** 1.0
        k = (1 - step / 1500) * (1 - 1e-6)
        assert factor(step) == pytest.approx(regular * (1 - k) if step < 1500 else regular, abs=1e-12)
    assert factor(160_000) == factor(200_000) == 0.0
    assert line_with_warmup(10, 0, floor=0.1)(5) == pytest.approx(0.55)


def test_lengths_in_steps() -> None:
    config = TrainConfig(
        data="x", epochs=10, schedule="linear", warmup_iterations=7, lr_start=0.5, lr_end=0.0
    )
    warmup, factor = warmup_schedule(config, steps=100, epochs=10)
    assert (warmup, factor(0)) == (7, 0.5)
    assert warmup_schedule(config, steps=5, epochs=1)[0] == 5
    batches = Batches(images=100, batch_size=8, accumulate=2, epochs=30)
    assert (batches.steps_an_epoch, batches.lasting(None)) == (6, batches)
    assert [batches.lasting(count).epochs for count in (1, 8, 9, 600)] == [1, 1, 2, 100]
