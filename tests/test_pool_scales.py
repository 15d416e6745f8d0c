"""UPerNet and PSPNet with other scales of pooling: built, saved, read from other codes, trained by option."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

import swinkit
from swinkit.errors import ConfigError, WeightsError
from swinkit.models.convert import convert_file

FOUR = {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1), "img_size": 64}


def make_model(head: str = "upernet", **more: object) -> swinkit.tasks.base.Task:
    torch.manual_seed(0)
    return swinkit.create("swin_t", 3, task="segment", head=head, channels=12, **FOUR | more)


@pytest.mark.parametrize("head", ["upernet", "pspnet"])
def test_scales_travel_with_a_model(head: str, tmp_path: Path) -> None:
    model = make_model(head, pool_scales=(1, 4, 5))
    assert len(model.decode_head.psp_modules) == 3
    again = swinkit.load(swinkit.save(model, tmp_path / "x.safetensors"))
    assert again.settings()["pool_scales"] == [1, 4, 5]
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(again(x), model(x))
    torch.save(swinkit.to_dialect(model, "microsoft"), tmp_path / "theirs.pth")
    with pytest.raises(WeightsError, match=r"pools at 3 scales .*give `pool_scales` with 3 numbers"):
        swinkit.load(tmp_path / "theirs.pth")
    with pytest.raises(WeightsError, match=r"give `pool_scales` with 3 numbers"):
        swinkit.load(tmp_path / "theirs.pth", pool_scales=(1, 2))
    for scales in ((1, 4, 5), [1, 4, 5]):
        loaded = swinkit.load(tmp_path / "theirs.pth", pool_scales=scales)
        assert loaded.load_report.initialised == loaded.load_report.unexpected == ()
        torch.testing.assert_close(loaded(x), model(x), atol=1e-6, rtol=0)
    convert_file(
        tmp_path / "theirs.pth", tmp_path / "ours.safetensors", to="safetensors", pool_scales=[1, 4, 5]
    )
    assert torch.equal(swinkit.load(tmp_path / "ours.safetensors")(x), loaded(x))


def test_as_many_scales_of_other_sizes(tmp_path: Path) -> None:
    model = make_model(pool_scales=(1, 2, 4, 8))
    torch.save(swinkit.to_dialect(model, "openmmlab"), tmp_path / "x.pth")
    x = torch.randn(1, 3, 96, 128)
    told = swinkit.load(tmp_path / "x.pth", pool_scales=(1, 2, 4, 8))
    torch.testing.assert_close(told(x), model(x), atol=1e-5, rtol=0)
    assert swinkit.load(tmp_path / "x.pth").pool_scales == (1, 2, 3, 6)


def test_transformers_states_its_scales(tmp_path: Path) -> None:
    swin = transformers.SwinConfig(
        image_size=64, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.UperNetConfig(
        backbone_config=swin, hidden_size=12, pool_scales=[1, 3], use_auxiliary_head=False, num_labels=3
    )
    theirs = transformers.UperNetForSemanticSegmentation(config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    ours = swinkit.load(tmp_path / "theirs")
    assert ours.pool_scales == (1, 3)
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x).logits, atol=2e-5, rtol=0)
    convert_file(tmp_path / "theirs", tmp_path / "again", to="huggingface")
    again = transformers.UperNetForSemanticSegmentation.from_pretrained(tmp_path / "again").eval()
    with torch.no_grad():
        torch.testing.assert_close(again(x).logits, theirs(x).logits, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("head", "scales", "fault"),
    [
        ("fcn", (1, 2), "`pool_scales` is for upernet and pspnet, and the head is fcn"),
        ("upernet", (), "give whole numbers from 1 on"),
        ("upernet", (1, 0), "give whole numbers from 1 on"),
        ("upernet", (1, 2.5), "give whole numbers from 1 on"),
        ("upernet", 3, r"pool_scales=3: give tuple or list"),
    ],
)
def test_scales_that_cannot_be(head: str, scales: object, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        make_model(head, pool_scales=scales)


@pytest.mark.parametrize(
    ("head", "option", "numbers", "what"),
    [
        ("deeplabv3plus", "dilations", (1, 6, 12, 18), None),
        ("deeplabv3plus", "dilations", (1, 3, 5), "has 3 dilated branches .*give `dilations` with 3 numbers"),
        ("deeplabv3plus", "dilations", (2, 4, 1, 6), "plain convolutions.* give `dilations`"),
        ("dmnet", "filter_sizes", (1, 5), "has 2 filters .*give `filter_sizes` with 2 numbers"),
        ("dmnet", "filter_sizes", (3, 5, 7, 9), None),
        ("dmnet", "filter_sizes", (1, 2, 3, 4, 5), "has 5 filters .*such as .1, 3, 5, 7, 9"),
    ],
)
def test_dilations_and_filters_travel_too(
    head: str, option: str, numbers: tuple[int, ...], what: str | None, tmp_path: Path
) -> None:
    model = make_model(head, **{option: numbers})
    path = swinkit.save(model, tmp_path / "x.safetensors")
    x = torch.randn(1, 3, 64, 96)
    again = swinkit.load(path)
    assert again.settings()[option] == list(numbers)
    assert torch.equal(again(x), model(x))
    torch.save(swinkit.to_dialect(model, "openmmlab"), tmp_path / "theirs.pth")
    if what is not None:
        with pytest.raises(WeightsError, match=what):
            swinkit.load(tmp_path / "theirs.pth")
    told = swinkit.load(tmp_path / "theirs.pth", **{option: list(numbers)})
    torch.testing.assert_close(told(x), model(x), atol=1e-6, rtol=0)
    convert_file(
        tmp_path / "theirs.pth", tmp_path / "named.safetensors", to="safetensors", **{option: numbers}
    )
    assert torch.equal(swinkit.load(tmp_path / "named.safetensors")(x), told(x))
    convert_file(path, tmp_path / "written.pth", to="openmmlab")  # what lies beside tells them
    assert torch.equal(swinkit.load(tmp_path / "written.pth")(x), model(x))
    with pytest.raises(ConfigError, match=f"`{option}` is for {head}, and the head is fcn"):
        make_model("fcn", **{option: numbers})
