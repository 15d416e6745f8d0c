"""Windows on a grid of any rank: how they fit, shift and mask.

Letters: B batch, C channels, N tokens in a window, d head width. A grid is (H, W) or (T, H, W), a window
the same; `*grid` stands for either.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Fit = Literal["pad", "pad_shift", "clamp", "square", "roll_pad", "roll_pad_fixed", "roll_pad_shift"]
FITS: tuple[Fit, ...] = get_args(Fit)
ROLL_PADS: tuple[Fit, ...] = ("roll_pad", "roll_pad_fixed", "roll_pad_shift")
Remainder = Literal["pad", "drop"]
REMAINDERS: tuple[Remainder, ...] = get_args(Remainder)
MASKED = -100.0  # the published weights were trained with this, not with -inf


class WindowPlan(NamedTuple):
    """How the windows of one layer lie on one grid; one number an axis.

    `rolls_first` says that the grid is rolled before it is padded, as timm does.
    """

    grid: tuple[int, ...]
    window: tuple[int, ...]
    shift: tuple[int, ...]
    padded: tuple[int, ...]
    rolls_first: bool = False

    @property
    def counts(self) -> tuple[int, ...]:
        """Windows along each axis."""
        return tuple(p // w for p, w in zip(self.padded, self.window, strict=True))

    @property
    def tokens(self) -> int:
        """Tokens in one window."""
        return math.prod(self.window)

    @property
    def is_shifted(self) -> bool:
        """Whether any axis is shifted."""
        return any(self.shift)


def plan_windows(
    grid: tuple[int, ...],
    window: tuple[int, ...],
    *,
    shifted: bool,
    fit: Fit,
    trained: tuple[int, ...] | None = None,
) -> WindowPlan:
    """Lay windows of size `window` over `grid` by one of the published rules.

    - `pad` pads to a multiple and does not shift an axis that one window covers (Microsoft's classifiers at
      square sizes, torchvision 2-D).
    - `pad_shift` shifts there too (Microsoft's detection and segmentation backbones, transformers').
    - `clamp` shrinks the window to the grid there (Video Swin, torchvision 3-D).
    - `square` is that of Microsoft's classifiers at any shape: where the shorter side of the grid is not
      larger than the window, the window is a square of that side and no axis is shifted. Time is clamped.
    - `roll_pad` is timm's: rolled before it is padded; window and shift as by `clamp`. `roll_pad_fixed` is
      timm's at other sizes than the model was built for: they follow from the `trained` grid instead.
    - `roll_pad_shift` is timm's with `always_partition=True`: the whole window, shifted everywhere.
    """
    judged = trained if trained is not None and fit == "roll_pad_fixed" else grid
    window, resting = _fitted(judged, window, fit)
    sides = zip(window, resting, strict=True)
    shift = tuple(0 if rests or not shifted else side // 2 for side, rests in sides)
    padded = tuple(-(-g // w) * w for g, w in zip(grid, window, strict=True))
    # where no axis is both shifted and padded, the order of the two changes nothing
    crossed = any(s and p > g for s, p, g in zip(shift, padded, grid, strict=True))
    return WindowPlan(grid, window, shift, padded, crossed and fit in ROLL_PADS)


def _fitted(grid: tuple[int, ...], window: tuple[int, ...], fit: Fit) -> tuple[tuple[int, ...], list[bool]]:
    """Return the window on a grid, and which axes are never shifted."""
    covered = [g <= w for g, w in zip(grid, window, strict=True)]
    clamped = tuple(map(min, grid, window))
    if fit in ("pad_shift", "roll_pad_shift"):
        return window, [False] * len(grid)
    if fit in ("clamp", "roll_pad", "roll_pad_fixed"):
        return clamped, covered
    if fit == "square":
        side = min(grid[-2:])
        if side > min(window[-2:]):
            return (*clamped[:-2], *window[-2:]), [*covered[:-2], False, False]
        return (*clamped[:-2], side, side), [*covered[:-2], True, True]
    return window, covered


def pad_and_roll(x: Tensor, plan: WindowPlan, fill: Tensor | None = None) -> Tensor:
    """Pad with zeros, or with `fill` (C,), at the end of each axis, then roll by minus the shift.

    (B, *grid, C) -> (B, *padded, C). The order is the one that the weights were trained with: timm's are
    rolled first.
    """
    if plan.rolls_first:
        return _pad(_roll(x, plan, -1), plan, fill)
    return _roll(_pad(x, plan, fill), plan, -1)


def _roll(x: Tensor, plan: WindowPlan, sign: int) -> Tensor:
    if not plan.is_shifted:
        return x
    return torch.roll(x, [sign * shift for shift in plan.shift], list(range(1, x.ndim - 1)))


def _pad(x: Tensor, plan: WindowPlan, fill: Tensor | None) -> Tensor:
    if plan.padded == plan.grid:
        return x
    return _padded(x, plan) if fill is None else _filled(x, plan, fill)


def _padded(x: Tensor, plan: WindowPlan) -> Tensor:
    ends = [n for p, g in zip(plan.padded[::-1], plan.grid[::-1], strict=True) for n in (0, p - g)]
    return F.pad(x, [0, 0, *ends])


def _filled(x: Tensor, plan: WindowPlan, fill: Tensor) -> Tensor:
    for axis, (padded, size) in enumerate(zip(plan.padded, plan.grid, strict=True), start=1):
        if padded > size:
            edge = fill.expand(*x.shape[:axis], padded - size, *x.shape[axis + 1 :])
            x = torch.cat([x, edge], axis)
    return x


def unroll_and_crop(x: Tensor, plan: WindowPlan) -> Tensor:
    """Undo `pad_and_roll`: (B, *padded, C) -> (B, *grid, C)."""
    if plan.rolls_first:
        return _roll(_cropped(x, plan), plan, 1)
    return _cropped(_roll(x, plan, 1), plan)


def _cropped(x: Tensor, plan: WindowPlan) -> Tensor:
    if plan.padded != plan.grid:
        for axis, size in enumerate(plan.grid, start=1):
            x = x.narrow(axis, 0, size)
    return x


def partition(x: Tensor, plan: WindowPlan) -> Tensor:
    """Cut a padded grid into windows: (B, *padded, C) -> (B, windows, N, C), windows and tokens row-major."""
    rank = len(plan.grid)
    cut = [n for pair in zip(plan.counts, plan.window, strict=True) for n in pair]
    x = x.reshape(x.shape[0], *cut, x.shape[-1])
    x = x.permute(0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
    return x.reshape(x.shape[0], math.prod(plan.counts), plan.tokens, x.shape[-1])


def merge(x: Tensor, plan: WindowPlan) -> Tensor:
    """Undo `partition`: (B, windows, N, C) -> (B, *padded, C)."""
    rank = len(plan.grid)
    x = x.reshape(x.shape[0], *plan.counts, *plan.window, x.shape[-1])
    pairs = [axis for i in range(1, rank + 1) for axis in (i, rank + i)]
    x = x.permute(0, *pairs, 1 + 2 * rank)
    return x.reshape(x.shape[0], *plan.padded, x.shape[-1])


def makes_plain_tensors() -> bool:
    """Whether nothing is traced: a new tensor is neither fake nor functional."""
    if torch.compiler.is_compiling():
        return False
    probe = torch.empty(0)
    return type(probe) is Tensor and not torch._is_functional_tensor(probe)


P = ParamSpec("P")
Constant = TypeVar("Constant")


def _remembered(build: Callable[P, Constant], sizes: int = 64) -> Callable[P, Constant]:
    """Keep the last few constant tensors by size, for all modules and threads.

    While a graph is traced the tensor is built anew, so that nothing traced leaks into the cache; it is
    never an inference tensor, so that training may save it for the backward pass.
    """
    cached = functools.lru_cache(sizes)(build)

    @functools.wraps(build)
    def lookup(*args: P.args, **kwargs: P.kwargs) -> Constant:
        if not makes_plain_tensors():
            return build(*args, **kwargs)
        with torch.inference_mode(False):
            return cached(*args, **kwargs)  # type: ignore[arg-type]

    return lookup


def _build_relative_index(
    window: tuple[int, ...], table: tuple[int, ...], device: torch.device, prefix: bool = False
) -> Tensor:
    """Row of the bias table for each pair of tokens: (N, N) int64.

    `table` is the window that the table was made for; `window` may be smaller (`fit="clamp"`). With
    `prefix` the full table's index is cut to its first N rows and columns, as Video Swin and torchvision
    do: right for a shorter time axis, wrong for space; only for parity with them.
    """
    if prefix and window != table:
        n = math.prod(window)
        return _build_relative_index(table, table, device)[:n, :n].contiguous()
    axes = [torch.arange(w, device=device) for w in window]
    coords = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    index = torch.zeros(coords.shape[1], coords.shape[1], dtype=torch.int64, device=device)
    for position, size in zip(coords, table, strict=True):
        delta = position[:, None] - position[None, :]
        index = index * (2 * size - 1) + delta + size - 1
    return index


def _build_shift_regions(plan: WindowPlan, device: torch.device) -> Tensor:
    """Which piece of each axis the tokens of the rolled grid come from: (rank, windows, N) int64."""
    regions = []
    for axis, (size, window, shift) in enumerate(zip(plan.padded, plan.window, plan.shift, strict=True)):
        place = torch.arange(size, device=device)
        piece = (place >= size - window).long() + (place >= size - shift).long() if shift else place * 0
        spread = piece.view([-1 if i == axis else 1 for i in range(len(plan.padded))]).expand(plan.padded)
        regions.append(partition(spread[None, ..., None], plan)[0, ..., 0])
    # stacked last: compiled, a stack is laid down once, else softmax would count all this again a logit
    return torch.stack(regions)


relative_index = _remembered(_build_relative_index)
shift_regions = _remembered(_build_shift_regions)


def shift_mask(plan: WindowPlan, device: torch.device, dtype: torch.dtype) -> Tensor | None:
    """Additive mask (windows, N, N): -100 between tokens that were no neighbours before the roll.

    None where nothing is shifted. Padding is masked only where the shift does it, as in the published
    codes.
    """
    if not plan.is_shifted:
        return None
    regions = shift_regions(plan, device)
    apart = (regions[..., :, None] != regions[..., None, :]).any(0)
    return torch.zeros(apart.shape, dtype=dtype, device=device).masked_fill_(apart, MASKED)


def to_windows(x: Tensor, plan: WindowPlan, fill: Tensor | None = None) -> Tensor:
    """Pad, roll and cut: (B, *grid, C) -> (B, windows, N, C), in one gather; `fill` as in `pad_and_roll`."""
    if _is_moved(plan):
        moved: Tensor = _Moved.apply(x.flatten(1, -2), moves(plan, x.device), fill)
        return moved.view(x.shape[0], -1, plan.tokens, x.shape[-1])
    return partition(pad_and_roll(x, plan, fill), plan)


def from_windows(x: Tensor, plan: WindowPlan) -> Tensor:
    """Undo `to_windows`: (B, windows, N, C) -> (B, *grid, C)."""
    if _is_moved(plan):
        moved: Tensor = _Moved.apply(x.flatten(1, 2), moves(plan, x.device).back(), None)
        return moved.view(x.shape[0], *plan.grid, x.shape[-1])
    return unroll_and_crop(merge(x, plan), plan)


def _is_moved(plan: WindowPlan) -> bool:
    """Whether a gather is fewer copies; traced, the compiler sees better through the steps themselves."""
    return (plan.is_shifted or plan.padded != plan.grid) and makes_plain_tensors()


class Moves(NamedTuple):
    """Which row each row is taken from, and which rows are taken from none; and so back."""

    rows: Tensor
    holes: Tensor
    rows_back: Tensor
    holes_back: Tensor

    def back(self) -> Moves:
        """The other way."""
        return Moves(self.rows_back, self.holes_back, self.rows, self.holes)


def _build_moves(plan: WindowPlan, device: torch.device) -> Moves:
    """From the grid's tokens, row-major, to those of its windows; padding is taken from none."""
    cpu = torch.device("cpu")  # where what is there can be asked, which meta tensors do not know
    rows = token_positions(plan, cpu).flatten()
    real = (rows >= 0).nonzero()[:, 0]
    back = torch.empty(len(real), dtype=rows.dtype, device=cpu)
    back[rows[real]] = real
    found = (rows.clamp(min=0), (rows < 0).nonzero()[:, 0], back, back[:0])
    return Moves(*(own.to(device) for own in found))


class _Moved(torch.autograd.Function):
    """Rows of (B, rows, C) in another order; torch's own gather would add its gradients up one by one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, way: Moves, fill: Tensor | None) -> Tensor:
        ctx.way = way
        out = x.index_select(1, way.rows)
        if len(way.holes):
            out[:, way.holes] = 0 if fill is None else fill
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        moved: Tensor = _Moved.apply(gradient, ctx.way.back(), None)
        return moved, None, None


def token_positions(plan: WindowPlan, device: torch.device) -> Tensor:
    """Flat index on the un-shifted, un-padded grid of each window's tokens: (windows, N); -1 is padding."""
    # one is added so that the zeros that padding brings stand out
    flat = torch.arange(math.prod(plan.grid), device=device).view(1, *plan.grid, 1) + 1
    return partition(pad_and_roll(flat, plan), plan)[0, ..., 0] - 1


moves = _remembered(_build_moves)
