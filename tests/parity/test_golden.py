"""The official reference codes' own outputs, at the tolerance that separates right from wrong (2e-5)."""

import pytest
import torch
from torch import Tensor, nn

from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig
from tests.parity.golden import Golden, load_golden

CLOSE = {"atol": 2e-5, "rtol": 0.0}


def take_config(constructor: dict, **more: object) -> SwinConfig:
    names = {"window_size": "window", "patch_size": "patch", "ape": "absolute_position"}
    names |= {"drop_path_rate": "drop_path"}
    values = {names.get(k, k): v for k, v in constructor.items() if k != "num_classes"}
    return SwinConfig(**values, **more)


def tokens(feature_map: Tensor) -> Tensor:
    return feature_map.flatten(2).mT


def microsoft(golden: Golden) -> tuple[SwinBackbone, nn.Linear]:
    backbone = SwinBackbone(take_config(golden.meta["constructor"], fit="pad"))
    head = nn.Linear(backbone.features[-1].channels, golden.meta["constructor"]["num_classes"])
    body = {k: v for k, v in golden.state.items() if not k.startswith("head.")}
    backbone.load_state_dict(body)
    head.load_state_dict({k.removeprefix("head."): golden.state[k] for k in ("head.weight", "head.bias")})
    return backbone.eval(), head


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["ms_cls", "ms_cls_ape", "ms_cls_w12"])
def test_microsoft_classifier(name: str, backend: str) -> None:
    golden = load_golden(name)
    backbone, head = microsoft(golden)
    backbone.set_attention(backend)
    maps = backbone(golden.inputs["image"])
    for i, feature_map in enumerate(maps[:-1]):
        torch.testing.assert_close(tokens(feature_map), golden.outputs[f"stage{i + 1}"], **CLOSE)
    pooled = maps[-1].mean((-1, -2))
    torch.testing.assert_close(pooled, golden.outputs["features"], **CLOSE)
    logits = head(pooled)
    torch.testing.assert_close(logits, golden.outputs["logits"], **CLOSE)

    (logits * golden.inputs["cotangent"]).sum().backward()
    ours = dict(backbone.named_parameters()) | {f"head.{k}": v for k, v in head.named_parameters()}
    for key, expected in golden.gradients().items():
        # gradients sum over hundreds of tokens: 2e-5 of the largest one
        atol = 2e-5 * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(ours[key].grad, expected, atol=atol, rtol=0.0)


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_microsoft_detection_backbone(backend: str) -> None:
    golden = load_golden("det_backbone")
    backbone = SwinBackbone(take_config(golden.meta["constructor"], fit="pad_shift"), norms="each")
    backbone.load_state_dict(golden.state)
    backbone.set_attention(backend)
    for image in ("image_a", "image_b"):
        for i, feature_map in enumerate(backbone.eval()(golden.inputs[image])):
            torch.testing.assert_close(feature_map, golden.outputs[f"{image}/out{i}"], **CLOSE)

    (backbone(golden.inputs["image_a"])[-1] * golden.inputs["cotangent"]).sum().backward()
    for key, expected in golden.gradients().items():
        atol = 2e-5 * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(backbone.get_parameter(key).grad, expected, atol=atol, rtol=0.0)


@pytest.mark.parametrize(("name", "prefix_index"), [("video", False), ("video_clamp", True)])
def test_video_swin(name: str, prefix_index: bool) -> None:
    golden = load_golden(name)
    config = take_config(golden.meta["constructor"]["backbone"], fit="clamp", prefix_index=prefix_index)
    backbone = SwinBackbone(config)
    names = [k for k in golden.state if k.startswith("backbone.")]
    backbone.load_state_dict({k.removeprefix("backbone."): golden.state[k] for k in names})
    videos = [k for k in golden.inputs if k.startswith("video")]
    assert videos
    for video in videos:
        feature = backbone.eval()(golden.inputs[video])[-1]
        torch.testing.assert_close(feature, golden.outputs[f"{video}/feature"], **CLOSE)

    (backbone(golden.inputs["video_a"])[-1] * golden.inputs["cotangent"]).sum().backward()
    for key, expected in golden.gradients().items():
        atol = 2e-5 * max(1.0, expected.abs().max().item())
        gradient = backbone.get_parameter(key.removeprefix("backbone.")).grad
        torch.testing.assert_close(gradient, expected, atol=atol, rtol=0.0)
