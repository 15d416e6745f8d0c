"""The objects in a picture, and what is seen in a video."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swinkit.labels import Colour, Labels
from swinkit.results.base import Result, class_rows
from swinkit.rle import RLE, mask_of
from swinkit.visualize.boxes import Drawn, draw_boxes, draw_tile

SURE = 0.3  # from which on an object is drawn and named


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

    def with_area(self) -> Detections:
        """The objects whose box has an area."""
        boxes = self.boxes.reshape(-1, 4)
        return self.chosen(np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1)))

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the objects with id, name, score, box (x1, y1, x2, y2), and shape as `rle`."""
        objects = class_rows(self.labels.tolist(), self.names, self.scores.tolist())
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

    def lines(self) -> list[tuple[str, str]]:
        """How many of each class are sure, the surest first, and how sure; and how many others there are."""
        sure = self.chosen(self.scores >= SURE)
        counts = Counter(sure.names)
        rows = [
            (f"{counts[name]} × {name}", f"{sure.scores[sure.names.index(name)]:.1%}")
            for name in dict.fromkeys(sure.names)
        ]
        others = self.scores[self.scores < SURE]
        if len(others):
            rows.append((f"{len(others)} less sure", f"{others.max():.1%}"))
        return rows or [("nothing found", "")]

    def draw(self, image: Image.Image | None = None, score: float | None = None) -> Image.Image:
        """The picture, by default that of `path`, with boxes, names and shapes of the objects so sure.

        By default those of 0.3: of a model's least sure answers there are too many to see the others. Boxes
        without area are not drawn.
        """
        return draw_boxes(image or self._picture(), self._drawn(score), self.size)

    def draw_tile(self, image: Image.Image, width: int) -> Image.Image:
        """As `draw`, for a page of many images: scaled to a width first, so that labels fit it."""
        return draw_tile(image, self._drawn(None), self.size, width)

    def _drawn(self, score: float | None) -> list[Drawn]:
        sure = self.with_area()
        sure = sure.chosen(sure.scores >= (SURE if score is None else score))
        count = len(sure)
        numbers = [-1] * count if sure.tracks is None else sure.tracks.tolist()
        rles: Sequence[RLE | None] = [None] * count if sure.rles is None else sure.rles
        return [
            Drawn(
                tuple(sure.boxes[i].tolist()),
                f"{'' if numbers[i] < 0 else f'{numbers[i]} '}{sure.names[i]} {sure.scores[i]:.0%}",
                sure.colours[i],
                rles[i],
            )
            for i in range(count)
        ]


def import_supervision() -> Any:
    """The library, whose word about a missing OpenCV is for its own drawing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import supervision
    return supervision


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
        return self._with_error(
            {"path": self.path, "size": list(self.size), "frames": self.frames, "classes": classes}
        )

    def lines(self) -> list[tuple[str, str]]:
        """Name, followed objects if any are, and the share of the frames in which it is seen."""
        rows = []
        for name, count in self.seen.items():
            times = "" if self.tracks is None else f"{self.tracks.get(name, 0)} × "
            rows.append((f"{times}{name}", f"{count / self.frames:.1%}"))
        rows = rows or [("nothing found", "")]
        if self.error is not None:
            rows.append((self.error, ""))
        return rows
