"""A backbone for inference alone: what is constant is computed once.

The affine part of each LayerNorm goes into the linear layer behind it, the scale of attention into the
projection of q, and position bias with mask is kept by size. Final norms stay: their outputs are the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swinkit.core.attention import FrozenBias, WindowAttention
from swinkit.core.backbone import SwinBackbone, SwinBlock
from swinkit.core.layers import PatchMerging
from swinkit.errors import ConfigError


def fold(backbone: SwinBackbone) -> None:
    """Fold in place; the same outputs but for rounding. What it was cannot be had back; twice is as once."""
    if is_folded(backbone):
        return
    for module in list(backbone.modules()):
        if isinstance(module, SwinBlock):
            _fold_attention(module)
            module.norm2, module.mlp.fc1 = _folded(module.norm2, module.mlp.fc1)
        elif isinstance(module, PatchMerging):
            module.norm, module.reduction = _folded(module.norm, module.reduction)
    backbone.requires_grad_(False)


def is_folded(backbone: nn.Module) -> bool:
    """Whether that has been done to a backbone."""
    return any(isinstance(own, WindowAttention) and own.frozen is not None for own in backbone.modules())


def refuse_folded(backbone: nn.Module) -> None:
    """ConfigError for one whose weights are no longer those of a file."""
    if is_folded(backbone):
        raise ConfigError("The model is a copy optimised for inference: save the one that it was made of.")


def _fold_attention(block: SwinBlock) -> None:
    attention = block.attn
    gain, offset = block.norm1.weight, block.norm1.bias
    if gain.all():  # else no padding would become what zeros behind the norm are
        block.norm1, attention.qkv = _folded(block.norm1, attention.qkv)
        attention.fill = -offset.detach() / gain.detach()
    _scale(attention)
    attention.frozen = FrozenBias()


@torch.no_grad()
def _scale(attention: WindowAttention) -> None:
    """Let the projection scale q."""
    width = attention.qkv.in_features
    attention.qkv.weight[:width] *= attention.scale
    if attention.qkv.bias is not None:
        attention.qkv.bias[:width] *= attention.scale
    attention.scale = 1.0


@torch.no_grad()
def _folded(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[nn.LayerNorm, nn.Linear]:
    """A norm without weights, and the linear layer that has them; in fp64, for products are rounded once."""
    bare = nn.LayerNorm(norm.normalized_shape, eps=norm.eps, elementwise_affine=False)
    weight, gain, offset = (own.double() for own in (linear.weight, norm.weight, norm.bias))
    made = nn.Linear(linear.in_features, linear.out_features, device="meta", dtype=linear.weight.dtype)
    made.weight = _like(linear.weight, weight * gain)
    bias = weight @ offset
    made.bias = _like(linear.weight, bias if linear.bias is None else bias + linear.bias.double())
    return bare.train(norm.training), made.train(linear.training)


def _like(old: Tensor, values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.to(old.dtype), requires_grad=False)
