"""Pictures, with masks or without, as samples of dense prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from swinkit.config.preprocessing import Preprocessing
from swinkit.data.batch import Item
from swinkit.data.resized_dataset import WholeDataset
from swinkit.data.segmentation.label_map import LabelMap
from swinkit.data.segmentation.mask_names import Pair
from swinkit.data.segmentation.open import Pairs
from swinkit.data.segmentation.transforms import PairTransform
from swinkit.errors import ConfigError


class PairDataset(WholeDataset):
    """Pictures with masks, or bare paths: with `transform` crops for training, else whole ones.

    Whole pictures keep their shape, and their masks their size.
    """

    def __init__(
        self,
        samples: Pairs | Sequence[Path],
        preprocessing: Preprocessing,
        transform: PairTransform | None = None,
        *,
        scales: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__(samples, preprocessing, scales=scales)
        self.label_map: LabelMap | None = samples.label_map if isinstance(samples, Pairs) else None
        self.transform = transform

    def item(self, place: int) -> Item:
        """As `SampleDataset`; also for a mask that cannot be read, is of another size, or has no such map."""
        sample = self.samples[place]
        if not isinstance(sample, Pair):
            return self.picture(Path(sample))
        picture, size = self.read_picture(sample.image)
        assert self.label_map is not None
        mask = self.label_map.read(sample.mask, size)
        if self.transform is None:
            return self.whole(picture, size, str(sample.image), torch.from_numpy(mask).long())
        image, target = self.transform(picture, mask)
        return Item(image, target, size, str(sample.image))

    def stack(self, images: Sequence[Tensor]) -> Tensor:
        """Side by side; ConfigError where their sizes differ."""
        if len({image.shape for image in images}) > 1:
            raise ConfigError("Pictures of different sizes make no batch: give them one by one.")
        return super().stack(images)

    def targets(self, items: Sequence[Item]) -> Tensor | None:
        """Class ids (B, H, W)."""
        labels = [item.label for item in items if isinstance(item.label, Tensor)]
        return torch.stack(labels) if labels else None
