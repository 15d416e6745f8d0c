"""The published OWL detectors beside transformers' own: the golden outputs, its processors, its losses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import swinkit
from swinkit.config.common import Views
from swinkit.heads.owl import corners
from swinkit.results import Detections
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from tests.parity.golden import Golden, load_golden

PLAIN = Views()
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def folder_of(golden: Golden, folder: Path, kind: str, **config: Any) -> Path:
    """As transformers would save it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in golden.state.items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps({"model_type": kind, **golden.meta["config"], **config}))
    return folder


class Reference:
    """A reference's outputs, and its file as our model."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.golden = name, load_golden(name)
        self.folder = folder_of(self.golden, folder / name, name)
        model = swinkit.load(self.folder)
        assert isinstance(model, OpenVocabulary)
        self.model = model

    def __getitem__(self, key: str) -> Tensor:
        return self.golden.outputs[key]

    @property
    def given(self) -> dict[str, Tensor]:
        return self.golden.inputs


@pytest.fixture(scope="module", params=["owlvit", "owlv2"])
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return Reference(request.param, tmp_path_factory.mktemp("owl"))


@torch.no_grad()
def test_text_queries(reference: Reference) -> None:
    given = reference.given
    found = reference.model(given["pixel_values"], given["input_ids"], given["attention_mask"])
    for ours, theirs in (
        ("logits", "logits"),
        ("pred_boxes", "pred_boxes"),
        ("class_embeds", "class_embeds"),
        ("image_embeds", "image_embeds"),
        ("objectness", "objectness_logits"),
    ):
        if ours in found or reference.name == "owlv2":
            torch.testing.assert_close(found[ours], reference[f"text/{theirs}"], **CLOSE)
    assert ("objectness" in found) == (reference.name == "owlv2")
    queries = reference["text/text_embeds"]
    again = reference.model(given["pixel_values"], queries=queries)
    torch.testing.assert_close(again["pred_boxes"], reference["text/pred_boxes"], **CLOSE)
    real = reference["text/logits"] > -1e30
    torch.testing.assert_close(again["logits"][real], reference["text/logits"][real], **CLOSE)


@torch.no_grad()
def test_answers(reference: Reference) -> None:
    given, model = reference.given, reference.model
    raw = model(given["pixel_values"], given["input_ids"], given["attention_mask"])
    sizes = [(int(height), int(width)) for height, width in given["target_sizes"].tolist()]
    results = model.limited(score_threshold=reference.golden.meta["threshold"]).postprocess(raw, sizes)
    for i, result in enumerate(results):
        assert isinstance(result, Detections)
        scores, order = reference[f"text/post{i}_scores"].sort(descending=True, stable=True)
        torch.testing.assert_close(torch.from_numpy(result.scores), scores, **CLOSE)
        assert result.labels.tolist() == reference[f"text/post{i}_labels"][order].tolist()
        theirs = reference[f"text/post{i}_boxes"][order]
        torch.testing.assert_close(torch.from_numpy(result.boxes), theirs, atol=1e-2, rtol=1e-4)


@torch.no_grad()
def test_examples(reference: Reference) -> None:
    """Whole pictures as examples, and what is found by them."""
    given, model = reference.given, reference.model
    tokens, grid = model.tokens(given["query_pixel_values"])
    queries, places = model.pick(tokens, grid, None)
    assert places.tolist() == reference["image/query_best_index"][:, 0].tolist()
    torch.testing.assert_close(queries, reference["image/query_embeds"][:, 0], **CLOSE)
    torch.testing.assert_close(model.embed_example(given["query_pixel_values"]), queries)
    torch.testing.assert_close(
        corners(model.boxes(tokens, grid)), corners(reference["image/query_pred_boxes"]), **CLOSE
    )
    raw = model(given["pixel_values"], queries=queries[:, None])
    torch.testing.assert_close(raw["logits"], reference["image/logits"], **CLOSE)
    torch.testing.assert_close(raw["pred_boxes"], reference["image/target_pred_boxes"], **CLOSE)
    sizes = [(int(height), int(width)) for height, width in given["target_sizes"].tolist()]
    threshold, overlap = (reference.golden.meta[name] for name in ("image_threshold", "nms_threshold"))
    results = model.limited(score_threshold=threshold, nms_threshold=overlap).postprocess(raw, sizes)
    for i, result in enumerate(results):
        assert isinstance(result, Detections)
        scores = torch.from_numpy(result.scores)
        most = scores.max() + 1e-6
        alphas = ((scores - most * 0.1) / (most * 0.9)).clip(0, 1)  # what the reference gives as scores
        shown = alphas > 0
        theirs, order = reference[f"image/post{i}_scores"].sort(descending=True, stable=True)
        torch.testing.assert_close(alphas[shown], theirs, **CLOSE)
        boxes = reference[f"image/post{i}_boxes"][order]
        torch.testing.assert_close(torch.from_numpy(result.boxes)[shown], boxes, atol=1e-2, rtol=1e-4)
