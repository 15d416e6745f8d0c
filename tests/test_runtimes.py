"""Other runtimes answer as torch does: any batch, any size, several views; and say what they cannot."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import swinkit
from swinkit.config import PredictConfig
from swinkit.deploy import runtimes
from swinkit.deploy.runtimes import SIZES, in_runtime
from swinkit.errors import ConfigError
from swinkit.tasks.base import Task
from tests.conftest import Swin
from tests.core.tiny import noisy, random

TINY = {"embed_dim": 8, "depths": (1, 2), "num_heads": (1, 2), "window": 4}
OTHERS = ("openvino", "onnxruntime")


def classifier(**more: object) -> Task:
    return noisy(swinkit.create("swin_pico", 5, **TINY, img_size=24, **more)).eval()


def at_work(task: Task, runtime: str) -> Task:
    return in_runtime(task, PredictConfig(runtime=runtime))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.mark.parametrize("runtime", OTHERS)
def test_the_same_logits(runtime: str) -> None:
    task = classifier()
    own = at_work(task, runtime)
    with torch.no_grad():
        for batch in (2, 1):
            x = random(batch, 3, 24, 24)
            torch.testing.assert_close(own(x), task(x), atol=1e-4, rtol=1e-4)
        views = random(2, 3, 3, 24, 24)
        torch.testing.assert_close(own(views), task(views), atol=1e-4, rtol=1e-4)
    assert type(task).forward is type(own).forward  # the user's own stays as it is
    assert "forward" not in vars(task)


def test_a_size_that_windows_do_not_fit() -> None:
    task, x = classifier(), random(1, 3, 30, 26)
    with torch.no_grad():
        torch.testing.assert_close(at_work(task, "openvino")(x), task(x), atol=1e-4, rtol=1e-4)


def test_a_video_model_and_a_segmentation_model() -> None:
    video = noisy(
        swinkit.create("swin3d_pico", 3, embed_dim=8, depths=(1, 1), num_heads=(1, 2), img_size=(4, 16, 16))
    ).eval()
    dense = noisy(
        swinkit.create("swin_pico", 3, task="segment", **TINY, img_size=32, channels=8, auxiliary=0)
    ).eval()
    for task, x in ((video, random(1, 3, 4, 16, 16)), (dense, random(1, 3, 32, 40))):
        with torch.no_grad():
            wanted = task(x)
            found = at_work(task, "openvino")(x)
        torch.testing.assert_close(found, wanted, atol=1e-3 * wanted.abs().max().item(), rtol=0)


def test_a_smaller_batch_makes_no_graph_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[int, ...]] = []

    def build(module: torch.nn.Module, example: torch.Tensor) -> object:
        built.append(tuple(example.shape))
        return lambda x: np.zeros((len(x), 5), np.float32)

    monkeypatch.setattr(runtimes, "onnxruntime_graph", build)
    own = at_work(classifier(), "onnxruntime")
    for batch in (3, 1, 2, 4, 4):
        assert len(own(random(batch, 3, 24, 24))) == batch
    assert built == [(3, 3, 24, 24), (4, 3, 24, 24)]
    for side in range(25, 25 + SIZES):
        own(random(1, 3, side, 24))
    own(random(1, 3, 24, 24))  # is gone by now
    assert len(built) == 2 + SIZES + 1


def test_several_threads() -> None:
    task = classifier()
    own = at_work(task, "openvino")
    inputs = [random(1, 3, 24, 24, seed=i) for i in range(12)]
    found: dict[int, torch.Tensor] = {}

    def answer(number: int) -> None:
        for i in range(number, 12, 3):
            found[i] = own(inputs[i])

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with torch.no_grad():
        for i, x in enumerate(inputs):
            torch.testing.assert_close(found[i], task(x), atol=1e-4, rtol=1e-4)


def test_verbs(picture: Path, tmp_path: Path, swin: Swin) -> None:
    file = swinkit.save(classifier(), tmp_path / "m.safetensors")
    (wanted,) = swinkit.predict(file, picture, progress=False)
    (found,) = swinkit.predict(file, picture, runtime="openvino", progress=False)
    assert found.names == wanted.names
    assert found.scores == pytest.approx(wanted.scores, abs=1e-4)
    for name in "01234":
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "a.png").write_bytes(picture.read_bytes())
    known = swinkit.evaluate(file, tmp_path / "set", progress=False)
    figures = swinkit.evaluate(file, tmp_path / "set", runtime="openvino", progress=False)
    assert figures == pytest.approx(known, abs=1e-2)
    assert swin("predict", file, picture, "--runtime", "tensorrt").code == 2


def test_auto_is_openvino_where_it_is_installed_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "forward" in vars(at_work(classifier(), "auto"))
    assert "forward" not in vars(at_work(swinkit.create("faster_rcnn_swin_nano", 2), "auto"))
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    assert "forward" not in vars(at_work(classifier(), "auto"))


def test_what_cannot_be(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = classifier()
    with pytest.raises(ConfigError, match="precision is that of runtime openvino"):
        swinkit.predict(task, picture, precision="bf16")
    detector = swinkit.create("faster_rcnn_swin_nano", 2)
    with pytest.raises(ConfigError, match="runtime is for classify and video and segment"):
        swinkit.predict(detector, picture, runtime="openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"pip install 'swinkit\[openvino\]'"):
        list(swinkit.predict(task, picture, runtime="openvino", progress=False))


def test_bf16_where_the_cpu_has_it(picture: Path) -> None:
    import openvino

    task = classifier()
    answers = swinkit.predict(task, picture, runtime="openvino", precision="bf16", progress=False)
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(ConfigError, match="this CPU has no instructions for it"):
            next(answers)
        return
    wanted = next(iter(swinkit.predict(task, picture, progress=False)))
    assert next(answers).scores == pytest.approx(wanted.scores, abs=0.05)
