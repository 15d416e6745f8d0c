"""Pictures with boxes from folder to answer: trained, resumed, measured, predicted, checked; bad input."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageDraw
from torchvision.ops import box_iou

import swinkit
from swinkit.api import convert_data, evaluate_in_full
from swinkit.config.predict import PredictConfig
from swinkit.data.detection.open import open_objects
from swinkit.data.io.video import open_footage
from swinkit.errors import ConfigError, DataError, InterruptedRunError
from swinkit.inference.tiled_detection import merged, placed
from swinkit.inference.video_frames import Sightings, make_tracker, tracked
from swinkit.labels import Labels
from swinkit.results import DetectedVideo, Detections, Failure
from swinkit.tasks.detect import Detector
from swinkit.training.callbacks import ModelFiles
from swinkit.training.run_folder import Run
from tests.conftest import QUICK, Swin, save_huge
from tests.engine.test_train import send_at
from tests.films import write_damaged, write_video

OPTIONS = {key: QUICK[key] for key in ("workers", "device", "progress")}
CATEGORIES = {5: "ball, red", 90: "crate"}
# all explicit: these tests are of a model that learns the scenes so, and not of the defaults for small images
START: dict[str, Any] = {
    "model": "swin_pico", "img_size": 64, "head": "mask_rcnn", "channels": 16, "width": 32, "epochs": 12,
    "lr": 4e-3, "batch_size": 4, "drop_path": 0.0, "precision": "fp32", "anchor_scale": 8.0, "regions": 512,
    "augmentation": {"distortion": False, "resizing": "published"}, **OPTIONS,
}  # fmt: skip


Rows = list[dict[str, Any]]


def scene(rng: np.random.Generator, height: int = 64, width: int = 80) -> tuple[Image.Image, Rows]:
    """Red balls and green crates on grey noise, and COCO's rows of them; balls have many sides."""
    noise = rng.integers(90, 130, (height, width, 3))
    picture = Image.fromarray(noise.astype(np.uint8))
    draw, rows, taken = ImageDraw.Draw(picture), [], []
    for _ in range(int(rng.integers(1, 4))):
        side = int(rng.integers(14, 26))
        left, top = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        if any(abs(left - x) < 26 and abs(top - y) < 26 for x, y in taken):
            continue
        taken.append((left, top))
        if rng.random() < 0.5:
            draw.ellipse((left, top, left + side - 1, top + side - 1), (220, 40, 30))
            angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            ring = np.stack([np.cos(angle), np.sin(angle)], 1) * side / 2 + (left + side / 2, top + side / 2)
            category, area = 5, np.pi * side**2 / 4
        else:
            draw.rectangle((left, top, left + side - 1, top + side - 1), (40, 190, 60))
            ring = np.array([(left, top), (left + side, top), (left + side, top + side), (left, top + side)])
            category, area = 90, side**2
        rows.append({
            "category_id": category, "bbox": [left, top, side, side], "area": float(area), "iscrowd": 0,
            "segmentation": [ring.astype(float).ravel().round(2).tolist()],
        })  # fmt: skip
    return picture, rows


def make_scenes(root: Path, counts: dict[str, int]) -> Path:
    """A COCO data set with ids that have gaps, and in each part a picture without objects."""
    rng, number = np.random.default_rng(0), 100
    for part, count in counts.items():
        (root / part).mkdir(parents=True)
        images, annotations = [], []
        for i in range(count):
            picture, rows = scene(rng)
            if i == 0:
                picture, rows = Image.new("RGB", (80, 64), (110, 110, 100 + len(part))), []
            picture.save(root / part / f"{i:03}.png")
            number += 7
            images.append({"id": number, "file_name": f"{i:03}.png", "height": 64, "width": 80})
            annotations += [
                {"id": 1000 * number + n, "image_id": number, **row} for n, row in enumerate(rows)
            ]
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": own, "name": name} for own, name in CATEGORIES.items()],
        }
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scenes(tmp_path_factory.mktemp("balls"), {"train": 48, "val": 12, "test": 6})


@pytest.fixture(scope="session")
def run(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return swinkit.train(scenes, out=tmp_path_factory.mktemp("detector") / "run", seed=1, **START)


def test_a_run_learns_boxes_and_masks(run: Run, scenes: Path) -> None:
    """Far above chance, with the figures, files and ids that belong to it."""
    assert run.metrics["box_ap50"] > 70
    assert run.metrics["mask_ap50"] > 70
    assert run.metrics["images"] == 12
    assert run.metrics["test_images"] == 6
    names = {path.name for path in run.path.iterdir()}
    assert {"best.safetensors", "curves.png", "predictions.png", "results.json", "metrics.csv"} <= names
    rows = json.loads((run.path / "results.json").read_text())
    assert {row["category_id"] for row in rows} == set(CATEGORIES)
    truth = json.loads((scenes / "annotations/instances_test.json").read_text())
    assert {row["image_id"] for row in rows} <= {row["id"] for row in truth["images"]}
    report = json.loads((run.path / "evaluation.json").read_text())
    assert set(report["box_ap_per_class"]) == set(report["mask_ap_per_class"]) == set(CATEGORIES.values())
    with (run.path / "metrics.csv").open() as file:
        figures = [float(row["val_mask_ap"]) for row in csv.DictReader(file)]
    assert len(figures) == START["epochs"]
    assert figures[-1] > figures[0]
    model = swinkit.load(run.path)
    assert model.labels.categories == tuple(CATEGORIES)
    assert model.classes == tuple(CATEGORIES.values())


def test_evaluate(run: Run, scenes: Path, tmp_path: Path) -> None:
    """As the run says; with views near to it; on data in another form and with other ids the same."""
    val = swinkit.evaluate(run.path, scenes, split="val", out=tmp_path / "val", **OPTIONS)
    assert val == {name: value for name, value in run.metrics.items() if not name.startswith("test_")}
    views = swinkit.evaluate(run.path, scenes, split="test", flip=True, scales=(0.75, 1.0), **OPTIONS)
    assert views["box_ap50"] > 70
    shutil.copytree(scenes, tmp_path / "other")
    for file in (tmp_path / "other/annotations").iterdir():
        content = json.loads(file.read_text())
        content["categories"] = [{"id": 1, "name": "crate"}, {"id": 2, "name": "ball, red"}]
        for row in content["annotations"]:
            row["category_id"] = {90: 1, 5: 2}[row["category_id"]]
        file.write_text(json.dumps(content))
    again = swinkit.evaluate(run.path, tmp_path / "other", split="val", out=tmp_path / "again", **OPTIONS)
    assert again == val
    rows = json.loads((tmp_path / "again/results.json").read_text())
    assert {row["category_id"] for row in rows} == {1, 2}  # those of the data that are judged
    convert_data(tmp_path / "other", tmp_path / "voc", to="voc", progress=False)
    boxes = swinkit.evaluate(run.path, tmp_path / "voc", split="val", **OPTIONS)
    assert boxes["box_ap"] == pytest.approx(val["box_ap"], abs=3)
    assert "mask_ap" not in boxes
    with pytest.raises(ConfigError, match="`crops` is for classify"):
        swinkit.evaluate(run.path, scenes, crops=5, **OPTIONS)


def test_predict(run: Run, scenes: Path, tmp_path: Path) -> None:
    """Objects where they are, with masks; a broken picture does not end it; limits hold."""
    pictures = sorted((scenes / "val").iterdir())
    (tmp_path / "broken.png").write_text("no picture")
    given = [*pictures, tmp_path / "broken.png"]
    results = list(swinkit.predict(run.path, given, out=tmp_path / "out", **OPTIONS))
    assert isinstance(results[-1], Failure)
    truth = {one.image.name: one for one in open_objects(scenes).splits["val"]}
    hits = total = 0
    for path, result in zip(pictures, results, strict=False):
        assert isinstance(result, Detections)
        assert result.size == (64, 80)
        assert result.masks is not None
        assert (tmp_path / "out" / path.name).is_file()
        record = truth[path.name]
        sure = result.chosen(result.scores > 0.5)
        for box, label in zip(record.boxes, record.labels, strict=True):
            total += 1
            near = np.abs(sure.boxes - box).max(1, initial=0) < 5
            hits += bool((near & (sure.labels == label)).any())
    assert hits > 0.8 * total
    assert len(list((tmp_path / "out").iterdir())) == len(pictures)
    for result in swinkit.predict(run.path, pictures, classes=("crate",), score=0.5, detections=1, **OPTIONS):
        assert isinstance(result, Detections)
        assert len(result) <= 1
        assert set(result.names) <= {"crate"}
        assert (result.scores > 0.5).all()


def test_command_line(run: Run, scenes: Path, tmp_path: Path, swin: Swin) -> None:
    code, out, _ = swin(
        "predict", run.path, scenes / "test", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv",
        "--score", "0.4", "--no-progress", "--workers", "0",
    )  # fmt: skip
    assert code == 0
    assert "× crate" in out
    content = json.loads((tmp_path / "a.json").read_text())
    assert {"id", "name", "score", "category_id", "box", "rle"} == set(content[1]["objects"][0])
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(len(one["objects"]) for one in content) == len(rows)
    assert all(float(row["x1"]) < float(row["x2"]) and float(row["score"]) > 0.4 for row in rows)
    code, out, _ = swin("data", "check", scenes, "--out", tmp_path / "sheet.png")
    assert code == 0
    assert "images without objects" in out
    assert "Category ids 5 to 90" in out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert len(sheet.convert("RGB").getcolors(100_000) or ()) > 50
    code, out, _ = swin("data", "convert", scenes, tmp_path / "yolo", "--to", "yolo")
    assert code == 0
    assert open_objects(tmp_path / "yolo").classes == tuple(CATEGORIES.values())
    code, out, _ = swin("evaluate", run.path, scenes, "--split", "test", "--no-progress", "--workers", "0")
    assert code == 0
    assert "mask_ap50" in out


def test_tiles(run: Run, tmp_path: Path) -> None:
    """A page of many scenes: what lies on the border of tiles is found once, and all of it."""
    rng = np.random.default_rng(5)
    page, wanted = Image.new("RGB", (400, 320), (110, 110, 110)), []
    for row in range(5):
        for column in range(5):
            picture, rows = scene(rng)
            page.paste(picture, (80 * column, 64 * row))
            for left, top, side, _ in (one["bbox"] for one in rows):
                wanted.append((80 * column + left, 64 * row + top, side))
    page.save(tmp_path / "page.png")
    tifffile.imwrite(tmp_path / "page.tif", np.asarray(page), tile=(64, 64))
    # things here lie apart: of two that overlap one is the small model's mistake, not the tiles'
    options = {"tile": 80, "score": 0.6, "overlap": 0.4, **OPTIONS}
    (result,) = swinkit.predict(run.path, tmp_path / "page.png", out=tmp_path / "out", **options)
    assert isinstance(result, Detections)
    assert result.size == (320, 400)
    truth = torch.tensor([(x, y, x + side, y + side) for x, y, side in wanted], dtype=torch.float32)
    times = (box_iou(truth, torch.from_numpy(result.boxes)) > 0.5).sum(1)
    assert (times == 1).float().mean() > 0.85
    assert (times <= 1).float().mean() > 0.95
    assert result.masks is not None
    for box, mask in zip(result.boxes, result.masks, strict=True):
        y, x = np.nonzero(mask)
        if len(x):
            assert x.min() >= box[0] - 2
            assert y.max() <= box[3] + 2
    (same,) = swinkit.predict(run.path, tmp_path / "page.tif", **options)
    assert isinstance(same, Detections)
    assert np.array_equal(same.boxes, result.boxes)
    assert (tmp_path / "out/page.png").is_file()


def test_a_video(run: Run, tmp_path: Path) -> None:
    """Each frame, and a table of all objects; those that are followed keep their number."""
    frames = []
    for i in range(12):
        frame = Image.new("RGB", (80, 64), (110, 110, 110))
        draw = ImageDraw.Draw(frame)
        draw.rectangle((5 + 3 * i, 10, 24 + 3 * i, 29), (40, 190, 60))
        draw.ellipse((50, 38, 69, 57), (220, 40, 30))
        frames.append(np.asarray(frame))
    film = write_video(tmp_path / "film.mp4", frames)
    (plain,) = swinkit.predict(run.path, film, score=0.5, **OPTIONS)
    assert isinstance(plain, DetectedVideo)
    assert plain.tracks is None
    assert plain.frames == 12
    assert set(plain.seen) == set(CATEGORIES.values())
    pytest.importorskip("trackers")
    (result,) = swinkit.predict(run.path, film, out=tmp_path / "out", track=True, score=0.5, **OPTIONS)
    assert isinstance(result, DetectedVideo)
    assert result.tracks is not None
    assert all(1 <= result.tracks[name] <= 3 for name in CATEGORIES.values())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"film.mp4", "film.csv"}
    with (tmp_path / "out/film.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["name"], int(row["category_id"])) for row in rows} == {(n, i) for i, n in CATEGORIES.items()}
    assert len({row["track"] for row in rows} - {""}) == sum(result.tracks.values())
    assert result.to_dict()["classes"][0]["tracks"] >= 1
    again = list(swinkit.predict(run.path, film, out=tmp_path / "out", track=True, score=0.5, **OPTIONS))
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert again == [result]


@pytest.mark.parametrize("options", [{}, {"track": True}])
def test_a_damaged_video_is_answered_up_to_the_damage(
    tmp_path: Path, swin: Swin, options: dict[str, bool]
) -> None:
    if options:
        pytest.importorskip("trackers")
    model = swinkit.create(
        "swin_pico", 2, task="detect", img_size=64, embed_dim=16, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1),
        head="mask_rcnn", channels=16, width=32,
    )  # fmt: skip
    file = swinkit.save(model, tmp_path / "model.safetensors")
    path = write_damaged(tmp_path / "film.mp4", 24)
    flags = [f"--{name}" for name in options]
    args = ("predict", file, path, "--json", tmp_path / "x.json", "--csv", tmp_path / "x.csv", *flags)
    code, out, err = swin(*args, "--out", tmp_path / "out", "--score", "0.01")
    assert (code, "Traceback" in out + err) == (1, False)
    (row,) = json.loads((tmp_path / "x.json").read_text())
    assert "film.mp4 is damaged at " in row["error"]
    assert 6 <= row["frames"] < 18
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert [line["error"] for line in csv.DictReader(lines) if line["error"]] == [row["error"]]
    with open_footage(tmp_path / "out" / "film.mp4") as film:
        assert film.ticks == row["frames"]  # the frames up to the damage


def test_resumed_within_an_epoch(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped by a signal and continued: the same weights, bit for bit."""
    short = {**START, "epochs": 2, "augmentation": {"copy_paste": 0.5}}
    whole = swinkit.train(scenes, out=tmp_path / "whole", seed=1, **short)
    send_at(monkeypatch, ModelFiles, "on_train_batch_end", lambda trainer: trainer.global_step == 5)
    with pytest.raises(InterruptedRunError):
        swinkit.train(scenes, out=tmp_path / "parts", seed=1, **short)
    parts = swinkit.train(resume=tmp_path / "parts")
    one, other = (run.model.state_dict() for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.metrics == parts.metrics


def test_fine_tuned_to_boxes_alone(run: Run, scenes: Path, tmp_path: Path) -> None:
    """From its own weights, on data without shapes: another kind of R-CNN, told; with masks refused."""
    convert_data(scenes, tmp_path / "voc", to="voc", progress=False)
    short = {**START, "model": str(run.path), "epochs": 1, "lr": 1e-5}
    with pytest.raises(
        ConfigError, match=r"mask_rcnn learns masks, and .* objects have no shape, .* say `head=faster_rcnn`"
    ):
        swinkit.train(tmp_path / "voc", out=tmp_path / "no", **short)
    bare = {**short, "head": "faster_rcnn"}
    with pytest.raises(ConfigError, match="`copy_paste` needs the objects' shapes"):
        swinkit.train(tmp_path / "voc", out=tmp_path / "no", **bare | {"augmentation": {"copy_paste": 0.5}})
    assert not (tmp_path / "no").exists()
    done = swinkit.train(tmp_path / "voc", out=tmp_path / "yes", **bare)
    assert isinstance(done.model, Detector)
    assert done.model.settings()["head"] == "faster_rcnn"
    assert done.metrics["box_ap50"] > 60
    assert "mask_ap" not in done.metrics


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"augmentation": {"mixup": 0.5}},
            "`augmentation.mixup` is for classify and video, and the data are",
        ),
        ({"class_weights": "balanced"}, "`class_weights` is for classify"),
        ({"loss": ("dice",)}, "`loss` is for segment"),
        ({"auxiliary": 8}, "`auxiliary` is for segment"),
        ({"head": "yolo"}, "no head 'yolo'"),
        ({"augmentation": {"resizing": "big"}}, "resizing"),
        ({"augmentation": {"copy_paste": 2.0}}, "copy_paste"),
    ],
)
def test_options_that_are_wrong(scenes: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        swinkit.train(scenes, out=tmp_path / "run", **{**START, **options})
    assert not (tmp_path / "run").exists()


def test_data_that_are_wrong(run: Run, scenes: Path, tmp_path: Path) -> None:
    """A picture of another size than its boxes are for is left out and told; one too large too."""
    shutil.copytree(scenes, tmp_path / "odd")
    Image.new("RGB", (64, 80)).save(tmp_path / "odd/val/003.png")
    save_huge(tmp_path / "odd/val/004.png")
    figures = evaluate_in_full(run.path, tmp_path / "odd", split="val", **OPTIONS)
    assert figures["metrics"]["images"] == 10
    assert "has 64 × 80 pixels, but its boxes are for 80 × 64" in figures["unreadable"][0]
    assert "004.png" in figures["unreadable"][1]
    (result,) = swinkit.predict(run.path, tmp_path / "odd/val/004.png", **OPTIONS)
    assert isinstance(result, Failure)
    for file in (tmp_path / "odd/annotations").iterdir():
        content = json.loads(file.read_text())
        content["categories"][0]["name"] = "balloon"
        file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="classes that the model does not know: 'balloon'"):
        swinkit.evaluate(run.path, tmp_path / "odd", split="val", **OPTIONS)
    with pytest.raises(DataError, match="holds no pictures with boxes"):
        swinkit.evaluate(run.path, scenes / "val", **OPTIONS)


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp2", marks=pytest.mark.slow)])
def test_two_processes(strategy: str, scenes: Path, tmp_path: Path) -> None:
    """Pictures without objects for one of them too; each validated once, the last by one process alone."""
    shutil.copytree(scenes, tmp_path / "data")
    file = tmp_path / "data/annotations/instances_val.json"
    content = json.loads(file.read_text())
    content["images"] = content["images"][:5]
    kept = {row["id"] for row in content["images"]}
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] in kept]
    file.write_text(json.dumps(content))
    train = tmp_path / "data/annotations/instances_train.json"
    content = json.loads(train.read_text())
    content["images"] = content["images"][:13]
    kept = {row["id"] for row in content["images"][6:]}
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] in kept]
    train.write_text(json.dumps(content))
    two = {**START, "epochs": 2, "batch_size": 2, "devices": 2, "strategy": strategy}
    done = swinkit.train(tmp_path / "data", out=tmp_path / "run", seed=1, **two)
    with (done.path / "metrics.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [float(row["val_images"]) for row in rows] == [5.0, 5.0]
    assert all(0 < float(row["train_loss"]) < 10 for row in rows)
    assert done.metrics["images"] == 5


def test_predict_leaves_the_model_as_it_was(run: Run, scenes: Path) -> None:
    """Options hold for their call alone, also where two of them run in turn."""
    model, pictures = swinkit.load(run.path), sorted((scenes / "val").iterdir())[1:3]
    few = swinkit.predict(model, pictures, detections=1, score=0.0, **OPTIONS)
    many = swinkit.predict(model, pictures, score=0.0, **OPTIONS)
    counts = [len(next(answers)) for answers in (few, many, few, many)]  # type: ignore[arg-type]
    assert counts[0] == counts[2] == 1
    assert counts[1] == counts[3] > 1
    assert (model.detections, model.score_threshold, model.scales) == (100, 0.05, (1.0,))  # type: ignore[attr-defined]
    swinkit.evaluate(model, scenes, split="test", scales=(0.5,), **OPTIONS)
    assert model.scales == (1.0,)  # type: ignore[attr-defined]


def test_options_without_inputs_for_them(run: Run, scenes: Path, tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", [np.zeros((64, 80, 3), np.uint8)] * 2)
    with pytest.raises(ConfigError, match="`track` is for videos"):
        swinkit.predict(run.path, scenes / "val", track=True, **OPTIONS)
    with pytest.raises(ConfigError, match=r"`tile` is for pictures, and .*film\.mp4 is a video"):
        swinkit.predict(run.path, film, tile=64, **OPTIONS)


def test_annotations_that_are_elsewhere(scenes: Path, tmp_path: Path) -> None:
    """Nothing of what is annotated belongs to a picture: no run is begun."""
    shutil.copytree(scenes, tmp_path / "data")
    file = tmp_path / "data/annotations/instances_train.json"
    content = json.loads(file.read_text())
    for row in content["annotations"]:
        row["image_id"] += 10**6
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="none of its 64 annotations is for an image that it lists"):
        swinkit.train(tmp_path / "data", out=tmp_path / "run", **START)
    assert not (tmp_path / "run").exists()


def test_parts_are_joined_over_views_alone() -> None:
    """Halves of two tiles and the whole become one; a small object in a large one of the same view stays."""
    labels = Labels.of(["car"])

    def seen(*boxes: tuple[int, ...]) -> Detections:
        count = len(boxes)
        scores = np.linspace(0.9, 0.6, count).astype(np.float32)
        return Detections.of((200, 300), np.array(boxes, np.float32), scores, np.zeros(count, int), labels)

    halves = merged([seen((0, 0, 200, 150)), seen((0, 0, 120, 150)), seen((90, 0, 200, 150))])
    assert halves.boxes.tolist() == [[0, 0, 200, 150]]
    apart = merged([seen((20, 20, 50, 50), (0, 0, 200, 150))])
    assert apart.boxes.tolist() == [[20, 20, 50, 50], [0, 0, 200, 150]]
    assert len(merged([seen(), seen()])) == 0


def test_tiles_leave_boxes_without_area() -> None:
    """Flat boxes of a tile or the whole go, and a sliver whose sides meet by rounding far from the origin."""
    labels, scores = Labels.of(["car"]), np.array([0.9, 0.8], np.float32)
    boxes = np.array([[0, 0, 20, 0], [5, 5, 9, 9]], np.float32)
    found = Detections.of((30, 30), boxes, scores, np.zeros(2, int), labels)
    joined = merged([found, placed(found, (10, 10), (40, 40))])
    assert joined.boxes.tolist() == [[5, 5, 9, 9], [15, 15, 19, 19]]
    sliver = np.array([[0, 0, 1e-4, 20]], np.float32)
    thin = Detections.of((30, 30), sliver, scores[:1], np.zeros(1, int), labels)
    assert len(placed(thin, (0, 0), (30, 30))) == 1
    assert len(placed(thin, (0, 8000), (30, 9000))) == 0


def test_tiles_of_many_channels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = swinkit.create(
        "swin_pico", 2, task="detect", embed_dim=8, num_heads=(1, 2), channels=8, width=8, in_chans=5,
        img_size=64,
    )  # fmt: skip
    np.save(tmp_path / "five.npy", np.random.default_rng(0).random((70, 90, 5), dtype=np.float32))
    (result,) = swinkit.predict(model, tmp_path / "five.npy", out=tmp_path / "out", tile=48, **OPTIONS)
    assert isinstance(result, Detections)
    assert result.size == (70, 90)


def test_boxes_without_area_are_not_followed() -> None:
    pytest.importorskip("trackers")
    labels, tracker = Labels.of(["cat"]), make_tracker(25.0)
    boxes = np.array([[50, 0, 50, 40], [10, 10, 40, 40], [0, 60, 100, 60]], np.float32)
    found = Detections.of((100, 200), boxes, np.full(3, 0.95, np.float32), np.zeros(3, int), labels)
    for _ in range(5):
        result = tracked(found, tracker)
    assert result.tracks is not None
    assert (result.tracks >= 0).tolist() == [False, True, False]


def test_objects_keep_their_number() -> None:
    """Two that pass each other; one that is called otherwise for a while is one object of its usual name."""
    pytest.importorskip("trackers")
    labels = Labels.of(["cat", "dog"])
    summary = Sightings(PredictConfig(track=True), 25.0, None)
    page = Image.new("RGB", (200, 100))
    for i in range(20):
        boxes = np.array([[5 * i, 10, 40 + 5 * i, 40], [150 - 5 * i, 55, 190 - 5 * i, 95]], np.float32)
        kinds = np.array([0, 0 if i in (7, 8) else 1])
        found = Detections.of((100, 200), boxes, np.array([0.95, 0.9], np.float32), kinds, labels)
        summary.add(page, found, i / 25)
    answer = summary.result(Path("film.mp4"), (100, 200), 20)
    assert answer.tracks == {"cat": 1, "dog": 1}
    assert answer.seen == {"cat": 20, "dog": 18}
