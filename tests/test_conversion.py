"""swin convert, inspect, models: the command line around weights of any dialect."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import transformers
from PIL import Image

import swinkit
from swinkit.errors import ConfigError
from swinkit.tasks.base import Task
from swinkit.weights.catalog import CATALOG
from tests.conftest import Swin
from tests.parity.golden import load_golden
from tests.parity.test_peers import stirred

CONFIG = {"embed_dim": 16, "depths": (2, 2, 2, 2), "num_heads": (2, 2, 4, 4), "img_size": 224}


@pytest.fixture
def ours(tmp_path: Path) -> tuple[Task, Path]:
    model = swinkit.create("swin_t", classes=["cat", "dog", "emu"], **CONFIG)
    return model, swinkit.save(model, tmp_path / "ours.safetensors")


def same(one: Task, other: Task) -> bool:
    state = other.state_dict()
    return all(torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("microsoft", "x.pth"),
        ("microsoft", "x.safetensors"),
        ("openmmlab", "x.pth"),
        ("openmmlab", "x.safetensors"),
        ("torchvision", "x.safetensors"),
        ("timm", "x.safetensors"),
        ("torchvision", "x.pt"),
        ("huggingface", "x"),
        ("safetensors", "x.safetensors"),
    ],
)
def test_there_and_back(dialect: str, name: str, swin: Swin, ours: tuple[Task, Path], tmp_path: Path) -> None:
    model, path = ours
    out = tmp_path / "out" / name
    code, text, _ = swin("convert", path, out, "--to", dialect)
    assert (code, f"Written: {out}" in text) == (0, True)
    assert "loaded" in text
    assert same(swinkit.load(out), model)
    back = tmp_path / "back.safetensors"
    assert swin("convert", out, back, "--to", "safetensors")[0] == 0
    assert same(swinkit.load(back), model)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_timm_loads_what_is_written(suffix: str, swin: Swin, ours: tuple[Task, Path], tmp_path: Path) -> None:
    model, path = ours
    out = tmp_path / f"timm{suffix}"
    swin("convert", path, out, "--to", "timm")
    settings = {key: CONFIG[key] for key in ("embed_dim", "depths", "num_heads")}
    theirs = timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=3, checkpoint_path=str(out), **settings
    )
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(x), model(x), atol=1e-5, rtol=1e-5)


def test_transformers_loads_what_is_written(swin: Swin, ours: tuple[Task, Path], tmp_path: Path) -> None:
    model, path = ours
    swin("convert", path, tmp_path / "hf", "--to", "huggingface")
    theirs = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "hf")
    assert theirs.config.id2label[1] == "dog"
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(x).logits, model(x), atol=1e-5, rtol=1e-5)


def test_a_dense_backbone_is_converted(swin: Swin, tmp_path: Path) -> None:
    golden = load_golden("det_backbone")
    torch.save({"state_dict": {f"backbone.{k}": v for k, v in golden.state.items()}}, tmp_path / "det.pth")
    assert swin("convert", tmp_path / "det.pth", tmp_path / "mm.pth", "--to", "openmmlab")[0] == 0
    net = swinkit.backbone(tmp_path / "mm.pth")
    for name, tensor in golden.state.items():
        assert torch.equal(net.state_dict()[name], tensor)
    code, _, err = swin("convert", tmp_path / "det.pth", tmp_path / "x.pth", "--to", "safetensors")
    assert (code, "holds a backbone alone" in err) == (2, True)


def test_a_headless_file_keeps_its_final_norm(swin: Swin, tmp_path: Path) -> None:
    settings = {key: CONFIG[key] for key in ("embed_dim", "depths", "num_heads")}
    theirs = stirred(timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, **settings))
    torch.save(theirs.state_dict(), tmp_path / "timm.pth")
    assert swin("convert", tmp_path / "timm.pth", tmp_path / "hf", "--to", "huggingface")[0] == 0
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        found = transformers.AutoModel.from_pretrained(tmp_path / "hf").eval()(x).pooler_output
        torch.testing.assert_close(found, theirs(x), atol=1e-5, rtol=1e-5)
    assert swin("convert", tmp_path / "timm.pth", tmp_path / "back.pth", "--to", "timm")[0] == 0
    back = torch.load(tmp_path / "back.pth")
    assert all(torch.equal(back[name], tensor) for name, tensor in theirs.state_dict().items())


def test_a_backbone_with_some_maps_keeps_them(swin: Swin, tmp_path: Path) -> None:
    settings = {"embed_dim": 16, "depths": [2, 2, 2], "num_heads": [2, 2, 4]}
    config = transformers.SwinConfig(**settings, out_features=["stage1", "stage3"])
    theirs = stirred(transformers.SwinBackbone(config))
    torch.save(theirs.state_dict(), tmp_path / "x.pth")
    assert swin("convert", tmp_path / "x.pth", tmp_path / "hf", "--to", "huggingface")[0] == 0
    again = transformers.SwinBackbone.from_pretrained(tmp_path / "hf")
    x = torch.randn(1, 3, 100, 76)
    with torch.no_grad():
        for found, expected in zip(again(x).feature_maps, theirs(x).feature_maps, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("{ours}", "{out}", "--to", "tim"), 2, "did you mean 'timm'"),
        (("{ours}", "{out}/x", "--to", "timm"), 0, ""),
        (("nowhere.pth", "{out}", "--to", "timm"), 1, "There is no weights file"),
        (("swin_t", "{out}", "--to", "timm"), 1, "an architecture without weights"),
    ],
)
def test_mistakes_end_in_one_sentence(
    arguments: tuple[str, ...], code: int, message: str, swin: Swin, ours: tuple[Task, Path], tmp_path: Path
) -> None:
    places = {"ours": ours[1], "out": tmp_path / "out.pth"}
    ended, _, err = swin("convert", *(argument.format(**places) for argument in arguments))
    assert (ended, message in err) == (code, True)
    assert "Traceback" not in err


def test_inspect_says_what_a_file_is(swin: Swin, tmp_path: Path, ours: tuple[Task, Path]) -> None:
    theirs = timm.create_model("swin_tiny_patch4_window7_224", num_classes=9)
    torch.save({"model": theirs.state_dict()}, tmp_path / "x.pth")
    code, text, _ = swin("inspect", tmp_path / "x.pth")
    assert code == 0
    for words in ("timm", "an image classifier", "swin_t", "7×7", "9 (numbered)", "224×224", "pad"):
        assert words in text
    _, text, _ = swin("inspect", ours[1])
    assert "swinkit" in text
    assert "3 (cat, dog, emu)" in text
    (tmp_path / "note.pth").write_text("hello")
    code, _, err = swin("inspect", tmp_path / "note.pth")
    assert (code, "no weights file that is known" in err) == (1, True)


def test_nothing_of_another_kind_is_written_over(swin: Swin, tmp_path: Path, ours: tuple[Task, Path]) -> None:
    picture = tmp_path / "cat.jpg"
    Image.new("RGB", (40, 30)).save(picture)
    before = picture.read_bytes()
    for words in (
        ("convert", ours[1], picture, "--to", "timm"),
        ("predict", ours[1], picture, "--json", picture),
        ("predict", ours[1], picture, "--csv", picture),
        ("data", "check", tmp_path, "--fix-list", picture),
    ):
        ended, _, err = swin(*words)
        assert (ended, "is there already, and is no" in err) == (2, True), words
    with pytest.raises(ConfigError, match="is there already, and is no "):
        swinkit.save(ours[0], picture)
    assert picture.read_bytes() == before


def test_models_are_filtered(swin: Swin) -> None:
    _, text, _ = swin("models")
    assert "Architectures" in text
    assert all(name.split(".")[0] in text for name in CATALOG)
    _, text, _ = swin("models", "ade20k", "swin_s")
    assert "upernet_swin_s" in text
    assert "47.64" in text
    assert "upernet_swin_t" not in text
    _, text, _ = swin("models", "swin_l.in22k")
    assert "228.6" in text  # the head of 21841 classes counts
    _, text, _ = swin("models", "swin3d_b.ssv2")
    assert "88.8" in text
    code, _, err = swin("models", "resnet")
    assert (code, "No model fits 'resnet'" in err) == (2, True)
