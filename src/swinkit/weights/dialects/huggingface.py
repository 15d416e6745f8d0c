"""transformers' spelling, on disk and in memory: q, k and v are separate (FACTS §3)."""

import torch

from swinkit.weights.dialects.spelling import Dialect, Tensors

_PARTS = ("query", "key", "value")


def _join(tensors: Tensors) -> Tensors:
    """attn.query, attn.key, attn.value -> attn.qkv, in that order; what has no fellows stays as it is."""
    joined: Tensors = {}
    for name, tensor in tensors.items():
        part = next((part for part in _PARTS if f".attn.{part}." in name), "")
        trio = [name.replace(f".attn.{part}.", f".attn.{word}.") for word in _PARTS]
        shapes = {tensors[one].shape if one in tensors else None for one in trio}
        if not part or len(shapes) > 1 or None in shapes:
            joined[name] = tensor
        elif part == _PARTS[0]:
            joined[name.replace(f".attn.{part}.", ".attn.qkv.")] = torch.cat([tensors[one] for one in trio])
    return joined


def _split(tensors: Tensors) -> Tensors:
    """attn.qkv -> attn.query, attn.key, attn.value."""
    parts: Tensors = {}
    for name, tensor in tensors.items():
        if ".attn.qkv." in name:
            for word, piece in zip(_PARTS, tensor.chunk(3), strict=True):
                parts[name.replace(".attn.qkv.", f".attn.{word}.")] = piece.clone()
        else:
            parts[name] = tensor
    return parts


HUGGINGFACE = Dialect(
    name="huggingface",
    title="transformers'",
    marks=r"embeddings\.patch_embeddings\.projection|encoder\.layers\.\d+\.blocks\.\d+\.(attention|layernorm_)",
    starts=(
        ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
        ("embeddings.norm.", "patch_embed.norm."),
        ("embeddings.position_embeddings", "absolute_pos_embed"),
        ("encoder.layers.{s}.", "layers.{s}."),
        ("hidden_states_norms.stage{s+1}.", "norm{s}."),
        ("layernorm.", "norm."),
        ("classifier.", "head."),
    ),
    # MaskFormer's own backbone; the final norm that dense ones have and do not use, since transformers 5
    aliases=(("hidden_states_norms.{s}.", "norm{s}."), ("swin.layernorm.", "norm.")),
    # longer parts first: `output.dense` stands in both
    inner=(
        (".attention.output.dense.", ".attn.proj."),
        (".attention.self.query.", ".attn.query."),
        (".attention.self.key.", ".attn.key."),
        (".attention.self.value.", ".attn.value."),
        (".attention.self.relative_", ".attn.relative_"),
        (".intermediate.dense.", ".mlp.fc1."),
        (".output.dense.", ".mlp.fc2."),
        (".layernorm_before.", ".norm1."),
        (".layernorm_after.", ".norm2."),
    ),
    # in memory, since transformers 5
    inner_aliases=(
        (".attention.relative_position_bias.relative_", ".attn.relative_"),
        (".attention.q_proj.", ".attn.query."),
        (".attention.k_proj.", ".attn.key."),
        (".attention.v_proj.", ".attn.value."),
        (".attention.o_proj.", ".attn.proj."),
    ),
    reads=_join,
    writes=_split,
    no_qkv_bias=True,
)
