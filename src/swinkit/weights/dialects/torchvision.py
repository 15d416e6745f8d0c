"""torchvision's spelling: one flat list of stages and mergings; images and video differ by one (FACTS §3)."""

from swinkit.weights.dialects.spelling import Dialect

_MLP = ((".mlp.0.", ".mlp.fc1."), (".mlp.3.", ".mlp.fc2."))

TORCHVISION = Dialect(
    name="torchvision",
    title="torchvision's",
    marks=r"(^|\.)features\.\d*[13579]\.\d+\.(attn\.|norm[12]\.)",
    starts=(
        ("features.0.0.", "patch_embed.proj."),
        ("features.0.2.", "patch_embed.norm."),
        ("features.{2s+1}.", "layers.{s}.blocks."),
        ("features.{2s+2}.", "layers.{s}.downsample."),
    ),
    inner=_MLP,
    fit="pad",
    patch_remainder="drop",
)

TORCHVISION_3D = Dialect(
    name="torchvision3d",
    title="torchvision's (video)",
    marks=r"(^|\.)features\.\d*[02468]\.\d+\.(attn\.|norm[12]\.)",
    starts=(
        ("patch_embed.", "patch_embed."),
        ("features.{2s}.", "layers.{s}.blocks."),
        ("features.{2s+1}.", "layers.{s}.downsample."),
    ),
    inner=_MLP,
    prefix_index=True,
)
