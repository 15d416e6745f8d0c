"""Heads beside transformers' UperNet, with its weights."""

import re

import pytest
import torch
from transformers import SwinConfig, UperNetConfig, UperNetForSemanticSegmentation

from swinkit.features import FeatureSpec
from swinkit.heads.plain import FCNHead
from swinkit.heads.pyramid import UPerHead

CHANNELS = (16, 32, 64, 128)


@pytest.fixture(scope="module")
def theirs() -> UperNetForSemanticSegmentation:
    torch.manual_seed(0)
    swin = SwinConfig(
        image_size=64,
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 4, 4],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = UperNetConfig(
        backbone_config=swin, hidden_size=24, auxiliary_channels=12, auxiliary_in_channels=64, num_labels=5
    )
    model = UperNetForSemanticSegmentation(config).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model


def spelled(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        re.sub(r"\bclassifier\.", "conv_seg.", k.replace(".batch_norm.", ".bn.")): v for k, v in state.items()
    }


@pytest.mark.parametrize("size", [(16, 16), (25, 33)])
def test_heads(theirs: UperNetForSemanticSegmentation, size: tuple[int, int]) -> None:
    features = [FeatureSpec(count, 4 * 2**i) for i, count in enumerate(CHANNELS)]
    maps = [
        torch.randn(
            2, count, *(-(-side // 2**i) for side in size), generator=torch.Generator().manual_seed(i)
        )
        for i, count in enumerate(CHANNELS)
    ]
    main = UPerHead(features, 5, channels=24).eval()
    auxiliary = FCNHead(features, 5, channels=12, index=2).eval()
    with torch.inference_mode():
        for ours, other in ((main, theirs.decode_head), (auxiliary, theirs.auxiliary_head)):
            ours.load_state_dict(spelled(other.state_dict()))
            torch.testing.assert_close(ours(maps), other(maps), atol=1e-5, rtol=0)
