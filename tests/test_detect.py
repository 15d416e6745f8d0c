"""Detectors: the references' own files whole, files of other kinds, views, limits, what training takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import swinkit
from swinkit.data.batch import Batch, Objects
from swinkit.errors import ConfigError, WeightsError
from swinkit.heads.assign import MASK_RCNN, Sampling
from swinkit.heads.rcnn_losses import rpn_losses
from swinkit.heads.roi import SYSTEMS, Stage
from swinkit.models.convert import convert_file
from swinkit.results import Detections
from swinkit.rle import mask_of
from swinkit.tasks.detect import Detector
from tests.parity.golden import Golden, load_golden

CLOSE = {"atol": 1e-4, "rtol": 0.0}
PIXELS = {"atol": 1e-2, "rtol": 0.0}
TINY: dict[str, Any] = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4), "window": 4}


def tiny(head: str = "mask_rcnn", classes: int = 3, **settings: Any) -> Detector:
    torch.manual_seed(0)
    given = {**TINY, "channels": 8, "width": 16, "img_size": 64, **settings}
    model = swinkit.create("swin_t", classes, task="detect", head=head, **given)
    assert isinstance(model, Detector)
    return model


def written(golden: Golden, path: Path, **meta: Any) -> Path:
    torch.save({"state_dict": golden.state, "meta": meta}, path)
    return path


class Reference:
    """A reference's file as a model, with its limits, and what it was given."""

    def __init__(self, name: str, folder: Path) -> None:
        self.golden = load_golden(name)
        count = self.golden.state[
            next(key for key in self.golden.state if key.endswith("fc_cls.weight"))
        ].shape[0] - 1  # fmt: skip
        self.classes = tuple(f"class {i}" for i in range(count))
        self.path = written(self.golden, folder / "reference.pth", CLASSES=self.classes)
        model = swinkit.load(self.path)
        assert isinstance(model, Detector)
        self.model = model
        given = self.golden.meta["model_config"]["test_cfg"]
        model.set_test_limits(
            nms_pre=given["rpn"]["nms_pre"],
            proposals=given["rpn"]["max_per_img"],
            score_threshold=given["rcnn"]["score_thr"],
            nms_threshold=given["rcnn"]["nms"]["iou_threshold"],
            detections=given["rcnn"]["max_per_img"],
        )
        metas = self.golden.meta["img_metas"]
        self.sizes = [tuple(meta["img_shape"][:2]) for meta in metas]
        self.originals = [tuple(meta["ori_shape"][:2]) for meta in metas]


@pytest.fixture(scope="module", params=["mask_rcnn", "cascade_mask_rcnn"])
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return Reference(request.param, tmp_path_factory.mktemp("reference"))


# --- the references' own files ------------------------------------------------------------------------


def test_reference_files_answer_as_they_did(reference: Reference) -> None:
    """The same lists of detections, soft masks in the batch, boxes and masks in the original picture."""
    model, golden = reference.model, reference.golden
    assert model.classes == reference.classes
    report = model.load_report
    assert report is not None
    assert report.initialised == report.missing == report.unexpected == ()
    with torch.inference_mode():
        found = model(golden.inputs["image"], reference.sizes)
    results = model.postprocess(found, reference.originals)
    for i, (own, result) in enumerate(zip(found, results, strict=True)):
        expected = golden.outputs[f"dets_{i}"]
        torch.testing.assert_close(own["boxes"], expected[:, :4], **PIXELS)
        torch.testing.assert_close(own["scores"], expected[:, 4], **CLOSE)
        assert torch.equal(own["labels"], golden.outputs[f"labels_{i}"])
        soft = golden.outputs[f"soft_masks_{i}"]
        height, width = reference.sizes[i]
        torch.testing.assert_close(own["masks"][: len(soft), 0, :height, :width], soft, **CLOSE)
        assert own["masks"].shape == (len(expected), 1, *golden.inputs["image"].shape[2:])
        assert own["roi_masks"].shape == (len(expected), 28, 28)
        assert isinstance(result, Detections)
        again = golden.outputs[f"dets_rescaled_{i}"]
        torch.testing.assert_close(torch.from_numpy(result.boxes), again[:, :4], **PIXELS)
        assert result.masks is not None
        hard = golden.outputs[f"masks_rescaled_{i}"].bool().numpy()
        both, either = (result.masks & hard).sum((1, 2)), (result.masks | hard).sum((1, 2))
        assert ((both / np.maximum(either, 1) >= 0.999) | (either == 0)).all()
        assert result.size == reference.originals[i]


def test_reference_files_and_back(reference: Reference) -> None:
    """Every tensor under the names that it had."""
    theirs = swinkit.to_dialect(reference.model, "microsoft")
    for key, tensor in reference.golden.state.items():
        if not key.endswith(("num_batches_tracked", "attn_mask")):
            assert torch.equal(theirs[key].view_as(tensor), tensor), key
    assert {key for key in theirs if "relative_position_index" not in key} <= set(reference.golden.state)
    convert_file(reference.path, reference.path.with_name("theirs.pth"), to="microsoft")
    again = swinkit.load(reference.path.with_name("theirs.pth"))
    assert again.labels == reference.model.labels
    with pytest.raises(ConfigError, match=r"transformers' spelling .* not (cascade_)?mask_rcnn"):
        swinkit.to_dialect(reference.model, "huggingface")


def test_reference_losses(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum over all losses as the reference's, where nothing is drawn at random."""
    model, golden = reference.model, reference.golden
    settings = golden.meta["model_config"]["train_cfg"]
    monkeypatch.setattr("swinkit.heads.rcnn_losses.sample", everything)
    stages = tuple(
        Stage(Sampling(stage.sampling.assigner, 10**6, 0.5), stage.stds, stage.weight)
        for stage in model.system.stages
    )
    monkeypatch.setattr(model.roi_head, "system", SYSTEMS[model.head_name].__class__(
        stages, *list(vars(model.system).values())[1:]
    ))  # fmt: skip
    proposals = model.rpn_head.proposals
    limits = {"before": settings["rpn_proposal"]["nms_pre"], "keep": settings["rpn_proposal"]["max_per_img"]}
    monkeypatch.setattr(model.rpn_head, "proposals", lambda raw, sizes, **_: proposals(raw, sizes, **limits))
    truth = tuple(
        Objects(*(golden.inputs[f"gt_{kind}_{i}"] for kind in ("boxes", "labels", "masks"))) for i in range(2)
    )
    model.train()
    batch = Batch(golden.inputs["image"], truth, (), (), valid=(tuple(reference.sizes),))
    padded = [tuple(meta["pad_shape"][:2]) for meta in golden.meta["img_metas"]]
    losses = model.learn(batch.images, reference.sizes, truth, padded)
    model.eval()
    total = torch.stack(list(losses.values())).sum()
    torch.testing.assert_close(total, golden.outputs["loss/loss"].reshape(()), **CLOSE)
    assert model.loss(batch, []) == {}


def everything(assigned: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    return (assigned > 0).nonzero()[:, 0], (assigned == 0).nonzero()[:, 0]


# --- files of other kinds -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["microsoft", "openmmlab"])
@pytest.mark.parametrize("head", list(SYSTEMS))
def test_other_spellings_and_back(head: str, dialect: str, tmp_path: Path) -> None:
    """Written as others do and read again: the same kind of model, the same answers."""
    model = tiny(head).eval()
    torch.save(swinkit.to_dialect(model, dialect), tmp_path / "theirs.pth")
    again = swinkit.load(tmp_path / "theirs.pth")
    assert isinstance(again, Detector)
    assert again.settings() == model.settings()
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (one,), (other,) = model(x), again(x)
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name])


def test_a_classifier_becomes_a_detector(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = swinkit.save(swinkit.create("swin_t", 7, **TINY, img_size=64), tmp_path / "c.safetensors")
    model = swinkit.load(path, task="detect", classes=["a", "b"], head="cascade_rcnn", channels=8, width=16)
    assert isinstance(model, Detector)
    assert model.backbone.config.fit == "pad_shift"
    report = model.load_report
    assert report is not None
    assert {name.split(".")[0] for name in report.initialised} == {"backbone", "neck", "rpn_head", "roi_head"}
    assert all("norm" in name for name in report.initialised if name.startswith("backbone"))
    assert model.preprocessing.dense is not None
    assert (model.preprocessing.dense.short, model.preprocessing.dense.long) == (800, 1333)


def test_other_classes_kinds_and_sizes(tmp_path: Path) -> None:
    path = swinkit.save(tiny(), tmp_path / "m.safetensors")

    def started(**settings: Any) -> set[str]:
        report = swinkit.load(path, **settings).load_report
        assert report is not None
        assert not report.missing
        return {".".join(name.split(".")[:-1]) for name in report.initialised}

    assert started(num_classes=4) == {
        "roi_head.bbox_head.fc_cls", "roi_head.bbox_head.fc_reg", "roi_head.mask_head.conv_logits"
    }  # fmt: skip
    assert started(head="faster_rcnn") == set()
    assert {name.split(".")[1] for name in started(width=9)} == {"bbox_head"}
    assert {name.split(".")[0] for name in started(head="cascade_mask_rcnn")} == {"roi_head"}
    assert {name.split(".")[0] for name in started(channels=4)} == {"neck", "rpn_head", "roi_head"}
    bare = swinkit.save(tiny("faster_rcnn"), tmp_path / "f.safetensors")
    with_masks = swinkit.load(bare, head="mask_rcnn")
    assert with_masks.load_report is not None
    assert {name.split(".")[1] for name in with_masks.load_report.initialised} == {"mask_head"}
    assert swinkit.load(path, task="classify", num_classes=2)(torch.zeros(1, 3, 64, 64)).shape == (1, 2)
    segmenter = swinkit.load(path, task="segment", num_classes=2, head="fcn", channels=4)
    assert segmenter(torch.zeros(1, 3, 64, 64)).shape == (1, 2, 64, 64)
    assert swinkit.backbone(path)(torch.zeros(1, 3, 64, 64))[3].shape == (1, 64, 2, 2)
    assert swinkit.load(path, img_size=96).preprocessing.dense.short == 96  # type: ignore[union-attr]


def test_a_segmenter_becomes_a_detector(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = swinkit.create("swin_t", 7, task="segment", channels=4, auxiliary=0, **TINY, img_size=64)
    path = swinkit.save(model, tmp_path / "s.safetensors")
    detector = swinkit.load(path, task="detect", num_classes=2, channels=8, width=16)
    report = detector.load_report
    assert report is not None
    assert {name.split(".")[0] for name in report.initialised} == {"neck", "rpn_head", "roi_head"}
    assert any(name.startswith("decode_head.") for name in report.dropped)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": "mask_rcn"}, "no head 'mask_rcn': did you mean 'mask_rcnn'"),
        ({"channels": 0}, "`channels=0`, `width=16`: give widths"),
        ({"width": "a"}, "width='a': give int"),
        ({"auxiliary": 3}, "`auxiliary` is for segment, and this model is for detect"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tiny(**options)
    with pytest.raises(ConfigError, match="takes images, and this one videos"):
        swinkit.create("swin3d_t", 5, task="detect")


def test_heads_that_are_not_whole(tmp_path: Path) -> None:
    tensors = swinkit.to_dialect(tiny(), "microsoft")
    lost = {name: t for name, t in tensors.items() if name != "roi_head.mask_head.upsample.weight"}
    torch.save(lost, tmp_path / "lost.pth")
    with pytest.raises(WeightsError, match=r"1 tensors are missing \(such as roi_head\.mask_head\.upsample"):
        swinkit.load(tmp_path / "lost.pth")
    other = {name: t for name, t in tensors.items() if "fc_reg" not in name}
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="is a detector with a Swin inside"):
        swinkit.load(tmp_path / "other.pth")


def test_coco_ids_travel_with_published_names(tmp_path: Path) -> None:
    names = swinkit.load(swinkit.save(tiny(), tmp_path / "m.safetensors"), classes="coco")
    assert names.labels.categories[:13] == (*range(1, 12), 13, 14)
    assert names.labels.categories[-1] == 90
    again = swinkit.load(swinkit.save(names, tmp_path / "n.safetensors"))
    assert again.labels == names.labels


# --- answers ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Detector:
    """A detector whose answers differ by place: its scores are spread out."""
    made = tiny(classes=4)
    with torch.no_grad():
        made.roi_head.box_heads[0].fc_cls.weight.mul_(60)  # type: ignore[union-attr, operator]
        made.rpn_head.rpn_cls.weight.mul_(30)
    return made.eval()


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return small.resize((90, 70), Image.Resampling.BICUBIC)


def only(model: Detector, picture: Image.Image) -> Detections:
    (result,) = model.predict(picture)
    assert isinstance(result, Detections)
    return result


def test_limits(model: Detector, picture: Image.Image) -> None:
    usual = only(model, picture)
    assert len(usual) > 10
    assert (np.diff(usual.scores) <= 0).all()
    assert usual.boxes.min() >= 0
    assert (usual.boxes <= np.array([90, 70, 90, 70])).all()
    try:
        model.set_test_limits(detections=3)
        assert np.array_equal(only(model, picture).boxes, usual.boxes[:3])
        model.set_test_limits(detections=100, score_threshold=float(usual.scores[4]))
        assert len(only(model, picture)) == 4  # surer than the threshold, as published
        model.set_test_limits(score_threshold=0.05, classes=[usual.names[0]])
        assert set(only(model, picture).names) == {usual.names[0]}
        model.set_test_limits(classes=(), nms_threshold=0.0)
        apart = only(model, picture)
        for name in set(apart.names):
            boxes = torch.from_numpy(apart.boxes[[n == name for n in apart.names]])
            overlap = torch.ops.torchvision.nms(boxes, torch.ones(len(boxes)), 0.0)
            assert len(overlap) == len(boxes)
        model.set_test_limits(nms_threshold=0.5, proposals=2)
        assert len(only(model, picture)) <= 2 * 4
    finally:
        model.set_test_limits(
            detections=100, score_threshold=0.05, nms_threshold=0.5, proposals=1000, classes=()
        )
    for wrong, said in (
        ({"detections": 0}, "detections=0"),
        ({"score_threshold": 1.5}, "score_threshold=1.5: give a number from 0 to 1"),
        ({"classes": ["9"]}, "no class '9'"),
    ):
        with pytest.raises(ConfigError, match=said):
            model.set_test_limits(**wrong)


def test_a_picture_answers_the_same_in_any_padding(model: Detector, picture: Image.Image) -> None:
    """`sizes` keeps answers off the padding, and a batch of two answers as each of them."""
    batch = model.preprocess([picture, picture.resize((60, 70))])
    assert batch.images.shape[2:] == (96, 96)
    assert batch.valid == (((64, 82), (75, 64)),)
    with torch.inference_mode():
        found = model(batch.images, batch.valid[0])
    for own, (height, width) in zip(found, batch.valid[0], strict=True):
        assert own["size"].tolist() == [height, width]
        assert (own["boxes"][:, 2] <= width).all()
        assert (own["boxes"][:, 3] <= height).all()
    whole = model(batch.images[:1, :, :64, :82])
    assert whole[0]["size"].tolist() == [64, 82]


def test_views_are_averaged(model: Detector, picture: Image.Image) -> None:
    """The answer for a mirrored picture is mirrored; one of several sizes is in pixels of the original."""
    flipped = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    answers = []
    for one in (picture, flipped):
        (result,) = model.answer(model.preprocess([one]), flip=True)
        assert isinstance(result, Detections)
        answers.append(result)
    one, other = answers
    assert len(one) == len(other)
    mirrored = np.column_stack(
        [90 - other.boxes[:, 2], other.boxes[:, 1], 90 - other.boxes[:, 0], other.boxes[:, 3]]
    )
    np.testing.assert_allclose(one.boxes, mirrored, atol=0.02)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    assert one.masks is not None
    assert other.masks is not None
    assert (one.masks == other.masks[:, :, ::-1]).mean() > 0.999
    try:
        model.set_test_limits(scales=(1.0, 1.0))
        (same,) = model.answer(model.preprocess([picture]))
    finally:
        model.set_test_limits(scales=(1.0,))
    usual = only(model, picture)
    assert isinstance(same, Detections)
    # further down proposals differ: those of several views are joined over all maps
    np.testing.assert_allclose(same.boxes[:10], usual.boxes[:10], atol=0.05)
    np.testing.assert_allclose(same.scores[:10], usual.scores[:10], atol=1e-4)
    assert same.names[:10] == usual.names[:10]


def test_nothing_found(model: Detector, picture: Image.Image) -> None:
    """No box is an answer too, with masks and views as without."""
    try:
        model.set_test_limits(score_threshold=1.0)
        for flip in (False, True):
            (result,) = model.answer(model.preprocess([picture]), flip=flip)
            assert isinstance(result, Detections)
            assert len(result) == 0
            assert result.masks is not None
            assert result.masks.shape == (0, 70, 90)
            assert result.lines() == [("nothing found", "")]
            assert result.to_coco() == []
            assert len(result.to_supervision()) == 0
            assert result.draw(picture).size[0] >= 90
        batch = model.preprocess([picture, picture])
        assert [len(own["boxes"]) for own in model(batch.images, batch.valid[0])] == [0, 0]
    finally:
        model.set_test_limits(score_threshold=0.05)


def beyond(model: Detector, side: int = 64) -> None:
    """Let the deltas of proposals and boxes push every box to the right, out of an input of `side` pixels."""
    with torch.no_grad():
        for layer in (model.rpn_head.rpn_reg, *(head.fc_reg for head in model.roi_head.box_heads)):
            layer.weight.zero_()  # type: ignore[union-attr, operator]
            layer.bias.zero_()  # type: ignore[union-attr, operator]
        model.rpn_head.rpn_reg.bias[0::4] = side  # type: ignore[index]


@pytest.mark.parametrize("head", list(SYSTEMS))
def test_boxes_pushed_out_of_the_image_are_no_results(head: str, picture: Image.Image) -> None:
    """Clipped to the border such boxes have no area: nothing is found, and -1 gives them all back."""
    model = tiny(head).eval()
    beyond(model)
    batch = model.preprocess([picture, picture.resize((60, 70))])
    assert [len(own["boxes"]) for own in model(batch.images, batch.valid[0])] == [0, 0]
    for flip in (False, True):
        (result,) = model.answer(model.preprocess([picture]), flip=flip)
        assert isinstance(result, Detections)
        assert len(result) == 0
        assert result.lines() == [("nothing found", "")]
    every = model.limited(min_box_size=-1)
    (result,) = every.predict(picture)
    assert isinstance(result, Detections)
    assert len(result) == 100
    assert (result.boxes[:, 0] == result.boxes[:, 2]).all()
    assert result.draw(picture, 0.0).tobytes() == result.chosen([]).draw(picture, 0.0).tobytes()


@pytest.mark.parametrize("head", list(SYSTEMS))
def test_boxes_of_later_layers_pushed_out_are_no_results(head: str, picture: Image.Image) -> None:
    """Proposals within the image, boxes beyond it; in one of three stages, or in the only one."""
    model = tiny(head).eval()
    with torch.no_grad():
        model.roi_head.box_heads[0].fc_reg.bias[1::4] = 1e4  # type: ignore[union-attr, index]
    assert len(only(model, picture)) == 0


@pytest.mark.parametrize("head", list(SYSTEMS))
def test_training_goes_on_without_proposals(head: str) -> None:
    """Where all proposals lack area, true boxes alone are learnt; finite gradients for every parameter."""
    model = tiny(head).train()
    beyond(model)
    x = torch.randn(2, 3, 64, 64)
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[0, 5:40, 5:40] = 1
    cell = Objects(torch.tensor([[5.0, 5.0, 40.0, 40.0]]), torch.tensor([1]), mask)
    nothing = Objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0, 64, 64))
    drawn: list[int] = []
    pooled = model.roi_head.box_heads[0].register_forward_pre_hook(
        lambda _, given: drawn.append(len(given[0]))
    )
    for truth, regions in (([nothing, nothing], 0), ([nothing, cell], 1)):
        losses = model.learn(x, [(64, 64)] * 2, truth)
        total = torch.stack(list(losses.values())).sum()
        model.zero_grad()
        total.backward()
        assert drawn.pop() == regions
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    pooled.remove()


def test_ignored_regions_teach_no_background() -> None:
    """Boxes in them are neither positive nor negative; others, and true boxes, stay as they are."""
    assigner = MASK_RCNN
    boxes = torch.tensor(
        [
            [0.0, 0, 10, 10],
            [2, 2, 6, 6],
            [8, 8, 30, 30],
            [40, 40, 50, 50],
            [20, 0, 30, 10],
            [-10, -10, 20, 20],
        ]
    )
    truth, region = torch.tensor([[20.0, 0, 30, 10]]), torch.tensor([[0.0, 0, 12, 12], [19, 0, 31, 11]])
    plain, _ = assigner(boxes, truth)
    assert plain.tolist() == [0, 0, 0, 0, 1, 0]
    assert assigner(boxes, truth, region)[0].tolist() == [-1, -1, 0, 0, 1, 0]
    nothing = torch.zeros(0, 4)
    assert assigner(boxes, nothing, region)[0].tolist() == [-1, -1, 0, 0, -1, 0]
    assert assigner(boxes, truth, nothing)[0].tolist() == plain.tolist()


@pytest.mark.parametrize("head", ["faster_rcnn", "cascade_rcnn"])
def test_an_image_that_is_ignored_teaches_nothing(head: str) -> None:
    """Neither proposals nor classes learn from it that nothing is there; without the region they do."""
    model = tiny(head).train()
    x = torch.randn(1, 3, 64, 64)
    labels = torch.zeros(0, dtype=torch.long)
    whole = torch.tensor([[-200.0, -200.0, 264.0, 264.0]])
    losses = model.learn(x, [(64, 64)], [Objects(torch.zeros(0, 4), labels, None, ignored=whole)])
    assert all(loss.item() == 0 for loss in losses.values())
    losses = model.learn(x, [(64, 64)], [Objects(torch.zeros(0, 4), labels, None)])
    assert losses["proposal"] > 0
    assert losses["class" if head == "faster_rcnn" else "0_class"] > 0


def test_min_box_size(model: Detector, picture: Image.Image) -> None:
    """Sides are measured in pixels of the input, which is smaller than this picture."""
    usual = only(model, picture)
    sides = usual.boxes[:, 2:] - usual.boxes[:, :2]
    limit = float(np.median(sides.min(1)))
    large = only(model.limited(min_box_size=limit * 64 / 70), picture)
    assert 0 < len(large) < len(usual)
    assert ((large.boxes[:, 2:] - large.boxes[:, :2]).min(1) > limit * 0.99).all()
    for wrong in ("a", float("nan"), True):
        with pytest.raises(ConfigError, match=r"min_box_size=.*: give a number of pixels"):
            model.set_test_limits(min_box_size=wrong)  # type: ignore[arg-type]


def test_no_numbers(model: Detector, tmp_path: Path) -> None:
    (own,) = model(torch.full((1, 3, 64, 64), torch.nan))
    assert len(own["boxes"]) == 0
    broken = tiny()
    broken.rpn_head.rpn_conv.weight.data[0, 0, 0, 0] = torch.nan
    swinkit.save(broken, tmp_path / "nan.safetensors")
    with pytest.raises(
        WeightsError, match=r"holds no numbers \(NaN or infinity\) in rpn_head.rpn_conv.weight"
    ):
        swinkit.load(tmp_path / "nan.safetensors")


def test_calls_that_are_wrong(model: Detector) -> None:
    x = torch.zeros(2, 3, 64, 64)
    with pytest.raises(ConfigError, match="takes images"):
        model(x[0])
    for sizes in ([(64, 64)], [(64, 64), (65, 64)]):
        with pytest.raises(ConfigError, match="within 64×64 for each of 2"):
            model(x, sizes)
    with pytest.raises(ConfigError, match="a number from 0 to 1"):
        model.set_test_limits(score_threshold="a")  # type: ignore[arg-type]


def test_results_in_other_forms(model: Detector, picture: Image.Image) -> None:
    result = only(model, picture)
    assert result.masks is not None
    rows = result.to_coco(7)
    assert {row["image_id"] for row in rows} == {7}
    for row, box, mask, label in zip(rows, result.boxes, result.masks, result.labels, strict=True):
        assert row["bbox"] == pytest.approx([box[0], box[1], box[2] - box[0], box[3] - box[1]])
        assert np.array_equal(mask_of(row["segmentation"]), mask)
        assert row["category_id"] == label
        inside = np.zeros_like(mask)
        inside[int(box[1]) : int(np.ceil(box[3])), int(box[0]) : int(np.ceil(box[2]))] = True
        assert not (mask & ~inside).any()
    theirs = result.to_supervision()
    assert np.array_equal(theirs.xyxy, result.boxes)
    assert list(theirs.data["class_name"]) == list(result.names)
    assert np.array_equal(theirs.mask, result.masks)
    some = result.chosen([2, 0])
    assert some.scores.tolist() == [result.scores[2], result.scores[0]]
    assert result.chosen([]).masks.shape == (0, 70, 90)  # type: ignore[union-attr]
    assert result.draw(picture, 0.0).tobytes() != result.draw(picture, 1.0).tobytes()


# --- training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", list(SYSTEMS))
def test_pictures_without_objects_teach_too(head: str) -> None:
    """Nothing to find, boxes of a pixel: finite losses and gradients for all that learns."""
    model = tiny(head).train()
    x = torch.randn(2, 3, 64, 64)
    nothing = Objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0, 64, 64))
    dot = torch.zeros(1, 64, 64, dtype=torch.uint8)
    dot[0, 5, 7] = 1
    pixel = Objects(torch.tensor([[7.0, 5.0, 8.0, 6.0]]), torch.tensor([2]), dot)
    for truth in ([nothing, nothing], [nothing, pixel], [pixel, pixel]):
        losses = model.learn(x, [(64, 64)] * 2, truth)
        total = torch.stack(list(losses.values())).sum()
        assert torch.isfinite(total)
        model.zero_grad()
        total.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    assert model.no_loss(x[:1]).item() == 0


def test_mixed_precision_keeps_coordinates() -> None:
    """Boxes of a large picture in bfloat16: as in float32, but for what the features lose."""
    model = tiny(classes=2).eval()
    x = torch.randn(1, 3, 64, 1600)
    regions = torch.tensor([[0, 1501.3, 10.2, 1539.9, 50.7]])
    with torch.inference_mode():
        maps = model.neck(model.backbone(x))[:-1]
        whole = model.roi_head.look(maps, regions, [(64, 1600)])[1]
        with torch.autocast("cpu", torch.bfloat16):
            half = model.roi_head.look([m.bfloat16() for m in maps], regions, [(64, 1600)])[1]
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, whole, atol=0.2, rtol=0)


def test_padding_teaches_nothing() -> None:
    """Beside a wide picture a narrow one learns as it does alone: no anchor of the padding is drawn."""
    model = tiny("faster_rcnn").train()
    boxes = Objects(torch.tensor([[5.0, 5, 30, 40]]), torch.tensor([0]), None)
    x = torch.randn(1, 3, 64, 256)
    raw = model.rpn_head(model.neck(model.backbone(x)))
    for scores in raw.scores:
        scores.data[:, :, :, -(-64 * scores.shape[3] // 256) :] = 1e4  # sure of what is not there
    anchors = torch.cat(model.rpn_head.anchors(raw))
    for _ in range(5):
        score, _ = rpn_losses(raw, anchors, [boxes.boxes], [(64, 64)])
        assert score < 5
    assert rpn_losses(raw, anchors, [boxes.boxes], [(64, 256)])[0] > 100
