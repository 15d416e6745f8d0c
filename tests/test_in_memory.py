"""Arrays, tensors and lists of frames where an image or a video is: the same results as from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import swinkit
from swinkit.errors import ClipError, ConfigError, DataError, ImageError
from swinkit.results import Result
from swinkit.tasks.base import Task
from tests.contract import Case
from tests.owls import owl_swin
from tests.test_tasks import EVERY

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
# as Pillow gives them for PNG files of these modes
ARRAYS = {
    "RGB": RGB,
    "L": RGB[..., 0],
    "LA": RGB[..., :2],
    "RGBA": np.dstack([RGB, RGB[..., :1]]),
    "1": RGB[..., 0] > 99,
    "I;16": RGB[..., 0].astype(np.uint16) * 251,
}
CLIP = RNG.integers(0, 256, (9, 30, 42, 3), dtype=np.uint8)
IMAGE_CASES = {name: case for name, case in EVERY.items() if name != "video"}


def as_tensor(array: np.ndarray) -> Tensor:
    """Channels first."""
    return torch.from_numpy(array if array.ndim == 2 else np.moveaxis(array, -1, -3).copy())


def values(result: Result) -> dict[str, Any]:
    return result.to_dict() | {"path": ""}


def only(task: Task, source: Any) -> dict[str, Any]:
    (result,) = task.predict(source)
    return values(result)


@pytest.fixture
def classifier() -> Task:
    torch.manual_seed(0)
    return swinkit.create("swin_pico", 3, img_size=16).eval()


@pytest.mark.parametrize("case", IMAGE_CASES.values(), ids=IMAGE_CASES)
def test_an_image_in_memory_equals_its_png(case: Case, tmp_path: Path) -> None:
    task = case.task()
    for name, array in ARRAYS.items():
        path = tmp_path / f"{name.replace(';', '')}.png"
        Image.fromarray(array).save(path)
        expected = only(task, path)
        assert only(task, array) == expected, name
        assert only(task, as_tensor(array)) == expected, name
        assert only(task, Image.open(path)) == expected, name
    alike = {json.dumps(only(task, array), sort_keys=True) for array in (RGB, RGB[::-1], RGB[:, ::-1])}
    assert len(alike) > 1  # the result depends on the image
    assert only(task, RGB[:, ::-1]) == only(task, np.ascontiguousarray(RGB[:, ::-1]))


@pytest.mark.parametrize("case", IMAGE_CASES.values(), ids=IMAGE_CASES)
def test_a_batch_is_several_images(case: Case) -> None:
    task, other = case.task(), RGB[::-1]
    expected = [only(task, RGB), only(task, other)]
    for batch in ([RGB, other], np.stack([RGB, other]), as_tensor(np.stack([RGB, other]))):
        assert [values(result) for result in task.predict(batch, batch_size=1)] == expected


def test_a_clip_in_memory_equals_its_folder_of_frames(tmp_path: Path) -> None:
    task = EVERY["video"].task()
    for number, frame in enumerate(CLIP):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    expected = only(task, tmp_path)
    frames = [Image.fromarray(frame) for frame in CLIP]
    for clip in (CLIP, as_tensor(CLIP), list(CLIP), frames, [frames], tuple(CLIP), [CLIP], CLIP[None]):
        assert only(task, clip) == expected
    assert len(task.predict([CLIP, frames])) == 2
    assert len(task.predict(np.stack([CLIP, CLIP]))) == 2
    torch.testing.assert_close(task.embed(as_tensor(CLIP)), task.embed([tmp_path]))


def test_frames_of_other_numbers_follow_the_rule_of_the_model() -> None:
    expected = only(EVERY["video"].task(), CLIP)
    task = EVERY["video"].task()
    task.preprocessing = task.preprocessing.with_range((0.0, 1.0))
    given = only(task, (CLIP / 255).astype(np.float64))
    scores = [[row["score"] for row in result["classes"]] for result in (given, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)  # resized frames of 8 bits are rounded


def test_floats_follow_the_value_range(classifier: Task, tmp_path: Path) -> None:
    floats = (RGB / 255).astype(np.float32)
    np.save(tmp_path / "a.npy", floats)
    with pytest.raises(ImageError, match=r"float32 numbers, whose range is not known: .*value_range"):
        classifier.predict(floats)
    (in_memory,) = swinkit.predict(classifier, [floats], value_range=(0, 1), progress=False)
    (from_file,) = swinkit.predict(classifier, tmp_path / "a.npy", value_range=(0, 1), progress=False)
    assert values(in_memory) == values(from_file)


def test_images_of_many_channels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = swinkit.create("swin_pico", 3, img_size=16, in_chans=5)
    array = RNG.integers(0, 256, (20, 24, 5), dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    assert only(task, array) == only(task, as_tensor(array)) == only(task, tmp_path / "a.npy")
    with pytest.raises(ConfigError, match=r"give an array \(H, W, 5\) of type uint8"):
        task.predict(RGB)


def test_an_image_with_opacity_for_four_channels(tmp_path: Path) -> None:
    task = swinkit.create("swin_pico", 3, img_size=16, in_chans=4)
    Image.fromarray(ARRAYS["RGBA"]).save(tmp_path / "a.png")
    expected = only(task, tmp_path / "a.png")
    assert only(task, ARRAYS["RGBA"]) == only(task, Image.open(tmp_path / "a.png")) == expected


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((3, 32, 48), np.uint8), r"shape \(3, 32, 48\) .*array \(H, W, C\) or \(H, W\)"),
        (np.zeros((2, 2, 2, 2, 3), np.uint8), r"shape \(2, 2, 2, 2, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        (np.zeros((4, 4), complex), "complex128 is not an image"),
        (np.array([["a", "b"]]), "is not an image: give uint8"),
        (torch.zeros(32, 48, 3, dtype=torch.uint8), r"give a tensor \(C, H, W\)"),
        (torch.zeros(3, 32, 48), "type float32 is not an image: give uint8"),
        ([None], r"A NoneType is no picture: .*arrays \(H, W, C\)"),
        (5, "A int is no input"),
    ],
)
def test_what_is_no_image(classifier: Task, wrong: Any, said: str) -> None:
    for call in (
        classifier.predict,
        classifier.embed if not isinstance(wrong, Tensor) else classifier.predict,
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            call(wrong)
        assert len(str(caught.value)) < 200


def test_what_is_no_video() -> None:
    task = EVERY["video"].task()
    for wrong in (CLIP[..., :2], np.moveaxis(CLIP, -1, 0), torch.from_numpy(CLIP)):
        with pytest.raises(ConfigError, match="is not a video: give"):
            task.predict(wrong)
    with pytest.raises(ConfigError, match="is no video"):
        task.predict(Image.fromarray(RGB))
    with pytest.raises(ConfigError, match="A str is no frame"):
        task.predict([["a.png", "b.png"]])
    with pytest.raises(ClipError, match="only 1 frame"):
        task.predict([RGB])


def test_predict_names_and_draws_images_in_memory(classifier: Task, tmp_path: Path) -> None:
    given = [RGB, Image.fromarray(RGB[::-1])]
    results = list(
        swinkit.predict(classifier, given, tmp_path / "out", csv=tmp_path / "a.csv", progress=False)
    )
    assert [result.path for result in results] == ["image_1", "image_2"]
    assert [values(result) for result in results] == [values(r) for r in classifier.predict(given)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["image_1.png", "image_2.png"]
    assert (tmp_path / "a.csv").read_text().count("image_2") > 0
    with pytest.raises(ConfigError, match="Some inputs are files and some are in memory"):
        swinkit.predict(classifier, [RGB, "a.png"])
    with pytest.raises(ConfigError, match="`stream` is for files"):
        swinkit.predict(EVERY["video"].task(), CLIP, stream=True)


@pytest.mark.parametrize("name", ["video", "ssformer", "mask_rcnn"])
def test_predict_draws_every_task(name: str, tmp_path: Path) -> None:
    source = [CLIP] if name == "video" else [RGB]
    task = EVERY[name].task(("a", "b", "c"))  # letters of any font
    (result,) = swinkit.predict(task, source, tmp_path, progress=False)
    drawn = [path.name for path in tmp_path.iterdir()]
    assert f"{result.path}.png" in drawn
    assert result.path == ("clip_1" if name == "video" else "image_1")


def test_functions_that_take_no_arrays_say_so(classifier: Task) -> None:
    for call in (
        lambda: swinkit.evaluate(classifier, RGB),  # type: ignore[arg-type]
        lambda: swinkit.train(RGB),  # type: ignore[arg-type]
        lambda: swinkit.check_data(RGB),  # type: ignore[arg-type]
    ):
        with pytest.raises(DataError, match="A ndarray is no path"):
            call()
    with pytest.raises(ConfigError, match="is no model"):
        swinkit.load(RGB)  # type: ignore[arg-type]


def test_examples_in_memory(tmp_path: Path) -> None:
    model = owl_swin()
    Image.fromarray(RGB).save(tmp_path / "a.png")
    box = (2, 3, 20, 28)
    expected = swinkit.embed(model, like={"ball": [(tmp_path / "a.png", box)]})
    for example in ((RGB, box), (as_tensor(RGB), np.array(box))):
        made = swinkit.embed(model, like={"ball": [example]})
        assert torch.equal(made.embeddings, expected.embeddings)
    assert swinkit.embed(model, like=(RGB, RGB)).names == ("example",)
    assert swinkit.embed(model, like=RGB).names == ("example",)
