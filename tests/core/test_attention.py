"""Attention and blocks against the slow reference; who sees whom; the weights; the gradients."""

import copy

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from swinkit.core.attention import WindowAttention
from swinkit.core.backbone import SwinBlock
from swinkit.core.windows import FITS
from tests.core import reference
from tests.core.tiny import examples, make_layout, noisy, random, run_attention, tiny_config, tiny_model

CLOSE = {"atol": 2e-5, "rtol": 1e-5, "check_dtype": False}


def make_attention(window: tuple[int, ...], heads: int = 2, d: int = 4, **more: object) -> WindowAttention:
    return noisy(WindowAttention(heads * d, window, heads, **more)).eval()


def make_block(window: tuple[int, ...], **more: object) -> SwinBlock:
    rank = len(window)
    return noisy(SwinBlock(tiny_config(rank, window=window, **more), stage=0, drop_path=0.0)).eval()


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], bool, str]:
    rank = draw(st.sampled_from([2, 3]))
    grid = draw(st.tuples(*[st.integers(1, 7 if rank == 2 else 4)] * rank))
    window = draw(st.tuples(*[st.integers(1, 4 if rank == 2 else 3)] * rank))
    return grid, window, draw(st.booleans()), draw(st.sampled_from(FITS))


@given(cases())
@examples(40)
@example(((7, 5), (3, 3), True, "pad"))
@example(((7, 2), (3, 3), True, "pad"))
@example(((3, 3), (3, 3), True, "pad_shift"))
@example(((2, 5), (4, 3), True, "pad_shift"))
@example(((2, 5), (4, 3), True, "clamp"))
@example(((5, 4, 2), (2, 3, 3), True, "pad"))
@example(((1, 4, 3), (2, 3, 3), True, "pad_shift"))
@example(((1, 4, 2), (2, 3, 3), True, "clamp"))
def test_block_equals_the_slow_reference(case) -> None:
    grid, window, shifted, fit = case
    block = make_block(window)
    x = random(2, *grid, 8)
    expected = reference.run_block(block, x, shifted=shifted, fit=fit)
    layout = make_layout(grid, window, shifted=shifted, fit=fit)
    for backend in ("eager", "sdpa"):
        block.attn.backend = backend
        torch.testing.assert_close(block(x, layout), expected, **CLOSE)


@pytest.mark.parametrize("backend", ["auto", "eager", "sdpa"])
@pytest.mark.parametrize("more", [{"qk_scale": 0.9}, {"qkv_bias": False}], ids=["qk_scale", "qkv_bias"])
def test_options_equal_the_slow_reference(more: dict, backend: str) -> None:
    attn = make_attention((3, 3), **more)
    attn.backend = backend
    assert (attn.qkv.bias is None) == ("qkv_bias" in more)
    x = random(1, 5, 7, 8)
    scale = more.get("qk_scale")
    expected = reference.attend(attn, x, shifted=True, fit="pad", scale=scale)
    torch.testing.assert_close(run_attention(attn, x, shifted=True, fit="pad"), expected, **CLOSE)
    if scale is not None:
        default = reference.attend(attn, x, shifted=True, fit="pad")
        assert not torch.allclose(default, expected, atol=1e-3)


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("grid", [(6, 5), (3, 4, 5)], ids=["image", "video"])
def test_mask_is_added_and_finite(grid: tuple[int, ...], backend: str) -> None:
    # a bias of more than 100 overcomes the mask: -inf, or a mask put in place of the bias, would show
    window = (2, 3, 3)[-len(grid) :]
    attn = make_attention(window)
    attn.backend = backend
    with torch.no_grad():
        attn.relative_position_bias_table.mul_(100)
    x = random(1, *grid, 8)
    expected = reference.attend(attn, x, shifted=True, fit="pad")
    # logits are of order 200 here, where fp32 resolves 1.5e-5
    close = CLOSE | {"atol": 2e-4}
    torch.testing.assert_close(run_attention(attn, x, shifted=True, fit="pad"), expected, **close)
    record = []
    run_attention(attn, x, shifted=True, fit="pad", record=record)
    mask = make_layout(grid, window, shifted=True, fit="pad").mask
    leak = record[0].weights[0] * (mask[:, None] < 0)
    assert leak.max() > 0.5


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("grid", "window"), [((7, 8), (3, 4)), ((3, 8), (3, 4)), ((3, 4, 5), (2, 3, 3)), ((2, 3, 5), (2, 3, 3))]
)
def test_a_token_moves_its_neighbours_only(grid, window, fit: str, backend: str) -> None:
    attn = make_attention(window)
    attn.backend = backend
    axes = reference.lay_axes(grid, window, shifted=True, fit=fit)
    x = random(1, *grid, 8)
    before = run_attention(attn, x, shifted=True, fit=fit)
    corners = {tuple(p) for p in ([0] * len(grid), [n - 1 for n in grid], [n // 2 for n in grid])}
    for place in sorted(corners):
        changed = x.clone()
        changed[(0, *place)] += random(8, seed=1)
        after = run_attention(attn, changed, shifted=True, fit=fit)
        moved = {tuple(p) for p in (after != before).any(-1)[0].nonzero().tolist()}
        assert moved == reference.allowed(place, axes)


def test_neighbours_by_hand() -> None:
    # 6 tokens, window 3, shift 1: cells {0}, {1, 2, 3}, {4, 5}; the wrap computes {4, 5, 0} in one window
    axes = reference.lay_axes((6,), (3,), shifted=True, fit="pad")
    assert [sorted(p for (p,) in reference.allowed((q,), axes)) for q in range(6)] == [
        [0], [1, 2, 3], [1, 2, 3], [1, 2, 3], [4, 5], [4, 5],
    ]  # fmt: skip
    assert list(reference.window_members(axes).values()) == [[(1,), (2,), (3,)], [(4,), (5,), (0,)]]


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("grid", "window"), [((7, 8), (3, 4)), ((3, 5), (3, 4)), ((3, 4, 5), (2, 3, 3)), ((1, 3, 4), (2, 3, 3))]
)
def test_weights_lie_on_neighbours(grid, window, fit: str, shifted: bool) -> None:
    attn = make_attention(window)
    axes = reference.lay_axes(grid, window, shifted=shifted, fit=fit)
    x = random(2, *grid, 8)
    record = []
    out = run_attention(attn, x, shifted=shifted, fit=fit, record=record)
    torch.testing.assert_close(out, run_attention(attn, x, shifted=shifted, fit=fit))
    (weights,) = record
    windows, n = weights.positions.shape
    assert weights.weights.shape == (2, windows, 2, n, n)
    assert weights.grid == grid
    torch.testing.assert_close(weights.weights.sum(-1), torch.ones(2, windows, 2, n))
    for place in reference.places(grid)[:: 3 if len(grid) == 2 else 7]:
        row = weights.of(*place)
        assert row.shape == (2, 2, *grid)
        seen = {tuple(p) for p in (row > 1e-30).all(0).all(0).nonzero().tolist()}
        touched = {tuple(p) for p in (row > 1e-30).any(0).any(0).nonzero().tolist()}
        assert seen == touched == reference.allowed(place, axes)
        total = row.flatten(2).sum(-1)
        padded = any(a.windows * a.window > a.size for a in axes)
        assert (total <= 1 + 1e-6).all()
        if not padded:
            torch.testing.assert_close(total, torch.ones(2, 2))


def test_weights_times_values_are_the_output() -> None:
    # the un-shifted view is the real one: the values, averaged by it, give the attention's output
    attn = make_attention((3, 3))
    x = random(2, 6, 6, 8)
    record = []
    out = run_attention(attn, x, shifted=True, fit="pad", record=record)
    values = attn.qkv(x)[..., 16:].unflatten(-1, (2, 4))
    for place in [(0, 0), (0, 5), (3, 2), (5, 5)]:
        mixed = torch.einsum("bhxy,bxyhd->bhd", record[0].of(*place), values).flatten(1)
        torch.testing.assert_close(attn.proj(mixed), out[:, place[0], place[1]], atol=2e-5, rtol=0)


def test_padding_takes_a_share_of_the_weights() -> None:
    attn = make_attention((3, 3))
    record = []
    run_attention(attn, random(1, 4, 4, 8), shifted=False, fit="pad", record=record)
    assert (record[0].of(3, 3).sum((-1, -2)) < 0.99).all()
    torch.testing.assert_close(record[0].of(0, 0).sum((-1, -2)), torch.ones(1, 2))


@pytest.mark.parametrize("place", [(0, 4), (0, -1)])
def test_weights_of_a_place_outside_the_grid(place: tuple[int, int]) -> None:
    attn = make_attention((3, 3))
    record = []
    run_attention(attn, random(1, 4, 4, 8), shifted=False, fit="pad", record=record)
    with pytest.raises((IndexError, ValueError)):
        record[0].of(*place)


def test_backbone_records_every_block() -> None:
    model = tiny_model(depths=(2, 3))
    x = random(2, 3, 13, 10)
    maps, record = model(x, attend=True)
    for got, expected in zip(maps, model(x), strict=True):
        torch.testing.assert_close(got, expected, atol=2e-5, rtol=0)
    assert [w.grid for w in record] == [(7, 5)] * 2 + [(4, 3)] * 3
    assert [w.weights.shape[2] for w in record] == [2] * 2 + [4] * 3
    # only every second block is shifted, by one row and one column
    assert [w.positions[0, 0].item() for w in record] == [0, 6, 0, 4 * 0 + 3, 0]


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("fit", FITS)
def test_gradients_of_eager_and_sdpa_agree(rank: int, fit: str) -> None:
    window, grid = ((3, 3), (5, 4)) if rank == 2 else ((2, 3, 3), (3, 4, 2))
    attn = make_attention(window).double()
    x = random(2, *grid, 8).double().requires_grad_()
    cotangent = random(2, *grid, 8, seed=1).double()
    gradients = []
    for backend in ("eager", "sdpa"):
        attn.backend = backend
        out = run_attention(attn, x, shifted=True, fit=fit)
        gradients.append(torch.autograd.grad((out * cotangent).sum(), [x, *attn.parameters()]))
    for eager, sdpa in zip(*gradients, strict=True):
        assert eager.abs().sum() > 0
        torch.testing.assert_close(eager, sdpa, atol=1e-10, rtol=0)


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_double_precision_stays_double(backend: str) -> None:
    attn = make_attention((3, 3)).double()
    attn.backend = backend
    x = random(1, 5, 4, 8).double()
    expected = reference.attend(attn, x, shifted=True, fit="pad")
    torch.testing.assert_close(run_attention(attn, x, shifted=True, fit="pad"), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_gradcheck(backend: str) -> None:
    attn = noisy(WindowAttention(2, (2, 2), 1)).double()
    attn.backend = backend
    names = [name for name, _ in attn.named_parameters()]
    x = random(1, 3, 2, 2).double().requires_grad_()

    def run(x, *values):
        layout = make_layout((3, 2), (2, 2), shifted=True, fit="pad_shift", dtype=torch.float64)
        return torch.func.functional_call(attn, dict(zip(names, values, strict=True)), (x, layout))

    values = [p.detach().requires_grad_() for p in attn.parameters()]
    assert torch.autograd.gradcheck(run, (x, *values))


def test_dropout_of_the_weights_and_of_the_projection() -> None:
    x = random(1, 6, 6, 8)
    for option in ("attn_drop", "proj_drop"):
        attn = make_attention((3, 3), **{option: 0.5})
        still = run_attention(attn, x, shifted=True, fit="pad")
        torch.testing.assert_close(still, run_attention(make_attention((3, 3)), x, shifted=True, fit="pad"))
        attn.train()
        for backend in ("eager", "sdpa"):
            attn.backend = backend
            torch.manual_seed(0)
            first = run_attention(attn, x, shifted=True, fit="pad")
            assert not torch.allclose(first, still, atol=1e-2)
            assert not torch.equal(first, run_attention(attn, x, shifted=True, fit="pad"))
            mean = run_attention(attn, x.expand(2000, -1, -1, -1), shifted=True, fit="pad").mean(0)
            spread = (mean - still[0]).abs().mean() / still.abs().mean()
            assert spread < 0.05


def test_a_copy_is_independent() -> None:
    attn = make_attention((3, 3))
    other = copy.deepcopy(attn)
    x = random(1, 4, 5, 8)
    before = run_attention(attn, x, shifted=True, fit="pad")
    assert torch.equal(run_attention(other, x, shifted=True, fit="pad"), before)
    noisy(other, seed=5)
    assert torch.equal(run_attention(attn, x, shifted=True, fit="pad"), before)
