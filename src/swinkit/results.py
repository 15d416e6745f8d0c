"""What a prediction is: frozen, named, drawable, plain to save."""

from __future__ import annotations

import csv
import io
import json
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swinkit.data.media import medium_of
from swinkit.data.video import with_span
from swinkit.errors import ConfigError, nearest
from swinkit.explain.boxes import Drawn, draw_boxes
from swinkit.explain.canvas import caption, legend
from swinkit.explain.dense import overlaid
from swinkit.files import write_text
from swinkit.labels import Colour, Labels
from swinkit.shapes import RLE, coco_rle, geojson, mask_of

SURE = 0.3  # from which on an object is drawn and named
STRIP = 2**24  # pixels that are counted at once


@dataclass(frozen=True)
class Result(ABC):
    """One answer for one input; `path` is the file (empty for an image in memory)."""

    path: str

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain strings, numbers and lists."""

    def _picture(self) -> Image.Image:
        """The input, to draw on; ConfigError where it came from memory."""
        if not self.path:
            raise ConfigError("The answer is for a picture in memory: give it to draw.")
        return medium_of(Path(self.path)).overview(self.path)

    @abstractmethod
    def lines(self) -> list[tuple[str, str]]:
        """What a table on screen shows: (name, score), best first."""


def _rows(labels: Sequence[int], names: Sequence[str], scores: Sequence[float]) -> list[dict[str, Any]]:
    """Id, name and score of each class."""
    rows = zip(labels, names, scores, strict=True)
    return [{"id": label, "name": name, "score": score} for label, name, score in rows]


@dataclass(frozen=True)
class Classes(Result):
    """The likeliest classes, best first: ids, names, probabilities; `size` is (height, width) in pixels."""

    size: tuple[int, int]
    labels: tuple[int, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the classes with id, name and score."""
        classes = _rows(self.labels, self.names, self.scores)
        return {"path": self.path, "size": list(self.size), "classes": classes}

    def lines(self) -> list[tuple[str, str]]:
        """Name and probability of each class."""
        return [(name, f"{score:.1%}") for name, score in zip(self.names, self.scores, strict=True)]

    def draw(self, image: Image.Image | None = None) -> Image.Image:
        """The picture, by default that of `path`, with its classes written below it."""
        return caption(image or self._picture(), [f"{name}  {score}" for name, score in self.lines()])


@dataclass(frozen=True)
class Moment:
    """The likeliest classes of a window of a video, best first; `start` and `end` in seconds."""

    start: float
    end: float
    labels: tuple[int, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]

    def classes(self) -> list[dict[str, Any]]:
        """Id, name and score of each class."""
        return _rows(self.labels, self.names, self.scores)


@dataclass(frozen=True)
class Timeline(Result):
    """What is seen when in a video: its windows in order of time; `size` is (height, width) in pixels."""

    size: tuple[int, int]
    moments: tuple[Moment, ...]

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the windows with start, end and classes."""
        moments = [{"start": m.start, "end": m.end, "classes": m.classes()} for m in self.moments]
        return {"path": self.path, "size": list(self.size), "moments": moments}

    def lines(self) -> list[tuple[str, str]]:
        """Windows in a row with the same likeliest class, as one: when, what, and its mean probability."""
        rows = []
        for name, group in groupby(self.moments, key=lambda moment: moment.names[0]):
            run = list(group)
            mean = sum(moment.scores[0] for moment in run) / len(run)
            rows.append((f"{_clock(run[0].start)}–{_clock(run[-1].end)}  {name}", f"{mean:.1%}"))
        return rows


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds, as players show them."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


@dataclass(frozen=True, eq=False)
class SegmentationMap(Result):
    """The class of every pixel: ids `labels` (H, W) uint8, with all names and colours of the model."""

    labels: NDArray[np.uint8]
    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SegmentationMap):
            return NotImplemented
        same = (self.path, self.names, self.colours) == (other.path, other.names, other.colours)
        return same and np.array_equal(self.labels, other.labels)

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    @cached_property
    def areas(self) -> dict[str, int]:
        """Pixels of each class that is there, the largest first."""
        rows = max(1, STRIP // self.labels.shape[1])  # for the labels of a large picture lie in a file
        parts = (self.labels[start : start + rows] for start in range(0, len(self.labels), rows))
        each = (np.bincount(part.ravel(), minlength=len(self.names)) for part in parts)
        counts = np.sum(list(each), axis=0).tolist()
        found = [(name, count) for name, count in zip(self.names, counts, strict=True) if count]
        return dict(sorted(found, key=lambda pair: -pair[1]))

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Where a class is (H, W); ConfigError for one that the model does not know."""
        if name not in self.names:
            raise ConfigError(f"There is no class {name!r}: {nearest(name, self.names)}")
        found: NDArray[np.bool_] = self.labels == self.names.index(name)
        return found

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the classes with id, name, pixels, their share and COCO's run lengths."""
        classes = [
            {
                "id": self.names.index(name),
                "name": name,
                "pixels": count,
                "share": count / self.labels.size,
                "rle": coco_rle(self.mask(name)),
            }
            for name, count in self.areas.items()
        ]
        return {"path": self.path, "size": list(self.size), "classes": classes}

    def to_geojson(self) -> dict[str, Any]:
        """A FeatureCollection with a MultiPolygon of each class, in pixels, y downward."""
        return geojson({name: self.mask(name) for name in self.areas})

    def lines(self) -> list[tuple[str, str]]:
        """Name and share of the picture of each class."""
        return [(name, f"{count / self.labels.size:.1%}") for name, count in self.areas.items()]

    def index_image(self) -> Image.Image:
        """A picture whose values are the class ids, shown in their colours: to be saved as PNG."""
        image = Image.fromarray(self.labels, "P")
        image.putpalette([channel for colour in self.colours for channel in colour])
        return image

    def draw(self, image: Image.Image | None = None, strength: float = 0.55) -> Image.Image:
        """The colours of the classes over the picture, by default that of `path`, and their names."""
        shown = {name: self.colours[self.names.index(name)] for name in self.areas}
        return legend(overlaid(image or self._picture(), self.labels, self.colours, strength), shown)


@dataclass(frozen=True, eq=False)
class Detections(Result):
    """The objects in a picture, the surest first.

    `size` is its (height, width) in pixels; `boxes` (N, 4) float32 are x1, y1, x2, y2 in these; `scores` (N,)
    probabilities; `labels` (N,) class ids of the model, `categories` those of its data set, and `names`.
    `rles` are the shapes as COCO's run lengths, None of a model without masks; `tracks` numbers the objects
    of a video, -1 for one that is not followed, and is None of pictures.
    """

    size: tuple[int, int]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    categories: tuple[int, ...]
    colours: tuple[Colour, ...]
    rles: tuple[RLE, ...] | None = None
    tracks: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        labels: NDArray[np.int64],
        known: Labels,
        rles: Sequence[RLE] | None = None,
    ) -> Detections:
        """Objects of classes of a model."""
        ids = labels.tolist()
        return cls(
            "",
            size,
            boxes,
            scores,
            labels,
            tuple(known.names[i] for i in ids),
            tuple(known.categories[i] for i in ids),
            tuple(known.colours[i] for i in ids),
            None if rles is None else tuple(rles),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Detections) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def masks(self) -> NDArray[np.bool_] | None:
        """Which pixels (N, H, W) each object has; made anew each time, None of a model without masks."""
        if self.rles is None:
            return None
        masks = [mask_of(rle) for rle in self.rles]
        return np.stack(masks) if masks else np.zeros((0, *self.size), bool)

    def chosen(self, places: Sequence[int] | NDArray[Any]) -> Detections:
        """Some of the objects, by their numbers or by a truth for each."""
        index = np.arange(len(self))[np.asarray(places, bool if len(places) == 0 else None)]
        return replace(
            self,
            boxes=self.boxes[index],
            scores=self.scores[index],
            labels=self.labels[index],
            names=tuple(self.names[i] for i in index),
            categories=tuple(self.categories[i] for i in index),
            colours=tuple(self.colours[i] for i in index),
            rles=None if self.rles is None else tuple(self.rles[i] for i in index),
            tracks=None if self.tracks is None else self.tracks[index],
        )

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the objects with id, name, score, box (x1, y1, x2, y2), and shape as `rle`."""
        objects = _rows(self.labels.tolist(), self.names, self.scores.tolist())
        for i, (row, box) in enumerate(zip(objects, self.boxes.tolist(), strict=True)):
            row |= {"category_id": self.categories[i], "box": box}
            if self.tracks is not None:
                row["track"] = int(self.tracks[i])
            if self.rles is not None:
                row["rle"] = self.rles[i]
        return {"path": self.path, "size": list(self.size), "objects": objects}

    def to_coco(self, image_id: int | str = 0) -> list[dict[str, Any]]:
        """Rows of COCO's results file; `bbox` is x, y, width, height, `segmentation` run lengths."""
        rows = []
        for i, (left, top, right, bottom) in enumerate(self.boxes.tolist()):
            row = {
                "image_id": image_id,
                "category_id": self.categories[i],
                "bbox": [left, top, right - left, bottom - top],
                "score": float(self.scores[i]),
            }
            rows.append(row if self.rles is None else row | {"segmentation": self.rles[i]})
        return rows

    def to_supervision(self) -> Any:
        """A `supervision.Detections`, with names as `data["class_name"]`."""
        supervision = import_supervision()
        found = supervision.Detections(
            xyxy=self.boxes.reshape(-1, 4),
            confidence=self.scores,
            class_id=self.labels,
            mask=self.masks,
            tracker_id=self.tracks,
        )
        found.data["class_name"] = np.array(self.names, dtype=str)
        return found

    def with_tracks(self, tracks: NDArray[np.int64]) -> Detections:
        """With the numbers under which the objects (N,) are followed."""
        return replace(self, tracks=tracks)

    def lines(self) -> list[tuple[str, str]]:
        """How many of each class are sure, the surest first, and how sure; and how many others there are."""
        sure = self.chosen(self.scores >= SURE)
        counts = Counter(sure.names)
        rows = [
            (f"{counts[name]} × {name}", f"{sure.scores[sure.names.index(name)]:.1%}")
            for name in dict.fromkeys(sure.names)
        ]
        if len(sure) < len(self):
            rows.append(
                (f"{len(self) - len(sure)} less sure", f"{self.scores[~(self.scores >= SURE)].max():.1%}")
            )
        return rows or [("nothing found", "")]

    def draw(self, image: Image.Image | None = None, score: float | None = None) -> Image.Image:
        """The picture, by default that of `path`, with boxes, names and shapes of the objects so sure.

        By default those of 0.3: of a model's least sure answers there are too many to see the others.
        """
        sure = self.chosen(self.scores >= (SURE if score is None else score))
        drawn = [
            Drawn(
                tuple(sure.boxes[i].tolist()),
                f"{sure._number(i)}{sure.names[i]} {sure.scores[i]:.0%}",
                sure.colours[i],
                None if sure.rles is None else sure.rles[i],
            )
            for i in range(len(sure))
        ]
        return draw_boxes(image or self._picture(), drawn, self.size)

    def _number(self, place: int) -> str:
        followed = self.tracks is not None and self.tracks[place] >= 0
        return f"{self.tracks[place]} " if followed and self.tracks is not None else ""


def import_supervision() -> Any:
    """The library, whose word about a missing OpenCV is for its own drawing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import supervision
    return supervision


@dataclass(frozen=True)
class SegmentedVideo(Result):
    """What a video shows, frame by frame: mean share of the pixels of each class, the largest first."""

    size: tuple[int, int]
    frames: int
    names: tuple[str, ...]
    shares: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size`, the number of frames, and the classes with id, name and share."""
        classes = [
            {"id": self.names.index(name), "name": name, "share": share}
            for name, share in self.shares.items()
        ]
        return {"path": self.path, "size": list(self.size), "frames": self.frames, "classes": classes}

    def lines(self) -> list[tuple[str, str]]:
        """Name and mean share of each class."""
        return [(name, f"{share:.1%}") for name, share in self.shares.items()]


@dataclass(frozen=True)
class DetectedVideo(Result):
    """What is seen in a video: by class in how many of its frames, how many boxes, and how many objects.

    `categories` are the data set's ids of the classes; `tracks` counts the objects that were followed, None
    where none was to be.
    """

    size: tuple[int, int]
    frames: int
    seen: dict[str, int]
    boxes: dict[str, int]
    categories: dict[str, int]
    tracks: dict[str, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size`, the number of frames, and of each class its frames, boxes and followed objects."""
        classes = [
            {
                "name": name,
                "category_id": self.categories[name],
                "share": count / self.frames,
                "frames": count,
                "boxes": self.boxes[name],
            }
            | ({} if self.tracks is None else {"tracks": self.tracks.get(name, 0)})
            for name, count in self.seen.items()
        ]
        return {"path": self.path, "size": list(self.size), "frames": self.frames, "classes": classes}

    def lines(self) -> list[tuple[str, str]]:
        """Name, followed objects if any are, and the share of the frames in which it is seen."""
        rows = []
        for name, count in self.seen.items():
            times = "" if self.tracks is None else f"{self.tracks.get(name, 0)} × "
            rows.append((f"{times}{name}", f"{count / self.frames:.1%}"))
        return rows or [("nothing found", "")]


@dataclass(frozen=True)
class Failure(Result):
    """An input that could not be read, and why; the others are answered all the same."""

    error: str

    def to_dict(self) -> dict[str, Any]:
        """`path` and `error`."""
        return {"path": self.path, "error": self.error}

    def lines(self) -> list[tuple[str, str]]:
        """The reason."""
        return [(self.error, "")]


@dataclass(frozen=True)
class Kept(Result):
    """What is shown and written of a result, without the arrays that it holds: many fit in memory."""

    values: dict[str, Any]
    shown: list[tuple[str, str]]
    failed: bool

    @classmethod
    def of(cls, result: Result, *, written: bool) -> Kept:
        """Of a result; its values only where they are to be written."""
        values = result.to_dict() if written else {}
        return cls(result.path, values, result.lines(), isinstance(result, Failure))

    def to_dict(self) -> dict[str, Any]:
        """The result's."""
        return self.values

    def lines(self) -> list[tuple[str, str]]:
        """The result's."""
        return self.shown


def write_json(results: Sequence[Result], path: Path) -> None:
    """Write results as a JSON list, in order."""
    text = json.dumps([result.to_dict() for result in results], indent=2, ensure_ascii=False) + "\n"
    write_text(path, text)


def write_csv(results: Sequence[Result], path: Path) -> None:
    """Write one row an answer, best first: path, rank, name, score, error; of objects also their boxes.

    Of a map of classes the score is the share of the pixels. A window of a video is its path with a stretch,
    `video.mp4#t=1.5,4`, which can be given to predict again.
    """
    every = [result.to_dict() for result in results]
    edges = ("x1", "y1", "x2", "y2")
    more = ("category_id", *edges) if any("objects" in values for values in every) else ()
    text = io.StringIO()
    writer = csv.DictWriter(
        text, ["path", "rank", "name", "score", *more, "error"], restval="", lineterminator="\n"
    )
    writer.writeheader()
    for values in every:
        answers = {values["path"]: values.get("classes", values.get("objects", []))}
        for moment in values.get("moments", ()):
            answers[with_span(values["path"], moment["start"], moment["end"])] = moment["classes"]
        for place, rows in answers.items():
            for rank, row in enumerate(rows, start=1):
                score = row.get("score", row.get("share"))
                box = dict(zip(edges, row.get("box", ()), strict=False))
                own = {"category_id": row["category_id"], **box} if box else {}
                writer.writerow({"path": place, "rank": rank, "name": row["name"], "score": score, **own})
        if "error" in values:
            writer.writerow({"path": values["path"], "error": values["error"]})
    write_text(path, text.getvalue())
