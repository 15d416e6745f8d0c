"""A URL where a file is needed ends in one clear sentence, wherever it stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Swin, make_set

import swinkit
from swinkit.data.open import open_data
from swinkit.errors import SwinkitError
from swinkit.tasks.open_vocab.queries import parse_example

URL = "https://example.com/folder/a.jpg"
SAID = f"{URL} is a URL, and URLs are not supported"


def coco(*images: dict[str, object]) -> Callable[[Path], Path]:
    def write(root: Path) -> Path:
        rows = [{"id": number, "height": 9, "width": 9, **one} for number, one in enumerate(images)]
        boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 5, 5]} for n in range(len(images))]
        content = {"images": rows, "annotations": boxes, "categories": [{"id": 1, "name": "ant"}]}
        (root / "instances_train.json").write_text(json.dumps(content))
        return root

    return write


def text(name: str, content: str, at: str = "") -> Callable[[Path], Path]:
    def write(root: Path) -> Path:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
        return root / at if at else root / name

    return write


VOC = (
    f"<annotation><filename>{URL}</filename><object><name>ant</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
    "<xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>"
)
HERE = "."


@pytest.mark.parametrize(
    "write",
    [
        text("set.csv", f"path,label\n{URL},ant\nhere.png,bee\n"),
        text("set.csv", f"path,caption\n{URL},an ant\n"),
        text("train.txt", f"{URL} 0\nhere.png 1\n", HERE),
        text("train.txt", f"here.png 1\n{URL} 0\n", HERE),
        text("data.yaml", f"names: [ant]\ntrain: {URL}\n"),
        text("data.yaml", f"names: [ant]\npath: {URL}\ntrain: images\n"),
        text("dataset.yaml", f"classes: [ant, bee]\ntrain: {{images: '{URL}', masks: masks}}\n"),
        text("split.yaml", f"source: {URL}\n"),
    ],
)
def test_urls_that_end_the_reading(write: Callable[[Path], Path], tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "here.png")
    (tmp_path / "split.csv").touch()
    source = write(tmp_path)
    if source.suffix != ".yaml" or source.name != "split.yaml":
        (tmp_path / "split.csv").unlink()
    with pytest.raises(SwinkitError) as error:
        open_data(source)
    assert SAID in str(error.value)


@pytest.mark.parametrize(
    "write",
    [
        coco({"file_name": URL}),
        coco({"coco_url": URL}),
        text("boxes.csv", f"path,xmin,ymin,xmax,ymax,label\n{URL},1,1,5,5,ant\n"),
        text("annotations/a.xml", VOC, HERE),
    ],
)
def test_urls_of_images_with_boxes(write: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(SwinkitError, match="URLs are not supported: download the images") as error:
        open_data(write(tmp_path))
    assert "example.com/folder/a.jpg" in str(error.value)


def test_urls_among_files(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "here.png")
    data = open_data(coco({"file_name": URL}, {"file_name": "here.png"})(tmp_path))
    assert any(f"{URL}'; URLs are not supported" in note for note in data.notes)


@pytest.mark.parametrize("example", [URL, f"ant={URL}", f"{URL}:1,2,3,4", f"{URL}?size=3"])
def test_examples(example: str) -> None:
    with pytest.raises(SwinkitError, match="is a URL"):
        parse_example(example)


def test_commands(swin: Swin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, weights = make_set(tmp_path / "set", {"train": 2, "val": 2}), tmp_path / "m.safetensors"
    swinkit.save(swinkit.create("swin_pico", num_classes=3), weights)
    for part in ("images", "masks"):
        (tmp_path / "pairs" / part).mkdir(parents=True)
        for number in range(2):
            image = Image.fromarray(np.eye(9, dtype=np.uint8))
            image.save(tmp_path / "pairs" / part / f"{number}.png")
    for arguments in (
        ("predict", weights, URL),
        ("predict", weights, data / "val", URL),
        ("predict", weights, data / "val", "--out", URL),
        ("predict", weights, data / "val", "--csv", URL),
        ("evaluate", weights, data, "--real", URL),
        ("evaluate", weights, data, "--classes", URL),
        ("evaluate", weights, data, "--out", URL),
        ("train", data, "--model", "swin_pico", "--recipe", URL),
        ("train", data, "--model", "swin_pico", "--out", URL),
        ("train", tmp_path / "pairs", "--model", "swin_pico", "--label-map", URL),
        ("data", "check", tmp_path / "pairs", "--label-map", URL),
        ("data", "check", data, "--out", "https://example.com/a.png"),
        ("data", "split", URL, "--out", tmp_path / "split"),
        ("data", "split", data, "--out", URL),
    ):
        ended = swin(*arguments)
        assert ended.code in (1, 2), arguments
        assert "is a URL, and URLs are not supported" in ended.err, arguments
    assert not (tmp_path / "https:").exists()
