from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms import v2

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.data.classification.transforms import (
    evaluation_transform,
    mix_batch,
    training_transform,
)

NOTHING = Augmentation(
    crop_scale=(1, 1), crop_ratio=(1, 1), hflip=0, color_jitter=0, erasing=0, mixup=0, cutmix=0
)


def noise(width: int, height: int, channels: int = 3) -> Image.Image:
    shape = (height, width, channels) if channels == 3 else (height, width)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


# --- preprocessing -------------------------------------------------------------------------------------


def test_defaults_follow_size_and_channels() -> None:
    assert Preprocessing(size=224).crop == 0.875
    assert Preprocessing(size=95).crop == 1.0
    grey = Preprocessing(size=28, channels=1)
    assert (grey.mean, grey.std) == ((0.449,), (0.226,))
    assert Preprocessing.model_validate_json(grey.model_dump_json()) == grey


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"size": 8, "crop": 0},
        {"size": 8, "crop": 1.1},
        {"size": 8, "channels": 1, "mean": (0.5, 0.5, 0.5)},
        {"size": 8, "std": (0.5, 0.0, 0.5)},
        {"size": 8, "interpolation": "random"},
        {"size": 8, "resize": "squash"},
        {"size": 8, "interpolation": "lanczos", "antialias": False},
        {"size": 8, "colour": True},
    ],
)
def test_bad_preprocessing(options: dict) -> None:
    with pytest.raises(ValidationError):
        Preprocessing(**options)


# --- evaluation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_size", [(60, 45), (28, 28), (31, 97), (41, 40), (1, 1), (3, 9)])
@pytest.mark.parametrize(("size", "crop"), [(32, 0.875), (32, 1.0), (33, 0.9), (28, 1.0)])
def test_evaluation_equals_torchvision(
    image_size, channels: int, interpolation: str, size: int, crop: float
) -> None:
    pre = Preprocessing(size=size, crop=crop, channels=channels, interpolation=interpolation)
    oracle = v2.Compose(
        [
            v2.Resize(round(size / crop), interpolation=v2.InterpolationMode(interpolation)),
            v2.CenterCrop(size),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(pre.mean, pre.std),
        ]
    )
    image = noise(*image_size, channels)
    ours = evaluation_transform(pre)(image)
    assert ours.shape == (channels, size, size)
    assert ours.dtype == torch.float32
    assert ours.is_contiguous()
    torch.testing.assert_close(ours, oracle(image), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("image_size", [(900, 20), (20, 900), (17, 201)])
def test_extreme_ratios_equal_torchvision_up_to_rounding(image_size: tuple[int, int]) -> None:
    # Smooth, as photographs are: on noise the two passes of a resize do not commute, for they clip.
    image = noise(*image_size).resize((3, 3)).resize(image_size, Image.Resampling.BICUBIC)
    pre = Preprocessing(size=32, crop=0.875)
    oracle = v2.Compose(
        [v2.Resize(37, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(32), v2.PILToTensor()]
    )
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (pre.mean, pre.std))
    ours = (evaluation_transform(pre)(image) * std + mean) * 255
    assert (ours - oracle(image)).abs().max() < 1.1


@pytest.mark.parametrize("image_size", [(30000, 1), (1, 30000)])
def test_a_line_of_pixels_takes_little_memory(
    image_size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, size, *more: made.append(size) or resize(self, size, *more)
    )
    pre = Preprocessing(size=224)
    assert evaluation_transform(pre)(Image.new("RGB", image_size, "red")).shape == (3, 224, 224)
    assert training_transform(pre, Augmentation())(Image.new("RGB", image_size, "red")).shape == (3, 224, 224)
    assert made
    assert all(width * height <= 16 * 224 * 224 for width, height in made)


# --- training ------------------------------------------------------------------------------------------


def test_training_without_augmentation_is_a_resize() -> None:
    pre = Preprocessing(size=32)
    image = noise(48, 48)
    expected = evaluation_transform(Preprocessing(size=32, crop=1.0))(image)
    assert torch.equal(training_transform(pre, NOTHING)(image), expected)


def test_the_flip_is_a_flip() -> None:
    pre, image = Preprocessing(size=16), noise(16, 16)
    flipped = training_transform(pre, NOTHING.model_copy(update={"hflip": 1.0}))(image)
    assert torch.equal(flipped.flip(-1), training_transform(pre, NOTHING)(image))


def test_jitter_stays_in_its_range_and_keeps_grey_grey() -> None:
    pre = Preprocessing(size=8, mean=(0, 0, 0), std=(1, 1, 1))
    train = training_transform(pre, NOTHING.model_copy(update={"color_jitter": 0.2}))
    torch.manual_seed(0)
    values = torch.stack([train(Image.new("RGB", (8, 8), (100, 100, 100))) for _ in range(50)]) * 255
    assert values.min() >= 79
    assert values.max() <= 121
    assert values.amax((1, 2, 3)).unique().numel() > 10
    assert torch.equal(values[:, 0], values[:, 2])


def test_erasing_fills_a_box_with_noise() -> None:
    pre, image = Preprocessing(size=32), Image.new("RGB", (32, 32), "red")
    torch.manual_seed(0)
    erased = training_transform(pre, NOTHING.model_copy(update={"erasing": 1.0}))(image)
    changed = (erased != training_transform(pre, NOTHING)(image)).any(0)
    rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
    assert 0.015 < changed.float().mean() < 0.36
    assert changed.sum() == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_training_is_seeded_and_varied(channels: int) -> None:
    train = pickle.loads(
        pickle.dumps(training_transform(Preprocessing(size=28, channels=channels), Augmentation()))
    )
    image = noise(28, 28, channels)
    torch.manual_seed(3)
    first, second = train(image), train(image)
    torch.manual_seed(3)
    assert torch.equal(train(image), first)
    assert not torch.equal(first, second)
    assert first.shape == (channels, 28, 28)


def test_crop_scale_follows_the_size() -> None:
    scales = [Augmentation().scale_for(size)[0] for size in (28, 95, 96, 159, 160, 384)]
    assert scales == [0.6, 0.6, 0.35, 0.35, 0.08, 0.08]
    assert Augmentation(crop_scale=(0.5, 0.9)).scale_for(384) == (0.5, 0.9)


@pytest.mark.parametrize(
    "options",
    [
        {"crop_scale": (0.9, 0.5)},
        {"crop_scale": (0.0, 1.0)},
        {"crop_ratio": (2, 1)},
        {"hflip": 1.5},
        {"mixup": -1},
        {"label_smoothing": 1.0},
        {"rotate": 5},
    ],
)
def test_bad_augmentation(options: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        Augmentation(**options)


# --- mixing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kinds", [{"mixup": 0.2, "cutmix": 0}, {"mixup": 0, "cutmix": 1}, {"mixup": 0.2, "cutmix": 1}]
)
def test_mixed_targets_sum_to_1(kinds: dict[str, float]) -> None:
    mix = mix_batch(Augmentation(mix_prob=1, **kinds), 5)
    images, targets = torch.rand(6, 3, 16, 16), torch.arange(6) % 5
    torch.manual_seed(0)
    mixed = [mix(images, targets) for _ in range(8)]
    for new, soft in mixed:
        assert new.shape == images.shape
        assert soft.shape == (6, 5)
        torch.testing.assert_close(soft.sum(1), torch.ones(6))
    assert any(not torch.equal(new, images) for new, _ in mixed)


def test_switch_prob_chooses_between_the_two() -> None:
    images, targets = torch.zeros(2, 1, 16, 16), torch.arange(2)
    images[1] = 1

    def in_between(switch: float) -> bool:
        torch.manual_seed(0)
        mix = mix_batch(Augmentation(mixup=5, cutmix=5, mix_prob=1, switch_prob=switch), 2)
        new = torch.stack([mix(images, targets)[0] for _ in range(5)])
        return bool(((new > 0) & (new < 1)).any())

    assert in_between(0)  # mixup blends
    assert not in_between(1)  # cutmix cuts


@pytest.mark.parametrize("options", [{"mixup": 0, "cutmix": 0, "mix_prob": 1}, {"mix_prob": 0}])
def test_no_mixing_gives_one_hot_targets(options: dict[str, float]) -> None:
    images, targets = torch.rand(3, 3, 8, 8), torch.tensor([2, 0, 1])
    new, soft = mix_batch(Augmentation(**options), 3)(images, targets)
    assert torch.equal(new, images)
    assert torch.equal(soft, torch.eye(3)[targets])


def test_a_batch_of_none_or_one_is_left_alone() -> None:
    mix = mix_batch(Augmentation(mix_prob=1), 3)
    assert mix(torch.rand(0, 3, 8, 8), torch.empty(0, dtype=torch.int64))[1].shape == (0, 3)
    assert mix(torch.rand(1, 3, 8, 8), torch.tensor([2]))[1].tolist() == [[0, 0, 1]]


# --- shift ---------------------------------------------------------------------------------------------


def test_shift_moves_whole_pixels_and_brings_black_in() -> None:
    pre = Preprocessing(size=8, mean=(0, 0, 0), std=(1, 1, 1))
    image = Image.new("RGB", (8, 8), "white")
    image.putpixel((4, 4), (255, 0, 0))
    transform = training_transform(pre, NOTHING.model_copy(update={"shift": 0.25}))
    torch.manual_seed(0)
    places = set()
    for _ in range(200):
        red, green, blue = transform(image)
        assert set(red.unique().tolist()) <= {0.0, 1.0}
        (place,) = ((red == 1) & (green == 0) & (blue == 0)).nonzero().tolist()
        places.add(tuple(place))
        down, across = place[0] - 4, place[1] - 4
        assert (red == 0).sum() == 64 - (8 - abs(down)) * (8 - abs(across))
    assert places == {(y, x) for y in range(2, 7) for x in range(2, 7)}


def test_small_inputs_are_shifted_by_default() -> None:
    assert [Augmentation().shift_for(size) for size in (28, 32, 63, 64, 224)] == [3, 4, 7, 0, 0]
    assert Augmentation(crop_scale=(0.5, 1)).shift_for(28) == 0
    assert Augmentation(shift=0.1).shift_for(224) == 22
