"""What happens when in a video: a table that grows line by line, and a picture of it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Self

from swinkit.files import not_writable
from swinkit.visualize.canvas import save_figure
from swinkit.visualize.text import fit_texts

if TYPE_CHECKING:
    from PIL import Image

    from swinkit.results import Moment

SHOWN = 8  # classes of a picture
COLUMNS = ("start", "end", "rank", "name", "score")


class TimelineTable:
    """A CSV file of start, end, rank, name, score; every answer is on disk as soon as it is there."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise not_writable(path, error) from error
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def saw(self, time: float, image: Image.Image) -> None:
        """Frames are not written."""

    def answered(self, moment: Moment) -> None:
        """Write the classes of a window."""
        for rank, (name, score) in enumerate(zip(moment.names, moment.scores, strict=True), start=1):
            self._writer.writerow((f"{moment.start:.3f}", f"{moment.end:.3f}", rank, name, f"{score:.6f}"))
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def draw_timeline(moments: Sequence[Moment], path: Path) -> None:
    """Probability over time of the classes that were likeliest most often; above, the likeliest as a band."""
    from matplotlib.figure import Figure

    often = [name for name, _ in Counter(moment.names[0] for moment in moments).most_common(SHOWN)]
    colours = {name: f"C{i}" for i, name in enumerate(often)}
    middles = [(moment.start + moment.end) / 2 for moment in moments]
    # a moment stands from half-way after the one before to half-way before the next
    edges = [moments[0].start, *((a + b) / 2 for a, b in pairwise(middles))]
    edges.append(moments[-1].end)
    figure = Figure(figsize=(12, 4), layout="constrained")
    band, lines = figure.subplots(2, 1, sharex=True, height_ratios=(1, 5))
    for (start, end), moment in zip(pairwise(edges), moments, strict=True):
        band.axvspan(start, end, color=colours.get(moment.names[0], "lightgrey"), lw=0)
    band.set(yticks=[], title="likeliest")
    for name in often:
        scores = [dict(zip(m.names, m.scores, strict=True)).get(name, 0.0) for m in moments]
        lines.plot(
            middles, scores, marker="." if len(moments) < 100 else None, label=name, color=colours[name]
        )
    lines.set(xlabel="seconds", ylabel="probability", ylim=(0, 1.02), xlim=(edges[0], edges[-1]))
    lines.grid(alpha=0.3)
    fit_texts(figure.legend(loc="outside lower center", ncols=len(often)).get_texts())
    save_figure(figure, path, dpi=110)
