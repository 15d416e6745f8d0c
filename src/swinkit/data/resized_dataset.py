"""Pictures that keep their shape, as samples of tasks that answer every pixel or find objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from swinkit.config.preprocessing import Preprocessing
from swinkit.data.batch import Batch, Item
from swinkit.data.dataset import SampleDataset
from swinkit.data.image_ops import whole_picture
from swinkit.data.io.images import Picture
from swinkit.data.io.in_memory import is_in_memory, split_images
from swinkit.features import Size


class WholeDataset(SampleDataset):
    """Samples whose pictures are resized whole; with several `scales` at all but the first in `others`."""

    def __init__(
        self, samples: Sequence[Any], preprocessing: Preprocessing, *, scales: Sequence[float] = (1.0,)
    ) -> None:
        super().__init__(samples, preprocessing)
        self.scales = scales

    def picture(self, source: Any) -> Item:
        """One picture alone; ImageError for one that cannot be read."""
        path = "" if is_in_memory(source) else str(source)
        return self.whole(*self.read_picture(source), path)

    def pictures(self, sources: Sequence[Any]) -> Batch:
        """Files or images in memory as a batch; ConfigError for anything else."""
        return self.collate([self.counted(self.picture(source)) for source in split_images(sources)])

    def whole(
        self, picture: Picture, size: Size, path: str, label: Tensor | None = None, record: Any = None
    ) -> Item:
        """A picture at all its sizes, with what is known of it."""
        image, *others = (whole_picture(picture, self.preprocessing, scale) for scale in self.scales)
        return Item(image, label, size, path, tuple(others), record)
