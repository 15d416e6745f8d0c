"""Pictures with objects, or without, as samples of detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.config.preprocessing import Preprocessing
from swinkit.data.batch import Item, Objects
from swinkit.data.detection.samples import Annotated, ObjectSamples, check_size, known_together
from swinkit.data.detection.transforms import ObjectTransform, Scene
from swinkit.data.io.images import Picture
from swinkit.data.resized_dataset import WholeDataset
from swinkit.errors import ImageError
from swinkit.features import Size, padded_size


class ObjectDataset(WholeDataset):
    """Pictures with objects, or bare paths: varied by `transform` for training, else whole ones.

    They keep their shape; a batch has room for the largest of them, zeros to the right and below.
    """

    def __init__(
        self,
        samples: ObjectSamples | Sequence[Path],
        preprocessing: Preprocessing,
        transform: ObjectTransform | None = None,
        *,
        scales: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__(samples, preprocessing, scales=scales)
        self.transform = transform

    def item(self, place: int) -> Item:
        """As `SampleDataset`; ImageError too for a picture of another size than its boxes are for."""
        sample = self.samples[place]
        if not isinstance(sample, Annotated):
            return self.picture(Path(sample))
        picture, size = self._read(sample)
        if self.transform is None:
            return self.whole(picture, size, str(sample.image), record=sample._replace(size=size))
        drawn = self.transform.draw(len(self.samples))
        other = None if drawn is None else self._scene(self.samples[drawn])
        others = [self._scene(self.samples[one]) for one in self.transform.draw_others(len(self.samples))]
        beside = [one for one in others if one is not None]
        if len(beside) < len(others):  # one cannot be read
            beside = []
        image, objects = self.transform(Scene(picture, sample), other, beside)
        absent, partial = known_together([sample, *(one.sample for one in (other, *beside) if one)])
        if absent is not None or partial:
            told = [None if own is None else torch.tensor(own, dtype=torch.long) for own in (absent, partial)]
            objects = replace(objects, absent=told[0], partial=told[1])
        return Item(image, objects, size, str(sample.image))

    def _scene(self, sample: Annotated) -> Scene | None:
        """A second picture to take objects from; None for one that cannot be read."""
        try:
            return Scene(self._read(sample)[0], sample)
        except ImageError:
            return None

    def _read(self, sample: Annotated) -> tuple[Picture, Size]:
        picture, size = self.read_picture(sample.image)
        check_size(sample, size)
        return picture, size

    def stack(self, images: Sequence[Tensor]) -> Tensor:
        """Side by side, with room for the largest."""
        if not images:
            return super().stack(images)
        size = self._room([(image.shape[1], image.shape[2]) for image in images])
        pre = self.preprocessing
        ground = torch.zeros(pre.channels, 1, 1) if pre.square is None else normalised_grey(pre)
        pages = ground.expand(len(images), -1, *size).clone()
        for page, image in zip(pages, images, strict=True):
            page[:, : image.shape[1], : image.shape[2]] = image
        return pages

    def _room(self, sizes: Sequence[Size]) -> Size:
        """(height, width) of a batch of such pictures; a model of squares takes its own, or larger ones."""
        if self.preprocessing.square is None:
            heights, widths = zip(*sizes, strict=True)
            return padded_size((max(heights), max(widths)), self.bucket)
        side = max(self.preprocessing.size, *(max(size) for size in sizes))
        return side, side

    def targets(self, items: Sequence[Item]) -> tuple[Objects, ...] | None:
        """The objects of each picture, their masks of the batch's size."""
        found = [item.label for item in items if isinstance(item.label, Objects)]
        if len(found) < len(items) or not items:
            return None
        size = self._room([(item.image.shape[1], item.image.shape[2]) for item in items])
        return tuple(
            own if own.masks is None else replace(own, masks=padded(own.masks, size)) for own in found
        )


def padded(x: Tensor, size: Size) -> Tensor:
    """(…, h, w) with zeros to the right and below, up to a size."""
    return F.pad(x, (0, size[1] - x.shape[-1], 0, size[0] - x.shape[-2]))


def normalised_grey(pre: Preprocessing) -> Tensor:
    """Half of white (C, 1, 1) as a model sees it, with which OWLv2's squares are filled."""
    mean, std = torch.tensor(pre.mean), torch.tensor(pre.std)
    return ((0.5 - mean) / std)[:, None, None]
