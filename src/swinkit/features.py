"""The one word that backbones and heads share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureSpec:
    """What one feature map looks like: its channels and its stride in input pixels.

    `stride` counts pixels along height and width; `time_stride` counts frames (1 for images).
    """

    channels: int
    stride: int
    time_stride: int = 1
