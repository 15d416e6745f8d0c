"""Images with ground truth beside predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from swinkit.data.detection.samples import NO_CLASS, Annotated
from swinkit.labels import Labels
from swinkit.results import Detections
from swinkit.visualize.detection_sheet import _in_rows, draw_record, preview
from swinkit.visualize.grid import WIDTH, Panel, at_width, save_page


class Compared(NamedTuple):
    """A picture, what the data say of it, and what was found."""

    path: str
    record: Annotated
    found: Detections


def draw_compared(compared: Sequence[Compared], labels: Labels, path: Path) -> None:
    """Each picture twice, with its objects and with what was found; below, the names of the classes."""
    panels: list[Panel] = []
    for one in compared:
        picture = at_width(preview(one.path, one.found.size))
        truth = draw_record(picture, one.record, labels)
        panels.append(Panel(truth, ("ground truth", Path(one.path).name)))
        panels.append(Panel(one.found.draw_tile(picture, WIDTH), ("prediction", "")))
    shown = {int(i) for one in compared for i in (*one.record.labels, *one.found.labels)}
    ids = sorted(shown - {NO_CLASS})
    save_page(_in_rows(panels, 4), {labels.names[i]: labels.colours[i] for i in ids}, path)
