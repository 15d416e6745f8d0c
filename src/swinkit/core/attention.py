"""Attention inside windows, with several back ends that must agree.

Letters: B batch, C channels, N tokens in a window, d head width, `*grid` is (H, W) or (T, H, W).
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.core.windows import (
    WindowPlan,
    from_windows,
    makes_plain_tensors,
    relative_index,
    shift_mask,
    to_windows,
    token_positions,
)
from swinkit.errors import ConfigError

Backend = Literal["auto", "eager", "sdpa", "fused"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
FUSED_WIDTHS = (16, 32, 64, 128)  # of heads
FUSED_TYPES = (torch.float32, torch.bfloat16, torch.float16)
_log = logging.getLogger(__name__)


class WindowLayout:
    """All that depends on the size at hand; built once a stage, shared by its blocks."""

    def __init__(self, plan: WindowPlan, device: torch.device, dtype: torch.dtype) -> None:
        self.plan, self.device, self.dtype = plan, device, dtype
        self._mask: Tensor | None = None

    @property
    def mask(self) -> Tensor | None:
        """What the shift adds to logits: (windows, N, N); built where a back end asks for it."""
        if self._mask is None:
            self._mask = shift_mask(self.plan, self.device, self.dtype)
        return self._mask


class FrozenBias:
    """Position bias with mask, kept by size, for weights that no longer change; the last few sizes."""

    sizes = 8

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Tensor] = {}

    def of(self, layout: WindowLayout, make: Callable[[WindowLayout], Tensor]) -> Tensor:
        """That of a layout; while a graph is traced it is made anew, so that nothing traced is kept."""
        if not makes_plain_tensors():
            return make(layout)
        key = (layout.plan, layout.device, layout.dtype)
        found = self._kept.get(key)
        if found is None:
            with torch.inference_mode(False), torch.no_grad():
                found = make(layout)
            while len(self._kept) >= self.sizes:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[key] = found
        return found


@dataclass(frozen=True)
class AttentionWeights:
    """The softmax weights of one block, with the place of each token in the picture.

    `weights` is (B, windows, heads, N, N): row = query, column = key. `positions` is (windows, N): flat,
    row-major index of each token on the un-shifted `grid`; -1 is padding.
    """

    weights: Tensor
    positions: Tensor
    grid: tuple[int, ...]

    def of(self, *position: int) -> Tensor:
        """Where the token at `position` looks, on the un-shifted grid: (B, heads, *grid).

        Sums to 1 or, where padding takes a share, to less. Raises ConfigError outside the grid.
        """
        if len(position) != len(self.grid) or not all(
            0 <= place < size for place, size in zip(position, self.grid, strict=True)
        ):
            raise ConfigError(f"There is no token at {position}: the grid is {self.grid}, counted from 0.")
        flat: int = 0
        for place, size in zip(position, self.grid, strict=True):
            flat = flat * size + place
        window, query = (self.positions == flat).nonzero()[0].tolist()
        row = self.weights[:, window, :, query]
        keys = self.positions[window]
        out = row.new_zeros(*row.shape[:2], math.prod(self.grid))
        out[..., keys[keys >= 0]] = row[..., keys >= 0]
        return out.view(*out.shape[:2], *self.grid)


class WindowAttention(nn.Module):
    """Multi-head self-attention within (shifted) windows, with a relative position bias.

    softmax(QKᵀ·scale + B + mask)V, Swin paper eq. 4; names as in Microsoft's
    `models/swin_transformer.py`.
    """

    backend: Backend = "auto"

    def __init__(
        self,
        dim: int,
        window: tuple[int, ...],
        num_heads: int,
        *,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        prefix_index: bool = False,
    ) -> None:
        super().__init__()
        self.window, self.num_heads, self.prefix_index = window, num_heads, prefix_index
        self.scale = (dim // num_heads) ** -0.5 if qk_scale is None else qk_scale
        rows = math.prod(2 * w - 1 for w in window)
        self.relative_position_bias_table = nn.Parameter(torch.empty(rows, num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.attn_drop = attn_drop
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)
        self.frozen: FrozenBias | None = None
        self.fill: Tensor | None
        self.register_buffer("fill", None, persistent=False)  # what stands in padding, where it is not zero

    def forward(
        self, x: Tensor, layout: WindowLayout, record: list[AttentionWeights] | None = None
    ) -> Tensor:
        """(B, *grid, C) -> (B, *grid, C). With `record`, append the weights to it (eager form)."""
        backend = "eager" if record is not None else self.resolve(x)
        if backend == "fused":
            from swinkit.core import fused

            plan = layout.plan
            geometry = [*plan.window, *plan.shift, *self.window, self.prefix_index, plan.rolls_first]
            table = self.relative_position_bias_table
            out = fused.window_attention(self.qkv(x), self.padding(), table, geometry, self.scale)[0]
        else:
            out = self._in_windows(x, layout, backend, record)
        return self.proj_drop(self.proj(out))  # type: ignore[no-any-return]

    def _in_windows(
        self, x: Tensor, layout: WindowLayout, backend: Backend, record: list[AttentionWeights] | None
    ) -> Tensor:
        """(B, *grid, C) -> the same, with windows in memory."""
        plan, bias = layout.plan, self.bias(layout)
        windows = to_windows(x, plan, self.fill)
        qkv = self.qkv(windows)
        if backend == "eager":
            out, weights = self._eager(qkv, bias)
            if record is not None:
                record.append(AttentionWeights(weights, token_positions(plan, x.device), plan.grid))
        elif bias.shape[0] == 1 or x.shape[0] == 1:
            out = self._sdpa_by_window(qkv, bias)
        else:
            out = self._sdpa(qkv, bias)
        return from_windows(out, plan)

    def bias(self, layout: WindowLayout) -> Tensor:
        """Position bias plus shift mask: (1 or windows, heads, N, N)."""
        return self._made_bias(layout) if self.frozen is None else self.frozen.of(layout, self._made_bias)

    def padding(self) -> Tensor | None:
        """What padding is after the projection (3C,); None for zeros."""
        if self.fill is None:
            return self.qkv.bias
        return F.linear(self.fill, self.qkv.weight, self.qkv.bias)

    def _made_bias(self, layout: WindowLayout) -> Tensor:
        table, window = self.relative_position_bias_table, layout.plan.window
        index = relative_index(window, self.window, table.device, self.prefix_index)
        # head by head: what comes is contiguous, and its gradient is added up several times as fast
        bias = table.t().index_select(1, index.flatten()).view(1, -1, *index.shape)
        return bias if layout.mask is None else bias + layout.mask[:, None]

    def resolve(self, x: Tensor) -> Backend:
        """The back end for an input: that which was chosen, or the fastest that its device has."""
        if self.backend in ("eager", "sdpa"):
            return self.backend
        exporting, told = torch.compiler.is_exporting(), self.backend == "fused"
        drops = self.training and self.attn_drop > 0
        if (told or x.is_cuda) and not (exporting or drops):
            width = self.proj.in_features // self.num_heads
            if _fuses(str(x.device), x.dtype, width, told=told):
                return "fused"
        # OpenVINO's converter rejects SDPA's shapes. On a CPU SDPA has no fused kernel for a bias that
        # learns, and its fallback is slower than the plain form.
        learns = torch.is_grad_enabled() and self.relative_position_bias_table.requires_grad
        plain = exporting or (x.device.type == "cpu" and learns)
        return "eager" if plain else "sdpa"

    def _eager(self, qkv: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The oracle: (B, windows, N, 3C) -> (B, windows, N, C); weights (B, windows, heads, N, N)."""
        q, k, v = self._heads(qkv)
        logits = (q if self.scale == 1 else q * self.scale) @ k.transpose(-2, -1)
        if logits.dtype == bias.dtype and (qkv.shape[0] == 1 or bias.shape[0] == 1):
            logits += bias  # in place, for these are the largest tensors by far
        else:
            logits = (logits.unflatten(0, (qkv.shape[0], -1)) + bias).flatten(0, 1)
        # softmax in fp32 at least
        precise = torch.promote_types(logits.dtype, torch.float32)
        weights = logits.softmax(-1, dtype=precise).to(v.dtype)
        out = F.dropout(weights, self.attn_drop, self.training) @ v
        return _joined(out, qkv), weights.unflatten(0, (qkv.shape[0], -1))

    def _sdpa(self, qkv: Tensor, bias: Tensor) -> Tensor:
        """Torch's fused attention; windows stand with the heads, so that their biases broadcast over B."""
        batch, windows, tokens, _ = qkv.shape
        cut = qkv.view(batch, windows, tokens, 3, self.num_heads, -1).permute(3, 0, 1, 4, 2, 5)
        q, k, v = cut.reshape(3, batch, windows * self.num_heads, tokens, -1).unbind(0)
        out = self._fused(q, k, v, bias.flatten(0, 1)[None])
        return out.view(batch, windows, self.num_heads, tokens, -1).transpose(2, 3).flatten(-2)

    def _sdpa_by_window(self, qkv: Tensor, bias: Tensor) -> Tensor:
        """The same where one bias serves all windows, or B is 1: windows stand with the batch.

        Then only x is copied into windows, and q, k, v are views of their projection.
        """
        q, k, v = self._heads(qkv)
        return _joined(self._fused(q, k, v, bias), qkv)

    def _heads(self, qkv: Tensor) -> tuple[Tensor, ...]:
        """(B, windows, N, 3C) -> q, k, v (B·windows, heads, N, d)."""
        # chunk, for then the gradients of q, k, v are written side by side at once
        return tuple(
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in qkv.flatten(0, 1).chunk(3, -1)
        )

    def _fused(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        dropout = self.attn_drop if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, bias.to(q.dtype), dropout, scale=self.scale)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _fuses(device: str, dtype: torch.dtype, width: int, *, told: bool) -> bool:
    """Whether the fused kernels run on a device; a line in the log where they were `told` to and do not."""
    return _why_not_fused(device, dtype, width, told=told) is None


@functools.cache  # so that the log says it once
def _why_not_fused(device: str, dtype: torch.dtype, width: int, *, told: bool) -> str | None:
    reason: str | None = None
    if width not in FUSED_WIDTHS:
        reason = f"a head is {width} wide, and it takes {', '.join(map(str, FUSED_WIDTHS))}"
    elif dtype not in FUSED_TYPES and device != "cpu":
        reason = f"it does not take {dtype}"
    else:
        try:
            from swinkit.core import fused

            reason = fused.trouble(torch.device(device))
        except ImportError:
            reason = "triton is not installed"
    if reason is not None and told:
        _log.warning("Fused attention is not used: %s.", reason)
    return reason


def _joined(out: Tensor, qkv: Tensor) -> Tensor:
    """Heads side by side: (B·windows, heads, N, d) -> (B, windows, N, C)."""
    return out.transpose(1, 2).reshape(*qkv.shape[:3], -1)
