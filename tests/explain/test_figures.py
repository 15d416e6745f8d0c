"""Figures show what the model computes, for any picture and stage; the documentation repeats true numbers."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from swinkit.core.attention import WindowAttention, WindowLayout
from swinkit.core.config import SwinConfig
from swinkit.core.windows import MASKED, plan_windows, shift_mask
from swinkit.errors import ConfigError
from swinkit.explain.figures import attention_macs, draw_costs, merging_order
from swinkit.explain.windows import (
    MARK,
    MOST_TOKENS,
    ORIGINS,
    PADDING,
    cut_tokens,
    draw_windows,
    origin_of,
    token_map,
    window_numbers,
)
from swinkit.models.variants import VARIANTS, Variant, find_variant

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def config(**changes: object) -> SwinConfig:
    numbers = {"embed_dim": 8, "depths": (2, 2), "num_heads": (2, 2), "window": (3, 3), "patch": 2}
    return SwinConfig(**(numbers | changes))


def colors(path: Path) -> set[int]:
    """All colours of a PNG, as 0xRRGGBB."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB")).astype(np.uint32)
    return set(np.unique(pixels @ np.array([1 << 16, 1 << 8, 1], np.uint32)).tolist())


@pytest.mark.parametrize(
    ("image", "changes", "stage", "shifted"),
    [
        (picture(28, 28, "L"), {}, 0, True),
        (picture(29, 23), {}, 0, True),  # partial patches and padding
        (picture(29, 23), {"fit": "clamp"}, 1, True),
        (picture(23, 5), {}, 1, True),  # one axis only
        (picture(12, 12), {}, 1, False),  # one window covers the grid
        (picture(12, 12), {"fit": "pad_shift"}, 1, True),
        (picture(9, 9), {"window": (1, 1)}, 0, False),  # a window without a half
        (picture(40, 30, "RGBA"), {"img_size": (10, 14), "patch": (2, 1)}, 0, True),
    ],
)
def test_windows_of_any_picture(
    image: Image.Image, changes: dict, stage: int, shifted: bool, tmp_path: Path
) -> None:
    draw_windows(image, config(**changes), tmp_path / "w.png", stage)
    with Image.open(tmp_path / "w.png") as page:
        assert page.width == 1000
        assert page.height > 300
    marks = int(MARK[1:], 16) in colors(tmp_path / "w.png")
    assert marks == shifted


@pytest.mark.parametrize(("width", "height"), [(900, 700), (3000, 2)])
def test_a_photo_without_an_input_size_is_shrunk(width: int, height: int) -> None:
    assert max(cut_tokens(picture(width, height), config()).grid) == MOST_TOKENS


def test_tokens_keep_the_pixels_and_padding_is_seen() -> None:
    image = picture(11, 6)
    cut = cut_tokens(image, config(fit="pad_shift"))
    plan = plan_windows(cut.grid, (4, 4), shifted=True, fit="pad_shift")
    assert cut.grid == (3, 6)
    shown = cut.pixels(plan._replace(shift=(0, 0)))
    assert shown.shape == (8, 16, 3)
    np.testing.assert_allclose(shown[:6, :11], np.asarray(image) / 255, atol=1e-6)
    assert np.allclose(shown[6:], PADDING)
    assert np.allclose(shown[:, 11:], PADDING)
    # shift 2 tokens = 4 pixels
    np.testing.assert_array_equal(cut.pixels(plan), np.roll(shown, (-4, -4), (0, 1)))


def test_origins_say_what_the_roll_brought() -> None:
    plan = plan_windows((8, 8), (4, 4), shifted=True, fit="pad")
    rolled = token_map(origin_of(plan), plan, unrolled=False)
    expected = np.zeros((8, 8), int)
    expected[:, 6:] += 1
    expected[6:] += 2
    np.testing.assert_array_equal(rolled, expected)
    straight = token_map(origin_of(plan), plan, unrolled=True)
    assert [ORIGINS[straight[place]][0].split()[-1] for place in [(7, 0), (0, 7), (0, 0)]] == [
        "edge",
        "edge",
        "corner",
    ]
    np.testing.assert_array_equal(straight, np.roll(expected, (2, 2), (0, 1)))
    windows = token_map(window_numbers(plan), plan, unrolled=True)
    assert windows[0, 0] == windows[7, 7] == windows[0, 7] == 3


def test_tints_in_the_last_window_part_what_the_mask_parts() -> None:
    for fit in ("pad", "pad_shift", "clamp"):
        for grid in [(8, 8), (9, 5), (3, 7), (12, 4)]:
            plan = plan_windows(grid, (4, 4), shifted=True, fit=fit)
            mask = shift_mask(plan, CPU, torch.float32)
            if mask is not None:
                origin = origin_of(plan)
                apart = origin[:, :, None] != origin[:, None, :]
                assert torch.equal(mask == MASKED, apart)


def test_mistakes_are_named(tmp_path: Path) -> None:
    video = find_variant("swin3d_t").config()
    with pytest.raises(ConfigError, match="video"):
        draw_windows(picture(8, 8), video, tmp_path / "w.png")
    for stage in (-1, 2):
        with pytest.raises(ConfigError, match="0 to 1"):
            draw_windows(picture(8, 8), config(), tmp_path / "w.png", stage)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("window", [(2, 3), (4, 6), None])
def test_costs_equal_the_flop_counter(window: tuple[int, int] | None) -> None:
    grid, channels = (4, 6), 8
    plan = plan_windows(grid, window or grid, shifted=True, fit="pad")
    layer = WindowAttention(channels, plan.window, 2)
    layer.backend = "eager"  # not every torch counts SDPA on a CPU
    layout = WindowLayout(plan, CPU, torch.float32)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        layer(torch.zeros(1, *grid, channels), layout)
    assert counter.get_total_flops() == 2 * attention_macs(grid, channels, window)


def test_the_worked_number_of_the_page() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for window in ((7, 7), None):
        assert f"| {attention_macs((56, 56), 96, window):,} |" in page


def test_merging_order_is_down_then_right() -> None:
    assert merging_order((4, 4))[0].tolist() == [[0, 4, 1, 5], [2, 6, 3, 7]]


def test_costs_of_a_model_of_another_size(tmp_path: Path) -> None:
    draw_costs(config(), tmp_path / "costs.png", sides=(12, 24, 48))
    assert len(colors(tmp_path / "costs.png")) > 50


def test_the_script_makes_every_figure_of_the_page(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "scripts/make_figures.py"))["main"](tmp_path)
    made = {path.name: path for path in tmp_path.iterdir()}
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert {part.split(")")[0] for part in page.split("](figures/")[1:]} == set(made)
    for name, path in made.items():
        assert path.stat().st_size < 150_000
        assert len(colors(path)) > 50
        with Image.open(path) as new, Image.open(ROOT / "docs/figures" / name) as kept:
            assert new.size == kept.size


def row(name: str, variant: Variant) -> str:
    of = variant.config()
    sides = "×".join(map(str, of.windows[0]))
    size = "×".join(map(str, variant.counted_at))
    blocks, heads = (", ".join(map(str, numbers)) for numbers in (of.depths, of.num_heads))
    cost = f"{variant.params / 1e6:.1f} | {f'{variant.macs / 1e9:#.3g}'.rstrip('.')}"
    return f"| `{name}` | {of.embed_dim} | {blocks} | {heads} | {sides} | {size} | {cost} |"


def test_the_table_of_the_page_is_that_of_the_variants() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in page if line.startswith("| `") and "swin" in line.split("`")[1]]
    swins = {name: own for name, own in VARIANTS.items() if own.settings.get("kind") != "vit"}
    assert rows == [row(name, variant) for name, variant in swins.items()]
