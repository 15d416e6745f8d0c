"""Write annotated pictures, never over a file of the user's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from swinkit.data.media import Medium
from swinkit.data.video import stretch_of
from swinkit.explain.canvas import save_image
from swinkit.files import make_folder
from swinkit.results import Classes, Result


class Names:
    """Names in a folder for what is made of inputs, after which they are called; equal ones are numbered."""

    def __init__(self, folder: Path, inputs: Sequence[Path]) -> None:
        make_folder(folder)
        self.folder = folder
        self._taken = {path.resolve() for path in inputs}
        if any(path.parent.resolve() == folder.resolve() for path in inputs):  # the user's own lie here
            self._taken |= {path.resolve() for path in folder.iterdir()}

    def free(self, source: str | Path, suffix: str) -> Path:
        """A name that no input has, and nothing made before; a stretch of a video is part of its name."""
        file, span = stretch_of(source)
        stem = file.stem if span is None else f"{file.stem}_{span[0]:g}-{span[1]:g}"
        names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
        places = (self.folder / f"{name}{suffix}" for name in names)
        target = next(place for place in places if place.resolve() not in self._taken)
        self._taken.add(target.resolve())
        return target


def annotate(result: Result, names: Names, medium: Medium) -> Path | None:
    """Draw one result as PNG; a failure has no picture and gives None."""
    if not isinstance(result, Classes):
        return None
    picture = result.draw(medium.overview(result.path))
    target = names.free(result.path, ".png")
    save_image(picture, target)
    return target
