"""A page that shows pictures with their masks over them, to look at before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from swinkit.data.io.images import read_sized
from swinkit.data.segmentation.check import MaskReport
from swinkit.data.segmentation.label_map import LabelMap
from swinkit.data.segmentation.mask_names import Pair
from swinkit.data.segmentation.open import MaskData
from swinkit.errors import ImageError
from swinkit.visualize.duplicate_sheet import draw_duplicates
from swinkit.visualize.grid import Panel, at_width, save_page
from swinkit.visualize.overlay import overlaid, paint, present, resized_ids

SHOWN = 6  # pairs of each split


def draw_masks(report: MaskReport, path: Path) -> None:
    """Draw duplicates, and of each split up to six pictures, masks over them, and masks."""
    data = report.data
    assert isinstance(data, MaskData)
    bad = {problem.path for problem in report.problems if problem.broken}
    rows, maps = [], []
    for split, pairs in data.splits.items():
        sound = [pair for pair in pairs if pair.image not in bad]
        for pair in sound[:: max(1, len(sound) // SHOWN)][:SHOWN]:
            found = _row(f"{split}: {pair.image.name}", pair, pairs.label_map, data)
            if found is not None:
                rows.append(found[0])
                maps.append(found[1])
    save_page(rows, present(maps, data.labels), path, above=draw_duplicates(report))


def _row(
    heading: str, pair: Pair, label_map: LabelMap, data: MaskData
) -> tuple[list[Panel], np.ndarray] | None:
    try:
        picture, size = read_sized(pair.image)
        stored = label_map.read(pair.mask, size)
    except ImageError:  # gone since
        return None
    picture = at_width(picture)
    ids = resized_ids(stored, picture.size)
    over = overlaid(picture, ids, data.labels.colours, data.labels.background)
    panels = [
        Panel(picture, (heading,)),
        Panel(over, ("mask over the image",)),
        Panel(paint(ids, data.labels.colours), ("mask",)),
    ]
    return panels, stored
