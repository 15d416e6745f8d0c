"""timm's spelling since 0.9: merging opens a stage instead of closing the one before (FACTS §3)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from swinkit.weights.dialects.spelling import Dialect


@dataclass(frozen=True)
class _Timm(Dialect):
    def recognises(self, names: Sequence[str]) -> bool:
        """By the marks, or by merging in the last stage, where Microsoft's has none."""
        if super().recognises(names):
            return True
        found = [re.search(r"layers\.(\d+)\.(blocks|downsample)\.", name) for name in names]
        stages = [int(match[1]) for match in found if match and match[2] == "blocks"]
        merging = [int(match[1]) for match in found if match and match[2] == "downsample"]
        return bool(stages) and bool(merging) and max(merging) == max(stages)


TIMM = _Timm(
    name="timm",
    title="timm's",
    marks=r"(^|\.)layers_\d+\.(blocks|downsample)\.",
    starts=(
        ("patch_embed.", "patch_embed."),
        ("layers.{s+1}.downsample.", "layers.{s}.downsample."),
        ("layers.{s}.blocks.", "layers.{s}.blocks."),
        ("head.fc.", "head."),
    ),
    # features_only=True
    aliases=(
        ("layers_{s+1}.downsample.", "layers.{s}.downsample."),
        ("layers_{s}.blocks.", "layers.{s}.blocks."),
    ),
    fit="roll_pad",
    patch_remainder="drop",
)
