"""A checkpoint's own preprocessing, pixel by pixel, against the code that it was written for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
import transformers
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torchvision import transforms

import swinkit
from swinkit.data.classification.transforms import evaluation_transform
from swinkit.data.image_ops import whole_picture
from swinkit.errors import ConfigError, WeightsError
from swinkit.models.variants import VARIANTS
from swinkit.weights.catalog import CATALOG
from swinkit.weights.image_processors import read_processor, write_processor
from swinkit.weights.presets import preset
from swinkit.weights.timm_config import read_timm, timm_images

# odd, portrait, landscape, square, smaller than the target, and margins of half a pixel and of one
SIZES = [(61, 45), (45, 62), (40, 40), (20, 33), (33, 20), (9, 3), (97, 31), (32, 33)]
# transformers multiplies by 1/255 in double precision, where we divide by 255 in single
ROUNDING = {"rtol": 0, "atol": 2e-6}


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


SQUARE = {"size": {"height": 32, "width": 32}}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PROCESSORS: list[tuple[str, dict[str, Any]]] = [
    ("ViT", {"size": 32}),
    (
        "ViT",
        {**SQUARE, "resample": 3, **IMAGENET},
    ),
    *[("ViT", {**SQUARE, "resample": number}) for number in (0, 1, 4, 5)],
    ("ViT", {**SQUARE, "do_normalize": False}),
    ("ViT", {**SQUARE, "do_rescale": False}),
    ("ViT", {**SQUARE, "do_rescale": False, "do_normalize": False}),
    ("ViT", {**SQUARE, "rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3}),
    ("ViT", {"size": {"height": 37, "width": 37}, "do_center_crop": True, "crop_size": 32}),
    (
        "ViT",
        {"size": {"shortest_edge": 37}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}},
    ),
    ("ViT", {"do_resize": False, "do_center_crop": True, "crop_size": 32}),
    ("CLIP", {"size": 36, "crop_size": 32}),
    ("CLIP", {"size": {"shortest_edge": 32}, "crop_size": 32, "resample": 2}),
    ("CLIP", {"size": {"shortest_edge": 24}, "crop_size": 31}),
    ("CLIP", {"size": {"shortest_edge": 36, "longest_edge": 50}, "crop_size": 32}),
    (
        "CLIP",
        {"size": {"shortest_edge": 32}, "crop_size": 32, "image_mean": [0.5] * 3},
    ),
    ("DeiT", {"size": 36, "crop_size": 32}),
    ("Beit", {"size": 32}),
    ("Bit", {"size": {"shortest_edge": 36}, "crop_size": 32}),
    ("Siglip", {**SQUARE}),
    ("ConvNext", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
    ("ConvNext", {"size": {"shortest_edge": 384}}),
    ("ViT", {"size": {"height": 32, "width": 48}}),
    (
        "ViT",
        {
            "size": {"height": 37, "width": 50},
            "do_center_crop": True,
            "crop_size": {"height": 32, "width": 41},
        },
    ),
    ("CLIP", {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 24}}),
    ("CLIP", {"size": {"shortest_edge": 36}, "crop_size": {"height": 24, "width": 60}}),
    ("CLIP", {"do_resize": False, "crop_size": {"height": 24, "width": 31}}),
]


@pytest.mark.parametrize(("name", "settings"), PROCESSORS)
def test_transformers_classifiers(name: str, settings: dict[str, Any]) -> None:
    theirs = getattr(transformers, f"{name}ImageProcessorPil")(**settings)
    written = json.loads(json.dumps(theirs.to_dict(), default=str))
    stated = {"image_processor_type": f"{name}ImageProcessor", **settings}
    for told in (stated, {key: written.get(key) for key in written if "files" not in key}):
        pre = read_processor(told, model_type="swin", channels=3, trained=32, dense=False)
        for size in SIZES:
            ours = evaluation_transform(pre)(noise(*size))
            expected = torch.from_numpy(theirs(noise(*size))["pixel_values"][0]).float()
            # of values in 0..255 divided by 0.5, single precision keeps seven digits
            rounding = ROUNDING if pre.std[0] > 0.1 else {"rtol": 1e-6, "atol": 1e-4}
            torch.testing.assert_close(ours, expected, **rounding)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 48},
        {"size": {"height": 48, "width": 48}, "resample": 0},
        {"size": {"shortest_edge": 48}},
        {"size": {"shortest_edge": 31, "longest_edge": 52}},
        {"do_resize": False},
        {"do_resize": False, "do_rescale": False},
    ],
)
def test_transformers_segmentation(settings: dict[str, Any]) -> None:
    theirs = transformers.SegformerImageProcessorPil(**settings)
    pre = read_processor(settings, model_type="upernet", channels=3, trained=64, dense=True)
    for size in SIZES:
        expected = torch.from_numpy(theirs(noise(*size))["pixel_values"][0])
        torch.testing.assert_close(whole_picture(noise(*size), pre), expected.float(), rtol=1e-6, atol=2e-5)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"image_processor_type": "DonutImageProcessor"}, "image_processor_type='DonutImageProcessor'"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order=True"),
        ({"rescale_offset": True}, "rescale_offset=True"),
        ({"size_divisor": 32}, "size_divisor=32"),
        ({"resample": 9}, "resample=9"),
        ({"size": {"shortest_edge": 32}}, "size.shortest_edge without do_center_crop"),
        ({"size": {"longest_edge": 32}}, "longest_edge"),
        ({"size": {"height": 32.5, "width": 32.5}}, "whole numbers"),
        ({"do_center_crop": True, "crop_size": {"height": 32}}, "crop_size="),
        ({"image_processor_type": "Owlv2ImageProcessor"}, "Owlv2ImageProcessor is supported for OWLv2"),
        ({"rescale_factor": 0}, "rescale_factor=0"),
        ({"image_mean": "grey"}, "image_mean"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word.replace(".", r"\.")):
        read_processor(settings, model_type="swin", channels=3, trained=32, dense=False)


@pytest.mark.parametrize("mode", ["center", "squash", "border", None])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos", "nearest", "box"])
@pytest.mark.parametrize("crop", [0.9, 1.0, 0.875, None])
def test_timm(mode: str | None, interpolation: str, crop: float | None) -> None:
    cfg = {
        "input_size": (3, 33, 33),
        "crop_mode": mode,
        "crop_pct": crop,
        "interpolation": interpolation,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.25, 0.2, 0.3),
        "test_input_size": (3, 48, 48),
        "test_crop_pct": 0.95,
    }
    theirs = create_transform(**resolve_data_config({}, pretrained_cfg=cfg))
    ours = evaluation_transform(read_timm(cfg, channels=3, side=33))
    for size in SIZES:
        torch.testing.assert_close(ours(noise(*size)), theirs(noise(*size)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("crop", [0.9, 1.0, 0.875, 1.1])
@pytest.mark.parametrize("sides", [(48, 33), (33, 48)])
def test_timm_rectangles(mode: str, crop: float, sides: tuple[int, int]) -> None:
    cfg = {"input_size": (3, *sides), "crop_mode": mode, "crop_pct": crop}
    theirs = create_transform(**resolve_data_config({}, pretrained_cfg=cfg))
    pre = read_timm(cfg, channels=3, side=sides)
    for size in SIZES:
        ours = evaluation_transform(pre)(noise(*size))
        torch.testing.assert_close(ours, theirs(noise(*size)), rtol=0, atol=1e-6)
    again = read_timm(timm_images(pre), channels=3, side=sides)
    assert (again.sides, again.resized, again.resize) == (pre.sides, pre.resized, pre.resize)


def test_a_strip_of_which_only_a_part_is_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swinkit.data.resizing._MAX_PIXELS", 0)
    for cfg in ({"crop_pct": 1.3}, {"crop_pct": 0.8}):
        theirs = create_transform(
            **resolve_data_config({}, pretrained_cfg={"input_size": (3, 33, 33), **cfg})
        )
        ours = evaluation_transform(read_timm(cfg, channels=3, side=33))
        for size in ((500, 3), (3, 500)):
            difference = (ours(noise(*size)) - theirs(noise(*size))).abs()
            # Pillow's boxes are of single precision: on noise, 100 times enlarged, by three levels at most
            assert difference.max() < 3.1 / 255 / 0.22


def test_timm_random_interpolation_and_unknown_modes() -> None:
    assert read_timm({"interpolation": "random"}, channels=3, side=32).interpolation == "bicubic"
    with pytest.raises(ConfigError, match="crop_mode='corner'"):
        read_timm({"crop_mode": "corner"}, channels=3, side=32)
    with pytest.raises(ConfigError, match="crop_border_pixels=4"):
        read_timm({"crop_border_pixels": 4}, channels=3, side=32)


def build_transform(img_size: int | tuple[int, int], *, test_crop: bool) -> transforms.Compose:
    """microsoft/Swin-Transformer data/build.py, `build_transform(is_train=False)`, IMG_SIZE above 32."""
    steps: list[Any] = []
    if test_crop:
        assert isinstance(img_size, int)  # 256 / 224 times a pair is a TypeError there
        size = int((256 / 224) * img_size)
        steps.append(transforms.Resize(size, interpolation=transforms.InterpolationMode.BICUBIC))
        steps.append(transforms.CenterCrop(img_size))
    else:
        bicubic = transforms.InterpolationMode.BICUBIC
        sides = (img_size, img_size) if isinstance(img_size, int) else img_size
        steps.append(transforms.Resize(sides, interpolation=bicubic))
    steps.append(transforms.ToTensor())
    steps.append(transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return transforms.Compose(steps)


@pytest.mark.parametrize("name", [name for name, one in CATALOG.items() if one.task == "classify"])
def test_published_classifiers_are_evaluated_as_microsoft_does(name: str) -> None:
    config = VARIANTS[CATALOG[name].variant].config()
    side = min(config.input_size or ())
    pre = preset("microsoft", config)
    assert pre is not None
    theirs = build_transform(side, test_crop="384" not in name)
    for size in SIZES[:2] if side == 384 else SIZES:
        assert torch.equal(evaluation_transform(pre)(noise(*size)), theirs(noise(*size)))


@pytest.mark.parametrize("sides", [(56, 112), (112, 56)])
def test_a_rectangle_of_microsoft_is_stretched(sides: tuple[int, int], tmp_path: Path) -> None:
    numbers = {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "fit": "square", "window": 7}
    model = swinkit.create("swin_t", 3, img_size=sides, **numbers)
    torch.save({"model": swinkit.to_dialect(model, "microsoft")}, tmp_path / "x.pth")
    ours = swinkit.load(tmp_path / "x.pth", img_size=sides)
    theirs = build_transform(sides, test_crop=False)
    for size in SIZES:
        images = ours.preprocess([noise(*size)]).images
        assert torch.equal(images[0], theirs(noise(*size)))
        scores = model(images).softmax(1).max().item()
        assert ours.predict([noise(*size)])[0].scores[0] == pytest.approx(scores, abs=1e-6)
    again = swinkit.load(swinkit.save(ours, tmp_path / "x.safetensors"))
    assert again.preprocessing == ours.preprocessing


@pytest.mark.parametrize("name", ["swin_t", "swin_s", "swin_b"])
def test_torchvision_classifiers(name: str) -> None:
    pre = preset("torchvision", VARIANTS[name].config())
    assert pre is not None
    theirs = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    for size in SIZES:
        assert torch.equal(evaluation_transform(pre)(noise(*size)), theirs(noise(*size)))


def test_torchvision_videos() -> None:
    pre = preset("torchvision3d", VARIANTS["swin3d_t"].config())
    assert pre is not None
    theirs = torchvision.models.video.Swin3D_T_Weights.DEFAULT.transforms()
    for size in SIZES:
        frame = torch.from_numpy(np.array(noise(*size))).permute(2, 0, 1)[None]
        torch.testing.assert_close(
            evaluation_transform(pre)(noise(*size)), theirs(frame)[:, 0], rtol=0, atol=1e-6
        )


def tiny_swin(path: Path, **settings: Any) -> transformers.SwinForImageClassification:
    torch.manual_seed(0)
    numbers = {"embed_dim": 16, "depths": [2, 2], "num_heads": [2, 2], "image_size": 56, "num_labels": 3}
    model = transformers.SwinForImageClassification(transformers.SwinConfig(**numbers | settings)).eval()
    model.save_pretrained(path)
    return model


@pytest.mark.parametrize("name", ["ViT", "CLIP"])
def test_a_folder_of_transformers_scores_alike(name: str, tmp_path: Path) -> None:
    theirs = tiny_swin(tmp_path)
    sizes = {"size": {"shortest_edge": 64}, "crop_size": 56} if name == "CLIP" else {"size": 56}
    getattr(transformers, f"{name}ImageProcessor")(**sizes).save_pretrained(tmp_path)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    ours = swinkit.load(tmp_path)
    for size in SIZES:
        pixels = torch.from_numpy(processor(noise(*size))["pixel_values"][0])[None]
        batch = ours.preprocess([noise(*size)])
        torch.testing.assert_close(batch.images, pixels, **ROUNDING)
        with torch.no_grad():
            torch.testing.assert_close(ours(batch.images), theirs(pixels).logits, rtol=1e-4, atol=1e-5)


def test_an_image_of_another_size_than_the_only_one_is_an_error(tmp_path: Path) -> None:
    tiny_swin(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_resize": False}))
    model = swinkit.load(tmp_path)
    assert model.preprocess([noise(56, 56)]).images.shape == (1, 3, 56, 56)
    with pytest.raises(swinkit.errors.ImageError, match=r"has 60×56 pixels, .* give images of 56×56"):
        model.preprocess([noise(60, 56)])


def test_a_folder_that_cannot_be_followed_is_named(tmp_path: Path) -> None:
    tiny_swin(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_flip_channel_order": True}))
    with pytest.raises(WeightsError, match=r"preprocessing in .* do_flip_channel_order=True"):
        swinkit.load(tmp_path)


def test_upernet_with_its_processor(tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = transformers.SwinConfig(
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        image_size=64,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = transformers.UperNetConfig(
        backbone_config=backbone, hidden_size=16, num_labels=4, auxiliary_channels=8, auxiliary_in_channels=32
    )
    theirs = transformers.UperNetForSemanticSegmentation(config).eval()
    theirs.save_pretrained(tmp_path)
    transformers.SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    ours = swinkit.load(tmp_path)
    assert ours.name == "segment"
    for size in SIZES[:3]:
        pixels = torch.from_numpy(processor(noise(*size))["pixel_values"][0])[None]
        batch = ours.preprocess([noise(*size)])
        torch.testing.assert_close(batch.images, pixels, **ROUNDING)
        with torch.no_grad():
            torch.testing.assert_close(ours(batch.images), theirs(pixels).logits, rtol=1e-4, atol=1e-5)
    assert ours.predict([noise(61, 45)])[0].labels.shape == (45, 61)


def test_timm_folder_scores_alike(tmp_path: Path) -> None:
    settings = {"embed_dim": 16, "depths": (2, 2), "num_heads": (2, 2), "num_classes": 2}
    theirs = timm.create_model("swin_tiny_patch4_window7_224", **settings).eval()
    theirs.pretrained_cfg |= {"crop_mode": "border", "interpolation": "lanczos", "crop_pct": 0.95}
    timm.models.save_for_hf(theirs, tmp_path)
    transform = create_transform(**resolve_data_config({}, model=theirs))
    ours = swinkit.load(tmp_path)
    for size in SIZES[:3]:
        batch = ours.preprocess([noise(*size)])
        torch.testing.assert_close(batch.images[0], transform(noise(*size)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "settings"), PROCESSORS)
def test_a_processor_is_written_as_it_was_read(name: str, settings: dict[str, Any]) -> None:
    stated = {"image_processor_type": f"{name}ImageProcessor", **settings}
    pre = read_processor(stated, model_type="swin", channels=3, trained=32, dense=False)
    written = write_processor(pre)
    assert written is not None
    assert read_processor(written, model_type="swin", channels=3, trained=32, dense=False) == pre


def test_the_file_inside_of_a_folder_is_read_with_what_lies_beside_it(tmp_path: Path) -> None:
    tiny_swin(tmp_path, id2label={0: "cat", 1: "dog", 2: "emu"})
    told = {"image_processor": {"image_processor_type": "ViTImageProcessor", "size": 48, "resample": 0}}
    (tmp_path / "processor_config.json").write_text(json.dumps(told))
    for path in (tmp_path, tmp_path / "model.safetensors"):
        model = swinkit.load(path)
        assert model.classes == ("cat", "dog", "emu")
        assert (model.preprocessing.size, model.preprocessing.interpolation) == (48, "nearest")
        assert model.preprocessing.resize == "stretch"
