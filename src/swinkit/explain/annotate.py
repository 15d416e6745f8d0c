"""Write annotated pictures, never over a picture of the user's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from swinkit.data.media import preview
from swinkit.explain.canvas import save_image
from swinkit.files import make_folder
from swinkit.results import Classes, Result


class Annotator:
    """Draws results into a folder, one PNG an input, named after it; equal names are numbered."""

    def __init__(self, folder: Path, inputs: Sequence[Path]) -> None:
        make_folder(folder)
        self.folder = folder
        self.taken = {path.resolve() for path in inputs}
        if any(path.parent.resolve() == folder.resolve() for path in inputs):  # the user's pictures lie here
            self.taken |= {path.resolve() for path in folder.iterdir()}

    def write(self, result: Result) -> Path | None:
        """Draw one result; a failure has no picture and gives None."""
        if not isinstance(result, Classes):
            return None
        picture = result.draw(preview(result.path))
        target = self._free(Path(result.path).stem)
        save_image(picture, target)
        return target

    def _free(self, stem: str) -> Path:
        names = itertools.chain([f"{stem}.png"], (f"{stem}-{n}.png" for n in itertools.count(2)))
        target = next(
            self.folder / name for name in names if (self.folder / name).resolve() not in self.taken
        )
        self.taken.add(target.resolve())
        return target
