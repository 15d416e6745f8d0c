"""A foreign checkpoint under our names: which dialect it speaks, and what belongs to the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from swinkit.errors import WeightsError
from swinkit.weights.containers import Checkpoint
from swinkit.weights.dialects import DIALECTS, Dialect
from swinkit.weights.dialects.spelling import renamed
from swinkit.weights.store import RECOMPUTED

INDEX, MASK = RECOMPUTED
# buffers; the counts are those of mmengine's averaged models, the names without dots of mmcv's
LEFT = re.compile(
    rf"(?:.*\.)?({INDEX}|{MASK}|mask_token|num_batches_tracked|n_averaged|steps|decay)|ema_[a-z0-9_]+"
)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
HEAD = ("head.weight", "head.bias")
POSITION = "absolute_pos_embed"
CLIP = 32  # frames that video models are released for
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
    (r"(decoder|mask_token|encoder_k|projector|predictor)", "a pre-training model, or one with a decoder,"),
)


@dataclass(frozen=True)
class Converted:
    """A checkpoint under our names.

    `tensors` are backbone and head; `others` what belongs to neither, by its own name. `converted` names
    those that are not the file's own tensors any more; `indices` and `masks` are stored relative position
    indices and shift masks, by stage; `position_grid` is that of an absolute position laid out on its grid.
    """

    source: str
    dialect: Dialect
    tensors: dict[str, Tensor]
    others: dict[str, Tensor]
    converted: tuple[str, ...]
    dropped: tuple[str, ...]
    indices: dict[int, list[Tensor]]
    masks: dict[int, list[Tensor]]
    position_grid: tuple[int, ...] | None = None

    @property
    def normed(self) -> tuple[int, ...]:
        """The stages whose map has its own norm, as in backbones for detection and segmentation."""
        return normed_stages(self.tensors)

    @property
    def classes(self) -> int | None:
        """Rows of the classifier, if there is one."""
        head = self.tensors.get("head.weight", self.tensors.get("head.bias"))
        return None if head is None or not head.ndim else len(head)

    def other_head(self) -> str | None:
        """What model the other tensors make of it, if they are known."""
        return _other_head(self.others)


def normed_stages(names: Iterable[str]) -> tuple[int, ...]:
    """The stages whose map has its own norm among these tensors."""
    matches = (re.match(r"norm(\d)\.weight", name) for name in names)
    return tuple(sorted(int(match[1]) for match in matches if match))


def convert(checkpoint: Checkpoint) -> Converted:
    """Give a checkpoint our names and our order of numbers; WeightsError where it is no Swin."""
    stored = _unwrapped(checkpoint)
    names = list(stored)
    dialect = recognise(names, checkpoint.source)
    prefix = dialect.prefix(names)
    own, others, strange = _split(stored, prefix, dialect.copies(names))
    left = [name for name in (*own, *others) if LEFT.fullmatch(name)]
    kept = {name: tensor for name, tensor in own.items() if name not in left}
    beside = {name: tensor for name, tensor in others.items() if _belongs(name, dialect.to_ours(name))}
    plain = renamed(kept, dialect.to_ours) | renamed(beside, dialect.to_ours)
    if len(plain) < len(kept) + len(beside):
        twice = Counter(map(dialect.to_ours, [*kept, *beside])).most_common(1)[0][0]
        raise WeightsError(f"{checkpoint.source} holds {twice} twice, in two spellings: remove one of them.")
    read = dialect.reads(plain)
    read, position_grid = _with_flat_position(read)
    ours = {name: tensor for name, tensor in read.items() if BODY.match(name) or name in HEAD}
    check_numbers(ours, checkpoint.source)
    rest = {name: tensor for name, tensor in read.items() if name not in ours}
    rest |= {name: tensor for name, tensor in others.items() if name not in (*beside, *left)}
    held = {dialect.to_ours(name): own[name] for name in own if not own[name].is_meta}
    indices, masks = (
        _by_stage({name: tensor for name, tensor in held.items() if name.endswith(end)}) for end in RECOMPUTED
    )
    return Converted(
        checkpoint.source,
        dialect,
        ours if _other_head(rest) else _sole_norm(ours, dialect),
        rest,
        converted=tuple(name for name, t in ours.items() if t is not plain.get(name)),
        dropped=(*sorted(left), *strange, *checkpoint.dropped),
        indices=indices,
        masks=masks,
        position_grid=position_grid,
    )


def _with_flat_position(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[int, ...] | None]:
    """Lay an absolute position (1, C, *grid), as Microsoft's dense codes keep it, out as (1, tokens, C).

    Of a video's one for all frames is repeated over as many as models are released for.
    """
    table, kernel = tensors.get(POSITION), tensors.get("patch_embed.proj.weight")
    if table is None or table.ndim not in (4, 5):
        return tensors, None
    if table.ndim == 4 and kernel is not None and kernel.ndim == 5:
        frames = -(-CLIP // kernel.shape[2])
        table = table.unsqueeze(2).expand(-1, -1, frames, -1, -1)
    return {**tensors, POSITION: table.flatten(2).mT.contiguous()}, tuple(table.shape[2:])


def _unwrapped(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Tensors without the words that torch.compile, FSDP and checkpointing put into their names."""
    words = r"(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
    return {re.sub(words, "", name): tensor for name, tensor in checkpoint.tensors.items()}


def _other_head(names: Iterable[str]) -> str | None:
    for pattern, what in _OTHER_HEADS:
        if any(re.match(pattern, name) for name in names):
            return what
    return None


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
    tensors: Mapping[str, Tensor], prefix: str, copies: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor], list[str]]:
    """What stands below the backbone's prefix; what stands beside it, both without it; names elsewhere.

    `copies` are the prefixes of all whole backbones: other ones than that taken stand elsewhere too.
    """
    outer = prefix[: prefix.rstrip(".").rfind(".") + 1]
    spare = tuple(copy for copy in copies if copy != prefix and not prefix.startswith(copy))
    own, others, strange = {}, {}, []
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            own[name.removeprefix(prefix)] = tensor
        elif name.startswith(outer) and not (spare and name.startswith(spare)):
            others[name.removeprefix(outer)] = tensor
        else:
            strange.append(name)
    return own, others, strange


def _belongs(name: str, ours: str) -> bool:
    """Whether what stands beside the backbone belongs to it: a classifier; transformers' norms of maps."""
    return ours in HEAD or (ours != name and BODY.match(ours) is not None)


def check_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse what is no plain number, such as quantised weights, whose scale stands elsewhere."""
    for name, tensor in tensors.items():
        if LEFT.fullmatch(name):
            continue
        if tensor.is_meta:
            raise WeightsError(f"{source} holds no numbers for {name} (device meta): save the loaded model.")
        if tensor.dtype not in FLOATS or tensor.is_quantized or tensor.layout is not torch.strided:
            plain = tensor.layout is torch.strided
            kind = str(tensor.dtype if plain else tensor.layout).removeprefix("torch.")
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
