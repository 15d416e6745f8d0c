"""Files answered one after the other: pictures and clips in batches, long or large ones part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby, islice
from pathlib import Path

from swinkit.config import PredictConfig, Views
from swinkit.data.batching import in_order
from swinkit.data.finding import is_image, is_video
from swinkit.data.media import CLIPS, FRAMES, Medium
from swinkit.errors import ConfigError, InputError
from swinkit.explain.annotate import Names, annotate
from swinkit.frames import segment_frames
from swinkit.hardware import pick_batch_size, pick_workers
from swinkit.progress import row
from swinkit.results import Failure, Result
from swinkit.streaming import stream_video
from swinkit.tasks.base import Task
from swinkit.tiles import segment_tiles

Answer = Callable[..., Result]


def set_up(task: Task, config: PredictConfig) -> Medium:
    """Give a model what the options say; what its inputs are. ConfigError for options that are not for it."""
    if config.stream and task.medium is not CLIPS:
        raise ConfigError("stream is for videos, and the model takes images.")
    if config.tile is not None and not task.ragged:
        raise ConfigError("tile is for segmentation, and the model answers with classes.")
    task.set_views(config if config.tile is None else Views())
    chosen = {"topk", "clips"} & config.model_fields_set
    if chosen and task.ragged:
        raise ConfigError(
            f"{' and '.join(sorted(chosen))}: for classifiers, and the model answers every pixel."
        )
    if chosen:
        task.set_test_limits(**config.model_dump(include=chosen))
    return FRAMES if task.films else task.medium


def answer_files(
    task: Task, files: list[Path], config: PredictConfig, names: Names | None
) -> Iterator[Result]:
    """A result for each file, in order; one that cannot be read gives a Failure."""
    for answer, group in groupby(files, key=partial(_by_parts, task, config)):
        if answer is None:
            yield from _in_batches(task, list(group), config, names)
        else:
            for path in group:
                yield _alone(answer, task, path, config, names)


def _by_parts(task: Task, config: PredictConfig, path: Path) -> Answer | None:
    """What answers a file part by part; None for one that stands in a batch."""
    if config.stream:
        return stream_video
    if task.films and is_video(path) and not is_image(path):
        return segment_frames
    return segment_tiles if config.tile is not None else None


def _alone(answer: Answer, task: Task, path: Path, config: PredictConfig, names: Names | None) -> Result:
    with row(path.name, enabled=config.progress) as advance:
        try:
            return answer(task, path, config, names, advance=advance)
        except InputError as error:
            return Failure(str(path), str(error))


def _in_batches(
    task: Task, files: list[Path], config: PredictConfig, names: Names | None
) -> Iterator[Result]:
    shape, device = task.preprocessing.shape, task.device
    size = task.at_once(pick_batch_size(config.batch_size, shape=shape, device=device))
    workers = pick_workers(config.workers, images=len(files), device=device, shape=shape)
    dataset = task.dataset(files, clips=task.clips)
    remaining = iter(files)
    for batch in in_order(dataset, batch_size=size, workers=workers):
        results = task.answer(batch, flip=config.flip) if len(batch) else []
        answers = {result.path: result for result in results}
        errors = iter(batch.unreadable)
        for path in islice(remaining, len(batch) + len(batch.unreadable)):
            result = answers.get(str(path)) or Failure(str(path), next(errors))
            if names is not None:
                annotate(result, names, task.medium, config.save)
            yield result
