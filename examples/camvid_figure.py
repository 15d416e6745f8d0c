"""What a run on CamVid has learnt, without a photograph of it: answers as colours, and IoU of each class.

python examples/camvid_figure.py RUN CAMVID OUT.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import swinkit

SHOWN = 3


def main(run: Path, camvid: Path, out: Path) -> None:
    """Draw the answers for three photographs of the test part over a bar for each class."""
    from matplotlib.figure import Figure

    photos = sorted((camvid / "images" / "test").iterdir())
    photos = photos[:: len(photos) // SHOWN][:SHOWN]
    answers = list(swinkit.predict(run, photos))
    report = json.loads((run / "evaluation.json").read_text())
    figure = Figure(figsize=(12, 6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(3, 2))
    for axes, answer in zip(above.subplots(1, SHOWN), answers, strict=True):
        axes.imshow(answer.index_image().convert("RGB"))
        axes.set_axis_off()
    axes = below.subplots()
    names = list(report["per_class"])
    colours = [tuple(channel / 255 for channel in colour) for colour in answers[0].colours]
    bars = axes.bar(names, [report["per_class"][name] for name in names], color=colours, edgecolor="black")
    axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.set(
        ylim=(0, 105), ylabel="IoU in %", title=f"{report['split']}: mIoU {report['metrics']['miou']:.1f} %"
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
