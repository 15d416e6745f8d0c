"""A slow Swin, written from the paper and the rules of the published codes, not from `swinkit.core`.

No roll, no partition, no regions. Along an axis, shifted windows are the cells of a lattice that starts at
`shift` instead of 0. The tokens before the first lattice line (cell -1) are computed together with those of
the last, truncated cell; pairs of tokens from those two cells get -100. Everything is in float64.

Letters: B batch, C channels, N tokens in a window, d head width; `*grid` is (H, W) or (T, H, W).
"""

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

Place = tuple[int, ...]


class Axis(NamedTuple):
    """One axis of a grid under a `fit` rule."""

    size: int
    window: int
    shift: int
    windows: int  # how many it takes to cover the axis
    rolls_first: bool = False  # timm's order: padding stays behind what the roll brought

    def rolled(self, p: int) -> int:
        """Where a token stands after the roll, in timm's order."""
        return (p - self.shift) % self.size if p < self.size else p

    def cell(self, p: int) -> int:
        """The cell of the shifted lattice; in timm's order the pieces that its mask parts."""
        if not self.rolls_first:
            return (p - self.shift) // self.window
        if not self.shift:
            return self.rolled(p) // self.window
        end = self.windows * self.window
        pieces = [end - self.window, end - self.shift]
        return sum(self.rolled(p) >= start for start in pieces) + 3 * (self.rolled(p) // self.window)

    def window_of(self, p: int) -> int:
        """The window that computes a token: cell -1 goes with the last one."""
        return self.rolled(p) // self.window if self.rolls_first else self.cell(p) % self.windows

    def inside(self, p: int) -> int:
        """Where in its window a token stands."""
        return self.rolled(p) % self.window if self.rolls_first else (p - self.shift) % self.window


def lay_axis(size: int, window: int, shifted: bool, fit: str) -> Axis:
    if size <= window and fit in ("clamp", "roll_pad", "roll_pad_fixed"):
        return Axis(size, size, 0, 1)
    shift = window // 2 if shifted else 0
    if size <= window and fit == "pad":
        shift = 0
    return Axis(size, window, shift, math.ceil(size / window), fit.startswith("roll_pad"))


def lay_axes(grid: Place, window: Place, shifted: bool, fit: str) -> list[Axis]:
    if fit == "square":
        short = min(grid[-2], grid[-1])
        if short > min(window[-2], window[-1]):
            space = [
                lay_axis(g, w, shifted, "pad_shift") for g, w in zip(grid[-2:], window[-2:], strict=True)
            ]
        else:
            space = [Axis(g, short, 0, math.ceil(g / short)) for g in grid[-2:]]
        return [lay_axis(g, w, shifted, "clamp") for g, w in zip(grid[:-2], window[:-2], strict=True)] + space
    return [lay_axis(size, side, shifted, fit) for size, side in zip(grid, window, strict=True)]


def cell(place: Place, axes: list[Axis]) -> Place:
    """The cell of each axis: tokens of one cell are neighbours in the picture."""
    return tuple(a.cell(p) for p, a in zip(place, axes, strict=True))


def window_of(place: Place, axes: list[Axis]) -> Place:
    """The window that computes a token."""
    return tuple(a.window_of(p) for p, a in zip(place, axes, strict=True))


def inside(place: Place, axes: list[Axis]) -> Place:
    """Where in its window a token stands."""
    return tuple(a.inside(p) for p, a in zip(place, axes, strict=True))


def places(grid: Place) -> list[Place]:
    return list(itertools.product(*map(range, grid)))


def window_members(axes: list[Axis]) -> dict[Place, list[Place]]:
    """Tokens of each window (padding too), in row-major order inside the window."""
    members: dict[Place, list[Place]] = {}
    for place in places(tuple(a.windows * a.window for a in axes)):
        members.setdefault(window_of(place, axes), []).append(place)
    return {key: sorted(tokens, key=lambda p: inside(p, axes)) for key, tokens in sorted(members.items())}


def allowed(query: Place, axes: list[Axis]) -> set[Place]:
    """Tokens of the grid that a token may look at."""
    grid = tuple(a.size for a in axes)
    return {key for key in places(grid) if cell(key, axes) == cell(query, axes)}


def table_row(query: Place, key: Place, sides: Place) -> int:
    """Row of the bias table for two places inside a window; the table was made for windows of `sides`."""
    row = 0
    for q, k, side in zip(query, key, sides, strict=True):
        row = row * (2 * side - 1) + (q - k + side - 1)
    return row


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    y = x @ layer.weight.double().T
    return y if layer.bias is None else y + layer.bias.double()


def normalise(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / spread * layer.weight.double() + layer.bias.double()


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def attend(attn: nn.Module, x: Tensor, *, shifted: bool, fit: str, scale: float | None = None) -> Tensor:
    """One (shifted) window attention: (B, *grid, C) -> (B, *grid, C)."""
    heads, channels = attn.num_heads, x.shape[-1]
    d = channels // heads
    axes = lay_axes(tuple(x.shape[1:-1]), attn.window, shifted, fit)
    table = attn.relative_position_bias_table.double()
    # padding is zero after norm1: its query, key and value are the biases
    padded = torch.zeros(x.shape[0], *(a.windows * a.window for a in axes), channels, dtype=torch.float64)
    padded[(slice(None), *(slice(a.size) for a in axes))] = x
    qkv, out = linear(padded, attn.qkv), torch.zeros_like(padded)
    for tokens in window_members(axes).values():
        stand, cells = [inside(t, axes) for t in tokens], [cell(t, axes) for t in tokens]
        rows = torch.tensor([[table_row(q, k, attn.window) for k in stand] for q in stand])
        mask = torch.tensor([[0.0 if q == k else -100.0 for k in cells] for q in cells], dtype=torch.float64)
        here = (slice(None), *(list(places) for places in zip(*tokens, strict=True)))
        mixed = []
        for head in range(heads):
            q, k, v = (qkv[here][..., part * channels + head * d :][..., :d] for part in range(3))
            logits = q @ k.mT * (scale or d**-0.5) + table[rows, head] + mask
            weights = (logits - logits.max()).exp()
            mixed.append(weights / weights.sum(-1, keepdim=True) @ v)
        out[here] = linear(torch.cat(mixed, -1), attn.proj)
    return out[(slice(None), *(slice(a.size) for a in axes))]


def run_block(block: nn.Module, x: Tensor, *, shifted: bool, fit: str, scale: float | None = None) -> Tensor:
    """z' = W-MSA(LN(z)) + z; z = MLP(LN(z')) + z'."""
    x = x.double()
    x = x + attend(block.attn, normalise(x, block.norm1), shifted=shifted, fit=fit, scale=scale)
    hidden = gelu(linear(normalise(x, block.norm2), block.mlp.fc1))
    return x + linear(hidden, block.mlp.fc2)


def embed_patches(embed: nn.Module, x: Tensor) -> Tensor:
    """(B, in_chans, *size) -> (B, *grid, C); pixels beyond the end are zero."""
    weight, bias = embed.proj.weight.double(), embed.proj.bias.double()
    patch = tuple(weight.shape[2:])
    grid = tuple(math.ceil(size / p) for size, p in zip(x.shape[2:], patch, strict=True))
    rows = []
    for place in places(grid):
        pixels = torch.zeros(*x.shape[:2], *patch, dtype=torch.float64)
        corner = [slice(i * p, (i + 1) * p) for i, p in zip(place, patch, strict=True)]
        piece = x[(slice(None), slice(None), *corner)]
        pixels[tuple(slice(n) for n in piece.shape)] = piece.double()
        rows.append((pixels[:, None] * weight).flatten(2).sum(-1) + bias)
    y = torch.stack(rows, 1).unflatten(1, grid)
    return normalise(y, embed.norm) if isinstance(embed.norm, nn.LayerNorm) else y


def merge_patches(merging: nn.Module, x: Tensor) -> Tensor:
    """(B, *grid, C) -> (B, *grid/2, 2C), in space only; neighbours beyond the end are zero."""
    *lead, height, width, channels = x.shape
    out = torch.zeros(*lead, -(-height // 2), -(-width // 2), 2 * channels, dtype=torch.float64)
    for r, c in places(tuple(out.shape[-3:-1])):
        four = [(2 * r, 2 * c), (2 * r + 1, 2 * c), (2 * r, 2 * c + 1), (2 * r + 1, 2 * c + 1)]
        nothing = torch.zeros(*lead, channels, dtype=torch.float64)
        found = [x[..., i, j, :] if i < height and j < width else nothing for i, j in four]
        out[..., r, c, :] = linear(normalise(torch.cat(found, -1), merging.norm), merging.reduction)
    return out


def run_backbone(model: nn.Module, x: Tensor, *, fit: str, scale: float | None = None) -> list[Tensor]:
    """Maps of every stage before patch merging and without any norm: (B, *grid, C)."""
    x = embed_patches(model.patch_embed, x)
    maps = []
    for stage in model.layers:
        for i, block in enumerate(stage.blocks):
            x = run_block(block, x, shifted=i % 2 == 1, fit=fit, scale=scale)
        maps.append(x)
        if stage.downsample is not None:
            x = merge_patches(stage.downsample, x)
    return maps
