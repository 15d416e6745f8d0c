"""Which frames of a video make a clip: the published rules, in frame numbers."""

from __future__ import annotations

import torch

from swinkit.config.preprocessing import Clips

Ticks = tuple[int, ...]


def draw_clip(count: int, clips: Clips) -> Ticks:
    """Frames of one clip for training, of a video of `count`: drawn from torch's global generator.

    `dense` begins anywhere; `uniform` takes any frame of each part. As mmaction's `SampleFrames`, with
    `frame_uniform` for the second.
    """
    if clips.sampling == "uniform":
        parts = _parts(count, clips.frames)
        return tuple(int(torch.randint(first, last + 1, ())) for first, last in parts)
    starts = count - clips.frames * clips.stride + 1
    return _from(int(torch.randint(starts, ())) if starts > 0 else 0, count, clips)


def spread_clips(count: int, clips: Clips, number: int) -> list[Ticks]:
    """Frames of so many clips for evaluation, spread evenly over a video of `count` frames.

    Clips that would be the same, for the video is short, come once.
    """
    places = [(i + 0.5) / number for i in range(number)]
    if clips.sampling == "uniform":
        parts = _parts(count, clips.frames)
        spread = [tuple(first + int((last - first) * place) for first, last in parts) for place in places]
    else:
        starts = max(count - clips.frames * clips.stride + 1, 0)
        spread = [_from(int(starts * place), count, clips) for place in places]
    return spread if len(set(spread)) > 1 else spread[:1]


def _parts(count: int, frames: int) -> list[tuple[int, int]]:
    """First and last frame of each of so many equal parts."""
    length = (count - 1) / frames
    return [(round(length * i), round(length * (i + 1))) for i in range(frames)]


def _from(start: int, count: int, clips: Clips) -> Ticks:
    return tuple((start + i * clips.stride) % count for i in range(clips.frames))
