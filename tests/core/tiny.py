"""Small models whose every parameter matters, and what the tests of this folder share."""

import torch
from hypothesis import settings
from torch import Tensor, nn

from swinkit.core.attention import WindowAttention, WindowLayout
from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.core.windows import plan_windows

Grid = tuple[int, ...]


def examples(count: int) -> settings:
    """Hypothesis without a clock, a database or chance: the same in every run and worker."""
    return settings(max_examples=count, deadline=None, database=None, derandomize=True)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def noisy(module: nn.Module, seed: int = 0) -> nn.Module:
    """Fill every parameter so that a mistake shows: norms off 1 and 0, tables of order 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            noise = 0.3 * noise + (1.0 if name.endswith("weight") else 0.0)
        elif name.endswith("weight"):
            noise = noise / parameter[0].numel() ** 0.5
        parameter.copy_(noise)
    return module


def tiny_config(rank: int = 2, **changes: object) -> SwinConfig:
    numbers = {"embed_dim": 8, "depths": (2, 2), "num_heads": (2, 4)}
    numbers |= {"window": (3, 3), "patch": (2, 2)} if rank == 2 else {"window": (2, 3, 3), "patch": (2, 2, 2)}
    return SwinConfig(**(numbers | changes))


def tiny_model(rank: int = 2, *, seed: int = 0, model: dict | None = None, **changes: object) -> SwinBackbone:
    return noisy(SwinBackbone(tiny_config(rank, **changes), **(model or {})), seed).eval()


def make_layout(
    grid: Grid, window: Grid, *, shifted: bool, fit: str, dtype=torch.float32, like: Tensor | None = None
) -> WindowLayout:
    plan = plan_windows(grid, window, shifted=shifted, fit=fit)
    if like is not None:
        return WindowLayout(plan, like.device, like.dtype)
    return WindowLayout(plan, torch.device("cpu"), dtype)


def run_attention(attn: WindowAttention, x: Tensor, *, shifted: bool, fit: str, record=None) -> Tensor:
    layout = make_layout(tuple(x.shape[1:-1]), attn.window, shifted=shifted, fit=fit, like=x)
    return attn(x, layout, record)
