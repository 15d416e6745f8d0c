"""Pictures with several classes: tables, loss, average precision by its definition, training."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import swinkit
from swinkit.config.augmentation import Augmentation
from swinkit.data.batch import Batch
from swinkit.data.classification.open import open_classes, save_split
from swinkit.errors import ConfigError, DataError, WeightsError
from swinkit.labels import Labels
from swinkit.metrics.anyof import AnyOfMetric
from swinkit.metrics.multilabel import MultiLabelMetric
from tests import contract
from tests.conftest import CLASSES, QUICK, TINY, Swin, draw_picture

pyarrow = pytest.importorskip("pyarrow")
CASE = contract.Case(
    "several classes",
    lambda classes: swinkit.create("swin_pico", classes=classes, multi_label=True, **TINY, drop_path=0.3),
    contract.OF_PICTURES,
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Pictures with stripes and dots side by side, with one of them, or neither."""
    rng, rows = np.random.default_rng(1), []
    for i in range(40):
        labels = [CLASSES[k] for k in (0, 2) if (i >> (k // 2)) & 1]
        pixels = np.zeros((32, 64, 3), np.uint8)
        for side, k in enumerate((0, 2)):
            if CLASSES[k] in labels:
                pixels[:, side * 32 :][:, :32] = np.asarray(draw_picture(k, rng).resize((32, 32)))
        contract.Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        rows.append((f"{i}.png", "|".join(labels), "train" if i < 32 else "val"))
    return write_csv(tmp_path / "set.csv", ("path", "labels", "split"), rows)


def write_csv(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def read_rows(table: Path) -> list[tuple[str, ...]]:
    with table.open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_contract(check, tmp_path: Path) -> None:
    check(CASE, tmp_path)


def test_tables_of_several_labels(table: Path, tmp_path: Path) -> None:
    data = open_classes(table)
    assert (data.multi, data.classes) == (True, (CLASSES[0], CLASSES[2]))
    kinds = {sample.labels for sample in data.splits["train"]}
    assert kinds == {(), (0,), (1,), (0, 1)}
    save_split(data, tmp_path / "split.csv")
    assert open_classes(table, split_file=tmp_path / "split.csv").splits == data.splits
    rows = [row[:2] for row in read_rows(table)]
    drawn = open_classes(write_csv(tmp_path / "all.csv", ("path", "labels"), rows), seed=1)
    assert len(drawn.splits["val"]) == 8


def test_val_of_many_sets_of_labels(table: Path, tmp_path: Path) -> None:
    """Each picture has labels of its own; all the same a fifth is drawn."""
    names = [f"c{i}" for i in range(8)]
    rows = [(f"{i}.png", "|".join(n for k, n in enumerate(names) if (37 * i >> k) & 1)) for i in range(40)]
    data = open_classes(write_csv(tmp_path / "many.csv", ("path", "labels"), rows))
    assert 5 <= len(data.splits["val"]) <= 12
    assert (data.splits["val"].counts(8) > 0).sum() >= 6
    assert len(data.splits["val"]) + len(data.splits["train"]) == 40
    alone = [(f"{i}.png", f"only{i}") for i in range(40)]
    data = open_classes(write_csv(tmp_path / "alone.csv", ("path", "labels"), alone))
    assert list(data.splits) == ["train"]  # each class keeps its only picture
    pairs = [(f"{i}.png", f"of all|only{i // 2}") for i in range(40)]
    data = open_classes(write_csv(tmp_path / "pairs.csv", ("path", "labels"), pairs))
    assert len(data.splits["val"]) == 20
    assert (data.splits["train"].counts(21) > 0).all()


def test_parquet_is_the_same(table: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    rows = read_rows(table)
    columns = {
        "path": [row[0] for row in rows],
        "labels": [[name for name in row[1].split("|") if name] for row in rows],
        "split": [row[2] for row in rows],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "set.parquet")
    assert open_classes(tmp_path / "set.parquet").splits == open_classes(table).splits
    numbers = {"path": columns["path"], "label": [i % 2 for i in range(40)]}
    parquet.write_table(pyarrow.table(numbers), tmp_path / "numbers.parquet")
    data = open_classes(tmp_path / "numbers.parquet")
    assert (data.multi, data.classes) == (False, ("0", "1"))


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"path": ["0.png"]}, "has no column 'label'"),
        ({"path": ["0.png", "gone.png"], "label": ["a", "b"]}, "Line 2 of .* names .*gone"),
        ({"path": ["0.png", None], "label": ["a", "b"]}, "Line 2 of .* has no path"),
    ],
)
def test_bad_parquet(table: Path, tmp_path: Path, columns: dict[str, list[str]], sentence: str) -> None:
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=sentence):
        open_classes(tmp_path / "bad.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="cannot be read as a Parquet file"):
        open_classes(tmp_path / "text.parquet")


def test_parquet_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "x.parquet").touch()
    with pytest.raises(ConfigError, match=r"pip install swinkit\[parquet\]"):
        open_classes(tmp_path / "x.parquet")


# --- loss and figures --------------------------------------------------------------------------------------


def batch_of(targets: torch.Tensor) -> Batch:
    count = len(targets)
    return Batch(torch.zeros(count, 3, 28, 28), targets, ((28, 28),) * count, tuple(map(str, range(count))))


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean of the precision at each hit, in the order of the scores."""
    ranked = truth[np.argsort(-scores)]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked > 0].mean())


def test_map_is_the_mean_average_precision() -> None:
    rng = torch.Generator().manual_seed(0)
    raw = torch.randn(60, 4, generator=rng)
    targets = (torch.rand(60, 4, generator=rng) < 0.3).float()
    targets[:, 3] = 0  # of no picture
    whole, *parts = (MultiLabelMetric(Labels.of("abcd")) for _ in range(3))
    whole.update(raw, batch_of(targets))
    parts[0].update(raw[:25], batch_of(targets[:25]))
    parts[1].update(raw[25:], batch_of(targets[25:]))
    parts[0].merge(parts[1])
    expected = np.mean([average_precision(raw[:, k].numpy(), targets[:, k].numpy()) for k in range(3)])
    for metric in (whole, parts[0]):
        assert metric.compute()["map"] == pytest.approx(100 * expected, rel=1e-4)
        assert metric.compute()["images"] == 60
        assert metric.details()["per_class"]["d"] is None
    empty = MultiLabelMetric(Labels.of("abcd"))
    empty.merge(whole)
    assert empty.compute() == whole.compute()


def test_each_class_is_answered_for_itself() -> None:
    model = CASE.task(("a", "b", "c"))
    raw = torch.tensor([[5.0, 5.0, -5.0]])
    answer = model.postprocess(raw, [(1, 1)])[0].to_dict()["classes"]
    assert [row["score"] for row in answer[:2]] == pytest.approx([raw.sigmoid()[0, 0].item()] * 2)
    targets = torch.tensor([[1.0, 0.0, 1.0]])
    expected = F.binary_cross_entropy_with_logits(raw, targets)
    assert model.loss(batch_of(targets), raw)["binary_cross_entropy"] == expected
    assert torch.equal(model.as_raw(model.probabilities(raw)).round(decimals=3), raw)
    mixed = model.mixing(Augmentation(mix_prob=0.0, label_smoothing=0.3))
    assert torch.equal(mixed(batch_of(targets)).targets, targets)


def test_class_weights_of_pytorch() -> None:
    model = swinkit.create("swin_pico", classes=["a", "b"], **TINY).train()
    raw, targets = torch.randn(6, 2), torch.tensor([0, 0, 0, 0, 1, 1])
    batch = batch_of(targets)
    plain = model.loss(batch, raw)["cross_entropy"]
    model.weigh_classes([4, 2])
    assert model.class_weights is not None
    weights = torch.tensor([6 / (2 * 4), 6 / (2 * 2)])
    assert torch.allclose(model.class_weights, weights)
    assert torch.allclose(model.loss(batch, raw)["cross_entropy"], F.cross_entropy(raw, targets, weights))
    assert torch.equal(model.eval().loss(batch, raw)["cross_entropy"], plain)
    model.weigh_classes([4, 0])
    assert model.class_weights.tolist() == [1, 1]


def test_training_end_to_end(table: Path, start_file: str, tmp_path: Path, swin: Swin) -> None:
    run = swinkit.train(
        table, model=start_file, out=tmp_path / "run", img_size=64, lr=3e-3, sampling="balanced",
        class_weights="balanced", **{**QUICK, "epochs": 6, "batch_size": 8},
    )  # fmt: skip
    assert set(run.metrics) == {"map", "f1", "images"}
    assert run.metrics["map"] > 90
    model = swinkit.load(run.path)
    assert model.settings()["multi_label"] is True
    ended = swin("evaluate", run.path, table, "--flip")
    assert (ended.code, "map" in ended.out) == (0, True)
    report = json.loads((run.path / "evaluation.json").read_text())
    assert report["metrics"]["map"] == pytest.approx(run.metrics["map"], abs=15)
    plain = swinkit.create("swin_pico", classes=model.classes, **TINY)
    with pytest.raises(DataError, match="several labels"):
        swinkit.evaluate(plain, table)


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    model = CASE.task()
    model.settings = lambda: {"multi_label": "yes"}
    with pytest.raises(WeightsError, match="no settings"):
        swinkit.load(swinkit.save(model, tmp_path / "m.safetensors"))


# --- ImageNet-Real ---------------------------------------------------------------------------------------


def test_any_right_label_counts() -> None:
    raw = torch.tensor([[9.0, 1, 0, 0, 0, 0], [0, 9, 1, 0, 0, -1], [0, 0, 0, 1, 2, 3]])
    targets = torch.tensor([[1.0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])
    whole, one, two = (AnyOfMetric(Labels.of("abcdef")) for _ in range(3))
    whole.update(raw, batch_of(targets))
    one.update(raw[:1], batch_of(targets[:1]))
    two.update(raw[1:], batch_of(targets[1:]))
    one.merge(two)
    assert whole.compute() == one.compute()
    assert whole.compute()["top1"] == pytest.approx(100 / 3)
    assert whole.compute()["images"] == 3


def test_imagenet_real(run: swinkit.api.Run, dataset: Path, tmp_path: Path, swin: Swin) -> None:
    """Pictures without a label are left out; of several labels each is right."""
    lists: list[list[int]] = []
    for label, name in enumerate(CLASSES):
        for i in range(3):
            target = tmp_path / "val" / name / f"ILSVRC2012_val_{len(lists) + 1:08d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((dataset / "val" / name / f"{i}.png").read_bytes())
            lists.append([] if i == 2 else [0, 1, 2] if i else [(label + 1) % 3])
    real = tmp_path / "real.json"
    real.write_text(json.dumps(lists))
    figures = swinkit.evaluate(run.model, tmp_path / "val", real=real)
    answers = [
        run.model.predict([p])[0].to_dict()["classes"][0]["id"] for p in sorted(tmp_path.rglob("*1.png"))
    ]
    assert figures["images"] == 6
    assert figures["top1"] >= 50
    assert answers
    out = ("--out", tmp_path / "out")
    assert swin("evaluate", run.path, tmp_path / "val", "--real", real, *out).code == 0
    for content, sentence in (
        ("[[9]]", "labels that the model's 3 classes do not have"),
        ("{}", "no list of lists"),
    ):
        real.write_text(content)
        with pytest.raises(DataError, match=sentence):
            swinkit.evaluate(run.model, tmp_path / "val", real=real)
    real.write_text(json.dumps(lists))
    with pytest.raises(DataError, match="is no picture of ImageNet's validation part"):
        swinkit.evaluate(run.model, dataset, real=real)
