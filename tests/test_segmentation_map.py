"""What a map of classes says of itself, and how it is saved and drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from faster_coco_eval.core.mask import decode
from PIL import Image

from swinkit.data.segmentation.label_map import LabelMap
from swinkit.errors import ConfigError
from swinkit.labels import Labels
from swinkit.results import SegmentationMap

LABELS = Labels.of(["sky", "road", "car", "tree"])


@pytest.fixture
def answer() -> SegmentationMap:
    labels = np.zeros((30, 50), np.uint8)
    labels[10:] = 1
    labels[15:20, 5:15] = 2
    return SegmentationMap("a.png", labels, LABELS.names, LABELS.colours)


def test_areas(answer: SegmentationMap) -> None:
    assert answer.size == (30, 50)
    assert list(answer.areas.items()) == [("road", 950), ("sky", 500), ("car", 50)]
    assert answer.lines()[0] == ("road", "63.3%")
    assert answer.mask("car").sum() == 50
    assert answer.mask("tree").sum() == 0
    with pytest.raises(ConfigError, match="did you mean 'car'"):
        answer.mask("cart")


def test_plain_forms(answer: SegmentationMap) -> None:
    read = json.loads(json.dumps(answer.to_dict()))
    assert [(row["id"], row["name"], row["pixels"]) for row in read["classes"]] == [
        (1, "road", 950), (0, "sky", 500), (2, "car", 50),
    ]  # fmt: skip
    rle = read["classes"][2]["rle"]
    assert np.array_equal(decode({**rle, "counts": rle["counts"].encode()}), answer.mask("car"))
    names = [feature["properties"]["name"] for feature in answer.to_geojson()["features"]]
    assert names == ["road", "sky", "car"]


def test_index_picture_is_a_mask_again(answer: SegmentationMap, tmp_path) -> None:
    answer.index_image().save(tmp_path / "a.png")
    assert np.array_equal(LabelMap.plain(4).read(tmp_path / "a.png"), answer.labels)
    colours = dict(zip(LABELS.colours, range(4), strict=True))
    assert np.array_equal(LabelMap(4, colours=colours).read(tmp_path / "a.png"), answer.labels)


def test_drawing(answer: SegmentationMap) -> None:
    picture = Image.new("RGB", (50, 30), (0, 0, 0))
    page = np.asarray(answer.draw(picture, strength=1.0))
    factor = page.shape[1] // 50
    assert factor > 1  # small pictures are enlarged
    assert tuple(page[2, 2]) == LABELS.colours[0]
    assert tuple(page[17 * factor, 8 * factor]) == LABELS.colours[2]
    below = page[30 * factor :].reshape(-1, 3)
    shown = {tuple(pixel) for pixel in below.tolist()}
    assert {LABELS.colours[0], LABELS.colours[1], LABELS.colours[2]} <= shown
    assert LABELS.colours[3] not in shown
    blended = np.asarray(answer.draw(picture, strength=0.5))[2, 2]
    assert np.abs(blended.astype(int) - np.array(LABELS.colours[0]) / 2).max() <= 1


def test_many_classes_stand_in_rows() -> None:
    labels = Labels.of([f"class number {i}" for i in range(40)])
    ids = np.arange(40, dtype=np.uint8).repeat(30).reshape(30, 40)
    page = SegmentationMap("", ids, labels.names, labels.colours).draw(Image.new("RGB", (40, 30)))
    below = np.asarray(page)[30 * (page.width // 40) :]
    assert {tuple(pixel) for pixel in below.reshape(-1, 3).tolist()} >= set(labels.colours)
