"""Every task through the contract, and what is special to classification."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import swinkit
from swinkit.config.augmentation import Augmentation
from swinkit.data.batch import Batch
from swinkit.errors import ImageError
from swinkit.tasks.base import Task
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from tests.contract import (
    CHECKS,
    ODD_NAMES,
    OF_CLIPS,
    OF_MASKS,
    OF_OBJECTS,
    OF_PICTURES,
    Case,
    Inputs,
    images_of,
)


def variant(name: str, inputs: Inputs = OF_PICTURES, **settings: Any) -> Case:
    def build(classes: tuple[str, ...]) -> Task:
        return swinkit.create(name, classes=classes, drop_path=0.5, **settings)

    return Case(name, build, inputs)


SMALL: dict[str, Any] = {"embed_dim": 8, "depths": (1, 2), "num_heads": (1, 2)}
CASES = {
    "pico": variant("swin_pico", **SMALL, img_size=14),
    "nano": variant("swin_nano", embed_dim=8, depths=(1, 1, 2), num_heads=(1, 2, 4)),
    "grey": variant("swin_pico", **SMALL, img_size=14, in_chans=1),
    "pad_shift": variant("swin_t", **SMALL, img_size=40, fit="pad_shift", absolute_position=True, drop=0.1),
    "video": variant("swin3d_t", OF_CLIPS, **SMALL, img_size=(4, 24, 24), window=(2, 3, 3)),
}
DENSE: dict[str, Any] = {"task": "segment", "img_size": 32, "window": 3, "auxiliary": 0, "channels": 8}
MAPS = {
    "ssformer": variant("swin_pico", OF_MASKS, **SMALL, **DENSE, head="ssformer"),
    "upernet": variant("swin_t", OF_MASKS, **SMALL, **DENSE, in_chans=1),
}
BOXES: dict[str, Any] = {"task": "detect", "img_size": 32, "window": 3, "channels": 8, "width": 12}
OBJECTS = {
    "mask_rcnn": variant("swin_pico", OF_OBJECTS, **SMALL, **BOXES, head="mask_rcnn"),
    "faster_rcnn": variant("swin_pico", OF_OBJECTS, **SMALL, **BOXES, head="faster_rcnn", in_chans=1),
    "cascade": variant("swin_pico", OF_OBJECTS, **SMALL, **BOXES, head="cascade_mask_rcnn"),
}


def owl(classes: tuple[str, ...]) -> Task:
    """With a vocabulary, and no text tower that it would need."""
    numbers = {**SMALL, "img_size": 32, "window": 3, "dim": 12, "text": "none", "drop_path": 0.5}
    model = swinkit.create("swin_pico", classes=classes, task="open_vocabulary", **numbers)
    assert isinstance(model, OpenVocabulary)
    model.vocabulary.copy_(torch.randn(len(classes), 12))
    model.set_test_limits(score_threshold=0.001)
    return model


EVERY = CASES | MAPS | OBJECTS | {"owl": Case("owl", owl, OF_OBJECTS)}


@pytest.mark.parametrize("case", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(check: Callable[[Case, Path], None], case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_logits_and_vectors(case: Case) -> None:
    task = case.task().eval()
    x = images_of(task)
    logits, vectors, maps = task(x), task.embed(x), task.backbone(x)
    assert logits.shape == (2, len(ODD_NAMES))
    assert vectors.shape == (2, 16 if len(task.backbone.config.depths) == 2 else 32)
    torch.testing.assert_close(F.linear(vectors, task.head.weight, task.head.bias), logits)
    torch.testing.assert_close(maps[-1].flatten(2).mean(-1), vectors)


@pytest.fixture
def pico() -> Task:
    return CASES["pico"].task().eval()


def test_video_takes_clips_and_pictures_as_one_frame() -> None:
    task = CASES["video"].task().eval()
    picture = images_of(task)[:, :, 0]
    assert torch.equal(task(picture), task(picture[:, :, None]))
    clip = torch.randn(2, 3, 4, 24, 24)
    assert task(clip).shape == (2, len(ODD_NAMES))
    assert [tuple(m.shape) for m in task.backbone(clip)] == [(2, 8, 2, 6, 6), (2, 16, 2, 3, 3)]
    assert task.head.dropout == 0.5


def test_embed_of_files_is_embed_of_their_tensor(pico: Task, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), (250, 10, 90)).save(tmp_path / "a.png")
    expected = pico.embed(pico.preprocess([tmp_path / "a.png"]).images)
    for images in ([tmp_path / "a.png"], str(tmp_path / "a.png"), [Image.open(tmp_path / "a.png")]):
        vectors = pico.embed(images)
        torch.testing.assert_close(vectors, expected)
        assert not vectors.requires_grad
    assert expected.requires_grad


def test_postprocess_is_softmax_in_order(pico: Task) -> None:
    raw = torch.tensor([[0.0, 3.0, 1.0, 2.0, -1.0], [9.0, 0.0, 0.0, 0.0, 0.0]])
    first, second = pico.postprocess(raw, [(3, 4), (5, 6)])
    assert first.labels == (1, 3, 2, 0, 4)
    assert first.names == tuple(ODD_NAMES[i] for i in first.labels)
    odds = np.exp(sorted(raw[0].tolist(), reverse=True))
    assert first.scores == pytest.approx(odds / odds.sum(), abs=1e-6)
    assert (first.size, second.size, second.labels[0]) == ((3, 4), (5, 6), 0)
    half = pico.postprocess(raw.half() * 1e4, [(1, 1)] * 2)  # 3e4 in fp16: softmax must not overflow
    assert half[0].scores[0] == pytest.approx(1.0)


def test_test_limits(pico: Task) -> None:
    pico.set_test_limits(topk=2)
    assert len(pico.postprocess(torch.zeros(1, 5), [(1, 1)])[0].labels) == 2
    pico.set_test_limits(topk=50)
    assert len(pico.postprocess(torch.zeros(1, 5), [(1, 1)])[0].labels) == 5


def batch_of(targets: torch.Tensor) -> Batch:
    return Batch(
        torch.zeros(len(targets), 3, 14, 14), targets, ((1, 1),) * len(targets), ("",) * len(targets)
    )


def test_loss_is_cross_entropy_of_hard_and_soft_targets(pico: Task) -> None:
    raw = torch.tensor([[2.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]])
    log = np.log(np.exp(raw.numpy()) / np.exp(raw.numpy()).sum(1, keepdims=True))
    hard = pico.loss(batch_of(torch.tensor([0, 3])), raw)
    assert hard.keys() == {"cross_entropy"}
    assert hard["cross_entropy"].item() == pytest.approx(-(log[0, 0] + log[1, 3]) / 2)
    soft = torch.tensor([[0.7, 0.3, 0, 0, 0], [0, 0, 0, 0, 1.0]])
    expected = -(log * soft.numpy()).sum() / 2
    assert pico.loss(batch_of(soft), raw)["cross_entropy"].item() == pytest.approx(expected)


def test_mixing_smooths_labels(pico: Task) -> None:
    mix = pico.mixing(Augmentation(mixup=0, cutmix=0, label_smoothing=0.2))
    x = torch.randn(2, 3, 14, 14)
    mixed = mix(Batch(x, torch.tensor([1, 4]), (), ()))
    assert torch.equal(mixed.images, x)
    expected = torch.full((2, 5), 0.04)
    expected[0, 1] = expected[1, 4] = 0.84
    torch.testing.assert_close(mixed.targets, expected)


def test_training_pictures_vary_and_evaluation_pictures_do_not(pico: Task, tmp_path: Path) -> None:
    Image.effect_noise((60, 60), 80).convert("RGB").save(tmp_path / "a.png")
    training = pico.dataset([tmp_path / "a.png"], Augmentation())
    evaluation = pico.dataset([tmp_path / "a.png"])
    assert not torch.equal(training[0].image, training[0].image)
    assert torch.equal(evaluation[0].image, evaluation[0].image)


def test_four_channels_are_read_from_files_that_have_four(tmp_path: Path) -> None:
    task = swinkit.create("swin_pico", classes=["a", "b"], in_chans=4, **SMALL)
    assert task(torch.zeros(1, 4, 28, 28)).shape == (1, 2)
    Image.new("RGBA", (8, 8), (51, 102, 153, 204)).save(tmp_path / "a.png")
    assert task.preprocess([tmp_path / "a.png"]).images[0, :, 0, 0].tolist() == pytest.approx(
        [(value - 0.5) / 0.5 for value in (0.2, 0.4, 0.6, 0.8)]
    )
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    with pytest.raises(ImageError, match=r"b\.png has 3 channels, but 4 are wanted"):
        task.predict(tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as image:
        assert task.predict(image)[0].scores == task.predict(tmp_path / "a.png")[0].scores


def test_results_are_plain_and_drawable(pico: Task, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (1, 2, 3)).save(tmp_path / "a.png")
    result = pico.predict(tmp_path / "a.png")[0]
    values = result.to_dict()
    assert values["path"] == str(tmp_path / "a.png")
    assert values["size"] == [30, 40]
    assert [row["name"] for row in values["classes"]] == list(result.names)
    assert sum(row["score"] for row in values["classes"]) == pytest.approx(1)
    drawn = result.draw(Image.open(tmp_path / "a.png"))
    assert drawn.height > 30
    assert drawn.width >= 40
    with pytest.raises(AttributeError):
        result.path = "other"
