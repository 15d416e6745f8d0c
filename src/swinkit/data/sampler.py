"""In which order and which batches a data set is read: all from a seed and the number of the epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

NEAR = 16  # tar files that are read at once


class Draw(NamedTuple):
    """What the sampler hands to the data set: the place of the sample, and the seed of its augmentation."""

    place: int
    seed: int


@dataclass(frozen=True)
class Share:
    """The part of each batch that one of several processes takes: the `rank`-th of `world` equal ones."""

    rank: int = 0
    world: int = 1


class SeededBatches(Sampler[list[Draw]]):
    """The batches of an epoch and the seed of each of their items, all from (seed, epoch) alone.

    `batch_size` counts the items of one process; a `share` takes its part of each batch of all of them, so
    that for one size of the whole batch the steps are the same on any number of processes. The part of
    a last batch that is not full may be empty.

    The epoch counts up by itself; `set_epoch`, which Lightning calls, continues a run at any epoch.
    With `repeats` an image stands so often in a row, each time varied otherwise, and an epoch holds
    accordingly fewer of them (repeated augmentation, Hoffer et al. 2020). `begin`, an epoch and a
    count, leaves out so many batches of that epoch: those before a run was broken off. With `chances` items
    are drawn with these, some often and some not at all. `archives` are the lengths of the runs of items that
    lie in one tar file: these are shuffled sixteen at a time, so that a disk or a network reads few at once.
    `groups` says of each item in which of two groups it is: but for what is left of each, a batch has items
    of one.
    """

    def __init__(  # noqa: PLR0913, one for each thing that decides on the order
        self,
        length: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        drop_last: bool = False,
        repeats: int = 1,
        share: Share = Share(),
        chances: NDArray[np.float64] | None = None,
        archives: Sequence[int] = (),
        groups: NDArray[np.bool_] | None = None,
    ) -> None:
        self.length = length
        self.whole = batch_size * share.world
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self.repeats, self.share = repeats, share
        self.chances, self.archives, self.groups = chances, archives, groups
        self.epoch = 0
        self.begin = (0, 0)

    def __len__(self) -> int:
        return self.length // self.whole if self.drop_last else math.ceil(self.length / self.whole)

    def __iter__(self) -> Iterator[list[Draw]]:
        mixed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0])
        generator = torch.Generator().manual_seed(mixed >> 1)
        first = self.begin[1] if self.begin[0] == self.epoch else 0
        self.epoch += 1
        seeds = torch.randint(2**62, (self.length,), generator=generator)
        order = self._grouped(self._order(generator), generator)
        for start in range(first * self.whole, len(self) * self.whole, self.whole):
            mine = range(start, min(start + self.whole, self.length))[self.share.rank :: self.share.world]
            yield [Draw(int(order[place // self.repeats]), int(seeds[place])) for place in mine]

    def _order(self, generator: torch.Generator) -> Tensor:
        if not self.shuffle:
            return torch.arange(self.length)
        if self.chances is not None:
            chances = torch.from_numpy(self.chances)
            return torch.multinomial(chances, self.length, replacement=True, generator=generator)
        if len(self.archives) <= NEAR:
            return torch.randperm(self.length, generator=generator)
        runs = torch.arange(self.length).split(list(self.archives))
        drawn = torch.randperm(len(runs), generator=generator).tolist()
        parts = [torch.cat([runs[i] for i in drawn[at : at + NEAR]]) for at in range(0, len(drawn), NEAR)]
        return torch.cat([part[torch.randperm(len(part), generator=generator)] for part in parts])

    def _grouped(self, order: Tensor, generator: torch.Generator) -> Tensor:
        """The same items, those of a batch from one group; whole batches in random order, the rest last."""
        if self.groups is None or not self.shuffle:
            return order
        count = max(1, self.whole // self.repeats)  # of a batch that differ
        first = torch.from_numpy(self.groups)[order]
        parts = [part.split(count) for part in (order[first], order[~first])]
        whole = [batch for part in parts for batch in part if len(batch) == count]
        rest = [batch for part in parts for batch in part if len(batch) < count]
        drawn = torch.randperm(len(whole), generator=generator).tolist()
        return torch.cat([*(whole[i] for i in drawn), *rest])

    @property
    def sampler(self) -> SeededBatches:
        """Where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass that of `epoch`, counted from 0."""
        self.epoch = epoch
