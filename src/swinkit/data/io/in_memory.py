"""Images and clips in memory: arrays and tensors, read as files that hold the same values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from swinkit.data.io.deep_images import Stored
from swinkit.data.io.images import MAX_PIXELS, PLAIN, Picture, as_picture, coloured, opened_picture
from swinkit.data.io.multichannel import check_pixels
from swinkit.data.io.value_range import ValueRule
from swinkit.errors import ConfigError, ImageError

Numbers = NDArray[Any] | Tensor
COLOURS = (1, 2, 3, 4)  # channels of grey and RGB images, without and with opacity
KINDS = "buif"  # of numpy's types: bool, whole numbers and floats


def is_in_memory(source: object) -> bool:
    """Return whether this is an image or a clip in memory, or a frame of one."""
    return isinstance(source, Image.Image | np.ndarray | Tensor)


def is_single(inputs: object) -> bool:
    """Return whether this is one file, image or clip, or a batch in memory, not a collection of several."""
    return isinstance(inputs, str | Path) or is_in_memory(inputs) or not isinstance(inputs, Iterable)


def all_in_memory(inputs: Any) -> bool:
    """Return whether inputs are in memory, not files; ConfigError where some are and some are not.

    Several are a list.
    """
    if is_single(inputs):
        return not isinstance(inputs, str | Path)
    files = [isinstance(source, str | Path) for source in inputs]
    if any(files) and not all(files):
        raise ConfigError("Some inputs are files and some are in memory: give files alone, or images alone.")
    return bool(files) and not any(files)


def split_images(inputs: Any) -> list[Any]:
    """Return one image or several as a list; arrays and tensors of four axes are batches.

    Raises ConfigError for what is neither.
    """
    if isinstance(inputs, np.ndarray | Tensor):
        return list(inputs) if inputs.ndim == 4 else [inputs]
    if isinstance(inputs, str | Path | Image.Image):
        return [inputs]
    if not isinstance(inputs, Iterable):
        raise ConfigError(f"A {type(inputs).__name__} is no input: give files or pictures.")
    return list(inputs)


def split_clips(inputs: Any) -> list[Any]:
    """Return one clip or several as a list; a list of frames is one clip, five axes are a batch.

    Raises ConfigError for what is neither.
    """
    if isinstance(inputs, Image.Image):
        raise ConfigError("One image is no video: give files, folders of frames, or a list of frames.")
    if isinstance(inputs, np.ndarray | Tensor):
        return list(inputs) if inputs.ndim == 5 else [clip_frames(inputs)]
    clips = split_images(inputs)
    return [clips] if clips and all(map(_is_frame, clips)) else clips


def _is_frame(source: object) -> bool:
    return isinstance(source, Image.Image) or (isinstance(source, np.ndarray | Tensor) and source.ndim <= 3)


def memory_picture(
    source: Image.Image | Numbers, channels: int, rule: ValueRule = PLAIN
) -> tuple[Picture, tuple[int, int]]:
    """Return an image in memory for a model of so many channels, and its (height, width).

    Arrays are (H, W) or (H, W, C), tensors (H, W) or (C, H, W). Two and four channels of whole numbers are
    grey and RGB with opacity, as in a PNG. Raises ConfigError for what is no image, ImageError for numbers
    whose range the rule does not know.
    """
    if isinstance(source, Image.Image):
        return opened_picture(source, channels, rule)
    array = _channels_last(source, channels)
    check_pixels(array, "The array", MAX_PIXELS)
    size = array.shape[0], array.shape[1]
    if channels not in (1, 3):
        return as_picture(array, "The array", channels, rule), size
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype == np.uint8:
        pixels = np.ascontiguousarray(array[..., 0] if array.shape[2] == 1 else array)
        return opened_picture(Image.fromarray(pixels), channels, rule)
    if rule.limits(array.dtype) is None:
        raise ImageError(
            f"The array holds {array.dtype} numbers, whose range is not known: give uint8, or say with "
            "swinkit.predict(…, value_range=(LO, HI)) which values are black and white."
        )
    opaque = array.dtype != np.uint16 or array.shape[2] in (1, 3)
    return coloured(Stored(array, "plain" if opaque else "alpha"), "The array", channels, rule), size


def _channels_last(source: Numbers, channels: int) -> NDArray[Any]:
    """(H, W, C) of an array or tensor; ConfigError for what is no image."""
    array = _numbers(source, "an image")
    if isinstance(source, Tensor) and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 2:
        array = array[..., None]
    fitting = COLOURS if channels in (1, 3) else (channels,)
    if array.ndim != 3 or array.shape[2] not in fitting or 0 in array.shape:
        count = "C" if channels in (1, 3) else str(channels)
        axes = f"a tensor ({count}, H, W)" if isinstance(source, Tensor) else f"an array (H, W, {count})"
        grey = " or (H, W)" if channels in (1, 3) else ""
        raise ConfigError(f"{_described(source)} is not an image: give {axes}{grey} of type uint8.")
    return array


def _numbers(source: Numbers, what: str) -> NDArray[Any]:
    """Return the numbers as an array; ConfigError for types that are no pixels, and for float tensors."""
    if isinstance(source, Tensor):
        if source.is_floating_point() or source.is_complex():
            raise ConfigError(
                f"{_described(source)} is not {what}: give uint8, or call the model itself with normalised "
                "values."
            )
        return source.detach().cpu().numpy()
    if source.dtype.kind not in KINDS:
        raise ConfigError(f"{_described(source)} is not {what}: give uint8.")
    return source


def _described(source: Numbers) -> str:
    kind = "A tensor" if isinstance(source, Tensor) else "An array"
    return f"{kind} of shape {tuple(source.shape)} and type {str(source.dtype).removeprefix('torch.')}"


def clip_frames(source: Any) -> Sequence[Any]:
    """Return the frames of a clip in memory: arrays (T, H, W, C), tensors (T, C, H, W), lists of images.

    Raises ConfigError for what is none.
    """
    if isinstance(source, list | tuple):
        if all(map(_is_frame, source)):
            return source
        other = next(type(frame).__name__ for frame in source if not _is_frame(frame))
        raise ConfigError(f"A {other} is no frame of a video: give arrays (H, W, C) or PIL images.")
    if source.ndim != 4 or source.shape[1 if isinstance(source, Tensor) else -1] not in (1, 3, 4):
        axes = "a tensor (T, C, H, W)" if isinstance(source, Tensor) else "an array (T, H, W, C)"
        raise ConfigError(
            f"{_described(source)} is not a video: give {axes} of type uint8, or a list of frames."
        )
    return list(torch.unbind(source)) if isinstance(source, Tensor) else list(source)
