"""swinkit.predict: one result an input, in order, whatever the input is; nothing of the user's is touched."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

import swinkit
from swinkit.errors import ConfigError, DataError, WeightsError
from swinkit.progress import Bar, progress_bar, row
from swinkit.results import Classes, Failure, write_csv, write_json
from swinkit.training.run_folder import Run
from tests.conftest import CLASSES, QUICK, save_huge

OPTIONS = {key: QUICK[key] for key in ("workers", "device", "progress")}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_results_come_one_by_one_in_order(run: Run, dataset: Path, pictures: list[Path]) -> None:
    answers = swinkit.predict(run.path, pictures[::-1], **OPTIONS)
    assert isinstance(answers, Iterator)
    assert next(answers).path == str(pictures[2])
    assert [result.path for result in answers] == [str(pictures[1]), str(pictures[0])]
    everything = list(swinkit.predict(run.path, dataset / "val", batch_size=5, **OPTIONS))
    expected = [str(dataset / "val" / name / f"{i}.png") for name in CLASSES for i in range(6)]
    assert [result.path for result in everything] == expected


def test_it_agrees_with_the_model(run: Run, pictures: list[Path]) -> None:
    """Predict, the model's own predict, and softmax by hand give the same, for any batch size."""
    batch = run.model.preprocess(pictures)
    with torch.inference_mode():
        scores = run.model(batch.images).softmax(-1).sort(descending=True)
    for size in (1, 2, 16):
        for i, result in enumerate(swinkit.predict(run.model, pictures, batch_size=size, **OPTIONS)):
            assert isinstance(result, Classes)
            assert list(result.labels) == scores.indices[i].tolist()
            assert list(result.scores) == pytest.approx(scores.values[i].tolist(), abs=1e-5)
            assert result.names == tuple(CLASSES[label] for label in result.labels)


def test_the_trained_model_is_right(run: Run, pictures: list[Path]) -> None:
    best = [
        result.to_dict()["classes"][0]["name"] for result in swinkit.predict(run.path, pictures, **OPTIONS)
    ]
    assert best == list(CLASSES)


def test_files_folders_and_patterns(run: Run, dataset: Path, pictures: list[Path]) -> None:
    paths = [pictures[2], str(dataset / "val" / CLASSES[0] / "[0-2].png"), dataset / "val" / CLASSES[0]]
    found = [Path(result.path).name for result in swinkit.predict(run.path, paths, **OPTIONS)]
    assert found == ["0.png", "0.png", "1.png", "2.png", "3.png", "4.png", "5.png"]


def test_topk(run: Run, pictures: list[Path]) -> None:
    for k, count in ((1, 1), (2, 2), (99, 3)):
        (result,) = swinkit.predict(run.path, pictures[0], topk=k, **OPTIONS)
        assert len(result.to_dict()["classes"]) == count


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_an_unreadable_file_does_not_stop_the_others(
    run: Run, pictures: list[Path], tmp_path: Path, batch_size: int
) -> None:
    (tmp_path / "text.jpg").write_text("no picture at all")
    (tmp_path / "empty.png").write_bytes(b"")
    paths = [pictures[0], tmp_path / "text.jpg", pictures[1], tmp_path / "empty.png", pictures[2]]
    results = list(swinkit.predict(run.path, paths, batch_size=batch_size, out=tmp_path / "out", **OPTIONS))
    assert [result.path for result in results] == list(map(str, paths))
    assert [type(result) for result in results] == [Classes, Failure, Classes, Failure, Classes]
    assert "text.jpg is no image" in results[1].lines()[0][0]
    assert "empty.png is empty" in results[3].to_dict()["error"]
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_strange_pictures_are_answered(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (9, 200, 9)).save(tmp_path / "a.png")
    Image.new("RGB", (30_000, 8), (9, 200, 9)).save(tmp_path / "b.png")
    Image.new("I;16", (40, 30), 40_000).save(tmp_path / "c.png")
    Image.new("P", (40, 30), 3).save(tmp_path / "d.gif")
    results = list(swinkit.predict(run.path, tmp_path, out=tmp_path / "out", **OPTIONS))
    assert [result.to_dict().get("size") for result in results] == [[1, 1], [8, 30_000], [30, 40], [30, 40]]
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_thirty_thousand_pixels_squared_are_refused(run: Run, tmp_path: Path) -> None:
    save_huge(tmp_path / "big.png")
    (result,) = swinkit.predict(run.path, tmp_path / "big.png", **OPTIONS)
    assert isinstance(result, Failure)
    assert "30000×30000 = 900,000,000 pixels, above the limit" in result.error


# --- annotated pictures --------------------------------------------------------------------------------


def test_out_never_overwrites_the_inputs(run: Run, pictures: list[Path], tmp_path: Path) -> None:
    for i, picture in enumerate(pictures):
        shutil.copy(picture, tmp_path / f"{i}.png")
    before = snapshot(tmp_path)
    list(swinkit.predict(run.path, tmp_path, out=tmp_path, **OPTIONS))
    after = snapshot(tmp_path)
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == ["0-2.png", "1-2.png", "2-2.png"]


def test_out_never_overwrites_what_lies_beside_the_inputs(
    run: Run, pictures: list[Path], tmp_path: Path
) -> None:
    shutil.copy(pictures[0], tmp_path / "a.jpg")
    shutil.copy(pictures[1], tmp_path / "a.png")
    before = snapshot(tmp_path)
    list(swinkit.predict(run.path, tmp_path / "a.jpg", out=tmp_path, **OPTIONS))
    after = snapshot(tmp_path)
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == ["a-2.png"]


def test_a_models_own_limits_stay(run: Run, pictures: list[Path]) -> None:
    model = swinkit.load(run.path)
    model.set_test_limits(topk=2)
    (result,) = swinkit.predict(model, pictures[0], **OPTIONS)
    assert len(result.to_dict()["classes"]) == 2


def test_equal_names_are_numbered(run: Run, pictures: list[Path], tmp_path: Path) -> None:
    list(swinkit.predict(run.path, pictures, out=tmp_path / "a" / "out", **OPTIONS))  # all three are 0.png
    written = sorted((tmp_path / "a" / "out").iterdir())
    assert [path.name for path in written] == ["0-2.png", "0-3.png", "0.png"]
    for path in written:
        with Image.open(path) as image:
            assert image.height > 40  # picture and caption
    first = (tmp_path / "a" / "out" / "0.png").read_bytes()
    list(swinkit.predict(run.path, pictures[0], out=tmp_path / "a" / "out", **OPTIONS))
    assert (tmp_path / "a" / "out" / "0.png").read_bytes() == first  # again the same: no number, no change


# --- saving --------------------------------------------------------------------------------------------


def test_json_and_csv(tmp_path: Path) -> None:
    results = [
        Classes('a "b", ü.png', (4, 5), (1, 0), ("dots, blue", "grün"), (0.75, 0.25)),
        Failure("c.png", "broken, alas"),
    ]
    write_json(results, tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == [r.to_dict() for r in results]
    assert "grün" in (tmp_path / "r.json").read_text(encoding="utf-8")
    write_csv(results, tmp_path / "new" / "r.csv")
    with (tmp_path / "new" / "r.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["path", "rank", "name", "score", "error"],
        ['a "b", ü.png', "1", "dots, blue", "0.75", ""],
        ['a "b", ü.png', "2", "grün", "0.25", ""],
        ["c.png", "", "", "", "broken, alas"],
    ]


# --- mistakes come at once -----------------------------------------------------------------------------


def test_mistakes_come_before_the_first_result(run: Run, pictures: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'topk'"):
        swinkit.predict(run.path, pictures, topkk=3)
    with pytest.raises(ConfigError, match="is no device"):
        swinkit.predict(run.path, pictures, device="gpu")
    with pytest.raises(DataError, match=r"There is no file or folder .*nothing\.jpg"):
        swinkit.predict(run.path, [pictures[0], tmp_path / "nothing.jpg"])
    with pytest.raises(DataError, match="holds no images"):
        swinkit.predict(run.path, tmp_path)
    with pytest.raises(DataError, match="No image was named"):
        swinkit.predict(run.path, [])
    with pytest.raises(WeightsError, match="check the path"):
        swinkit.predict(tmp_path / "m.safetensors", pictures)


def test_one_bar_on_screen() -> None:
    """What goes on while a bar is shown adds a row to it, and takes it away."""
    text = io.StringIO()
    with progress_bar(Console(file=text, force_terminal=True, width=100)) as bar:
        bar.add_task("predict", total=None, speed="")
        with row("film.mp4") as advance:
            advance(completed=3, total=9)
            bar.refresh()
            assert [task.description for task in bar.tasks] == ["predict", "film.mp4"]
        assert [task.description for task in bar.tasks] == ["predict"]
    assert "film.mp4" in text.getvalue()
    with row("alone") as advance:
        advance(completed=1, total=2)
    assert Bar.shown == []
