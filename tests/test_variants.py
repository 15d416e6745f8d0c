"""Sizes and costs of the table, counted anew and held to what is published (FACTS §1)."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

import swinkit
from swinkit.bench.detection import macs_of
from swinkit.errors import ConfigError
from swinkit.models.variants import VARIANTS, find_variant
from swinkit.tasks.detect import Detector
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from swinkit.towers.vit import ViTBackbone

# Exact counts of models built by Microsoft's code, and by Video Swin's with 400 classes.
PUBLISHED_PARAMETERS = {
    "swin_t": 28_288_354,
    "swin_s": 49_606_258,
    "swin_b": 87_768_224,
    "swin_l": 196_532_476,
    "swin_b_384": 87_903_584,
    "swin_l_384": 196_735_516,
    "swin3d_t": 28_158_070,
    "swin3d_s": 49_816_678,
    "swin3d_b": 88_048_984,
    "swin3d_l": 196_953_916,
    # ../shared/golden/counts.json, with auxiliary heads
    "upernet_swin_t": 59_941_862,
    "upernet_swin_s": 81_259_766,
    "upernet_swin_b": 121_279_716,
    "ssformer_swin_b": 87_539_790,
    "mask_rcnn_swin_t": 47_794_602,
    "mask_rcnn_swin_s": 69_112_506,
    "cascade_mask_rcnn_swin_t": 85_629_804,
    "cascade_mask_rcnn_swin_s": 106_947_708,
    "cascade_mask_rcnn_swin_b": 144_977_002,
}
# Millions of parameters and GMACs as printed in the papers, to their last digit.
PUBLISHED_TABLE = {
    "swin_t": (28.3, 4.5),
    "swin_s": (49.6, 8.7),
    "swin_b": (87.8, 15.4),
    "swin_l": (196.5, 34.5),
    "swin_b_384": (87.9, 47.1),
    "swin_l_384": (196.7, 103.9),
    "ssformer_swin_b": (87.5, 91.3),  # published 91.01, by another counter
}
# Video Swin's paper: GFLOPs (multiply-adds) of one 32 × 224² view, without decimals.
PUBLISHED_VIDEO = {"swin3d_t": 88, "swin3d_s": 166, "swin3d_b": 282, "swin3d_b_ssv2": 321}
# Millions of parameters, and GFLOPs at 800 × 1280 by mmcv's counter, which counts norms and biases, and no
# products of attention.
PUBLISHED_DETECTORS = {
    "mask_rcnn_swin_t": (48, 267),
    "mask_rcnn_swin_s": (69, 359),
    "cascade_mask_rcnn_swin_t": (86, 745),
    "cascade_mask_rcnn_swin_s": (107, 838),
    "cascade_mask_rcnn_swin_b": (145, 982),
}


def count(name: str) -> tuple[int, float]:
    """Parameters and MACs of a variant, on the meta device: nothing is computed."""
    with torch.device("meta"):
        model = swinkit.create(name)
    if isinstance(model, Detector):
        return sum(parameter.numel() for parameter in model.parameters()), macs_of(model)
    size = VARIANTS[name].input_size
    assert size
    if isinstance(model, OpenVocabulary):
        return sum(parameter.numel() for parameter in model.parameters()), macs_of_owl(model.to("meta"), size)
    model.backbone.set_attention("eager")  # the counter does not see into SDPA on every device
    with FlopCounterMode(display=False) as counter:
        logits = model(torch.empty(1, 3, *size, device="meta"))
    map_of = size if VARIANTS[name].task == "segment" else ()
    assert logits.shape == (1, VARIANTS[name].classes, *map_of)
    return sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() / 2


def macs_of_owl(model: OpenVocabulary, size: tuple[int, ...]) -> float:
    """For one query that is an embedding already."""
    if isinstance(model.backbone, ViTBackbone):
        model.backbone.vit.config._attn_implementation = "eager"
    else:
        model.backbone.set_attention("eager")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, *size, device="meta"), queries=torch.empty(1, model.dim, device="meta"))
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("name", [name for name in VARIANTS if name.startswith("owlv")])
def test_owls_are_as_large_as_published(name: str) -> None:
    """transformers' own by the released config.json, without what compares whole pictures."""
    kind = transformers.OwlViTForObjectDetection if "owlvit" in name else transformers.Owlv2ForObjectDetection
    large, patch = "_l14" in name, int(name[-2:])
    vision = {"image_size": VARIANTS[name].input_size[0], "patch_size": patch}
    text: dict[str, int] = {}
    if large:
        vision |= {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
        }
        text = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    numbers = {"vision_config": vision, "text_config": text, "projection_dim": 768 if large else 512}
    with torch.device("meta"):
        theirs = kind(kind.config_class(**numbers))
    left = sum(
        own.numel() for own in (theirs.base_model.visual_projection.weight, theirs.base_model.logit_scale)
    )
    assert sum(parameter.numel() for parameter in theirs.parameters()) - left == VARIANTS[name].params


@pytest.mark.parametrize("name", VARIANTS)
def test_counts(name: str) -> None:
    params, macs = count(name)
    assert (params, macs) == (VARIANTS[name].params, VARIANTS[name].macs)
    assert params == PUBLISHED_PARAMETERS.get(name, params)
    assert (params, macs) == VARIANTS[name].cost(VARIANTS[name].classes)
    if name in PUBLISHED_TABLE:
        assert (round(params / 1e6, 1), round(macs / 1e9, 1)) == PUBLISHED_TABLE[name]
    if name in PUBLISHED_VIDEO:
        assert macs / 1e9 == pytest.approx(PUBLISHED_VIDEO[name], rel=3e-3)
    if name in PUBLISHED_DETECTORS:
        millions, gflops = PUBLISHED_DETECTORS[name]
        assert round(params / 1e6) == millions
        assert macs / 1e9 == pytest.approx(gflops, rel=8e-3)


def test_the_cost_of_another_head() -> None:
    variant = VARIANTS["swin_pico"]
    model = swinkit.create("swin_pico", 37)
    assert variant.cost(37)[0] == sum(p.numel() for p in model.parameters())
    assert variant.cost(0)[0] == sum(p.numel() for p in model.backbone.parameters())
    assert variant.cost(37)[1] - variant.macs == 27 * 64


def test_all_published_variants_are_there() -> None:
    assert {*PUBLISHED_PARAMETERS, "swin_t_384", "swin_s_384"} <= VARIANTS.keys()
    assert {VARIANTS[name].task for name in VARIANTS if name.startswith("swin_")} == {"classify"}
    assert {VARIANTS[name].task for name in VARIANTS if "3d" in name} == {"video"}


def test_the_small_ones_are_small() -> None:
    for name in ("swin_nano", "swin_pico"):
        assert VARIANTS[name].params < 2e6
        assert VARIANTS[name].macs < 1e8


def test_settings_follow_the_papers() -> None:
    """FACTS §1 and §2: depths, heads of 32 channels, windows, fit."""
    depths = {"t": (2, 2, 6, 2), "s": (2, 2, 18, 2), "b": (2, 2, 18, 2), "l": (2, 2, 18, 2)}
    widths = {"t": 96, "s": 96, "b": 128, "l": 192}
    for name in (*PUBLISHED_PARAMETERS, "swin_t_384", "swin_s_384"):
        variant = VARIANTS[name]
        config, letter = variant.config(), name.partition("swin")[2].split("_")[1]
        assert (config.embed_dim, config.depths) == (widths[letter], depths[letter])
        assert [config.dim(i) // heads for i, heads in enumerate(config.num_heads)] == [32] * 4
        window = (8, 7, 7) if "3d" in name else (12, 12) if "384" in name else (7, 7)
        assert config.windows == (window,) * 4
        assert config.fit == {"video": "clamp", "classify": "pad"}.get(variant.task, "pad_shift")
        assert config.patch_size == ((2, 4, 4) if "3d" in name else (4, 4))


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no model 'swin-t'.*did you mean 'swin_t'"):
        find_variant("swin-t")
    with pytest.raises(ConfigError, match=r"choose from .*swin_nano.*swin models"):
        find_variant("zzz")
