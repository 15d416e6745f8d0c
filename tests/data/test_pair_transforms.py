"""Pictures and masks stay together, and vary as the published recipe has it."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from swinkit.data.image_ops import distorted, fitted
from swinkit.data.segmentation import transforms as pair_transforms
from swinkit.data.segmentation.transforms import PairTransform
from swinkit.features import IGNORED

PLAIN: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def patches(height: int, width: int, side: int = 40) -> tuple[Image.Image, np.ndarray]:
    """Large squares of classes 0 to 4, and a picture whose red tells the class, its green the column."""
    rows, columns = np.mgrid[:height, :width]
    mask = ((rows // side + 2 * (columns // side)) % 5).astype(np.uint8)
    pixels = np.stack([50 * mask, columns * 255 // width, np.zeros_like(mask)], -1).astype(np.uint8)
    return Image.fromarray(pixels), mask


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((480, 640), (2048, 512), (512, 683)),
        ((640, 480), (2048, 512), (683, 512)),
        ((100, 1000), (2048, 512), (205, 2048)),
        ((3000, 4000), (1024, 256), (256, 341)),
        ((1, 4000), (100, 50), (1, 100)),
    ],
)
def test_sizes(size: tuple[int, int], limits: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fitted(size, limits) == expected


@pytest.mark.parametrize("seed", range(12))
def test_picture_and_mask_stay_together(seed: int) -> None:
    torch.manual_seed(seed)
    image, mask = patches(200, 300)
    transform = PairTransform((128, 160), (400, 200), **PLAIN, distort=False)
    picture, labels = transform(image, mask)
    assert picture.shape == (3, 128, 160)
    assert labels.shape == (128, 160)
    assert (picture.dtype, labels.dtype) == (torch.float32, torch.int64)
    inside = labels != IGNORED
    told = (255 * picture[0] / 50).round()
    # along the edges the picture is mixed
    assert (told == labels)[inside].float().mean() > 0.9
    assert picture[:, ~inside].abs().max() == 0 if (~inside).any() else True
    columns = picture[1][0][inside[0]]
    steps = columns[1:] - columns[:-1]
    assert (steps >= -1e-6).all() or (steps <= 1e-6).all()  # as it was, or mirrored


def test_mirrors_come_half_of_the_time_and_factors_in_their_range() -> None:
    image, mask = patches(200, 300)
    transform = PairTransform((64, 64), (300, 200), **PLAIN, distort=False)
    torch.manual_seed(0)
    mirrored, sizes = 0, []
    for _ in range(200):
        picture, _ = transform(image, mask)
        step = (picture[1, 0, -1] - picture[1, 0, 0]).item()
        mirrored += step < 0
        sizes.append(abs(step) * 300 / 63)  # columns of the original in one of the crop
    assert 70 < mirrored < 130
    assert 0.45 < min(sizes) < 0.6
    assert 1.8 < max(sizes) < 2.2


def test_small_pictures_are_padded_with_what_counts_for_nothing() -> None:
    image, mask = patches(50, 40, side=10)
    mean = (0.5, 0.4, 0.3)
    transform = PairTransform(
        (64, 64), (50, 40), mean, (0.2, 0.2, 0.2), ratios=(1.0, 1.0), flip=0.0, distort=False
    )
    picture, labels = transform(image, mask)
    assert torch.equal(labels[:50, :40], torch.from_numpy(mask).long())
    assert (labels[50:] == IGNORED).all()
    assert (labels[:, 40:] == IGNORED).all()
    assert picture[:, 50:].abs().max() == 0
    expected = (
        torch.tensor(np.asarray(image)).permute(2, 0, 1) / 255 - torch.tensor(mean)[:, None, None]
    ) / 0.2
    torch.testing.assert_close(picture[:, :50, :40], expected)


def test_no_class_fills_a_crop_where_that_can_be_had() -> None:
    mask = np.zeros((200, 400), np.uint8)
    mask[:, 300:] = 1
    mask[:50] = IGNORED
    image = Image.new("RGB", (400, 200))
    options: dict[str, Any] = {**PLAIN, "ratios": (1.0, 1.0), "distort": False}
    torch.manual_seed(0)

    def shares(most: float) -> list[float]:
        found = []
        for _ in range(60):
            _, labels = PairTransform((100, 100), (400, 200), **options, most=most)(image, mask)
            counts = torch.bincount(labels[labels != IGNORED], minlength=2).float()
            found.append((counts.max() / counts.sum().clamp_min(1)).item())
        return found

    any_crop, careful = shares(1.0), shares(0.75)
    assert sum(share >= 0.75 for share in any_crop) > 30
    assert sum(share >= 0.75 for share in careful) < sum(share >= 0.75 for share in any_crop) / 2


def test_masks_of_nothing_are_no_endless_search() -> None:
    mask = np.full((80, 80), IGNORED, np.uint8)
    _, labels = PairTransform((64, 64), (80, 80), **PLAIN)(Image.new("RGB", (80, 80)), mask)
    assert (labels == IGNORED).all()


def forced(monkeypatch: pytest.MonkeyPatch, chances: list[float], amounts: list[float]) -> None:
    draws = iter([torch.tensor(chances), torch.tensor(amounts)])
    monkeypatch.setattr(pair_transforms.torch, "rand", lambda count: next(draws))


@pytest.mark.parametrize("early", [0.0, 1.0])
def test_distortion_of_one_colour(monkeypatch: pytest.MonkeyPatch, early: float) -> None:
    """Held to Python's own conversion of colours."""
    red, green, blue = 200, 120, 60
    image = Image.new("RGB", (2, 2), (red, green, blue))
    forced(monkeypatch, [0.0, 0.0, 0.0, 0.0, early], [0.75, 0.25, 0.3, 1.0])
    ours = np.asarray(distorted(image))[0, 0]
    colour = np.minimum(np.array([red, green, blue], float) + 16, 255)
    if early < 0.5:
        colour = colour * 0.75
    hue, saturation, value = colorsys.rgb_to_hsv(*(colour / 255))
    colour = 255 * np.array(colorsys.hsv_to_rgb((hue + 0.1) % 1, min(1, saturation * 0.8), value))
    if early >= 0.5:
        colour = colour * 0.75
    assert np.abs(ours - colour).max() < 5  # of 8 bits, several times over


def test_no_distortion_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = patches(20, 30)
    forced(monkeypatch, [1.0] * 5, [0.9] * 4)
    assert np.array_equal(np.asarray(distorted(image)), np.asarray(image))


def test_distortions_differ_and_stay_pictures() -> None:
    image, _ = patches(20, 30)
    torch.manual_seed(0)
    seen = {distorted(image).tobytes() for _ in range(20)}
    assert len(seen) > 15
