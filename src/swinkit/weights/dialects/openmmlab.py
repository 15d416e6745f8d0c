"""OpenMMLab's rewrites (mmseg, mmdet, mmpretrain): merging reads channel by channel (FACTS §3)."""

from torch import Tensor

from swinkit.weights.dialects.spelling import Dialect, Tensors


def _from_channel_major(tensors: Tensors) -> Tensors:
    """Order of the 4C axis of merging: theirs c·4 + k -> ours block(k)·C + c, block = 0, 2, 1, 3."""
    return {name: _reorder(t, theirs=True) if _merges(name, t) else t for name, t in tensors.items()}


def _to_channel_major(tensors: Tensors) -> Tensors:
    return {name: _reorder(t, theirs=False) if _merges(name, t) else t for name, t in tensors.items()}


def _merges(name: str, tensor: Tensor) -> bool:
    return ".downsample." in name and tensor.ndim > 0 and tensor.shape[-1] % 4 == 0


def _reorder(tensor: Tensor, *, theirs: bool) -> Tensor:
    swap = [0, 2, 1, 3]  # its own inverse
    parts: Tensor = tensor.unflatten(-1, (-1, 4) if theirs else (4, -1))
    parts = parts[..., swap] if theirs else parts[..., swap, :]
    return parts.transpose(-1, -2).flatten(-2)


OPENMMLAB = Dialect(
    name="openmmlab",
    title="OpenMMLab's",
    marks=r"stages\.\d+\.blocks\.\d+\.(attn\.w_msa\.|ffn\.layers\.)",
    starts=(
        ("patch_embed.projection.", "patch_embed.proj."),
        ("patch_embed.norm.", "patch_embed.norm."),
        ("stages.{s}.", "layers.{s}."),
        ("head.fc.", "head."),
        ("absolute_pos_embed", "absolute_pos_embed"),
    ),
    inner=(
        (".attn.w_msa.", ".attn."),
        (".ffn.layers.0.0.", ".mlp.fc1."),
        (".ffn.layers.1.", ".mlp.fc2."),
    ),
    reads=_from_channel_major,
    writes=_to_channel_major,
    no_qkv_bias=True,
)
