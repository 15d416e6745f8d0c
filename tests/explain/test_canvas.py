"""Text in pictures: letters beyond ASCII are drawn, not boxes."""

import numpy as np
import pytest
from PIL import Image

from swinkit.explain.canvas import caption
from swinkit.explain.fonts import font_for


@pytest.mark.parametrize("text", ["grün", "naïve ✓", "кошка", "γάτα"])
def test_letters_are_no_boxes(text: str) -> None:
    """A letter that a font lacks is drawn as its box: each of these differs from that of another one."""
    font = font_for(text, 20)
    box = font.getmask("\uffff")
    for letter in text:
        if not letter.isspace():
            assert bytes(font.getmask(letter)) != bytes(box), letter


def test_plain_text_stays_in_the_same_font() -> None:
    assert font_for("cat 93 %", 20).getname() == font_for("", 20).getname()
    page = caption(Image.new("RGB", (28, 28)), ["grün"])
    assert np.asarray(page)[-20:].min() < 100
