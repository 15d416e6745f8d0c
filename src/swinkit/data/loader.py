"""Data loaders: in training order and resumable, or in the order of the samples."""

from __future__ import annotations

import random
import signal

import numpy as np
import torch
from torch.utils.data import DataLoader

from swinkit.data.batch import Item
from swinkit.data.dataset import SampleDataset
from swinkit.data.sampler import SeededBatches
from swinkit.errors import InputError, RunError


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


def _seed_worker(worker: int) -> None:
    """Give numpy and Python the seed that torch gave this worker; leave signals to the parent."""
    # they reach the whole process group; the parent ends its workers itself
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)
