"""Data set, batch and loader: samples read in parallel, in a seeded order, unreadable files left out."""

from __future__ import annotations

import random
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from swinkit.data.in_memory import is_in_memory, memory_picture, split_images
from swinkit.data.order import Draw, SeededBatches
from swinkit.data.planes import Planes
from swinkit.data.reading import Picture, read_channels
from swinkit.data.samples import Sample
from swinkit.data.threads import in_threads
from swinkit.data.transforms import ImageTransform
from swinkit.data.values import ValueRule
from swinkit.errors import ConfigError, InputError, RunError
from swinkit.features import PADDED, Size
from swinkit.inputs import Preprocessing


@dataclass(frozen=True)
class Objects:
    """What is to be found in a picture: boxes (N, 4) in its pixels, labels (N,), masks (N, H, W) or None.

    `absent` and `partial` (some classes,) are as in `Annotated`, None where all is known. `ignored` (M, 4)
    are boxes of regions that teach nothing, None where there are none.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor | None
    absent: Tensor | None = None
    partial: Tensor | None = None
    ignored: Tensor | None = None

    def known(self, classes: int) -> Tensor:
        """Of which of so many classes it is known what is there: (classes,)."""
        found = torch.full((classes,), self.absent is None, device=self.labels.device)
        found[self.labels] = True
        if self.absent is not None:
            found[self.absent] = True
        if self.partial is not None:
            found[self.partial] = False
        return found

    def each(self, change: Callable[[Tensor], Tensor]) -> Objects:
        """With all tensors changed alike."""
        optional = (self.masks, self.absent, self.partial, self.ignored)
        others = (None if own is None else change(own) for own in optional)
        return Objects(change(self.boxes), change(self.labels), *others)


@dataclass(frozen=True)
class Batch:
    """Images or clips as a model takes them, with what is needed to name and judge the answers.

    `images` (B, C, H, W), clips (B, C, T, H, W), with several views of each (B, V, …); `targets` (B,) int64,
    (B, classes) of 1 and 0 where several may hold, (B, H, W) of masks, the objects of each, or None; `sizes`
    the original (height, width) in pixels, `paths` the files. `unreadable` holds one sentence for each file
    that was dropped from this batch. `others` are the images at other sizes, where they are to be answered
    so too. `valid` has for `images`, and then for each of `others`, the (height, width) of each picture: the
    rest is padding. `records` are what the data say of each, where a metric wants all of it. `clipped` counts
    the stored values outside of the value range, and the images that hold them.
    """

    images: Tensor
    targets: Tensor | tuple[Objects, ...] | None
    sizes: tuple[Size, ...]
    paths: tuple[str, ...]
    unreadable: tuple[str, ...] = ()
    others: tuple[Tensor, ...] = ()
    valid: tuple[tuple[Size, ...], ...] = ()
    records: tuple[Any, ...] = ()
    clipped: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return len(self.images)

    def clipped_counts(self) -> dict[str, int]:
        """Stored values outside of the value range, and the images that hold them, to be summed."""
        return {"values": self.clipped[0], "images": self.clipped[1]}

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """Give this batch with its tensors on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Give this batch in page-locked memory; `DataLoader` calls it."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        targets = self.targets
        if isinstance(targets, Tensor):
            targets = change(targets)
        elif targets is not None:
            targets = tuple(objects.each(change) for objects in targets)
        return replace(self, images=change(self.images), targets=targets)


class Item(NamedTuple):
    """One image or clip on its way into a batch; `size` is its original (height, width) in pixels.

    The label of an image with a mask is the mask (H, W), of one with objects these; `record` is what the data
    say of it, where a metric wants all of it.
    """

    image: Tensor
    label: int | tuple[int, ...] | Tensor | Objects | None
    size: Size
    path: str
    others: tuple[Tensor, ...] = ()
    record: Any = None
    clipped: int = 0  # stored values outside of the value range


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
        """The item with the values that were clipped since the last one added to its own."""
        clipped, self._clipped = self._clipped, 0
        return item._replace(clipped=item.clipped + clipped)

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


class ResumableLoader(DataLoader[Item | InputError]):
    """A loader of `Batch` that goes on within an epoch, at the batch after the last that was used.

    `position` is that place, (epoch, batches): whoever trains keeps it, for batches are read ahead. Lightning
    saves `state_dict`. `load_state_dict` must be called before the first `iter`, for loader processes then
    read ahead.
    """

    position = (0, 0)

    @property
    def order(self) -> SeededBatches:
        """What decides on the batches."""
        assert isinstance(self.batch_sampler, SeededBatches)
        return self.batch_sampler

    def close(self) -> None:
        """End its processes. They ignore signals, so that at its end Python would wait for them for ever."""
        iterator, self._iterator = self._iterator, None
        if self.num_workers and iterator is not None:
            iterator._shutdown_workers()  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, int]:
        """The place, for a checkpoint, and how many items a batch of all processes has."""
        return {"epoch": self.position[0], "batches": self.position[1], "whole": self.order.whole}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on there; RunError within an epoch whose batches were larger or smaller."""
        if state["batches"] and state["whole"] != self.order.whole:
            raise RunError(
                f"The run stopped within an epoch of {state['whole']} images a batch, and would go on with "
                f"{self.order.whole}: continue it with as many processes as before."
            )
        self.position = self.order.begin = state["epoch"], state["batches"]
        self.order.set_epoch(state["epoch"])


def make_loader(dataset: SampleDataset, order: SeededBatches, *, workers: int) -> ResumableLoader:
    """Give a loader of `Batch`: for one order the same pictures, varied alike, however many the workers."""
    return ResumableLoader(
        dataset,
        batch_sampler=order,
        num_workers=workers,
        collate_fn=dataset.collate,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_seed_worker,
        generator=torch.Generator().manual_seed(order.seed),
        persistent_workers=workers > 0,
    )


def in_order(dataset: SampleDataset, *, batch_size: int, workers: int) -> ResumableLoader:
    """Give a loader of the whole data set, each item once, as it stands."""
    order = SeededBatches(len(dataset), batch_size, shuffle=False, seed=0)
    return make_loader(dataset, order, workers=workers)


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


def _seed_worker(worker: int) -> None:
    """Give numpy and Python the seed that torch gave this worker; leave signals to the parent."""
    # they reach the whole process group; the parent ends its workers itself
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)
