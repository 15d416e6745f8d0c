"""Pictures, with masks or without, as samples of dense prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from swinkit.data.batching import Item, SampleDataset
from swinkit.data.layouts import Pair
from swinkit.data.masks import LabelMap
from swinkit.data.pair_transforms import PairTransform, whole_picture
from swinkit.data.pairs import Pairs
from swinkit.data.reading import Picture, opened_picture, read_channels
from swinkit.errors import ConfigError
from swinkit.inputs import Preprocessing


class PairDataset(SampleDataset):
    """Pictures with masks, or bare paths: with `transform` crops for training, else whole ones.

    Whole pictures keep their shape, and their masks their size. With several `scales` the picture at all but
    the first of them is in `others`.
    """

    def __init__(
        self,
        samples: Pairs | Sequence[Path],
        preprocessing: Preprocessing,
        transform: PairTransform | None = None,
        *,
        scales: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__(samples, preprocessing)
        self.label_map: LabelMap | None = samples.label_map if isinstance(samples, Pairs) else None
        self.transform, self.scales = transform, scales

    def item(self, place: int) -> Item:
        """As `SampleDataset`; also for a mask that cannot be read, is of another size, or has no such map."""
        sample = self.samples[place]
        if not isinstance(sample, Pair):
            return self.picture(Path(sample))
        picture, size = read_channels(sample.image, self.preprocessing.channels)
        assert self.label_map is not None
        mask = self.label_map.read(sample.mask, size)
        if self.transform is None:
            return self._whole(picture, torch.from_numpy(mask).long(), size, str(sample.image))
        image, target = self.transform(picture, mask)
        return Item(image, target, size, str(sample.image))

    def picture(self, source: Path | Image.Image) -> Item:
        """One picture without a mask; InputError for one that cannot be read."""
        channels = self.preprocessing.channels
        if not isinstance(source, Image.Image):
            picture, size = read_channels(source, channels)
            return self._whole(picture, None, size, str(source))
        pixels, size = opened_picture(source, channels)
        return self._whole(pixels, None, size, "")

    def _whole(self, picture: Picture, mask: Tensor | None, size: tuple[int, int], path: str) -> Item:
        image, *others = (whole_picture(picture, self.preprocessing, scale) for scale in self.scales)
        return Item(image, mask, size, path, tuple(others))

    def stack(self, images: Sequence[Tensor]) -> Tensor:
        """Side by side; ConfigError where their sizes differ."""
        if len({image.shape for image in images}) > 1:
            raise ConfigError("Pictures of different sizes make no batch: give them one by one.")
        return super().stack(images)

    def targets(self, items: Sequence[Item]) -> Tensor | None:
        """Class ids (B, H, W)."""
        labels = [item.label for item in items if isinstance(item.label, Tensor)]
        return torch.stack(labels) if labels else None
