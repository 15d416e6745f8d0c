"""The class of every pixel, and what share of a video each class has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swinkit.errors import ConfigError, nearest
from swinkit.labels import Colour, background_ids
from swinkit.results.base import Result
from swinkit.rle import coco_rle, geojson
from swinkit.visualize.canvas import legend
from swinkit.visualize.overlay import overlaid

STRIP = 2**24  # pixels that are counted at once


@dataclass(frozen=True, eq=False)
class SegmentationMap(Result):
    """The class of every pixel: ids `labels` (H, W) uint8, with all names and colours of the model."""

    labels: NDArray[np.uint8]
    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SegmentationMap):
            return NotImplemented
        same = (self.path, self.names, self.colours) == (other.path, other.names, other.colours)
        return same and np.array_equal(self.labels, other.labels)

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    @cached_property
    def areas(self) -> dict[str, int]:
        """Pixels of each class that is there, the largest first."""
        rows = max(1, STRIP // self.labels.shape[1])  # for the labels of a large picture lie in a file
        parts = (self.labels[start : start + rows] for start in range(0, len(self.labels), rows))
        each = (np.bincount(part.ravel(), minlength=len(self.names)) for part in parts)
        counts = np.sum(list(each), axis=0).tolist()
        found = [(name, count) for name, count in zip(self.names, counts, strict=True) if count]
        return dict(sorted(found, key=lambda pair: -pair[1]))

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Where a class is (H, W); ConfigError for one that the model does not know."""
        if name not in self.names:
            raise ConfigError(f"There is no class {name!r}: {nearest(name, self.names)}")
        found: NDArray[np.bool_] = self.labels == self.names.index(name)
        return found

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the classes with id, name, pixels, their share and COCO's run lengths."""
        classes = [
            {
                "id": self.names.index(name),
                "name": name,
                "pixels": count,
                "share": count / self.labels.size,
                "rle": coco_rle(self.mask(name)),
            }
            for name, count in self.areas.items()
        ]
        return {"path": self.path, "size": list(self.size), "classes": classes}

    def to_geojson(self) -> dict[str, Any]:
        """A FeatureCollection with a MultiPolygon of each class, in pixels, y downward."""
        return geojson({name: self.mask(name) for name in self.areas})

    def lines(self) -> list[tuple[str, str]]:
        """Name and share of the picture of each class."""
        return [(name, f"{count / self.labels.size:.1%}") for name, count in self.areas.items()]

    def index_image(self) -> Image.Image:
        """A picture whose values are the class ids, shown in their colours: to be saved as PNG."""
        image = Image.fromarray(self.labels, "P")
        image.putpalette([channel for colour in self.colours for channel in colour])
        return image

    def draw(self, image: Image.Image | None = None, strength: float = 0.55) -> Image.Image:
        """The colours of the classes over the picture, by default that of `path`, and their names.

        Background is transparent.
        """
        hidden = background_ids(self.names, self.colours)
        ids = [self.names.index(name) for name in self.areas]
        shown = {self.names[i]: self.colours[i] for i in ids if i not in hidden}
        over = overlaid(image or self._picture(), self.labels, self.colours, hidden, strength)
        return legend(over, shown)


@dataclass(frozen=True)
class SegmentedVideo(Result):
    """What a video shows, frame by frame: mean share of the pixels of each class, the largest first."""

    size: tuple[int, int]
    frames: int
    names: tuple[str, ...]
    shares: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size`, the number of frames, and the classes with id, name and share."""
        classes = [
            {"id": self.names.index(name), "name": name, "share": share}
            for name, share in self.shares.items()
        ]
        return self._with_error(
            {"path": self.path, "size": list(self.size), "frames": self.frames, "classes": classes}
        )

    def lines(self) -> list[tuple[str, str]]:
        """Name and mean share of each class."""
        rows = [(name, f"{share:.1%}") for name, share in self.shares.items()]
        if self.error is not None:
            rows.append((self.error, ""))
        return rows
