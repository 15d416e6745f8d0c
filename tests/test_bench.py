"""The compared table: every row's parameters and multiply-adds beside the published ones; its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import swinkit
from swinkit.bench import classification, scaling, segmentation
from swinkit.bench.backbones import DilatedResNet, PlainViT
from swinkit.bench.clock import in_turns
from swinkit.bench.rows import Row, chosen, count, macs_of
from swinkit.bench.segmentation import ROWS
from swinkit.errors import ConfigError
from tests.conftest import Swin, draw_picture

# parameters of the official code's models (../shared/golden/counts.json), and GMACs by fvcore there
OFFICIAL = {
    "FCN": (68_590_732, 276.1),
    "DeepLabV3+": (62_682_876, 255.7),
    "DMNet": (72_268_940, 274.3),
    "PSPNet": (68_068_492, 256.9),
    "PSANet": (73_057_420, 274.0),
    "SETR-PUP": (317_291_096, 426.0),
    "Swin-B (UPerNet)": (121_279_716, 299.6),
    "SSformer": (87_539_790, 93.2),
    "Swin-T (UPerNet)": (59_941_862, 237.3),
    "Swin-S (UPerNet)": (81_259_766, 261.1),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_the_published_models(name: str) -> None:
    """fvcore counts norms and resizing too, which is up to 2.2 % more."""
    row = ROWS[name]
    found = count(name, row)
    params, macs = OFFICIAL[name]
    assert found.params == params
    assert row.params == pytest.approx(params / 1e6, rel=0.01)
    assert 0.975 < found.macs / 1e9 / macs <= 1.0


def test_rows_by_name() -> None:
    assert list(chosen([], ROWS)) == list(ROWS)
    assert list(chosen(["ssformer", "FCN"], ROWS)) == ["FCN", "SSformer"]
    with pytest.raises(ConfigError, match=r"no row 'PSPnett': did you mean 'PSPNet'"):
        chosen(["PSPnett"], ROWS)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    build = partial(
        swinkit.create,
        "swin_pico",
        150,
        task="segment",
        img_size=64,
        embed_dim=8,
        depths=(1, 1),
        num_heads=(1, 2),
    )
    monkeypatch.setattr(segmentation, "ROWS", {"one": Row(build, 64, 1.0, 2.0, 3.0), "two": Row(build, 64)})


def test_the_command(small: None, swin: Swin, tmp_path: Path) -> None:
    place = tmp_path / "figures.json"
    ended = swin("compare", "segmentation", "--rounds", "2", "--device", "cpu", "--json", place)
    assert ended.code == 0
    assert "median of 2 rounds" in ended.out
    rows: list[dict[str, Any]] = json.loads(place.read_text())
    assert [row["model"] for row in rows] == ["one", "two"]
    published = {"params_m": 1.0, "gflops": 2.0, "images_per_second": None, "miou": 3.0}
    assert rows[0]["published"] == published
    assert rows[1]["published"] == dict.fromkeys(published)
    for row in rows:
        assert len(row["images_per_second"]) == 2
        assert min(row["images_per_second"]) > 0
    ended = swin("compare", "segmentation", "two", "--rounds", "0")
    assert (ended.code, "one" in ended.out.split("│")) == (0, False)
    assert swin("compare", "segmentation", "three").code == 2


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    for build in (DilatedResNet, PlainViT):
        with pytest.raises(ConfigError, match=r"pip install swinkit\[compare\]"), torch.device("meta"):
            build()


@pytest.mark.parametrize("name", classification.ROWS)
def test_rows_of_classification_are_the_published_models(name: str) -> None:
    """Parameters within rounding; GFLOPs by other counters, which leave out what attention multiplies."""
    row = classification.ROWS[name]
    found = count(name, row)
    assert row.params == pytest.approx(found.params / 1e6, rel=0.03, abs=0.6)
    assert row.gflops == pytest.approx(found.macs / 1e9, rel=0.06)


def test_ratios_are_taken_within_a_round() -> None:
    rows = ("Swin-T", "DeiT-S")
    found = [classification.Measured(name, classification.ROWS[name], 1, 1) for name in rows]
    found[0].rates, found[1].rates = [1.0, 2.0, 4.0], [2.0, 6.0, 8.0]
    lines = classification.cells(found)
    assert [line[7] for line in lines] == ["1.00", "2.00"]
    assert [line[8] for line in lines] == ["1.00", "1.25"]  # 940.4 / 755.2
    assert classification.cells(found[1:])[0][7] == ""


@pytest.mark.parametrize("name", scaling.BUILD)
def test_formulas_are_what_the_models_cost(name: str) -> None:
    """All but patches, merging and head, which the formulas leave out."""
    for size in (224, 448):
        with torch.device("meta"):
            model, x = scaling.BUILD[name](size).eval(), torch.empty(1, 3, size, size)
        counted = macs_of(model, x)
        assert 0.93 < scaling.FORMULAS[name](size) / counted < 1.0


def test_scaling(swin: Swin, tmp_path: Path) -> None:
    picture, figures = tmp_path / "scaling.png", tmp_path / "scaling.json"
    words = ("--sizes", "64", "96", "--rounds", "1", "--device", "cpu", "--out", picture, "--json", figures)
    ended = swin("compare", "scaling", *words)
    assert ended.code == 0, ended.err
    points: list[dict[str, Any]] = json.loads(figures.read_text())
    assert [(point["model"], point["size"]) for point in points] == [
        (name, size) for size in (64, 96) for name in ("Swin-T", "ViT-S/16")
    ]
    for point in points:
        assert len(point["seconds"]) == 1
        assert point["seconds"][0] > 0
        assert point["memory_bytes"] is None or point["memory_bytes"] > 50e6
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 500
    assert swin("compare", "scaling", "--sizes", "100").code == 2
    assert swin("compare", "scaling", "--out", tmp_path / "scaling.txt").code == 2


def test_turns_are_taken() -> None:
    seen: list[str] = []
    steps = [partial(seen.append, name) for name in "abc"]
    taken = in_turns(steps, torch.device("cpu"), rounds=2)
    assert "".join(seen) == "abc" + "cba" + "abc"
    assert [len(own) for own in taken] == [2, 2, 2]


PEAKS = """
import torch
from swinkit.bench.clock import peak_memory
cpu = torch.device("cpu")
for step in (lambda: None, lambda: torch.ones(50_000_000).sum(), lambda: None):
    print(peak_memory(step, cpu))
"""


def test_peak_memory_is_that_of_the_step() -> None:
    """In a process of its own, whose memory nothing else moves."""
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    small, large, again = done.stdout.split()
    if small == "None":  # not Linux
        assert large == again == "None"
    else:
        assert int(large) - int(small) > 190e6
        assert int(again) - int(small) < 50e6


def test_benchmark(swin: Swin, tmp_path: Path) -> None:
    words = ("--batch-size", "1", "3", "--size", "24", "28", "--precision", "fp32", "bf16", "--rounds", "3")
    ended = swin("benchmark", "swin_pico", *words, "--device", "cpu", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert "0.2 M parameters; 0.01 GMAC at 3×24×24, 0.02 GMAC at 3×28×28" in ended.out
    report: dict[str, Any] = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert report["model"] == "swin_pico"
    assert report["macs"]["3×28×28"] == 17_386_624
    assert [(cell["size"][-1], cell["batch_size"], cell["precision"]) for cell in report["cells"]] == [
        (size, batch, precision) for size in (24, 28) for batch in (1, 3) for precision in ("fp32", "bf16")
    ]
    for cell in report["cells"]:
        low, high = cell["latency_ms_quartiles"]
        assert 0 < low <= cell["latency_ms"] <= high
        assert cell["throughput"] == pytest.approx(1000 * cell["batch_size"] / cell["latency_ms"])
        assert (cell["runtime"], cell["compiled"], cell["rounds"]) == ("torch", False, 3)
    with Image.open(tmp_path / "out" / "benchmark.png") as drawn:
        assert drawn.size[0] > 500


def test_benchmark_of_a_model_beside_another_runtime() -> None:
    model = swinkit.create("swin_pico", 3, embed_dim=8, depths=(1, 1), num_heads=(1, 2))
    report = swinkit.benchmark(
        model, runtime=("torch", "onnxruntime", "auto"), rounds=1, device="cpu", progress=False
    )
    assert [cell["runtime"] for cell in report["cells"]] == ["torch", "onnxruntime", "openvino"]
    (cell,) = swinkit.benchmark(model, runtime="torch", size=24, batch_size=2, rounds=1, progress=False)[
        "cells"
    ]
    assert (cell["size"], cell["batch_size"]) == ([3, 24, 24], 2)
    assert all(parameter.requires_grad for parameter in model.parameters())
    for options, said in (
        ({"runtime": ("onnxruntime",), "precision": ("bf16",)}, "precision=bf16 goes with none"),
        ({"precision": ("int8",)}, "int8 needs `calibration`"),
        ({"precision": ("int8",), "calibration": "x"}, "precision=int8 goes with none .* openvino computes"),
        ({"calibration": "x"}, "`calibration` is for int8"),
        ({"force": True}, "`force` is for `precision=int8`"),
        ({"rounds": 0}, "rounds"),
        ({"batch_size": (0,)}, "batch_size"),
    ):
        with pytest.raises(ConfigError, match=said):
            swinkit.benchmark(model, progress=False, **options)


def test_benchmark_of_int8_beside_torch(swin: Swin, tmp_path: Path) -> None:
    """Each runtime in the precisions that it has; int8 by the inputs of a folder, at their own size."""
    rng = np.random.default_rng(0)
    for i in range(4):
        draw_picture(i % 3, rng).save(tmp_path / f"{i}.png")
    words = (
        "--runtime",
        "torch",
        "openvino",
        "--precision",
        "fp32",
        "int8",
        "--force",
        "--calibration",
        tmp_path,
    )
    more = ("--rounds", "1", "--device", "cpu", "--out", tmp_path / "out")
    ended = swin("benchmark", "swin_pico", *words, *more)
    assert ended.code == 0, ended.err
    assert "% of 2 images of" in ended.err
    report = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    ways = [(cell["runtime"], cell["precision"]) for cell in report["cells"]]
    assert ways == [("torch", "fp32"), ("openvino", "fp32"), ("openvino", "int8")]
    ended = swin("benchmark", "swin_pico", *words, "--size", "64")
    assert ended.code == 2
    assert "give no size" in ended.err


def test_benchmark_compiles_as_predict_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    model = swinkit.create("swin_pico", 3, embed_dim=8, depths=(1, 1), num_heads=(1, 2))
    report = swinkit.benchmark(model, compile=True, batch_size=(1, 2), rounds=1, device="cpu", progress=False)
    assert [cell["compiled"] for cell in report["cells"]] == [False, True] * 2
    assert model.backbone.graphs is None


@pytest.mark.parametrize("words", [("--batch-size", 2**31), ("--size", 2**31), ("--batch-size", 10**23)])
def test_inputs_beyond_any_memory(swin: Swin, tiny_file: Path, words: tuple[str, int]) -> None:
    end = swin("benchmark", tiny_file, "--rounds", "1", "--no-progress", *map(str, words))
    assert (end.code, "has no room: give a smaller size or batch" in end.err) == (2, True)
