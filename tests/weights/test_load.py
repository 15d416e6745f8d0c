"""load and backbone on foreign files: golden outputs, wrappers, changes of shape, reports."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import timm
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import swinkit
from swinkit.errors import ConfigError, SwinkitError, WeightsError
from swinkit.tasks.base import Task
from tests.parity.golden import load_golden
from tests.parity.test_peers import stirred
from tests.weights.naming import our_name

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
    theirs = swinkit.to_dialect(ours, "openmmlab")
    assert {name.split(".")[0] for name in theirs} == {"backbone", "head"}
    assert {"backbone.norm2.weight", "head.fc.weight"} <= theirs.keys()
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


LOST = {
    "the last stage": r"layers\.1\.",
    "the last stage and merging": r"layers\.(1\.|0\.downsample)",
    "a block inside": r"layers\.0\.blocks\.0\.",
    "all of a layer": r".*mlp\.fc1",
    "patch embedding": r"patch_embed\.",
    "bias tables of a stage": r"layers\.1\..*bias_table",
}


@pytest.mark.parametrize("what", LOST)
@pytest.mark.parametrize("dialect", ["microsoft", "timm", "torchvision", "huggingface", "openmmlab"])
def test_groups_of_lost_keys_make_no_other_model(dialect: str, what: str, tmp_path: Path) -> None:
    """Also where classes are new or the backbone alone is wanted, so that nothing else would notice."""
    lost = {name for name in state(microsoft()) if re.match(LOST[what], name)}
    whole = swinkit.to_dialect(microsoft(), dialect)
    gone = {name for name in whole if our_name(name, dialect).replace("query", "qkv") in lost}
    path = saved({name: tensor for name, tensor in whole.items() if name not in gone}, tmp_path)
    assert gone
    for load in (swinkit.load, lambda p: swinkit.load(p, num_classes=3), swinkit.backbone):
        with pytest.raises(WeightsError) as error:
            load(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("dialect", ["timm", "torchvision", "huggingface", "openmmlab"])
def test_what_a_library_cannot_build_is_lost_not_meant(dialect: str, tmp_path: Path) -> None:
    whole = swinkit.to_dialect(microsoft(), dialect)
    norm = r"(patch_embed|embeddings)\.norm\.|features\.0\.2\."
    bare = {name: tensor for name, tensor in whole.items() if not re.search(norm, name)}
    assert len(bare) < len(whole)
    with pytest.raises(WeightsError, match=r"patch_embed\.norm"):
        swinkit.load(saved(bare, tmp_path))


def test_tables_cut_alike_disagree_with_their_index(tmp_path: Path) -> None:
    cut = {n: t[:81].clone() if n.endswith("bias_table") else t for n, t in state(microsoft()).items()}
    with pytest.raises(WeightsError, match=r"stage 0 has 81 rows, which does not agree with its relative"):
        swinkit.load(saved(cut, tmp_path))


def test_a_window_with_two_sides_is_never_guessed(tmp_path: Path) -> None:
    model = microsoft(window=(10, 7), img_size=(160, 112))
    path = saved(swinkit.to_dialect(model, "timm"), tmp_path)
    with pytest.raises(WeightsError, match=r"window of stage 0: .* fits .*\(7, 10\), \(10, 7\).* by window="):
        swinkit.load(path)
    x = torch.randn(1, 3, 160, 112)
    torch.testing.assert_close(swinkit.load(path, window=(10, 7))(x), model(x), **CLOSE)
    indexed = swinkit.load(saved(swinkit.to_dialect(model, "torchvision"), tmp_path))
    assert indexed.backbone.config.windows == ((10, 7), (10, 7))


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    tensors = state(microsoft())
    tensors["layers.0.blocks.0.mlp.fc1.weight"] = tensors["layers.0.blocks.0.mlp.fc1.weight"].to(torch.int8)
    with pytest.raises(WeightsError, match=r"stores layers\.0\.blocks\.0\.mlp\.fc1\.weight as int8"):
        swinkit.load(saved(tensors, tmp_path))


def test_two_classifiers_are_one_too_many(tmp_path: Path) -> None:
    tensors = {f"backbone.{n}" if "head" not in n else n: t for n, t in state(microsoft()).items()}
    tensors["cls_head.fc_cls.weight"] = tensors["head.weight"] * 2
    with pytest.raises(WeightsError, match=r"holds head\.weight twice"):
        swinkit.load(saved(tensors, tmp_path))


def test_averages_of_mmengine(tmp_path: Path) -> None:
    """Its hook swaps the two when saving: state_dict is the averaged one (mmengine's EMAHook)."""
    model = microsoft()
    theirs = swinkit.to_dialect(model, "openmmlab")
    raw = {f"module.{name}": tensor * 0 for name, tensor in theirs.items()}
    content = {"state_dict": theirs, "ema_state_dict": {"steps": torch.tensor(7), **raw}}
    assert answers_alike(swinkit.load(saved(content, tmp_path)), model)
    averaged = {"n_averaged": torch.tensor(7), **{f"module.{name}": t for name, t in theirs.items()}}
    assert answers_alike(swinkit.load(saved(averaged, tmp_path)), model)


def answers_alike(one: Task, other: Task) -> bool:
    x = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(3))
    return torch.allclose(one(x), other(x), atol=1e-5)


def test_a_backbone_that_kept_one_map(tmp_path: Path) -> None:
    """As transformers' SwinBackbone does by default."""
    config = transformers.SwinConfig(embed_dim=16, depths=[2, 2, 2], num_heads=[2, 2, 4])
    theirs = stirred(transformers.SwinBackbone(config))
    path = saved(theirs.state_dict(), tmp_path)
    net = swinkit.backbone(path)
    assert net.out_indices == (2,)
    x = torch.randn(1, 3, 100, 76)
    torch.testing.assert_close(net(x)[0], theirs(x).feature_maps[0], **CLOSE)
    assert swinkit.load(path, num_classes=2).backbone.config.fit == "pad_shift"
    with pytest.raises(WeightsError, match=r"tensors are missing \(such as norm0\.weight\)"):
        swinkit.backbone(path, out_indices=(0, 2))


@pytest.mark.parametrize("name", ["head.weight", "norm.weight", "layers.0.blocks.0.norm1.weight"])
def test_a_tensor_without_axes(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        swinkit.load(saved({**state(microsoft()), name: torch.tensor(1.0)}, tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [("config", None), ("labels", None), ("labels", [{"id": 0, "name": "a"}]), ("preprocessing", None),
     ("config", {"embed_dims": 3}), ("lineage", 3), ("settings", None), ("format", "x"),
     ("settings", {"a": 1}), ("config", {"depths": [2, 1.5]})],
)  # fmt: skip
def test_a_damaged_header_is_named(key: str, value: object, tmp_path: Path) -> None:
    path = swinkit.save(microsoft(), tmp_path / "x.safetensors")
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["swinkit"])
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {"swinkit": json.dumps(header | {key: value})})
    with pytest.raises(WeightsError, match="has a damaged header"):
        swinkit.load(path)


def test_a_logit_scale_elsewhere_is_no_swin_v2(tmp_path: Path) -> None:
    tensors = {f"visual.{name}": tensor for name, tensor in state(microsoft()).items()}
    path = saved({**tensors, "logit_scale": torch.tensor(4.6)}, tmp_path)
    with pytest.raises(WeightsError, match=r"is an image-text model with a Swin inside"):
        swinkit.load(path)
    assert len(swinkit.backbone(path, norms=False).load_report.loaded) == len(tensors) - 8


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"hidden_act": "relu"}, "hidden_act='relu'.* knows 'gelu'"),
     ({"layer_norm_eps": 1e-6}, "layer_norm_eps=1e-06"),
     ({"depths": [2, 2, 6, 2]}, "depths=.*is it whole")],
)  # fmt: skip
def test_a_folder_whose_config_tells_of_another_model(
    changed: dict[str, object], message: str, tmp_path: Path
) -> None:
    config = transformers.SwinConfig(embed_dim=16, depths=[2, 2], num_heads=[2, 2], num_labels=3)
    transformers.SwinForImageClassification(config).save_pretrained(tmp_path)
    assert len(swinkit.load(tmp_path).classes) == 3
    written = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(written | changed))
    with pytest.raises(WeightsError, match=message):
        swinkit.load(tmp_path)


def test_a_video_backbone_keeps_its_fit(tmp_path: Path) -> None:
    assert swinkit.backbone(saved(load_golden("video").state, tmp_path)).config.fit == "clamp"
    assert swinkit.backbone("swin3d_t", embed_dim=12, depths=(1, 1), num_heads=(1, 1)).config.fit == "clamp"
    assert swinkit.backbone("swin_pico").config.fit == "pad_shift"
    assert swinkit.backbone("swin_pico", fit="pad").config.fit == "pad"


def test_what_stands_beside_a_transformers_model_is_used(tmp_path: Path) -> None:
    names = {0: "crane", 1: "crane", 2: "swan"}
    config = transformers.SwinConfig(
        embed_dim=16, depths=[2, 2], num_heads=[2, 2], image_size=120, id2label=names
    )
    transformers.SwinForImageClassification(config).save_pretrained(tmp_path)
    assert swinkit.load(tmp_path).preprocessing.mean == (0.485, 0.456, 0.406)
    processor = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "do_normalize": True}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    model = swinkit.load(tmp_path)
    assert model.classes == ("crane (0)", "crane (1)", "swan")
    assert (model.preprocessing.size, model.backbone.config.img_size) == (120, (120, 120))
    assert (model.preprocessing.mean, model.preprocessing.std) == ((0.5,) * 3, (0.25,) * 3)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    assert swinkit.load(tmp_path).preprocessing.std == (1.0,) * 3
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [1]}))
    with pytest.raises(WeightsError, match=r"The preprocessing in .* is not understood: .*mean has 1"):
        swinkit.load(tmp_path)
    config = transformers.SwinConfig(embed_dim=16, depths=[2, 2], num_heads=[2, 2], image_size=[112, 56])
    theirs = stirred(transformers.SwinForImageClassification(config))
    theirs.save_pretrained(tmp_path / "uneven")
    ours = swinkit.load(tmp_path / "uneven")
    assert (ours.backbone.config.fit, ours.backbone.config.img_size) == ("square", (112, 56))
    x = torch.randn(2, 3, 112, 56, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours(x), theirs(x).logits, **CLOSE)


def test_what_stands_beside_a_timm_model_is_used(tmp_path: Path) -> None:
    settings = {"embed_dim": 16, "depths": (2, 2), "num_heads": (2, 2), "num_classes": 2}
    theirs = timm.create_model("swin_tiny_patch4_window7_224", **settings)
    config = {"label_names": ["cat", "dog"], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.75}
    timm.models.save_for_hf(theirs, tmp_path, model_config=config)
    model = swinkit.load(tmp_path)
    assert model.classes == ("cat", "dog")
    written = json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]
    assert (model.preprocessing.crop, model.preprocessing.size) == (written["crop_pct"], 224)
    assert model.preprocessing.mean == tuple(written["mean"])


@pytest.mark.parametrize("infix", ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."])
def test_words_of_wrappers_inside_of_names(infix: str, tmp_path: Path) -> None:
    model = microsoft()
    tensors = {name.replace("blocks.0.", f"blocks.0.{infix}"): t for name, t in state(model).items()}
    assert answers_alike(swinkit.load(saved(tensors, tmp_path)), model)


def test_averages_beside_the_others_in_one_mapping(tmp_path: Path) -> None:
    """As Lightning saves a module that holds both."""
    model = microsoft()
    raw = {f"model.{name}": tensor * 0 for name, tensor in state(model).items()}
    averaged = {f"ema_model.{name}": tensor for name, tensor in state(model).items()}
    content = {"state_dict": {**raw, **averaged, "ema_model.decay": torch.tensor(0.9)}}
    loaded = swinkit.load(saved(content, tmp_path))
    assert answers_alike(loaded, model)
    assert "model.head.weight" in loaded.load_report.dropped


def test_maskformer_backbone(tmp_path: Path) -> None:
    config = transformers.MaskFormerSwinConfig(
        embed_dim=16, depths=[2, 2], num_heads=[2, 2], out_features=["stage1", "stage2"]
    )
    theirs = stirred(transformers.models.maskformer.modeling_maskformer_swin.MaskFormerSwinBackbone(config))
    net = swinkit.backbone(saved(theirs.state_dict(), tmp_path))
    assert net.load_report.initialised == ()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for ours, expected in zip(net(x), theirs(x).feature_maps, strict=True):
            torch.testing.assert_close(ours, expected, **CLOSE)


def test_a_detector_that_keeps_one_map(tmp_path: Path) -> None:
    tensors = swinkit.to_dialect(swinkit.create("swin_t", 5, embed_dim=16, depths=(2, 2), num_heads=(2, 4)),
                                 "openmmlab")  # fmt: skip
    del tensors["head.fc.weight"], tensors["head.fc.bias"]
    path = saved({**tensors, "bbox_head.fc_cls.weight": torch.zeros(3, 3)}, tmp_path)
    net = swinkit.backbone(path)
    assert net.out_indices == (1,)
    assert net.load_report.initialised == ()


def test_a_window_that_is_said_is_taken(tmp_path: Path) -> None:
    model = microsoft(window=(2, 14), img_size=112)
    path = saved({n: t for n, t in state(model).items() if "index" not in n}, tmp_path)
    loaded = swinkit.load(path, window=(2, 14))
    assert loaded.load_report.resized == ()
    x = torch.randn(1, 3, 112, 112)
    torch.testing.assert_close(loaded(x), model(x), **CLOSE)


def test_a_clip_window_is_not_guessed(tmp_path: Path) -> None:
    model = swinkit.create("swin3d_t", 2, embed_dim=8, depths=(1,), num_heads=(1,), window=(8, 7, 5))
    tensors = {n: t for n, t in swinkit.to_dialect(model, "microsoft").items() if "index" not in n}
    with pytest.raises(WeightsError, match=r"does not tell the window of stage 0"):
        swinkit.load(saved(tensors, tmp_path))
    assert swinkit.load(saved(tensors, tmp_path), window=(8, 7, 5)).backbone.config.windows == ((8, 7, 5),)


def test_absolute_position_of_a_picture_that_is_not_square(tmp_path: Path) -> None:
    model = microsoft(absolute_position=True, img_size=(112, 28), window=4)
    loaded = swinkit.load(saved(state(model), tmp_path), img_size=(112, 28))
    assert loaded.load_report.resized == ()
    x = torch.randn(1, 3, 112, 28)
    torch.testing.assert_close(loaded(x), model(x), **CLOSE)
    net = swinkit.backbone(tmp_path / "x.pth", img_size=(112, 28), fit="pad")
    assert torch.equal(net.absolute_pos_embed, model.backbone.absolute_pos_embed)
    assert net.load_report.resized == ()


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_kernels_change_in_single_precision(half: torch.dtype, tmp_path: Path) -> None:
    tensors = {n: t.to(half) if t.is_floating_point() else t for n, t in state(microsoft()).items()}
    model = swinkit.load(saved(tensors, tmp_path), in_chans=1)
    exact = tensors["patch_embed.proj.weight"].float().sum(1, keepdim=True)
    assert torch.equal(model.state_dict()["backbone.patch_embed.proj.weight"], exact)


def test_an_mlp_ratio_that_is_rounded(tmp_path: Path) -> None:
    model = microsoft(mlp_ratio=2.7, embed_dim=8)
    assert answers_alike(swinkit.load(saved(state(model), tmp_path)), model)


def test_meta_tensors_hold_nothing(tmp_path: Path) -> None:
    tensors = {name: tensor.to("meta") for name, tensor in state(microsoft()).items()}
    with pytest.raises(WeightsError, match="holds no numbers"):
        swinkit.load(saved(tensors, tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 7.5}, r"window=7\.5: give whole numbers"),
        ({"window": ((7, 7), (7, "a"))}, "give whole numbers"),
        ({"img_size": 224.5}, "img_size"),
        ({"img_size": ("a", "b")}, "img_size"),
        ({"in_chans": "3"}, "in_chans='3': give whole numbers"),
        ({"in_chans": True}, "in_chans=True"),
        ({"num_classes": "10"}, "num_classes='10': give a whole number"),
        ({"num_classes": 2.5}, "num_classes=2.5"),
        ({"classes": 5}, "`classes=5`: give a list of names"),
        ({"task": []}, r"`task=\[\]` is unknown"),
        ({"task": "detection"}, "`task='detection'` is unknown to this swinkit: did you mean 'detect'"),
        ({"drop_path": "a"}, "drop_path='a': give a number"),
        ({"qk_scale": "x"}, "qk_scale='x': give a number"),
        ({"qkv_bias": 1}, "qkv_bias=1: give True or False"),
    ],
)
def test_arguments_of_another_type(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        swinkit.load(saved(state(microsoft()), tmp_path), **options)


def test_what_is_no_model_at_all(tmp_path: Path) -> None:
    for call in (
        lambda: swinkit.load(None),
        lambda: swinkit.load("a" * 5000),
        lambda: swinkit.backbone("swin_pico", out_indices=5),
        lambda: swinkit.backbone("swin_pico", out_indices=[0.0]),
        lambda: swinkit.to_dialect(torch.nn.Linear(2, 2), "timm"),
        lambda: swinkit.to_dialect(microsoft(), None),
        lambda: swinkit.save(swinkit.backbone("swin_pico"), tmp_path / "x"),
        lambda: swinkit.save(microsoft(), "a\0b"),
    ):
        with pytest.raises(SwinkitError):
            call()
