"""Text in pictures: letters beyond ASCII are drawn, not boxes."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from swinkit.visualize.canvas import caption, legend
from swinkit.visualize.text import typeset

RED = (200, 0, 0)


@pytest.mark.parametrize("text", ["grün", "naïve ✓", "кошка", "γάτα"])
def test_letters_are_no_boxes(text: str) -> None:
    """A letter that a font lacks is drawn as its box: each of these differs from that of another one."""
    for run in typeset(text, 20).runs:
        font = run.font.font
        box = font.getmask("\uffff")
        for letter in run.text:
            if not letter.isspace():
                assert bytes(font.getmask(letter)) != bytes(box), letter


def test_plain_text_stays_in_the_same_font() -> None:
    (run,) = typeset("cat 93 %", 20).runs
    assert run.font.font.getname() == ImageFont.load_default(20).getname()
    page = caption(Image.new("RGB", (28, 28)), ["grün"])
    assert np.asarray(page)[-20:].min() < 100


WRITERS = {
    "caption": lambda image: caption(image, ["cat"]),
    "legend": lambda image: legend(image, {"cat": RED}),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_letters_grow_with_the_image(kind: str) -> None:
    """The band of text below an image is as high a part of it in 4000 pixels as in 1000."""
    write = WRITERS[kind]
    shares = [(write(Image.new("RGB", (side, side))).height - side) / side for side in (1000, 4000)]
    assert shares[0] == pytest.approx(shares[1], rel=0.05)
    assert shares[0] > 0.03


def test_a_long_name_in_the_legend_is_not_cut() -> None:
    name = "a class name that is far longer than the image is wide"
    page = legend(Image.new("RGB", (224, 224)), {name: RED, "b": RED})
    assert page.width > typeset(name, 13).width
