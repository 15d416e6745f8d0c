"""The Swin backbone: blocks, stages, and the maps that heads read.

Letters: B batch, C channels of a stage, `*grid` is (H, W) or (T, H, W). Inside, channels stand last;
outside, maps are (B, C, *grid).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from swinkit.core.attention import BACKENDS, AttentionWeights, Backend, WindowAttention, WindowLayout
from swinkit.core.compiling import SizedGraphs
from swinkit.core.config import Axes, SwinConfig
from swinkit.core.layers import DropPath, Mlp, PatchEmbed, PatchMerging
from swinkit.core.windows import plan_windows
from swinkit.errors import ConfigError, nearest
from swinkit.features import FeatureSpec

Norms = Literal["final", "each", "none"]


class SwinBlock(nn.Module):
    """z' = W-MSA(LN(z)) + z; z = MLP(LN(z')) + z' (Swin paper, eq. 3)."""

    def __init__(self, config: SwinConfig, stage: int, drop_path: float) -> None:
        super().__init__()
        dim = config.dim(stage)
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(
            dim,
            config.windows[stage],
            config.num_heads[stage],
            qkv_bias=config.qkv_bias,
            qk_scale=config.qk_scale,
            attn_drop=config.attn_drop,
            proj_drop=config.drop,
            prefix_index=config.prefix_index,
        )
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * config.mlp_ratio), config.drop)

    def forward(
        self, x: Tensor, layout: WindowLayout, record: list[AttentionWeights] | None = None
    ) -> Tensor:
        """(B, *grid, C) -> (B, *grid, C)."""
        x = x + self.drop_path(self.attn(self.norm1(x), layout, record))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class SwinStage(nn.Module):
    """Blocks in pairs, regular and shifted windows in turn; then the way down to the next stage."""

    def __init__(self, config: SwinConfig, stage: int) -> None:
        super().__init__()
        self.window, self.fit, self.trained = config.windows[stage], config.fit, config.grid(stage)
        rates = config.drop_path_rates()[stage]
        self.blocks = nn.ModuleList(SwinBlock(config, stage, rate) for rate in rates)
        last = stage == config.stages - 1
        self.downsample = None if last else PatchMerging(config.dim(stage))
        self.checkpointing = False

    def forward(self, x: Tensor, record: list[AttentionWeights] | None = None) -> Tensor:
        """Run the blocks: (B, *grid, C) -> (B, *grid, C). The caller merges patches."""
        if self.checkpointing and torch.is_grad_enabled() and record is None:
            return checkpoint(self._run, x, use_reentrant=False)
        return self._run(x, record)

    def _run(self, x: Tensor, record: list[AttentionWeights] | None = None) -> Tensor:
        layouts = [self._layout(x, shifted=shifted) for shifted in (False, True)]
        for i, block in enumerate(self.blocks):
            x = block(x, layouts[i % 2], record)
        return x

    def _layout(self, x: Tensor, *, shifted: bool) -> WindowLayout:
        grid = tuple(x.shape[1:-1])
        plan = plan_windows(grid, self.window, shifted=shifted, fit=self.fit, trained=self.trained)
        return WindowLayout(plan, x.device, x.dtype)


class SwinBackbone(nn.Module):
    """Pixels to feature maps: (B, in_chans, *size) -> list of (B, C_i, *grid_i), any size.

    `out_indices` names the stages whose maps are returned, before patch merging. `norms` says what they
    passed: `"final"` only the last stage's map, through `norm` (classifiers); `"each"` every map, through
    its own `norm{i}` (dense tasks); `"none"` nothing. `features` describes the maps. Tensors are named as
    in Microsoft's `models/swin_transformer.py`.
    """

    absolute_pos_embed: nn.Parameter | None
    load_report: object  # what became of a file's tensors; None for random weights

    def __init__(
        self, config: SwinConfig, *, out_indices: Sequence[int] | None = None, norms: Norms = "final"
    ) -> None:
        super().__init__()
        self.config = config
        self.out_indices = _checked_indices(out_indices, config.stages)
        self.norms = norms
        self.features = tuple(_feature_spec(config, stage) for stage in self.out_indices)
        self.patch_embed = PatchEmbed(
            config.patch_size,
            config.in_chans,
            config.embed_dim,
            norm=config.patch_norm,
            drop_remainder=config.patch_remainder == "drop",
        )
        self.absolute_pos_embed = _position_table(config)
        self.pos_drop = nn.Dropout(config.drop)
        self.layers = nn.ModuleList(SwinStage(config, stage) for stage in range(config.stages))
        self.frozen_stages: int | None = None
        self.graphs: SizedGraphs | None = None
        self.load_report = None
        if norms not in get_args(Norms):
            raise ConfigError(f"norms={norms!r}: {nearest(str(norms), get_args(Norms))}")
        normed = {"final": [config.stages - 1], "each": list(self.out_indices), "none": []}[norms]
        self._norm_names = {stage: "norm" if norms == "final" else f"norm{stage}" for stage in normed}
        for stage, name in self._norm_names.items():
            self.add_module(name, nn.LayerNorm(config.dim(stage)))
        self.apply(lambda module: _initialise(module, config.init_std))

    def forward(
        self, x: Tensor, *, attend: bool = False
    ) -> list[Tensor] | tuple[list[Tensor], list[AttentionWeights]]:
        """Maps of `out_indices`; with `attend=True` also every block's attention weights (eager only)."""
        self._check_input(x)
        if not torch.compiler.is_compiling() and not len(x):  # a traced graph keeps any batch
            return self._empty(x, attend=attend)
        if attend:
            record: list[AttentionWeights] = []
            return self._maps(x, record), record
        if self.graphs is None or torch.compiler.is_compiling():
            return self._maps(x)
        maps: list[Tensor] = self.graphs(self, x)
        return maps

    def _empty(
        self, x: Tensor, *, attend: bool
    ) -> list[Tensor] | tuple[list[Tensor], list[AttentionWeights]]:
        """Answer no inputs: shapes are those of one input, which windows cannot be counted without."""
        record: list[AttentionWeights] = []
        one = x.new_zeros(1, *x.shape[1:])
        maps = [feature_map[:0] for feature_map in self._maps(one, record if attend else None)]
        seen = [replace(weights, weights=weights.weights[:0]) for weights in record]
        return (maps, seen) if attend else maps

    def _maps(self, x: Tensor, record: list[AttentionWeights] | None = None) -> list[Tensor]:
        x = self._embed(x)
        maps = []
        last = max(self.out_indices)
        for i, stage in enumerate(self._stages()[: last + 1]):
            x = stage(x, record)
            if i in self.out_indices:
                maps.append(self._normed(x, i).movedim(-1, 1))
            if stage.downsample is not None and i < last:
                x = stage.downsample(x)
        return maps

    def _embed(self, pixels: Tensor) -> Tensor:
        x: Tensor = self.patch_embed(pixels)
        if self.absolute_pos_embed is not None:
            x = x + self._positions(tuple(x.shape[1:-1]))
        embedded: Tensor = self.pos_drop(x)
        return embedded

    def _positions(self, grid: Axes) -> Tensor:
        """Absolute position, resized to the grid: bicubic in space, linear in time; (1, *grid, C)."""
        trained = self.config.grid(0)
        assert trained is not None
        assert self.absolute_pos_embed is not None
        table: Tensor = self.absolute_pos_embed.unflatten(1, trained)
        if grid == trained:
            return table
        if len(grid) == 3 and grid[0] != trained[0]:
            line = F.interpolate(table.flatten(2).mT, grid[0], mode="linear").mT
            table = line.unflatten(2, (*trained[1:], -1))
        planes = table.flatten(0, -4).movedim(-1, 1)
        planes = F.interpolate(planes, grid[-2:], mode="bicubic")
        return planes.movedim(1, -1).reshape(1, *grid, -1)

    def blocks(self) -> list[nn.Module]:
        """All blocks, first to last: units to share out or to compile."""
        return [block for stage in self._stages() for block in stage.blocks]

    def _stages(self) -> list[SwinStage]:
        return [layer for layer in self.layers if isinstance(layer, SwinStage)]

    def _normed(self, x: Tensor, stage: int) -> Tensor:
        name = self._norm_names.get(stage)
        return x if name is None else self.get_submodule(name)(x)

    def _check_input(self, x: Tensor) -> None:
        rank, channels = self.config.rank, self.config.in_chans
        if x.ndim != rank + 2 or x.shape[1] != channels:
            axes = "(B, C, T, H, W)" if rank == 3 else "(B, C, H, W)"
            raise ConfigError(
                f"The backbone takes {axes} with {channels} channels, not a tensor of shape {tuple(x.shape)}."
            )
        sides = zip(x.shape[2:], self.config.patch_size, strict=True)
        if self.config.patch_remainder == "drop" and any(side < patch for side, patch in sides):
            raise ConfigError(
                f"An input of {tuple(x.shape[2:])} holds no whole patch of {self.config.patch_size}, and the "
                "model ignores what fills none: give a larger one."
            )

    def set_attention(self, backend: Backend) -> None:
        """Choose how attention is computed: `auto`, `eager` (the oracle), `sdpa` or `fused` (CUDA)."""
        if backend not in BACKENDS:
            raise ConfigError(f"attention={backend!r} is no back end: {nearest(str(backend), BACKENDS)}")
        for module in self.modules():
            if isinstance(module, WindowAttention):
                module.backend = backend

    def set_compile(self, on: bool = True) -> None:
        """Have `torch.compile` compute the maps: a graph for each of the first sizes that come, any batch."""
        self.graphs = SizedGraphs(type(self)._maps) if on else None

    def set_checkpointing(self, stages: Iterable[int] | bool = True) -> None:
        """Recompute the activations of these stages (True: all) in the backward pass, to save memory."""
        everyone = range(len(self.layers))
        chosen = set(everyone) if stages is True else set(stages or ())
        if not chosen <= set(everyone):
            raise ConfigError(
                f"`checkpointing={sorted(chosen)}`: the stages are 0 to {len(self.layers) - 1}."
            )
        for i, layer in enumerate(self._stages()):
            layer.checkpointing = i in chosen

    def freeze(self, stages: int) -> None:
        """Freeze the patch embedding and the first `stages` stages: no gradients, no dropout.

        0 freezes the embedding alone. Stays in force through `train()`; a second call may freeze more, not
        less. A frozen stage takes its patch merging with it.
        """
        if not 0 <= stages <= len(self.layers):
            raise ConfigError(f"`freeze={stages}`: a backbone of {len(self.layers)} stages takes 0 to that.")
        self.frozen_stages = max(stages, self.frozen_stages or 0)
        for module in self._frozen():
            module.requires_grad_(False)
        if self.absolute_pos_embed is not None:
            self.absolute_pos_embed.requires_grad_(False)
        self.train(self.training)

    def _frozen(self) -> list[nn.Module]:
        if self.frozen_stages is None:
            return []
        return [self.patch_embed, self.pos_drop, *self.layers[: self.frozen_stages]]

    def train(self, mode: bool = True) -> SwinBackbone:
        """Set training mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self


def _checked_indices(indices: Sequence[int] | None, stages: int) -> tuple[int, ...]:
    listed = range(stages) if indices is None else indices
    if not isinstance(listed, Sequence) or not all(isinstance(index, int) for index in listed):
        raise ConfigError(f"out_indices={indices!r}: name stages from 0 to {stages - 1}, as (0, 1) does.")
    chosen = tuple(listed)
    if not chosen or list(chosen) != sorted(set(chosen)) or not set(chosen) <= set(range(stages)):
        raise ConfigError(f"out_indices={chosen}: name stages from 0 to {stages - 1}, each once, rising.")
    return chosen


def _feature_spec(config: SwinConfig, stage: int) -> FeatureSpec:
    time = config.patch_size[0] if config.rank == 3 else 1
    return FeatureSpec(config.dim(stage), config.patch_size[-1] * 2**stage, time)


def _position_table(config: SwinConfig) -> nn.Parameter | None:
    if not config.absolute_position:
        return None
    grid = config.grid(0)
    assert grid is not None
    table = nn.Parameter(torch.zeros(1, math.prod(grid), config.embed_dim))
    nn.init.trunc_normal_(table, std=0.02)
    return table


def _initialise(module: nn.Module, std: float | None) -> None:
    """Linear layers as published; the convolution keeps torch's default, as Microsoft's does."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5 if std is None else std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
