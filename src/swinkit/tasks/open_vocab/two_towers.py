"""What models share that bring pictures and texts into one space: two towers, and tokens of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from swinkit.config.preprocessing import Preprocessing
from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.errors import ConfigError
from swinkit.features import Size
from swinkit.heads.owl import TokenGrid, normalised
from swinkit.labels import Labels
from swinkit.tasks.base import Task
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.towers.text import TextTower, text_config
from swinkit.towers.tokens import tokenizer_of
from swinkit.towers.vit import ViTBackbone, ViTConfig

BOXES = ("class_head.logit_", "box_head.", "objectness_head.", "vocabulary")  # what a detector has besides


class TwoTowers(Task):
    """Image → backbone → tokens (B, N, width); prompt → text tower → embedding (dim,).

    `width` is that of the tokens, by default that of the backbone's last map; `dim` that of embeddings, by
    default the text tower's, else 512; `text` the text tower, a name of `towers.text.TEXTS`, its numbers, or
    "none"; `tokenizer` is its own as JSON.
    """

    options: ClassVar[dict[str, tuple[type, ...]]] = {
        "width": (int,),
        "dim": (int,),
        "text": (str, dict),
        "tokenizer": (str,),
    }
    heads: ClassVar[tuple[str, ...]] = ("neck.", "class_head.", "text.")  # all above the backbone
    named: ClassVar[bool] = False
    maps: ClassVar[int] = 2  # the last so many of a Swin's are looked at
    prompts: tuple[str, ...] = ("{}",)  # templates into which names are put; the mean of all is asked

    backbone: SwinBackbone | ViTBackbone  # type: ignore[assignment]  # what training and files need of one

    def __init__(
        self,
        config: SwinConfig | ViTConfig,
        labels: Labels,
        preprocessing: Preprocessing,
        *,
        width: int,
        dim: int,
        text: str | Mapping[str, Any],
        tokenizer: str,
    ) -> None:
        super().__init__(config, labels, preprocessing)
        if config.rank != 2:
            raise ConfigError(f"A model for {self.name} takes images, and this one videos.")
        self.labels, self.preprocessing = labels, preprocessing
        self.lineage, self.licence, self.load_report = [], "", None
        self.backbone = _backbone(config)
        self.width = width or self.backbone.features[-1].channels
        towers = text_config(text)
        self.dim = dim or (512 if towers is None else towers.dim)
        if towers is not None and towers.dim != self.dim:
            raise ConfigError(f"dim={dim}: the text tower makes embeddings of {towers.dim} numbers.")
        if min(self.width, self.dim) < 1:
            raise ConfigError(f"`width={width}`, dim={dim}: give widths of tokens and queries.")
        if towers is not None and tokenizer and tokenizer_of(tokenizer).size > towers.vocabulary:
            raise ConfigError(
                f"The tokenizer knows {tokenizer_of(tokenizer).size} tokens, and the text tower "
                f"{towers.vocabulary}: they are not of one model."
            )
        self.tokenizer = tokenizer
        self.neck = TokenGrid(self.backbone.features, self.width)
        self.text = None if towers is None else TextTower(towers)

    @classmethod
    def other_heads(cls, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
        """As `Task`: tokens of another width change all heads, other queries what compares them."""
        if "dim" not in stored or stored["width"] != (wanted.get("width") or stored["width"]):
            return cls.heads
        found = [] if stored["dim"] == wanted["dim"] else ["class_head.", *cls.class_layers]
        same = text_config(stored["text"]) == text_config(wanted["text"])
        found += [] if same and stored["tokenizer"] == wanted["tokenizer"] else ["text."]
        return tuple(found)

    @property
    def can_read(self) -> bool:
        """Whether it has a text tower, and a tokenizer for it."""
        return self.text is not None and bool(self.tokenizer)

    def freeze_backbone(self) -> None:
        """As `Task`, and what makes tokens of its maps where that came with the weights."""
        super().freeze_backbone()
        new = () if self.load_report is None else self.load_report.initialised
        if not any(name.startswith("neck.") for name in new):
            self.neck.requires_grad_(False)

    def tokens(self, x: Tensor) -> tuple[Tensor, Size]:
        """Tokens (B, N, width) of images (B, C, H, W), and their grid (h, w)."""
        found: tuple[Tensor, Size] = self.neck(self.backbone(x))
        return found

    def embed_ids(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Embeddings (Q, dim) of texts (Q, L), of length 1; what follows their end does not count."""
        assert self.text is not None
        return normalised(self.text(input_ids, attention_mask))

    def read(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings (Q, dim) of prompts, of length 1; the text tower may learn from what is made of them."""
        assert self.text is not None
        ids, mask = tokenizer_of(self.tokenizer)(prompts, self.text.config.context)
        return self.embed_ids(ids.to(self.device), mask.to(self.device))

    def known_embeddings(self, texts: Sequence[str]) -> Tensor | None:
        """Embeddings (N, dim) that the model has learnt for texts without a text tower, if any."""
        return None

    def embed_example(
        self, x: Tensor, box: Tensor | Sequence[float] | None = None, *, by: str | None = None
    ) -> Tensor:
        """Return embeddings (B, dim) of objects in images. Raises ConfigError if not supported."""
        raise ConfigError(f"Examples are for detectors, and this model is for {self.name}.")

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Refuse embeddings of another size: ConfigError."""
        if vocabulary.dim != self.dim:
            raise ConfigError(
                f"The vocabulary has embeddings of {vocabulary.dim} numbers, and the model compares "
                f"{self.dim}."
            )

    def settings(self) -> dict[str, Any]:
        """Widths, the text tower's numbers and its tokenizer."""
        return {
            "width": self.width,
            "dim": self.dim,
            "text": "none" if self.text is None else self.text.config.to_dict(),
            "tokenizer": self.tokenizer,
        }


def _backbone(config: SwinConfig | ViTConfig) -> SwinBackbone | ViTBackbone:
    """A Swin gives the maps of its last stages."""
    if isinstance(config, ViTConfig):
        return ViTBackbone(config)
    return SwinBackbone(config, out_indices=range(config.stages)[-TwoTowers.maps :], norms="each")
