"""The value range of a data set, from training to prediction: one rule, stored with the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import swinkit
from swinkit.errors import DataError
from tests.conftest import CLASSES, QUICK, Swin

RNG = np.random.default_rng(0)
Array = np.ndarray[Any, Any]


def brightness_set(root: Path, kind: str, scale: float, offset: float = 0.0, suffix: str = "npy") -> Path:
    """Classes that differ in brightness, whose peaks differ from file to file."""
    for part, count in (("train", 10), ("val", 4)):
        for label, name in enumerate(CLASSES):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = RNG.uniform(0.3 * label, 0.3 * label + 0.38, (24, 24, 3))
                pixels[0, 0] = 0.9 + 0.1 * (number % 2)
                values = (offset + scale * pixels).astype(kind)
                if suffix == "npy":
                    np.save(folder / f"{number}.npy", values)
                else:
                    tifffile.imwrite(folder / f"{number}.tif", values, photometric="rgb")
    return root


@pytest.mark.parametrize(
    ("kind", "scale", "offset", "suffix"),
    [
        ("float32", 1.02, 0, "tif"),
        ("int32", 256, 0, "tif"),
        ("float64", 2, -1, "npy"),
        ("int16", 4000, 0, "npy"),
    ],
)
def test_a_range_is_measured_once_and_travels(
    tmp_path: Path, kind: str, scale: float, offset: float, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = brightness_set(tmp_path / "set", kind, scale, offset, suffix)
    run = swinkit.train(data, model="swin_pico", out=tmp_path / "run", epochs=1, **QUICK)
    notes = (tmp_path / "run" / "notes.txt").read_text()
    assert f"images of train hold {kind} values from" in notes
    model = swinkit.load(run.path)
    files = sorted((data / "train").rglob(f"*.{suffix}"))
    every = np.stack([(np.load if suffix == "npy" else tifffile.imread)(file) for file in files])
    stored = model.preprocessing
    assert stored.value_range == (float(every.min()), float(every.max()))
    assert stored.value_range_for == "unbounded"
    one, several = model.preprocess(files[:1]).images, model.preprocess(files[:4]).images
    torch.testing.assert_close(one[0], several[0], rtol=0, atol=0)
    shares = (every[0].astype(np.float64) - every.min()) / (float(every.max()) - float(every.min()))
    expected = (shares.mean((0, 1)) - stored.mean) / stored.std
    np.testing.assert_allclose(one[0].mean((1, 2)), expected, atol=0.1)


def test_stated_ranges_hold_in_training_and_prediction(
    tmp_path: Path, swin: Swin, capsys: pytest.CaptureFixture[str]
) -> None:
    data = brightness_set(tmp_path / "set", "uint16", 4095)
    quick = ("--epochs", "1", "--img-size", "16", "--batch-size", "8", "--workers", "0")
    done = swin(
        *("train", data, "--model", "swin_pico", "--out", tmp_path / "run"),
        *("--value-range", "0", "2000", *quick),
    )
    assert done.code == 0, done.out
    notes = (tmp_path / "run" / "notes.txt").read_text()
    assert "0 becomes black and 2000 white" in notes
    assert "values outside are clipped" in notes
    model = swinkit.load(tmp_path / "run")
    assert model.preprocessing.value_range == (0, 2000)
    image = data / "val" / CLASSES[1] / "0.npy"
    expected = (np.load(image).clip(0, 2000) / 2000 - model.preprocessing.mean) / model.preprocessing.std
    crops = model.preprocess([image]).images
    assert abs(float(crops.mean()) - expected.mean()) < 0.05
    told = swin("predict", tmp_path / "run", image, "--no-progress")
    assert "values in 1 images lie outside of the value range and were clipped" in told.err
    for low, high in (("0", "4095"), ("-1000", "4095")):
        quiet = swin("predict", tmp_path / "run", image, "--value-range", low, high, "--no-progress")
        assert (quiet.code, "outside" in quiet.err) == (0, False)
    assert model.preprocessing.value_range == (0, 2000)


def test_a_model_without_a_range_refuses_to_guess(tmp_path: Path, swin: Swin) -> None:
    swinkit.save(swinkit.create("swin_pico", classes=CLASSES, img_size=16), tmp_path / "m.safetensors")
    Image.fromarray(RNG.uniform(0, 1, (20, 20)).astype(np.float32)).save(tmp_path / "x.tif")
    refused = swin("predict", tmp_path / "m.safetensors", tmp_path / "x.tif")
    assert refused.code == 1
    assert "value-range" in refused.out
    stated = swin("predict", tmp_path / "m.safetensors", tmp_path / "x.tif", "--value-range", "0", "1")
    assert stated.code == 0
    wrong = swin("predict", tmp_path / "m.safetensors", tmp_path / "x.tif", "--value-range", "1", "0")
    assert (wrong.code, "give two finite numbers" in wrong.err) == (2, True)


def test_evaluation_counts_what_it_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = brightness_set(tmp_path / "set", "float32", 1.0)
    model = swinkit.create("swin_pico", classes=CLASSES, img_size=16)
    with pytest.raises(DataError, match="float32 numbers"):
        swinkit.evaluate(model, data, workers=0)
    swinkit.evaluate(model, data, workers=0, value_range=(0, 0.5))
    assert "in 12 images lie outside of the value range" in " ".join(capsys.readouterr().err.split())


def test_images_in_memory_follow_the_rule() -> None:
    """PIL images of 16 bits and floats, as files do."""
    model = swinkit.create("swin_pico", classes=CLASSES, img_size=16)
    wide = Image.fromarray(np.full((16, 16), 25700, np.uint16))
    plain = Image.fromarray(np.full((16, 16), 100, np.uint8))
    torch.testing.assert_close(model.preprocess([wide]).images, model.preprocess([plain]).images)
    model.preprocessing = model.preprocessing.with_range((0, 1))
    floats = Image.fromarray(np.full((16, 16), 100 / 255, np.float32))
    mean = (100 / 255 - np.array(model.preprocessing.mean)) / model.preprocessing.std
    np.testing.assert_allclose(model.preprocess([floats]).images[0, :, 4, 4], mean, rtol=1e-5)


def paired_set(root: Path, task: str, kind: str, scale: float) -> Path:
    """TIFFs of more than 8 bits with masks, or with YOLO's boxes."""
    for number in range(4):
        values = (RNG.uniform(0, 1, (48, 40, 3)) * scale).astype(kind)
        values[0, 0] = scale  # the largest value of every file
        for folder in ("images", "masks" if task == "segment" else "labels"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(root / "images" / f"{number}.tif", values, photometric="rgb")
        if task == "segment":
            mask = np.repeat(np.arange(48)[:, None] // 24, 40, 1).astype(np.uint8)
            Image.fromarray(mask).save(root / "masks" / f"{number}.png")
        else:
            (root / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    if task == "detect":
        (root / "classes.txt").write_text("square\n")
    return root


@pytest.mark.parametrize(("task", "kind", "scale"), [("segment", "uint16", 4095), ("detect", "float32", 1.5)])
def test_ranges_of_segmenters_and_detectors(
    task: str, kind: str, scale: float, tmp_path: Path, swin: Swin, capsys: pytest.CaptureFixture[str]
) -> None:
    data = paired_set(tmp_path / "set", task, kind, scale)
    stated = {"value_range": (0, scale)} if kind == "uint16" else {}
    options = {"epochs": 1, "batch_size": 2, "workers": 0, "device": "cpu", "progress": False}
    swinkit.train(data, model="swin_pico", task=task, out=tmp_path / "run", img_size=32, **options, **stated)
    model = swinkit.load(tmp_path / "run")
    _low, high = model.preprocessing.value_range
    assert high == pytest.approx(scale)
    # more levels than 8 bits have reach the model, on the scale of the stored range
    crops = model.preprocess([data / "images" / "0.tif"]).images
    levels = (crops[0, 0] * model.preprocessing.std[0] + model.preprocessing.mean[0]).unique()
    assert len(levels) > 256
    assert -0.01 <= float(levels.min()) < 0.2
    assert 0.8 < float(levels.max()) <= 1.01
    beyond = tmp_path / "beyond.tif"
    values = np.full((70, 90, 3), scale * 0.5).astype(kind)
    values[5:15, 20:60, 1] = scale * 2
    tifffile.imwrite(beyond, values, photometric="rgb")
    for tile in ((), ("--tile", "32")):
        told = swin("predict", tmp_path / "run", beyond, "--no-progress", *tile)
        assert told.code == 0, told.err
        assert "400 values in 1 images lie outside of the value range" in told.err


def test_clips_count_their_own_clipped_values(tmp_path: Path) -> None:
    towers = {"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 2), "window": (2, 4, 4)}
    model = swinkit.create("swin3d_pico", 2, img_size=(4, 32, 32), **towers)
    model.preprocessing = model.preprocessing.model_copy(update={"value_range": (0.0, 1000.0)})
    clip = model.preprocessing.clip
    (tmp_path / "frames").mkdir()
    for number in range(clip.frames * clip.stride):
        values = np.full((40, 40, 3), 500, np.uint16)
        values[0, :10] = 2000  # 30 values of each frame
        tifffile.imwrite(tmp_path / "frames" / f"{number}.tif", values, photometric="rgb")
    within = np.full((8, 40, 40, 3), 100, np.uint8)
    folder = str(tmp_path / "frames")
    assert model.preprocess([folder]).clipped == (30 * clip.frames, 1)
    assert model.preprocess([folder, within]).clipped == (30 * clip.frames, 1)
    assert model.preprocess([folder, within, folder]).clipped == (60 * clip.frames, 2)
