"""What a training run would do, without doing it: task, splits, groups, batches, schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from swinkit.config.train import TrainConfig
from swinkit.tasks.base import Task
from swinkit.training.optimizer import parameter_groups, peak_lr, warmup_schedule


@dataclass(frozen=True)
class Group:
    """One optimiser group; `lr` is its peak."""

    name: str
    tensors: int
    parameters: int
    lr: float
    weight_decay: float


@dataclass(frozen=True)
class Batches:
    """How many images make a step, and how many steps a run; `batch_size` counts those of one process.

    A last batch that is not full is left out of an epoch of two batches or more.
    """

    images: int
    batch_size: int
    accumulate: int
    epochs: int
    world: int = 1

    @property
    def whole(self) -> int:
        """Images of a batch, of all processes together."""
        return self.batch_size * self.world

    @property
    def step(self) -> int:
        """Images whose gradients make one step."""
        return self.whole * self.accumulate

    @property
    def drop_last(self) -> bool:
        """Whether a last batch that is not full is left out."""
        return self.images >= 2 * self.whole

    @property
    def an_epoch(self) -> int:
        """Batches an epoch."""
        whole = self.images / self.whole
        return int(whole) if self.drop_last else math.ceil(whole)

    @property
    def steps(self) -> int:
        """Steps of the whole run; what is left of an epoch makes a step too."""
        return self.steps_an_epoch * self.epochs

    @property
    def steps_an_epoch(self) -> int:
        """Steps an epoch."""
        return math.ceil(self.an_epoch / self.accumulate)

    def lasting(self, iterations: int | None) -> Batches:
        """The same over so many steps, rounded to whole epochs; None: as it is."""
        if iterations is None:
            return self
        return replace(self, epochs=max(1, round(iterations / self.steps_an_epoch)))


@dataclass(frozen=True)
class Outline:
    """A run in numbers: `rates` is the learning rate of the head at each step.

    `splits` counts the inputs of each split that can be read; `notes` are remarks on data and weights.
    """

    task: str
    model: str
    head: str
    classes: tuple[str, ...]
    device: str
    precision: str
    splits: dict[str, int]
    notes: tuple[str, ...]
    groups: tuple[Group, ...]
    frozen: int
    batches: Batches
    warmup: int
    rates: tuple[float, ...]


def outline(
    task: Task,
    batches: Batches,
    config: TrainConfig,
    *,
    device: str,
    precision: str,
    splits: Mapping[str, int],
    notes: Sequence[str],
) -> Outline:
    """The outline of training a task that has been set up by `prepare`."""
    peak = peak_lr(config, batches.step, from_scratch=task.load_report is None)
    groups = parameter_groups(
        task,
        config.weight_decay,
        layer_decay=config.layer_decay,
        backbone_lr=config.backbone_lr,
        text_lr=config.text_lr,
    )
    warmup, factor = warmup_schedule(config, steps=batches.steps, epochs=batches.epochs)
    return Outline(
        task=task.name,
        model=config.model,
        head=task.head_name,
        classes=task.classes,
        device=device,
        precision=precision,
        splits=dict(splits),
        notes=tuple(notes),
        groups=tuple(
            Group(
                group["name"],
                len(group["params"]),
                sum(parameter.numel() for parameter in group["params"]),
                peak * group["scale"],
                group["weight_decay"],
            )
            for group in groups
        ),
        frozen=sum(p.numel() for p in task.parameters() if not p.requires_grad),
        batches=batches,
        warmup=warmup,
        rates=tuple(peak * factor(step) for step in range(batches.steps)),
    )
