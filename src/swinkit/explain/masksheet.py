"""A page that shows pictures with their masks over them, to look at before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from swinkit.data.check_masks import MaskReport
from swinkit.data.mask_names import Pair
from swinkit.data.masks import LabelMap
from swinkit.data.pairs import MaskData
from swinkit.data.reading import read_sized
from swinkit.errors import ImageError
from swinkit.explain.canvas import legend, save_image
from swinkit.explain.dense import grid, overlaid, paint, present

SHOWN = 6  # pairs of each split


def draw_masks(report: MaskReport, path: Path) -> None:
    """Up to six pairs of each split: the picture, the mask over it, the mask; then the classes' names."""
    data = report.data
    assert isinstance(data, MaskData)
    bad = {problem.path for problem in report.problems if problem.broken}
    rows, maps = [], []
    for pairs in data.splits.values():
        sound = [pair for pair in pairs if pair.image not in bad]
        for pair in sound[:: max(1, len(sound) // SHOWN)][:SHOWN]:
            found = _row(pair, pairs.label_map, data)
            if found is not None:
                rows.append(found[0])
                maps.append(found[1])
    save_image(legend(grid(rows), present(maps, data.labels)), path)


def _row(pair: Pair, label_map: LabelMap, data: MaskData) -> tuple[list[Image.Image], np.ndarray] | None:
    try:
        picture, size = read_sized(pair.image)
        ids = label_map.read(pair.mask, size)
    except ImageError:  # gone since
        return None
    colours = data.labels.colours
    return [picture, overlaid(picture, ids, colours), paint(ids, colours)], ids
