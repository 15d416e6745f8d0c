"""Images with their classes as a dataset."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from swinkit.config.preprocessing import Preprocessing
from swinkit.data.batch import Batch, Item, Objects
from swinkit.data.classification.samples import Sample
from swinkit.data.classification.transforms import ImageTransform
from swinkit.data.dataset import SampleDataset
from swinkit.data.io.images import Picture
from swinkit.data.io.in_memory import is_in_memory, split_images
from swinkit.data.io.multichannel import Planes


class ClassDataset(SampleDataset):
    """Samples with a class; `multi` is the number of classes where a sample may have several."""

    def __init__(
        self, samples: Sequence[Sample | Path], preprocessing: Preprocessing, *, multi: int | None = None
    ) -> None:
        super().__init__(samples, preprocessing)
        self.multi = multi

    @abstractmethod
    def read(self, place: int, path: Path) -> tuple[Tensor, tuple[int, int]]:
        """The transformed sample and its original (height, width); InputError for one that cannot be read."""

    def item(self, place: int) -> Item:
        """As `SampleDataset`."""
        sample = self.samples[place]
        path, label = (sample.path, sample.label) if isinstance(sample, Sample) else (sample, None)
        tensor, size = self.read(place, path)
        return Item(tensor, label, size, str(path))

    def targets(self, items: Sequence[Item]) -> Tensor | None:
        """Numbers of classes (B,), or with several classes an image 1 and 0 for each (B, classes)."""
        if not self.samples or not isinstance(self.samples[0], Sample):
            return None
        if self.multi is None:
            return torch.tensor([item.label for item in items], dtype=torch.int64)
        targets = torch.zeros(len(items), self.multi)
        for row, item in zip(targets, items, strict=True):
            assert not isinstance(item.label, Tensor | Objects)
            own = (item.label,) if isinstance(item.label, int) else item.label or ()
            row[list(own)] = 1
        return targets


class ImageDataset(ClassDataset):
    """Pictures; `at_least` is that of `read_image`: 2 · size is right for training."""

    def __init__(
        self,
        samples: Sequence[Sample | Path],
        preprocessing: Preprocessing,
        transform: ImageTransform,
        *,
        at_least: int | None = None,
        multi: int | None = None,
    ) -> None:
        super().__init__(samples, preprocessing, multi=multi)
        self.transform, self.at_least = transform, at_least
        self._kept: dict[int, tuple[Picture, tuple[int, int]]] = {}

    def read(self, place: int, path: Path) -> tuple[Tensor, tuple[int, int]]:
        """As `ClassDataset`."""
        kept = self._kept.get(place)
        if kept is None:
            picture, size = self._read(place, path)
        else:
            picture, size = kept
            self.count_clipped(picture)
        return self.transform(picture), size

    def pictures(self, sources: Sequence[object]) -> Batch:
        """Files or images in memory as a batch; ConfigError for anything else."""
        items = []
        for source in split_images(sources):
            picture, size = self.read_picture(source)
            path = "" if is_in_memory(source) else str(source)
            items.append(self.counted(Item(self.transform(picture), None, size, path)))
        return self.collate(items)

    def _read(self, place: int, path: Path) -> tuple[Picture, tuple[int, int]]:
        """Read an image, and keep it where there is room."""
        read = self.read_picture(path, at_least=self.at_least)
        picture = read[0]
        depth = 4 if isinstance(picture, Planes) else 1  # bytes a number
        weight = picture.width * picture.height * len(picture.getbands()) * depth
        if weight <= self.room:
            self.room -= weight
            self._kept[place] = read
        return read
