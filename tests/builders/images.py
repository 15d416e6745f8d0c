"""One small image in every format that is read, to be damaged."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

SIZE = (20, 24)  # height, width


def pixels(channels: int = 3) -> np.ndarray:
    """Noise over a gradient, so that every byte matters."""
    rng = np.random.default_rng(5)
    ramp = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 200
    noise = rng.integers(0, 56, (*SIZE, channels))
    return (ramp[..., None] + noise).astype(np.uint8)


def encoded(kind: str, *, channels: int = 3, **options: object) -> bytes:
    file = io.BytesIO()
    array = pixels(channels)
    Image.fromarray(array if channels > 1 else array[..., 0]).save(file, kind, **options)
    return file.getvalue()


def palette_png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels()).quantize(16).save(file, "PNG", transparency=3)
    return file.getvalue()


def deep_png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(1)[..., 0].astype(np.uint16) * 250).save(file, "PNG")
    return file.getvalue()


def turned_jpeg() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("JPEG", quality=90, exif=exif.tobytes())


def array_file(dtype: str) -> bytes:
    file = io.BytesIO()
    np.save(file, pixels().astype(dtype))
    return file.getvalue()


def float_tiff() -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(1)[..., 0].astype(np.float32)).save(file, "TIFF")
    return file.getvalue()


IMAGES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "PNG": (".png", lambda: encoded("PNG")),
    "PNG, uncompressed": (".png", lambda: encoded("PNG", compress_level=0)),
    "PNG, palette": (".png", palette_png),
    "PNG, 16 bits": (".png", deep_png),
    "JPEG": (".jpg", lambda: encoded("JPEG", quality=95)),
    "JPEG, progressive, grey": (".jpg", lambda: encoded("JPEG", channels=1, progressive=True)),
    "JPEG, turned": (".jpg", turned_jpeg),
    "TIFF": (".tif", lambda: encoded("TIFF")),
    "TIFF, LZW": (".tif", lambda: encoded("TIFF", compression="tiff_lzw")),
    "TIFF, floats": (".tif", float_tiff),
    "WebP": (".webp", lambda: encoded("WEBP", quality=90)),
    "WebP, lossless": (".webp", lambda: encoded("WEBP", lossless=True, channels=4)),
    "BMP": (".bmp", lambda: encoded("BMP")),
    "GIF": (".gif", lambda: encoded("GIF", channels=1)),
    "npy, uint8": (".npy", lambda: array_file("uint8")),
    "npy, uint16": (".npy", lambda: array_file("uint16")),
    "npy, float32": (".npy", lambda: array_file("float32")),
    "AVIF": (".avif", lambda: encoded("AVIF", quality=90)),
    "JPEG 2000": (".jp2", lambda: encoded("JPEG2000")),
}
