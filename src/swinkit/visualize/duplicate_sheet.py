"""The duplicates that a check of data found, side by side."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from swinkit.data.classification.check import DataReport, Problem
from swinkit.data.io.media import medium_of
from swinkit.errors import InputError
from swinkit.visualize.canvas import INK, PAPER
from swinkit.visualize.grid import GAP, WIDTH, Panel, grid, stacked
from swinkit.visualize.text import shortened

SHOWN, HEIGHT = 12, 240  # pairs; pixels of an image
TITLE = 18


def draw_duplicates(report: DataReport) -> Image.Image | None:
    """Return a page of up to 12 pairs of files with the same pixels, under their names; None without any."""
    pairs = duplicate_pairs(report)
    if not pairs:
        return None
    panels = []
    for problem, twin in pairs[:SHOWN]:
        kind = problem.kind if str(twin) in problem.text else f"{problem.kind}: {problem.text}"
        panels.append(Panel(_boxed(problem.path), (kind, _shown(problem.path, report.data.root))))
        panels.append(Panel(_boxed(twin), ("", _shown(twin, report.data.root))))
    page = grid([panels[i : i + 4] for i in range(0, len(panels), 4)])
    more = f", {SHOWN} of them below" if len(pairs) > SHOWN else ""
    title = shortened(f"Duplicates: {len(pairs)} pairs{more}", TITLE, page.width - 2 * GAP)
    head = Image.new("RGB", (page.width, title.height + GAP), PAPER)
    title.draw(head, (GAP, GAP), INK)
    return stacked(head, page)


def duplicate_pairs(report: DataReport) -> list[tuple[Problem, Path]]:
    """Return each pair of files with the same pixels once."""
    pairs: dict[frozenset[Path], tuple[Problem, Path]] = {}
    for problem in report.problems:
        if problem.twin is not None:
            pairs.setdefault(frozenset((problem.path, problem.twin)), (problem, problem.twin))
    return list(pairs.values())


def _boxed(path: Path) -> Image.Image:
    """Return an image within a grey field of one size; the field alone where the file has gone since."""
    field = Image.new("RGB", (WIDTH, HEIGHT), (228, 228, 231))
    try:
        image = medium_of(path).overview(str(path), at_least=HEIGHT)
    except InputError:
        return field
    scale = min(WIDTH / image.width, HEIGHT / image.height)
    smooth = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.convert("RGB").resize(size, smooth)
    field.paste(image, ((WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2))
    return field


def _shown(path: Path, root: Path) -> str:
    folder = root if root.is_dir() else root.parent
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
