"""Fused window attention: one Triton kernel each way; no roll, partition, bias or mask in memory.

An op of `torch.library`, so that compile, autocast, checkpointing and DDP take it as one of torch's own.
`attention` imports this file, and triton with it, only where it is used.

Letters: B batch, C channels, N tokens in a window; `*grid` is (H, W) or (T, H, W).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from swinkit.core import kernels
from swinkit.core.windows import relative_index

WAVES = 8  # programs of the backward pass for each multiprocessor, where a window is one tile
ROOM = 160 << 10  # bytes of shared memory that a large tile of fp32 takes


class _Call(NamedTuple):
    """What both kernels take alike."""

    grid: tuple[int, ...]
    padded: tuple[int, ...]
    windows: int  # of an image
    heads: int
    plan: tuple[Any, ...]
    width: int  # of a head
    tile: int  # tokens that a program holds at once, of queries and of keys

    @classmethod
    def of(cls, qkv: Tensor, table: Tensor, geometry: Sequence[int]) -> _Call:
        """Of `window_attention`'s arguments."""
        axes = qkv.ndim - 2
        window, shift, sides = (geometry[i * axes : (i + 1) * axes] for i in range(3))
        prefix, rolls_first = (*geometry[3 * axes :], 0)[:2]
        grid, own, made = (_three(each, 1) for each in (qkv.shape[1:-1], window, sides))
        padded = tuple(-(-size // side) * side for size, side in zip(grid, own, strict=True))
        pads = 2 if rolls_first else padded != grid
        plan = (
            *(own, _three(shift, 0), made if prefix else own, made, pads, _precision(qkv.dtype)),
            *(math.prod(own), math.prod(2 * side - 1 for side in made)),
        )
        heads = table.shape[1]
        windows = math.prod(padded) // math.prod(own)
        return cls(grid, padded, windows, heads, plan, qkv.shape[-1] // (3 * heads), _tile(qkv))


def _beyond(pad: Tensor | None, qkv: Tensor) -> Tensor:
    """What padding is projected to: zero where the projection has no bias."""
    return qkv.new_zeros(qkv.shape[-1]) if pad is None else pad


def _three(numbers: Sequence[int], fill: int) -> tuple[int, ...]:
    """Numbers of three axes: an image is a video of one frame."""
    return (fill,) * (3 - len(numbers)) + tuple(numbers)


def _precision(dtype: torch.dtype) -> str:
    """How products are taken, as `kernels` names it."""
    if triton.knobs.runtime.interpret and dtype == torch.bfloat16:
        return "wide"
    return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"


def _tile(qkv: Tensor) -> int:
    """64 tokens; 32 where such tiles of fp32 do not fit into a GPU's shared memory."""
    if qkv.device.type != "cuda" or qkv.itemsize < 4:
        return 64
    device: Any = torch.cuda.get_device_properties(qkv.device)
    return 64 if device.shared_memory_per_block_optin >= ROOM else 32


def _precise(dtype: torch.dtype) -> torch.dtype:
    """In which sums are kept."""
    return torch.promote_types(dtype, torch.float32)


@torch.library.custom_op("swinkit::window_attention", mutates_args=())
def window_attention(
    qkv: Tensor, pad: Tensor | None, table: Tensor, geometry: Sequence[int], scale: float
) -> tuple[Tensor, Tensor]:
    """Attention in windows: (B, *grid, 3C) -> (B, *grid, C), and norms (B, *grid, heads) for the backward.

    `pad` (3C,) is what padding is projected to, the bias of `qkv`; `table` (rows, heads) the position bias.
    `geometry` are the sides of the window, the shifts, the sides that the table was made for, whether tokens
    of smaller windows count as in Video Swin's code (`prefix` of `windows._build_relative_index`), and
    whether the grid is rolled before it is padded (0 where it is left out).
    """
    call, qkv = _Call.of(qkv, table, geometry), qkv.contiguous()
    out, norms = _empty(qkv, call.heads)
    tiles = triton.cdiv(call.plan[6], call.tile)
    kernels.forward[(call.heads * call.windows * tiles, len(qkv))](
        qkv, _beyond(pad, qkv), table.T.contiguous(), out, norms,
        call.grid, call.padded, call.heads, scale, call.plan, call.width, call.tile,
    )  # fmt: skip
    return out, norms


@window_attention.register_fake
def _(
    qkv: Tensor, pad: Tensor | None, table: Tensor, geometry: Sequence[int], scale: float
) -> tuple[Tensor, Tensor]:
    return _empty(qkv, table.shape[1])


def _empty(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    shape = qkv.shape[:-1]
    out = qkv.new_empty(*shape, qkv.shape[-1] // 3)
    return out, qkv.new_empty(*shape, heads, dtype=_precise(qkv.dtype))


@torch.library.custom_op("swinkit::window_attention_backward", mutates_args=())
def window_attention_backward(
    upstream: Tensor,
    qkv: Tensor,
    pad: Tensor | None,
    table: Tensor,
    out: Tensor,
    norms: Tensor,
    geometry: Sequence[int],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `qkv`, `pad` (zeros where there is none) and `table`."""
    call, qkv = _Call.of(qkv, table, geometry), qkv.contiguous()
    window, tokens = call.plan[0], call.plan[6]
    qkv_grad = torch.empty_like(qkv)
    pad_grad = norms.new_zeros(qkv.shape[-1])
    bias_grad = norms.new_zeros(call.heads, tokens, tokens)
    items = call.windows * len(qkv)
    shares = items if tokens > call.tile else min(items, -(-WAVES * _processors(qkv.device) // call.heads))
    kernels.backward[(shares, call.heads)](
        qkv, _beyond(pad, qkv), table.T.contiguous(), out, norms, upstream.contiguous(),
        qkv_grad, pad_grad, bias_grad,
        call.grid, call.padded, call.windows, len(qkv), call.heads, scale, call.plan, call.width, call.tile,
    )  # fmt: skip
    index = relative_index(window, call.plan[3], qkv.device, bool(geometry[3 * (qkv.ndim - 2)])).flatten()
    table_grad = norms.new_zeros(table.shape).index_add_(0, index, bias_grad.flatten(1).T)
    return qkv_grad, pad_grad if pad is None else pad_grad.to(pad.dtype), table_grad.to(table.dtype)


@window_attention_backward.register_fake
def _(
    upstream: Tensor,
    qkv: Tensor,
    pad: Tensor | None,
    table: Tensor,
    out: Tensor,
    norms: Tensor,
    geometry: Sequence[int],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    beyond = norms.new_empty(qkv.shape[-1]) if pad is None else torch.empty_like(pad)
    return torch.empty_like(qkv), beyond, torch.empty_like(table)


def _processors(device: torch.device) -> int:
    """Multiprocessors of a GPU; few where the kernel is interpreted."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    qkv, pad, table, *ctx.told = inputs
    ctx.save_for_backward(qkv, pad, table, *output)
    ctx.mark_non_differentiable(output[1])


def _differentiate(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    qkv, pad, table, out, norms = ctx.saved_tensors
    qkv_grad, pad_grad, table_grad = window_attention_backward(
        upstream, qkv, pad, table, out, norms, *ctx.told
    )
    return qkv_grad, None if pad is None else pad_grad, table_grad, None, None


window_attention.register_autograd(_differentiate, setup_context=_keep)


@functools.cache
def trouble(device: torch.device) -> str | None:
    """Why the kernels do not run on a device; None where they do, and answer right: it is tried once."""
    if device.type != "cuda":
        return None if triton.knobs.runtime.interpret else "it needs a CUDA GPU"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"{torch.cuda.get_device_name(device)} is older than Ampere"
    qkv = torch.linspace(-1, 1, 7 * 7 * 48, device=device).view(1, 7, 7, 48).sin()
    table = torch.linspace(-1, 1, 169, device=device)[:, None]
    try:
        found = window_attention(qkv, None, table, [7, 7, 0, 0, 7, 7, 0], 1.0)[0].flatten(1, 2)
    except Exception as error:  # noqa: BLE001, whatever a compiler or a driver has to say
        return f"its kernel fails here ({type(error).__name__}: {str(error).strip().splitlines()[0]})"
    q, k, v = qkv.flatten(1, 2).chunk(3, -1)
    bias = table[relative_index((7, 7), (7, 7), device), 0]
    wanted = (q @ k.mT + bias).softmax(-1) @ v
    return None if torch.allclose(found, wanted, atol=1e-2) else "its kernel answers wrongly here"
