"""Action recognition: one label a video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from swinkit.config import Augmentation, Preprocessing
from swinkit.core.config import SwinConfig
from swinkit.data.batching import Batch, Item, SampleDataset
from swinkit.data.clips import ClipDataset
from swinkit.data.media import CLIPS, Medium
from swinkit.data.samples import Sample
from swinkit.data.transforms import evaluation_transform, training_transform
from swinkit.data.video import FramesInMemory
from swinkit.errors import ConfigError
from swinkit.labels import Labels
from swinkit.tasks.base import InputLike, listed
from swinkit.tasks.classify import Classifier


class VideoClassifier(Classifier):
    """Backbone, mean over time and space, linear layer: (B, C, T, H, W) -> logits (B, classes).

    Several clips and crops of each video, (B, V, C, T, H, W), give the logarithm of their mean probability. A
    picture (B, C, H, W) is a clip of one frame.
    """

    name: ClassVar[str] = "video"
    medium: ClassVar[Medium] = CLIPS
    decays_biases: ClassVar[bool] = True

    def __init__(
        self, config: SwinConfig, labels: Labels, preprocessing: Preprocessing, **settings: Any
    ) -> None:
        super().__init__(config, labels, preprocessing, **settings)
        if preprocessing.clip is None:
            raise ConfigError("A video model needs preprocessing.clip: which frames make its input.")
        self.clips = 4 if preprocessing.clip.sampling == "dense" else 1  # as published

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised clips."""
        if x.ndim == 4:
            x = x.unsqueeze(2)
        return super().forward(x)

    def embed(self, images: Tensor | InputLike | Iterable[InputLike]) -> Tensor:
        """Pooled vectors (B, D), of several views their mean: as `Classifier.embed`."""
        if isinstance(images, Tensor) and images.ndim == 4:
            images = images.unsqueeze(2)
        return super().embed(images)

    def preprocess(self, images: Sequence[InputLike]) -> Batch:
        """Files, folders of frames or arrays (T, H, W, 3) uint8 to one batch, `clips` of each video.

        One that cannot be read raises ClipError.
        """
        dataset = self.dataset((), clips=self.clips)
        assert isinstance(dataset, ClipDataset)
        items = []
        for source in listed(images):
            if isinstance(source, np.ndarray):
                with FramesInMemory(source) as footage:
                    items.append(Item(dataset.views(footage, footage.ticks), None, footage.size, ""))
            elif isinstance(source, str | Path):
                items.append(Item(*_with_label(dataset.read(0, Path(source))), str(source)))
            else:
                raise ConfigError(
                    f"A {type(source).__name__} is no video: give files, folders of frames, or arrays "
                    "(T, H, W, 3)."
                )
        return dataset.collate(items)

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

        Else `clips` are spread over each video, and of each are cut `crops`: 1, or 3 along the long side.
        """
        if crops not in (1, 3):
            raise ConfigError(f"crops={crops}: of a video take 1 or 3.")
        pre, multi = self.preprocessing, len(self.labels) if self.multi_label or several else None
        if augmentation is None:
            transform = evaluation_transform(pre, crops)
            return ClipDataset(samples, pre, transform, number=clips, multi=multi)
        transform = training_transform(pre, augmentation)
        return ClipDataset(samples, pre, transform, number=None, at_least=2 * pre.size, multi=multi)


def _with_label(read: tuple[Tensor, tuple[int, int]]) -> tuple[Tensor, None, tuple[int, int]]:
    return read[0], None, read[1]
