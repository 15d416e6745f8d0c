"""Pictures and what is said of them in one space: what open vocabularies are learnt from first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.core.config import SwinConfig
from swinkit.data.batch import Batch
from swinkit.data.captions.dataset import CaptionDataset
from swinkit.data.captions.open import Caption
from swinkit.distributed import all_rows
from swinkit.errors import ConfigError
from swinkit.features import Size
from swinkit.heads.owl import Projection, normalised
from swinkit.labels import Labels
from swinkit.results import Classes, Result
from swinkit.tasks.base import InputLike, Metric
from swinkit.tasks.open_vocab.contrastive_losses import caption_keys, sigmoid_pairs, softmax_pairs
from swinkit.tasks.open_vocab.two_towers import BOXES, TwoTowers
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.towers.vit import ViTConfig

LARGEST = 100.0  # factor of cosines with CLIP's loss
BEGIN = {"siglip": (math.log(10), -10.0), "clip": (math.log(1 / 0.07), 0.0)}  # as published


class Measured(NamedTuple):
    """Embeddings (B, dim) of pictures and of their captions, and the losses of these pairs."""

    images: Tensor
    texts: Tensor
    losses: dict[str, Tensor]


class Contrastive(TwoTowers):
    """Image → backbone → tokens → their mean, projected; caption → text tower; cosines, scaled.

    Options are those of `TwoTowers`, and `contrast`, the loss: "siglip" (each pair for itself, with a bias)
    or "clip" (softmax over the batch). An open-vocabulary detector takes all of it over: it projects each
    token as here their mean.
    """

    name: ClassVar[str] = "contrastive"
    head_name = "projection"
    options: ClassVar[dict[str, tuple[type, ...]]] = {**TwoTowers.options, "contrast": (str,)}
    inherits: ClassVar[tuple[str, ...]] = ("open_vocabulary",)
    heads: ClassVar[tuple[str, ...]] = (*TwoTowers.heads, "logit_")
    forwards: ClassVar[tuple[str, ...]] = ("learn", "no_loss", "measure", "idle")

    def __init__(
        self,
        config: SwinConfig | ViTConfig,
        labels: Labels,
        preprocessing: Preprocessing,
        *,
        width: int = 0,
        dim: int = 0,
        text: str | Mapping[str, Any] = "clip_b",
        tokenizer: str = "",
        contrast: str = "siglip",
    ) -> None:
        super().__init__(config, labels, preprocessing, width=width, dim=dim, text=text, tokenizer=tokenizer)
        if self.text is None:
            raise ConfigError("Captions need a text tower: give `text`, clip_b say, or a folder of CLIP.")
        if contrast not in BEGIN:
            raise ConfigError(f"`contrast={contrast!r}`: give siglip or clip.")
        self.monitor = "recall"
        self.contrast = contrast
        self.class_head = Projection(self.width, self.dim)
        scale, bias = BEGIN[contrast]
        self.logit_scale = nn.Parameter(torch.tensor([scale]))
        self.logit_bias = nn.Parameter(torch.tensor([bias])) if contrast == "siglip" else None
        self.asked: Vocabulary | None = None
        self.topk = 5

    @classmethod
    def other_heads(cls, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
        """As `TwoTowers`; of a detector what makes boxes is left out, and another loss begins anew."""
        found = super().other_heads(stored, wanted)
        if "contrast" not in stored:
            return (*found, *BOXES, "logit_")
        same = stored["contrast"] == wanted["contrast"]
        return found if same else (*found, "logit_")

    def forward(
        self, x: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Embeddings (B, dim) and (Q, dim) of images (B, C, H, W) and captions (Q, L), `logits` (B, Q)."""
        images, texts = self.embed(x), self.embed_ids(input_ids, attention_mask)
        return {"image_embeds": images, "text_embeds": texts, "logits": self.compare(images, texts)}

    def embed(self, images: Tensor | InputLike | Iterable[InputLike]) -> Tensor:
        """Embeddings (B, dim), of length 1.

        Of a normalised tensor (B, C, H, W) of floats with gradients; of files and what else `predict` takes,
        without, in evaluation mode.
        """
        if not isinstance(images, Tensor) or not images.is_floating_point():
            return self.embed_inputs(images)
        return normalised(self.class_head.embed(self.tokens(images)[0].mean(1)))

    def compare(self, images: Tensor, texts: Tensor) -> Tensor:
        """Logits (B, Q): cosines, scaled, and with SigLIP shifted."""
        with torch.autocast(images.device.type, enabled=False):  # half precision is too coarse near -10
            wide = torch.promote_types(images.dtype, torch.float32)
            cosines, scale = images.to(wide) @ texts.to(wide).T, self.logit_scale.exp()
            if self.logit_bias is None:
                return cosines * _at_most(scale, LARGEST)
            return cosines * scale + self.logit_bias

    def loss(self, batch: Batch, raw: Measured | None = None) -> dict[str, Tensor]:
        """That of the pairs of the batch, in training of all processes; `raw` is what `measure` gives."""
        assert isinstance(batch.targets, Tensor)
        return self.learn(batch.images, batch.targets) if raw is None else raw.losses

    def learn(self, images: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """The loss of images (B, C, H, W) and their captions (B, L)."""
        return self._loss(self.embed(images), self.embed_ids(ids), ids)

    def _loss(self, images: Tensor, texts: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """Pictures are compared with the captions of all processes, and captions with all pictures.

        Those that have the same caption belong together.
        """
        keys = caption_keys(ids)
        every_key, every = keys, torch.cat([images, texts], 1)
        if self.training:
            every_key, every = all_rows(keys), all_rows(every)
        every_image, every_text = every.split(self.dim, 1)
        same = keys[:, None] == every_key
        by_image = self.compare(images, every_text)
        if self.contrast == "siglip":
            return {"siglip": sigmoid_pairs(by_image, same)}
        return {"clip": softmax_pairs(by_image, self.compare(texts, every_image), same)}

    def no_loss(self, images: Tensor) -> Tensor:
        """As `Task`; what others have is passed too, for they wait for it."""
        blank, ids = self._blank(images)
        nothing = self._loss(blank[0][:0], blank[1][:0], ids[:0])
        return torch.stack([*nothing.values(), *(own.sum() for own in blank)]).sum() * 0

    def idle(self, images: Tensor) -> None:
        """As `Task`: both towers."""
        self._blank(images)

    def _blank(self, images: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Embeddings of images and of as many captions of no words, and their tokens."""
        ids = torch.zeros(len(images), 2, dtype=torch.long, device=images.device)
        return (self.embed(images), self.embed_ids(ids)), ids

    def preprocess(self, images: Sequence[InputLike]) -> Batch:
        """Files or images in memory to one normalised batch; an unreadable one raises ImageError."""
        return self.dataset(()).pictures(images)

    def respond(self, batch: Batch, *, flip: bool = False) -> Tensor:
        """Embeddings (B, dim) of a batch; with `flip` the mean of those of mirror images too."""
        x = batch.images.to(self.device, self.dtype)
        embeds = self.embed(x)
        return normalised(embeds + self.embed(x.flip(-1))) if flip else embeds

    def postprocess(self, raw: Tensor, sizes: Sequence[Size]) -> list[Result]:
        """Which of the names that are asked for each picture is, the likeliest first: softmax of cosines."""
        if self.asked is None:
            raise ConfigError("The model has no classes of its own: say what there may be, by names.")
        names = self.asked.wanted
        logits = self.compare(raw.float(), normalised(self.asked.embeddings.to(raw.device)))
        scores, labels = logits.softmax(-1)[:, : len(names)].topk(min(self.topk, len(names)))
        return [
            Classes("", size, tuple(ids), tuple(names[i] for i in ids), tuple(values))
            for size, ids, values in zip(sizes, labels.tolist(), scores.tolist(), strict=True)
        ]

    @property
    def result_names(self) -> tuple[str, ...]:
        """As `Task`."""
        return self.classes if self.asked is None else self.asked.names

    def weigh_classes(self, counts: Sequence[int]) -> None:
        """ConfigError: there are no classes."""
        raise ConfigError("`class_weights` is for data with classes, and captions have none.")

    @property
    def monitors(self) -> tuple[str, ...]:
        """As `Task`: the mean of all recalls, and the first of each direction."""
        return "recall", "image_to_text_r1", "text_to_image_r1"

    def metric(self, *, several: bool = False, labels: Labels | None = None) -> Metric:
        """How often a picture's caption is found among all, and a caption's picture."""
        from swinkit.metrics.retrieval import RetrievalMetric

        if several:
            raise ConfigError("`real` is for classifiers.")
        return RetrievalMetric()

    def measure(self, batch: Batch, *, flip: bool = False) -> Measured:
        """Embeddings of pictures and of their captions, for `metric`, and their loss."""
        assert isinstance(batch.targets, Tensor)
        ids = batch.targets.to(self.device)
        images, texts = self.respond(batch, flip=flip), self.embed_ids(ids)
        return Measured(images, texts, self._loss(images, texts, ids))

    def dataset(
        self,
        samples: Sequence[Caption | Path],
        augmentation: Augmentation | None = None,
        *,
        clips: int = 1,
        crops: int = 1,
        several: bool = False,
    ) -> CaptionDataset:
        """Pictures with captions, or bare paths, as this model takes them; cut with `augmentation`."""
        assert self.text is not None
        context = self.text.config.context
        return CaptionDataset(samples, self.preprocessing, augmentation, self.tokenizer, context)

    def set_test_limits(  # type: ignore[override]
        self, *, asked: Vocabulary | None = None, topk: int | None = None
    ) -> None:
        """Say which of the names that are `asked` for each picture is, the `topk` likeliest."""
        if asked is not None:
            self.check_vocabulary(asked)
            if len(asked) < 2:
                raise ConfigError("Which of the names a picture is takes two of them: give more to find.")
        self.asked, self.topk = asked or self.asked, topk or self.topk

    def settings(self) -> dict[str, Any]:
        """As `TwoTowers`, and the loss."""
        return {**super().settings(), "contrast": self.contrast}


def _at_most(value: Tensor, largest: float) -> Tensor:
    """The value, or the largest; it learns as if there were no limit, so that it can come down again."""
    return value - (value - largest).clamp(min=0).detach()
