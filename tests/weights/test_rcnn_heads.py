"""The heads of torchvision's Mask R-CNN as ours: on the same features they say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor

import swinkit
from swinkit.data.names import class_names
from swinkit.errors import ConfigError, WeightsError
from swinkit.tasks.detect import Detector

TINY: dict[str, Any] = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4), "window": 4}


def peer(classes: int) -> MaskRCNN:
    torch.manual_seed(0)
    body = _resnet_fpn_extractor(resnet18(weights=None), 5)
    anchors = AnchorGenerator(tuple((side,) for side in (32, 64, 128, 256, 512)), ((0.5, 1.0, 2.0),) * 5)
    model = MaskRCNN(body, classes + 1, rpn_anchor_generator=anchors).eval()
    for name, parameter in model.named_parameters():
        if not name.startswith("backbone.body"):
            nn.init.normal_(parameter, std=0.02)
    return model


@pytest.fixture(scope="module")
def theirs() -> MaskRCNN:
    return peer(5)


@pytest.fixture(scope="module")
def file(theirs: MaskRCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("heads") / "maskrcnn.pth"
    torch.save(theirs.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("heads") / "swin.safetensors"
    return swinkit.save(swinkit.create("swin_t", 3, **TINY, img_size=64), path)


def test_heads_say_the_same(theirs: MaskRCNN, file: Path, base: Path) -> None:
    model = swinkit.load(base, task="detect", num_classes=5, heads=file)
    assert isinstance(model, Detector)
    report = model.load_report
    assert report is not None
    started = {name.rpartition(".")[0] for name in report.initialised if not name.startswith("backbone")}
    assert started == {f"neck.lateral_convs.{i}.conv" for i in range(4)}  # those of its ResNet's widths
    assert sum(name.startswith("neck.lateral") for name in report.dropped) == 8
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(1, 256, 2 ** (6 - i), 2 ** (6 - i), generator=generator) for i in range(5)]
    regions = torch.randn(7, 256, 7, 7, generator=generator)
    with torch.inference_mode():
        scores, changes = theirs.rpn.head(maps)
        raw = model.rpn_head(maps)
        for i in range(5):
            torch.testing.assert_close(raw.scores[i], scores[i])
            torch.testing.assert_close(raw.changes[i], changes[i])
        given = theirs.roi_heads.box_predictor(theirs.roi_heads.box_head(regions))
        own, moves = model.roi_head.box_heads[0](regions)
        torch.testing.assert_close(own, background_last(given[0], 1))
        torch.testing.assert_close(moves, given[1][:, 4:])
        wide = torch.randn(3, 256, 14, 14, generator=generator)
        masks = theirs.roi_heads.mask_predictor(theirs.roi_heads.mask_head(wide))
        torch.testing.assert_close(model.roi_head.mask_heads[0](wide), masks[:, 1:])


def background_last(x: Tensor, dim: int) -> Tensor:
    return x.roll(-1, dim)


def test_cocos_ids_become_its_80_classes(base: Path, tmp_path: Path) -> None:
    theirs = peer(90)
    torch.save(theirs.state_dict(), tmp_path / "coco.pth")
    model = swinkit.load(base, task="detect", classes="coco", heads=tmp_path / "coco.pth")
    assert isinstance(model, Detector)
    weight = theirs.roi_heads.box_predictor.cls_score.weight
    ours = model.roi_head.box_heads[0].fc_cls.weight
    assert isinstance(ours, Tensor)
    names = class_names("coco")
    for name, number in (("person", 1), ("stop sign", 13), ("toothbrush", 90)):
        assert torch.equal(ours[names.index(name)], weight[number])
    assert torch.equal(ours[80], weight[0])


def test_what_does_not_fit_is_told(file: Path, base: Path, tmp_path: Path) -> None:
    other = swinkit.load(base, task="detect", num_classes=2, head="faster_rcnn", heads=file)
    report = other.load_report
    assert report is not None
    started = {name.split(".")[2] for name in report.initialised if name.startswith("roi_head")}
    assert started == {"fc_cls", "fc_reg"}
    assert any(name.startswith("roi_head.mask_head") for name in report.dropped)
    with pytest.raises(WeightsError, match="holds no heads of torchvision's Mask R-CNN that fit"):
        swinkit.load(base, task="detect", num_classes=2, channels=8, width=8, heads=file)
    with pytest.raises(WeightsError, match="holds no heads"):
        swinkit.load(base, task="detect", num_classes=2, heads=base)
    microsoft = swinkit.to_dialect(swinkit.load(base, task="detect", num_classes=2, window=4), "microsoft")
    torch.save(microsoft, tmp_path / "microsoft.pth")
    with pytest.raises(WeightsError, match="holds no heads of torchvision's"):
        swinkit.load(base, task="detect", num_classes=2, heads=tmp_path / "microsoft.pth")
    with pytest.raises(ConfigError, match="`heads` is for detectors, and this model is for classify"):
        swinkit.load(base, heads=file)
    with pytest.raises(WeightsError, match="no weights file"):
        swinkit.load(base, task="detect", num_classes=2, heads=tmp_path / "gone.pth")
