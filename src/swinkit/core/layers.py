"""The layers around attention: patch partition, patch merging, MLP, drop path.

Letters: B batch, C channels, `*grid` is (H, W) or (T, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchEmbed(nn.Module):
    """Cut the input into patches and embed each: one convolution with kernel = stride = patch.

    (B, in_chans, *size) -> (B, *grid, C). Of sizes that are no multiple of the patch the end is padded with
    zeros (the `PatchEmbed` of Microsoft's dense codes), or with `drop_remainder` ignored (torchvision's).
    """

    def __init__(
        self,
        patch: tuple[int, ...],
        in_chans: int,
        dim: int,
        *,
        norm: bool = True,
        drop_remainder: bool = False,
    ) -> None:
        super().__init__()
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[len(patch)]
        self.patch, self.drop_remainder = patch, drop_remainder
        self.proj = convolution(in_chans, dim, kernel_size=patch, stride=patch)  # type: ignore[arg-type]
        self.norm = nn.LayerNorm(dim) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Embed patches, channels last."""
        ends = [-size % p for size, p in zip(x.shape[2:], self.patch, strict=True)]
        if any(ends) and not self.drop_remainder:
            x = F.pad(x, [n for end in reversed(ends) for n in (0, end)])
        return self.norm(self.proj(x).movedim(1, -1))  # type: ignore[no-any-return]


class PatchMerging(nn.Module):
    """Join the 2×2 neighbours in space: (B, *grid, C) -> (B, *grid/2, 2C); time is left as it is.

    Order (0,0), (1,0), (0,1), (1,1) of (row, column); odd grids are padded at the end. Microsoft's
    `PatchMerging`.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Merge, normalise, reduce."""
        height, width = x.shape[-3:-1]
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        x = x.unflatten(-2, (-1, 2)).unflatten(-4, (-1, 2))  # (..., H/2, 2, W/2, 2, C)
        x = x.movedim(-4, -2).flatten(-3)  # (..., H/2, W/2, column, row, C) -> 4C
        return self.reduction(self.norm(x))  # type: ignore[no-any-return]


class Gelu(nn.GELU):
    """Exact GELU; where no gradient is asked for, in the memory of its input, the largest of a block.

    A hook that keeps what came before shall copy it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply to each element."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return F.gelu(x)
        return torch.ops.aten.gelu_(x)  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """Linear, exact GELU, linear: (..., C) -> (..., C)."""

    def __init__(self, dim: int, hidden: int, drop: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = Gelu()
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to the last axis."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))  # type: ignore[no-any-return]


class DropPath(nn.Module):
    """Skip a residual branch for random samples while training, and scale the others up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Zero whole samples of (B, ...) with probability `rate`."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        kept = torch.rand(x.shape[:1], device=x.device) < keep
        # a branch that is always dropped (rate 1) must give 0, not 0/0
        scale = kept.to(x.dtype) / max(keep, torch.finfo(x.dtype).tiny)
        return x * scale.view(-1, *[1] * (x.ndim - 1))

    def extra_repr(self) -> str:
        """Show the rate when printed."""
        return f"{self.rate:.3f}"
