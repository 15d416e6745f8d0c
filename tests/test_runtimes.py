"""Other runtimes answer as torch does: any batch, any size, several views; and say what they cannot."""

from __future__ import annotations

import gc
import itertools
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import swinkit
from swinkit.config.predict import PredictConfig
from swinkit.deploy import graphs, quantising, runtimes
from swinkit.deploy.runtimes import SIZES, in_runtime
from swinkit.errors import ConfigError, DataError
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
    with pytest.raises(ConfigError, match="`precision` is that of `runtime=openvino`"):
        swinkit.predict(task, picture, precision="bf16")
    detector = swinkit.create("faster_rcnn_swin_nano", 2)
    with pytest.raises(ConfigError, match="`runtime` is for classify and video and segment"):
        swinkit.predict(detector, picture, runtime="openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"pip install 'swinkit\[openvino\]'"):
        list(swinkit.predict(task, picture, runtime="openvino", progress=False))


def test_where_nothing_is_answered_an_older_file_stays(
    picture: Path, tmp_path: Path, swin: Swin, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, older = swinkit.save(classifier(), tmp_path / "m.safetensors"), tmp_path / "results.json"
    older.write_text("[1]")
    monkeypatch.setitem(sys.modules, "openvino", None)
    ended = swin("predict", file, picture, "--runtime", "openvino", "--json", older, "--overwrite")
    assert ended.code == 2
    assert "pip install 'swinkit[openvino]'" in ended.err
    assert ended.out == ""
    assert older.read_text() == "[1]"


def test_a_signal_after_several_networks() -> None:
    """OpenVINO's plugins put a stack for signals into use, and must not leave one that is gone."""
    kept = [graphs.openvino_graph(torch.nn.Linear(2, 2), torch.zeros(1, 2)) for _ in range(3)]
    while kept:
        kept.pop(0)
        gc.collect()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


# --- int8 -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine pictures, and one that is broken."""
    rng = np.random.default_rng(1)
    (tmp_path / "like").mkdir()
    for i in range(9):
        Image.fromarray(rng.integers(0, 255, (30, 30, 3), np.uint8)).save(tmp_path / "like" / f"{i}.png")
    (tmp_path / "like" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "like"


INT8 = {"runtime": "openvino", "precision": "int8"}


def test_int8_is_measured_on_pictures(picture: Path, folder: Path, capsys: pytest.CaptureFixture) -> None:
    """Near to fp32; how often it decides alike is said."""
    task = classifier()
    (wanted,) = swinkit.predict(task, picture, progress=False)
    asked = {**INT8, "calibration": str(folder), "force": True, "progress": False}
    (found,) = swinkit.predict(task, picture, **asked)
    scores = dict(zip(found.names, found.scores, strict=True))
    assert [scores[name] for name in wanted.names] == pytest.approx(wanted.scores, abs=0.1)
    assert found.scores != wanted.scores
    assert "% of 4 images of" in capsys.readouterr().err


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Instead of NNCF what gives the right logits but for the inputs that are numbered in the list."""
    wrong: list[int] = []
    seen = itertools.count()

    def compiled(module: torch.nn.Module) -> object:
        @torch.no_grad()
        def run(x: np.ndarray) -> np.ndarray:
            logits = module(torch.from_numpy(x))
            for row in logits:
                if next(seen) in wrong:
                    row.copy_(-row)
            return logits.numpy()

        return run

    kit = SimpleNamespace(
        set_log_level=lambda level: None,
        quantize=lambda module, data, **_: module,
        Dataset=list,
        ModelType=SimpleNamespace(TRANSFORMER=None),
    )
    monkeypatch.setattr(quantising, "library", lambda *_: kit)
    monkeypatch.setattr(quantising, "converted", lambda module, example: module)
    monkeypatch.setattr(quantising, "compiled", compiled)
    return wrong


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("multi_label", [False, True])
def test_int8_that_answers_otherwise_is_refused(
    careless: list[int], folder: Path, multi_label: bool, batch: int, capsys: pytest.CaptureFixture
) -> None:
    task = classifier()
    task.multi_label = multi_label
    x = random(batch, 3, 24, 24)
    asked = {**INT8, "calibration": str(folder)}
    in_runtime(task, PredictConfig(**asked))(x)
    assert "int8 answers as fp32 does on 100.0% of 4 images" in capsys.readouterr().err
    careless += range(4, 100)
    with pytest.raises(ConfigError, match=r"on 0.0% of 4 images of .*, and 99% are asked for: give `prec"):
        in_runtime(task, PredictConfig(**asked))(x)
    in_runtime(task, PredictConfig(**asked, force=True))(x)
    assert "on 0.0% of 4 images" in capsys.readouterr().err


def test_int8_needs_pictures(folder: Path, tmp_path: Path, picture: Path) -> None:
    task = classifier()
    with pytest.raises(ConfigError, match="int8 needs `calibration`"):
        swinkit.predict(task, picture, **INT8)
    with pytest.raises(ConfigError, match="`calibration` is for int8"):
        swinkit.predict(task, picture, runtime="openvino", calibration=str(folder))
    with pytest.raises(ConfigError, match="`force` is for `precision=int8`"):
        swinkit.predict(task, picture, force=True)
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "one.png").write_bytes(picture.read_bytes())
    with pytest.raises(ConfigError, match="has 1 images that can be read: int8 needs two at least"):
        swinkit.predict(task, picture, **INT8, calibration=str(tmp_path / "few"))
    with pytest.raises(DataError, match="nowhere"):
        swinkit.predict(task, picture, **INT8, calibration=str(tmp_path / "nowhere"))
    dense = swinkit.create("swin_pico", 3, task="segment", **TINY, img_size=32, channels=8, auxiliary=0)
    with pytest.raises(ConfigError, match="`precision=int8` is for classify and video"):
        swinkit.predict(dense, picture, **INT8, calibration=str(folder))


# --- compile ----------------------------------------------------------------------------------------------


def test_compile_in_predict_and_evaluate(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    task = classifier()
    (wanted,) = swinkit.predict(task, picture, progress=False)
    (found,) = swinkit.predict(task, picture, compile=True, progress=False)
    assert found.scores == pytest.approx(wanted.scores, abs=1e-5)
    assert task.backbone.graphs is None  # the user's own stays as it is
    own = in_runtime(task, PredictConfig(compile=True))
    assert own.backbone.graphs is not None
    assert own.head is task.head
    with pytest.raises(ConfigError, match="`compile` is for `runtime=torch`"):
        swinkit.predict(task, picture, compile=True, runtime="openvino")
    own.backbone = torch.nn.Identity()
    with pytest.raises(ConfigError, match="`compile` is for Swin"):
        in_runtime(own, PredictConfig(compile=True))


def test_bf16_where_the_cpu_has_it(picture: Path) -> None:
    task = classifier()
    answers = swinkit.predict(task, picture, runtime="openvino", precision="bf16", progress=False)
    if not graphs.has_bf16():
        with pytest.raises(ConfigError, match="this CPU has no instructions for it"):
            next(answers)
        return
    wanted = next(iter(swinkit.predict(task, picture, progress=False)))
    assert next(answers).scores == pytest.approx(wanted.scores, abs=0.05)
