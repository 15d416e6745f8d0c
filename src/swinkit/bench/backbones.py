"""timm's backbones behind our FeatureSpec, as the peers of the published tables have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from swinkit.errors import ConfigError
from swinkit.features import FeatureSpec


class DilatedResNet(nn.Module):
    """OpenMMLab's ResNet-V1c with `dilations=(1, 1, 2, 4)`: maps of stride 4, 8, 8, 8.

    timm's ResNet with its deep stem. Where a stage is dilated OpenMMLab's first block already has half of the
    dilation, as timm's has at `output_stride=8`.
    """

    def __init__(
        self,
        layers: Sequence[int] = (3, 4, 23, 3),
        channels: Sequence[int] = (64, 128, 256, 512),
        stem: int = 32,
    ) -> None:
        super().__init__()
        timm = timm_library()
        self.body = timm.models.resnet.ResNet(
            timm.models.resnet.Bottleneck,
            tuple(layers),
            num_classes=0,
            output_stride=8,
            stem_type="deep",
            stem_width=stem,
            channels=tuple(channels),
        )
        strides = (4, 8, 8, 8)
        self.features = [FeatureSpec(4 * width, step) for width, step in zip(channels, strides, strict=True)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> four maps."""
        maps: list[Tensor] = self.body.forward_intermediates(x, intermediates_only=True)
        return maps[1:]


class PlainViT(nn.Module):
    """A vision transformer of one stride: the outputs of some of its layers, with their class token left out.

    As OpenMMLab's at the size it is built for; no norm after the last layer.
    """

    def __init__(
        self,
        size: int = 512,
        dim: int = 1024,
        depth: int = 24,
        heads: int = 16,
        layers: Sequence[int] = (9, 14, 19, 23),
    ) -> None:
        super().__init__()
        self.body = timm_library().models.vision_transformer.VisionTransformer(
            img_size=size, patch_size=16, embed_dim=dim, depth=depth, num_heads=heads, num_classes=0
        )
        self.body.norm = nn.Identity()
        self.layers = list(layers)
        self.features = [FeatureSpec(dim, 16) for _ in layers]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, size, size) -> a map for each of the layers."""
        maps: list[Tensor] = self.body.forward_intermediates(
            x, indices=self.layers, norm=False, intermediates_only=True
        )
        return maps


def timm_library() -> Any:
    """The library; ConfigError where it is not installed."""
    try:
        import timm
    except ImportError as error:
        raise ConfigError("compare needs a library more: `pip install swinkit[compare]`.") from error
    return timm
