"""Names for the classes of a model that has numbers alone: as a user gives them, or as data have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

from swinkit.config.predict import PredictConfig
from swinkit.data.classification.samples import ClassData
from swinkit.data.names import labels_named
from swinkit.data.names.reading import read_names
from swinkit.data.open import Data
from swinkit.errors import ConfigError, DataError, some
from swinkit.tasks.base import Task


def with_class_names(task: Task, classes: Sequence[str]) -> Task:
    """The same model with names for its numbered classes; the user's own stays as it is.

    Raises ConfigError if there are more or fewer names than classes, or the classes have other names.
    """
    if not classes:
        return task
    names = read_names(classes)
    if tuple(names) == task.classes:
        return task
    if len(names) != len(task.classes):
        raise ConfigError(
            f"`classes` gives {len(names)} names, and the model has {len(task.classes)} classes: "
            "give one name per class, in the model's order."
        )
    if not task.labels.numbered:
        raise ConfigError(f"The model's classes have names ({some(task.classes)}): leave `classes` out.")
    named = copy(task)
    named.labels = labels_named(names)
    return named


def for_prediction(task: Task, config: PredictConfig) -> tuple[Task, PredictConfig]:
    """A model and options in which `classes` are names, or where the model filters by class, a filter."""
    if not config.classes:
        return task, config
    names = read_names(config.classes)
    if task.filters_classes and (not task.labels.numbered or set(names) <= set(task.classes)):
        return task, config.model_copy(update={"classes": tuple(names)})
    others = config.model_dump(exclude_unset=True, exclude={"classes"})
    return with_class_names(task, names), PredictConfig.checked(others)


def open_for(task: Task, open_with: Callable[[Sequence[str] | None], Data]) -> tuple[Task, Data, list[str]]:
    """Open data with a model's classes; the model, named by the data where it has numbers alone, and notes.

    `open_with` opens the data by classes, or as they are. Raises DataError if the data have other classes.
    """
    try:
        return task, open_with(task.classes), []
    except DataError:
        if not task.labels.numbered:
            raise
    plain = open_with(None)
    # torchvision's and timm's folders number classes in this order
    names = sorted(plain.classes) if isinstance(plain, ClassData) else list(plain.classes)
    if len(names) != len(task.classes):
        raise DataError(
            f"{plain.root} has {len(names)} classes, and the model {len(task.classes)}, which are numbered: "
            "give `classes`, one name per class of the model, in its order."
        )
    order = "sorted" if isinstance(plain, ClassData) else "in the order of their ids"
    note = (
        f"The model's {len(names)} classes are numbered; they are taken for those of the data, {order}: "
        f"{some(names)}. Give `classes` if their order is another."
    )
    return with_class_names(task, names), open_with(names), [note]
