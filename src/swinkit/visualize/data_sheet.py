"""A page that shows a data set: its problems first, then pictures of each class."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from swinkit.data.classification.check import DataReport
from swinkit.data.classification.samples import ClassData
from swinkit.visualize.contact_sheet import COLUMNS, Tile, draw_sheet
from swinkit.visualize.duplicate_sheet import draw_duplicates

PROBLEMS, CLASSES = 24, 40  # tiles of problems; classes that are shown


def draw_data(report: DataReport, path: Path) -> None:
    """Draw duplicates, up to 24 files with problems, six pictures of each of up to 40 classes, as PNG."""
    assert isinstance(report.data, ClassData)
    single = [problem for problem in report.problems if problem.twin is None]
    problems = [
        Tile(str(problem.path), [problem.kind, problem.path.name], right=False)
        for problem in single[:PROBLEMS]
    ]
    groups = {f"Problems ({len(single)})": problems}
    bad = {problem.path for problem in report.problems}
    sound: dict[int, list[tuple[str, Path]]] = defaultdict(list)
    for split, samples in report.data.splits.items():
        for sample in samples:
            if sample.path not in bad:
                for label in sample.labels:
                    sound[label].append((split, sample.path))
    for label, name in enumerate(report.data.classes[:CLASSES]):
        own = sound[label]
        shown = own[:: max(1, len(own) // COLUMNS)][:COLUMNS]
        total = sum(counts[label] for counts in report.counts.values())
        groups[f"{label}  {name} ({total})"] = [
            Tile(str(place), [place.name, split], right=True) for split, place in shown
        ]
    draw_sheet(groups, path, draw_duplicates(report))
