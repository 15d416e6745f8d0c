"""What R-CNNs are made of beside mmdet's and mmcv's own functions."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import batched_nms, nms

from swinkit.heads.assign import CASCADE, MASK_RCNN, RPN, Assigner, sample
from swinkit.heads.boxes import LARGEST_RATIO, anchors, decode, encode, levels, paste, pool
from tests.parity.golden import Golden, load_golden

PIXELS = {"atol": 1e-2, "rtol": 0.0}
CLOSE = {"atol": 1e-4, "rtol": 0.0}


@pytest.fixture(scope="module")
def golden() -> Golden:
    return load_golden("rcnn_ops")


def test_anchors(golden: Golden) -> None:
    given = golden.meta["arguments"]
    found = anchors(
        given["featmap_sizes"], given["strides"], scale=given["scales"][0], ratios=given["ratios"]
    )
    for i, own in enumerate(found):
        torch.testing.assert_close(own, golden.outputs[f"anchors{i}"], **CLOSE)


def test_coding(golden: Golden) -> None:
    given, boxes = golden.meta["arguments"], golden.inputs["rois"][:, 1:]
    deltas = encode(boxes, golden.inputs["target_boxes"], given["stds"])
    torch.testing.assert_close(deltas, golden.outputs["encoded"], **CLOSE)
    there = decode(boxes, golden.inputs["deltas"], given["stds"], tuple(given["img_shape"]))
    torch.testing.assert_close(there, golden.outputs["decoded"], **PIXELS)
    there = decode(boxes, golden.inputs["deltas"], given["stds"], None)
    torch.testing.assert_close(there, golden.outputs["decoded_no_clip"], atol=1e-2, rtol=1e-5)
    kept = (deltas[:, 2:] * deltas.new_tensor(given["stds"][2:])).abs().amax(1) < LARGEST_RATIO
    assert kept.sum() > 20
    back = decode(boxes, deltas, given["stds"], None)[kept]
    torch.testing.assert_close(back, golden.inputs["target_boxes"][kept], **PIXELS)


def test_regions_of_a_pyramid(golden: Golden) -> None:
    maps = [golden.inputs[f"feat{i}"] for i in range(4)]
    strides = (4, 8, 16, 32)
    assert torch.equal(levels(golden.inputs["level_rois"][:, 1:], 4), golden.outputs["levels"])
    for side in (7, 14):
        found = pool(maps, golden.inputs["rois"], strides, side)
        torch.testing.assert_close(found, golden.outputs[f"roi_align{side}"], **CLOSE)


@pytest.mark.parametrize(("name", "assigner"), [("rpn", RPN), ("rcnn", MASK_RCNN), ("cascade3", CASCADE[2])])
def test_assignment(golden: Golden, name: str, assigner: Assigner) -> None:
    given = golden.meta["arguments"]["assigners"][name]
    assert given["ignore_iof_thr"] == -1
    options = (given["pos_iou_thr"], given["neg_iou_thr"], given["min_pos_iou"], given["match_low_quality"])
    assert (assigner.positive, assigner.negative, assigner.least, assigner.low_quality) == options
    assigned, overlaps = assigner(golden.inputs["candidates"], golden.inputs["gt_boxes"])
    assert torch.equal(assigned, golden.outputs[f"assign_{name}_gt"])
    torch.testing.assert_close(overlaps, golden.outputs[f"assign_{name}_iou"], **CLOSE)


def test_without_true_boxes_all_is_background() -> None:
    assigned, overlaps = RPN(torch.rand(5, 4), torch.zeros(0, 4))
    assert assigned.tolist() == [0] * 5
    assert overlaps.tolist() == [0.0] * 5
    assigned, _ = RPN(torch.zeros(0, 4), torch.rand(3, 4))
    assert assigned.shape == (0,)


def test_samples() -> None:
    torch.manual_seed(0)
    assigned = torch.tensor([1] * 30 + [0] * 50 + [-1] * 20)
    positive, negative = sample(assigned, 40, 0.5)
    assert (len(positive), len(negative)) == (20, 20)
    assert len(set(positive.tolist())) == 20
    assert (assigned[positive] > 0).all()
    assert (assigned[negative] == 0).all()
    positive, negative = sample(assigned, 1000, 0.5)
    assert (len(positive), len(negative)) == (30, 50)
    positive, negative = sample(assigned[:2], 10, 0.1)
    assert (len(positive), len(negative)) == (1, 0)


def test_torchvisions_suppression_is_theirs(golden: Golden) -> None:
    boxes, scores = golden.inputs["nms_boxes"], golden.inputs["nms_scores"]
    assert torch.equal(nms(boxes, scores, 0.5), golden.outputs["nms_keep"])
    kept = batched_nms(boxes, scores, golden.inputs["nms_groups"], 0.5)
    assert torch.equal(kept, golden.outputs["batched_keep"])


def test_masks_into_a_picture(golden: Golden) -> None:
    """As on a GPU; the CPU path of the reference differs for boxes without width alone."""
    size = tuple(golden.meta["arguments"]["paste_shape"])
    found = paste(golden.inputs["paste_masks"], golden.inputs["paste_boxes"], size)
    torch.testing.assert_close(found, golden.outputs["paste_gpu"], **CLOSE)
