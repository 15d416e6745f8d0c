"""CLIP's text tower: prompts to embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from swinkit.errors import ConfigError, nearest
from swinkit.towers.library import import_transformers
from swinkit.towers.numbers import check_numbers


@dataclass(frozen=True)
class TextConfig:
    """Numbers of a text tower: `context` tokens at most, embeddings of `dim` numbers."""

    vocabulary: int = 49408
    width: int = 512
    layers: int = 12
    heads: int = 8
    mlp: int = 2048
    context: int = 77
    dim: int = 512

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TextConfig:
        """Read `to_dict`'s form; ConfigError for what is none."""
        check_numbers(cls, values, "text tower")
        config = cls(**values)
        if config.width % config.heads:
            raise ConfigError(f"A text tower of {config.width} cannot be shared by {config.heads} heads.")
        return config

    def to_dict(self) -> dict[str, int]:
        """Plain values."""
        return asdict(self)


TEXTS = {
    "clip_b": TextConfig(),
    "clip_l": TextConfig(width=768, heads=12, mlp=3072, dim=768),
    "nano": TextConfig(vocabulary=4096, width=128, layers=2, heads=4, mlp=512, context=32, dim=128),
    "owl_b": TextConfig(context=16),
    "owl_l": TextConfig(width=768, heads=12, mlp=3072, dim=768, context=16),
}
"""Published text towers by name: CLIP's of ViT-B and ViT-L, and OWL's, which read 16 tokens."""


def text_config(told: str | Mapping[str, Any]) -> TextConfig | None:
    """Numbers by name or as they are; None for "none". ConfigError for a name that is unknown."""
    if isinstance(told, Mapping):
        return TextConfig.from_dict(told)
    if told == "none":
        return None
    if told not in TEXTS:
        raise ConfigError(f"There is no text tower {told!r}: {nearest(told, (*TEXTS, 'none'))}")
    return TEXTS[told]


class TextTower(nn.Module):
    """Token ids (Q, L), and which of them count (Q, L), to embeddings (Q, dim).

    transformers' `OwlViTTextModel`, which is CLIP's: the state of the token with the highest id, the end of
    the text, is projected.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        transformers = import_transformers()
        self.config = config
        theirs = transformers.OwlViTTextConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=config.mlp,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=config.context,
            bos_token_id=config.vocabulary - 2,
            eos_token_id=config.vocabulary - 1,
        )
        self.model = transformers.OwlViTTextModel(theirs).text_model
        # not on the device "meta", where models are built around tensors of a file
        self.model.embeddings.position_ids = torch.arange(config.context, device="cpu")[None]
        self.projection = nn.Linear(config.width, config.dim, bias=False)
        nn.init.normal_(self.projection.weight, std=config.width**-0.5)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Embeddings (Q, dim), not normalised."""
        if input_ids.ndim != 2 or input_ids.shape[1] > self.config.context:
            raise ConfigError(
                f"The text tower takes ids (Q, L) of at most {self.config.context} tokens, "
                f"not {tuple(input_ids.shape)}."
            )
        if not torch.compiler.is_compiling() and not len(input_ids):  # a traced graph keeps any batch
            return self.projection.weight.new_zeros(0, self.config.dim)
        read = self.model(input_ids=input_ids, attention_mask=attention_mask)
        embedded: Tensor = self.projection(read.pooler_output)
        return embedded

    def blocks(self) -> list[nn.Module]:
        """All layers, first to last."""
        return list(self.model.encoder.layers)
