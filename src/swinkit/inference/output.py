"""Write annotated pictures, never over a file of the user's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from swinkit.config.predict import PredictConfig
from swinkit.data.io.media import Medium
from swinkit.data.io.video import stretch_of
from swinkit.errors import DataError
from swinkit.files import (
    MADE_BY,
    fitting_stem,
    is_ours,
    is_replaceable,
    make_folder,
    remove_stale,
    write_text,
)
from swinkit.results import Classes, Detections, Result, SegmentationMap
from swinkit.visualize.canvas import save_image

SUFFIXES = {"overlay": ".png", "colour": "_colour.png", "index": "_index.png", "geojson": ".geojson"}
OBJECT_COLUMNS = ("frame", "time", "track", "name", "category_id", "score", "x1", "y1", "x2", "y2")


class Names:
    """Names in a folder for what is made of inputs, after which they are called; equal ones are numbered.

    What was there before keeps its name, unless we made it.
    """

    def __init__(self, folder: Path, inputs: Sequence[Path]) -> None:
        make_folder(folder)
        remove_stale(folder)
        self.folder = folder
        self._taken = {path.resolve() for path in inputs}

    def free(self, source: str | Path, *suffixes: str) -> list[Path]:
        """One name, with each of the suffixes; a stretch of a video is part of it."""
        file, span = stretch_of(source)
        stem = file.stem if span is None else f"{file.stem}_{span[0]:g}-{span[1]:g}"
        stem = fitting_stem(stem, self.folder, max(map(len, suffixes)))
        for name in itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2))):
            places = [self.folder / f"{name}{suffix}" for suffix in suffixes]
            if all(map(self._is_free, places)):
                break
        self._taken |= {place.resolve() for place in places}
        return places

    def _is_free(self, place: Path) -> bool:
        there = place.exists() or place.is_symlink()  # a link to nothing is the user's too
        return place.resolve() not in self._taken and (not there or is_replaceable(place))


def without_ours(files: list[Path], given: str | Path | Iterable[str | Path], out: Path) -> list[Path]:
    """Inputs without what we wrote into `out` before, but with what is named itself.

    Raises DataError where nothing else is left.
    """
    named = {Path(path) for path in ([given] if isinstance(given, str | Path) else given)}
    place = out.resolve()
    left = [f for f in files if f in named or f.parent.resolve() != place or not is_ours(f)]
    if not left:
        raise DataError(f"{out} holds nothing but what swinkit has written into it.")
    return left


def annotate(
    result: Result,
    names: Names,
    medium: Medium,
    config: PredictConfig,
    *,
    image: Image.Image | None = None,
) -> None:
    """Draw one result as PNG, or a map of classes as `save` says; a failure has no picture.

    `image` is what was predicted, by default that of the result's path.
    """
    if not isinstance(result, SegmentationMap | Detections | Classes):
        return
    image = medium.overview(result.path) if image is None else image
    if isinstance(result, SegmentationMap):
        write_map(result, names, config.save, image)
    elif isinstance(result, Detections):
        write_objects(result, names, image, config.score)
    else:
        (target,) = names.free(result.path, ".png")
        save_image(result.draw(image), target)


def write_objects(result: Detections, names: Names, picture: Image.Image, score: float | None) -> None:
    """Draw the objects that are so sure, by default as `Detections.draw`."""
    (target,) = names.free(result.path, ".png")
    save_image(result.draw(picture, score), target)


def write_map(
    result: SegmentationMap,
    names: Names,
    save: Sequence[str],
    picture: Image.Image,
    *,
    index: Path | None = None,
) -> None:
    """Write a map of classes as overlay, colour, index (PNGs) and geojson; of a large one smaller pictures.

    `index` is the file where its class ids are already.
    """
    wanted = {
        kind: SUFFIXES[kind] for kind in SUFFIXES if kind in save and (kind != "index" or index is None)
    }
    places = dict(zip(wanted, names.free(result.path, *wanted.values()), strict=True))
    factor = 1 if index is None else -(-max(result.size) // max(picture.size))
    small = replace(result, labels=np.ascontiguousarray(result.labels[::factor, ::factor]))
    if "overlay" in places:
        save_image(small.draw(picture), places["overlay"])
    if "colour" in places:
        save_image(small.index_image().convert("RGB"), places["colour"])
    if "index" in places:
        save_image(result.index_image(), places["index"])
    if "geojson" in places:
        text = json.dumps({"creator": MADE_BY, **result.to_geojson()}, ensure_ascii=False)
        write_text(places["geojson"], text + "\n")
