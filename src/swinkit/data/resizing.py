"""Resize an image and cut the part that a model takes, as `Preprocessing` says."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from swinkit.config.preprocessing import Interpolation, Preprocessing
from swinkit.data.io.images import Picture
from swinkit.data.io.multichannel import Planes
from swinkit.errors import ImageError

FILTERS: dict[Interpolation, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}

_MAX_PIXELS = 2**22  # of a resized image of which only a part is cut


def central_crop(image: Picture, pre: Preprocessing, position: float = 0.5) -> Picture:
    """Resize an image and cut `pre.sides` out of it, at a position along the longer margin from 0 to 1.

    Raises ImageError if the image has another size than the only one that the model takes.
    """
    high, wide = pre.sides
    if pre.resize == "exact" and image.size != (wide, high):
        raise ImageError(
            f"An image has {image.width}×{image.height} pixels, and the model's preprocessing resizes none: "
            f"give images of {wide}×{high}."
        )
    width, height = _resized_size(image, pre)
    positions = (position, 0.5) if width - wide >= height - high else (0.5, position)
    left = _offset(width - wide, positions[0], pre)
    top = _offset(height - high, positions[1], pre)
    if width * height <= max(16 * wide * high, _MAX_PIXELS) or pre.resize in ("none", "exact"):
        return _cut(resize_image(image, (width, height), pre), (left, top), pre)
    # A line of 30000×1 would become one of 30000·size × size: compute what lies in the crop alone.
    columns = max(0, left), min(width, left + wide)
    rows = max(0, top), min(height, top + high)
    across, down = image.width / width, image.height / height
    box = (columns[0] * across, rows[0] * down, columns[1] * across, rows[1] * down)
    box = (*box[:2], min(box[2], image.width), min(box[3], image.height))
    part = image.resize((columns[1] - columns[0], rows[1] - rows[0]), FILTERS[pre.interpolation], box)
    return _cut(part, (left - columns[0], top - rows[0]), pre)


def resize_image(image: Picture, size: tuple[int, int], pre: Preprocessing) -> Picture:
    """Resize to (width, height) by the model's interpolation."""
    if image.size == size:
        return image
    if pre.antialias:
        return image.resize(size, FILTERS[pre.interpolation])
    if isinstance(image, Planes):
        return image.each(lambda band: _resize_without_antialias(band, size, pre))
    return _resize_without_antialias(image, size, pre)


def _resize_without_antialias(image: Image.Image, size: tuple[int, int], pre: Preprocessing) -> Image.Image:
    """Interpolate between the nearest pixels alone, as torchvision does for tensors of 8 bits."""
    pixels = np.array(image)
    flat = torch.from_numpy(pixels.reshape(image.height, image.width, -1)).permute(2, 0, 1)[None].float()
    corners = None if pre.interpolation == "nearest" else False
    values = F.interpolate(flat, size=size[::-1], mode=pre.interpolation, align_corners=corners)[0]
    if pixels.dtype == np.uint8:
        values = values.clamp(0, 255).round().to(torch.uint8)
    changed = values.permute(1, 2, 0).reshape(*size[::-1], *pixels.shape[2:]).contiguous().numpy()
    return Image.fromarray(changed)


def _resized_size(image: Picture, pre: Preprocessing) -> tuple[int, int]:
    """Width and height before the crop; whole pixels, cut and rounded as upstream does."""
    height, width = pre.resized
    if pre.resize == "stretch":
        return width, height
    if pre.resize in ("none", "exact"):
        return image.size
    if pre.resize == "short" and height == width:
        return shorter_side_to(image.size, height, pre.longest)
    # timm's ResizeKeepRatio
    ratios = image.height / height, image.width / width
    ratio = max(ratios) if pre.resize == "border" else min(ratios)
    return max(1, round(image.width / ratio)), max(1, round(image.height / ratio))


def shorter_side_to(size: tuple[int, int], side: int, longest: int | None) -> tuple[int, int]:
    """Width and height of an image whose short side becomes `side`, as torchvision and transformers round.

    The short side becomes less where the long one would pass `longest`; the long one then follows from it
    before it is rounded (transformers' `get_size_with_aspect_ratio`).
    """
    short, long = min(size), max(size)
    exact_side = float(side)
    if longest is not None and long / short * side > longest:
        exact_side = longest * short / long
        side = max(1, round(exact_side))
    if short == side:
        return size
    resized_long = max(1, int(exact_side * long / short))
    return (resized_long, side) if size[0] > size[1] else (side, resized_long)


def _offset(margin: int, position: float, pre: Preprocessing) -> int:
    """Where a crop begins in a margin of so many pixels; below 0 where it is larger than the image."""
    if pre.rounding == "transformers" and position == 0.5:
        return margin // 2
    return round(margin * position) if margin >= 0 else -(-margin // 2)


def _cut(image: Picture, corner: tuple[int, int], pre: Preprocessing) -> Picture:
    """Cut the input of a model; beyond the image lies black, or with a border the mean."""
    left, top = corner
    high, wide = pre.sides
    inside = min(left, top) >= 0 and left + wide <= image.width and top + high <= image.height
    if pre.resize != "border" or inside:
        return image.crop((left, top, left + wide, top + high))
    fill = [round(255 * value) for value in pre.mean]
    if isinstance(image, Planes):
        bands = zip(image.bands, fill, strict=True)
        return Planes([_pasted(band, corner, (wide, high), value) for band, value in bands])
    return _pasted(image, corner, (wide, high), fill[0] if len(fill) == 1 else tuple(fill))


def _pasted(
    image: Image.Image, corner: tuple[int, int], size: tuple[int, int], fill: int | tuple[int, ...]
) -> Image.Image:
    canvas = Image.new(image.mode, size, fill)
    canvas.paste(image, (-corner[0], -corner[1]))
    return canvas
