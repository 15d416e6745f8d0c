"""Names in any script are drawn in a font that has their letters, or as numbers with a note."""

from __future__ import annotations

import io
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import newTable
from fontTools.ttLib.tables.DefaultTable import DefaultTable
from fontTools.ttLib.tables.sbixGlyph import Glyph as BitmapGlyph
from fontTools.ttLib.tables.sbixStrike import Strike
from matplotlib.figure import Figure
from PIL import Image, ImageFont

from swinkit.inference.timeline import draw_timeline
from swinkit.results import Moment
from swinkit.visualize import fonts
from swinkit.visualize import text as lettering
from swinkit.visualize.boxes import Drawn, draw_boxes
from swinkit.visualize.canvas import caption, legend
from swinkit.visualize.charts import draw_confusion
from swinkit.visualize.contact_sheet import Tile, draw_sheet
from swinkit.visualize.scripts import clusters_of
from swinkit.visualize.text import Line, drawable, fit_texts, shortened, typeset

SCRIPTS = {
    "chinese": "猫犬",
    "japanese": "ねこ",
    "korean": "고양이",
    "thai": "แมว",
    "arabic": "قطة",
    "emoji": "🐱",
}
BAR = (100, 0, 400, 1400)  # in which the letters of the test's font are drawn


def squares(order: list[str], side: int) -> DefaultTable:
    """Bitmaps of one size for all glyphs."""
    file = io.BytesIO()
    Image.new("RGBA", (side, side), (255, 0, 0, 255)).save(file, "PNG")
    strike = Strike(ppem=side, resolution=72)
    for name in order:
        strike.glyphs[name] = BitmapGlyph(name, 0, 0, graphicType="png ", imageData=file.getvalue())
    table = newTable("sbix")
    table.strikes[side] = strike
    return table


def make_font(path: Path, letters: str, *, bar: bool = True, strike: int | None = None) -> Path:
    """A font in which each letter is an upright bar, or nothing; of other letters it has none.

    With `strike` letters are red squares, bitmaps of one size.
    """
    builder = FontBuilder(1000, isTTF=True)
    names = {ord(letter): f"g{i}" for i, letter in enumerate(dict.fromkeys(letters))}
    order = [".notdef", *names.values()]
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    pen = TTGlyphPen(None)
    left, bottom, right, top = BAR
    if bar:
        for i, point in enumerate([(left, bottom), (left, top), (right, top), (right, bottom)]):
            (pen.lineTo if i else pen.moveTo)(point)
        pen.closePath()
    glyph = pen.glyph()
    builder.setupGlyf(dict.fromkeys(order, glyph))
    builder.setupHorizontalMetrics(dict.fromkeys(order, (500, left)))
    builder.setupHorizontalHeader(ascent=1500, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=1500)
    builder.setupPost()
    if strike is not None:
        builder.font["sbix"] = squares(order, strike)
    builder.save(path)
    return path


def files(line: Line) -> list[str]:
    """The font file of each run, - for Pillow's default font."""
    paths = [run.font.font.path for run in line.runs]
    return [Path(path).name if isinstance(path, str) else "-" for path in paths]


@pytest.fixture
def only_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine whose only other font is one of the test's, which has the letters of `SCRIPTS` and ASCII."""
    monkeypatch.setattr(fonts, "_by_fontconfig", lambda letters: [])
    monkeypatch.setattr(fonts, "_of_system", list)
    monkeypatch.setattr(fonts, "_used", {})
    monkeypatch.setattr(lettering, "_NUMBERS", lettering._Numbers())
    monkeypatch.delenv("SWINKIT_FONT", raising=False)
    fonts._search.cache_clear()
    lettering._typeset.cache_clear()
    ascii_letters = "".join(map(chr, range(32, 127)))
    return make_font(tmp_path / "all.ttf", "".join(SCRIPTS.values()) + ascii_letters)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_font_with_the_letters_is_taken(
    script: str, only_ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = SCRIPTS[script]
    assert drawable(name) in (name, "#1")  # DejaVu has Arabic
    monkeypatch.setenv("SWINKIT_FONT", os.pathsep.join(["/no/such.ttf", str(only_ours)]))
    line = typeset(f"{name} 93.1%", 20)
    assert line.text == f"{name} 93.1%"
    assert files(line)[0] == only_ours.name


def test_the_systems_fonts_are_looked_through(
    only_ours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    latin = make_font(tmp_path / "latin.ttf", "abc")
    monkeypatch.setattr(fonts, "_of_system", lambda: [tmp_path / "broken.ttf", latin, only_ours])
    assert files(typeset("猫", 20)) == ["all.ttf"]
    monkeypatch.setattr(fonts, "_by_fontconfig", lambda letters: [make_font(tmp_path / "b.ttf", "鳥")])
    assert files(typeset("鳥", 20)) == ["b.ttf"]


@pytest.mark.usefixtures("only_ours")
def test_without_a_font_numbers_stand_for_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert drawable("猫 犬  93.1%") == "#1  93.1%"
    assert drawable("is ねこ") == "is #2"
    assert drawable("猫 犬") == "#1"
    assert drawable("grün кошка") == "grün кошка"
    assert drawable("bad\udcff.png") == "bad?.png"
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("Note: ") == 2
    assert "No font here has the letters of '猫 犬', which is drawn as #1; set SWINKIT_FONT" in said


def test_every_drawing_takes_the_font(
    only_ours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """No page is the one that a name without a font gives, and no library warns of missing glyphs."""
    name = SCRIPTS["chinese"]
    photo = Image.new("RGB", (300, 300), "white")
    photo.save(tmp_path / "photo.png")
    moments = [Moment(0, 1, (0, 1), (name, "b"), (0.9, 0.1)), Moment(1, 2, (1, 0), ("b", name), (0.8, 0.2))]

    def pages(folder: str) -> dict[str, np.ndarray]:
        out = tmp_path / folder
        out.mkdir()
        draw_confusion(np.eye(2, dtype=np.int64), [name, "b"], out / "confusion.png")
        draw_timeline(moments, out / "timeline.png")
        draw_sheet({name: [Tile(str(tmp_path / "photo.png"), [name], right=True)]}, out / "sheet.png")
        drawn = {path.stem: np.asarray(Image.open(path)) for path in out.iterdir()}
        box = Drawn((10, 40, 90, 90), name, (200, 0, 0))
        return {
            **drawn,
            "caption": np.asarray(caption(photo, [name])),
            "legend": np.asarray(legend(photo, {name: (1, 2, 3)})),
            "boxes": np.asarray(draw_boxes(photo, [box], (300, 300))),
        }

    numbered = pages("numbered")
    monkeypatch.setenv("SWINKIT_FONT", str(only_ours))
    named = pages("named")
    for kind, page in named.items():
        assert page.shape != numbered[kind].shape or (page != numbered[kind]).any(), kind
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_a_dollar_is_no_formula() -> None:
    figure = Figure()
    text = figure.text(0, 0, "$5$ a")
    fit_texts([text])
    assert (text.get_text(), text.get_parse_math()) == ("$5$ a", False)


def test_letters_of_several_fonts_are_drawn_in_these(
    only_ours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A font without a letter of the text, ASCII included, leaves no box: other letters have other fonts."""
    cat, dog = make_font(tmp_path / "cat.ttf", "猫"), make_font(tmp_path / "dog.ttf", "犬")
    monkeypatch.setenv("SWINKIT_FONT", os.pathsep.join(map(str, (cat, dog))))
    line = typeset("a 猫犬 93%", 20)
    assert [run.text for run in line.runs] == ["a ", "猫", "犬", " 93%"]
    assert files(line) == ["-", "cat.ttf", "dog.ttf", "-"]
    assert line.width == pytest.approx(sum(run.width for run in line.runs))


def test_a_font_that_draws_nothing_has_no_letters(
    only_ours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Emoji in a format that Pillow does not read are empty glyphs."""
    empty = make_font(tmp_path / "empty.ttf", "猫", bar=False)
    monkeypatch.setenv("SWINKIT_FONT", str(empty))
    assert drawable("猫") == "#1"
    monkeypatch.setenv("SWINKIT_FONT", os.pathsep.join(map(str, (empty, only_ours))))
    assert files(typeset("猫", 20)) == ["all.ttf"]


def test_emoji_of_one_size_are_scaled_and_keep_their_colours(
    only_ours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    font = make_font(tmp_path / "emoji.ttf", "🐶", strike=64)
    monkeypatch.setenv("SWINKIT_FONT", str(font))
    page = Image.new("RGB", (200, 60), "white")
    line = typeset("a 🐶 b", 16)
    line.draw(page, (10, 10), (0, 0, 0))
    assert files(line) == ["-", "emoji.ttf", "-"]
    rows, columns = np.nonzero((np.asarray(page) == (255, 0, 0)).all(-1))
    assert 8 <= np.ptp(rows) + 1 <= 18
    assert 8 <= np.ptp(columns) + 1 <= 18
    assert drawable("🐶", scalable=True) == "#1"  # matplotlib draws outlines only


def test_right_to_left_words_stay_before_their_score(
    only_ours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    font = make_font(tmp_path / "hebrew.ttf", "אבג ")
    monkeypatch.setenv("SWINKIT_FONT", str(font))
    line = typeset("אב ג 93%", 20)
    assert [(run.text, run.direction) for run in line.runs] == [("אב ג", "rtl"), (" 93%", "ltr")]
    # two fonts in right-to-left words: the later one stands to the left
    one, two = make_font(tmp_path / "one.ttf", "ܐ"), make_font(tmp_path / "two.ttf", "ܒ")
    monkeypatch.setenv("SWINKIT_FONT", os.pathsep.join(map(str, (one, two))))
    assert [run.text for run in typeset("is ܐܒ", 20).runs] == ["is ", "ܒ", "ܐ"]


def test_without_raqm_letters_are_reversed_and_a_note_says_so(
    only_ours: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    basic = partial(ImageFont.truetype, layout_engine=ImageFont.Layout.BASIC)
    monkeypatch.setattr(ImageFont, "truetype", basic)
    fonts._load.cache_clear()
    lettering._note_layout.cache_clear()
    try:
        assert [run.text for run in typeset("قط\u200d 5%", 20).runs] == ["طق", " 5%"]
        assert "install fribidi" in " ".join(capsys.readouterr().err.split())
    finally:
        fonts._load.cache_clear()
        lettering._typeset.cache_clear()


@pytest.mark.parametrize(
    ("text", "clusters"),
    [
        ("e\u0301a", ["e\u0301", "a"]),
        ("👩\u200d👧🐱", ["👩\u200d👧", "🐱"]),
        ("🇫🇷🇩🇪", ["🇫🇷", "🇩🇪"]),
        ("👍🏽!", ["👍🏽", "!"]),
        ("❤\ufe0fa", ["❤\ufe0f", "a"]),
    ],
)
def test_what_is_drawn_as_one_is_not_split(text: str, clusters: list[str]) -> None:
    assert clusters_of(text) == clusters


def test_a_long_line_loses_its_middle() -> None:
    line = shortened("IMG_20240101_a_long_name_0042.jpg 93%", 13, 100)
    assert line.width <= 100
    assert line.text.startswith("IMG_")
    assert line.text.endswith("g 93%")
    assert shortened("short", 13, 100).text == "short"


def test_white_space_and_control_letters_are_no_boxes() -> None:
    assert drawable("a\nb\tc\x07") == "a b c?"
