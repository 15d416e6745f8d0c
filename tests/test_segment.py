"""Segmentation models: files of every spelling, views, losses, limits; beside codes we did not write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from transformers import SwinConfig, UperNetConfig, UperNetForSemanticSegmentation

import swinkit
from swinkit.data.batch import Batch
from swinkit.errors import ConfigError, WeightsError
from swinkit.heads import DENSE_HEADS
from swinkit.heads.dense import likeliest
from swinkit.heads.losses import cross_entropy
from swinkit.models.convert import convert_file
from swinkit.results import SegmentationMap
from swinkit.tasks.segment import Segmenter
from swinkit.tasks.sliding_window import Blend
from tests.parity.golden import Golden, load_golden

CLOSE = {"atol": 2e-5, "rtol": 0.0}
TINY: dict[str, Any] = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4), "window": 4}


def tiny(head: str = "upernet", **settings: Any) -> Segmenter:
    torch.manual_seed(0)
    given = {**TINY, "img_size": 64, "channels": 12, "auxiliary": 10, **settings}
    model = swinkit.create("swin_t", 5, task="segment", head=head, **given)
    assert isinstance(model, Segmenter)
    return model


def written(golden: Golden, path: Path, **meta: Any) -> Path:
    torch.save({"state_dict": golden.state, "meta": meta}, path)
    return path


# --- the references' own files ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["upernet", "ssformer"])
def test_reference_files_answer_as_they_did(name: str, tmp_path: Path) -> None:
    """Logits at input size, odd ones too, probabilities and classes at the original one, windows, losses."""
    golden = load_golden(name)
    names = tuple(f"class {i}" for i in range(6))
    model = swinkit.load(written(golden, tmp_path / "reference.pth", CLASSES=names))
    assert isinstance(model, Segmenter)
    assert model.classes == names
    given = golden.meta["model_config"]
    auxiliary = given.get("auxiliary_head", {}).get("channels", 0)
    head = {"head": name, "channels": given["decode_head"]["channels"], "auxiliary": auxiliary}
    if name == "upernet":
        head["pool_scales"] = [1, 2, 3, 6]
    assert model.settings() == head
    assert model.load_report is not None
    assert model.load_report.initialised == model.load_report.missing == model.load_report.unexpected == ()
    images = {key: golden.inputs[key] for key in ("image_a", "image_b")}
    with torch.inference_mode():
        for key, image in images.items():
            torch.testing.assert_close(model(image), golden.outputs[f"{key}/logits"], **CLOSE)
        expected = golden.outputs["image_a/prob_ori_shape"]
        sizes = [tuple(expected.shape[2:])] * len(expected)
        results = model.postprocess(model(images["image_a"]), sizes)
        found = torch.stack([torch.from_numpy(r.labels) for r in results if isinstance(r, SegmentationMap)])
        assert (found == golden.outputs["image_a/pred_ori_shape"]).float().mean() >= 0.9999
        arguments = golden.meta["arguments"]
        model.window, model.stride = arguments["crop"], arguments["stride"]
        windows = model.respond(Batch(images["image_a"], None, (), ()))
        torch.testing.assert_close(windows, golden.outputs["image_a/slide_logits"], **CLOSE)
    model.train()
    for module in model.modules():  # the reference was run without dropout
        if hasattr(module, "dropout"):
            module.dropout = 0.0
    batch = Batch(images["image_a"], golden.inputs["target"][:, 0], (), ())
    losses = model.loss(batch)
    assert losses.keys() == ({"cross_entropy", "auxiliary_cross_entropy"} if auxiliary else {"cross_entropy"})
    torch.testing.assert_close(sum(losses.values()), golden.outputs["loss/loss"], **CLOSE)


@pytest.mark.parametrize("name", ["upernet", "ssformer"])
def test_reference_files_and_back(name: str, tmp_path: Path) -> None:
    golden = load_golden(name)
    model = swinkit.load(written(golden, tmp_path / "reference.pth"))
    theirs = swinkit.to_dialect(model, "microsoft" if name == "upernet" else "openmmlab")
    for key, tensor in golden.state.items():
        if not key.endswith(("num_batches_tracked", "attn_mask")):
            assert torch.equal(theirs[key].view_as(tensor), tensor), key
    assert {key for key in theirs if "relative_position_index" not in key} <= set(golden.state)


# --- transformers, both ways --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def peer() -> UperNetForSemanticSegmentation:
    torch.manual_seed(0)
    stages = ["stage1", "stage2", "stage3", "stage4"]
    swin = SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4], window_size=4,
        out_features=stages, drop_path_rate=0.0,
    )  # fmt: skip
    names = {i: f"thing {i}" for i in range(5)}
    config = UperNetConfig(
        backbone_config=swin, hidden_size=12, auxiliary_channels=10, auxiliary_in_channels=32,
        id2label=names, label2id={name: i for i, name in names.items()},
    )  # fmt: skip
    model = UperNetForSemanticSegmentation(config).eval()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, 0.5, 1.5) if "running_var" in name else torch.nn.init.normal_(
                tensor, std=0.1
            )
    return model


@pytest.mark.parametrize("size", [(64, 64), (75, 90)])
def test_transformers_there(
    peer: UperNetForSemanticSegmentation, tmp_path: Path, size: tuple[int, int]
) -> None:
    peer.save_pretrained(tmp_path)
    model = swinkit.load(tmp_path)
    assert model.classes == tuple(f"thing {i}" for i in range(5))
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(model(x), peer(x).logits, **CLOSE)


def test_transformers_and_back(peer: UperNetForSemanticSegmentation, tmp_path: Path) -> None:
    """Our weights in a class that transformers builds from the folder that `swin convert` writes."""
    model = tiny(fit="pad_shift")
    swinkit.save(model, tmp_path / "m.safetensors")
    convert_file(tmp_path / "m.safetensors", tmp_path / "hf", to="huggingface")
    theirs = UperNetForSemanticSegmentation.from_pretrained(tmp_path / "hf").eval()
    x = torch.randn(1, 3, 70, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(theirs(x).logits, model(x), **CLOSE)
    config = json.loads((tmp_path / "hf/config.json").read_text())
    assert config["id2label"]["4"] == "4"
    again = swinkit.load(tmp_path / "hf")
    torch.testing.assert_close(again(x), model(x), **CLOSE)
    stored = load_file(tmp_path / "hf/model.safetensors")
    assert "decode_head.classifier.weight" in stored
    assert not any("conv_seg" in name for name in stored)


def test_other_heads_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="knows UPerNet on four stages, not ssformer on 4"):
        swinkit.to_dialect(tiny("ssformer"), "huggingface")
    with pytest.raises(ConfigError, match=r"timm's spelling \(timm\): it has no norm for each map"):
        swinkit.to_dialect(tiny(), "timm")


# --- from one model to another ------------------------------------------------------------------------


@pytest.mark.parametrize("head", DENSE_HEADS)
def test_every_head_on_a_swin(head: str, tmp_path: Path) -> None:
    """Built, answered at an odd size, saved, loaded, and told again from tensors of a foreign file."""
    model = tiny(head)
    x = torch.randn(1, 3, 61, 70)
    with torch.inference_mode():
        logits = model(x)
        assert logits.shape == (1, 5, 61, 70)
        swinkit.save(model, tmp_path / "m.safetensors")
        torch.testing.assert_close(swinkit.load(tmp_path / "m.safetensors")(x), logits, **CLOSE)
        torch.save({"state_dict": swinkit.to_dialect(model, "openmmlab")}, tmp_path / "m.pth")
        foreign = swinkit.load(tmp_path / "m.pth")
        assert isinstance(foreign, Segmenter)
        assert foreign.settings() == model.settings()
        torch.testing.assert_close(foreign(x), logits, **CLOSE)


def test_a_classifier_becomes_one(tmp_path: Path) -> None:
    classifier = swinkit.create("swin_t", 7, img_size=64, **TINY)
    swinkit.save(classifier, tmp_path / "c.safetensors")
    model = swinkit.load(tmp_path / "c.safetensors", task="segment", num_classes=3, img_size=96, channels=8)
    assert isinstance(model, Segmenter)
    assert (model.backbone.config.fit, model.preprocessing.size) == ("pad_shift", 96)
    assert model.preprocessing.dense is not None
    assert (model.preprocessing.dense.short, model.preprocessing.dense.long) == (96, 384)
    report = model.load_report
    assert report is not None
    assert {name.split(".")[0] for name in report.initialised} == {
        "backbone",
        "decode_head",
        "auxiliary_head",
    }
    assert all(".norm" in name for name in report.initialised if name.startswith("backbone"))
    assert {"head.weight", "head.bias", "norm.weight", "norm.bias"} <= set(report.dropped)
    for name, tensor in classifier.backbone.state_dict().items():
        if not name.startswith("norm"):
            assert torch.equal(model.backbone.state_dict()[name], tensor), name


def test_changes_of_a_file(tmp_path: Path) -> None:
    model = tiny()
    swinkit.save(model, tmp_path / "m.safetensors")
    path = tmp_path / "m.safetensors"

    def started(**changes: Any) -> set[str]:
        report = swinkit.load(path, **changes).load_report
        assert report is not None
        return {name.rpartition(".")[0] for name in report.initialised}

    assert started() == set()
    assert started(num_classes=9) == {"decode_head.conv_seg", "auxiliary_head.conv_seg"}
    assert {name.split(".")[0] for name in started(head="fcn")} == {"decode_head", "auxiliary_head"}
    assert {name.split(".")[0] for name in started(auxiliary=6)} == {"auxiliary_head"}
    assert swinkit.load(path, head="fcn").settings() == {"head": "fcn", "channels": 256, "auxiliary": 256}  # type: ignore[attr-defined]
    assert started(auxiliary=0) == set()
    assert swinkit.load(path, img_size=128).preprocessing.size == 128
    assert swinkit.load(path, task="classify", num_classes=2)(torch.zeros(1, 3, 64, 64)).shape == (1, 2)
    assert swinkit.backbone(path)(torch.zeros(1, 3, 64, 64))[3].shape == (1, 64, 2, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": "upernett"}, "no head 'upernett': did you mean 'upernet'"),
        ({"head": 3}, "head=3: give str"),
        ({"channels": "a"}, "channels='a': give int"),
        ({"channels": 0}, "`channels=0`, `auxiliary=None`: give widths"),
        ({"num_classes": 256}, "256 classes: a segmentation model has at most 255"),
        ({"multi_label": True}, "`multi_label` is for classify and video, and this model is for segment"),
        ({"headd": "fcn"}, "no setting 'headd'"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        swinkit.create("swin_t", task="segment", **({"num_classes": 5} | TINY | options))
    with pytest.raises(ConfigError, match="`head` is for segment and detect, and this model is for classify"):
        swinkit.create("swin_t", 5, head="fcn")
    with pytest.raises(ConfigError, match="takes images, and this one videos"):
        swinkit.create("swin3d_t", 5, task="segment")


def test_a_head_that_is_not_whole(tmp_path: Path) -> None:
    tensors = swinkit.to_dialect(tiny(), "microsoft")
    torch.save({k: v for k, v in tensors.items() if "fpn_bottleneck" not in k}, tmp_path / "m.pth")
    with pytest.raises(WeightsError, match=r"are missing \(such as decode_head\.fpn_bottleneck"):
        swinkit.load(tmp_path / "m.pth")


# --- answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(40, 56), (97, 31), (10, 14), (20, 28), (1, 1)])
def test_likeliest_is_argmax_of_the_resized(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swinkit.heads.dense.STRIP", 7 * 3 * size[1])  # strips of three rows
    logits = torch.randn(7, 20, 28, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0].argmax(0)
    found = likeliest(logits, size)
    assert found.dtype == torch.uint8
    assert torch.equal(found.long(), expected)


def picture(folder: Path, height: int, width: int) -> Path:
    rng = np.random.default_rng(0)
    path = folder / f"{height}x{width}.png"
    Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def test_several_sizes_and_mirrors_are_averaged_at_the_original_size(tmp_path: Path) -> None:
    """By hand, as mmseg's aug_test: softmax at the original size, mean over sizes and mirror images."""
    model = tiny()
    path = picture(tmp_path, 50, 80)
    model.set_test_limits(scales=(0.5, 1.0, 1.25))
    batch = model.preprocess([path])
    assert [tuple(x.shape[2:]) for x in (batch.images, *batch.others)] == [(32, 51), (64, 102), (80, 128)]
    with torch.inference_mode():
        each = []
        for x in (batch.images, *batch.others):
            for mirrored in (x, x.flip(-1)):
                logits = model(mirrored)
                logits = logits.flip(-1) if mirrored is not x else logits
                each.append(F.interpolate(logits, (50, 80), mode="bilinear").softmax(1))
        expected = torch.stack(each).mean(0)
        torch.testing.assert_close(model.respond(batch, flip=True).exp(), expected, atol=1e-6, rtol=1e-5)
    (result,) = model.answer(batch, flip=True)
    assert isinstance(result, SegmentationMap)
    assert np.array_equal(result.labels, expected[0].argmax(0).numpy())


def test_views_of_large_pictures_are_averaged_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny()
    monkeypatch.setattr("swinkit.tasks.segment.LARGEST", 5 * 300 * 400 - 1)
    batch = model.preprocess([picture(tmp_path, 300, 400)])
    assert model.respond(batch, flip=True).shape == (1, 5, 64, 85)
    (result,) = model.answer(batch, flip=True)
    assert isinstance(result, SegmentationMap)
    assert result.size == (300, 400)


def test_windows_that_cover_the_picture_answer_as_the_whole(tmp_path: Path) -> None:
    model = tiny()
    path = picture(tmp_path, 64, 90)
    (whole,) = model.predict(path)
    model.set_test_limits(slide=100)
    assert model.predict(path) == [whole]
    model.set_test_limits(slide=48)
    assert model.stride == (32, 32)
    assert model.predict(path)[0].size == (64, 90)
    model.set_test_limits(slide=0)
    assert model.predict(path) == [whole]
    with pytest.raises(ConfigError, match="`stride=50` leaves gaps between windows of 40"):
        model.set_test_limits(slide=40, stride=50)


@pytest.mark.parametrize(
    ("size", "tile", "stride", "bands"),
    [
        ((50, 77), 16, 10, 2),
        ((50, 77), 16, 10, 99),
        ((9, 77), 16, 5, 3),
        ((40, 40), 16, 16, 1),
        ((33, 61), 16, 3, 2),
    ],
)
def test_blended_tiles(size: tuple[int, int], tile: int, stride: int, bands: int) -> None:
    """Parts are disjoint, cover all, and are what sums over the whole picture would give."""
    picture = torch.randn(*size, generator=torch.Generator().manual_seed(0))

    def answer(places: list[tuple[slice, slice]]) -> Any:
        for rows, columns in places:
            part = picture[rows, columns]
            yield torch.stack([part + part.mean(), -part, part.flip(0)]).softmax(0)

    blend = Blend(size, tile, stride, classes=3, room=3 * tile * tile * bands)
    found = torch.full(size, 99)
    for rows, columns, ids in blend.answers(answer):
        assert (found[rows, columns] == 99).all()
        found[rows, columns] = ids.long()
    total, weight = torch.zeros(3, *size), torch.zeros(size)
    for top in blend.rows:
        for left in blend.columns:
            place = slice(top, top + blend.sides[0]), slice(left, left + blend.sides[1])
            total[:, place[0], place[1]] += next(answer([place])) * blend.weight
            weight[place] += blend.weight
    assert torch.equal(found, (total / weight).argmax(0))


def test_pictures_of_different_sizes_make_no_batch(tmp_path: Path) -> None:
    model = tiny()
    paths = [picture(tmp_path, 30, 40), picture(tmp_path, 40, 30)]
    with pytest.raises(ConfigError, match="different sizes make no batch"):
        model.preprocess(paths)
    assert [result.size for result in model.predict(paths)] == [(30, 40), (40, 30)]


# --- losses -------------------------------------------------------------------------------------------


@pytest.fixture
def batch() -> Batch:
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    target = torch.randint(0, 5, (2, 64, 64), generator=torch.Generator().manual_seed(4))
    target[:, :20] = 255
    return Batch(x, target, (), ())


def test_losses_by_name(batch: Batch) -> None:
    model = tiny().eval()
    model.losses = ("cross_entropy", "dice", "focal", "ohem")
    values = model.loss(batch)
    assert set(values) == {f"{start}{name}" for name in model.losses for start in ("", "auxiliary_")}
    alone = model.loss(batch, model(batch.images))
    for name, value in alone.items():
        torch.testing.assert_close(value, values[name])
    everywhere = cross_entropy(model(batch.images), batch.targets)  # type: ignore[arg-type]
    torch.testing.assert_close(alone["cross_entropy"], everywhere)
    model.average = "valid"
    labelled = model.loss(batch)["cross_entropy"]
    torch.testing.assert_close(labelled, everywhere * 64 / 44)


@pytest.mark.parametrize("average", ["all", "valid"])
def test_a_batch_where_all_is_ignored(batch: Batch, average: Any) -> None:
    model = tiny().train()
    model.losses, model.average = ("cross_entropy", "dice", "focal", "ohem"), average
    assert batch.targets is not None
    batch.targets.fill_(255)
    total: Tensor = sum(model.loss(batch).values())  # type: ignore[assignment]
    assert total == 0
    total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_one_picture_is_a_batch(batch: Batch) -> None:
    """Pooled to one value a channel there is no variance to learn from."""
    model = tiny().train()
    losses = model.loss(Batch(batch.images[:1], batch.targets[:1], (), ()))  # type: ignore[index]
    assert all(value.isfinite() for value in losses.values())


def test_rare_classes_weigh_more() -> None:
    model = tiny()
    model.weigh_classes([100, 25, 0, 100, 1])
    assert model.class_weights is not None
    weights = model.class_weights
    torch.testing.assert_close(weights[4] / weights[0], torch.tensor(10.0))
    torch.testing.assert_close(weights[1] / weights[0], torch.tensor(2.0))
    assert weights[2] == 0
    counts = torch.tensor([100.0, 25, 0, 100, 1])
    torch.testing.assert_close((weights * counts).sum(), counts.sum())
