"""COCO's average precision and recall of boxes and masks, by faster-coco-eval."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swinkit.data.batch import Batch
from swinkit.data.detection.samples import NO_CLASS, Annotated
from swinkit.files import write_text
from swinkit.labels import Labels
from swinkit.metrics.base import Mergeable
from swinkit.metrics.detection_sheet import Compared, draw_compared
from swinkit.results import Detections

Kind = Literal["box", "mask"]
COCO_KINDS: dict[Kind, str] = {"box": "bbox", "mask": "segm"}
FIGURES = (
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
)
"""COCO's twelve, in its order."""
LVIS_AT_MOST = [1, 10, 300]  # boxes of a picture; COCO's are 1, 10 and 100
SHOWN = 12  # pictures that are drawn
NONE = -1.0  # COCO's figure where there is nothing to find


class Answer(NamedTuple):
    """A picture, what the data say of it, and what was found."""

    record: Annotated
    found: Detections


class DetectionMetric(Mergeable):
    """The twelve figures of boxes and, of a model with masks on data with shapes, of masks, in %.

    `answer` makes what was found of a raw output and the picture's (height, width). Of groups of classes
    `apart` the mean AP stands as `box_ap_NAME`.
    """

    def __init__(
        self,
        labels: Labels,
        answer: Callable[[dict[str, Any], tuple[int, int]], Detections],
        *,
        masks: bool,
        monitor: Kind,
        apart: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.labels, self.answer, self.masks, self.monitor = labels, answer, masks, monitor
        self.apart = apart or {}
        self.reset()

    def reset(self) -> None:
        """Forget all pictures."""
        self.answers: list[Answer] = []
        self._evaluated: dict[Kind, Any] | None = None

    @property
    def count(self) -> int:  # type: ignore[override]
        """How many pictures count."""
        return len(self.answers)

    def update(self, raw: Sequence[dict[str, Any]], batch: Batch) -> None:
        """Count a batch in, of which the data say what there is to find."""
        for own, record, size in zip(raw, batch.records, batch.sizes, strict=True):
            self.answers.append(Answer(record, self.answer(own, size)))
        self._evaluated = None

    def _add(self, other: DetectionMetric) -> None:
        self.answers += other.answers
        self._evaluated = None

    def compute(self) -> dict[str, float]:
        """`box_ap` … `box_ar_large`, and so for masks, in %, -1 where there is none; and `images`."""
        figures: dict[str, float] = {}
        for kind, evaluated in self._evaluate().items():
            values = [NONE] * len(FIGURES) if evaluated is None else evaluated.stats[: len(FIGURES)].tolist()
            most = "ar100" if evaluated is None else f"ar{evaluated.params.maxDets[-1]}"
            figures |= {
                f"{kind}_{most if name == 'ar100' else name}": NONE if value < 0 else 100 * value
                for name, value in zip(FIGURES, values, strict=True)
            }
        for kind, evaluated in self._evaluate().items():
            each = self._by_class(evaluated)
            for group, names in self.apart.items():
                values = [each[name] for name in names]
                there = [value for value in values if value is not None]
                figures[f"{kind}_ap_{group}"] = float(np.mean(there)) if there else NONE
        return {**figures, "images": float(self.count)}

    def details(self) -> dict[str, Any]:
        """AP of each class in %, None for one that is not there: of masks where there are, and of both."""
        each = {kind: self._by_class(evaluated) for kind, evaluated in self._evaluate().items()}
        shown = self.monitor if self.monitor in each else "box"
        return {"per_class": each[shown], **{f"{kind}_ap_per_class": values for kind, values in each.items()}}

    def _by_class(self, evaluated: Any) -> dict[str, float | None]:
        if evaluated is None:
            return dict.fromkeys(self.labels.names)
        precision = evaluated.eval["precision"][:, :, :, 0, -1]  # threshold, recall, class
        means = [_mean(precision[:, :, i]) for i in range(len(self.labels))]
        return dict(zip(self.labels.names, means, strict=True))

    def draw(self, folder: Path) -> list[Path]:
        """predictions.png: pictures with their objects and what was found; results.json: COCO's file."""
        step = max(1, self.count // SHOWN)
        sheet, results = folder / "predictions.png", folder / "results.json"
        shown = [_compared(answer) for answer in self._ordered()[::step][:SHOWN]]
        draw_compared(shown, self.labels, sheet)
        write_results([(answer.found, answer.record.number) for answer in self._ordered()], results)
        return [sheet, results]

    def _ordered(self) -> list[Answer]:
        """By name: the same order however many processes have read them."""
        return sorted(self.answers, key=lambda answer: str(answer.record.image))

    def _evaluate(self) -> dict[Kind, Any]:
        """The evaluations by kind; None where there is nothing to find."""
        if self._evaluated is None:
            answers = self._ordered()
            shaped = self.masks and all(
                shape is not None or crowd
                for answer in answers
                for shape, crowd in zip(answer.record.shapes, answer.record.crowd, strict=True)
            )
            kinds: list[Kind] = ["box", "mask"] if shaped else ["box"]
            self._evaluated = {kind: evaluate_coco(answers, self.labels, kind) for kind in kinds}
        return self._evaluated


def _compared(answer: Answer) -> Compared:
    return Compared(str(answer.record.image), answer.record, answer.found)


def evaluate_coco(answers: Sequence[Answer], labels: Labels, kind: Kind) -> Any:
    """A filled `COCOeval_faster`; None where no picture has an object.

    As LVIS has it where data say of which classes it is known what is there: 300 boxes of a picture count,
    and of other classes none.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    rows: list[dict[str, Any]] = []
    for number, answer in enumerate(answers, start=1):
        for i in range(len(answer.record.boxes)):
            rows += _truth(answer.record, i, number, len(labels))
    if not rows:
        return None
    federated = any(answer.record.absent is not None or answer.record.partial for answer in answers)
    truth = COCO()
    truth.dataset = {
        "images": [
            {
                "id": number,
                "height": answer.found.size[0],
                "width": answer.found.size[1],
                "neg_category_ids": list(range(len(labels)))
                if answer.record.absent is None
                else list(answer.record.absent),
                "not_exhaustive_category_ids": list(answer.record.partial),
            }
            for number, answer in enumerate(answers, start=1)
        ],
        "categories": [{"id": i, "name": name, "frequency": "f"} for i, name in enumerate(labels.names)],
        "annotations": [row | {"id": i} for i, row in enumerate(rows, start=1)],
    }
    truth.createIndex()
    found = [
        row | {"category_id": int(label)}
        for number, answer in enumerate(answers, start=1)
        for row, label in zip(answer.found.to_coco(number), answer.found.labels, strict=True)
    ]
    if kind == "box":
        for row in found:
            row.pop("segmentation", None)
    evaluated = COCOeval_faster(truth, truth.loadRes(found), COCO_KINDS[kind], lvis_style=federated)
    if federated:
        evaluated.params.maxDets = LVIS_AT_MOST
    evaluated.run()
    return evaluated


def _truth(record: Annotated, place: int, number: int, classes: int) -> list[dict[str, Any]]:
    """COCO's row of an object; a region without a class is a group of each of so many classes."""
    left, top, right, bottom = record.boxes[place].tolist()
    row = {
        "image_id": number,
        "bbox": [left, top, right - left, bottom - top],
        "area": float(record.areas[place]),
        "iscrowd": int(record.crowd[place]),
    }
    shape = record.shapes[place]
    if shape is None:  # a group of which only the box is known
        shape = [[left, top, right, top, right, bottom, left, bottom]]
    label = int(record.labels[place])
    ids = range(classes) if label == NO_CLASS else [label]
    return [row | {"segmentation": shape, "category_id": own} for own in ids]


def _mean(precision: NDArray[np.float64]) -> float | None:
    valid = precision[precision > -1]
    return 100 * float(valid.mean()) if valid.size else None


def write_results(found: Sequence[tuple[Detections, int | str]], path: Path) -> None:
    """COCO's results file of pictures with these ids."""
    rows = [row for own, number in found for row in own.to_coco(number)]
    write_text(path, json.dumps(rows) + "\n")
