"""COCO's figures beside pycocotools', of boxes and masks; what processes count; files that are written."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from swinkit.data.batch import Batch
from swinkit.data.detection.samples import NO_CLASS, Annotated, Object, annotated
from swinkit.labels import Labels
from swinkit.metrics.detect import FIGURES, DetectionMetric
from swinkit.results import Detections
from swinkit.rle import coco_rle

LABELS = Labels.of(["a", "b", "c", "nowhere"], [3, 11, 40, 41])
SIZE = (240, 320)


def blob(rng: np.random.Generator, box: np.ndarray) -> np.ndarray:
    """An ellipse that fills a box."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    centre, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 0.6)
    return ((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 <= 1


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.uniform(0, (250, 180), (count, 2))
    found = np.concatenate([corners, corners + rng.uniform(2, (200, 160), (count, 2))], 1)
    return found.clip(0, (320, 240) * 2)


def scene(number: int) -> tuple[Annotated, Detections]:
    """A picture with some objects, one of them a crowd, and answers near to them and elsewhere."""
    rng = np.random.default_rng(number)
    true = boxes(rng, int(rng.integers(0, 7)))
    kinds = rng.integers(0, 3, len(true))
    masks = [blob(rng, box) for box in true]
    objects = [
        Object(int(kind), tuple(box), coco_rle(mask), crowd=i == 2, area=float(mask.sum()))
        for i, (kind, box, mask) in enumerate(zip(kinds, true, masks, strict=True))
    ]
    near = true + rng.normal(0, 3, true.shape)
    found = np.concatenate([near, near + 2, boxes(rng, 5)]).clip(0, (320, 240) * 2)
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 0.5)
    labels = np.concatenate([kinds, (kinds + 1) % 3, rng.integers(0, 3, 5)])
    scores = rng.random(len(found)).astype(np.float32)
    order = np.argsort(-scores)
    rles = [coco_rle(blob(rng, box)) for box in found[order]]
    answer = Detections.of(SIZE, found[order].astype(np.float32), scores[order], labels[order], LABELS, rles)
    return annotated(Path(f"{number:03}.jpg"), SIZE, 1000 - number, objects), answer


SCENES = [scene(i) for i in range(30)]


def metric_of(scenes: list[tuple[Annotated, Detections]], **options: Any) -> DetectionMetric:
    metric = DetectionMetric(LABELS, answered, **{"masks": True, "monitor": "mask", **options})
    count_in(metric, scenes)
    return metric


def answered(found: Any, size: tuple[int, int]) -> Detections:
    answer: Detections = found["answer"]
    return answer


def count_in(metric: DetectionMetric, scenes: list[tuple[Annotated, Detections]]) -> None:
    for record, answer in scenes:
        batch = Batch(torch.zeros(1, 3, 1, 1), None, (SIZE,), (str(record.image),), records=(record,))
        metric.update([{"answer": answer}], batch)


def by_pycocotools(scenes: list[tuple[Annotated, Detections]], kind: str, folder: Path) -> COCOeval:
    rows = [
        {"id": 0, "image_id": record.number, "category_id": LABELS.categories[label],
         "bbox": [*box[:2], *(box[2:] - box[:2])], "area": area, "iscrowd": int(crowd), "segmentation": shape}
        for record, _ in scenes
        for label, box, area, crowd, shape in zip(
            record.labels, record.boxes, record.areas, record.crowd, record.shapes, strict=True
        )
    ]  # fmt: skip
    content = {
        "images": [{"id": record.number, "height": SIZE[0], "width": SIZE[1]} for record, _ in scenes],
        "categories": [
            {"id": own, "name": name} for own, name in zip(LABELS.categories, LABELS.names, strict=True)
        ],
        "annotations": [row | {"id": i} for i, row in enumerate(rows, start=1)],
    }
    (folder / "truth.json").write_text(json.dumps(content))
    results = [row for record, answer in scenes for row in answer.to_coco(record.number)]
    if kind == "bbox":
        results = [{k: v for k, v in row.items() if k != "segmentation"} for row in results]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(folder / "truth.json")
        evaluated = COCOeval(truth, truth.loadRes(results), kind)
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    return evaluated


@pytest.mark.parametrize(("ours", "theirs"), [("box", "bbox"), ("mask", "segm")])
def test_figures_are_pycocotools(ours: str, theirs: str, tmp_path: Path) -> None:
    """All twelve, and AP of each class."""
    metric = metric_of(SCENES)
    figures, reference = metric.compute(), by_pycocotools(SCENES, theirs, tmp_path)
    assert figures["images"] == 30
    for name, expected in zip(FIGURES, reference.stats, strict=True):
        assert figures[f"{ours}_{name}"] == pytest.approx(100 * expected, abs=1e-9)
        assert 0 < figures[f"{ours}_{name}"] < 100
    each = metric.details()[f"{ours}_ap_per_class"]
    for i, name in enumerate(LABELS.names):
        precision = reference.eval["precision"][:, :, i, 0, -1]
        valid = precision[precision > -1]
        assert each[name] == (pytest.approx(100 * valid.mean()) if valid.size else None)
    assert each["nowhere"] is None
    assert metric.details()["per_class"] == metric.details()["mask_ap_per_class"]


def test_regions_without_a_class_count_for_nothing(tmp_path: Path) -> None:
    """As groups of every class do by pycocotools: what is found there is neither right nor wrong."""
    scenes, expected = [], []
    for record, answer in SCENES[:12]:
        region = Object(NO_CLASS, (100.0, 60.0, 280.0, 200.0), crowd=True)
        objects = [Object(*values) for values in zip(
            record.labels.tolist(), map(tuple, record.boxes.tolist()), record.shapes, record.crowd.tolist(),
            record.areas.tolist(), strict=True,
        )]  # fmt: skip
        every = [region._replace(label=label) for label in range(3)]
        scenes.append((annotated(record.image, SIZE, record.number, [*objects, region]), answer))
        expected.append((annotated(record.image, SIZE, record.number, [*objects, *every]), answer))
    figures = metric_of(scenes, masks=False, monitor="box").compute()
    theirs = by_pycocotools(expected, "bbox", tmp_path)
    np.testing.assert_allclose([figures[f"box_{name}"] for name in FIGURES], 100 * theirs.stats, atol=1e-9)
    assert figures["box_ap"] != metric_of(SCENES[:12], masks=False, monitor="box").compute()["box_ap"]
    metric_of(scenes).draw(tmp_path)


def test_processes_count_each_picture_once() -> None:
    """Whatever the order and however many have counted, also through a pipe; an empty one adds nothing."""
    whole = metric_of(SCENES).compute()
    parts = [metric_of(SCENES[1::2]), metric_of([]), metric_of(SCENES[::2])]
    first, *others = (pickle.loads(pickle.dumps(part)) for part in parts)
    for other in others:
        first.merge(other)
    assert first.compute() == whole


def test_where_there_is_nothing(tmp_path: Path) -> None:
    record, answer = SCENES[3]
    empty = annotated(record.image, SIZE, 1, [])
    nothing = answer.chosen([])
    assert metric_of([(empty, nothing)]).compute()["box_ap"] == -1
    assert metric_of([(empty, answer)]).compute()["mask_ap"] == -1
    assert metric_of([(record, nothing)]).compute()["box_ap"] == 0
    bare = record._replace(shapes=(None,) * len(record.boxes))
    figures = metric_of([(bare, answer)]).compute()
    assert "mask_ap" not in figures
    assert metric_of([(bare, answer)]).details()["per_class"] == metric_of([(bare, answer)]).details()[
        "box_ap_per_class"
    ]  # fmt: skip
    alone = metric_of([(record, answer)], masks=False, monitor="box").compute()
    assert alone["box_ap"] == figures["box_ap"]


def test_files(tmp_path: Path) -> None:
    """A page to look at; COCO's results with the ids of the data, which pycocotools reads."""
    Image.new("RGB", SIZE[::-1], "grey").save(tmp_path / "003.jpg")
    scenes = [(record._replace(image=tmp_path / record.image.name), answer) for record, answer in SCENES[:5]]
    drawn = metric_of(scenes).draw(tmp_path)
    assert [path.name for path in drawn] == ["predictions.png", "results.json"]
    rows = json.loads(drawn[1].read_text())
    assert {row["image_id"] for row in rows} == {1000 - i for i in range(5)}
    assert {row["category_id"] for row in rows} <= {3, 11, 40}
    reference = by_pycocotools(scenes, "segm", tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        again = COCOeval(reference.cocoGt, reference.cocoGt.loadRes(str(drawn[1])), "segm")
        again.evaluate()
        again.accumulate()
        again.summarize()
    np.testing.assert_allclose(again.stats, reference.stats)
