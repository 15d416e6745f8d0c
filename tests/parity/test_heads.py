"""Dense heads beside the reference codes' own outputs and gradients."""

from typing import Any

import pytest
import torch

from swinkit.features import FeatureSpec
from swinkit.heads.context import ASPPHead, DMHead, PSAHead, spread
from swinkit.heads.dense import DenseHead
from swinkit.heads.plain import FCNHead, SETRHead, SSformerHead
from swinkit.heads.pyramid import PSPHead, UPerHead
from tests.parity.golden import Golden, load_golden

CLOSE = {"atol": 2e-5, "rtol": 0.0}
HEADS: dict[str, tuple[type[DenseHead], dict[str, str]]] = {
    "fcn": (FCNHead, {"num_convs": "convs", "concat_input": "concat"}),
    "psp": (PSPHead, {"pool_scales": "scales"}),
    "uper": (UPerHead, {"pool_scales": "scales"}),
    "deeplabv3plus": (ASPPHead, {"c1_channels": "fine_channels", "dilations": "dilations"}),
    "dm": (DMHead, {"filter_sizes": "sizes"}),
    "psa": (PSAHead, {"mask_size": "window", "shrink_factor": "shrink"}),
    "setr_pup": (SETRHead, {"num_convs": "convs"}),
    "segformer": (SSformerHead, {}),
}


def build(name: str, golden: Golden) -> DenseHead:
    """The head with the reference's weights."""
    kind, options = HEADS[name]
    given: dict[str, Any] = golden.meta["constructor"]
    maps = [golden.inputs[f"set0/feature{i}"] for i in range(4) if f"set0/feature{i}" in golden.inputs]
    features = [FeatureSpec(x.shape[1], 4 * 2**i) for i, x in enumerate(maps)]
    values = {ours: given[theirs] for theirs, ours in options.items()}
    head = kind(features, given["num_classes"], channels=given["channels"], **values)
    head.load_state_dict(golden.state)
    return head.eval()


@pytest.mark.parametrize("name", HEADS)
def test_logits_and_gradients(name: str) -> None:
    golden = load_golden(f"head_{name}")
    head = build(name, golden)
    logits = {}
    for key, expected in golden.outputs.items():
        if key.endswith("/logits"):
            given = key.removesuffix("logits") + "feature"
            maps = [x for place, x in sorted(golden.inputs.items()) if place.startswith(given)]
            logits[key] = head(maps)
            torch.testing.assert_close(logits[key], expected, **CLOSE)
    assert "set0/logits" in logits
    (logits["set0/logits"] * golden.inputs["cotangent"]).sum().backward()
    gradients = golden.gradients()
    assert gradients
    for key, expected in gradients.items():
        atol = 2e-5 * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(head.get_parameter(key).grad, expected, atol=atol, rtol=0.0)


RESNET, VIT = (256, 512, 1024, 2048), (1024, 1024, 1024, 1024)
# (head, its options, channels of the backbone's maps, parameters of the decode heads in counts.json)
PUBLISHED: list[tuple[type[DenseHead], dict[str, Any], tuple[int, ...], int]] = [
    (UPerHead, {}, (96, 192, 384, 768), 31_497_366),
    (UPerHead, {}, (128, 256, 512, 1024), 33_315_990),
    (SSformerHead, {}, (128, 256, 512, 1024), 794_774),
    (FCNHead, {"channels": 512, "convs": 2, "concat": True}, RESNET, 23_672_982),
    (ASPPHead, {}, RESNET, 17_765_126),
    (DMHead, {}, RESNET, 27_351_190),
    (PSPHead, {}, RESNET, 23_150_742),
    (PSAHead, {"window": (66, 66)}, RESNET, 28_139_670),
    (SETRHead, {}, VIT, 4_171_414),
    (FCNHead, {"index": 2}, (96, 192, 384, 768), 923_798),
    (FCNHead, {"index": 2}, RESNET, 2_398_358),
]


@pytest.mark.parametrize(("kind", "options", "channels", "parameters"), PUBLISHED)
def test_published_sizes(
    kind: type[DenseHead], options: dict[str, Any], channels: tuple[int, ...], parameters: int
) -> None:
    features = [FeatureSpec(count, 4 * 2**i) for i, count in enumerate(channels)]
    with torch.device("meta"):
        head = kind(features, 150, **options)
    assert sum(p.numel() for p in head.parameters()) == parameters


def test_weights_of_a_window_over_the_map() -> None:
    golden = load_golden("head_psa")
    collect = spread(golden.inputs["psamask"], (11, 11))
    for name, ours in (("collect", collect), ("distribute", collect.mT)):
        expected = golden.outputs[f"psamask_{name}"]
        assert torch.equal(ours, expected.flatten(2))


@pytest.mark.parametrize("name", HEADS)
def test_a_head_learns(name: str) -> None:
    """In training, dropout and batch statistics included, every parameter has a gradient."""
    golden = load_golden(f"head_{name}")
    head = build(name, golden).train()
    maps = [x.repeat(2, 1, 1, 1) for place, x in sorted(golden.inputs.items()) if place.startswith("set0/")]
    head(maps).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
