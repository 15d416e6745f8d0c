"""A picture of any size at its own resolution, tile by tile, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from swinkit.config.predict import PredictConfig
from swinkit.data.image_ops import normalised
from swinkit.data.io.images import Picture
from swinkit.data.io.large_images import Regions, open_regions
from swinkit.data.io.multichannel import Planes
from swinkit.data.io.value_range import ValueRule
from swinkit.files import MADE_BY, not_writable, unfinished
from swinkit.inference.output import Names, write_map
from swinkit.progress import Advance, note_clipped
from swinkit.results import SegmentationMap
from swinkit.tasks.segment import Segmenter
from swinkit.tasks.sliding_window import WINDOW_STEP, Blend

ROOM = 2**27  # probabilities held at once, 0.5 GB
SEEN = 2048  # pixels of the long side of the picture for people
LARGE = 2**26  # pixels from which the map is held in a file


def segment_tiles(
    task: Segmenter,
    path: Path,
    config: PredictConfig,
    names: Names | None,
    *,
    advance: Advance = lambda *, completed, total: None,
) -> SegmentationMap:
    """The class of every pixel of a picture, not resized; parts of a TIFF are read as they are wanted.

    With `names` pictures are written as `save` says; the map of a picture of more than 64 million pixels is
    then a TIFF from the start, and is not held in memory. ImageError for a picture that cannot be read.
    """
    assert config.tile is not None
    pre = task.preprocessing
    with open_regions(path, pre.channels, ValueRule.of(pre)) as regions, ExitStack() as opened:
        step = config.stride or max(1, round(config.tile * WINDOW_STEP))
        blend = Blend(regions.size, config.tile, step, classes=len(task.classes), room=ROOM)
        large = regions.size[0] * regions.size[1] > LARGE and names is not None
        place = names.free(path, "_index.tif")[0] if large and names is not None else None
        ids = (
            np.zeros(regions.size, np.uint8)
            if place is None
            else opened.enter_context(_growing(place, regions.size))
        )
        answer = _answers(task, regions, config, partial(advance, total=blend.tiles))
        for rows, columns, part in blend.answers(answer):
            ids[rows, columns] = part.numpy()
        seen = None if names is None else for_people(sampled(regions))
        clipped = regions.clipped()
    note_clipped(clipped, 1)
    result = SegmentationMap(str(path), ids, task.classes, task.labels.colours)
    if names is not None and seen is not None:
        write_map(result, names, config.save, seen, index=place)
    return result


@contextmanager
def _growing(place: Path, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Class ids in a TIFF, which gets its name when all of them are there."""
    import tifffile

    try:
        with unfinished(place) as temporary:
            ids = tifffile.memmap(temporary, shape=size, dtype=np.uint8, bigtiff=True, software=MADE_BY)
            yield ids
            ids.flush()
    except OSError as error:
        raise not_writable(place, error) from error


def _answers(
    task: Segmenter, regions: Regions, config: PredictConfig, advance: Callable[..., object]
) -> Callable[[list[tuple[slice, slice]]], Iterator[Tensor]]:
    """What answers tiles, some at a time."""
    done = count(1)
    pre, size = task.preprocessing, config.batch_size or (8 if task.device.type == "cuda" else 1)

    @torch.inference_mode()
    def some(places: list[tuple[slice, slice]]) -> Tensor:
        pictures = [normalised(regions.read(*place), pre.mean, pre.std) for place in places]
        x = torch.stack(pictures).to(task.device, task.dtype)
        shown = task.probabilities(task(x))
        return (shown + task.probabilities(task(x.flip(-1))).flip(-1)) / 2 if config.flip else shown

    def answer(places: list[tuple[slice, slice]]) -> Iterator[Tensor]:
        for start in range(0, len(places), size):
            own = places[start : start + size]
            for probabilities in some(own):
                yield probabilities
                advance(completed=next(done))

    return answer


def sampled(regions: Regions) -> NDArray[np.float32]:
    """The picture (h, w, channels) on the scale 0..255, of a large one every so many pixels."""
    height, width = regions.size
    factor = max(1, -(-max(height, width) // SEEN))
    rows = [
        np.asarray(regions.read(slice(top, top + 1), slice(0, width)), np.float32).reshape(1, width, -1)
        for top in range(0, height, factor)
    ]
    return np.concatenate([row[:, ::factor] for row in rows])


def for_people(pixels: NDArray[np.float32]) -> Image.Image:
    """The first three channels as RGB, or one as grey."""
    shown = pixels[..., :3].clip(0, 255).astype(np.uint8)
    return Image.fromarray(shown if shown.shape[2] == 3 else shown[..., 0]).convert("RGB")


def as_seen(pixels: NDArray[np.float32], *, floats: bool) -> Picture:
    """The same as an image for a model of so many channels."""
    if not floats:
        whole = pixels.clip(0, 255).astype(np.uint8)
        return Image.fromarray(whole[..., 0] if whole.shape[2] == 1 else whole)
    return Planes.from_floats(pixels)


def holds_floats(regions: Regions) -> bool:
    """Whether an image has other numbers than 8 bits."""
    return isinstance(regions.read(slice(0, 1), slice(0, 1)), Planes)
