"""swinkit.evaluate and the metric behind it, against numbers computed by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import swinkit
from swinkit.config.preprocessing import Preprocessing
from swinkit.data.batch import Batch
from swinkit.data.classification.transforms import evaluation_transform
from swinkit.errors import ConfigError, DataError, RunError, WeightsError
from swinkit.labels import Labels
from swinkit.metrics.classify import KEPT, ClassificationMetric
from swinkit.training.run_folder import Run
from swinkit.visualize.charts import draw_confusion
from tests.conftest import CLASSES, QUICK, make_set

OPTIONS = {key: QUICK[key] for key in ("workers", "device", "progress")}


def report_of(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))


# --- the metric ----------------------------------------------------------------------------------------


def filled(classes: int, logits: np.ndarray, targets: np.ndarray, step: int) -> ClassificationMetric:
    metric = ClassificationMetric(Labels.of(f"class {i}" for i in range(classes)))
    for start in range(0, len(targets), step):
        part = slice(start, start + step)
        count = len(targets[part])
        paths = tuple(f"{i}.png" for i in range(start, start + count))
        batch = Batch(torch.zeros(count, 1), torch.tensor(targets[part]), ((1, 1),) * count, paths)
        metric.update(torch.tensor(logits[part]), batch)
    return metric


def test_figures_by_hand() -> None:
    rng = np.random.default_rng(0)
    targets = rng.choice([0, 1, 2, 3, 4, 6], 50)  # no picture of class 5
    logits = rng.normal(size=(50, 7)).astype(np.float32)
    logits[np.arange(50), targets] += 0.7
    metric = filled(7, logits, targets, step=8)

    order = np.argsort(-logits, 1)
    hit = order[:, 0] == targets
    per_class = [100 * hit[targets == i].mean() if (targets == i).any() else None for i in range(7)]
    confusion = np.zeros((7, 7), int)
    np.add.at(confusion, (targets, order[:, 0]), 1)
    figures = metric.compute()
    assert figures.keys() == {"top1", "top5", "mean_class", "ece", "images"}
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    sure, bins = shares.max(1), np.minimum((shares.max(1) * 15).astype(int), 14)
    ece = sum(abs(sure[bins == b].mean() - hit[bins == b].mean()) * (bins == b).mean() for b in set(bins))
    assert figures["ece"] == pytest.approx(100 * ece, abs=1e-3)
    assert figures["top1"] == pytest.approx(100 * hit.mean(), abs=1e-4)
    assert figures["top5"] == pytest.approx(100 * (order[:, :5] == targets[:, None]).any(1).mean(), abs=1e-4)
    seen = [value for value in per_class if value is not None]
    assert figures["mean_class"] == pytest.approx(np.mean(seen), abs=1e-4)
    assert figures["images"] == 50
    details = metric.details()
    assert details["confusion"] == confusion.tolist()
    assert details["per_class"] == {
        f"class {i}": None if value is None else pytest.approx(value, abs=1e-4)
        for i, value in enumerate(per_class)
    }
    metric.reset()
    assert metric.compute() == {"top1": 0.0, "mean_class": 0.0, "ece": 0.0, "images": 0.0}


def test_logits_rank_where_probabilities_are_rounded_to_nothing() -> None:
    logits = np.array([[500, 0, 40, 30, 20, 10, 5]], np.float32)  # all but one underflow
    assert filled(7, logits, np.array([5]), step=1).compute()["top5"] == 100.0
    assert filled(7, logits, np.array([6]), step=1).compute()["top5"] == 0.0


def test_few_classes_have_no_top5() -> None:
    metric = filled(3, np.eye(3, dtype=np.float32), np.array([0, 1, 0]), step=3)
    assert metric.compute() == {
        "top1": pytest.approx(200 / 3, abs=1e-4),
        "mean_class": pytest.approx(75.0, abs=1e-4),
        "ece": pytest.approx(100 * abs(np.e / (np.e + 2) - 2 / 3), abs=1e-4),
        "images": 3.0,
    }


def test_the_surest_hits_and_misses_are_kept() -> None:
    """Of hits the surest of each class, however sure the model is of another; of misses the surest of all."""
    classes = np.arange(90) % 3
    logits = np.eye(3, dtype=np.float32)[classes] * (np.linspace(1, 6, 90) + 3 * classes)[:, None]
    targets = np.where(np.arange(90) < 45, classes, (classes + 1) % 3)  # the first half is right
    metric = filled(3, logits.astype(np.float32), targets, step=7)
    hits = {name: sorted(int(each.path[:-4]) for each in kept) for name, kept in metric.hits.items()}
    assert hits == {f"class {i}": list(range(33 + i, 45, 3)) for i in range(3)}
    misses = sorted(metric.misses, reverse=True)
    assert [int(each.path[:-4]) for each in misses] == list(range(89, 89 - 3 * KEPT, -3))
    assert {(each.predicted, each.truth) for each in misses} == {("class 2", "class 0")}
    assert all(1 / 3 < each.score <= 1 for each in misses)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(r"$\cost$"),
        pytest.param("犬"),
        "a_$5",
        "[/b] <i> &amp; %s",
    ],
)
def test_any_name_can_be_drawn(name: str, tmp_path: Path) -> None:
    draw_confusion(np.eye(2, dtype=np.int64), [name, "other"], tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as image:
        assert min(image.size) > 100


# --- the verb ------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_predictions(run: Run, dataset: Path, tmp_path: Path) -> None:
    figures = swinkit.evaluate(run.model, dataset, out=str(tmp_path), batch_size=4, **OPTIONS)
    truth = [name for name in CLASSES for _ in range(6)]
    answers = swinkit.predict(run.model, dataset / "val", **OPTIONS)
    right = [
        answer.to_dict()["classes"][0]["name"] == name for answer, name in zip(answers, truth, strict=True)
    ]
    assert figures["top1"] == pytest.approx(100 * np.mean(right), abs=1e-4)
    assert figures["images"] == 18
    assert figures == run.metrics
    report = report_of(tmp_path)
    assert report["metrics"] == figures
    assert (report["data"], report["split"], report["unreadable"]) == (str(dataset), "val", [])
    assert set(report["per_class"]) == set(CLASSES)
    assert np.array(report["confusion"]).sum(1).tolist() == [6, 6, 6]
    assert {path.name for path in tmp_path.iterdir()} == {
        "evaluation.json",
        "confusion.png",
        "predictions.png",
    }


def test_parts_can_be_chosen(run: Run, dataset: Path, tmp_path: Path) -> None:
    figures = swinkit.evaluate(run.path, dataset, split="train", out=str(tmp_path), **OPTIONS)
    assert figures["images"] == 48
    assert report_of(tmp_path)["split"] == "train"
    with pytest.raises(DataError, match="has no part 'test': it has train, val"):
        swinkit.evaluate(run.path, dataset, split="test", **OPTIONS)
    with pytest.raises(ConfigError, match="`split='all'` does not fit"):
        swinkit.evaluate(run.path, dataset, split="all", **OPTIONS)


def test_a_model_in_memory_writes_nothing(
    run: Run, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    swinkit.evaluate(run.model, dataset, **OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_the_runs_own_split_is_used(dataset: Path, tiny_file: Path, tmp_path: Path) -> None:
    """One folder without parts: the pictures that the run trained on must not count."""
    data = make_set(tmp_path / "set", {"": 10})
    out = tmp_path / "run"
    done = swinkit.train(data, model=tiny_file, out=out, epochs=1, val_fraction=0.3, seed=5, **QUICK)
    figures = swinkit.evaluate(out, data, **OPTIONS)
    assert figures == done.metrics
    assert figures["images"] == 9
    report = report_of(out)
    assert (report["split"], report["model"]) == ("val", str(out))
    by_file = swinkit.evaluate(out / "last.safetensors", data, **OPTIONS)
    assert by_file["images"] == 9
    assert swinkit.evaluate(done.model, data, **OPTIONS) == figures
    assert swinkit.evaluate(swinkit.load(out), data, **OPTIONS) == figures
    elsewhere = tmp_path / "copy"
    shutil.copytree(data, elsewhere)
    assert swinkit.evaluate(out, elsewhere, **OPTIONS)["images"] == 30


def test_a_config_beside_a_model_may_be_anyones(tiny_file: Path, dataset: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_file, tmp_path / "m.safetensors")
    (tmp_path / "config.yaml").write_text("data:\n  root: x\n")
    assert swinkit.evaluate(tmp_path / "m.safetensors", dataset, **OPTIONS)["images"] == 18
    assert {path.name for path in tmp_path.iterdir()} == {"m.safetensors", "config.yaml"}


def test_figures_are_shown_where_the_run_folder_is_locked(
    run: Run,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = shutil.copytree(run.path, tmp_path / "run")
    (copy / "evaluation.json").unlink()

    def locked(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", locked)  # root, as tests may be, can write anywhere
    assert swinkit.evaluate(copy, dataset, **OPTIONS) == run.metrics
    assert "The figures are shown, but not saved." in capsys.readouterr().err
    assert not (copy / "evaluation.json").exists()
    with pytest.raises(RunError, match="Permission denied"):
        swinkit.evaluate(copy, dataset, out=str(tmp_path / "out"), **OPTIONS)


def test_order_of_classes_is_the_models(run: Run, tmp_path: Path) -> None:
    """A data set with a part of the classes: labels stay the model's, absent ones are None."""
    data = make_set(tmp_path / "set", {"": 5}, classes=(CLASSES[0], CLASSES[1], CLASSES[2]))
    shutil.rmtree(data / CLASSES[0])
    figures = swinkit.evaluate(run.path, data, out=str(tmp_path / "out"), **OPTIONS)
    report = report_of(tmp_path / "out")
    assert report["per_class"][CLASSES[0]] is None
    assert report["confusion"][0] == [0, 0, 0]
    assert figures["top1"] > 60  # a shifted label would be all wrong


def test_a_missing_class_is_noted(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_set(tmp_path / "set", {"train": 4, "val": 2})
    shutil.rmtree(data / "val" / CLASSES[1])
    swinkit.train(data, model=run.path, out=tmp_path / "run", epochs=1, **QUICK)
    assert "Note: There is no image of 'grün' in val." in capsys.readouterr().err


def test_a_missing_class_is_noted_in_evaluation(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_set(tmp_path / "set", {"": 2}, classes=CLASSES[:2])
    swinkit.evaluate(run.path, data, out=str(tmp_path / "out"), **OPTIONS)
    assert "There is no image of 'red lines'" in capsys.readouterr().err


def test_unknown_classes_are_refused(run: Run, tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", {"val": 1}, classes=("grün", "cats"))
    with pytest.raises(DataError, match="that the model does not know: 'cats'; it knows 'dots, blue'"):
        swinkit.evaluate(run.path, data, **OPTIONS)


def test_unreadable_pictures_do_not_count(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_set(tmp_path / "set", {"": 2})
    (data / CLASSES[0] / "text.jpg").write_text("text")
    figures = swinkit.evaluate(run.path, data, out=str(tmp_path / "out"), **OPTIONS)
    assert figures["images"] == 6
    (message,) = report_of(tmp_path / "out")["unreadable"]
    assert "text.jpg" in message
    assert "1 files could not be read and do not count" in " ".join(capsys.readouterr().err.split())


def test_only_unreadable_pictures(run: Run, tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "a.png").write_text("text")
    with pytest.raises(DataError, match="None of the 3 images could be read: "):
        swinkit.evaluate(run.path, tmp_path / "set", out=str(tmp_path / "out"), **OPTIONS)
    assert not (tmp_path / "out").exists()


def test_mistakes(run: Run, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'split'"):
        swinkit.evaluate(run.path, dataset, splitt="val")
    with pytest.raises(WeightsError, match="check the path"):
        swinkit.evaluate(tmp_path / "m.safetensors", dataset)
    with pytest.raises(DataError, match="There is no folder or file"):
        swinkit.evaluate(run.path, tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        swinkit.evaluate(run.path, dataset, out=str(tmp_path / "file" / "out"), **OPTIONS)


# --- several views -------------------------------------------------------------------------------------


def test_mirror_images_and_views_are_averaged(run: Run) -> None:
    """By hand: the mean of the probabilities of each view, and of each in a mirror."""
    model = swinkit.load(run.path)
    size = model.preprocessing.size
    views = torch.randn(3, 5, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        each = [model(v).softmax(-1) for view in views.unbind(1) for v in (view, view.flip(-1))]
        expected = torch.stack(each).mean(0)
        found = model.respond(Batch(views, None, (), ()), flip=True)
        torch.testing.assert_close(found.exp(), expected, atol=1e-6, rtol=1e-5)
        one = model.respond(Batch(views[:, 0], None, (), ()), flip=True)
        expected = torch.stack(each[:2]).mean(0)
        torch.testing.assert_close(one.exp(), expected, atol=1e-6, rtol=1e-5)


def test_five_crops_are_the_corners_and_the_centre() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    pre = Preprocessing(size=16, crop=0.8)
    crops = evaluation_transform(pre, 5)(image)
    whole = evaluation_transform(Preprocessing(size=20, crop=1.0))(image)
    places = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    for crop, (top, left) in zip(crops, places, strict=True):
        torch.testing.assert_close(crop, whole[:, top : top + 16, left : left + 16])
    with pytest.raises(ConfigError, match="needs a margin"):
        evaluation_transform(Preprocessing(size=16, crop=1.0), 5)


def test_three_crops_lie_along_the_long_side() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 40, 3), dtype=np.uint8))
    crops = evaluation_transform(Preprocessing(size=16, crop=1.0, mean=(0, 0, 0), std=(1, 1, 1)), 3)
    pixels = np.asarray(image).transpose(2, 0, 1) / 255
    for crop, left in zip(crops(image), (0, 12, 24), strict=True):
        assert np.allclose(crop, pixels[..., left : left + 16], atol=1e-6)
    turned = crops(image.transpose(Image.Transpose.TRANSPOSE))
    assert np.allclose(turned.mT, crops(image), atol=1e-6)


def test_views_change_the_scores_and_are_noted(run: Run, dataset: Path, tmp_path: Path) -> None:
    plain = swinkit.evaluate(run.path, dataset, out=tmp_path / "a", **OPTIONS)
    flipped = swinkit.evaluate(run.path, dataset, out=tmp_path / "b", flip=True, **OPTIONS)
    assert flipped["ece"] != plain["ece"]
    assert (report_of(tmp_path / "b")["flip"], report_of(tmp_path / "b")["crops"]) == (True, 1)
    with pytest.raises(
        ConfigError, match=r"`crops=5` needs a margin, but the model takes whole pictures of 28"
    ):
        swinkit.evaluate(run.path, dataset, crops=5, **OPTIONS)


def test_five_crops_of_a_model_with_a_margin(run: Run, dataset: Path) -> None:
    model = swinkit.load(run.path)
    model.preprocessing = model.preprocessing.model_copy(update={"crop": 0.875})
    figures = swinkit.evaluate(model, dataset, crops=5, flip=True, **OPTIONS)
    assert figures["images"] == 18
    assert figures["top1"] > 50
