"""From which score on each class counts, by what a few labelled pictures show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from swinkit.data.detection.samples import NO_CLASS, Annotated
from swinkit.metrics.detect import Answer

SAME = 0.5  # overlap (IoU) from which a box is an object
Array = NDArray[np.float64]


def best_thresholds(answers: Sequence[Answer], classes: int) -> list[float | None]:
    """For each class the score at which F1 is highest, half way to the next lower one; None without objects.

    Each object counts for the surest box of its class that overlaps it by half and is no other's.
    """
    scores: list[list[Array]] = [[] for _ in range(classes)]
    right: list[list[NDArray[np.bool_]]] = [[] for _ in range(classes)]
    wanted = np.zeros(classes, int)
    for answer in answers:
        record, found = answer.record, answer.found
        real = record.labels[~record.crowd]
        wanted += np.bincount(real, minlength=classes)
        for label in np.union1d(real, found.labels).tolist():
            own = found.chosen(found.labels == label)
            boxes = own.boxes.astype(np.float64)
            correct = hits(boxes, record, label)
            counted = correct | ~in_groups(boxes, record, label)
            scores[label].append(own.scores.astype(np.float64)[counted])
            right[label].append(correct[counted])
    return [
        _best(np.concatenate(scores[label]), np.concatenate(right[label]), int(wanted[label]))
        if wanted[label] and scores[label]
        else None
        for label in range(classes)
    ]


def hits(boxes: Array, record: Annotated, label: int) -> NDArray[np.bool_]:
    """Which of boxes (N, 4), the surest first, are objects of a class, each of these once."""
    truth = record.boxes[(record.labels == label) & ~record.crowd]
    free = np.ones(len(truth), bool)
    found = np.zeros(len(boxes), bool)
    for place, box in enumerate(boxes):
        overlap = np.where(free, _overlap(box, truth), 0.0)
        if len(truth) and overlap.max() >= SAME:
            free[overlap.argmax()] = False
            found[place] = True
    return found


def in_groups(boxes: Array, record: Annotated, label: int) -> NDArray[np.bool_]:
    """Which of boxes (N, 4) lie by half in a group of a class, or in a region that is ignored for all."""
    groups = record.boxes[record.crowd & np.isin(record.labels, (label, NO_CLASS))]
    low = np.maximum(boxes[:, None, :2], groups[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], groups[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    inside: NDArray[np.bool_] = (shared >= SAME * areas[:, None]).any(1)
    return inside


def _overlap(box: Array, others: Array) -> Array:
    low, high = np.maximum(others[:, :2], box[:2]), np.minimum(others[:, 2:], box[2:])
    shared = (high - low).clip(0).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1) + np.prod(box[2:] - box[:2])
    overlap: Array = shared / np.maximum(areas - shared, 1e-12)
    return overlap


def _best(scores: Array, right: NDArray[np.bool_], wanted: int) -> float | None:
    order = np.argsort(-scores, kind="stable")
    scores, found = scores[order], np.cumsum(right[order])
    if not len(scores) or not found[-1]:
        return None
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # equal scores count together
    f1 = 2 * found[ends] / (ends + 1 + wanted)
    best = int(f1.argmax())
    above = scores[ends[best]]
    below = scores[ends[best + 1]] if best + 1 < len(ends) else 0.0
    return float((above + below) / 2)
