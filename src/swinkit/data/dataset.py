"""Data set, batch and loader: samples read in parallel, in a seeded order, unreadable files left out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from swinkit.config.preprocessing import Preprocessing
from swinkit.data.batch import Batch, Item, Objects
from swinkit.data.io.images import Picture, read_channels
from swinkit.data.io.in_memory import is_in_memory, memory_picture
from swinkit.data.io.multichannel import Planes
from swinkit.data.io.parallel import in_threads
from swinkit.data.io.value_range import ValueRule
from swinkit.data.sampler import Draw
from swinkit.errors import ConfigError, InputError
from swinkit.features import PADDED, Size


class SampleDataset(Dataset[Item | InputError], ABC):
    """Samples, or bare paths for prediction, read and transformed one by one.

    An unreadable file gives its InputError as the item, so that one bad file never ends a run; `collate`
    turns it into a message. `room` may be set to the bytes of decoded samples that are kept for the next
    epoch, in each process that reads; `bucket` to the pixels in whole steps of which sides are padded, where
    a batch has room for the largest of its pictures.
    """

    room = 0
    bucket = PADDED

    def __init__(self, samples: Sequence[Any], preprocessing: Preprocessing) -> None:
        self.samples, self.preprocessing = samples, preprocessing
        self.rule = ValueRule.of(preprocessing)
        self._clipped = 0  # since the last item

    def read_picture(self, source: Any, *, at_least: int | None = None) -> tuple[Picture, Size]:
        """An image as the model takes it, and its original (height, width).

        Raises ImageError as `read_image`, ConfigError for what is neither a file nor an image in memory.
        """
        channels = self.preprocessing.channels
        if is_in_memory(source):
            picture, size = memory_picture(source, channels, self.rule)
        elif not isinstance(source, str | Path):
            raise ConfigError(
                f"A {type(source).__name__} is no picture: give files, PIL images, arrays (H, W, C) or uint8 "
                "tensors (C, H, W)."
            )
        else:
            picture, size = read_channels(source, channels, at_least=at_least, rule=self.rule)
        self.count_clipped(picture)
        return picture, size

    def count_clipped(self, picture: Picture) -> None:
        """Count the values outside of the value range for the next item."""
        if isinstance(picture, Planes):
            self._clipped += picture.clipped

    @abstractmethod
    def item(self, place: int) -> Item:
        """The transformed sample; InputError for one that cannot be read."""

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: int | Draw) -> Item | InputError:
        if not isinstance(key, Draw):
            return self._item(key)
        # A seed for each item makes augmentation the same for any number of workers. The state is put back
        # because without workers this is the generator from which the model draws its dropout.
        state = torch.get_rng_state()
        torch.default_generator.manual_seed(key.seed)
        try:
            return self._item(key.place)
        finally:
            torch.set_rng_state(state)

    def _item(self, place: int) -> Item | InputError:
        self._clipped = 0
        try:
            return self.counted(self.item(place))
        except InputError as error:
            return error

    def counted(self, item: Item) -> Item:
        """The item with the values that were clipped since the last one."""
        clipped, self._clipped = self._clipped, 0
        return item._replace(clipped=clipped)

    def collate(self, items: Sequence[Item | InputError]) -> Batch:
        """Stack the readable items; with none of them, `images` is (0, C, size, size)."""
        read = [item for item in items if isinstance(item, Item)]
        others = list(zip(*(item.others for item in read), strict=True))
        views: list[Sequence[Tensor]] = [[item.image for item in read], *others]
        return Batch(
            images=self.stack(views[0]),
            targets=self.targets(read),
            sizes=tuple(item.size for item in read),
            paths=tuple(item.path for item in read),
            unreadable=tuple(str(item) for item in items if isinstance(item, InputError)),
            others=tuple(self.stack(view) for view in others),
            valid=tuple(tuple((x.shape[-2], x.shape[-1]) for x in view) for view in views),
            records=tuple(item.record for item in read if item.record is not None),
            clipped=(sum(item.clipped for item in read), sum(item.clipped > 0 for item in read)),
        )

    def stack(self, images: Sequence[Tensor]) -> Tensor:
        """Samples side by side."""
        return torch.stack(list(images)) if images else torch.empty(0, *self.preprocessing.shape)

    @abstractmethod
    def targets(self, items: Sequence[Item]) -> Tensor | tuple[Objects, ...] | None:
        """What is to be answered; None for bare paths."""


def check_headers(samples: Sequence[Any], check: Callable[[Any], None]) -> tuple[list[int], list[str]]:
    """Places of the samples that can be read by their headers, as `check` says; a message for each other."""
    readable: list[int] = []
    messages: list[str] = []
    for place, message in enumerate(in_threads(partial(_header_error, check), samples)):
        if message is None:
            readable.append(place)
        else:
            messages.append(message)
    return readable, messages


def _header_error(check: Callable[[Any], None], sample: Any) -> str | None:
    try:
        check(sample)
    except InputError as error:
        return str(error)
    return None
