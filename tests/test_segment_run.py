"""Pictures with masks from folder to answer: trained, resumed, measured, predicted, checked; bad input."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from faster_coco_eval.core.mask import decode
from PIL import Image

import swinkit
from swinkit.api import check_data
from swinkit.config.common import Masks
from swinkit.data.io.video import open_footage
from swinkit.data.segmentation.check import MaskReport
from swinkit.errors import ConfigError, DataError, InterruptedRunError
from swinkit.results import Failure, SegmentationMap, SegmentedVideo
from swinkit.tasks.segment import Segmenter
from swinkit.training.callbacks import ModelFiles
from swinkit.training.run_folder import Run
from tests.conftest import QUICK, Swin
from tests.engine.test_train import send_at
from tests.films import write_damaged, write_video

NAMES = ("sky", "ground", "box, red")
OPTIONS = {key: QUICK[key] for key in ("workers", "device", "progress")}
START: dict[str, Any] = {
    "model": "swin_pico", "img_size": 48, "head": "ssformer", "channels": 16, "epochs": 6, "lr": 2e-3,
    "batch_size": 8, "average": "valid", **OPTIONS, "precision": "fp32",
}  # fmt: skip


def scene(rng: np.random.Generator, height: int = 48, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Sky over ground, red boxes on it; values 0, 10 and 20, a column of 255 that counts for nothing."""
    mask = np.zeros((height, width), np.uint8)
    mask[rng.integers(height // 3, 2 * height // 3) :] = 10
    for _ in range(2):
        top, left = rng.integers(4, height - 20), rng.integers(4, width - 20)
        mask[top : top + 14, left : left + 14] = 20
    colours = np.zeros((21, 3), np.uint8)
    colours[[0, 10, 20]] = (70, 110, 220), (60, 160, 60), (210, 50, 40)
    pixels = (colours[mask] * 0.8 + rng.integers(0, 50, (height, width, 3))).astype(np.uint8)
    mask[:, -3:] = 255
    return pixels, mask


def make_scenes(root: Path, counts: dict[str, int]) -> Path:
    rng = np.random.default_rng(0)
    for part, count in counts.items():
        for kind in ("images", "masks"):
            (root / kind / part).mkdir(parents=True)
        for i in range(count):
            pixels, mask = scene(rng)
            Image.fromarray(pixels).save(root / "images" / part / f"{i}.png")
            Image.fromarray(mask).save(root / "masks" / part / f"{i}.png")
    (root / "dataset.yaml").write_text('classes: {0: sky, 10: ground, 20: "box, red"}\nignored: [255]\n')
    return root


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 scenes to train, 8 to validate, 4 to test. Not to be changed: copy it."""
    return make_scenes(tmp_path_factory.mktemp("scenes") / "set", {"train": 32, "val": 8, "test": 4})


@pytest.fixture(scope="module")
def run(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Its folder is not to be changed: copy it."""
    return swinkit.train(scenes, out=tmp_path_factory.mktemp("runs") / "run", **START)


def test_training_learns_and_leaves_a_whole_run_folder(run: Run, scenes: Path) -> None:
    assert run.metrics["miou"] > 60
    assert {"macc", "aacc", "images", "test_miou", "test_images"} <= run.metrics.keys()
    assert isinstance(run.model, Segmenter)
    assert run.model.classes == NAMES
    assert run.model.settings() == {"head": "ssformer", "channels": 16, "auxiliary": 0}
    for name in ("best.safetensors", "config.yaml", "curves.png", "predictions.png", "confusion.png"):
        assert (run.path / name).stat().st_size, name
    rows = list(csv.DictReader((run.path / "metrics.csv").read_text().splitlines()))
    assert len(rows) == 6
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    report = json.loads((run.path / "evaluation.json").read_text())
    assert report["per_class"].keys() == set(NAMES)
    assert report["split"] == "test"


def by_hand(model: Segmenter, scenes: Path, part: str) -> tuple[float, np.ndarray]:
    """Mean IoU in %, of answers by `predict`, and the matrix."""
    matrix = np.zeros((3, 3), np.int64)
    for path in sorted((scenes / "images" / part).iterdir()):
        (result,) = model.predict(path)
        assert isinstance(result, SegmentationMap)
        stored = np.asarray(Image.open(scenes / "masks" / part / path.name))
        for value, label in {0: 0, 10: 1, 20: 2}.items():
            matrix[label] += np.bincount(result.labels[stored == value], minlength=3)
    hits = np.diag(matrix)
    return float(100 * (hits / (matrix.sum(0) + matrix.sum(1) - hits)).mean()), matrix


def test_evaluation_is_what_counting_gives(run: Run, scenes: Path, tmp_path: Path) -> None:
    assert isinstance(run.model, Segmenter)
    expected, matrix = by_hand(run.model, scenes, "val")
    figures = swinkit.evaluate(run.model, scenes, out=str(tmp_path), **OPTIONS)
    assert figures["miou"] == pytest.approx(expected, abs=1e-9)
    assert figures["aacc"] == pytest.approx(100 * np.trace(matrix) / matrix.sum(), abs=1e-9)
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["confusion"] == matrix.tolist()
    with Image.open(tmp_path / "predictions.png") as sheet:
        assert sheet.width > 900


def test_views_change_the_answer_and_are_told(run: Run, scenes: Path, tmp_path: Path) -> None:
    plain = swinkit.evaluate(run.path, scenes, out=str(tmp_path), **OPTIONS)
    views = {"flip": True, "scales": (0.75, 1.0, 1.25), "slide": 40, "stride": 20}
    figures = swinkit.evaluate(run.path, scenes, out=str(tmp_path), **views, **OPTIONS)
    assert figures["miou"] != plain["miou"]
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert (report["scales"], report["slide"], report["stride"], report["flip"]) == (
        [0.75, 1.0, 1.25],
        40,
        20,
        True,
    )
    assert swinkit.evaluate(run.path, scenes, out=str(tmp_path), **OPTIONS) == plain


def test_a_run_goes_on_bit_for_bit(scenes: Path, tmp_path: Path) -> None:
    options = {
        **START,
        "epochs": 2,
        "auxiliary": 8,
        "loss": ("cross_entropy", "dice"),
        "class_weights": "balanced",
    }
    whole = swinkit.train(scenes, out=tmp_path / "whole", **options)
    with pytest.MonkeyPatch.context() as patch:
        send_at(patch, ModelFiles, "on_train_batch_end", lambda trainer: trainer.global_step == 6)
        with pytest.raises(InterruptedRunError, match="SIGINT"):
            swinkit.train(scenes, out=tmp_path / "broken", **options)
    again = swinkit.train(resume=tmp_path / "broken")
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_fine_tuning_from_a_classifier(tiny_file: Path, scenes: Path, tmp_path: Path) -> None:
    options = {
        **START,
        "model": str(tiny_file),
        "epochs": 1,
        "head": "upernet",
        "img_size": 32,
        "freeze_epochs": 1,
    }
    done = swinkit.train(scenes, out=tmp_path / "run", **options)
    assert isinstance(done.model, Segmenter)
    assert done.model.settings()["head"] == "upernet"
    assert "initialised" in (done.path / "notes.txt").read_text()


# --- prediction ---------------------------------------------------------------------------------------


def test_every_form_of_the_answer(run: Run, scenes: Path, tmp_path: Path, swin: Swin) -> None:
    photo = scenes / "images" / "val" / "0.png"
    kinds = ("overlay", "colour", "index", "geojson")
    ended = swin("predict", run.path, photo, "--out", tmp_path, "--save", *kinds,
                 "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv", "--device", "cpu")  # fmt: skip
    assert ended.code == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"0.png", "0_colour.png", "0_index.png", "0.geojson", "a.json", "a.csv"}
    assert isinstance(run.model, Segmenter)
    (expected,) = run.model.predict(photo)
    assert isinstance(expected, SegmentationMap)
    with Image.open(tmp_path / "0_index.png") as index:
        assert index.mode == "P"
        assert np.array_equal(np.asarray(index), expected.labels)
    with Image.open(tmp_path / "0_colour.png") as colour:
        assert np.array_equal(np.asarray(colour), np.array(expected.colours, np.uint8)[expected.labels])
    (answer,) = json.loads((tmp_path / "a.json").read_text())
    for row in answer["classes"]:
        mask = decode({**row["rle"], "counts": row["rle"]["counts"].encode()}).astype(bool)
        assert np.array_equal(mask, expected.mask(row["name"]))
        assert row["pixels"] == mask.sum()
    shapes = json.loads((tmp_path / "0.geojson").read_text())
    assert {f["properties"]["name"] for f in shapes["features"]} == set(expected.areas)
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert sum(float(row["score"]) for row in rows) == pytest.approx(1)


@pytest.mark.parametrize("tile", [48, 33])
def test_tiles(run: Run, scenes: Path, tmp_path: Path, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TIFF of 3 × 3 scenes is answered as its parts; one tile that covers a picture as the whole."""
    paths = sorted((scenes / "images" / "train").iterdir())[:9]
    rows = [np.concatenate([np.asarray(Image.open(p)) for p in paths[i : i + 3]], 1) for i in (0, 3, 6)]
    large = tmp_path / "large.tif"
    tifffile.imwrite(large, np.concatenate(rows), tile=(32, 32), photometric="rgb", compression="zlib")
    (result,) = swinkit.predict(
        run.path, large, tmp_path / "out", tile=tile, save=("overlay", "index"), **OPTIONS
    )
    assert isinstance(result, SegmentationMap)
    assert result.size == (144, 192)
    assert (tmp_path / "out/large.png").exists()
    monkeypatch.setattr("swinkit.inference.tiled_segmentation.LARGE", 1000)
    monkeypatch.setattr("swinkit.inference.tiled_segmentation.ROOM", 3 * tile * tile)  # bands of one tile
    (again,) = swinkit.predict(run.path, large, tmp_path / "again", tile=tile, batch_size=2, **OPTIONS)
    assert isinstance(again, SegmentationMap)
    assert isinstance(again.labels, np.memmap)
    assert (again.labels == result.labels).mean() > 0.999
    assert np.array_equal(tifffile.imread(tmp_path / "again/large_index.tif"), again.labels)
    assert again.areas == dict(Counter({n: int(again.mask(n).sum()) for n in again.areas}).most_common())
    (one,) = swinkit.predict(run.path, paths[0], tile=64, **OPTIONS)
    (whole,) = swinkit.load(run.path).predict(paths[0])
    assert isinstance(one, SegmentationMap)
    assert isinstance(whole, SegmentationMap)
    assert (one.labels == whole.labels).mean() > 0.99


def test_videos_are_answered_frame_by_frame(run: Run, scenes: Path, tmp_path: Path) -> None:
    frames = [np.asarray(Image.open(scenes / "images" / "val" / f"{i}.png")) for i in range(8)]
    folder = tmp_path / "in"
    folder.mkdir()
    write_video(folder / "film.mp4", frames, rate=5)
    shutil.copy(scenes / "images" / "val" / "0.png", folder / "a.png")
    results = list(swinkit.predict(run.path, folder, tmp_path / "out", **OPTIONS))
    assert [type(result) for result in results] == [SegmentationMap, SegmentedVideo]
    film = results[1]
    assert isinstance(film, SegmentedVideo)
    assert (film.frames, film.size) == (8, (48, 64))
    assert sum(film.shares.values()) == pytest.approx(1)
    assert film.to_dict()["classes"][0]["name"] in NAMES
    with open_footage(tmp_path / "out/film.mp4") as footage:
        assert (footage.ticks, footage.size) == (8, (48, 64))
    path = write_damaged(tmp_path / "damaged.mp4", 24)
    (broken,) = swinkit.predict(run.path, path, **OPTIONS)
    assert isinstance(broken, SegmentedVideo)
    assert "damaged.mp4 is damaged at " in (broken.error or "")
    assert 6 <= broken.frames < 18
    assert broken.to_dict()["error"] == broken.lines()[-1][0] == broken.error
    (folder / "bad.mp4").write_text("no film")
    *_, bad = swinkit.predict(run.path, [folder / "a.png", folder / "bad.mp4"], **OPTIONS)
    assert isinstance(bad, Failure)
    assert "bad.mp4" in bad.error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"topk": 3}, "`topk` is for classify and video and contrastive, and the model is for segment"),
        ({"clips": 2}, "`clips` is for classify and video"),
        ({"stride": 3}, "`stride` is the step of `slide` or `tile`"),
        ({"tile": 32, "slide": 32}, "give no `slide` or `scales` with it"),
        ({"scales": ()}, "scales"),
        ({"scales": (0.0, 1.0)}, "give numbers above 0"),
        ({"slide": 8, "stride": 9}, "`stride=9` leaves gaps"),
        ({"tile": 32, "stride": 33}, "`stride=33` of tiles of 32"),
        ({"stream": True}, "`stream` is for video, and"),
        ({"save": ("mask",)}, "save"),
    ],
)
def test_options_that_are_wrong(run: Run, scenes: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        list(swinkit.predict(run.path, scenes / "images" / "val", **options, **OPTIONS))


def test_a_classifier_refuses_what_is_for_maps(tiny_file: Path, dataset: Path, pictures: list[Path]) -> None:
    for options in ({"slide": 8}, {"scales": (0.5,)}, {"tile": 32}):
        with pytest.raises(ConfigError, match=r"is for segment.*, and the model is for classify"):
            list(swinkit.predict(tiny_file, pictures, **options, **OPTIONS))
    with pytest.raises(ConfigError, match="`scales` is for segment and detect"):
        swinkit.evaluate(tiny_file, dataset, scales=(0.5,), **OPTIONS)
    with pytest.raises(ConfigError, match="`ignore_index` is for segment"):
        swinkit.evaluate(tiny_file, dataset, ignore_index=(3,), **OPTIONS)
    with pytest.raises(ConfigError, match="`loss` is for segment, and the data are for classify"):
        swinkit.train(dataset, model=str(tiny_file), loss=("dice",), **OPTIONS)


# --- bad input ----------------------------------------------------------------------------------------


@pytest.fixture
def copy(scenes: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scenes, tmp_path / "copy"))


def harm(root: Path) -> None:
    """One of each kind in the training part."""
    masks, images = root / "masks" / "train", root / "images" / "train"
    (masks / "0.png").write_text("no picture")
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(masks / "1.png")
    Image.fromarray(np.full((48, 64), 7, np.uint8)).save(masks / "2.png")
    Image.fromarray(np.full((48, 64), 255, np.uint8)).save(masks / "3.png")
    (images / "4.png").write_bytes((images / "4.png").read_bytes()[:200])
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(masks / "5.png")
    (masks / "6.png").unlink()
    shutil.copy(images / "7.png", images / "8.png")
    shutil.copy(images / "9.png", root / "images" / "val" / "0.png")


def test_the_check_finds_what_is_wrong(copy: Path, tmp_path: Path, swin: Swin) -> None:
    whole = check_data(copy, progress=False)
    assert isinstance(whole, MaskReport)
    assert not whole.broken
    assert whole.counts["train"] == [32, 32, 32]
    total = sum(map(sum, whole.pixels.values()))
    assert total == 44 * 48 * 64
    assert whole.pixels["val"][3] == 8 * 48 * 3
    harm(copy)
    report = check_data(copy, progress=False)
    kinds = Counter(problem.kind for problem in report.problems)
    expected = {"unreadable mask": 2, "other size": 1, "unknown value": 1, "empty": 1, "unreadable": 1,
                "twice": 1, "in two parts": 1}  # fmt: skip
    assert kinds == expected
    assert report.broken
    ended = swin("data", "check", copy, "--out", tmp_path / "sheet.png", "--fix-list", tmp_path / "drop.txt")
    assert ended.code == 1
    assert "unknown value" in ended.out
    assert "1.png is 12×10, but its picture 64×48" in (tmp_path / "sheet-problems.txt").read_text()
    assert "1 of 32 pictures" in ended.err
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 2000
    assert len((tmp_path / "drop.txt").read_text().splitlines()) == 8


def test_training_leaves_out_what_is_broken_or_says_why(copy: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((48, 64), 7, np.uint8)).save(copy / "masks" / "train" / "2.png")
    done = swinkit.train(copy, out=tmp_path / "one", **{**START, "epochs": 1})
    text = (done.path / "unreadable.txt").read_text()
    assert "2.png has the value 7 at row 0, column 0, which is no class" in text
    (copy / "masks" / "train" / "0.png").write_text("no picture")
    done = swinkit.train(copy, out=tmp_path / "two", **{**START, "epochs": 1})
    assert "0.png" in (done.path / "notes.txt").read_text()
    for path in (copy / "masks" / "train").iterdir():
        path.write_text("no picture")
    with pytest.raises(DataError, match=r"No image of train in .* can be read"):
        swinkit.train(copy, out=tmp_path / "three", **START)


def test_masks_in_which_all_is_ignored_make_no_nan(copy: Path, tmp_path: Path) -> None:
    for path in (copy / "masks" / "train").iterdir():
        Image.fromarray(np.full((48, 64), 255, np.uint8)).save(path)
    options = {**START, "epochs": 1, "loss": ("cross_entropy", "ohem", "dice", "focal"), "on_nan": "stop"}
    done = swinkit.train(copy, out=tmp_path / "run", **options)
    assert all(tensor.isfinite().all() for tensor in done.model.state_dict().values())


def test_other_meanings_of_the_masks(copy: Path, run: Run, tmp_path: Path) -> None:
    (copy / "dataset.yaml").unlink()
    report = check_data(copy, masks=Masks(ignore_index=(255, 10)), progress=False)
    assert len(report.data.classes) == 20
    with pytest.raises(DataError, match=r"None of the 8 images could be read: .* has the value 20"):
        swinkit.evaluate(run.path, copy, **OPTIONS)
    (tmp_path / "map.yaml").write_text('classes: {0: sky, 10: ground, 20: "box, red"}\nignored: [255]\n')
    options = {"label_map": str(tmp_path / "map.yaml"), "out": str(tmp_path), **OPTIONS}
    assert swinkit.evaluate(run.path, copy, **options)["miou"] == pytest.approx(run.metrics["miou"], abs=0.1)
    (tmp_path / "map.yaml").write_text("classes: {0: sky, 10: ground}\nignored: [255, 20]\n")
    assert swinkit.evaluate(run.path, copy, **options)["images"] == 8


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_processes(scenes: Path, tmp_path: Path, strategy: str) -> None:
    """Both heads learn, shared out or not; a part that one process has nothing of is validated too."""
    few = tmp_path / "set"
    shutil.copytree(scenes, few, ignore=lambda folder, names: [n for n in names if n in ("7.png", "test")])
    options = {**START, "epochs": 2, "batch_size": None, "global_batch": 8, "auxiliary": 8, "devices": 2}
    done = swinkit.train(few, out=tmp_path / "run", **options, strategy=strategy)
    assert done.metrics["images"] == 7
    rows = list(csv.DictReader((done.path / "metrics.csv").read_text().splitlines()))
    assert [float(row["val_images"]) for row in rows] == [7, 7]
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
    assert isinstance(done.model, Segmenter)
    assert done.model.auxiliary_head is not None


# --- what a hostile reader found ----------------------------------------------------------------------


def test_evaluation_reads_masks_as_the_run_did(scenes: Path, tmp_path: Path) -> None:
    """Classes in another order, and one that is left out; without saying so again."""
    (tmp_path / "map.yaml").write_text('classes: {20: "box, red", 0: sky}\nignored: [255, 10]\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        options = {**START, "epochs": 2, "label_map": "map.yaml", "ignore_index": (254,)}
        done = swinkit.train(scenes, out=tmp_path / "run", **options)
    assert done.model.classes == ("box, red", "sky")
    figures = swinkit.evaluate(done.path, scenes, split="val", out=str(tmp_path / "out"), **OPTIONS)
    assert figures["miou"] == pytest.approx(done.metrics["miou"])
    config = (done.path / "config.yaml").read_text()
    assert f"label_map: {tmp_path}/map.yaml" in config
    (done.path / "config.yaml").write_text(config.replace("epochs: 2", "epochs: 3"))
    assert swinkit.train(resume=done.path).metrics["images"] == 8


def test_a_run_that_cannot_be_leaves_no_folder(scenes: Path, dataset: Path, tmp_path: Path) -> None:
    for options, said in (
        (
            {"sampling": "balanced"},
            "`sampling` is for classify .*, and the data are for segment",
        ),
        ({"augmentation": {"mixup": 0.8}}, "`augmentation.mixup` is for classify and video"),
        ({"augmentation": {"randaugment": "rand-m9"}}, "`augmentation.randaugment` is for classify"),
    ):
        with pytest.raises(ConfigError, match=said):
            swinkit.train(scenes, out=tmp_path / "run", **{**START, **options})
    with pytest.raises(ConfigError, match=r"`augmentation\.resize` is for segment"):
        swinkit.train(
            dataset, model="swin_pico", out=tmp_path / "run", augmentation={"resize": (0.5, 1.0)}, **OPTIONS
        )
    few = tmp_path / "few"
    shutil.copytree(scenes, few)
    (few / "dataset.yaml").write_text("classes: {0: sky}\nignored: [255, 10, 20]\n")
    with pytest.raises(DataError, match="only the class 'sky', but 2 are needed"):
        swinkit.train(few, out=tmp_path / "run", **START)
    assert not (tmp_path / "run").exists()


def test_what_we_drew_is_no_input(run: Run, scenes: Path, tmp_path: Path, swin: Swin) -> None:
    for name in ("0.png", "1.png"):
        shutil.copy(scenes / "images" / "val" / name, tmp_path / name)
    for _ in range(2):
        ended = swin(
            "predict", run.path, tmp_path, "--out", tmp_path, "--save", "overlay", "index", "--device", "cpu"
        )
        assert ended.code == 0
        assert {p.name for p in tmp_path.iterdir()} == {
            "0.png", "1.png", "0-2.png", "1-2.png", "0-2_index.png", "1-2_index.png"
        }  # fmt: skip

    for name in ("0.png", "1.png"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match="holds nothing but what swinkit has written"):
        list(swinkit.predict(run.path, tmp_path, tmp_path, **OPTIONS))


def test_a_tile_run_that_fails_leaves_no_half_map(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swinkit.inference.tiled_segmentation.LARGE", 1000)
    path = tmp_path / "cut.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels, tile=(32, 32), photometric="rgb", compression="zlib")
    path.write_bytes(path.read_bytes()[:60_000])
    (result,) = swinkit.predict(run.path, path, tmp_path / "out", tile=48, **OPTIONS)
    assert isinstance(result, Failure)
    assert list((tmp_path / "out").iterdir()) == []


def test_names_and_colours_of_openmmlab_files(tmp_path: Path, run: Run) -> None:
    meta = {"CLASSES": ("a", "b", "c"), "PALETTE": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}
    torch.save({"state_dict": swinkit.to_dialect(run.model, "openmmlab"), "meta": meta}, tmp_path / "m.pth")
    model = swinkit.load(tmp_path / "m.pth")
    assert model.classes == ("a", "b", "c")
    assert model.labels.colours == ((1, 2, 3), (4, 5, 6), (7, 8, 9))
