"""A foreign checkpoint as ours: which dialect, which names, which architecture, from the tensors alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from swinkit.core.config import Axes, SwinConfig
from swinkit.core.windows import relative_index
from swinkit.errors import ConfigError, WeightsError
from swinkit.weights.containers import Checkpoint
from swinkit.weights.dialects import DIALECTS, Dialect
from swinkit.weights.dialects.spelling import renamed
from swinkit.weights.store import RECOMPUTED

INDEX, MASK = RECOMPUTED
LEFT = (*RECOMPUTED, "mask_token", "num_batches_tracked")
BODY = re.compile(r"(patch_embed\.|absolute_pos_embed$|layers\.\d+\.|norm[0-9]?\.)")

# names by which other models are told, for the sentence that refuses them
_LOOKS = (
    (r"logit_scale|cpb_mlp|continuous_position_bias_mlp", "a Swin V2"),
    (r"layer1\.0\.conv1\.weight", "a ResNet"),
    (r"(stages|features)\.\d+\.(blocks\.)?\d+\.(conv_dw|dwconv|depthwise_conv|block\.0)\.", "a ConvNeXt"),
    (
        r"(blocks|layers?|encoder_layer_)\.?\d+\..*(attn|attention|self_attention).*",
        "a plain vision transformer",
    ),
    (r"(text_model|vision_model|visual)\.", "a CLIP"),
    (r"conv\d?\d?\.|bn\d?\.", "a convolutional network"),
)
_OTHER_HEADS = (
    (r"(decode_head|auxiliary_head)\.", "a segmentation model"),
    (r"(rpn_head|roi_head|bbox_head|neck|rpn|roi_heads)\.", "a detector"),
    (r"(decoder|mask_token|encoder_k|projector|predictor)", "a pre-training model"),
)


@dataclass(frozen=True)
class Converted:
    """A checkpoint under our names.

    `tensors` are backbone and head; `others` what belongs to neither, by its own name. `converted` names
    those that are not the file's own tensors any more; `indices` are stored relative position indices, by
    stage.
    """

    source: str
    dialect: Dialect
    tensors: dict[str, Tensor]
    others: dict[str, Tensor]
    converted: tuple[str, ...]
    dropped: tuple[str, ...]
    indices: dict[int, Tensor]
    masks: dict[int, Tensor]

    @property
    def dense(self) -> bool:
        """Whether every stage has its own norm, as backbones for detection and segmentation have."""
        return sum(bool(re.match(r"norm\d\.weight", name)) for name in self.tensors) > 1

    @property
    def classes(self) -> int | None:
        """Rows of the classifier, if there is one."""
        head = self.tensors.get("head.weight", self.tensors.get("head.bias"))
        return None if head is None else len(head)

    def other_head(self) -> str | None:
        """What model the other tensors make of it, if they are known."""
        for pattern, what in _OTHER_HEADS:
            if any(re.match(pattern, name) for name in self.others):
                return what
        return None


def convert(checkpoint: Checkpoint) -> Converted:
    """Give a checkpoint our names and our order of numbers; WeightsError where it is no Swin."""
    names = list(checkpoint.tensors)
    dialect = recognise(names, checkpoint.source)
    prefix = dialect.prefix(names)
    own, others, strange = _split(checkpoint.tensors, prefix)
    left = {name for name in own if name.endswith(LEFT)}
    kept = {name: tensor for name, tensor in own.items() if name not in left}
    plain = renamed(kept, dialect.to_ours)
    if len(plain) < len(kept):
        twice = Counter(map(dialect.to_ours, kept)).most_common(1)[0][0]
        raise WeightsError(f"{checkpoint.source} holds {twice} twice, in two spellings: remove one of them.")
    tensors = dialect.reads(plain)
    tensors, others = _sort(tensors, others, dialect)
    converted = tuple(name for name, t in tensors.items() if t is not plain.get(name))
    indices, masks = (
        _by_stage({dialect.to_ours(n): own[n] for n in left if n.endswith(end)}) for end in RECOMPUTED
    )
    dropped = (*sorted(left), *strange, *checkpoint.dropped)
    return Converted(
        checkpoint.source, dialect, _sole_norm(tensors), others, converted, dropped, indices, masks
    )


def recognise(names: Sequence[str], source: str) -> Dialect:
    """The dialect of a file with these names; WeightsError that says what it looks like instead."""
    looks = next((what for pattern, what in _LOOKS if any(re.search(pattern, n) for n in names)), None)
    found = next((dialect for dialect in DIALECTS if dialect.recognises(names)), None)
    if found is not None and looks != "a Swin V2":
        return found
    if looks == "a Swin V2":
        raise WeightsError(f"{source} is a Swin V2, which swinkit does not know yet: give a Swin V1.")
    guess = f"it looks like {looks}" if looks else "it is none that is known"
    shown = ", ".join(names[:3])
    raise WeightsError(
        f"{source} holds no Swin: {guess} ({len(names)} tensors, {shown} …); expected one of "
        "Microsoft, timm, torchvision, transformers, OpenMMLab or swinkit."
    )


def _split(
    tensors: Mapping[str, Tensor], prefix: str
) -> tuple[dict[str, Tensor], dict[str, Tensor], list[str]]:
    """What stands below the backbone's prefix; what stands beside it, both without it; names elsewhere."""
    outer = prefix[: prefix.rstrip(".").rfind(".") + 1]
    own, others, strange = {}, {}, []
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            own[name.removeprefix(prefix)] = tensor
        elif name.startswith(outer):
            others[name.removeprefix(outer)] = tensor
        else:
            strange.append(name)
    return own, others, strange


def _sort(
    tensors: dict[str, Tensor], others: dict[str, Tensor], dialect: Dialect
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Backbone and classifier on one side, heads of other tasks on the other."""
    ours: dict[str, Tensor] = {}
    rest: dict[str, Tensor] = {}
    for name, tensor in (*tensors.items(), *renamed(others, dialect.to_ours).items()):
        known = BODY.match(name) or name in ("head.weight", "head.bias")
        (ours if known and name not in ours else rest)[name] = tensor
    return ours, rest


def _sole_norm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A single `norm3` (mmpretrain, mmaction) is a classifier's final norm."""
    numbered = {name.split(".")[0] for name in tensors if re.match(r"norm\d\.", name)}
    if len(numbered) != 1 or "norm.weight" in tensors:
        return tensors
    return {re.sub(r"^norm\d\.", "norm.", name): tensor for name, tensor in tensors.items()}


def _by_stage(tensors: Mapping[str, Tensor]) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}
    for name, tensor in tensors.items():
        match = re.match(r"layers\.(\d+)\.", name)
        if match:
            found.setdefault(int(match[1]), tensor)
    return found


def infer_config(given: Converted) -> SwinConfig:
    """Read the architecture off the tensors: widths, depths, heads, windows, patch, rank, position, fit.

    Raises WeightsError where that cannot be.
    """
    tensors = given.tensors
    depths = _depths(tensors, given.source)
    stages = range(len(depths))
    width = _width(tensors, given.source)
    patch = _shape(tensors, "patch_embed.proj.weight", (4, 5)) or (width, 3, 4, 4)
    rank = len(patch) - 2
    tables = [
        _shape(tensors, rf"layers\.{s}\.blocks\.\d+\.attn\.relative_position_bias_table", (2,))
        for s in stages
    ]
    first, heads = next(((s, found[1]) for s, found in enumerate(tables) if found), (0, 0))
    if not heads:
        raise WeightsError(f"{given.source} holds no relative position bias tables: is it whole?")
    windows = _all_windows(
        [_window(table, rank, given.indices.get(s)) for s, table in enumerate(tables)], rank
    )
    all_heads = [found[1] if found else heads << s >> first for s, found in enumerate(tables)]
    hidden = _shape(tensors, r"layers\.0\.blocks\.\d+\.mlp\.fc1\.weight", (2,)) or (4 * width,)
    position = _shape(tensors, "absolute_pos_embed", (3,))
    fit = "clamp" if rank == 3 else "pad_shift" if given.dense else "pad"
    values = {
        "embed_dim": width,
        "depths": depths,
        "num_heads": tuple(all_heads),
        "window": tuple(windows),
        "patch": tuple(patch[2:]),
        "in_chans": patch[1],
        "mlp_ratio": hidden[0] / width,
        "qkv_bias": any(name.endswith("attn.qkv.bias") for name in tensors),
        "patch_norm": any(name.startswith("patch_embed.norm.") for name in tensors),
        "absolute_position": position is not None,
        "fit": fit,
    }
    values["img_size"] = _image_size(windows, patch[2:], position, given.masks.get(0))
    try:
        return SwinConfig.from_dict(values)
    except ConfigError as error:
        raise WeightsError(f"{given.source} does not add up to a Swin: {error}") from error


def _shape(tensors: Mapping[str, Tensor], pattern: str, axes: Sequence[int]) -> Axes | None:
    """Shape of the first tensor of that name and of so many axes."""
    shapes = (tuple(t.shape) for name, t in tensors.items() if re.fullmatch(pattern, name))
    return next((shape for shape in shapes if len(shape) in axes), None)


def _depths(tensors: Iterable[str], source: str) -> tuple[int, ...]:
    depth: dict[int, int] = {}
    for name in tensors:
        match = re.match(r"layers\.(\d+)\.blocks\.(\d+)\.", name)
        if match:
            depth[int(match[1])] = max(depth.get(int(match[1]), 0), int(match[2]) + 1)
    if sorted(depth) != list(range(len(depth))) or not depth:
        raise WeightsError(f"{source} holds blocks of the stages {sorted(depth)} only: it is not whole.")
    return tuple(depth[stage] for stage in sorted(depth))


def _width(tensors: Mapping[str, Tensor], source: str) -> int:
    names = (r"layers\.0\.blocks\.\d+\.norm[12]\.\w+", r"patch_embed\.(proj|norm)\.\w+")
    shapes = (_shape(tensors, name, (1, 4, 5)) for name in names)
    width = next((shape[0] for shape in shapes if shape), None)
    if width is None:
        raise WeightsError(f"{source} holds too little of a Swin to tell its width: it is not whole.")
    return width


def _window(table: Axes | None, rank: int, index: Tensor | None) -> Axes | None:
    """Window of a stage: that whose relative index is the stored one, else the likeliest for the rows."""
    if table is None:
        return None
    candidates = _windows_of(table[0], rank)
    if index is not None:
        for window in candidates:
            if math.prod(window) ** 2 == index.numel() and bool(
                (relative_index(window, window, index.device).flatten() == index.flatten()).all()
            ):
                return window
    return candidates[0] if candidates else None


def _windows_of(rows: int, rank: int) -> list[Axes]:
    """All windows with a table of that many rows, the likeliest first: square in space, side 7, 12, 8, 16."""
    sides = [(side + 1) // 2 for side in range(1, rows + 1, 2) if rows % side == 0]
    found = []
    for depth in sides if rank == 3 else [1]:
        area = rows // (2 * depth - 1)
        found += [
            (*([depth] if rank == 3 else []), high, area // (2 * high - 1) // 2 + 1)
            for high in sides
            if area % (2 * high - 1) == 0
        ]
    usual = (7, 12, 8, 16)

    def unlikely(window: Axes) -> tuple[bool, int, int]:
        high, wide = window[-2:]
        rank_of_side = usual.index(high) if high in usual else len(usual)
        return high != wide, rank_of_side, -high

    return sorted(found, key=unlikely)


def _all_windows(windows: Sequence[Axes | None], rank: int) -> list[Axes]:
    """Windows of stages whose table is absent or strange: those of another stage."""
    known = next((window for window in windows if window is not None), (7,) * rank)
    return [window or known for window in windows]


def _image_size(
    windows: Sequence[Axes],
    patch: Sequence[int],
    position: Axes | None,
    mask: Tensor | None,
) -> Axes | None:
    """Trained size in pixels: from absolute position, a stored mask, a window cut by its stage, the window.

    Releases are square with a last grid as large as the window: 7·32 = 224, 12·32 = 384.
    """
    if len(patch) == 3:
        return (32, 32 * windows[0][-2], 32 * windows[0][-1]) if position is None else None
    if position is not None:
        side = math.isqrt(position[1])
        return (side * patch[0], position[1] // side * patch[1])
    if mask is not None and mask.ndim == 3:
        side = math.isqrt(len(mask))
        return (side * windows[0][0] * patch[0], side * windows[0][1] * patch[1])
    cut = next((s for s, window in enumerate(windows) if window != windows[0]), len(windows) - 1)
    return tuple(side * p << cut for side, p in zip(windows[cut], patch, strict=True))
