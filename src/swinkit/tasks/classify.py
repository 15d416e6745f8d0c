"""Classification: one label a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from swinkit.config import Augmentation, Preprocessing
from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.data.batching import Batch, ImageDataset, Item
from swinkit.data.folders import Sample
from swinkit.data.reading import clean, read_sized
from swinkit.data.transforms import evaluation_transform, mix_batch, training_transform
from swinkit.errors import ConfigError
from swinkit.heads.classify import PooledLinear
from swinkit.labels import Labels
from swinkit.results import Classes, Result
from swinkit.tasks.base import ImageLike, Metric, Mix, Task, listed


class Classifier(Task):
    """Backbone, mean over tokens, linear layer: (B, C, H, W) -> logits (B, classes).

    A video backbone takes (B, C, T, H, W), or pictures as clips of one frame.
    """

    name: ClassVar[str] = "classify"
    monitor: ClassVar[str] = "top1"

    def __init__(
        self, config: SwinConfig, labels: Labels, preprocessing: Preprocessing, *, head_drop: float = 0.0
    ) -> None:
        super().__init__()
        self.labels, self.preprocessing = labels, preprocessing
        self.lineage, self.licence, self.load_report = [], "", None
        self.topk = 5
        self.backbone = SwinBackbone(config)
        self.head = PooledLinear(self.backbone.features[-1], len(labels), head_drop)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised images."""
        return self.head(self._last_map(x))  # type: ignore[no-any-return]

    def embed(self, images: Tensor | ImageLike | Iterable[ImageLike]) -> Tensor:
        """Pooled vectors (B, D): of a normalised tensor with gradients, of files and PIL images without."""
        if isinstance(images, Tensor):
            return self.head.pool(self._last_map(images))
        batch = self.preprocess(listed(images))
        with torch.no_grad():
            return self.embed(batch.images.to(self.device, self.dtype))

    def _last_map(self, x: Tensor) -> Tensor:
        if x.ndim == 4 and self.backbone.config.rank == 3:
            x = x.unsqueeze(2)  # a picture is a one-frame video
        return self.backbone(x)[-1]  # type: ignore[no-any-return]

    def preprocess(self, images: Sequence[ImageLike]) -> Batch:
        """Files or PIL images to one normalised batch; an unreadable one raises ImageError."""
        transform = evaluation_transform(self.preprocessing)
        mode = self.preprocessing.mode
        items = []
        for image in images:
            if isinstance(image, Image.Image):
                pixels = clean(image, mode=mode)
                item = Item(transform(pixels), None, (pixels.height, pixels.width), "")
            else:
                pixels, size = read_sized(image, mode=mode)
                item = Item(transform(pixels), None, size, str(image))
            items.append(item)
        return self.dataset(()).collate(items)

    def postprocess(self, raw: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Result]:
        """The likeliest classes of each picture, softmax in fp32."""
        scores, labels = raw.float().softmax(-1).topk(min(self.topk, len(self.labels)))
        return [
            Classes("", size, tuple(ids), tuple(self.classes[i] for i in ids), tuple(values))
            for size, ids, values in zip(sizes, labels.tolist(), scores.tolist(), strict=True)
        ]

    def loss(self, batch: Batch, raw: Tensor | None = None) -> dict[str, Tensor]:
        """Cross entropy, with hard (B,) or soft (B, classes) targets."""
        assert batch.targets is not None
        logits = self(batch.images) if raw is None else raw
        return {"cross_entropy": F.cross_entropy(logits.float(), batch.targets)}

    def metric(self) -> Metric:
        """Top-1, top-5, per class, confusion."""
        from swinkit.metrics.classify import ClassificationMetric  # torchmetrics takes a second to import

        return ClassificationMetric(self.labels)

    def dataset(
        self,
        samples: Sequence[Sample | Path],
        augmentation: Augmentation | None = None,
        *,
        whole: bool = False,
    ) -> ImageDataset:
        """Samples, or bare paths, as this model takes them; with `augmentation` for training.

        `whole` gives the whole central square, of which the model's crop is a part.
        """
        pre = self.preprocessing
        if whole:
            if pre.crop == 1:
                raise ConfigError(f"crops needs a margin, but the model takes whole pictures of {pre.size}².")
            pre = pre.model_copy(update={"size": round(pre.size / pre.crop), "crop": 1.0})
        if augmentation is None:
            return ImageDataset(samples, pre, evaluation_transform(pre))
        # twice the input size keeps all detail of a crop of a quarter of the area
        return ImageDataset(samples, pre, training_transform(pre, augmentation), at_least=2 * pre.size)

    def mixing(self, augmentation: Augmentation) -> Mix:
        """Mixup and cutmix, then label smoothing, to soft targets (B, classes)."""
        mix = mix_batch(augmentation, len(self.labels))
        smooth = augmentation.label_smoothing

        def mix_and_smooth(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            images, soft = mix(images, targets)
            return images, soft * (1 - smooth) + smooth / soft.shape[1]

        return mix_and_smooth

    def set_test_limits(self, *, topk: int = 5) -> None:  # type: ignore[override]
        """Give back the `topk` likeliest classes."""
        self.topk = topk

    def settings(self) -> dict[str, Any]:
        """The head's dropout."""
        return {"head_drop": self.head.dropout}
