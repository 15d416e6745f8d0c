"""Action recognition: one label a video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from swinkit.config.preprocessing import Preprocessing
from swinkit.core.config import SwinConfig
from swinkit.data.batch import Batch, Item
from swinkit.data.classification.clip_dataset import ClipDataset
from swinkit.data.classification.samples import Sample
from swinkit.data.classification.transforms import ImageTransform
from swinkit.data.dataset import SampleDataset
from swinkit.data.io.media import CLIPS, Medium
from swinkit.data.io.video import FramesInMemory
from swinkit.errors import ConfigError
from swinkit.labels import Labels
from swinkit.tasks.base import InputLike
from swinkit.tasks.classify import Classifier


class VideoClassifier(Classifier):
    """Backbone, mean over time and space, linear layer: (B, C, T, H, W) -> logits (B, classes).

    Several clips and crops of each video, (B, V, C, T, H, W), give the logarithm of their mean probability. A
    picture (B, C, H, W) is a clip of one frame.
    """

    name: ClassVar[str] = "video"
    usual: ClassVar[dict[str, Any]] = {"head_drop": 0.5}
    medium: ClassVar[Medium] = CLIPS
    decays_biases: ClassVar[bool] = True
    most_crops = ("video", 3)  # along the long side

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
        if isinstance(images, Tensor) and images.is_floating_point() and images.ndim == 4:
            images = images.unsqueeze(2)
        return super().embed(images)

    def preprocess(self, images: Sequence[InputLike]) -> Batch:
        """Files, folders of frames or clips in memory to one batch, `clips` of each video.

        One that cannot be read raises ClipError, or ImageError for a frame in memory.
        """
        dataset = self.dataset((), clips=self.clips)
        assert isinstance(dataset, ClipDataset)
        items = []
        for source in self.split(images):
            if isinstance(source, np.ndarray | Tensor | list | tuple):
                with FramesInMemory(source, dataset.rule) as footage:
                    item = Item(dataset.views(footage, footage.ticks), None, footage.size, "")
            elif isinstance(source, str | Path):
                views, size = dataset.read(0, Path(source))
                item = Item(views, None, size, str(source))
            else:
                raise ConfigError(
                    f"A {type(source).__name__} is no video: give files, folders of frames, arrays "
                    "(T, H, W, 3), or lists of frames."
                )
            items.append(dataset.counted(item))
        return dataset.collate(items)

    def _dataset(
        self,
        samples: Sequence[Sample | Path],
        transform: ImageTransform,
        *,
        clips: int | None,
        at_least: int | None,
        multi: int | None,
    ) -> SampleDataset:
        return ClipDataset(
            samples, self.preprocessing, transform, number=clips, at_least=at_least, multi=multi
        )
