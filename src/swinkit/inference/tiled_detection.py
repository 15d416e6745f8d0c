"""Objects of a picture of any size: tile by tile at its own resolution, and as a whole; parts are joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from swinkit.config.predict import PredictConfig
from swinkit.data.batch import Item
from swinkit.data.detection.dataset import ObjectDataset
from swinkit.data.image_ops import normalised
from swinkit.data.io.images import Picture
from swinkit.data.io.large_images import Regions, open_regions
from swinkit.data.io.value_range import ValueRule
from swinkit.inference.output import Names, write_objects
from swinkit.inference.tiled_segmentation import as_seen, for_people, holds_floats, sampled
from swinkit.progress import Advance, note_clipped
from swinkit.results import Detections
from swinkit.rle import mask_of, rle_of_part, union
from swinkit.tasks.detect import Detector
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from swinkit.tasks.sliding_window import WINDOW_STEP, windows

SAME = 0.5  # share of the smaller of two boxes of a class from which both are one object (SAHI's)


def detect_tiles(
    task: Detector | OpenVocabulary,
    path: Path,
    config: PredictConfig,
    names: Names | None,
    *,
    advance: Advance = lambda *, completed, total: None,
) -> Detections:
    """All objects of a picture, those too that are larger than a tile; parts of a TIFF are read as wanted.

    As SAHI does it (Akyon et al. 2022): tiles that overlap, and the whole picture at the model's usual size;
    boxes of a class from different ones that share more than half of the smaller become one, with all their
    pixels.
    ImageError for a picture that cannot be read.
    """
    pre = task.preprocessing
    with open_regions(path, pre.channels, ValueRule.of(pre)) as regions:
        small, size = sampled(regions), regions.size
        shown = as_seen(small, floats=holds_floats(regions))
        found = [_whole(task, shown, size, config), *_tiles(task, regions, config, advance)]
        clipped = regions.clipped()
    note_clipped(clipped, 1)
    result = replace(merged(found), path=str(path))
    result = result.chosen(np.arange(len(result))[: config.detections])
    if names is not None:
        write_objects(result, names, for_people(small), config.score)
    return result


@torch.inference_mode()
def _whole(
    task: Detector | OpenVocabulary, shown: Picture, size: tuple[int, int], config: PredictConfig
) -> Detections:
    """What is found in the whole picture, of which a smaller one is looked at."""
    dataset = ObjectDataset((), task.preprocessing)
    item = dataset.whole(shown, (shown.height, shown.width), "")
    raw = task.respond(dataset.collate([item]), flip=config.flip)
    (result,) = task.postprocess(raw, [size])
    assert isinstance(result, Detections)
    return result


def _tiles(
    task: Detector | OpenVocabulary, regions: Regions, config: PredictConfig, advance: Advance
) -> Iterator[Detections]:
    """What is found in each tile, in pixels of the picture."""
    assert config.tile is not None
    step = config.stride or max(1, round(config.tile * WINDOW_STEP))
    places = list(windows(regions.size, (config.tile,) * 2, (step,) * 2))
    pre, dataset = task.preprocessing, ObjectDataset((), task.preprocessing)
    for number, (rows, columns) in enumerate(places, start=1):
        image = normalised(regions.read(rows, columns), pre.mean, pre.std)
        batch = dataset.collate([Item(image, None, (image.shape[1], image.shape[2]), "")])
        (result,) = task.answer(batch, flip=config.flip)
        assert isinstance(result, Detections)
        yield placed(result, (rows.start, columns.start), regions.size)
        advance(completed=number, total=len(places))


def placed(found: Detections, corner: tuple[int, int], size: tuple[int, int]) -> Detections:
    """What was found in a part that begins at (row, column) of a picture of (height, width), for that.

    Boxes that lose their area by rounding so far from the origin are dropped.
    """
    rles = None
    if found.rles is not None:
        rles = tuple(rle_of_part(mask_of(rle), corner, size) for rle in found.rles)
    boxes = found.boxes + np.array([corner[1], corner[0]] * 2, np.float32)
    return replace(found, size=size, boxes=boxes, rles=rles).with_area()


def merged(found: Sequence[Detections]) -> Detections:
    """Several views of one picture as one answer, the surest first; parts of an object are joined.

    What the same view tells apart from the surest of them stays apart. Boxes without area are dropped.
    """
    found = [own.with_area() for own in found]
    every = joined(found)
    views = np.repeat(np.arange(len(found)), [len(own) for own in found])
    order = np.argsort(-every.scores, kind="stable")
    groups: list[list[int]] = []
    for label in np.unique(every.labels):
        groups += _groups(every.boxes, views, order[every.labels[order] == label])
    groups.sort(key=lambda group: -every.scores[group[0]])
    kept = every.chosen([group[0] for group in groups])
    parts = [every.boxes[group] for group in groups]
    boxes = [np.concatenate([own[:, :2].min(0), own[:, 2:].max(0)]) for own in parts]
    rles = None if every.rles is None else tuple(union([every.rles[i] for i in group]) for group in groups)
    return replace(kept, boxes=np.array(boxes, np.float32).reshape(-1, 4), rles=rles)


def _groups(
    boxes: NDArray[np.float32], views: NDArray[np.int64], order: NDArray[np.int64]
) -> list[list[int]]:
    """Boxes (N, 4) of one class that are one object: each with the surest before it that it overlaps."""
    firsts: list[int] = []
    groups: list[list[int]] = []
    for place in order.tolist():
        leaders = boxes[firsts].reshape(-1, 4)
        box = boxes[place]
        low, high = np.maximum(leaders[:, :2], box[:2]), np.minimum(leaders[:, 2:], box[2:])
        shared = (high - low).clip(0).prod(1)
        smaller = (leaders[:, 2:] - leaders[:, :2]).prod(1).clip(max=np.prod(box[2:] - box[:2]))
        near = np.flatnonzero(shared > SAME * smaller)
        own = [i for i in near[np.argsort(-shared[near])] if views[place] != views[groups[i][0]]]
        if own:
            groups[own[0]].append(place)
        else:
            firsts.append(place)
            groups.append([place])
    return groups


def joined(found: Sequence[Detections]) -> Detections:
    """All objects of several answers for one picture."""
    first = found[0]
    return replace(
        first,
        boxes=np.concatenate([own.boxes for own in found]),
        scores=np.concatenate([own.scores for own in found]),
        labels=np.concatenate([own.labels for own in found]),
        names=tuple(chain.from_iterable(own.names for own in found)),
        categories=tuple(chain.from_iterable(own.categories for own in found)),
        colours=tuple(chain.from_iterable(own.colours for own in found)),
        rles=None if first.rles is None else tuple(chain.from_iterable(own.rles or () for own in found)),
    )
