"""One example ready for the network, and a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from swinkit.features import Size


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
