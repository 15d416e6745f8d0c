"""An empty batch gives an empty result, of the shapes that inputs would have."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import swinkit
from swinkit.heads import DENSE_HEADS
from swinkit.tasks.base import Task

TWO = {"embed_dim": 16, "depths": (2, 2), "num_heads": (1, 2)}
FOUR = {"embed_dim": 16, "depths": (1, 2, 1, 1), "num_heads": (1, 1, 1, 1)}


def assert_empty(model: Task, x: Tensor, backend: str) -> None:
    model.backbone.set_attention(backend)
    with torch.inference_mode():
        one, none = model(x), model(x[:0])
        maps = zip(model.backbone(x), model.backbone(x[:0]), strict=True)
    if isinstance(one, Tensor):
        assert none.shape == (0, *one.shape[1:])
        assert none.dtype == one.dtype
    else:
        assert none == []
    for full, empty in maps:
        assert empty.shape == (0, *full.shape[1:])


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("position", [False, True])
def test_classifiers(position: bool, backend: str) -> None:
    model = swinkit.create("swin_t", 5, absolute_position=position, img_size=56, **TWO)
    x = torch.randn(1, 3, 60, 45)
    assert_empty(model, x, backend)
    with torch.inference_mode():
        assert model.embed(x[:0]).shape == (0, 32)
        assert swinkit.optimize(model)(x[:0]).shape == (0, 5)
        maps, weights = model.backbone(x[:0], attend=True)
    assert [len(each) for each in maps] == [0, 0]
    assert [len(each.weights) for each in weights] == [0] * 4
    model.backbone.set_compile()
    assert model(x[:0]).shape == (0, 5)  # no graph for it


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_videos(backend: str) -> None:
    model = swinkit.create("swin3d_t", 5, **TWO)
    x = torch.randn(1, 3, 5, 40, 36)
    assert_empty(model, x, backend)
    with torch.inference_mode():
        assert model.embed(x[:0]).shape == (0, 32)


@pytest.mark.parametrize("head", DENSE_HEADS)
def test_segmentation(head: str) -> None:
    model = swinkit.create("swin_t", 5, task="segment", head=head, channels=16, **FOUR)
    assert_empty(model, torch.randn(1, 3, 64, 96), "auto")


@pytest.mark.parametrize("head", ["mask_rcnn", "faster_rcnn", "cascade_mask_rcnn", "cascade_rcnn"])
def test_detection(head: str) -> None:
    numbers: dict[str, Any] = {"channels": 16, "width": 32, **FOUR}
    model = swinkit.create("swin_t", 5, task="detect", head=head, **numbers)
    assert_empty(model, torch.randn(1, 3, 64, 96), "auto")


def test_open_vocabulary() -> None:
    model = swinkit.create("owl_swin_nano", text="nano")
    x, ids = torch.randn(1, 3, 64, 64), torch.ones(3, 8, dtype=torch.int64)
    with torch.inference_mode():
        queries = torch.randn(3, model.dim)
        results = [(model(x, queries=queries), model(x[:0], queries=queries))]
        results.append((model(x, ids, ids), model(x[:0], ids, ids)))
        none = model(x[:0], ids[:0], ids[:0])
    for full, empty in results:
        assert {name: (0, *value.shape[1:]) for name, value in full.items()} == {
            name: tuple(value.shape) for name, value in empty.items()
        }
    assert none["logits"].shape == (0, results[0][0]["logits"].shape[1], 0)


def test_contrastive() -> None:
    model = swinkit.create("owl_swin_nano", task="contrastive", text="nano")
    x, ids = torch.randn(2, 3, 64, 64), torch.ones(3, 8, dtype=torch.int64)
    with torch.inference_mode():
        assert model(x[:0], ids, ids)["logits"].shape == (0, 3)
        assert model(x, ids[:0], ids[:0])["logits"].shape == (2, 0)
        assert model.embed(x[:0]).shape == (0, model.dim)
