"""load and backbone on foreign files: golden outputs, wrappers, changes of shape, reports."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

import swinkit
from swinkit.errors import ConfigError, WeightsError
from swinkit.tasks.base import Task
from tests.parity.golden import load_golden

CLOSE = {"atol": 2e-5, "rtol": 0.0}


def saved(content: object, folder: Path, name: str = "x.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def microsoft(**settings: object) -> Task:
    config = {"embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4), "img_size": 56}
    return swinkit.create("swin_t", 5, **config | settings)


def state(model: Task) -> dict[str, Tensor]:
    return swinkit.to_dialect(model, "microsoft")


@pytest.mark.parametrize("name", ["ms_cls", "ms_cls_ape", "ms_cls_w12"])
def test_microsoft_classifiers(name: str, tmp_path: Path) -> None:
    golden = load_golden(name)
    model = swinkit.load(saved({"model": golden.state}, tmp_path))
    logits = model(golden.inputs["image"])
    torch.testing.assert_close(logits, golden.outputs["logits"], **CLOSE)
    assert model.preprocessing.size == golden.meta["constructor"]["img_size"]
    (logits * golden.inputs["cotangent"]).sum().backward()
    parameters = {name.removeprefix("backbone."): p for name, p in model.named_parameters()}
    for key, expected in golden.gradients().items():
        atol = 2e-5 * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(parameters[key].grad, expected, atol=atol, rtol=0.0)


def test_microsoft_detection_backbone(tmp_path: Path) -> None:
    golden = load_golden("det_backbone")
    path = saved({"state_dict": {f"module.backbone.{k}": v for k, v in golden.state.items()}}, tmp_path)
    net = swinkit.backbone(path)
    for image in ("image_a", "image_b"):
        for i, found in enumerate(net(golden.inputs[image])):
            torch.testing.assert_close(found, golden.outputs[f"{image}/out{i}"], **CLOSE)
    assert len(net.load_report.loaded) == len(net.state_dict())
    model = swinkit.load(path, num_classes=3)
    assert model.backbone.config.fit == "pad_shift"


def test_openmmlab_backbone(tmp_path: Path) -> None:
    golden = load_golden("mmseg_backbone")
    net = swinkit.backbone(saved(golden.state, tmp_path))
    for image in ("image_a", "image_b"):
        for i, found in enumerate(net(golden.inputs[image])):
            torch.testing.assert_close(found, golden.outputs[f"{image}/out{i}"], **CLOSE)
    assert any("downsample" in name for name in net.load_report.converted)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, golden.outputs[f"ms_state/{name}"]), name  # as their own converter has it
    written = swinkit.to_dialect(net, "openmmlab")
    for name, tensor in golden.state.items():
        assert torch.equal(written[name], tensor), name

    (net(golden.inputs["image_a"])[-1] * golden.inputs["cotangent"]).sum().backward()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.zeros_like(p) if p.grad is None else p.grad)
    gradients = swinkit.to_dialect(net, "openmmlab")
    for key, expected in golden.gradients().items():
        atol = 2e-5 * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(gradients[key], expected, atol=atol, rtol=0.0)


def test_mmpretrain_classifier(tmp_path: Path) -> None:
    """norm3 alone is the final norm, and the rule is `pad`; here written from a Microsoft fixture."""
    golden = load_golden("ms_cls_w12")
    ours = swinkit.load(saved(golden.state, tmp_path), window=12, img_size=384)
    theirs = {f"backbone.{k}" if not k.startswith("head") else k: v for k, v in
              swinkit.to_dialect(ours, "openmmlab").items()}  # fmt: skip
    theirs = {name.replace("backbone.norm.", "backbone.norm2."): tensor for name, tensor in theirs.items()}
    again = swinkit.load(saved({"state_dict": theirs, "meta": {}}, tmp_path, "mm.pth"))
    assert again.backbone.config.fit == "pad"
    x = golden.inputs["image"]
    torch.testing.assert_close(again(x), ours(x), **CLOSE)


def test_video_swin(tmp_path: Path) -> None:
    golden = load_golden("video")
    model = swinkit.load(saved({"state_dict": golden.state}, tmp_path))
    for clip in ("video_a", "video_b", "video_c"):
        torch.testing.assert_close(model(golden.inputs[clip]), golden.outputs[f"{clip}/logits"], **CLOSE)
    written = swinkit.to_dialect(model, "microsoft")
    for name, tensor in golden.state.items():
        assert torch.equal(written[name], tensor), name


def test_resize_as_microsoft(tmp_path: Path) -> None:
    golden = load_golden("ms_resize")
    model = swinkit.load(saved(golden.state, tmp_path), window=12, img_size=96)
    for name, tensor in model.state_dict().items():
        expected = golden.outputs[f"state/{name.removeprefix('backbone.')}"]
        torch.testing.assert_close(tensor, expected, **CLOSE)
    torch.testing.assert_close(model(golden.inputs["image"]), golden.outputs["logits"], **CLOSE)
    resized = model.load_report.resized
    assert len(resized) == 5
    assert "backbone.absolute_pos_embed" in resized


def test_inflation_as_video_swin(tmp_path: Path) -> None:
    golden = load_golden("video_inflate")
    path = saved(golden.state, tmp_path)
    model = swinkit.load(path, task="video", window=(2, 7, 7), num_classes=4)
    feature = model.backbone(golden.inputs["video"])[-1]
    torch.testing.assert_close(feature, golden.outputs["feature"], **CLOSE)
    assert model.load_report.initialised == ("head.weight", "head.bias")
    assert swinkit.load(path, task="video").backbone.config.windows[0] == (8, 7, 7)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}, "epoch": 3},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {"state_dict": {f"model.backbone.{k}" if "head" not in k else f"model.{k}": v
                                  for k, v in s.items()}},
        lambda s: {"state_dict": {k: v * 0 for k, v in s.items()}, "state_dict_ema": s},
        lambda s: {"model": {k: v * 0 for k, v in s.items()},
                   "model_ema": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    ],
)  # fmt: skip
def test_wrappers_are_peeled(wrap, tmp_path: Path) -> None:
    model = microsoft()
    ours = swinkit.load(saved(wrap(state(model)), tmp_path))
    for name, tensor in model.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


def test_other_classes_give_a_fresh_head(tmp_path: Path) -> None:
    path = saved(state(microsoft()), tmp_path)
    model = swinkit.load(path, num_classes=3)
    assert model.head.weight.shape == (3, 32)
    assert model.head.weight.std() > 0
    assert model.load_report.initialised == ("head.weight", "head.bias")
    assert "head.weight" in model.load_report.dropped
    named = swinkit.load(path, classes=["a", "b", "c", "d", "e"])
    assert named.classes[1] == "b"
    assert not named.load_report.initialised


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_other_channels_keep_the_answer_to_grey(channels: int, tmp_path: Path) -> None:
    model = microsoft()
    ours = swinkit.load(saved(state(model), tmp_path), in_chans=channels)
    grey = torch.randn(1, 1, 56, 56, generator=torch.Generator().manual_seed(0))
    expected = model(grey.expand(-1, 3, -1, -1))
    if channels % 3 == 0 or channels == 1:
        torch.testing.assert_close(ours(grey.expand(-1, channels, -1, -1)), expected, **CLOSE)
    assert ours.load_report.resized == ("backbone.patch_embed.proj.weight",)
    assert ours.preprocessing.channels == channels


def test_half_precision_becomes_single(tmp_path: Path) -> None:
    half = {name: t.half() if t.is_floating_point() else t for name, t in state(microsoft()).items()}
    model = swinkit.load(saved(half, tmp_path))
    assert model.dtype == torch.float32
    assert model(torch.zeros(1, 3, 56, 56)).dtype == torch.float32


def test_saved_again_it_is_ours(tmp_path: Path) -> None:
    model = swinkit.load(saved(state(microsoft()), tmp_path))
    again = swinkit.load(swinkit.save(model, tmp_path / "ours.safetensors"))
    assert again.backbone.config == model.backbone.config
    x = torch.randn(1, 3, 56, 56)
    torch.testing.assert_close(again(x), model(x), atol=1e-6, rtol=0.0)
    assert again.lineage[0]["dialect"] == "microsoft"


def test_one_missing_tensor_is_said_and_filled_only_on_demand(tmp_path: Path) -> None:
    tensors = state(microsoft())
    del tensors["layers.1.blocks.0.mlp.fc2.weight"]
    path = saved(tensors, tmp_path)
    with pytest.raises(WeightsError, match=r"1 tensors are missing .*layers\.1\.blocks\.0\.mlp\.fc2\.weight"):
        swinkit.load(path)
    model = swinkit.load(path, strict=False)
    assert model.load_report.missing == ("backbone.layers.1.blocks.0.mlp.fc2.weight",)
    assert torch.isfinite(model(torch.zeros(1, 3, 56, 56))).all()


@pytest.mark.parametrize(
    ("names", "looks"),
    [
        (["layer1.0.conv1.weight", "fc.weight"], "a ResNet"),
        (["blocks.0.attn.qkv.weight", "cls_token"], "a plain vision transformer"),
        (["layers.0.blocks.0.attn.qkv.weight", "layers.0.blocks.0.attn.logit_scale"], "a Swin V2"),
        (["stages.0.blocks.0.conv_dw.weight"], "a ConvNeXt"),
        (["a", "b"], "none that is known"),
    ],
)
def test_what_is_no_swin_is_told(names: list[str], looks: str, tmp_path: Path) -> None:
    path = saved({name: torch.zeros(3, 3) for name in names}, tmp_path)
    with pytest.raises(WeightsError, match=looks):
        swinkit.load(path)


def test_swin_v2_is_refused_by_name(tmp_path: Path) -> None:
    settings = {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_classes": 2}
    model = timm.create_model("swinv2_tiny_window8_256", **settings)
    with pytest.raises(WeightsError, match="is a Swin V2, which swinkit does not know yet"):
        swinkit.load(saved(model.state_dict(), tmp_path))


def test_a_segmentation_model_gives_its_backbone_only(tmp_path: Path) -> None:
    golden = load_golden("det_backbone")
    tensors = {f"backbone.{name}": tensor for name, tensor in golden.state.items()}
    tensors["decode_head.conv_seg.weight"] = torch.zeros(6, 8, 1, 1)
    path = saved({"state_dict": tensors}, tmp_path)
    with pytest.raises(WeightsError, match=r"a segmentation model .* swinkit\.backbone"):
        swinkit.load(path)
    net = swinkit.backbone(path)
    assert "decode_head.conv_seg.weight" in net.load_report.dropped
    model = swinkit.load(path, task="classify", num_classes=2)
    assert "decode_head.conv_seg.weight" in model.load_report.dropped


def test_tasks_that_cannot_be(tmp_path: Path) -> None:
    video = saved({"state_dict": load_golden("video").state}, tmp_path)
    with pytest.raises(ConfigError, match="is a video model"):
        swinkit.load(video, task="classify")
    with pytest.raises(ConfigError, match=r"task='clasify'.*'classify'"):
        swinkit.load(video, task="clasify")
