from __future__ import annotations

import io
import resource
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swinkit.data.io import images as reading
from swinkit.data.io.images import check_header, read_image, read_sized
from swinkit.data.io.media import find_inputs
from swinkit.data.io.paths import natural_key
from swinkit.data.io.value_range import ValueRule
from swinkit.errors import DataError, ImageError


def pixels(path: Path, **options: object) -> list:
    return np.asarray(read_image(path, **options)).tolist()


def png_with_header(width: int, height: int) -> bytes:
    """A PNG whose header promises 8-bit RGB of any size, with next to no data behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


# --- modes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129, 257, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"deep.{suffix}")
    assert pixels(tmp_path / f"deep.{suffix}", mode="L") == [[0, 0, 1, 1, 128, 255]]
    assert pixels(tmp_path / f"deep.{suffix}")[0][4] == [128, 128, 128]


def test_16_bit_big_endian_tiff(tmp_path: Path) -> None:
    image = Image.frombytes("I;16B", (3, 1), struct.pack(">3H", 0, 32896, 65535))
    image.save(tmp_path / "big.tif")
    assert pixels(tmp_path / "big.tif", mode="L") == [[0, 128, 255]]


@pytest.mark.parametrize(
    ("values", "limits", "expected"),
    [
        ([0, 128, 255], (0, 255), [0, 128, 255]),
        ([-5, 32896, 65535], (0, 65535), [0, 128, 255]),
        ([0, 257, 1_000_000], (0, 65535), [0, 1, 255]),
    ],
)
def test_32_bit_integers(
    tmp_path: Path, values: list[int], limits: tuple[float, float], expected: list[int]
) -> None:
    Image.fromarray(np.array([values], dtype=np.int32)).save(tmp_path / "i.tif")
    assert pixels(tmp_path / "i.tif", mode="L", rule=ValueRule(limits)) == [expected]
    with pytest.raises(ImageError, match=r"i\.tif holds int32 numbers"):
        read_image(tmp_path / "i.tif")


@pytest.mark.parametrize(
    ("values", "limits", "expected"),
    [
        ([0.0, 0.5, 1.0], (0, 1), [0, 128, 255]),
        ([0.0, 100.4, 300.0], (0, 255), [0, 100, 255]),
        ([-3.0, 0.5, float("nan")], (-3, 0.5), [0, 255, 0]),
    ],
)
def test_floats(
    tmp_path: Path, values: list[float], limits: tuple[float, float], expected: list[int]
) -> None:
    Image.fromarray(np.array([values], dtype=np.float32)).save(tmp_path / "f.tif")
    assert pixels(tmp_path / "f.tif", mode="L", rule=ValueRule(limits)) == [expected]
    with pytest.raises(ImageError, match=r"f\.tif holds float32 numbers"):
        read_image(tmp_path / "f.tif")


def test_palette_with_transparency_is_laid_over_white(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    image.save(tmp_path / "p.png", transparency=bytes([255, 0, 51]))
    assert pixels(tmp_path / "p.png") == [[[255, 0, 0], [255, 255, 255], [204, 204, 255]]]
    image.save(tmp_path / "p.gif", transparency=1)
    assert pixels(tmp_path / "p.gif") == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]
    image.save(tmp_path / "opaque.png")
    assert pixels(tmp_path / "opaque.png", mode="L") == [[76, 150, 29]]


def test_alpha_is_laid_over_white(tmp_path: Path) -> None:
    Image.new("LA", (1, 1), (100, 0)).save(tmp_path / "la.png")
    assert pixels(tmp_path / "la.png") == [[[255, 255, 255]]]
    Image.new("LA", (1, 1), (100, 255)).save(tmp_path / "la.png")
    assert pixels(tmp_path / "la.png", mode="L") == [[100]]
    Image.new("RGBA", (1, 1), (0, 255, 0, 51)).save(tmp_path / "rgba.webp", lossless=True, exact=True)
    assert pixels(tmp_path / "rgba.webp") == [[[204, 255, 204]]]
    Image.new("RGB", (1, 1), (9, 8, 7)).save(tmp_path / "key.png", transparency=(9, 8, 7))
    assert pixels(tmp_path / "key.png") == [[[255, 255, 255]]]


def test_1_bit(tmp_path: Path) -> None:
    image = Image.new("1", (2, 1))
    image.putdata([0, 255])
    for suffix in ("png", "pbm", "bmp"):
        image.save(tmp_path / f"bit.{suffix}")
        assert pixels(tmp_path / f"bit.{suffix}") == [[[0, 0, 0], [255, 255, 255]]]


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "ink.jpg", quality=100)
    red, green, blue = pixels(tmp_path / "ink.jpg")[8][8]
    assert red > 250
    assert max(green, blue) < 5


@pytest.mark.parametrize("suffix", ["jpg", "jfif", "png", "webp", "gif", "bmp", "ppm", "tif", "jp2"])
def test_every_format_gives_plain_rgb_that_outlives_its_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    kind = {"jfif": "JPEG", "jp2": "JPEG2000"}.get(suffix)
    Image.new("RGB", (16, 8), (250, 250, 250)).save(path, format=kind)
    image = read_image(path)
    path.unlink()
    assert (image.mode, image.size) == ("RGB", (16, 8))
    assert np.abs(np.asarray(image.resize((3, 3))).astype(int) - 250).max() <= 2


def test_first_frame_of_many(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime")]
    for name in ("x.gif", "x.tif", "x.png", "x.webp"):
        options = {"lossless": True} if name == "x.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert pixels(tmp_path / name)[0][0] == [255, 0, 0]
    frames[0].save(tmp_path / "many.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert pixels(tmp_path / "many.jpg")[0][0][0] > 250


# --- orientation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_orientation_6_turns_clockwise(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 16, 16))  # the left half becomes the upper one
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / f"x.{suffix}", exif=exif)
    upright, size = read_sized(tmp_path / f"x.{suffix}", mode="L")
    assert upright.size == (16, 32)
    assert size == (32, 16)
    assert upright.getpixel((8, 4)) > 240
    assert upright.getpixel((8, 28)) < 15


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_agree_with_pillow(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(np.asarray(read_image(tmp_path / "x.png")), expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "x.jpg", exif=b"Exif\0\0MM\0*garbage without end")
    assert read_image(tmp_path / "x.jpg").size == (8, 8)


# --- errors --------------------------------------------------------------------------------------------


def test_a_text_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "note.jpg"
    path.write_text("this is not a picture")
    with pytest.raises(
        ImageError, match=r"note\.jpg is no image in a known format .*remove or convert it\.$"
    ):
        read_image(path)


def test_missing_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"There is no file .*gone\.png; check the path"):
        read_image(tmp_path / "gone.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png is empty \(0 bytes\)"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


def test_no_permission(make_image, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_image()

    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(ImageError, match="may not be read"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=rf"cut\.{suffix} .*remove or replace it\.$") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PPM"])
def test_damage_gives_an_image_error_and_nothing_else(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(buffer, kind)
    sound, rng = buffer.getvalue(), np.random.default_rng(2)
    failed = 0
    for _ in range(40):
        data = bytearray(sound)
        for place in rng.integers(0, len(data), 6):
            data[place] = rng.integers(0, 256)
        (tmp_path / "x").write_bytes(data[: rng.integers(1, len(data) + 1)])
        try:
            read_image(tmp_path / "x")
        except ImageError:
            failed += 1
    assert failed > 0


# --- size ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [read_image, check_header])
def test_a_bomb_is_refused_before_decoding(tmp_path: Path, check) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_with_header(30000, 30000))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(
        ImageError, match=r"bomb\.png has 30000×30000 = 900,000,000 pixels, above the limit of 178,956,970"
    ):
        check(path)
    assert time.perf_counter() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_large_images_below_the_limit_raise_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png_with_header(10000, 10000))  # Pillow itself warns from 89 million pixels on
    check_header(path)
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


def test_a_huge_jpeg_is_drafted(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    Image.new("L", (14000, 13000), 90).save(path)
    image, size = read_sized(path, mode="L")
    assert size == (13000, 14000)
    assert image.size == (7000, 6500)
    assert image.getpixel((3500, 3000)) == 90


def test_a_progressive_jpeg_counts_in_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reading, "MAX_PIXELS", 5000)
    image = Image.new("RGB", (100, 100), "red")
    image.save(tmp_path / "baseline.jpg")
    image.save(tmp_path / "progressive.jpg", progressive=True)
    assert read_image(tmp_path / "baseline.jpg").size == (50, 50)
    with pytest.raises(ImageError, match="100×100"):
        read_image(tmp_path / "progressive.jpg")


@pytest.mark.parametrize(
    ("at_least", "short"), [(None, 300), (300, 300), (150, 150), (151, 300), (80, 150), (1, 38)]
)
def test_at_least(tmp_path: Path, at_least: int | None, short: int) -> None:
    Image.new("RGB", (400, 300), "red").save(tmp_path / "x.jpg")
    image, size = read_sized(tmp_path / "x.jpg", at_least=at_least)
    assert min(image.size) == short
    assert size == (300, 400)


# --- finding -------------------------------------------------------------------------------------------


def test_find_in_folders(tmp_path: Path) -> None:
    for name in ("10.jpg", "2.JPG", "a/1.png", "a/.hidden.png", ".dir/1.png", "__MACOSX/1.png", "readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in find_inputs(tmp_path)] == [
        "2.JPG",
        "10.jpg",
        "a/1.png",
    ]


def test_find_keeps_order_and_drops_duplicates(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "raw.dat"):
        (tmp_path / name).touch()
    b, a, raw = (tmp_path / name for name in ("b.jpg", "a.jpg", "raw.dat"))
    assert find_inputs([b, str(raw), tmp_path]) == [b, raw, a]
    assert find_inputs(str(tmp_path / "*.jpg")) == [a, b]
    assert find_inputs([tmp_path / "*.dat"]) == [raw]
    assert find_inputs([tmp_path / "*"]) == [a, b]


def test_find_patterns_reach_into_folders(tmp_path: Path) -> None:
    (tmp_path / "x1" / "deep").mkdir(parents=True)
    (tmp_path / "x1" / "deep" / "1.png").touch()
    assert find_inputs([tmp_path / "x*"]) == [tmp_path / "x1/deep/1.png"]
    assert find_inputs([tmp_path / "**" / "*.png"]) == [tmp_path / "x1/deep/1.png"]


def test_find_a_name_with_brackets(tmp_path: Path) -> None:
    (tmp_path / "cat [1].jpg").touch()
    assert find_inputs([tmp_path / "cat [1].jpg"]) == [tmp_path / "cat [1].jpg"]


def test_find_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="holds no images"):
        find_inputs([tmp_path])
    with pytest.raises(DataError, match=r"pattern '.*\*\.jpg'"):
        find_inputs([tmp_path / "*.jpg"])
    with pytest.raises(DataError, match=r"no file or folder .*gone\.jpg"):
        find_inputs([tmp_path / "gone.jpg"])
    with pytest.raises(DataError, match="No image was named"):
        find_inputs([])


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    (tmp_path / "again").symlink_to(tmp_path)
    assert find_inputs(tmp_path) == [tmp_path / "1.png"]


def test_natural_key() -> None:
    assert sorted(["b", "a10", "A2", "a1b"], key=natural_key) == ["a1b", "A2", "a10", "b"]
