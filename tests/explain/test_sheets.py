"""Pages of results and data: headings, transparent background, a data set's palette, duplicates."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from swinkit.api import check_data
from swinkit.data.segmentation.open import open_masks
from swinkit.labels import Labels
from swinkit.results import SegmentationMap
from swinkit.visualize import grid as grids
from swinkit.visualize.duplicate_sheet import duplicate_pairs
from swinkit.visualize.grid import GAP, STEP, WIDTH, Panel, grid
from swinkit.visualize.mask_sheet import draw_masks
from swinkit.visualize.overlay import Answered, draw_answers, overlaid
from swinkit.visualize.text import typeset

RNG = np.random.default_rng(0)
PALETTE = [0, 0, 0, 10, 200, 30, 250, 240, 20]


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_background_pixels_are_those_of_the_photograph() -> None:
    photo, ids = noise(300, 260), np.zeros((260, 300), np.uint8)
    ids[100:150] = 1
    colours = ((90, 80, 70), (10, 200, 30))
    page = np.asarray(SegmentationMap("", ids, ("background", "cat"), colours).draw(photo))[:260, :300]
    pixels = np.asarray(photo)
    np.testing.assert_array_equal(page[ids != 1], pixels[ids != 1])
    blended = 0.55 * np.array(colours[1]) + 0.45 * pixels[ids == 1]
    assert np.abs(page[ids == 1] - blended).max() <= 1.5  # 0.55 is 140 of 255


@pytest.mark.parametrize(
    ("names", "colours", "hidden"),
    [
        (("Background", "cat"), ((1, 1, 1), (2, 2, 2)), {0}),
        (("cat", "__background__"), ((1, 1, 1), (2, 2, 2)), {1}),
        (("sky", "road"), ((0, 0, 0), (2, 2, 2)), set()),  # a named class may be black
        (("0", "1", "2"), ((0, 0, 0), (2, 2, 2), (3, 3, 3)), {0}),
        (("0", "1", "2"), ((9, 0, 0), (2, 2, 2), (3, 3, 3)), set()),
        (("0", "1"), ((9, 0, 0), (2, 2, 2)), {0}),
    ],
)
def test_which_class_is_background(names: tuple, colours: tuple, hidden: set[int]) -> None:
    assert Labels(names, colours).background == hidden


def make_masks(root: Path, *, palette: list[int] | None = None, mode: str = "P", values: int = 3) -> Path:
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for i in range(2):
            noise(40, 30).save(root / "images" / split / f"{i}.png")
            ids = np.zeros((30, 40), np.uint8)
            for value in range(values):
                ids[value * 10 : (value + 1) * 10] = value
            mask = Image.fromarray(ids, mode)
            if palette is not None:
                mask.putpalette(palette)
            mask.save(root / "masks" / split / f"{i}.png")
    return root


def test_the_masks_palette_gives_the_colours(tmp_path: Path) -> None:
    data = open_masks(make_masks(tmp_path / "bare", palette=PALETTE))
    assert data.labels.colours == ((0, 0, 0), (10, 200, 30), (250, 240, 20))
    named = make_masks(tmp_path / "named", palette=PALETTE)
    (named / "dataset.yaml").write_text("classes: {0: background, 1: cat, 2: dog}\nignored: [255]\n")
    assert open_masks(named).labels.colours == data.labels.colours
    assert open_masks(named).labels.names == ("background", "cat", "dog")


@pytest.mark.parametrize("palette", [[v for i in range(256) for v in (i, i, i)], [5, 5, 5, 5, 5, 5, 9, 9, 9]])
def test_a_palette_that_tells_nothing_is_none(palette: list[int], tmp_path: Path) -> None:
    """Greys that are the values; two classes in one colour."""
    data = open_masks(make_masks(tmp_path / "d", palette=palette))
    assert data.labels.colours == Labels.of(data.labels.names).colours


def test_palettes_that_differ_are_none(tmp_path: Path) -> None:
    root = make_masks(tmp_path / "d", palette=PALETTE)
    with Image.open(root / "masks/train/1.png") as file:
        mask = file.copy()
    mask.putpalette(PALETTE[::-1])
    mask.save(root / "masks/train/1.png")
    data = open_masks(root)
    assert data.labels.colours == Labels.of(data.labels.names).colours


def test_colours_of_the_description_are_drawn_for_masks_of_numbers(tmp_path: Path) -> None:
    root = make_masks(tmp_path / "d", mode="L")
    text = "classes: {0: a, 1: b, 2: c}\ncolours: {a: [1, 2, 3], b: [4, 5, 6], c: [7, 8, 9]}\n"
    (root / "dataset.yaml").write_text(text)
    data = open_masks(root)
    assert data.labels.colours == ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    pair = data.splits["train"][0]
    assert np.unique(data.label_map.read(pair.mask)).tolist() == [0, 1, 2]


def test_the_sheet_of_masks_is_in_the_palette(tmp_path: Path) -> None:
    root = make_masks(tmp_path / "d", palette=PALETTE)
    draw_masks(check_data(root), tmp_path / "sheet.png")
    page = np.asarray(Image.open(tmp_path / "sheet.png"))
    for colour in (PALETTE[3:6], PALETTE[6:9]):
        assert (page == colour).all(-1).sum() > 1000


def test_every_image_of_a_page_stands_below_its_heading() -> None:
    image = Image.new("RGB", (WIDTH, 100), (200, 0, 0))
    page = np.asarray(grid([[Panel(image, ("ground truth",)), Panel(image, ("prediction",))]]))
    assert page.shape == (100 + STEP + 2 * GAP, 2 * WIDTH + 3 * GAP, 3)
    for left in (GAP, WIDTH + 2 * GAP):
        band = page[GAP : GAP + STEP, left : left + WIDTH]
        assert (band < 100).all(-1).sum() > 50  # ink
        np.testing.assert_array_equal(page[GAP + STEP : -GAP, left : left + WIDTH], np.asarray(image))


def test_predictions_of_masks_have_headings_and_a_transparent_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = []
    monkeypatch.setattr(grids, "grid", lambda rows: pages.append(rows) or Image.new("RGB", (400, 300)))
    noise(WIDTH, 200).save(tmp_path / "photo.png")
    ids = np.zeros((200, WIDTH), np.uint8)
    ids[50:100, 50:100] = 1
    labels = Labels(("background", "cat"), ((0, 0, 0), (10, 200, 30)))
    draw_answers([Answered(str(tmp_path / "photo.png"), ids, ids)], labels, tmp_path / "sheet.png")
    ((row,),) = pages
    assert [panel.heading for panel in row] == [("photo.png",), ("ground truth",), ("prediction",)]
    photo = np.asarray(row[0].image)
    for panel in row[1:]:
        np.testing.assert_array_equal(np.asarray(panel.image)[ids == 0], photo[ids == 0])
        assert (np.asarray(panel.image)[ids == 1] != photo[ids == 1]).any(-1).mean() > 0.95


def test_overlaid_changes_only_what_is_drawn() -> None:
    photo, ids = noise(20, 10), np.full((10, 20), 2, np.uint8)
    ids[:5], ids[8:] = 1, 255
    over = np.asarray(overlaid(photo, ids, ((0, 0, 0), (255, 0, 0), (0, 255, 0)), hidden={2}, strength=1.0))
    assert (over[:5] == (255, 0, 0)).all()
    np.testing.assert_array_equal(over[5:], np.asarray(photo)[5:])


def make_classes(root: Path) -> Path:
    colours = {"a/1": 1, "a/2": 2, "b/1": 3}
    for split in ("train", "val"):
        for name, seed in colours.items():
            path = root / split / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.new("RGB", (64, 48), (seed * 40, 90 if split == "val" else 0, 0))
            ImageDraw.Draw(image).rectangle((0, 0, 20, seed * 10), (0, 0, 250))
            image.save(path)
    return root


def test_duplicates_are_shown_side_by_side(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "d")
    twin = Image.new("RGB", (64, 48), (12, 34, 56))
    for name in ("train/a/x.png", "train/a/y.png"):
        twin.save(root / name)
    across = Image.new("RGB", (64, 48), (65, 43, 21))
    for name in ("train/b/z.png", "val/b/z.png"):
        across.save(root / name)
    report = check_data(root)
    pairs = {frozenset(map(Path.name.fget, (one.path, twin))) for one, twin in duplicate_pairs(report)}
    assert pairs == {frozenset({"x.png", "y.png"}), frozenset({"z.png"})}

    from swinkit.visualize.data_sheet import draw_data

    draw_data(report, tmp_path / "sheet.png")
    page = np.asarray(Image.open(tmp_path / "sheet.png"))
    for colour in ((12, 34, 56), (65, 43, 21)):
        rows, columns = np.nonzero((page == colour).all(-1))
        large = page[rows.min(), :].astype(int)  # the first row that shows it: both images stand in it
        starts = np.flatnonzero(np.diff((large == colour).all(-1).astype(int)) == 1)
        assert len(starts) == 2
        assert len(columns) > 2 * 200 * 200


def test_two_classes_are_paired_across(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "d")
    for name in ("train/a/x.png", "train/b/x.png"):
        Image.new("RGB", (64, 48), (12, 34, 56)).save(root / name)
    ((problem, twin),) = duplicate_pairs(check_data(root))
    assert (problem.kind, {problem.path.parent.name, twin.parent.name}) == ("two classes", {"a", "b"})


def test_headings_fit_their_column() -> None:
    assert typeset("ground truth", grids.TEXT).width < WIDTH
