"""Other libraries at their edges: grids of no whole windows, patches that are not filled, rectangles."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
import transformers
from torch import Tensor, nn
from torchvision.models.video.swin_transformer import SwinTransformer3d

import swinkit
from swinkit.core.folding import fold
from swinkit.errors import ConfigError, WeightsError
from swinkit.tasks.base import Task
from tests.parity.golden import load_golden
from tests.parity.test_peers import pixels, stirred

FOUR = {"embed_dim": 16, "depths": (1, 1, 2, 2), "num_heads": (1, 1, 2, 2)}


def stored(state: dict[str, Tensor], folder: Path) -> Path:
    torch.save(state, folder / "x.pth")
    return folder / "x.pth"


def assert_same(ours: Task, logits: Callable[[Tensor], Tensor], theirs: nn.Module, x: Tensor) -> None:
    """Logits of every way to compute them, and gradients of the input and of all bias tables."""
    for backend in ("eager", "sdpa"):
        ours.backbone.set_attention(backend)
        for model, answer in ((ours, ours), (theirs, logits)):
            model.zero_grad()
            x.grad = None
            out = answer(x.requires_grad_())
            (out * torch.arange(1.0, 1 + out.shape[1])).sum().backward()
            tables = [p.grad for n, p in model.named_parameters() if n.endswith("bias_table")]
            found = [out.detach(), x.grad, *tables]
            if model is ours:
                mine = found
        assert mine[0].std() > 0.05
        for one, other in zip(mine, found, strict=True):
            close = 2e-5 * max(1.0, other.abs().max().item())
            torch.testing.assert_close(one, other, atol=close, rtol=0.0)
    folded = copy.deepcopy(ours)
    fold(folded.backbone)
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), found[0], atol=2e-5 * found[0].abs().max().item(), rtol=0.0)


def timm_swin(**more: Any) -> nn.Module:
    settings = {**FOUR, "num_classes": 5, "drop_path_rate": 0.0}
    return stirred(timm.create_model("swin_tiny_patch4_window7_224", **settings | more))


@pytest.mark.parametrize(
    ("built", "settings"),
    [
        ({"img_size": 250}, {}),  # no whole windows, no whole patches: the rest is ignored
        ({"img_size": 96}, {}),  # windows cut to their grids
        ({"img_size": (160, 288)}, {"img_size": (160, 288)}),  # each side cut by itself
        ({"img_size": (112, 60), "window_size": 4}, {"img_size": (112, 60)}),
        ({"img_size": (90, 70), "window_size": (5, 4)}, {"window": (5, 4), "img_size": (90, 70)}),
        ({"img_size": 120, "window_size": (7, 6, 5, 4)}, {}),
        ({"img_size": 50, "patch_size": 2}, {}),
        ({"img_size": 200, "patch_size": 8}, {}),
        ({"img_size": 96, "window_size": 7, "strict_img_size": False}, {"img_size": 96}),
    ],
    ids=str,
)
def test_timm_built_for_a_size(built: dict[str, Any], settings: dict[str, Any], tmp_path: Path) -> None:
    theirs = timm_swin(**built)
    ours = swinkit.load(stored(theirs.state_dict(), tmp_path), **settings)
    side = built["img_size"]
    x = pixels(2, 3, *((side, side) if isinstance(side, int) else side))
    assert_same(ours, theirs, theirs, x)


@pytest.mark.parametrize("size", [(224, 224), (252, 200), (300, 120), (100, 64)])
@pytest.mark.parametrize(
    "way", [{"strict_img_size": False}, {"dynamic_img_size": True, "always_partition": True}]
)
def test_timm_at_other_sizes_than_it_was_built_for(
    way: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    """Its folder tells the size it was built for, and whether it always shifts."""
    theirs = timm_swin(**way)
    timm.models.save_for_hf(theirs, tmp_path, model_args={"always_partition": "always_partition" in way})
    ours = swinkit.load(tmp_path)
    assert_same(ours, theirs, theirs, pixels(1, 3, *size))
    again = swinkit.load(swinkit.save(ours, tmp_path / "ours.safetensors"))
    assert again.backbone.config == ours.backbone.config


@pytest.mark.parametrize("size", [(225, 230), (100, 83), (6, 30)])
def test_torchvision_ignores_what_fills_no_patch(size: tuple[int, int], tmp_path: Path) -> None:
    theirs = torchvision.models.SwinTransformer([4, 4], 16, [2, 2], [2, 2], [7, 7], num_classes=5)
    ours = swinkit.load(stored(stirred(theirs).state_dict(), tmp_path))
    assert_same(ours, theirs, theirs, pixels(2, 3, *size))
    with pytest.raises(ConfigError, match=r"of \(3, 30\) holds no whole patch of \(4, 4\)"):
        ours(pixels(1, 3, 3, 30))
    net = swinkit.backbone(tmp_path / "x.pth")  # maps for a new head are those of all pixels
    assert net.config.patch_remainder == "pad"


@pytest.mark.parametrize("shape", [(8, 40, 36), (8, 40, 9), (3, 23, 40), (2, 9, 9)])
def test_torchvision_video_clamped_in_space_and_time(shape: tuple[int, ...], tmp_path: Path) -> None:
    theirs = SwinTransformer3d(
        patch_size=[2, 4, 4], embed_dim=16, depths=[2, 2], num_heads=[1, 2], window_size=[3, 4, 5],
        num_classes=5,
    )  # fmt: skip
    ours = swinkit.load(stored(stirred(theirs).state_dict(), tmp_path))
    assert ours.backbone.config.prefix_index
    assert_same(ours, theirs, theirs, pixels(1, 3, *shape))


@pytest.mark.parametrize("size", [(112, 56), (56, 168), (120, 56)])
def test_transformers_rectangles(size: tuple[int, int], tmp_path: Path) -> None:
    config = transformers.SwinConfig(
        embed_dim=16, depths=[2, 2], num_heads=[1, 2], num_labels=5, image_size=list(size),
        use_absolute_embeddings=size != (120, 56),
    )  # fmt: skip
    theirs = stirred(transformers.SwinForImageClassification(config))
    theirs.save_pretrained(tmp_path)
    ours = swinkit.load(tmp_path)
    assert ours.backbone.config.fit == "square"
    x = pixels(1, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x).logits, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("masks", [True, False])
def test_microsoft_rectangles(masks: bool, tmp_path: Path) -> None:
    """The stored masks tell the trained size; without them the user does."""
    golden = load_golden("ms_cls_rect", buffers=True)
    state = {name: t for name, t in golden.state.items() if masks or not name.endswith("attn_mask")}
    ours = swinkit.load(stored({"model": state}, tmp_path), **({} if masks else {"img_size": (64, 128)}))
    config = ours.backbone.config
    assert (config.fit, config.img_size) == ("square", (64, 128))
    assert [list(window) for window in config.windows] == [[8, 8], [8, 8], [4, 4], [2, 2]]
    for backend in ("eager", "sdpa"):
        ours.backbone.set_attention(backend)
        ours.zero_grad()
        logits = ours(golden.inputs["image"])
        torch.testing.assert_close(logits, golden.outputs["logits"], atol=2e-5, rtol=0.0)
        (logits * golden.inputs["cotangent"]).sum().backward()
        parameters = {name.removeprefix("backbone."): p for name, p in ours.named_parameters()}
        for key, expected in golden.gradients().items():
            atol = 2e-5 * max(1.0, expected.abs().max().item())
            torch.testing.assert_close(parameters[key].grad, expected, atol=atol, rtol=0.0)
    written = swinkit.to_dialect(ours, "microsoft")
    for name, tensor in written.items():
        assert torch.equal(tensor, golden.state[name]), name
    for other, fault in (("timm", "its windows are"), ("torchvision", "its windows are")):
        with pytest.raises(ConfigError, match=fault):
            swinkit.to_dialect(ours, other)


def test_masks_of_two_sizes_are_damage(tmp_path: Path) -> None:
    golden = load_golden("ms_cls_rect", buffers=True)
    name = "layers.0.blocks.1.attn_mask"
    state = golden.state | {"layers.1.blocks.1.attn_mask": golden.state[name]}
    with pytest.raises(WeightsError, match=r"shift masks .* with .* and .* patches"):
        swinkit.load(stored(state, tmp_path))


def test_position_on_its_grid_read_and_written(tmp_path: Path) -> None:
    golden = load_golden("det_backbone_ape")
    net = swinkit.backbone(stored({"state_dict": golden.state}, tmp_path))
    assert net.config.img_size == (56, 80)
    for image in ("image_a", "image_b", "image_c"):
        for i, found in enumerate(net(golden.inputs[image])):
            torch.testing.assert_close(found, golden.outputs[f"{image}/out{i}"], atol=2e-5, rtol=0.0)
    (net(golden.inputs["image_a"])[-1] * golden.inputs["cotangent"]).sum().backward()
    for key, expected in golden.gradients().items():
        found = net.get_parameter(key).grad
        if key == "absolute_pos_embed":
            found = found.mT.unflatten(2, (14, 20))
        atol = 2e-5 * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(found, expected, atol=atol, rtol=0.0)
    written = swinkit.to_dialect(net, "microsoft")
    for name, tensor in golden.state.items():
        assert torch.equal(written[name], tensor), name
    classifier = swinkit.load(tmp_path / "x.pth", num_classes=3, task="classify", fit="pad")
    assert classifier.backbone.absolute_pos_embed.shape == (1, 280, 12)


def test_position_of_a_video_for_all_frames(tmp_path: Path) -> None:
    model = swinkit.create("swin3d_pico", 2, img_size=(16, 56, 84), absolute_position=True)
    table = model.backbone.absolute_pos_embed
    with torch.no_grad():
        table.copy_(table[:, :1].expand_as(table) * 0 + np.pi)
    state = swinkit.to_dialect(model, "microsoft")
    assert state["backbone.absolute_pos_embed"].shape == (1, 32, 14, 21)
    again = swinkit.load(stored(state, tmp_path), fit="clamp")
    assert again.backbone.config.img_size == (32, 56, 84)
    x = pixels(1, 3, 16, 56, 84)
    with torch.no_grad():
        torch.testing.assert_close(again(x), model(x), atol=2e-5, rtol=0.0)
        table[:, 0] += 1
    with pytest.raises(ConfigError, match="differs from frame to frame"):
        swinkit.to_dialect(model, "microsoft")


def test_positions_that_make_no_square_name_a_grid(tmp_path: Path) -> None:
    model = swinkit.create(
        "swin_t", 3, embed_dim=16, depths=(1, 1), num_heads=(1, 1), img_size=(56, 112), fit="square",
        absolute_position=True,
    )  # fmt: skip
    path = stored(swinkit.to_dialect(model, "microsoft"), tmp_path)
    with pytest.raises(WeightsError, match=r"position of 392 patches.*14 × 28\? Give `img_size=\(56, 112\)`"):
        swinkit.load(path)
    x = pixels(1, 3, 56, 112)
    with torch.no_grad():
        torch.testing.assert_close(swinkit.load(path, img_size=(56, 112))(x), model(x), atol=2e-5, rtol=0.0)


@pytest.mark.parametrize(
    ("settings", "dialect", "fault"),
    [
        ({"img_size": 100}, "timm", "computes fit='roll_pad', not 'pad', which differ at 100×100 in stage 0"),
        ({"img_size": 100, "fit": "pad_shift"}, "timm", "computes fit='roll_pad', not 'pad_shift'"),
        ({"img_size": 112, "fit": "pad_shift"}, "timm", "at 112×112 in stage 2"),
        ({"img_size": 100, "fit": "roll_pad"}, "torchvision", "computes fit='pad', not 'roll_pad'"),
        ({"img_size": 100, "fit": "roll_pad"}, "huggingface", "computes fit='pad', not 'roll_pad'"),
        ({"img_size": 114}, "torchvision", "at 114×114 it ignores the patches that the input does not fill"),
        ({"img_size": 114, "patch_remainder": "drop"}, "huggingface", "at 114×114 it fills up the patches"),
        ({"img_size": (112, 224)}, "microsoft", "computes fit='square', not 'pad'"),
        ({"img_size": (112, 224)}, "openmmlab", "computes fit='square', not 'pad'"),
        ({"img_size": (112, 224)}, "huggingface", "computes fit='square', not 'pad'"),
        ({"img_size": (112, 224), "fit": "square"}, "torchvision", "computes fit='pad', not 'square'"),
    ],
)
def test_what_the_other_code_computes_otherwise_is_refused(
    settings: dict[str, Any], dialect: str, fault: str
) -> None:
    numbers = {"embed_dim": 16, "depths": (2, 1, 2), "num_heads": (1, 1, 2), "window": ((7, 7),) * 3}
    model = swinkit.create("swin_t", 5, **numbers | settings)
    with pytest.raises(ConfigError, match=fault):
        swinkit.to_dialect(model, dialect)


@pytest.mark.parametrize("dialect", ["timm", "torchvision", "huggingface", "microsoft"])
def test_where_all_rules_agree_each_is_written(dialect: str) -> None:
    numbers = {"embed_dim": 16, "depths": (2, 1, 2), "num_heads": (1, 1, 2), "img_size": 224}
    for fit in ("pad", "square", "roll_pad", "roll_pad_fixed", "clamp"):
        model = swinkit.create("swin_t", 5, fit=fit, patch_remainder="drop", **numbers)
        assert swinkit.to_dialect(model, dialect)


@pytest.mark.parametrize(("side", "refused"), [(32, True), (64, False)])
def test_video_is_refused_where_a_window_is_cut_in_space(side: int, refused: bool) -> None:
    numbers = {"embed_dim": 16, "depths": (2, 2), "num_heads": (1, 2), "window": (4, 5, 5)}
    model = swinkit.create("swin3d_t", 3, img_size=(8, side, side), **numbers)
    parity = swinkit.create("swin3d_t", 3, img_size=(8, side, side), prefix_index=True, **numbers)
    for dialect in ("torchvision", "microsoft"):
        assert swinkit.to_dialect(parity, dialect)
        if refused:
            with pytest.raises(ConfigError, match="at 8×32×32 in stage 1 it computes prefix_index=True"):
                swinkit.to_dialect(model, dialect)
        else:
            assert swinkit.to_dialect(model, dialect)


def test_a_rule_is_not_that_of_another_task(tmp_path: Path) -> None:
    path = stored(timm_swin().state_dict(), tmp_path)
    dense = swinkit.load(path, task="segment", num_classes=2, channels=16).backbone.config
    clip = swinkit.load(path, task="video", num_classes=2).backbone.config
    assert (dense.fit, dense.patch_remainder) == ("pad_shift", "pad")
    assert (clip.fit, clip.patch_remainder, clip.prefix_index) == ("clamp", "pad", False)
    assert swinkit.backbone(path).config.fit == "pad_shift"
    assert swinkit.backbone(path, norms=False).config.fit == "roll_pad"
