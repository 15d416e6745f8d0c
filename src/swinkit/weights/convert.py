"""A foreign checkpoint as ours: which dialect, which names, which architecture, from the tensors alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from swinkit.core.config import Axes, SwinConfig
from swinkit.core.windows import relative_index
from swinkit.errors import ConfigError, WeightsError
from swinkit.weights.containers import Checkpoint
from swinkit.weights.dialects import DIALECTS, Dialect
from swinkit.weights.dialects.spelling import renamed
from swinkit.weights.store import RECOMPUTED

INDEX, MASK = RECOMPUTED
# buffers; the counts are those of mmengine's averaged models, the names without dots of mmcv's
LEFT = re.compile(
    rf"(?:.*\.)?({INDEX}|{MASK}|mask_token|num_batches_tracked|n_averaged|steps)|ema_[a-z0-9_]+"
)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
HEAD = ("head.weight", "head.bias")
BODY = re.compile(r"(patch_embed\.|absolute_pos_embed$|layers\.\d+\.|norm[0-9]?\.)")

# names by which other models are told, for the sentence that refuses them
_LOOKS = (
    (r"\d\.att(n|ention)\.(\w+\.)*(logit_scale|cpb_mlp|continuous_position_bias_mlp)", "a Swin V2"),
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
    (r"(logit_scale$|text\w*\.|token_embedding\.)", "an image-text model"),
    (r"(decoder|mask_token|encoder_k|projector|predictor)", "a pre-training model"),
)


@dataclass(frozen=True)
class Converted:
    """A checkpoint under our names.

    `tensors` are backbone and head; `others` what belongs to neither, by its own name. `converted` names
    those that are not the file's own tensors any more; `indices` and `masks` are stored relative position
    indices and shift masks, by stage.
    """

    source: str
    dialect: Dialect
    tensors: dict[str, Tensor]
    others: dict[str, Tensor]
    converted: tuple[str, ...]
    dropped: tuple[str, ...]
    indices: dict[int, list[Tensor]]
    masks: dict[int, list[Tensor]]

    @property
    def normed(self) -> tuple[int, ...]:
        """The stages whose map has its own norm, as in backbones for detection and segmentation."""
        matches = (re.match(r"norm(\d)\.weight", name) for name in self.tensors)
        return tuple(sorted(int(match[1]) for match in matches if match))

    @property
    def classes(self) -> int | None:
        """Rows of the classifier, if there is one."""
        head = self.tensors.get("head.weight", self.tensors.get("head.bias"))
        return None if head is None or not head.ndim else len(head)

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
    left = [name for name in (*own, *others) if LEFT.fullmatch(name)]
    kept = {name: tensor for name, tensor in own.items() if name not in left}
    beside = {name: tensor for name, tensor in others.items() if _belongs(name, dialect.to_ours(name))}
    plain = renamed(kept, dialect.to_ours) | renamed(beside, dialect.to_ours)
    if len(plain) < len(kept) + len(beside):
        twice = Counter(map(dialect.to_ours, [*kept, *beside])).most_common(1)[0][0]
        raise WeightsError(f"{checkpoint.source} holds {twice} twice, in two spellings: remove one of them.")
    read = dialect.reads(plain)
    ours = {name: tensor for name, tensor in read.items() if BODY.match(name) or name in HEAD}
    _check_numbers(ours, checkpoint.source)
    rest = {name: tensor for name, tensor in read.items() if name not in ours}
    rest |= {name: tensor for name, tensor in others.items() if name not in (*beside, *left)}
    indices, masks = (
        _by_stage({dialect.to_ours(n): own[n] for n in own if n.endswith(end)}) for end in RECOMPUTED
    )
    return Converted(
        checkpoint.source,
        dialect,
        _sole_norm(ours, dialect),
        rest,
        converted=tuple(name for name, t in ours.items() if t is not plain.get(name)),
        dropped=(*sorted(left), *strange, *checkpoint.dropped),
        indices=indices,
        masks=masks,
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


def _belongs(name: str, ours: str) -> bool:
    """Whether what stands beside the backbone belongs to it: a classifier; transformers' norms of maps."""
    return ours in HEAD or (ours != name and BODY.match(ours) is not None)


def _check_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse what is no plain number, such as quantised weights, whose scale stands elsewhere."""
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS or tensor.is_quantized or tensor.layout is not torch.strided:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise WeightsError(f"{source} stores {name} as {kind}: save it as floats, not quantised.")


def _sole_norm(tensors: dict[str, Tensor], dialect: Dialect) -> dict[str, Tensor]:
    """A single `norm3` is the final norm beside a head, and as mmpretrain and mmaction spell it."""
    numbered = {name.split(".")[0] for name in tensors if re.match(r"norm\d\.", name)}
    kernel = tensors.get("patch_embed.proj.weight")
    video = kernel is not None and kernel.ndim == 5
    final = dialect.name == "openmmlab" or video or "head.weight" in tensors
    if len(numbered) != 1 or "norm.weight" in tensors or not final:
        return tensors
    return {re.sub(r"^norm\d\.", "norm.", name): tensor for name, tensor in tensors.items()}


def _by_stage(tensors: Mapping[str, Tensor]) -> dict[int, list[Tensor]]:
    found: dict[int, list[Tensor]] = {}
    for name, tensor in tensors.items():
        match = re.match(r"layers\.(\d+)\.", name)
        if match:
            found.setdefault(int(match[1]), []).append(tensor)
    return found


def infer_config(given: Converted, window: Any = None) -> SwinConfig:
    """Read the architecture off the tensors: widths, depths, heads, windows, patch, rank, position, fit.

    `window` chooses where a bias table fits several. Raises WeightsError where the tensors disagree or do
    not tell.
    """
    tensors, source = given.tensors, given.source
    depths = _depths(tensors, source)
    width = _width(tensors, source)
    _check_widths(tensors, width, len(depths), source)
    patch = _shape(tensors, "patch_embed.proj.weight", (4, 5)) or (width, 3, 4, 4)
    rank = len(patch) - 2
    tables = [
        _shape(tensors, rf"layers\.{s}\.blocks\.\d+\.attn\.relative_position_bias_table", (2,))
        for s in range(len(depths))
    ]
    first, heads = next(((s, found[1]) for s, found in enumerate(tables) if found), (0, 0))
    if not heads:
        raise WeightsError(f"{source} holds no relative position bias tables: is it whole?")
    all_heads = [found[1] if found else heads << s >> first for s, found in enumerate(tables)]
    hidden = _shape(tensors, r"layers\.0\.blocks\.\d+\.mlp\.fc1\.weight", (2,)) or (4 * width,)
    position = _shape(tensors, "absolute_pos_embed", (3,))
    dialect = given.dialect
    values: dict[str, Any] = {
        "embed_dim": width,
        "depths": depths,
        "num_heads": tuple(all_heads),
        "window": (7,) * rank,
        "patch": tuple(patch[2:]),
        "in_chans": patch[1],
        "mlp_ratio": hidden[0] / width,
        "qkv_bias": not dialect.no_qkv_bias or any(name.endswith("attn.qkv.bias") for name in tensors),
        "patch_norm": not dialect.no_patch_norm or any(n.startswith("patch_embed.norm.") for n in tensors),
        "fit": "clamp" if rank == 3 else "pad_shift" if given.normed else "pad",
    }
    known = _config(values, source)
    windows = _windows(tables, given, known, window)
    size = _image_size(windows, patch[2:], position, given.masks.get(0, ()))
    return _config(
        values | {"window": windows, "absolute_position": position is not None, "img_size": size}, source
    )


def _config(values: dict[str, Any], source: str) -> SwinConfig:
    try:
        return SwinConfig.from_dict(values)
    except ConfigError as error:
        raise WeightsError(f"{source} does not add up to a Swin: {error}") from error


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


def _check_widths(tensors: Mapping[str, Tensor], width: int, stages: int, source: str) -> None:
    """Refuse a file whose last stages are gone: what follows them tells how wide they were."""
    last = rf"norm\.\w+|norm{stages - 1}\.\w+|head\.weight"
    for name, tensor in tensors.items():
        if re.fullmatch(last, name) and tensor.ndim and tensor.shape[-1] != width << stages - 1:
            raise WeightsError(
                f"{source} is not whole: {name} is for {tensor.shape[-1]} channels, but the blocks end with "
                f"stage {stages - 1} at {width << stages - 1}."
            )
        stray = re.match(r"norm(\d)\.", name)
        if stray and int(stray[1]) >= stages:
            raise WeightsError(f"{source} is not whole: it holds {name}, but {stages} stages of blocks.")


def _windows(
    tables: Sequence[Axes | None], given: Converted, known: SwinConfig, wanted: Any
) -> tuple[Axes, ...]:
    """Window of each stage; where a table is absent or strange, that of another stage."""
    found = [
        None if table is None else _window(stage, table[0], given, known, wanted)
        for stage, table in enumerate(tables)
    ]
    usual = next(window for window in found if window is not None)
    return tuple(window or usual for window in found)


def _window(stage: int, rows: int, given: Converted, known: SwinConfig, wanted: Any) -> Axes:
    """Window of a bias table: that of the stored relative index; else the one square in space.

    Where several fit, `wanted` decides, else WeightsError names them.
    """
    candidates = _windows_of(rows, known.rank)
    indices = given.indices.get(stage)
    if indices:
        fitting = [window for window in candidates if any(_is_index(index, window) for index in indices)]
        if not fitting:
            raise WeightsError(
                f"{given.source} is damaged: the bias table of stage {stage} has {rows} rows, which does not "
                f"agree with its relative position index of shape {tuple(indices[0].shape)}."
            )
        return fitting[0]
    square = [window for window in candidates if window[-1] == window[-2]]
    square = [window for window in square if window[-1] > 1] or square
    if len(square) == 1:
        return square[0]
    if not candidates:
        raise WeightsError(f"{given.source} is damaged: no window has a bias table of {rows} rows.")
    chosen = None if wanted is None else replace(known, window=wanted).windows[stage]
    if chosen in candidates:
        return chosen
    raise WeightsError(
        f"{given.source} does not tell the window of stage {stage}: its bias table of {rows} rows fits "
        f"{', '.join(map(str, square or candidates))}; say which by window=."
    )


def _is_index(index: Tensor, window: Axes) -> bool:
    own = relative_index(window, window, index.device)
    return own.numel() == index.numel() and bool((own.flatten() == index.flatten()).all())


def _windows_of(rows: int, rank: int) -> list[Axes]:
    """All windows with a bias table of that many rows."""
    sides = [(side + 1) // 2 for side in range(1, rows + 1, 2) if rows % side == 0]
    return [
        (*([depth] if rank == 3 else []), high, rows // (2 * depth - 1) // (2 * high - 1) // 2 + 1)
        for depth in (sides if rank == 3 else [1])
        for high in sides
        if rows % ((2 * depth - 1) * (2 * high - 1)) == 0
    ]


def _image_size(
    windows: Sequence[Axes],
    patch: Sequence[int],
    position: Axes | None,
    masks: Sequence[Tensor],
) -> Axes | None:
    """Trained size in pixels: from absolute position, a stored mask, a window cut by its stage, the window.

    Releases are square with a last grid as large as the window: 7·32 = 224, 12·32 = 384.
    """
    if len(patch) == 3:
        return (32, 32 * windows[0][-2], 32 * windows[0][-1]) if position is None else None
    if position is not None:
        side = math.isqrt(position[1])
        return (side * patch[0], position[1] // side * patch[1])
    mask = next((mask for mask in masks if mask.ndim == 3), None)
    if mask is not None:
        side = math.isqrt(len(mask))
        return (side * windows[0][0] * patch[0], side * windows[0][1] * patch[1])
    cut = next((s for s, window in enumerate(windows) if window != windows[0]), len(windows) - 1)
    return tuple(side * p << cut for side, p in zip(windows[cut], patch, strict=True))
