"""The feature pyramid: maps of one width, coarse ones added to finer ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.features import FeatureSpec


class Conv(nn.Module):
    """A convolution with bias, named as in OpenMMLab's `ConvModule` without norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        out: Tensor = self.conv(x)
        return out


class FPN(nn.Module):
    """Each map by a 1×1 convolution, coarser ones added from the top down (nearest), then 3×3 convolutions.

    Lin et al. 2017, by mmdet's `necks/fpn.py`; one map more has every second place of the last.
    """

    def __init__(self, features: Sequence[FeatureSpec], channels: int = 256) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(Conv(spec.channels, channels, 1) for spec in features)
        self.fpn_convs = nn.ModuleList(Conv(channels, channels, 3) for _ in features)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        last = features[-1].stride
        strides = [*(spec.stride for spec in features), 2 * last]
        self.features = [FeatureSpec(channels, stride) for stride in strides]

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the backbone -> as many, and one at twice the last stride, all of `channels`."""
        path = [lateral(x) for lateral, x in zip(self.lateral_convs, maps, strict=True)]
        for i in range(len(path) - 1, 0, -1):
            path[i - 1] = path[i - 1] + F.interpolate(path[i], path[i - 1].shape[2:], mode="nearest")
        levels = [conv(x) for conv, x in zip(self.fpn_convs, path, strict=True)]
        return [*levels, F.max_pool2d(levels[-1], 1, stride=2)]
