"""Files answered one after the other: pictures and clips in batches, long or large ones part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from swinkit.config.common import Views
from swinkit.config.predict import EmbedConfig, PredictConfig
from swinkit.config.task_options import check_owners
from swinkit.data.batch import Batch
from swinkit.data.io.in_memory import all_in_memory, memory_picture
from swinkit.data.io.media import CLIPS, FRAMES, Medium, find_inputs
from swinkit.data.io.multichannel import Planes
from swinkit.data.io.paths import is_image, is_video
from swinkit.data.io.value_range import ValueRule
from swinkit.data.io.video import FramesInMemory, four_frames
from swinkit.data.loader import in_order
from swinkit.deploy.runtimes import in_runtime
from swinkit.errors import ConfigError, InputError
from swinkit.hardware import pick_batch_size, pick_device, pick_workers
from swinkit.inference.output import Names, annotate
from swinkit.inference.tiled_detection import detect_tiles
from swinkit.inference.tiled_segmentation import segment_tiles
from swinkit.inference.video_frames import answer_frames, make_tracker
from swinkit.inference.video_windows import stream_video
from swinkit.progress import note_clipped, row
from swinkit.results import Failure, Result
from swinkit.tasks.base import Task
from swinkit.tasks.open_vocab.detector import OVERLAP, OpenVocabulary
from swinkit.tasks.open_vocab.queries import find_queries, parse_names
from swinkit.tasks.open_vocab.two_towers import TwoTowers
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.tasks.segment import Segmenter

Answer = Callable[..., Result]
LIMITS = {
    **{name: name for name in ("topk", "clips", "detections", "classes")},
    **{"score": "score_threshold", "overlap": "nms_threshold"},
}
"""Options that limit what a model gives back, and what it calls them."""


def set_up(task: Task, config: PredictConfig) -> Task:
    """The model as the options limit it; the user's own stays as it is.

    ConfigError for options that are not for it, or that it cannot follow.
    """
    check_owners(config, task.name)
    limits: dict[str, Any] = {
        LIMITS[name]: getattr(config, name) for name in LIMITS if name in config.model_fields_set
    }
    if isinstance(task, TwoTowers):
        limits |= _asked(task, config)
    views = config if config.tile is None else Views(value_range=config.value_range)
    limited = task.limited(views, **limits)
    return in_runtime(limited, config)


def _asked(task: TwoTowers, config: PredictConfig) -> dict[str, Any]:
    """What is looked for; nothing where the options do not say it, and the model's own vocabulary holds."""
    if config.prompts and not (config.find or config.negatives):
        raise ConfigError("`prompts` are what names are put into: give `find`.")
    if config.by and not config.like:
        raise ConfigError("`by` is how queries are chosen of examples: give `like`.")
    if not (config.find or config.like) and config.vocabulary is None:
        if config.negatives:
            raise ConfigError(
                "`negatives` stand beside what is to be found: give `find`, `like` or `vocabulary`."
            )
        if not (isinstance(task, OpenVocabulary) and task.has_vocabulary):
            raise ConfigError("The model has no vocabulary of its own: give `find`, `like` or `vocabulary`.")
        return {}
    names: Any = parse_names(config.find) or None
    if config.vocabulary is not None:
        names = Vocabulary.load(config.vocabulary)
        names = names.chosen(config.find) if config.find else names
    told: dict[str, Any] = {"prompts": config.prompts, "negatives": config.negatives, "by": config.by}
    asked = find_queries(task, names, config.like or None, **told)
    overlap = {} if config.overlap is not None or not config.like else {"nms_threshold": OVERLAP}
    return {"asked": asked, **overlap}


def inputs_of(task: Task) -> Medium:
    """What a model's inputs are."""
    return FRAMES if task.films else task.medium


def check_inputs(files: list[Path], config: PredictConfig) -> None:
    """Refuse options that mean nothing to any of the inputs."""
    films = [path for path in files if is_video(path) and not is_image(path)]
    if config.track and not films:
        raise ConfigError("`track` is for videos, and none is among the inputs.")
    if config.track:
        make_tracker(1.0)  # that its library is missing shall not come to light at the first video
    if config.tile is not None and films:
        raise ConfigError(f"`tile` is for pictures, and {films[0]} is a video: leave one of them out.")


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


def predict_in_memory(
    task: Task, inputs: list[Any], config: PredictConfig, names: Names | None
) -> Iterator[Result]:
    """A result for each image or clip in memory, in order; called image_1, image_2 and so on."""
    shape, device, noun = task.preprocessing.shape, task.device, task.medium.noun
    size = task.at_once(pick_batch_size(config.batch_size, shape=shape, device=device))
    clipped = Counter[str]()
    for start in range(0, len(inputs), size):
        sources = inputs[start : start + size]
        batch = task.preprocess(sources)
        clipped.update(batch.clipped_counts())
        answers = task.answer(batch, flip=config.flip)
        for number, (source, answer) in enumerate(zip(sources, answers, strict=True), start + 1):
            result = replace(answer, path=f"{noun}_{number}")
            if names is not None:
                annotate(result, names, task.medium, config, image=_shown(task, source))
            yield result
    note_clipped(clipped["values"], clipped["images"])


def check_in_memory(config: PredictConfig) -> None:
    """Refuse options that need files."""
    for name in ("stream", "tile", "track"):
        if getattr(config, name):
            raise ConfigError(f"`{name}` is for files, and the inputs are in memory: give paths.")


def _shown(task: Task, source: Any) -> Image.Image:
    """An image or clip in memory as an image for people."""
    rule = ValueRule.of(task.preprocessing)
    if task.medium is CLIPS:
        with FramesInMemory(source, rule) as footage:
            return four_frames(footage, footage.ticks)
    picture = memory_picture(source, task.preprocessing.channels, rule)[0]
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    bands = picture.getbands()
    shown = Planes([picture.bands[place % len(bands)] for place in range(3)])
    return shown.to_image()


def embed_images(task: Task, inputs: Any, config: EmbedConfig) -> tuple[list[str], Tensor]:
    """Names and vectors (N, D) of files, folders and patterns, or of images in memory.

    Raises InputError for a file that cannot be read: each row is one of the inputs.
    """
    task = task.to(pick_device(config.device))
    shape, device = task.preprocessing.shape, task.device
    size = task.at_once(pick_batch_size(config.batch_size, shape=shape, device=device))
    if all_in_memory(inputs):
        sources = task.split(inputs)
        rows = [
            task.embed_inputs(sources[start : start + size]).cpu() for start in range(0, len(sources), size)
        ]
        return [f"{task.medium.noun}_{number}" for number in range(1, len(sources) + 1)], torch.cat(rows)
    files = find_inputs(inputs, task.medium)
    workers = pick_workers(config.workers, images=len(files), device=device, shape=shape)
    parts: list[Tensor] = []
    with closing(in_order(task.dataset(files, clips=task.clips), batch_size=size, workers=workers)) as loader:
        for batch in loader:
            if batch.unreadable:
                raise InputError(batch.unreadable[0])
            parts.append(_embedded(task, batch))
    return list(map(str, files)), torch.cat(parts)


@torch.no_grad()
def _embedded(task: Task, batch: Batch) -> Tensor:
    with task.answering():
        return task.embed(batch.images.to(task.device, task.dtype)).cpu()


def _by_parts(task: Task, config: PredictConfig, path: Path) -> Answer | None:
    """What answers a file part by part; None for one that stands in a batch."""
    if config.stream:
        return stream_video
    if task.films and is_video(path) and not is_image(path):
        return answer_frames
    if config.tile is None:
        return None
    return segment_tiles if isinstance(task, Segmenter) else detect_tiles


def _alone(answer: Answer, task: Task, path: Path, config: PredictConfig, names: Names | None) -> Result:
    with row(path.name, enabled=config.progress) as advance, task.answering():
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
    clipped = Counter[str]()
    with closing(in_order(dataset, batch_size=size, workers=workers)) as loader:
        for batch in loader:
            clipped.update(batch.clipped_counts())
            results = task.answer(batch, flip=config.flip) if len(batch) else []
            answers = {result.path: result for result in results}
            errors = iter(batch.unreadable)
            for path in islice(remaining, len(batch) + len(batch.unreadable)):
                answered = str(path) in answers
                result = answers[str(path)] if answered else Failure(str(path), next(errors))
                if names is not None:
                    annotate(result, names, task.medium, config)
                yield result
    note_clipped(clipped["values"], clipped["images"])
