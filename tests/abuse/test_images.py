"""Damaged images: a result of bounded size or one sentence; of PNGs, which have checksums, equal pixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from swinkit.data.classification.check import Seen, look_at
from swinkit.data.io.images import MAX_PIXELS, read_channels
from swinkit.data.io.value_range import ValueRule
from swinkit.errors import ImageError, SwinkitError
from tests.builders.images import IMAGES
from tests.builders.limits import Tally, attempt, digests, memory_limit
from tests.builders.mutations import BYTES, choose, cut, flip_bits

CASES, SEED = 5700, 24
SAMPLE = 209  # of the default tests: 11 of each format
RULE = ValueRule((0.0, 65535.0), unbounded_only=True)  # for floats


class Pixels(NamedTuple):
    size: tuple[int, int]
    content: bytes


def read(path: Path, channels: int) -> Pixels:
    image, size = read_channels(path, channels, rule=RULE)
    return Pixels(size, image.tobytes())


def check_image(path: Path, channels: int, before: Pixels, *, is_cut: bool) -> str:
    """How a damaged image ended; training and `data check` must agree on what can be read."""
    found = attempt(partial(read, path, channels))
    seen = attempt(partial(look_at, path, channels))
    if isinstance(found, SwinkitError):
        assert isinstance(found, ImageError)
        assert not isinstance(seen, Seen), "data check takes what training refuses"
        return "refused"
    assert found.size[0] * found.size[1] <= MAX_PIXELS
    if found == before:
        return "right"
    assert path.suffix != ".png", "other pixels in spite of checksums"
    assert not is_cut, "other pixels of a file that is cut short"
    return "other pixels, of a format without checksums"


def run_cases(folder: Path, cases: int, seed: int) -> Tally:
    tally = Tally("images")
    for place, (kind, (suffix, make)) in enumerate(IMAGES.items()):
        path, content = folder / f"image{suffix}", make()
        path.write_bytes(content)
        before = {channels: read(path, channels) for channels in (1, 3)}
        for number in range(cases // len(IMAGES)):
            rng = np.random.default_rng((seed, place, number))
            change = flip_bits if number % 2 else choose(BYTES, rng)
            path.write_bytes(change(content, rng))
            sound = digests(folder)
            channels = 1 if number % 5 == 0 else 3
            with memory_limit(), tally.case(number, f"{kind}: {change.__name__}"):
                tally.add(check_image(path, channels, before[channels], is_cut=change is cut))
            assert digests(folder) == sound
        path.unlink()
    return tally


def test_damaged_images(tmp_path: Path) -> None:
    run_cases(tmp_path, SAMPLE, SEED).check()


@pytest.mark.slow
def test_many_damaged_images(tmp_path: Path) -> None:
    run_cases(tmp_path, CASES, SEED + 1).check()
