"""How windows lie on a grid: rules, inverses, index, mask."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swinkit.core import windows
from swinkit.core.windows import (
    FITS,
    MASKED,
    WindowPlan,
    from_windows,
    merge,
    pad_and_roll,
    partition,
    plan_windows,
    relative_index,
    shift_mask,
    to_windows,
    token_positions,
    unroll_and_crop,
)
from tests.core import reference
from tests.core.tiny import examples, random

CPU = torch.device("cpu")

# (grid, window, fit) -> (window, shift of a shifted layer, padded), by FACTS of the published codes
RULES = [
    # a multiple: all rules agree
    ((14, 14), (7, 7), "pad", (7, 7), (3, 3), (14, 14)),
    ((14, 14), (7, 7), "pad_shift", (7, 7), (3, 3), (14, 14)),
    ((14, 14), (7, 7), "clamp", (7, 7), (3, 3), (14, 14)),
    # no multiple: pad at the end
    ((15, 8), (7, 7), "pad", (7, 7), (3, 3), (21, 14)),
    ((15, 8), (7, 7), "pad_shift", (7, 7), (3, 3), (21, 14)),
    ((15, 8), (7, 7), "clamp", (7, 7), (3, 3), (21, 14)),
    # exactly one window: only pad_shift shifts (stage 4 at 224²)
    ((7, 7), (7, 7), "pad", (7, 7), (0, 0), (7, 7)),
    ((7, 7), (7, 7), "pad_shift", (7, 7), (3, 3), (7, 7)),
    ((7, 7), (7, 7), "clamp", (7, 7), (0, 0), (7, 7)),
    # smaller than a window on one axis: axes are judged apart
    ((5, 9), (7, 7), "pad", (7, 7), (0, 3), (7, 14)),
    ((5, 9), (7, 7), "pad_shift", (7, 7), (3, 3), (7, 14)),
    ((5, 9), (7, 7), "clamp", (5, 7), (0, 3), (5, 14)),
    # even window
    ((9, 9), (4, 4), "pad", (4, 4), (2, 2), (12, 12)),
    # one token
    ((1, 1), (7, 7), "clamp", (1, 1), (0, 0), (1, 1)),
    ((1, 1), (7, 7), "pad_shift", (7, 7), (3, 3), (7, 7)),
    # a window of one token cannot shift
    ((3, 3), (1, 1), "pad_shift", (1, 1), (0, 0), (3, 3)),
    # video: Kinetics' 16×56×56 and a short clip
    ((16, 56, 56), (8, 7, 7), "clamp", (8, 7, 7), (4, 3, 3), (16, 56, 56)),
    ((4, 7, 10), (8, 7, 7), "clamp", (4, 7, 7), (0, 0, 3), (4, 7, 14)),
    ((4, 7, 10), (8, 7, 7), "pad", (8, 7, 7), (0, 0, 3), (8, 7, 14)),
    ((4, 7, 10), (8, 7, 7), "pad_shift", (8, 7, 7), (4, 3, 3), (8, 7, 14)),
    # Microsoft's rectangles: the short side is the window, and nothing shifts, also along the long side
    ((7, 14), (7, 7), "square", (7, 7), (0, 0), (7, 14)),
    ((4, 8), (7, 7), "square", (4, 4), (0, 0), (4, 8)),
    ((8, 4), (7, 7), "square", (4, 4), (0, 0), (8, 4)),
    ((9, 5), (7, 7), "square", (5, 5), (0, 0), (10, 5)),
    ((8, 15), (7, 7), "square", (7, 7), (3, 3), (14, 21)),
    ((4, 7, 14), (8, 7, 7), "square", (4, 7, 7), (0, 0, 0), (4, 7, 14)),
    ((16, 8, 14), (8, 7, 7), "square", (8, 7, 7), (4, 3, 3), (16, 14, 14)),
    # timm: each side by itself
    ((5, 14), (7, 7), "roll_pad", (5, 7), (0, 3), (5, 14)),
    ((7, 7), (7, 7), "roll_pad", (7, 7), (0, 0), (7, 7)),
    ((5, 14), (7, 7), "roll_pad_shift", (7, 7), (3, 3), (7, 14)),
]


@pytest.mark.parametrize(("grid", "window", "fit", "fitted", "shift", "padded"), RULES)
def test_rules(grid, window, fit, fitted, shift, padded) -> None:
    rolls_first = fit == "roll_pad_shift" and grid == (5, 14)
    expected = WindowPlan(grid, fitted, shift, padded, rolls_first)
    assert plan_windows(grid, window, shifted=True, fit=fit) == expected
    resting = WindowPlan(grid, fitted, (0,) * len(grid), padded)
    assert plan_windows(grid, window, shifted=False, fit=fit) == resting


@pytest.mark.parametrize(
    ("grid", "trained", "window", "shift", "padded", "rolls_first"),
    [
        ((8, 9), (7, 14), (7, 7), (0, 3), (14, 14), True),  # of a larger input: no shift where there was none
        ((4, 4), (14, 14), (7, 7), (3, 3), (7, 7), True),  # of a smaller one: shifted all the same
        ((8, 8), (5, 14), (5, 7), (0, 3), (10, 14), True),
        ((9, 14), (7, 14), (7, 7), (0, 3), (14, 14), False),  # padded down and shifted across
        ((15, 15), None, (7, 7), (3, 3), (21, 21), True),
    ],
)
def test_windows_of_timm_are_those_of_the_size_it_was_built_for(
    grid, trained, window, shift, padded, rolls_first
) -> None:
    plan = plan_windows(grid, (7, 7), shifted=True, fit="roll_pad_fixed", trained=trained)
    assert plan == WindowPlan(grid, window, shift, padded, rolls_first)
    for fit in ("pad", "roll_pad"):
        other = plan_windows(grid, (7, 7), shifted=True, fit=fit, trained=trained)
        assert other == plan_windows(grid, (7, 7), shifted=True, fit=fit)


def test_plan_properties() -> None:
    plan = plan_windows((5, 9), (7, 4), shifted=True, fit="pad")
    assert (plan.counts, plan.tokens, plan.is_shifted) == ((1, 3), 28, True)
    assert not plan_windows((5, 3), (7, 4), shifted=True, fit="pad").is_shifted


@st.composite
def plans(draw: st.DrawFn, largest: int = 7) -> WindowPlan:
    rank = draw(st.sampled_from([2, 3]))
    side = st.integers(1, largest if rank == 2 else 5)
    grid = draw(st.tuples(*[side] * rank))
    window = draw(st.tuples(*[st.integers(1, 4 if rank == 2 else 3)] * rank))
    return plan_windows(grid, window, shifted=draw(st.booleans()), fit=draw(st.sampled_from(FITS)))


def axes_of(plan: WindowPlan) -> list[reference.Axis]:
    numbers = zip(plan.grid, plan.window, plan.shift, plan.counts, strict=True)
    return [reference.Axis(*row, rolls_first=plan.rolls_first) for row in numbers]


@given(plans(), st.integers(1, 3))
@examples(60)
def test_pad_and_roll_is_undone(plan: WindowPlan, channels: int) -> None:
    x = torch.arange(2 * math.prod(plan.grid) * channels).view(2, *plan.grid, channels) + 1
    rolled = pad_and_roll(x, plan)
    assert rolled.shape == (2, *plan.padded, channels)
    assert torch.equal(unroll_and_crop(rolled, plan), x)
    # each token stands `shift` earlier, cyclically; the rest is zero
    expected = torch.zeros_like(rolled)
    for place in reference.places(plan.grid):
        around = plan.grid if plan.rolls_first else plan.padded
        to = [(p - s) % n for p, s, n in zip(place, plan.shift, around, strict=True)]
        expected[(slice(None), *to)] = x[(slice(None), *place)]
    assert torch.equal(rolled, expected)


@given(plans(), st.integers(1, 3))
@examples(60)
def test_partition_is_undone_by_merge(plan: WindowPlan, width: int) -> None:
    x = torch.arange(2 * math.prod(plan.padded) * width).view(2, *plan.padded, width)
    cut = partition(x, plan)
    assert cut.shape == (2, math.prod(plan.counts), plan.tokens, width)
    assert torch.equal(merge(cut, plan), x)


def test_partition_by_hand() -> None:
    plan = plan_windows((2, 4), (2, 2), shifted=False, fit="pad")
    x = torch.arange(8).view(1, 2, 4, 1)
    assert partition(x, plan)[0, ..., 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]


@given(plans(), st.booleans())
@examples(60)
def test_one_gather_is_all_the_steps(plan: WindowPlan, filled: bool) -> None:
    """Outputs and gradients, there and back, with padding of zeros or of what is given."""
    x = random(2, *plan.grid, 3).double().requires_grad_()
    fill = random(3, seed=1).double() if filled else None
    wanted = partition(pad_and_roll(x, plan, fill), plan)
    found = to_windows(x, plan, fill)
    assert torch.equal(found, wanted)
    back = unroll_and_crop(merge(wanted * wanted, plan), plan)
    assert torch.equal(from_windows(found * found, plan), back)
    weights = random(*back.shape, seed=2)
    (one,) = torch.autograd.grad((from_windows(found * found, plan) * weights).sum(), x)
    (other,) = torch.autograd.grad((back * weights).sum(), x)
    torch.testing.assert_close(one, other)
    assert torch.equal(from_windows(to_windows(x, plan), plan), x)


def test_gradients_of_the_gather() -> None:
    plan = plan_windows((3, 4), (2, 3), shifted=True, fit="pad_shift")
    x = random(2, 3, 4, 2).double().requires_grad_()
    torch.autograd.gradcheck(lambda own: to_windows(own, plan), x)
    torch.autograd.gradgradcheck(lambda own: from_windows(to_windows(own, plan) ** 2, plan), x)


@given(plans())
@examples(60)
def test_token_positions(plan: WindowPlan) -> None:
    expected = []
    for tokens in reference.window_members(axes_of(plan)).values():
        row = []
        for place in tokens:
            flat, real = 0, True
            for p, size in zip(place, plan.grid, strict=True):
                flat, real = flat * size + p, real and p < size
            row.append(flat if real else -1)
        expected.append(row)
    positions = token_positions(plan, CPU)
    assert positions.tolist() == expected
    assert sorted(positions[positions >= 0].tolist()) == list(range(math.prod(plan.grid)))


@st.composite
def clamped(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    rank = draw(st.sampled_from([2, 3]))
    table = draw(st.tuples(*[st.integers(1, 4)] * rank))
    return tuple(draw(st.integers(1, side)) for side in table), table


@given(clamped())
@examples(60)
def test_relative_index_by_brute_force(case) -> None:
    window, table = case
    tokens = reference.places(window)
    expected = [[reference.table_row(q, k, table) for k in tokens] for q in tokens]
    index = relative_index(window, table, CPU, False)
    assert index.dtype == torch.int64
    assert index.tolist() == expected


def test_relative_index_of_the_whole_window() -> None:
    index = relative_index((2, 3), (2, 3), CPU, False)
    # (ΔH, ΔW) row-major, each starting at 0: the paper's (2M−1)² rows
    assert index[0].tolist() == [7, 6, 5, 2, 1, 0]
    assert set(index.flatten().tolist()) == set(range(3 * 5))


def test_prefix_index_is_right_in_time_and_wrong_in_space() -> None:
    table = (4, 3, 3)
    in_time, in_space = (2, 3, 3), (4, 2, 3)
    exact, prefix = (relative_index(in_time, table, CPU, flag) for flag in (False, True))
    assert torch.equal(exact, prefix)
    exact, prefix = (relative_index(in_space, table, CPU, flag) for flag in (False, True))
    assert prefix.shape == exact.shape
    assert not torch.equal(exact, prefix)
    whole = relative_index(table, table, CPU, False)
    assert torch.equal(prefix, whole[:24, :24])
    assert torch.equal(relative_index(table, table, CPU, True), whole)


@given(plans())
@examples(80)
def test_mask_parts_what_was_apart(plan: WindowPlan) -> None:
    mask = shift_mask(plan, CPU, torch.float32)
    if not any(plan.shift):
        assert mask is None
        return
    axes = axes_of(plan)
    expected = [
        [[0.0 if reference.cell(q, axes) == reference.cell(k, axes) else MASKED for k in row] for q in row]
        for row in reference.window_members(axes).values()
    ]
    assert mask.tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_mask_is_minus_100_in_every_dtype(dtype: torch.dtype) -> None:
    mask = shift_mask(plan_windows((6, 6), (3, 3), shifted=True, fit="pad"), CPU, dtype)
    assert mask.dtype == dtype
    assert set(mask.flatten().tolist()) == {0.0, -100.0}
    assert torch.equal(mask, mask.mT)
    assert not mask.diagonal(dim1=1, dim2=2).any()
    assert not mask[0].any()  # the first window wraps nothing


def test_masks_are_not_shared() -> None:
    # the regions are remembered, a mask is not: a caller may write into his
    plan = plan_windows((6, 6), (3, 3), shifted=True, fit="pad")
    first = shift_mask(plan, CPU, torch.float32)
    kept = first.clone()
    first.fill_(7.0)
    assert torch.equal(shift_mask(plan, CPU, torch.float32), kept)


def test_remembered_tensors_serve_training_after_inference() -> None:
    with torch.inference_mode():
        index = relative_index((2, 5), (2, 5), CPU, False)
        regions = windows.shift_regions(plan_windows((9, 11), (2, 5), shifted=True, fit="pad"), CPU)
    assert not index.is_inference()
    assert not regions.is_inference()
    assert relative_index((2, 5), (2, 5), CPU, False) is index


def test_nothing_traced_is_remembered() -> None:
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    with FakeTensorMode():
        assert isinstance(relative_index((2, 7), (2, 7), CPU, False), FakeTensor)
    assert type(relative_index((2, 7), (2, 7), CPU, False)) is torch.Tensor


def test_regions_name_each_piece_once() -> None:
    # with every axis shifted each piece of the last windows has numbers of its own
    plan = plan_windows((6, 6, 6), (3, 3, 3), shifted=True, fit="pad")
    regions = windows.shift_regions(plan, CPU)
    sizes = [len(set(zip(*window.tolist(), strict=True))) for window in regions.unbind(1)]
    corners = itertools.product((1, 2), repeat=3)  # an axis cut in two where the window is its last
    assert sizes == [math.prod(corner) for corner in corners]


def test_nothing_functional_is_remembered() -> None:
    window = (5, 9)  # of this test alone: what leaks stays in the cache
    torch.func.functionalize(lambda x: x + relative_index(window, window, CPU, False))(torch.zeros(45, 45))
    assert not torch._is_functional_tensor(relative_index(window, window, CPU, False))
