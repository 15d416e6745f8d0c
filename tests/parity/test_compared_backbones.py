"""The peers' backbones, which are timm's, beside OpenMMLab's own outputs, with its weights."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

from swinkit.bench.backbones import DilatedResNet, PlainViT
from tests.parity.golden import Golden, load_golden

CLOSE = {"atol": 2e-5, "rtol": 0.0}


def resnet() -> tuple[nn.Module, Golden]:
    golden = load_golden("resnet_v1c_d8")
    given: dict[str, Any] = golden.meta["constructor"]
    first = given["base_channels"]
    model = DilatedResNet((3, 4, 6, 3), [first * 2**i for i in range(4)], given["stem_channels"] // 2)
    state = {}
    for name, tensor in golden.state.items():
        place = re.fullmatch(r"stem\.(\d)\.(.*)", name)
        name = re.sub(r"layer(\d)\.(\d+)\.downsample", r"layer\1.\2.downsample", name)
        if place:  # two convolutions with norm and ReLU, then a third one whose norm timm keeps apart
            name = f"conv1.{place[1]}.{place[2]}" if int(place[1]) < 7 else f"bn1.{place[2]}"
        state[name] = tensor
    model.body.load_state_dict(state)
    return model, golden


def vit() -> tuple[nn.Module, Golden]:
    golden = load_golden("vit_mmseg")
    given = golden.meta["constructor"]
    depth, size = given["num_layers"], given["img_size"][0]
    model = PlainViT(size, given["embed_dims"], depth, given["num_heads"], given["out_indices"])
    names = (
        (r"^layers\.", "blocks."),
        (r"\.ln(\d)\.", r".norm\1."),
        (r"\.attn\.attn\.in_proj_(\w+)$", r".attn.qkv.\1"),
        (r"\.attn\.attn\.out_proj\.", ".attn.proj."),
        (r"\.ffn\.layers\.0\.0\.", ".mlp.fc1."),
        (r"\.ffn\.layers\.1\.", ".mlp.fc2."),
        (r"^patch_embed\.projection\.", "patch_embed.proj."),
    )
    state = {}
    for name, tensor in golden.state.items():
        for old, new in names:
            name = re.sub(old, new, name)
        state[name] = tensor
    model.body.load_state_dict(state)
    return model, golden


@pytest.mark.parametrize(("build", "image"), [(resnet, "image_a"), (vit, "image_b")])
def test_maps(build: Any, image: str) -> None:
    model, golden = build()
    maps = model.eval()(golden.inputs[image])
    expected = [v for k, v in sorted(golden.outputs.items()) if k.startswith(f"{image}/out")]
    assert len(maps) == len(expected)
    for ours, theirs, spec in zip(maps, expected, model.features, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)
        assert ours.shape[1] == spec.channels
        assert -(-golden.inputs[image].shape[-1] // spec.stride) == ours.shape[-1]
