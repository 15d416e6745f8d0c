"""The words that backbones, heads and data share."""

from __future__ import annotations

from dataclasses import dataclass

IGNORED = 255  # class id of places that count for nothing
PADDED = 32  # pixels to whose multiples detectors' pictures are padded, as published
Size = tuple[int, int]  # height, width


def padded_size(size: Size, step: int = PADDED) -> Size:
    """(height, width) to which a picture of that size is padded."""
    height, width = (-(-side // step) * step for side in size)
    return height, width


@dataclass(frozen=True)
class FeatureSpec:
    """What one feature map looks like: its channels and its stride in input pixels.

    `stride` counts pixels along height and width; `time_stride` counts frames (1 for images).
    """

    channels: int
    stride: int
    time_stride: int = 1
