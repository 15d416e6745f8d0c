"""Microsoft's releases, whose names are ours: classifiers, dense backbones, Video Swin (FACTS §3).

Sources: microsoft/Swin-Transformer, SwinTransformer/Swin-Transformer-Object-Detection and -Semantic-
Segmentation, SwinTransformer/Video-Swin-Transformer.
"""

from swinkit.weights.dialects.spelling import Dialect

MICROSOFT = Dialect(
    name="microsoft",
    title="Microsoft's",
    marks=r"layers\.\d+\.blocks\.\d+\.(attn\.(qkv|proj|relative_position)|mlp\.fc|norm[12]\.)",
    starts=(
        ("patch_embed.", "patch_embed."),
        ("layers.{s}.", "layers.{s}."),
        ("absolute_pos_embed", "absolute_pos_embed"),
    ),
    aliases=(("cls_head.fc_cls.", "head."),),
    no_qkv_bias=True,
    no_patch_norm=True,
    whole_windows=True,
    prefix_index=True,
    mends_index=True,
)
