"""Classification: one label a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.data.batch import Batch
from swinkit.data.classification.image_dataset import ImageDataset
from swinkit.data.classification.samples import Sample
from swinkit.data.classification.transforms import (
    ImageTransform,
    evaluation_transform,
    mix_batch,
    training_transform,
)
from swinkit.data.dataset import SampleDataset
from swinkit.errors import ConfigError
from swinkit.heads.classify import PooledLinear
from swinkit.labels import Labels
from swinkit.results import Classes, Result
from swinkit.tasks.base import InputLike, Metric, Mix, Task


class Classifier(Task):
    """Backbone, mean over tokens, linear layer: (B, C, H, W) -> logits (B, classes).

    With `multi_label` an input may have several classes, or none: each is answered for itself. Several views
    of each input, (B, V, C, H, W), give the logarithm of their mean probability.
    """

    name: ClassVar[str] = "classify"
    head_name = "linear"
    is_graph: ClassVar[bool] = True
    options: ClassVar[dict[str, tuple[type, ...]]] = {"head_drop": (int, float), "multi_label": (bool,)}
    class_layers: ClassVar[tuple[str, ...]] = ("head.weight", "head.bias")
    most_crops: ClassVar[tuple[str, int]] = ("picture", 5)  # of what, and how many

    def __init__(
        self,
        config: SwinConfig,
        labels: Labels,
        preprocessing: Preprocessing,
        *,
        head_drop: float = 0.0,
        multi_label: bool = False,
    ) -> None:
        super().__init__(config, labels, preprocessing)
        if not 0 <= head_drop < 1:
            raise ConfigError(f"head_drop={head_drop}: give a number from 0 up to, not including, 1.")
        self.labels, self.preprocessing, self.multi_label = labels, preprocessing, multi_label
        self.class_weights: Tensor | None = None
        self.lineage, self.licence, self.load_report = [], "", None
        self.topk = 5
        self.backbone = SwinBackbone(config)
        self.head = PooledLinear(self.backbone.features[-1], len(labels), head_drop)

    @property
    def monitor(self) -> str:
        """Top-1, or the mean over classes of the average precision."""
        return "map" if self.multi_label else "top1"

    @property
    def monitors(self) -> tuple[str, ...]:
        """As `Task`; top-5 for five classes or more."""
        if self.multi_label:
            return "map", "f1"
        return ("top1", "mean_class", *(("top5",) if len(self.labels) >= 5 else ()))

    def monitor_for(self, *, balanced: bool) -> str:
        """As `Task`: top-1 would reward a model that knows frequent classes alone."""
        return "mean_class" if balanced and not self.multi_label else self.monitor

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised images."""
        if self._has_views(x):
            return self.as_raw(torch.stack([self.probabilities(self(view)) for view in x.unbind(1)]).mean(0))
        return self.head(self.backbone(x)[-1])  # type: ignore[no-any-return]

    def embed(self, images: Tensor | InputLike | Iterable[InputLike]) -> Tensor:
        """Pooled vectors (B, D), of several views their mean.

        Of a normalised tensor of floats with gradients; of files and what else `predict` takes, without, in
        evaluation mode.
        """
        if not isinstance(images, Tensor) or not images.is_floating_point():
            return self.embed_inputs(images)
        if self._has_views(images):
            return torch.stack([self.embed(view) for view in images.unbind(1)]).mean(0)
        return self.head.pool(self.backbone(images)[-1])

    def respond(self, batch: Batch, *, flip: bool = False) -> Tensor:
        """Logits of a batch, over all of its views; with `flip` of their mirror images too."""
        images = batch.images.to(self.device, self.dtype)
        if flip:
            views = images if self._has_views(images) else images.unsqueeze(1)
            images = torch.cat([views, views.flip(-1)], dim=1)
        logits: Tensor = self(images)
        return logits

    def _has_views(self, x: Tensor) -> bool:
        """Whether there is an axis of views after that of the batch."""
        return x.ndim == self.backbone.config.rank + 3

    def preprocess(self, images: Sequence[InputLike]) -> Batch:
        """Files or images in memory to one normalised batch; an unreadable one raises ImageError."""
        transform = evaluation_transform(self.preprocessing)
        return ImageDataset((), self.preprocessing, transform).pictures(images)

    def postprocess(self, raw: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Result]:
        """The likeliest classes of each picture, softmax (of several classes sigmoid) in fp32."""
        scores, labels = self.probabilities(raw).topk(min(self.topk, len(self.labels)))
        return [
            Classes("", size, tuple(ids), tuple(self.classes[i] for i in ids), tuple(values))
            for size, ids, values in zip(sizes, labels.tolist(), scores.tolist(), strict=True)
        ]

    def probabilities(self, raw: Tensor) -> Tensor:
        """Of each class: in all 1, or each for itself."""
        return raw.float().sigmoid() if self.multi_label else raw.float().softmax(-1)

    def as_raw(self, probabilities: Tensor) -> Tensor:
        """Outputs that have these probabilities."""
        return probabilities.logit() if self.multi_label else probabilities.log()

    def loss(self, batch: Batch, raw: Tensor | None = None) -> dict[str, Tensor]:
        """Cross entropy, with hard (B,) or soft (B, classes) targets; of several classes that of each."""
        assert isinstance(batch.targets, Tensor)
        logits = (self(batch.images) if raw is None else raw).float()
        weights = self.class_weights if self.training else None
        weights = None if weights is None else weights.to(logits.device)
        if self.multi_label:
            return {
                "binary_cross_entropy": F.binary_cross_entropy_with_logits(logits, batch.targets, weights)
            }
        return {"cross_entropy": F.cross_entropy(logits, batch.targets, weights)}

    def weigh_classes(self, counts: Sequence[int]) -> None:
        """Let rare classes count as much as frequent ones in training, all together as before."""
        found = torch.tensor(counts, dtype=torch.float32)
        present = found > 0
        weights = torch.where(present, found.sum() / (present.sum() * found.clamp(min=1)), 1.0)
        self.class_weights = weights

    def metric(self, *, several: bool = False, labels: Labels | None = None) -> Metric:
        """Top-1, top-5, per class, confusion; of several classes average precision."""
        # here, for torchmetrics takes a second to import
        from swinkit.metrics.anyof import AnyOfMetric
        from swinkit.metrics.classify import ClassificationMetric
        from swinkit.metrics.multilabel import MultiLabelMetric

        if several:
            return AnyOfMetric(self.labels)
        return MultiLabelMetric(self.labels) if self.multi_label else ClassificationMetric(self.labels)

    def dataset(
        self,
        samples: Sequence[Sample | Path],
        augmentation: Augmentation | None = None,
        *,
        clips: int = 1,
        crops: int = 1,
        several: bool = False,
    ) -> SampleDataset:
        """Samples, or bare paths, as this model takes them; with `augmentation` for training.

        Else of a video `clips` are spread over it, and `crops` are cut: 1, or 5 of a picture's whole central
        square, 3 along the long side of a video.
        """
        what, most = self.most_crops
        if crops not in (1, most):
            raise ConfigError(f"`crops={crops}`: of a {what} take 1 or {most}.")
        pre, multi = self.preprocessing, len(self.labels) if self.multi_label or several else None
        if augmentation is None:
            transform = evaluation_transform(pre, crops)
            return self._dataset(samples, transform, clips=clips, at_least=None, multi=multi)
        # twice the input size keeps all detail of a crop of a quarter of the area
        transform = training_transform(pre, augmentation)
        return self._dataset(samples, transform, clips=None, at_least=2 * max(pre.sides), multi=multi)

    def _dataset(
        self,
        samples: Sequence[Sample | Path],
        transform: ImageTransform,
        *,
        clips: int | None,
        at_least: int | None,
        multi: int | None,
    ) -> SampleDataset:
        """Inputs of this task's medium; `clips` of each, None for one that is drawn."""
        if clips not in (None, 1):
            raise ConfigError(f"`clips={clips}`: the model takes pictures, not videos.")
        return ImageDataset(samples, self.preprocessing, transform, at_least=at_least, multi=multi)

    def mixing(self, augmentation: Augmentation) -> Mix:
        """Mixup and cutmix, then label smoothing, to soft targets (B, classes)."""
        mix = mix_batch(augmentation, len(self.labels))
        smooth = 0.0 if self.multi_label else augmentation.label_smoothing

        def mix_and_smooth(batch: Batch) -> Batch:
            assert isinstance(batch.targets, Tensor)
            images, soft = mix(batch.images, batch.targets)
            return replace(batch, images=images, targets=soft * (1 - smooth) + smooth / soft.shape[1])

        return mix_and_smooth

    def set_test_limits(self, *, topk: int | None = None, clips: int | None = None) -> None:  # type: ignore[override]
        """Give back the `topk` likeliest classes; of a video look at so many `clips`."""
        self.topk, self.clips = topk or self.topk, clips or self.clips

    def settings(self) -> dict[str, Any]:
        """The head's dropout, and whether a picture may have several classes."""
        several = {"multi_label": True} if self.multi_label else {}
        return {"head_drop": self.head.dropout, **several}
