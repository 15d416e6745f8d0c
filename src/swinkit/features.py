"""The words that backbones, heads and data share."""

from __future__ import annotations

from dataclasses import dataclass

IGNORED = 255  # class id of places that count for nothing


@dataclass(frozen=True)
class FeatureSpec:
    """What one feature map looks like: its channels and its stride in input pixels.

    `stride` counts pixels along height and width; `time_stride` counts frames (1 for images).
    """

    channels: int
    stride: int
    time_stride: int = 1
