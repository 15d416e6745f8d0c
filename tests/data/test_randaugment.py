"""RandAugment against timm's, change by change and draw by draw."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment

from swinkit.data.classification.randaugment import CHANGES, GROWING, Canvas, RandAugment
from swinkit.errors import ConfigError

FILL = (124, 116, 104)
CANVAS = Canvas(FILL, Image.Resampling.BICUBIC)
HPARAMS = {"img_mean": FILL, "interpolation": Image.Resampling.BICUBIC, "translate_const": 100}
THEIRS = {True: auto_augment._RAND_INCREASING_TRANSFORMS, False: auto_augment._RAND_TRANSFORMS}


def picture(mode: str = "RGB") -> Image.Image:
    """Smooth and noisy parts, so that every change shows."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 61 * 47 * 3).reshape(61, 47, 3)
    return Image.fromarray((ramp * 0.7 + rng.integers(0, 70, ramp.shape)).astype(np.uint8)).convert(mode)


def posterize(image: Image.Image, bits: int) -> Image.Image:
    """Pillow's of 2021, which timm was written for: no bits are allowed too."""
    return image.point([value & ~(2 ** (8 - bits) - 1) for value in range(256)] * len(image.getbands()))


@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("place", range(15))
@pytest.mark.parametrize("sign", [1, -1])
def test_each_change_is_timms(
    place: int, increasing: bool, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.9 if sign < 0 else 0.1)  # timm negates above one half
    monkeypatch.setattr(auto_augment.ImageOps, "posterize", posterize)
    ours = list((GROWING if increasing else CHANGES).values())[place]
    for level in (0.0, 0.3, 2.5, 5.0, 8.99, 10.0):
        theirs = auto_augment.AugmentOp(THEIRS[increasing][place], prob=1.0, magnitude=level, hparams=HPARAMS)
        expected, found = theirs(picture()), ours(picture(), level / 10, sign, CANVAS)
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected), THEIRS[increasing][place])


@pytest.mark.parametrize("text", ["rand-m9-mstd0.5-inc1", "rand-m5-n3-p0.8", "rand-m7-mstd0.1-inc0", "rand"])
def test_settings_are_read_as_timm_reads_them(text: str) -> None:
    ours, theirs = RandAugment.parse(text), auto_augment.rand_augment_transform(text, dict(HPARAMS))
    op = theirs.ops[0]
    found = (ours.magnitude, ours.layers, ours.chance, ours.spread)
    assert found == (op.magnitude, theirs.num_layers, op.prob, op.magnitude_std)
    assert ours.increasing == (theirs.ops[4].name == "PosterizeIncreasing")


def test_draws_have_timms_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of fifteen with replacement, each applied half the time; strengths normal around 9, at most 10."""
    drawn: list[tuple[str, float, int]] = []
    for name in GROWING:
        monkeypatch.setitem(
            GROWING, name, lambda image, s, sign, _, name=name: drawn.append((name, s, sign)) or image
        )
    torch.manual_seed(0)
    augment, image = RandAugment.parse("rand-m9-mstd0.5-inc1"), picture()
    for _ in range(6000):
        augment(image, CANVAS)
    strengths = 10 * np.array([strength for _, strength, _ in drawn])
    counts = np.array([sum(name == other for other, _, _ in drawn) for name in GROWING])
    assert len(drawn) == pytest.approx(6000, rel=0.03)
    assert counts == pytest.approx(len(drawn) / 15, rel=0.2)
    assert np.mean([sign for _, _, sign in drawn]) == pytest.approx(0, abs=0.05)
    rng = np.random.default_rng(0)
    expected = np.clip(rng.normal(9, 0.5, 100_000), 0, 10)
    for figure in (np.mean, np.std, np.max):
        assert figure(strengths) == pytest.approx(figure(expected), abs=0.03)


def test_grey_pictures_are_changed_too() -> None:
    canvas = Canvas(117, Image.Resampling.BICUBIC)
    for change in GROWING.values():
        assert change(picture("L"), 0.9, 1, canvas).mode == "L"


@pytest.mark.parametrize("text", ["m9", "rand-9", "rand-m9-x3", "rand-m11", "rand-m9-p2", ""])
def test_what_is_not_understood_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="randaugment="):
        RandAugment.parse(text)
