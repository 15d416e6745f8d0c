"""Photographs with their objects beside what a detector finds in them: the figure of the README.

python examples/detections_figure.py RUN DATA docs/figures/cells.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import swinkit
from swinkit.data.detection.open import open_objects
from swinkit.data.io.images import read_preview
from swinkit.results import Detections
from swinkit.visualize.detection_sheet import draw_record
from swinkit.visualize.grid import Panel, at_width, save_page

SHOWN = 3  # photographs of the test part


def main(run: str, source: str, out: str) -> None:
    """Draw the figure: above what people marked, below what the model finds, from a score of 0.5 on."""
    data, model = open_objects(source), swinkit.load(run)
    samples = data.splits["test"]
    records = samples[:: len(samples) // SHOWN][:SHOWN]
    truth, predictions = [], []
    for record in records:
        image = at_width(read_preview(record.image))
        (result,) = model.predict(record.image)
        assert isinstance(result, Detections)
        truth.append(Panel(draw_record(image, record, data.labels), ("ground truth",)))
        predictions.append(Panel(result.draw(image, 0.5), ("prediction",)))
    names = dict(zip(data.labels.names, data.labels.colours, strict=True))
    save_page([truth, predictions], names, Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
