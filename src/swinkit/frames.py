"""A video answered frame by frame, in memory that does not grow with it."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from swinkit.config import PredictConfig
from swinkit.data.video import open_footage
from swinkit.errors import ClipError
from swinkit.explain.annotate import Names
from swinkit.explain.dense import overlaid
from swinkit.explain.film import FilmFile
from swinkit.progress import Advance
from swinkit.results import SegmentationMap, SegmentedVideo
from swinkit.tasks.base import Task


def segment_frames(
    task: Task,
    path: Path,
    config: PredictConfig,
    names: Names | None,
    *,
    advance: Advance = lambda *, completed, total: None,
) -> SegmentedVideo:
    """The mean share of each class over all frames; with `names` a film with the classes over the frames.

    Damaged frames are taken as far as they can be shown. ClipError for a file that cannot be read.
    """
    shares: Counter[str] = Counter()
    count = 0
    with ExitStack() as opened:
        footage = opened.enter_context(open_footage(path))
        film: FilmFile | None = None
        if names is not None:
            (place,) = names.free(path, ".mp4")
            film = opened.enter_context(FilmFile(place, footage.rate or 25.0))
        for image in footage.every(strict=False):
            (result,) = task.answer(task.preprocess([image]), flip=config.flip)
            assert isinstance(result, SegmentationMap)
            pixels = result.labels.size
            shares.update({name: area / pixels for name, area in result.areas.items()})
            if film is not None:
                film.add(overlaid(image, result.labels, result.colours))
            count += 1
            advance(completed=count, total=max(count, footage.ticks))
        size = footage.size
    if not count:
        raise ClipError(f"{path} holds no frame that can be decoded; remove or replace it.")
    mean = {name: share / count for name, share in shares.most_common()}
    return SegmentedVideo(str(path), size, count, task.classes, mean)
