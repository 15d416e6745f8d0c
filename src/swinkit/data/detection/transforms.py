"""A picture and its objects on their way to training: resized, cut, mirrored, pasted into each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.data.batch import Objects
from swinkit.data.detection.samples import NO_CLASS, Annotated, Shape
from swinkit.data.image_ops import distorted, fitted, normalised
from swinkit.data.io.images import Picture
from swinkit.data.io.multichannel import Planes
from swinkit.features import Size
from swinkit.rle import as_rle, mask_of

SHORTS = tuple(range(480, 801, 32))  # published short sides of a model whose pictures have 800
FIRST_SHORTS = (400, 500, 600)  # before a crop
CROP = (384, 600)  # least and most pixels of its sides
USUAL = 800
JITTER = (0.1, 2.0)  # factors of large-scale jitter
GREY = 114  # of a mosaic's cells where no picture is
HIDDEN, LEFT = 10, 300  # mmdet's CopyPaste: see `pasted`


Step = Callable[[Picture, "Frame"], tuple[Picture, "Frame"]]


class Scene(NamedTuple):
    """A picture as it was read, and what is in it."""

    picture: Picture
    sample: Annotated


@dataclass(frozen=True)
class Frame:
    """Where a changed picture of (height, width) has what was at x, y: at `scale` · (x, y) + `shift`."""

    size: Size
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)

    def resized(self, size: Size) -> Frame:
        """After a change of size."""
        x, y = size[1] / self.size[1], size[0] / self.size[0]
        return Frame(size, (self.scale[0] * x, self.scale[1] * y), (self.shift[0] * x, self.shift[1] * y))

    def cropped(self, corner: tuple[int, int], size: Size) -> Frame:
        """After a cut, or a border, that begins at (row, column)."""
        return Frame(size, self.scale, (self.shift[0] - corner[1], self.shift[1] - corner[0]))

    def mirrored(self) -> Frame:
        """After a left-right flip."""
        return Frame(
            self.size, (-self.scale[0], self.scale[1]), (self.size[1] - self.shift[0], self.shift[1])
        )

    def boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where boxes (N, 4) are now, cut at the borders."""
        x, y = (
            np.sort(boxes[:, axis::2] * self.scale[axis] + self.shift[axis], 1).clip(0, self.size[1 - axis])
            for axis in (0, 1)
        )
        found: NDArray[np.float64] = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1)
        return found

    def mask(self, shape: Shape) -> NDArray[np.bool_]:
        """Which pixels (height, width) a shape covers now; polygons by COCO's rules."""
        if shape is None:
            return np.zeros(self.size, bool)
        if isinstance(shape, dict):
            return self._moved(mask_of(shape))
        height, width = self.size
        far = (-2 * width, -2 * height), (3 * width, 3 * height)  # beyond, it would take memory for nothing
        rings = [(np.reshape(ring, (-1, 2)) * self.scale + self.shift).clip(*far) for ring in shape]
        low = np.floor(np.minimum(0, np.min([ring.min(0) for ring in rings], 0))).astype(int)
        high = np.ceil(np.max([ring.max(0) for ring in rings] + [self.size[::-1]], 0)).astype(int)
        # COCO's rules know no points outside of a picture, so that it is drawn on one that is large enough
        size = int(high[1] - low[1]), int(high[0] - low[0])
        drawn = mask_of(as_rle([(ring - low).ravel().tolist() for ring in rings], size))
        return drawn[-low[1] :, -low[0] :][: self.size[0], : self.size[1]]

    def _moved(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the original, by its nearest pixels."""
        rows, columns = (
            (np.arange(side) + 0.5 - self.shift[axis]) / self.scale[axis]
            for axis, side in ((1, self.size[0]), (0, self.size[1]))
        )
        inside = [
            (places >= 0) & (places < side) for places, side in zip((rows, columns), mask.shape, strict=True)
        ]
        nearest = (
            places.astype(int).clip(0, side - 1)
            for places, side in zip((rows, columns), mask.shape, strict=True)
        )
        found: NDArray[np.bool_] = mask[np.ix_(*nearest)] & inside[0][:, None] & inside[1]
        return found


class ObjectTransform:
    """Picture and objects for training: resized and cut, mirrored, pasted into each other, distorted.

    `published` resizing is that of Swin's detectors: for half of the pictures to a short side from
    `SHORTS`; for the others to one of `FIRST_SHORTS`, cut to sides of `CROP` pixels, and resized so; all of
    these in proportion to the model's short side. `jitter` resizes by a factor of 0.1 to 2 what fits into
    the model's square, and cuts that out (Ghiasi et al. 2021). Draws from torch's global generator.
    """

    def __init__(self, pre: Preprocessing, augmentation: Augmentation, *, masks: bool) -> None:
        assert pre.dense is not None
        self.pre, self.dense, self.masks = pre, pre.dense, masks
        self.resizing, self.flip = augmentation.resizing, augmentation.hflip
        self.copy_paste, self.mosaic = augmentation.copy_paste, augmentation.mosaic
        self.distort = augmentation.distortion and pre.channels == 3
        self.ignores_crowds = augmentation.crowds == "ignored"

    def draw(self, count: int) -> int | None:
        """The place, of so many, of the picture whose objects are pasted into the next one; None for none."""
        return _one_of(range(count)) if self.copy_paste and _chance(self.copy_paste) else None

    def draw_others(self, count: int) -> list[int]:
        """The places, of so many, of the pictures that make a mosaic with the next one; none for none."""
        if not self.mosaic or not _chance(self.mosaic):
            return []
        return [_one_of(range(count)) for _ in range(_one_of((3, 8)))]

    def __call__(
        self, scene: Scene, other: Scene | None = None, beside: Sequence[Scene] = ()
    ) -> tuple[Tensor, Objects]:
        """Picture (C, h, w), normalised, and its objects; those of `other` pasted in.

        With 3 or 8 scenes `beside` all make a mosaic, which fills the model's square.
        """
        if beside:
            count = math.isqrt(len(beside) + 1)
            cell = self.pre.size // count
            fitting = partial(_fit, limits=(cell, cell))
            view = tiled([self._varied(own, [fitting]) for own in (scene, *beside)], count, cell)
        else:
            view = self._varied(scene)
        if other is not None:
            view = pasted(view, self._varied(other))
        picture = view.picture
        if self.distort:
            picture = distorted(picture)
        image = normalised(picture, self.pre.mean, self.pre.std)
        boxes, labels = torch.from_numpy(view.boxes).float(), torch.from_numpy(view.labels)
        ignored = torch.from_numpy(view.ignored).float() if len(view.ignored) else None
        masks = None
        if self.masks:
            assert view.masks is not None
            masks = torch.from_numpy(view.masks.astype(np.uint8))
        return image, Objects(boxes, labels, masks, ignored=ignored)

    def _varied(self, scene: Scene, steps: Sequence[Step] | None = None) -> View:
        """One picture resized, cut and mirrored, with those of its objects that are still to be seen."""
        picture = scene.picture
        frame = Frame((picture.height, picture.width))
        for step in self._steps(frame.size) if steps is None else steps:
            picture, frame = step(picture, frame)
        if _chance(self.flip):
            picture, frame = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), frame.mirrored()
        sample = scene.sample
        boxes = frame.boxes(sample.boxes)
        visible = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(1)
        seen = visible & ~sample.crowd
        hidden = frame.boxes(np.array(sample.ignored, np.float64).reshape(-1, 4))
        # what has no class of the data is never background, whatever its group is
        silent = sample.crowd if self.ignores_crowds else sample.crowd & (sample.labels == NO_CLASS)
        ignored = np.concatenate([boxes[visible & silent], hidden])
        masks = None
        if self.masks or self.copy_paste:
            shown = [frame.mask(sample.shapes[place]) for place in np.flatnonzero(seen)]
            masks = np.array(shown, bool).reshape(-1, *frame.size)
        return View(picture, boxes[seen], sample.labels[seen], masks, ignored)

    def _steps(self, size: Size) -> list[Step]:
        """What is done to a picture of this size."""
        long, short = self.dense.limits(size)
        if self.resizing == "none":
            return [partial(_fit, limits=(long, short))]
        if self.resizing == "jitter":
            side, (low, high) = self.pre.size, JITTER
            factor = low + (high - low) * torch.rand(()).item()
            return [partial(_fit, limits=(side * factor,) * 2), partial(_cut, sides=(side, side))]
        factor = short / USUAL
        last = partial(_fit, limits=(long, factor * _one_of(SHORTS)))
        if _chance(0.5):
            return [last]
        least, most = (round(factor * side) for side in CROP)
        height, width = (int(torch.randint(least, most + 1, ()).item()) for _ in range(2))
        first = partial(_fit, limits=(long, factor * _one_of(FIRST_SHORTS)))
        return [first, partial(_cut, sides=(height, width)), last]


@dataclass(frozen=True)
class View:
    """A changed picture, and what is to be seen in it; `masks` (N, H, W) where they are wanted.

    `ignored` (M, 4) are the boxes of regions that teach nothing.
    """

    picture: Picture
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_] | None
    ignored: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))


def _fit(picture: Picture, frame: Frame, *, limits: tuple[float, float]) -> tuple[Picture, Frame]:
    """As large as fits in, at its shape."""
    height, width = fitted(frame.size, limits)
    return picture.resize((width, height), Image.Resampling.BILINEAR), frame.resized((height, width))


def _cut(picture: Picture, frame: Frame, *, sides: tuple[int, int]) -> tuple[Picture, Frame]:
    """A part of (height, width) from anywhere, or all of a side that is shorter."""
    height, width = (min(have, wanted) for have, wanted in zip(frame.size, sides, strict=True))
    top, left = (
        int(torch.randint(have - side + 1, ()).item())
        for have, side in zip(frame.size, (height, width), strict=True)
    )
    cut = picture.crop((left, top, left + width, top + height))
    return cut, frame.cropped((top, left), (height, width))


def pasted(view: View, other: View) -> View:
    """Some of the objects of another picture in one; what they cover is no longer there.

    As mmdet's `CopyPaste`: of an object partly covered the box becomes that of what is left, and it is gone
    where one of its sides moves by more than 10 pixels and no more than 300 pixels are left.
    """
    assert view.masks is not None
    assert other.masks is not None
    chosen = torch.rand(len(other.labels)).numpy() < 0.5
    if not chosen.any():
        return view
    size = view.masks.shape[1:]
    given = np.stack([_on(mask, size) for mask in other.masks[chosen]])
    cover: NDArray[Any] = np.logical_or.reduce(given)
    (picture, pasted_picture) = alike([view.picture.copy(), other.picture])
    picture.paste(pasted_picture, (0, 0), Image.fromarray(_on(cover, other.masks.shape[1:])))
    left: NDArray[Any] = view.masks & ~cover
    boxes = boxes_of(left)
    moved = np.abs(boxes - view.boxes).max(1, initial=0)
    touched = (view.masks & cover).any((1, 2))
    kept = ~touched | (moved <= HIDDEN) | (left.sum((1, 2)) > LEFT)
    kept &= left.any((1, 2)) | ~touched
    boxes = np.where(touched[:, None], boxes, view.boxes)[kept]
    seen = given.any((1, 2))
    return View(
        picture,
        np.concatenate([boxes, boxes_of(given[seen])]),
        np.concatenate([view.labels[kept], other.labels[chosen][seen]]),
        np.concatenate([left[kept], given[seen]]),
        view.ignored,
    )


def tiled(views: Sequence[View], count: int, cell: int) -> View:
    """A square of `count` by `count` cells of that side, in each the next image, in a corner of its cell."""
    side = count * cell
    pictures = alike([view.picture for view in views])
    page = _grey_page(pictures[0], side)
    boxes, ignored, masks = [], [], []
    for number, view in enumerate(views):
        top, left = (place * cell for place in divmod(number, count))
        page.paste(pictures[number], (left, top))
        boxes.append(view.boxes + np.array([left, top] * 2))
        ignored.append(view.ignored + np.array([left, top] * 2))
        if view.masks is not None:
            moved = np.zeros((len(view.masks), side, side), bool)
            height, width = view.masks.shape[1:]
            moved[:, top : top + height, left : left + width] = view.masks
            masks.append(moved)
    labels = np.concatenate([view.labels for view in views])
    shapes = np.concatenate(masks) if masks else None
    return View(page, np.concatenate(boxes), labels, shapes, np.concatenate(ignored))


def alike(pictures: Sequence[Picture]) -> list[Any]:
    """Images that can be put together: all of them floats where one is."""
    if not any(isinstance(picture, Planes) for picture in pictures):
        return list(pictures)
    return [picture if isinstance(picture, Planes) else Planes.of_image(picture) for picture in pictures]


def _grey_page(picture: Picture, side: int) -> Any:
    """A square of grey, of the same kind as an image."""
    if isinstance(picture, Planes):
        return Planes([Image.new("F", (side, side), GREY) for _ in picture.bands])
    return Image.new(picture.mode, (side, side), GREY if picture.mode == "L" else (GREY,) * 3)


def boxes_of(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The boxes (N, 4) around masks (N, H, W); zeros for an empty one."""
    found = np.zeros((len(masks), 4))
    for box, mask in zip(found, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return found


def _on(mask: NDArray[np.bool_], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask on a page of another (height, width), from the same upper left corner."""
    page = np.zeros(size, bool)
    height, width = (min(sides) for sides in zip(mask.shape, size, strict=True))
    page[:height, :width] = mask[:height, :width]
    return page


def _chance(share: float) -> bool:
    return torch.rand(()).item() < share


def _one_of(choices: Sequence[int]) -> int:
    return choices[int(torch.randint(len(choices), ()).item())]
