"""Detection of whatever is asked for: by names, by examples, or by a vocabulary of embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.core.config import SwinConfig
from swinkit.data.batch import Batch, Objects
from swinkit.data.detection.dataset import ObjectDataset
from swinkit.data.detection.samples import ObjectSamples
from swinkit.data.detection.transforms import ObjectTransform
from swinkit.errors import ConfigError
from swinkit.features import Size
from swinkit.heads.owl import ClassHead, Looked, TokenMLP, corners, location_bias
from swinkit.labels import Labels
from swinkit.results import Result
from swinkit.tasks.base import InputLike, Metric
from swinkit.tasks.detections import Found, check_limits, check_min_box_size, detections
from swinkit.tasks.open_vocab.detection_losses import detection_losses, in_shares, known_of
from swinkit.tasks.open_vocab.example_boxes import box_in_shares, checked_choice, fitting_boxes
from swinkit.tasks.open_vocab.queries import find_queries, vocabulary_of
from swinkit.tasks.open_vocab.selection import Sought
from swinkit.tasks.open_vocab.two_towers import BOXES, TwoTowers
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.towers.vit import ViTConfig

OVERLAP = 0.3  # of what is found by an example, as published
SAMPLED = 256  # queries of a step of training, at most
AT_ONCE = 256  # queries that are compared at once
MASKED = torch.finfo(torch.float32).min  # logit of a query that is padding


class OpenVocabulary(TwoTowers):
    """OWL: image → backbone → tokens → a box for each token, and how much it is each query.

    Options are those of `TwoTowers`; with `objectness` each token tells whether it is an object at all
    (OWLv2); `prompts` are templates into which the names of its classes are put.
    """

    name: ClassVar[str] = "open_vocabulary"
    head_name = "owl"
    options: ClassVar[dict[str, tuple[type, ...]]] = {
        **TwoTowers.options,
        "objectness": (bool,),
        "prompts": (list, tuple),
    }
    inherits: ClassVar[tuple[str, ...]] = ("contrastive",)
    heads: ClassVar[tuple[str, ...]] = (*TwoTowers.heads, "box_head.", "objectness_head.", "vocabulary")
    class_layers: ClassVar[tuple[str, ...]] = ("vocabulary",)
    films: ClassVar[bool] = True
    text_lr: ClassVar[float] = 0.01
    forwards: ClassVar[tuple[str, ...]] = ("learn", "look", "embed_example", "settle")

    vocabulary: Tensor

    def __init__(  # noqa: PLR0913, what its file holds
        self,
        config: SwinConfig | ViTConfig,
        labels: Labels,
        preprocessing: Preprocessing,
        *,
        width: int = 0,
        dim: int = 0,
        text: str | Mapping[str, Any] = "clip_b",
        objectness: bool = True,
        tokenizer: str = "",
        prompts: Sequence[str] = ("{}",),
    ) -> None:
        super().__init__(config, labels, preprocessing, width=width, dim=dim, text=text, tokenizer=tokenizer)
        if preprocessing.dense is None:
            raise ConfigError("An open-vocabulary detector needs preprocessing.dense.")
        self.monitor = "box_ap"
        self.class_head = ClassHead(self.width, self.dim)
        self.box_head = TokenMLP(self.width, 4)
        self.objectness_head = TokenMLP(self.width, 1) if objectness else None
        self.register_buffer("vocabulary", torch.zeros(len(labels), self.dim))
        self.asked: Vocabulary | None = None
        self.apart: Mapping[str, Sequence[str]] = {}
        self.prompts = tuple(prompts)  # of which training draws one
        self.score_threshold, self.detections, self.several = 0.1, 300, False
        self.nms_threshold: float | None = None
        self.min_box_size = 0.0  # pixels of the input; a box with a side of at most this is dropped

    @classmethod
    def other_heads(cls, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
        """As `TwoTowers`; a model that has learnt from captions alone knows no boxes."""
        found = super().other_heads(stored, wanted)
        if "objectness" not in stored:
            return (*found, *BOXES, "logit_")
        return (*found, *(["objectness_head."] if stored["objectness"] != wanted["objectness"] else []))

    def forward(
        self,
        x: Tensor,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        queries: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Boxes for all tokens of normalised images (B, C, H, W), and what they are.

        Queries are embeddings (Q, dim) or (B, Q, dim), or made of `input_ids` (B · Q, L), those of each image
        in turn, of which one that begins with 0 is padding; by default the model's own vocabulary. `logits`
        (B, N, Q), `pred_boxes` (B, N, 4; cx, cy, w, h in 0..1), `class_embeds` (B, N, dim), normalised,
        `image_embeds` (B, h, w, width), the tokens, and `objectness` (B, N) where the model tells it.
        """
        padding = None
        if input_ids is not None:
            if queries is not None:
                raise ConfigError("Give input_ids or queries, not both.")
            queries, padding = self._read(input_ids, attention_mask, len(x))
        queries = self._queries() if queries is None else self._checked(queries, len(x)).to(x)
        tokens, grid = self.tokens(x)
        looked = self.class_head(tokens)
        logits = looked.compare(queries)
        if padding is not None:
            logits = logits.float().masked_fill(padding[:, None], MASKED)
        answer = {
            "logits": logits,
            "pred_boxes": self.boxes(tokens, grid),
            "class_embeds": looked.embeds,
            "image_embeds": tokens.unflatten(1, grid),
        }
        objectness = self._objectness(tokens)
        return answer if objectness is None else answer | {"objectness": objectness}

    def _checked(self, queries: Tensor, images: int) -> Tensor:
        """Queries (Q, dim) or (B, Q, dim); ConfigError for what is neither."""
        shape = tuple(queries.shape)
        if shape[-1:] != (self.dim,) or len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] != images):
            raise ConfigError(f"`queries={shape}`: give (Q, {self.dim}), or ({images}, Q, {self.dim}).")
        return queries

    def _objectness(self, tokens: Tensor) -> Tensor | None:
        """Logits (B, N) that tokens are objects, which teach these nothing; None where it is not told."""
        if self.objectness_head is None:
            return None
        told: Tensor = self.objectness_head(tokens.detach())[..., 0]
        return told

    def look(self, x: Tensor) -> tuple[Looked, Tensor]:
        """What the tokens of images (B, C, H, W) are, and their boxes (B, N, 4) as corners, in shares."""
        tokens, grid = self.tokens(x)
        return self.class_head(tokens), corners(self.boxes(tokens, grid))

    def _read(self, input_ids: Tensor, mask: Tensor | None, images: int) -> tuple[Tensor, Tensor]:
        """Queries (B, Q, dim) of token ids, and which of them are padding (B, Q)."""
        if self.text is None:
            raise ConfigError("The model has no text tower: give `queries`, embeddings of a vocabulary.")
        ids = input_ids.flatten(0, -2)
        if not images:  # the prompts are those of each image
            return self.vocabulary.new_zeros(0, len(ids), self.dim), ids.new_zeros(0, len(ids)).bool()
        if not len(ids) or len(ids) % images:
            raise ConfigError(
                f"{len(ids)} prompts cannot be shared by {images} images: give as many to each."
            )
        mask = None if mask is None else mask.flatten(0, -2)
        embedded = self.embed_ids(ids, mask)
        return embedded.unflatten(0, (images, -1)), (ids[:, 0] == 0).unflatten(0, (images, -1))

    def _queries(self) -> Tensor:
        """Those that are asked for, or the model's own; ConfigError where there are none."""
        if self.asked is not None:
            return self.asked.embeddings.to(self.class_head.dense0.weight)
        if not self.has_vocabulary:
            raise ConfigError(
                "The model has no vocabulary of its own: say what to find, by names, examples or a file."
            )
        return self.vocabulary

    @property
    def has_vocabulary(self) -> bool:
        """Whether it has queries of its own for its classes."""
        return bool(self.vocabulary.any())

    def boxes(self, tokens: Tensor, grid: Size) -> Tensor:
        """Boxes (B, N, 4) as cx, cy, w, h in 0..1."""
        moved: Tensor = self.box_head(tokens)
        return (moved.float() + location_bias(grid, moved.device)).sigmoid()

    def embed_example(
        self, x: Tensor, box: Tensor | Sequence[float] | None = None, *, by: str | None = None
    ) -> Tensor:
        """Queries (B, dim) for what images (B, C, H, W) show in a box, not normalised.

        `box` (4,) or (B, 4) is x1, y1, x2, y2 in pixels of x; one that lies within 0..1 is in shares of its
        sides; by default the whole image. Of the tokens' boxes that overlap it nearly as much as the best
        (0.8), one is the query: by "dissimilar", that which is least like the mean of all (OWL-ViT); by
        "objectness", the likeliest object (OWLv2), of all boxes where no box is given. By default objectness
        where the model tells it.
        """
        tokens, grid = self.tokens(x)
        return self.pick(tokens, grid, box_in_shares(box, x), by=by)[0]

    def pick(
        self, tokens: Tensor, grid: Size, box: Tensor | None, *, by: str | None = None
    ) -> tuple[Tensor, Tensor]:
        """Queries (B, dim) for boxes (B, 4), in shares of the sides, and which tokens (B,) they are."""
        by = checked_choice(by) or ("dissimilar" if self.objectness_head is None else "objectness")
        embeds, own = self.class_head.embed(tokens), corners(self.boxes(tokens, grid))
        if by == "dissimilar":
            ranks: Tensor | None = -(embeds @ embeds.mean(1)[..., None])[..., 0]
            box = own.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(len(own), -1) if box is None else box
        else:
            ranks = self._objectness(tokens)
        if ranks is None:
            raise ConfigError("The model tells no objectness: choose queries by 'dissimilar'.")
        if box is not None:
            fitting = torch.stack([fitting_boxes(one, each) for one, each in zip(box, own, strict=True)])
            ranks = ranks.masked_fill(~fitting, -torch.inf)
        best = ranks.argmax(1)
        return embeds[torch.arange(len(best), device=best.device), best], best

    def respond(self, batch: Batch, *, flip: bool = False) -> list[Found]:
        """What is found in each image, the surest first; queries are compared some at a time."""
        if flip:
            raise ConfigError("`flip` is not for open-vocabulary detectors.")
        x = batch.images.to(self.device, self.dtype)
        looked, boxes = self.look(x)
        queries, size = self._queries().split(AT_ONCE), x.new_tensor(x.shape[2:])
        found = []
        for i, valid in enumerate(batch.valid[0]):
            own, seen = looked.of(i), x.new_tensor(valid)
            parts = (own.compare(some)[0] for some in queries)
            inside = boxes[i].clamp(min=0).minimum((seen / size).flip(0).repeat(2))
            found.append(self._found(parts, inside, size, self.min_box_size) | {"size": torch.tensor(valid)})
        return found

    def measure(self, batch: Batch, *, flip: bool = False) -> list[Found]:
        """As `respond`, for figures: every pair of box and query may count, however unsure."""
        return self.limited(score_threshold=0.0, several=True).respond(batch, flip=flip)

    def _found(self, parts: Iterable[Tensor], boxes: Tensor, size: Tensor, min_size: float) -> Found:
        """The surest of boxes (N, 4) in shares of an image of `size`, by logits (N, some) of the queries.

        `min_size` is in the unit of `size`.
        """
        sought = Sought(
            score=self.score_threshold,
            keep=self.detections,
            overlap=self.nms_threshold,
            several=self.several,
            thresholds=None if self.asked is None else self.asked.thresholds,
            negatives=0 if self.asked is None else self.asked.negatives,
            min_size=min_size,
        )
        return sought.select(parts, boxes * size.flip(0).repeat(2))

    def postprocess(self, raw: Mapping[str, Tensor] | Sequence[Found], sizes: Sequence[Size]) -> list[Result]:
        """What `forward` or `respond` has found, in pixels of the originals of (height, width)."""
        labels = self.labels if self.asked is None else Labels.of(self.asked.names)
        if isinstance(raw, Mapping) and raw["logits"].shape[2] != len(labels):  # queries given as they are
            labels = Labels.of(map(str, range(raw["logits"].shape[2])))
        return [
            detections(own, size, labels) for own, size in zip(self.found(raw, sizes), sizes, strict=True)
        ]

    def found(self, raw: Mapping[str, Tensor] | Sequence[Found], sizes: Sequence[Size]) -> Sequence[Found]:
        """What counts of the outputs of `forward` for pictures of these sizes; of `respond` as it is."""
        if not isinstance(raw, Mapping):
            return raw
        content = [self._content(size).to(raw["logits"].device) for size in sizes]
        min_share = self.min_box_size / self.preprocessing.size
        return [
            self._found([logits], corners(boxes), torch.ones_like(size), min_share) | {"size": size}
            for logits, boxes, size in zip(raw["logits"], raw["pred_boxes"], content, strict=True)
        ]

    def _content(self, size: Size) -> Tensor:
        """Which shares (height, width) of an input show a picture of `size`; the rest is padding."""
        longest = size if self.preprocessing.square == "stretch" else (max(size),) * 2
        return torch.tensor([own / whole for own, whole in zip(size, longest, strict=True)])

    def find(  # noqa: PLR0913, a keyword for each thing that people say
        self,
        images: InputLike | Iterable[InputLike],
        names: Any = None,
        examples: Any = None,
        *,
        prompts: Sequence[str] | None = None,
        negatives: Sequence[str] = (),
        by: str | None = None,
        score: float | None = None,
        overlap: float | None = None,
        detections: int | None = None,
        batch_size: int = 8,
    ) -> list[Result]:
        """Find in images what is said by names, examples or a vocabulary: `Detections` for each.

        `names` are a sequence, a mapping from each to its synonyms, a `Vocabulary` or the file of one;
        `examples` are (picture, box) or pictures, or a mapping from names to such; what has one name is
        averaged. `prompts` are templates with {} for the name, by default the model's; `negatives` names of
        what is not looked for; `by` is as in `embed_example`. Boxes surer than `score` are given, by default
        than the vocabulary says, else 0.1; of a query none that overlap more than `overlap`, as published 0.3
        with examples, and all without (1).
        """
        asked = find_queries(self, names, examples, prompts=prompts, negatives=negatives, by=by)
        if overlap is None:
            overlap = 1.0 if examples is None else OVERLAP
        limits: dict[str, Any] = {
            "score_threshold": score,
            "nms_threshold": overlap,
            "detections": detections,
        }
        return self.limited(asked=asked, **limits).predict(images, batch_size=batch_size)

    def preprocess(self, images: Sequence[InputLike]) -> Batch:
        """Files or images in memory to one normalised batch; an unreadable one raises ImageError."""
        return ObjectDataset((), self.preprocessing).pictures(images)

    def loss(self, batch: Batch, raw: Any = None) -> dict[str, Tensor]:
        """Losses of queries, boxes and objectness; of known outputs where they are those of `forward`."""
        if raw is not None and not isinstance(raw, Mapping):
            return {}
        assert isinstance(batch.targets, tuple)
        if raw is None:
            return self.learn(batch.images, batch.targets)
        boxes, size = corners(raw["pred_boxes"]), (batch.images.shape[2], batch.images.shape[3])
        shares = [in_shares(own, size) for own in batch.targets]
        return detection_losses(
            raw["logits"], boxes, raw.get("objectness"), shares, known_of(batch.targets, len(self.labels))
        )

    def no_loss(self, images: Tensor) -> Tensor:
        """As `Task`."""
        boxes = images.new_zeros(0, 4)
        losses = self.learn(images, [Objects(boxes, boxes[:, 0].long(), None)] * len(images))
        return torch.stack(list(losses.values())).sum() * 0

    def learn(self, images: Tensor, truth: Sequence[Objects]) -> dict[str, Tensor]:
        """The losses of images (B, C, H, W) in which these objects are, boxes in pixels of the images."""
        tokens, grid = self.tokens(images)
        boxes = corners(self.boxes(tokens, grid))
        queries, shares, known = self._learnt(truth)
        logits = self.class_head(tokens).compare(queries)
        shares = [in_shares(own, (images.shape[2], images.shape[3])) for own in shares]
        head = self.objectness_head
        learns = head is not None and head.dense0.weight.requires_grad
        return detection_losses(logits, boxes, self._objectness(tokens) if learns else None, shares, known)

    def _learnt(self, truth: Sequence[Objects]) -> tuple[Tensor, Sequence[Objects], Tensor | None]:
        """Queries of a step, the objects with their numbers, and which are known to be there or not (B, Q).

        All classes, or those there and others; None where all is known of each picture.
        """
        count = len(self.labels)
        known = known_of(truth, count)
        if count <= SAMPLED:
            places = torch.arange(count)
        else:
            there = torch.cat([own.labels for own in truth]).unique().cpu()
            others = torch.randperm(count)
            others = others[~torch.isin(others, there)][: max(0, SAMPLED - len(there))]
            places = torch.cat([there, others])
            numbers = torch.full((count,), -1, device=self.device)
            numbers[places.to(self.device)] = torch.arange(len(places), device=self.device)
            truth = [Objects(own.boxes, numbers[own.labels], None, ignored=own.ignored) for own in truth]
            known = None if known is None else known[:, places.to(self.device)]
        if not self.reads:
            return self.vocabulary[places.to(self.device)], truth, known
        prompt = self.prompts[int(torch.randint(len(self.prompts), ()).item())]
        texts = [prompt.replace("{}", self.classes[place]) for place in places.tolist()]
        return self.read(texts), truth, known

    @property
    def reads(self) -> bool:
        """Whether the text tower learns, and so reads the names of the classes anew in each step."""
        if self.text is None or not self.can_read or not len(self.labels):
            return False
        return next(self.text.parameters()).requires_grad

    @torch.no_grad()
    def settle(self) -> None:
        """The vocabulary of the classes, by a text tower that learns."""
        if self.reads:
            named = {name: [name] for name in self.classes}
            self.vocabulary.copy_(vocabulary_of(self, named).embeddings)

    def know(self, vocabulary: Vocabulary) -> None:
        """Take the queries of its classes from a vocabulary; ConfigError for one that does not have them."""
        self.check_vocabulary(vocabulary)
        self.vocabulary.copy_(vocabulary.chosen(self.classes).embeddings)

    def known_embeddings(self, texts: Sequence[str]) -> Tensor | None:
        """As `TwoTowers`: those of its classes, where it has no text tower."""
        if self.text is not None or not self.has_vocabulary or not set(texts) <= set(self.classes):
            return None
        return self.own_vocabulary().chosen(texts).embeddings

    def own_vocabulary(self) -> Vocabulary:
        """The queries of its classes; ConfigError where it has none."""
        if not self.classes:
            raise ConfigError("The model has no classes of its own: give `vocabulary`.")
        return Vocabulary(self.classes, self.vocabulary.detach().cpu())

    @property
    def monitors(self) -> tuple[str, ...]:
        """As `Task`."""
        return "box_ap", "box_ap50", "box_ap75"

    def metric(self, *, several: bool = False, labels: Labels | None = None) -> Metric:
        """COCO's average precision of boxes."""
        from swinkit.metrics.detect import DetectionMetric

        if several:
            raise ConfigError("`real` is for classifiers, and the model finds objects.")
        known = labels or self.labels
        answer = partial(detections, labels=known)
        return DetectionMetric(known, answer, masks=False, monitor="box", apart=self.apart)

    def dataset(
        self,
        samples: Sequence[Any],
        augmentation: Augmentation | None = None,
        *,
        clips: int = 1,
        crops: int = 1,
        several: bool = False,
    ) -> ObjectDataset:
        """Pictures with objects, or bare paths, as this model takes them; varied with `augmentation`."""
        if samples and augmentation is not None and not isinstance(samples, ObjectSamples):
            raise ConfigError("A detector learns from pictures with boxes: give such data.")
        pre = self.preprocessing
        transform = None if augmentation is None else ObjectTransform(pre, augmentation, masks=False)
        return ObjectDataset(samples, pre, transform)

    def weigh_classes(self, counts: Sequence[int]) -> None:
        """ConfigError: the losses have no weights of classes."""
        raise ConfigError("`class_weights` is not for detectors: see `sampling` for rare classes.")

    def set_test_limits(  # type: ignore[override]
        self,
        *,
        score_threshold: float | None = None,
        nms_threshold: float | None = None,
        detections: int | None = None,
        several: bool | None = None,
        min_box_size: float | None = None,
        asked: Vocabulary | None = None,
        apart: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """What is looked for, and how much is given back; what is None stays.

        Boxes surer than `score_threshold`, in place of what `asked` says, so many `detections` at most;
        of a query none that overlap more than `nms_threshold` (1: all). With `several` a box may be
        several of the queries. Boxes with a side of at most `min_box_size` pixels of the input are dropped:
        0 drops boxes without area, -1 keeps every box. `asked` are the queries, `apart` groups of names whose
        figures stand apart.
        """
        shares = {"score_threshold": score_threshold, "nms_threshold": nms_threshold}
        check_limits({"detections": detections}, shares)
        check_min_box_size(min_box_size)
        if asked is not None:
            self.check_vocabulary(asked)
        self.score_threshold = self.score_threshold if score_threshold is None else score_threshold
        if nms_threshold is not None:
            self.nms_threshold = None if nms_threshold == 1 else nms_threshold
        self.detections = self.detections if detections is None else detections
        self.several = self.several if several is None else several
        self.min_box_size = self.min_box_size if min_box_size is None else min_box_size
        self.asked = self.asked if asked is None else asked
        if self.asked is not None and score_threshold is not None:
            self.asked = self.asked.unbound()
        self.apart = self.apart if apart is None else apart

    def settings(self) -> dict[str, Any]:
        """As `TwoTowers`, objectness and prompts."""
        objectness = self.objectness_head is not None
        return {**super().settings(), "objectness": objectness, "prompts": list(self.prompts)}
