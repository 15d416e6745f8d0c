"""Classes of left and right: mirroring is off, in training and at test time, and a note says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import swinkit
from swinkit.config.base import read_yaml
from swinkit.config.mirrored_classes import mirrored_pair
from swinkit.config.train import TrainConfig
from swinkit.data.open import open_data
from swinkit.recipes import read_recipe
from swinkit.training.run_folder import Run


@pytest.mark.parametrize(
    "pair",
    [
        ("left", "right"),
        ("LEFT ARROW", "right-arrow"),
        ("turnLeft", "turnRight"),
        ("turnleft", "turnright"),
        ("bright left", "bright right"),
        ("hand_L", "hand_R"),
        ("knee lh", "knee rh"),
        ("left lung", "right lung"),
        ("Pushing something from left to right", "Pushing something from right to left"),
        ("clockwise", "counter-clockwise"),
        ("Turning Clockwise", "Turning Anti Clockwise"),
        ("rotate_cw", "rotate_ccw"),
        ("links", "rechts"),
        ("linker Arm", "rechter Arm"),
        ("pied gauche", "pied droit"),
        ("izquierda", "derecha"),
        ("налево", "направо"),
        ("左转", "右转"),
        ("顺时针", "逆时针"),
        ("時計回り", "反時計回り"),
        ("왼쪽", "오른쪽"),
        ("يسار", "يمين"),
        ("←", "→"),
    ],
)
def test_pairs_that_a_mirror_exchanges(pair: tuple[str, str]) -> None:
    assert mirrored_pair(["cat", *pair]) == pair
    assert mirrored_pair([pair[0], "cat"]) is None  # its mirror image is no other class
    assert mirrored_pair([pair[1], "cat"]) is None


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog"],
        ["bright", "blight"],
        ["copyright", "copyleft symbol"],
        ["b", "d"],
        ["K", "L", "M", "Q", "R"],  # letters
        ["letter_A", "letter_L", "letter_R"],
        ["cat (a)", "cat (b)"],
        ["support", "import"],
    ],
)
def test_other_names(names: list[str]) -> None:
    assert mirrored_pair(names) is None


def arrows(root: Path, classes: tuple[str, str], count: int = 6) -> Path:
    for side, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(count):
            image = Image.new("RGB", (32, 32), (i * 20, 90, 60))
            tip = 4 if side == 0 else 28
            ImageDraw.Draw(image).polygon([(tip, 16), (16, 4 + i), (16, 28 - i)], fill="white")
            image.save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_file: Path) -> Run:
    data = arrows(tmp_path_factory.mktemp("arrows") / "data", ("turn_left", "turn_right"))
    out = tmp_path_factory.mktemp("arrows") / "run"
    return swinkit.train(
        data, model=str(tiny_file), epochs=1, batch_size=4, device="cpu", progress=False, out=str(out)
    )


def test_training_mirrors_nothing_and_says_so(run: Run) -> None:
    assert read_yaml(run.path / "config.yaml")["augmentation"]["hflip"] == 0.0
    note = "Images are not mirrored in training (hflip=0): a mirror exchanges the classes 'turn_left' and"
    assert note in (run.path / "notes.txt").read_text()


def test_flip_is_left_out_at_test_time(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = read_yaml(run.path / "config.yaml")["data"]
    figures = swinkit.evaluate(run.path, data, device="cpu", progress=False)
    capsys.readouterr()
    assert swinkit.evaluate(run.path, data, device="cpu", progress=False, flip=True) == figures
    assert "Mirror images are left out (flip): a mirror exchanges" in capsys.readouterr().err
    plain = [result.to_dict() for result in swinkit.predict(run.path, data, device="cpu", progress=False)]
    flips = swinkit.predict(run.path, data, device="cpu", progress=False, flip=True)
    assert [result.to_dict() for result in flips] == plain
    assert "Mirror images are left out (flip)" in capsys.readouterr().err


def hflip_of(data: Path, **options: object) -> tuple[float, list[str]]:
    """Chance of a flip and the notes of a run as it would begin."""
    from swinkit.training.run import _unmirrored

    config, notes = _unmirrored(TrainConfig.checked({"data": str(data), **options}), open_data(data))
    return config.augmentation.hflip, notes


def test_an_explicit_chance_stays_with_a_note(tmp_path: Path) -> None:
    data = arrows(tmp_path / "a", ("left", "right"), 2)
    hflip, (note,) = hflip_of(data, augmentation={"hflip": 0.5})
    assert hflip == 0.5
    assert "as hflip=0.5 says, but a mirror exchanges the classes 'left' and 'right'" in note
    assert hflip_of(data, augmentation={"hflip": 0.0}) == (0.0, [])
    assert hflip_of(data, augmentation={"erasing": 0.3})[0] == 0.0
    assert hflip_of(arrows(tmp_path / "b", ("cat", "dog"), 2)) == (0.5, [])


@pytest.mark.parametrize("name", ["k400_30e", "ade20k_160k", "mask_rcnn_1x"])
def test_a_recipe_gives_way(name: str) -> None:
    config = TrainConfig.checked({**read_recipe(name, "swin_t"), "data": "x"})
    assert config.augmentation.hflip == 0.5
    assert "hflip" not in config.augmentation.model_fields_set


def masks_of(root: Path) -> Path:
    for i in range(3):
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(root / "images" / f"{i}.png")
        Image.fromarray(np.full((16, 16), i, np.uint8)).save(root / "masks" / f"{i}.png")
    (root / "dataset.yaml").write_text("classes: [background, left lung, right lung]\n")
    return root


def boxes_of(root: Path) -> Path:
    root.mkdir()
    for i in range(3):
        Image.new("RGB", (16, 16)).save(root / f"{i}.png")
    rows = ["path,label,xmin,ymin,xmax,ymax", "0.png,main gauche,1,1,5,5", "1.png,main droite,1,1,5,5"]
    (root / "boxes.csv").write_text("\n".join(rows))
    return root


@pytest.mark.parametrize("make", [masks_of, boxes_of])
def test_masks_and_boxes(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    hflip, (note,) = hflip_of(make(tmp_path / "set"))
    assert hflip == 0.0
    assert "a mirror exchanges" in note


def test_something_something_is_never_mirrored(tmp_path: Path) -> None:
    """Of a subset too, in which no class has its counterpart."""
    (tmp_path / "a.json").touch()
    for part in ("train", "validation"):
        records = ""
        for i, template in enumerate(("Holding [something]", "Pulling [something] from left to right")):
            video = tmp_path / "frames" / f"{part}{i}"
            for frame in range(2):
                video.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 16)).save(video / f"{frame}.png")
            records += f'{{"id": "{part}{i}", "template": "{template}"}},'
        (tmp_path / f"something-something-v2-{part}.json").write_text(f"[{records[:-1]}]")
    hflip, (note,) = hflip_of(tmp_path)
    assert hflip == 0.0
    assert "Something-Something tells left from right" in note
