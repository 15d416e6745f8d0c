"""The vision transformer of CLIP, as the published OWL detectors use it: pixels to one map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from swinkit.errors import ConfigError
from swinkit.features import FeatureSpec, Size
from swinkit.towers.library import import_transformers
from swinkit.towers.numbers import check_numbers


@dataclass(frozen=True)
class ViTConfig:
    """Numbers of a vision transformer, trained on squares of `img_size` pixels."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp: int = 3072
    patch: int = 32
    img_size: int = 768
    in_chans: int = 3

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ViTConfig:
        """Read `to_dict`'s form; ConfigError for what is none."""
        numbers = {name: value for name, value in values.items() if name != "kind"}
        check_numbers(cls, numbers, "vision transformer")
        config = cls(**numbers)
        if config.width % config.heads or config.img_size < config.patch:
            raise ConfigError(
                f"width={config.width}, heads={config.heads}, img_size={config.img_size}, "
                f"patch={config.patch}: heads must share the width, and a picture hold a patch."
            )
        return config

    def to_dict(self) -> dict[str, Any]:
        """Plain values, marked as those of a vision transformer."""
        return {"kind": "vit", **asdict(self)}

    @property
    def rank(self) -> int:
        """Axes of the grid: those of images."""
        return 2

    @property
    def stages(self) -> int:
        """It has one."""
        return 1

    @property
    def depths(self) -> tuple[int, ...]:
        """Layers of its stage."""
        return (self.layers,)

    @property
    def input_size(self) -> Size:
        """Height and width that it was trained for."""
        return (self.img_size, self.img_size)


class ViTBackbone(nn.Module):
    """Pixels (B, 3, H, W) to a list of one map (B, width, H/patch, W/patch): each token times the class's.

    transformers' `OwlViTVisionModel`; pictures of other sizes than it was trained for get positions resized
    bicubically. What `SwinBackbone` offers to training is here too, with one stage.
    """

    load_report: object

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        transformers = import_transformers()
        self.config = config
        self.features = (FeatureSpec(config.width, config.patch),)
        theirs = transformers.OwlViTVisionConfig(
            hidden_size=config.width,
            intermediate_size=config.mlp,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_channels=config.in_chans,
            image_size=config.img_size,
            patch_size=config.patch,
        )
        self.vit = transformers.OwlViTVisionModel(theirs).vision_model
        embeddings = self.vit.embeddings
        # not on the device "meta", where models are built around tensors of a file
        embeddings.position_ids = torch.arange(embeddings.num_positions, device="cpu")[None]
        self.norms = "final"
        self.out_indices = (0,)
        self.load_report = None

    def forward(self, x: Tensor) -> list[Tensor]:
        """The map, after the last norm."""
        patch = self.config.patch
        if x.ndim != 4 or x.shape[1] != self.config.in_chans or min(x.shape[2:]) < patch:
            raise ConfigError(
                f"The backbone takes (B, {self.config.in_chans}, H, W) of {patch} pixels and more, "
                f"not {tuple(x.shape)}."
            )
        grid = x.shape[2] // patch, x.shape[3] // patch
        states = self.vit(pixel_values=x, interpolate_pos_encoding=True).last_hidden_state
        tokens = self.vit.post_layernorm(states)
        merged = tokens[:, 1:] * tokens[:, :1]
        return [merged.transpose(1, 2).unflatten(2, grid)]

    def blocks(self) -> list[nn.Module]:
        """All layers, first to last."""
        return list(self.vit.encoder.layers)

    def set_checkpointing(self, stages: Iterable[int] | bool = True) -> None:
        """Recompute the activations of all layers in the backward pass, to save memory."""
        if stages is True or set(stages or ()) == {0}:
            for layer in self.blocks():
                layer.gradient_checkpointing = True  # type: ignore[assignment]

    def freeze(self, stages: int) -> None:
        """Freeze the embeddings, and with 1 all layers."""
        if stages not in (0, 1):
            raise ConfigError(f"freeze={stages}: a vision transformer takes 0 or 1.")
        (self.vit if stages else self.vit.embeddings).requires_grad_(False)
