"""A video answered frame by frame, in memory that does not grow with it."""

from __future__ import annotations

import csv
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from PIL import Image

from swinkit.config.predict import PredictConfig
from swinkit.data.io.video import open_footage
from swinkit.errors import ClipError, ConfigError
from swinkit.files import not_writable
from swinkit.inference.film import FilmFile
from swinkit.inference.output import OBJECT_COLUMNS, Names
from swinkit.labels import background_ids
from swinkit.progress import Advance
from swinkit.results import (
    DetectedVideo,
    Detections,
    Result,
    SegmentationMap,
    SegmentedVideo,
    import_supervision,
)
from swinkit.tasks.base import Task
from swinkit.visualize.overlay import overlaid

RATE = 25.0  # frames a second where a video does not say it


class Summary(Protocol):
    """What sums up the answers for the frames of a video; a context manager."""

    def add(self, image: Image.Image, result: Result, time: float) -> Image.Image:
        """Count a frame in; the frame with its answer."""

    def result(self, path: Path, size: tuple[int, int], frames: int) -> Result:
        """The answer for the video."""

    def __enter__(self) -> Self:
        """Open."""

    def __exit__(self, *_: object) -> None:
        """Close."""


def answer_frames(
    task: Task,
    path: Path,
    config: PredictConfig,
    names: Names | None,
    *,
    advance: Advance = lambda *, completed, total: None,
) -> Result:
    """A video's answer from those of all its frames; with `names` a film of these, and a table of objects.

    At damage it ends: the result is that of the frames before, and its `error` names the damage. Raises
    ClipError for a file that cannot be read, or that is damaged from its first frame on.
    """
    count = 0
    damage: str | None = None
    with ExitStack() as opened:
        footage = opened.enter_context(open_footage(path))
        rate = footage.rate or RATE
        film: FilmFile | None = None
        table: Path | None = None
        if names is not None:
            place, *tables = names.free(path, ".mp4", *([".csv"] if task.name != "segment" else []))
            table = next(iter(tables), None)
            film = opened.enter_context(FilmFile(place, rate))
        summary: Summary
        if task.name == "segment":
            summary = opened.enter_context(Shares(task.classes))
        else:
            summary = opened.enter_context(Sightings(config, rate, table))
        try:
            for image in footage.every():
                (result,) = task.answer(task.preprocess([image]), flip=config.flip)
                shown = summary.add(image, result, count / rate)
                if film is not None:
                    film.add(shown)
                count += 1
                advance(completed=count, total=max(count, footage.ticks))
        except ClipError as error:
            if not count:
                raise
            damage = str(error)
        size = footage.size
    if not count:
        raise ClipError(f"{path} holds no frame that can be decoded; remove or replace it.")
    return replace(summary.result(path, size, count), error=damage)


class Shares:
    """The mean share of the pixels that each class has."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.shares: Counter[str] = Counter()

    def add(self, image: Image.Image, result: Result, time: float) -> Image.Image:
        """As `Summary`."""
        assert isinstance(result, SegmentationMap)
        pixels = result.labels.size
        self.shares.update({name: area / pixels for name, area in result.areas.items()})
        hidden = background_ids(result.names, result.colours)
        return overlaid(image, result.labels, result.colours, hidden)

    def result(self, path: Path, size: tuple[int, int], frames: int) -> SegmentedVideo:
        """As `Summary`."""
        mean = {name: share / frames for name, share in self.shares.most_common()}
        return SegmentedVideo(str(path), size, frames, self.classes, mean)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Sightings:
    """In how many frames each class is seen, and how many objects of it; a table of all as it runs."""

    def __init__(self, config: PredictConfig, rate: float, table: Path | None) -> None:
        self.config, self.place = config, table
        self.tracker = make_tracker(rate) if config.track else None
        self.categories: dict[str, int] = {}
        self.frames: Counter[str] = Counter()
        self.objects: Counter[str] = Counter()
        self.tracks: dict[int, Counter[str]] = {}
        self.number = 0
        self._file: Any = None

    def add(self, image: Image.Image, result: Result, time: float) -> Image.Image:
        """As `Summary`."""
        assert isinstance(result, Detections)
        found = result if self.tracker is None else tracked(result, self.tracker)
        self.categories |= dict(zip(found.names, found.categories, strict=True))
        self.frames.update(set(found.names))
        self.objects.update(found.names)
        for i, name in enumerate(found.names):
            track = -1 if found.tracks is None else int(found.tracks[i])
            if track >= 0:
                self.tracks.setdefault(track, Counter())[name] += 1
            if self._file is not None:
                seen = (self.number, f"{time:.3f}", "" if track < 0 else track)
                box = (f"{side:.2f}" for side in found.boxes[i])
                self._writer.writerow((*seen, name, self.categories[name], f"{found.scores[i]:.6f}", *box))
        self.number += 1
        return found.draw(image, self.config.score)

    def result(self, path: Path, size: tuple[int, int], frames: int) -> DetectedVideo:
        """As `Summary`."""
        tracks: dict[str, int] | None = None
        if self.tracker is not None:  # an object of two names is what it was called most often
            tracks = dict(Counter(names.most_common(1)[0][0] for names in self.tracks.values()))
        seen = dict(self.frames.most_common())
        return DetectedVideo(str(path), size, frames, seen, dict(self.objects), self.categories, tracks)

    def __enter__(self) -> Self:
        if self.place is not None:
            try:
                self._file = self.place.open("w", encoding="utf-8", newline="")
            except OSError as error:
                raise not_writable(self.place, error) from error
            self._writer = csv.writer(self._file, lineterminator="\n")
            self._writer.writerow(OBJECT_COLUMNS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def make_tracker(rate: float) -> Any:
    """ByteTrack (Zhang et al. 2022); ConfigError where its library is not installed."""
    try:
        import_supervision()
        from trackers import ByteTrackTracker
    except ImportError as error:
        raise ConfigError(f"`track` needs a library more: `pip install swinkit[track]` ({error}).") from error
    return ByteTrackTracker(frame_rate=rate)


def tracked(found: Detections, tracker: Any) -> Detections:
    """The objects of the next frame with their numbers; those that are not followed have -1."""
    supervision = import_supervision()
    # a box without area has no aspect ratio, which the tracker's filter divides by
    boxes = found.boxes.reshape(-1, 4)
    rows = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1))
    given = supervision.Detections(
        xyxy=boxes[rows], confidence=found.scores[rows], class_id=found.labels[rows]
    )
    given.data["place"] = rows
    answer = tracker.update(given)
    tracks = np.full(len(found), -1, np.int64)
    if len(answer):
        tracks[answer.data["place"].astype(int)] = answer.tracker_id
    return replace(found, tracks=tracks)
