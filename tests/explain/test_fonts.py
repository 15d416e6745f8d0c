"""Names in any script are drawn in a font that has their letters, or as numbers with a note."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from PIL import Image

from swinkit.explain import fonts
from swinkit.explain.boxes import Drawn, draw_boxes
from swinkit.explain.canvas import caption, legend
from swinkit.explain.charts import draw_confusion
from swinkit.explain.fonts import drawable, fit_texts, fitted
from swinkit.explain.sheets import Tile, draw_sheet
from swinkit.explain.timeline import draw_timeline
from swinkit.results import Moment

SCRIPTS = {
    "chinese": "猫犬",
    "japanese": "ねこ",
    "korean": "고양이",
    "thai": "แมว",
    "arabic": "قطة",
    "emoji": "🐱",
}
BAR = (100, 0, 400, 1400)  # in which the letters of the test's font are drawn


def make_font(path: Path, letters: str) -> Path:
    """A font in which each letter is an upright bar; of other letters it has none."""
    builder = FontBuilder(1000, isTTF=True)
    names = {ord(letter): f"g{i}" for i, letter in enumerate(dict.fromkeys(letters))}
    order = [".notdef", *names.values()]
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    pen = TTGlyphPen(None)
    left, bottom, right, top = BAR
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
    builder.save(path)
    return path


@pytest.fixture
def only_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine whose only other font is one of the test's, which has the letters of `SCRIPTS` and ASCII."""
    monkeypatch.setattr(fonts, "_by_fontconfig", lambda letters: [])
    monkeypatch.setattr(fonts, "_of_system", list)
    monkeypatch.setattr(fonts, "_NUMBERS", fonts._Numbers())
    monkeypatch.delenv("SWINKIT_FONT", raising=False)
    fonts._search.cache_clear()
    ascii_letters = "".join(map(chr, range(32, 127)))
    return make_font(tmp_path / "all.ttf", "".join(SCRIPTS.values()) + ascii_letters)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_font_with_the_letters_is_taken(
    script: str, only_ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = SCRIPTS[script]
    assert drawable(name) in (name, "#1")  # DejaVu has Arabic
    monkeypatch.setenv("SWINKIT_FONT", os.pathsep.join(["/no/such.ttf", str(only_ours)]))
    text, font = fitted(f"{name} 93.1%", 20)
    assert text == f"{name} 93.1%"
    assert font.path == str(only_ours)


def test_the_systems_fonts_are_looked_through(
    only_ours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    latin = make_font(tmp_path / "latin.ttf", "abc")
    monkeypatch.setattr(fonts, "_of_system", lambda: [tmp_path / "broken.ttf", latin, only_ours])
    text, font = fitted("猫", 20)
    assert (text, font.path) == ("猫", str(only_ours))
    monkeypatch.setattr(fonts, "_by_fontconfig", lambda letters: [make_font(tmp_path / "b.ttf", "犬")])
    assert fitted("犬", 20)[1].path == str(tmp_path / "b.ttf")


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
