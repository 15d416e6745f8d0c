"""Mask R-CNN and Cascade Mask R-CNN, stage by stage, beside mmdet's, from its own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import swinkit
from swinkit.core.backbone import SwinBackbone
from swinkit.heads.assign import CASCADE, MASK_RCNN, RPN, Sampling
from swinkit.heads.boxes import decode, paste, pool
from swinkit.heads.fpn import FPN
from swinkit.heads.rcnn import BoxHead, MaskHead, likeliest, refine, select, with_numbers
from swinkit.heads.rcnn_losses import box_losses, draw_regions, mask_loss, rpn_losses
from swinkit.heads.rpn import Raw, RPNHead
from tests.parity.golden import Golden, load_golden

CLOSE = {"atol": 1e-4, "rtol": 0.0}
PIXELS = {"atol": 1e-2, "rtol": 0.0}


def below(prefix: str, golden: Golden) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in golden.state.items() if k.startswith(prefix)}


class Parts:
    def __init__(self, golden: Golden, folder: Path) -> None:
        path = folder / "reference.pth"
        torch.save({"state_dict": golden.state}, path)
        self.golden = golden
        self.backbone: SwinBackbone = swinkit.backbone(path)
        self.neck = FPN(self.backbone.features, 12).eval()
        self.neck.load_state_dict(below("neck.", golden))
        self.rpn = RPNHead(self.neck.features).eval()
        self.rpn.load_state_dict(below("rpn_head.", golden))
        self.padded = [tuple(meta["pad_shape"][:2]) for meta in golden.meta["img_metas"]]
        self.sizes = [tuple(meta["img_shape"][:2]) for meta in golden.meta["img_metas"]]

    def levels(self) -> list[Tensor]:
        return self.neck(self.backbone(self.golden.inputs["image"]))


@pytest.fixture(scope="module", params=["mask_rcnn", "cascade_mask_rcnn"])
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(load_golden(request.param), tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(load_golden("mask_rcnn"), tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(load_golden("cascade_mask_rcnn"), tmp_path_factory.mktemp("detector"))


def test_pyramid(each: Parts) -> None:
    parts = each
    with torch.inference_mode():
        for i, level in enumerate(parts.levels()):
            torch.testing.assert_close(level[:1], parts.golden.outputs[f"fpn{i}"], **CLOSE)
    assert [spec.stride for spec in parts.neck.features] == [4, 8, 16, 32, 64]


def test_proposals(each: Parts) -> None:
    parts = each
    given: dict[str, Any] = parts.golden.meta["model_config"]["test_cfg"]["rpn"]
    with torch.inference_mode():
        raw: Raw = parts.rpn(parts.levels())
        for i in range(5):
            torch.testing.assert_close(raw.scores[i][:1], parts.golden.outputs[f"rpn_cls{i}"], **CLOSE)
            torch.testing.assert_close(raw.changes[i][:1], parts.golden.outputs[f"rpn_reg{i}"], **CLOSE)
        for i in (3, 4):
            torch.testing.assert_close(
                parts.rpn.anchors(raw)[i], parts.golden.outputs[f"anchors{i}"], **CLOSE
            )
        overlap = given["nms"]["iou_threshold"]
        found = parts.rpn.proposals(
            raw, parts.sizes, before=given["nms_pre"], keep=given["max_per_img"], overlap=overlap
        )
    for i, own in enumerate(found):
        expected = parts.golden.outputs[f"proposals_{i}"]
        assert own.shape == expected.shape
        torch.testing.assert_close(own[:, :4], expected[:, :4], **PIXELS)
        torch.testing.assert_close(own[:, 4], expected[:, 4], **CLOSE)


def test_heads_and_detections(parts: Parts) -> None:
    """Scores and changes of every region, the chosen boxes in both sizes, masks soft and hard."""
    golden, given = parts.golden, parts.golden.meta["model_config"]
    head, rcnn = given["roi_head"], given["test_cfg"]["rcnn"]
    classes, stds = head["bbox_head"]["num_classes"], head["bbox_head"]["bbox_coder"]["target_stds"]
    boxes_of = BoxHead(12, classes, width=head["bbox_head"]["fc_out_channels"]).eval()
    boxes_of.load_state_dict(below("roi_head.bbox_head.", golden))
    masks_of = MaskHead(12, classes).eval()
    masks_of.load_state_dict(below("roi_head.mask_head.", golden))
    strides = [spec.stride for spec in parts.neck.features[:4]]
    limits = {
        "threshold": rcnn["score_thr"],
        "overlap": rcnn["nms"]["iou_threshold"],
        "keep": rcnn["max_per_img"],
    }
    with torch.inference_mode():
        maps = parts.levels()[:4]
        proposals = [golden.outputs[f"proposals_{i}"] for i in range(2)]
        regions = with_numbers(proposals)
        torch.testing.assert_close(regions, golden.outputs["rois"], **PIXELS)
        features = pool(maps, regions, strides, 7)
        torch.testing.assert_close(features[::5], golden.outputs["roi_feats"], **CLOSE)
        scores, changes = boxes_of(features)
        torch.testing.assert_close(scores, golden.outputs["cls_score"], **CLOSE)
        torch.testing.assert_close(changes, golden.outputs["bbox_pred"], **CLOSE)
        chosen = []
        for i, meta in enumerate(golden.meta["img_metas"]):
            own = regions[:, 0] == i
            decoded = decode(regions[own, 1:], changes[own], stds, parts.sizes[i])
            for kind, scale in (("", None), ("_rescaled", meta["scale_factor"])):
                sized = (
                    decoded
                    if scale is None
                    else (decoded.unflatten(1, (-1, 4)) / torch.tensor(scale)).flatten(1)
                )
                found, sure, labels = select(sized, scores[own].softmax(-1), **limits)
                expected = golden.outputs[f"dets{kind}_{i}"]
                torch.testing.assert_close(found, expected[:, :4], **PIXELS)
                torch.testing.assert_close(sure, expected[:, 4], **CLOSE)
                assert torch.equal(labels, golden.outputs[f"labels{kind}_{i}"])
            chosen.append(
                (found * torch.tensor(meta["scale_factor"]), labels, found, tuple(meta["ori_shape"][:2]))
            )
        on_maps = with_numbers([boxes for boxes, *_ in chosen])
        torch.testing.assert_close(on_maps, golden.outputs["mask_rois"], **PIXELS)
        logits = masks_of(pool(maps, on_maps, strides, 14))
        torch.testing.assert_close(logits[::2], golden.outputs["mask_logits"], **CLOSE)
        start = 0
        for i, (_, labels, found, size) in enumerate(chosen):
            own = logits[start : start + len(labels)].sigmoid()
            start += len(labels)
            masks = paste(own[torch.arange(len(labels)), labels][:, None], found, size) >= 0.5
            expected = golden.outputs[f"masks_rescaled_{i}"].bool()
            both, either = (masks & expected).sum((1, 2)), (masks | expected).sum((1, 2))
            assert (both / either.clamp_min(1)).min() >= 0.999 or torch.equal(masks, expected)


def test_cascade(cascade: Parts) -> None:
    """Three stages, each from the boxes of the one before; the mean of their logits, and of their masks."""
    golden, given = cascade.golden, cascade.golden.meta["model_config"]
    head, rcnn = given["roi_head"], given["test_cfg"]["rcnn"]
    strides = [spec.stride for spec in cascade.neck.features[:4]]
    classes = head["mask_head"]["num_classes"]
    limits = {
        "threshold": rcnn["score_thr"],
        "overlap": rcnn["nms"]["iou_threshold"],
        "keep": rcnn["max_per_img"],
    }
    with torch.inference_mode():
        maps = cascade.levels()[:4]
        regions = with_numbers([golden.outputs[f"proposals_{i}"] for i in range(2)])
        total: Tensor | None = None
        for stage, own in enumerate(head["bbox_head"]):
            boxes_of = BoxHead(12, classes, convs=4, layers=1, width=own["fc_out_channels"]).eval()
            boxes_of.load_state_dict(below(f"roi_head.bbox_head.{stage}.", golden))
            stds = own["bbox_coder"]["target_stds"]
            torch.testing.assert_close(regions, golden.outputs[f"stage{stage}_rois"], **PIXELS)
            scores, changes = boxes_of(pool(maps, regions, strides, 7))
            torch.testing.assert_close(scores, golden.outputs[f"stage{stage}_cls_score"], **CLOSE)
            torch.testing.assert_close(changes, golden.outputs[f"stage{stage}_bbox_pred"], **CLOSE)
            total = scores if total is None else total + scores
            if stage < 2:
                regions = refine(regions, likeliest(scores), changes, stds, cascade.sizes)
        assert total is not None
        chosen = []
        for i, meta in enumerate(golden.meta["img_metas"]):
            mine = regions[:, 0] == i
            decoded = decode(regions[mine, 1:], changes[mine], stds, cascade.sizes[i])
            scale = torch.tensor(meta["scale_factor"])
            sized = (decoded.unflatten(1, (-1, 4)) / scale).flatten(1)
            found, sure, labels = select(sized, (total[mine] / 3).softmax(-1), **limits)
            expected = golden.outputs[f"dets_rescaled_{i}"]
            torch.testing.assert_close(found, expected[:, :4], **PIXELS)
            torch.testing.assert_close(sure, expected[:, 4], **CLOSE)
            assert torch.equal(labels, golden.outputs[f"labels_rescaled_{i}"])
            chosen.append((found * scale, labels, found, tuple(meta["ori_shape"][:2])))
        on_maps = with_numbers([boxes for boxes, *_ in chosen])
        torch.testing.assert_close(on_maps, golden.outputs["mask_rois"], **PIXELS)
        features = pool(maps, on_maps, strides, 14)
        soft = []
        for stage in range(3):
            masks_of = MaskHead(12, classes).eval()
            masks_of.load_state_dict(below(f"roi_head.mask_head.{stage}.", golden))
            logits = masks_of(features)
            torch.testing.assert_close(logits[::4], golden.outputs[f"mask_logits_stage{stage}"], **CLOSE)
            soft.append(logits.sigmoid())
        mean, start = torch.stack(soft).mean(0), 0
        for i, (_, labels, found, size) in enumerate(chosen):
            own = mean[start : start + len(labels)][torch.arange(len(labels)), labels][:, None]
            start += len(labels)
            masks = paste(own, found, size) >= 0.5
            expected = golden.outputs[f"masks_rescaled_{i}"].bool()
            both, either = (masks & expected).sum((1, 2)), (masks | expected).sum((1, 2))
            assert (both / either.clamp_min(1)).min() >= 0.999 or torch.equal(masks, expected)


def truth_of(golden: Golden) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    return tuple(  # type: ignore[return-value]
        [golden.inputs[f"gt_{kind}_{i}"] for i in range(2)] for kind in ("boxes", "labels", "masks")
    )


def test_losses_and_gradients(tmp_path: Path) -> None:
    """Mask R-CNN's, where nothing is drawn at random: each loss, and the gradients of their sum."""
    parts = Parts(load_golden("mask_rcnn"), tmp_path)
    golden, given = parts.golden, parts.golden.meta["model_config"]
    head, settings = given["roi_head"], given["train_cfg"]["rpn_proposal"]
    classes, stds = head["bbox_head"]["num_classes"], head["bbox_head"]["bbox_coder"]["target_stds"]
    boxes_of = BoxHead(12, classes, width=head["bbox_head"]["fc_out_channels"])
    boxes_of.load_state_dict(below("roi_head.bbox_head.", golden))
    masks_of = MaskHead(12, classes)
    masks_of.load_state_dict(below("roi_head.mask_head.", golden))
    truth, labels, masks = truth_of(golden)
    every = {name: Sampling(assigner, 10**6, 0.5) for name, assigner in (("rpn", RPN), ("rcnn", MASK_RCNN))}
    strides = [spec.stride for spec in parts.neck.features[:4]]
    levels = parts.neck(parts.backbone(golden.inputs["image"]))
    raw = parts.rpn(levels)
    losses = dict(zip(
        ("loss_rpn_cls", "loss_rpn_bbox"),
        rpn_losses(
            raw, torch.cat(parts.rpn.anchors(raw)), truth, parts.sizes,
            padded=parts.padded, sampling=every["rpn"],
        ),
        strict=True,
    ))  # fmt: skip
    with torch.no_grad():
        proposals = parts.rpn.proposals(
            raw, parts.sizes, before=settings["nms_pre"], keep=settings["max_per_img"]
        )
        own = [boxes[:, :4] for boxes in proposals]
    drawn = draw_regions(own, truth, labels, classes=classes, sampling=every["rcnn"])
    scores, changes = boxes_of(pool(levels[:4], drawn.regions, strides, 7))
    losses["loss_cls"], losses["loss_bbox"] = box_losses(scores, changes, drawn, stds)
    logits = masks_of(pool(levels[:4], drawn.regions[drawn.positive], strides, 14))
    losses["loss_mask"] = mask_loss(logits, drawn, masks)
    for name, value in losses.items():
        torch.testing.assert_close(value, golden.outputs[f"loss/{name}"].reshape(()), **CLOSE)
    total = torch.stack(list(losses.values())).sum()
    torch.testing.assert_close(total, golden.outputs["loss/loss"].reshape(()), **CLOSE)
    total.backward()
    modules = {
        "neck.": parts.neck,
        "rpn_head.": parts.rpn,
        "roi_head.bbox_head.": boxes_of,
        "roi_head.mask_head.": masks_of,
    }
    checked = 0
    for key, expected in golden.gradients().items():
        prefix = next((prefix for prefix in modules if key.startswith(prefix)), None)
        module, name = (parts.backbone, key.removeprefix("backbone.")) if prefix is None else (
            modules[prefix], key.removeprefix(prefix)
        )  # fmt: skip
        gradient = module.get_parameter(name).grad
        torch.testing.assert_close(
            gradient, expected, atol=1e-4 * max(1.0, expected.abs().max().item()), rtol=0
        )
        checked += 1
    assert checked >= 10


def test_losses_of_a_cascade(tmp_path: Path) -> None:
    """Each stage learns from the boxes of the one before, true ones left out; later ones weigh less."""
    parts = Parts(load_golden("cascade_mask_rcnn"), tmp_path)
    golden, given = parts.golden, parts.golden.meta["model_config"]
    head, settings = given["roi_head"], given["train_cfg"]["rpn_proposal"]
    classes = head["mask_head"]["num_classes"]
    truth, labels, masks = truth_of(golden)
    strides = [spec.stride for spec in parts.neck.features[:4]]
    levels = parts.neck(parts.backbone(golden.inputs["image"]))
    raw = parts.rpn(levels)
    losses: dict[str, Tensor] = {}
    losses["loss_rpn_cls"], losses["loss_rpn_bbox"] = rpn_losses(
        raw, torch.cat(parts.rpn.anchors(raw)), truth, parts.sizes,
        padded=parts.padded, sampling=Sampling(RPN, 10**6, 0.5), border=0, beta=1 / 9,
    )  # fmt: skip
    with torch.no_grad():
        proposals = parts.rpn.proposals(
            raw, parts.sizes, before=settings["nms_pre"], keep=settings["max_per_img"]
        )
    own = [boxes[:, :4] for boxes in proposals]
    for stage, weight in enumerate(head["stage_loss_weights"]):
        options = head["bbox_head"][stage]
        boxes_of = BoxHead(12, classes, convs=4, layers=1, width=options["fc_out_channels"])
        boxes_of.load_state_dict(below(f"roi_head.bbox_head.{stage}.", golden))
        masks_of = MaskHead(12, classes)
        masks_of.load_state_dict(below(f"roi_head.mask_head.{stage}.", golden))
        stds = options["bbox_coder"]["target_stds"]
        sampling = Sampling(CASCADE[stage], 10**6, 0.5)
        drawn = draw_regions(own, truth, labels, classes=classes, sampling=sampling)
        scores, changes = boxes_of(pool(levels[:4], drawn.regions, strides, 7))
        score, change = box_losses(scores, changes, drawn, stds, giou=True)
        mask = mask_loss(masks_of(pool(levels[:4], drawn.regions[drawn.positive], strides, 14)), drawn, masks)
        for name, value in (("cls", score), ("bbox", change), ("mask", mask)):
            losses[f"s{stage}.loss_{name}"] = weight * value
        with torch.no_grad():
            moved = refine(drawn.regions, likeliest(scores, drawn.labels), changes, stds, parts.sizes)
            own = [moved[(moved[:, 0] == i) & ~drawn.given, 1:] for i in range(2)]
    for name, value in losses.items():
        torch.testing.assert_close(value, golden.outputs[f"loss/{name}"].reshape(()), **CLOSE)
    total = torch.stack(list(losses.values())).sum()
    torch.testing.assert_close(total, golden.outputs["loss/loss"].reshape(()), **CLOSE)
