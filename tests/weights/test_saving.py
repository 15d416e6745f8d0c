"""What is written beside the tensors for other libraries, as these libraries read it, and back again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_data_config

import swinkit
from swinkit.config.preprocessing import Preprocessing
from swinkit.errors import WeightsError
from swinkit.tasks.base import Task
from tests.conftest import Swin

NAMES = ["cat", "dog", "emu"]
SMALL = {"embed_dim": 16, "depths": (2, 2), "num_heads": (2, 2), "img_size": 56}
MODES: dict[str, dict[str, Any]] = {
    "short": {"crop": 0.9},
    "stretch": {"resize": "stretch", "crop": 1.0, "interpolation": "lanczos"},
    "cut": {"resize": "stretch", "resize_to": 61},
    "border": {"resize": "border", "crop": 0.95},
    "video": {"antialias": False, "interpolation": "bilinear"},
    "exact": {"resize": "exact"},
}
NOISE = [
    Image.fromarray(np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8))
    for i, (width, height) in enumerate([(61, 45), (45, 62), (40, 40), (97, 31)])
]


def classifier(mode: str, **settings: Any) -> Task:
    torch.manual_seed(0)
    model = swinkit.create("swin_t", classes=NAMES, **SMALL | settings)
    values = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3), **MODES[mode]}
    model.preprocessing = Preprocessing.checked({"size": 56, **values})
    model.licence = "MIT"
    return model


def scores(model: Task, images: list[Image.Image]) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model(model.preprocess([image]).images) for image in images])


TARGETS = [
    ("huggingface", "hf"),
    ("timm", "timm"),
    ("timm", "timm.safetensors"),
    ("timm", "timm.pth"),
    ("torchvision", "tv.safetensors"),
    ("microsoft", "ms.pth"),
    ("microsoft", "ms.safetensors"),
    ("openmmlab", "mm.pth"),
    ("openmmlab", "mm.safetensors"),
    ("safetensors", "ours.safetensors"),
]


@pytest.mark.parametrize(("dialect", "name"), TARGETS)
@pytest.mark.parametrize("mode", MODES)
def test_scores_are_the_same_after_reading_back(
    dialect: str, name: str, mode: str, swin: Swin, tmp_path: Path
) -> None:
    model = classifier(mode)
    path = swinkit.save(model, tmp_path / "in" / "model.safetensors")
    out = tmp_path / "out" / name
    ended = swin("convert", path, out, "--to", dialect)
    assert ended.code == 0, ended.err
    back = swinkit.load(out)
    if dialect == "timm" and name.endswith(".pth") and mode in ("video", "exact"):
        assert "timm does not compute this preprocessing" in ended.out
        return
    assert (back.classes, back.licence) == (model.classes, "MIT")
    if name != "timm.pth":  # there timm's crop_pct stands for the side before the crop
        assert back.preprocessing == model.preprocessing
    images = [Image.new("RGB", (56, 56), "red")] if mode == "exact" else NOISE
    assert torch.equal(scores(back, images), scores(model, images))


def converted(model: Task, out: Path, to: str, swin: Swin, *, notes: int = 0) -> Path:
    path = swinkit.save(model, out.parent / "model.safetensors")
    ended = swin("convert", path, out, "--to", to)
    assert ended.code == 0, ended.err
    assert ended.out.count("Note:") == notes, ended.out
    return out


@pytest.mark.parametrize(("mode", "notes"), [("short", 1), ("stretch", 0), ("cut", 0), ("exact", 0)])
def test_transformers_prepares_and_names_alike(mode: str, notes: int, swin: Swin, tmp_path: Path) -> None:
    model = classifier(mode)
    folder = converted(model, tmp_path / "hf", "huggingface", swin, notes=notes)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    theirs = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    assert theirs.config.id2label == dict(enumerate(NAMES))
    # transformers rounds margins of half a pixel down, which the note says: images without such margins
    for image in [Image.new("RGB", (56, 56), "red")] if mode == "exact" else [NOISE[2], NOISE[0]]:
        pixels = torch.from_numpy(processor(image)["pixel_values"][0])[None]
        torch.testing.assert_close(model.preprocess([image]).images, pixels, rtol=0, atol=2e-6)
        with torch.no_grad():
            torch.testing.assert_close(theirs(pixels).logits, scores(model, [image]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["short", "stretch", "cut", "border"])
@pytest.mark.parametrize("name", ["timm", "timm.safetensors"])
def test_timm_prepares_and_names_alike(mode: str, name: str, swin: Swin, tmp_path: Path) -> None:
    model = classifier(mode)
    out = converted(model, tmp_path / "out" / name, "timm", swin)
    folder = out if out.is_dir() else out.parent
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert theirs.pretrained_cfg["label_names"] == NAMES
    transform = create_transform(**resolve_data_config({}, model=theirs))
    for image in NOISE:
        pixels = transform(image)[None]
        torch.testing.assert_close(model.preprocess([image]).images, pixels, rtol=0, atol=1e-6)
        with torch.no_grad():
            torch.testing.assert_close(theirs(pixels), scores(model, [image]), rtol=1e-4, atol=1e-5)


def test_what_a_dialect_has_no_place_for_is_named(swin: Swin, tmp_path: Path) -> None:
    path = swinkit.save(classifier("short"), tmp_path / "model.safetensors")
    lost = swin("convert", path, tmp_path / "tv.pth", "--to", "torchvision").out
    assert "no place for the preprocessing and the class names: lost in tv.pth" in lost
    assert "reads them back" in swin("convert", path, tmp_path / "tv.safetensors", "--to", "torchvision").out
    named = swin("convert", path, tmp_path / "ms.pth", "--to", "microsoft").out
    assert "does not read the preprocessing from ms.pth" in named
    assert torch.load(tmp_path / "ms.pth", weights_only=True)["meta"]["CLASSES"] == NAMES
    path = swinkit.save(classifier("border"), tmp_path / "border.safetensors")
    ended = swin("convert", path, tmp_path / "hf", "--to", "huggingface")
    assert "cannot compute this preprocessing" in ended.out
    assert not (tmp_path / "hf" / "preprocessor_config.json").exists()


def test_a_config_of_something_else_stays(swin: Swin, tmp_path: Path) -> None:
    path = swinkit.save(classifier("short"), tmp_path / "model.st.safetensors")
    (tmp_path / "config.json").write_text('{"mine": 1}')
    ended = swin("convert", path, tmp_path / "timm.pth", "--to", "timm")
    assert "is not that of timm.pth" in ended.out
    assert json.loads((tmp_path / "config.json").read_text()) == {"mine": 1}
    other = tmp_path / "two"
    for name in ("one.pth", "two.pth"):
        ended = swin("convert", path, other / name, "--to", "timm")
        assert ("is not that of two.pth" in ended.out) == (name == "two.pth")
    assert swinkit.load(other / "one.pth").classes == tuple(NAMES)


def test_several_labels_per_image_travel(swin: Swin, tmp_path: Path) -> None:
    model = classifier("stretch", multi_label=True)
    for to, name in (("huggingface", "hf"), ("microsoft", "ms.pth")):
        back = swinkit.load(converted(model, tmp_path / name, to, swin, notes=to == "microsoft"))
        assert back.multi_label
    theirs = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "hf")
    assert theirs.config.problem_type == "multi_label_classification"
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    save_file(tensors, tmp_path / "hf" / "model.safetensors", {"format": "pt"})
    assert swinkit.load(tmp_path / "hf").multi_label


def test_upernet_and_videos_come_back(swin: Swin, tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
    model = swinkit.create(
        "swin_t",
        classes=NAMES,
        task="segment",
        channels=16,
        auxiliary=8,
        img_size=64,
        head="upernet",
        **small,
    )
    folder = converted(model, tmp_path / "hf", "huggingface", swin, notes=1)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = torch.from_numpy(processor(NOISE[2])["pixel_values"][0])[None]
    torch.testing.assert_close(model.preprocess([NOISE[2]]).images, pixels, rtol=0, atol=2e-6)
    back = swinkit.load(folder)
    assert (back.preprocessing, back.labels) == (model.preprocessing, model.labels)
    for image in NOISE:
        assert torch.equal(scores(back, [image]), scores(model, [image]))
    small = {"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 1)}
    film = swinkit.create("swin3d_t", classes=NAMES, img_size=(4, 32, 32), window=(2, 4, 4), **small)
    film.preprocessing = film.preprocessing.model_copy(update={"mean": (0.1, 0.2, 0.3)})
    for to, name in (("microsoft", "ms.pth"), ("torchvision", "tv.safetensors")):
        back = swinkit.load(converted(film, tmp_path / name, to, swin, notes=1), window=(2, 4, 4))
        assert (back.classes, back.preprocessing) == (film.classes, film.preprocessing)


def test_damaged_metadata_is_named(swin: Swin, tmp_path: Path) -> None:
    out = converted(classifier("short"), tmp_path / "tv.safetensors", "torchvision", swin, notes=1)
    save_file(load_file(out), out, {"format": "pt", "swinkit_beside": '{"labels": 3}'})
    with pytest.raises(WeightsError, match="has damaged metadata"):
        swinkit.load(out)


def test_a_range_of_values_is_part_of_mean_and_deviation_elsewhere(swin: Swin, tmp_path: Path) -> None:
    model = classifier("stretch")
    # bilinear: beyond 0..255 they cut off what bicubic overshoots, where our range goes on
    bilinear = model.preprocessing.model_copy(update={"interpolation": "bilinear"})
    model.preprocessing = bilinear.with_range((-100, 1000))
    folder = converted(model, tmp_path / "hf", "huggingface", swin, notes=1)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    timm_folder = converted(model, tmp_path / "timm", "timm", swin, notes=1)
    theirs = timm.create_model(f"local-dir:{timm_folder}", pretrained=True).eval()
    transform = create_transform(**resolve_data_config({}, model=theirs))
    back = swinkit.load(converted(model, tmp_path / "x" / "timm.pth", "timm", swin, notes=1))
    for image in NOISE:
        ours = model.preprocess([image]).images
        rounding = 1.01 / 1100 / 0.2  # they round twice to whole levels of 8 bits, where we do not
        pixels = torch.from_numpy(processor(image)["pixel_values"][0])[None]
        for others in (pixels, transform(image)[None], back.preprocess([image]).images):
            torch.testing.assert_close(others, ours, rtol=0, atol=rounding)
    unbounded = classifier("stretch")
    unbounded.preprocessing = unbounded.preprocessing.with_range((0, 9), unbounded=True)
    back = swinkit.load(converted(unbounded, tmp_path / "other", "timm", swin))
    assert back.preprocessing == unbounded.preprocessing


@pytest.mark.parametrize(
    "head", ["ssformer", "fcn", "pspnet", "deeplabv3plus", "psanet", "dmnet", "setr_pup"]
)
@pytest.mark.parametrize("to", ["openmmlab", "microsoft"])
def test_every_segmentation_head_is_converted(head: str, to: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "channels": 8, "auxiliary": 0}
    model = swinkit.create("swin_t", classes=NAMES, task="segment", img_size=64, head=head, **small)
    path = swinkit.save(model, tmp_path / "m.safetensors")
    report = swinkit.convert(path, tmp_path / "x.pth", to=to)
    assert "mean 0.485, 0.456, 0.406" in report.notes[-1]
    back = swinkit.load(tmp_path / "x.pth")
    assert (back.classes, back.preprocessing) == (model.classes, model.preprocessing)
    assert torch.equal(scores(back, [NOISE[0]]), scores(model, [NOISE[0]]))


def test_several_labels_are_named_where_nobody_else_knows_them(tmp_path: Path) -> None:
    path = swinkit.save(classifier("stretch", multi_label=True), tmp_path / "m.safetensors")
    for to, name in (("timm", "x"), ("torchvision", "tv.pth"), ("microsoft", "ms.pth")):
        notes = swinkit.convert(path, tmp_path / to / name, to=to).notes
        assert "multi_label" in " ".join(notes), to
