"""Frame numbers beside mmaction 0.15's rules, written out here from its `SampleFrames`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from swinkit.config.preprocessing import Clips
from swinkit.data.classification.clip_sampling import draw_clip, spread_clips

COUNTS = [2, 3, 31, 32, 33, 63, 64, 65, 66, 100, 299, 1000]


def mmaction_test(count: int, frames: int, stride: int, clips: int) -> list[list[int]]:
    span = frames * stride
    interval = (count - span + 1) / float(clips)
    if count > span - 1:
        offsets = (np.arange(clips) * interval + interval / 2.0).astype(int)
    else:
        offsets = np.zeros(clips, int)
    return [[int((offset + i * stride) % count) for i in range(frames)] for offset in offsets]


def mmaction_uniform(count: int, frames: int) -> list[tuple[int, int]]:
    length = float(count - 1) / frames
    return [(int(np.round(length * i)), int(np.round(length * (i + 1)))) for i in range(frames)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("number", [1, 2, 4, 10])
def test_dense_clips_of_evaluation(count: int, number: int) -> None:
    ours = spread_clips(count, Clips(frames=32, stride=2), number)
    expected = mmaction_test(count, 32, 2, number)
    if len(ours) < number:  # all the same
        assert expected == [list(ours[0])] * number
    else:
        assert [list(ticks) for ticks in ours] == expected


@pytest.mark.parametrize("count", COUNTS)
def test_uniform_clips(count: int) -> None:
    clips = Clips(frames=16, sampling="uniform")
    parts = mmaction_uniform(count, 16)
    assert spread_clips(count, clips, 1) == [tuple((a + b) // 2 for a, b in parts)]
    for ticks in spread_clips(count, clips, 3):
        assert all(a <= tick <= b for tick, (a, b) in zip(ticks, parts, strict=True))
    for _ in range(5):
        drawn = draw_clip(count, clips)
        assert all(a <= tick <= b for tick, (a, b) in zip(drawn, parts, strict=True))


def test_drawn_dense_clips_begin_anywhere_and_only_there() -> None:
    torch.manual_seed(0)
    starts = set()
    for _ in range(300):
        ticks = draw_clip(70, Clips(frames=8, stride=8))
        assert np.all(np.diff(ticks) == 8)
        starts.add(ticks[0])
    assert starts == set(range(7))
    assert draw_clip(5, Clips(frames=8, stride=2)) == (0, 2, 4, 1, 3, 0, 2, 4)


def test_the_same_seed_draws_the_same() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append([draw_clip(300, Clips(sampling=kind)) for kind in ("dense", "uniform")])
    assert drawn[0] == drawn[1]
