"""Write our models under other ecosystems' names; what they cannot express is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from swinkit.core.config import Axes, SwinConfig
from swinkit.core.windows import relative_index
from swinkit.errors import ConfigError, nearest
from swinkit.labels import Labels
from swinkit.weights.convert import INDEX, POSITION
from swinkit.weights.dense_heads import check_head, huggingface_heads, infer_heads, split_heads, their_names
from swinkit.weights.dialects import (
    HUGGINGFACE,
    MICROSOFT,
    OPENMMLAB,
    TIMM,
    TORCHVISION,
    TORCHVISION_3D,
    Dialect,
)
from swinkit.weights.dialects.spelling import renamed
from swinkit.weights.rules import difference

Cut = Callable[[Axes, Axes], Axes | None]


def _whole(window: Axes, grid: Axes) -> Axes:
    """A small grid is padded."""
    return window


def _by_side(window: Axes, grid: Axes) -> Axes:
    """The window shrinks to the shorter side of the grid."""
    return (min(grid),) * 2 if min(grid) <= min(window) else window


def _by_axis(window: Axes, grid: Axes) -> Axes:
    """Each side of the window shrinks by itself."""
    return tuple(map(min, window, grid))


def _none_smaller(window: Axes, grid: Axes) -> Axes | None:
    """No smaller grid can be computed."""
    return window if min(grid) >= min(window) else None


@dataclass(frozen=True)
class Target:
    """A dialect to write, and what its code can build; `index` also stores relative position indices."""

    dialect: Dialect
    ranks: tuple[int, ...] = (2,)
    dense: bool = True  # a norm for each map
    cut: Cut = _whole  # window of a stage's table where the grid is small
    uneven_windows: bool = False  # sides that differ
    uneven_patches: bool = False
    position: bool = False
    index: bool = False


TARGETS = {
    "microsoft": Target(
        MICROSOFT,
        ranks=(2, 3),
        cut=_by_side,
        uneven_windows=True,
        uneven_patches=True,
        position=True,
        index=True,
    ),
    "openmmlab": Target(OPENMMLAB, cut=_none_smaller, index=True),
    "timm": Target(TIMM, dense=False, cut=_by_axis, uneven_windows=True, uneven_patches=True),
    "torchvision": Target(
        TORCHVISION,
        ranks=(2, 3),
        dense=False,
        uneven_windows=True,
        uneven_patches=True,
        index=True,
    ),
    "huggingface": Target(HUGGINGFACE, cut=_none_smaller, position=True),
}


def spell(
    tensors: dict[str, Tensor], config: SwinConfig, name: str, *, dense: bool = False
) -> dict[str, Tensor]:
    """Tensors under Microsoft's names, a backbone's and perhaps heads', under those of another dialect.

    `dense` says that each map has its own norm. Raises ConfigError for an unknown dialect, or a model that
    its code cannot build. On the CPU the tensors are the model's own, as in a `state_dict`.
    """
    target = find_target(name)
    _check(target, name, config, dense=dense)
    heads, body = split_heads(tensors)
    if heads:
        found = infer_heads(heads)
        check_head(name, found.settings["head"] if found else None, config.stages)
        heads = {name: tensor.detach().cpu() for name, tensor in heads.items()}
        theirs = spell(body, config, name, dense=dense)
        beside = their_names(heads) if name == "huggingface" else heads
        return {f"backbone.{name}": tensor for name, tensor in theirs.items()} | beside
    if name == "huggingface" and not dense and "norm.weight" not in tensors:
        raise ConfigError("A backbone without a final norm cannot be written for transformers: it has one.")
    dialect = _dialect(target, config)
    ours = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    if target.index:
        ours |= _indices(config, flat=dialect is TORCHVISION)
    if name == "microsoft" and (dense or config.rank == 3):
        ours |= _position_on_grid(ours, config)
    body = {name: tensor for name, tensor in dialect.writes(ours).items() if not name.startswith("head.")}
    theirs = renamed(body, dialect.to_theirs)
    head = {name: tensor for name, tensor in ours.items() if name.startswith("head.")}
    if name == "microsoft" and config.rank == 3:
        theirs = {f"backbone.{name}": tensor for name, tensor in theirs.items()}
        return theirs | {name.replace("head.", "cls_head.fc_cls."): t for name, t in head.items()}
    if name == "openmmlab" and not dense:  # as mmpretrain spells classifiers
        final = f"norm{config.stages - 1}."
        named = ((f"{final}{n[5:]}" if n.startswith("norm.") else n, t) for n, t in theirs.items())
        theirs = {f"backbone.{name}": tensor for name, tensor in named}
    if name == "huggingface" and not dense:
        theirs = {f"swin.{name}": tensor for name, tensor in theirs.items()}
    return theirs | renamed(head, dialect.to_theirs)


def find_target(name: str) -> Target:
    """Look a dialect up; ConfigError names the nearest one."""
    if name not in TARGETS:
        raise ConfigError(f"There is no dialect {name!r} to write: {nearest(str(name), TARGETS)}")
    return TARGETS[name]


def huggingface_config(
    config: SwinConfig,
    labels: Labels | None,
    maps: tuple[int, ...] | None = None,
    heads: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """config.json with which transformers builds the same model.

    A classifier has `labels`; a backbone whose maps have norms the stages of these, `maps`; a segmentation
    model both, and the settings of its `heads`.
    """
    if heads is not None and labels is not None:
        inner = huggingface_config(config, None, maps)
        named = {key: inner.pop(key) for key in ("id2label", "label2id")} | _named(labels)
        return {**huggingface_heads(heads, config.dim(0)), "backbone_config": inner, **named}
    size = config.input_size or (224, 224)
    kind = "SwinForImageClassification" if labels else "SwinModel" if maps is None else "SwinBackbone"
    chosen = {} if maps is None else {"out_features": [f"stage{stage + 1}" for stage in maps]}
    return {
        "model_type": "swin",
        "architectures": [kind],
        **chosen,
        "image_size": size[0] if len(set(size)) == 1 else list(size),
        "patch_size": config.patch_size[0],
        "num_channels": config.in_chans,
        "embed_dim": config.embed_dim,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "window_size": config.windows[0][0],
        "mlp_ratio": config.mlp_ratio,
        "qkv_bias": config.qkv_bias,
        "use_absolute_embeddings": config.absolute_position,
        "drop_path_rate": config.drop_path,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        **_named(labels),
    }


def _named(labels: Labels | None) -> dict[str, Any]:
    names = {} if labels is None else dict(enumerate(labels.names))
    return {
        "id2label": {str(i): label for i, label in names.items()},
        "label2id": {label: i for i, label in names.items()},
    }


def _indices(config: SwinConfig, *, flat: bool) -> dict[str, Tensor]:
    """Relative position index of every block, as their modules keep it."""
    found = {}
    for stage, depth in enumerate(config.depths):
        window = config.windows[stage]
        index = relative_index(window, window, torch.device("cpu"))
        index = index.flatten() if flat else index
        for block in range(depth):  # each its own, for safetensors takes no shared memory
            found[f"layers.{stage}.blocks.{block}.attn.{INDEX}"] = index.clone()
    return found


def _dialect(target: Target, config: SwinConfig) -> Dialect:
    return TORCHVISION_3D if target.dialect is TORCHVISION and config.rank == 3 else target.dialect


def _position_on_grid(tensors: Mapping[str, Tensor], config: SwinConfig) -> dict[str, Tensor]:
    """Absolute position as Microsoft's dense and video codes keep it, (1, C, H, W): one for all frames."""
    if POSITION not in tensors:
        return {}
    table = tensors[POSITION].mT.unflatten(2, config.grid(0) or ())
    if config.rank == 3:
        if not torch.equal(table, table[:, :, :1].expand_as(table)):
            raise ConfigError(
                "This model cannot be written in Microsoft's spelling (microsoft): its absolute position "
                "differs from frame to frame, and there all frames share one."
            )
        table = table[:, :, 0]
    return {POSITION: table.contiguous()}


def _check(target: Target, name: str, config: SwinConfig, *, dense: bool) -> None:
    """Refuse what the target's code would compute otherwise, or not at all."""
    title = target.dialect.title
    size = "×".join(map(str, config.input_size or ())) or "any size"
    tables = _tables(target, config, dense=dense)
    dialect = _dialect(target, config)
    fault_at_edges = difference(dialect, config, dense=dense)
    square = all(len(set(window[-2:])) == 1 for window in config.windows)
    faults = {
        f"it takes no {'video' if config.rank == 3 else 'images'}": config.rank not in target.ranks,
        "it has no norm for each map": dense and not target.dense,
        f"at {size} its windows are {tables}, not {list(config.windows)}": tables != list(config.windows),
        str(fault_at_edges): fault_at_edges is not None,
        "its patches are square": len(set(config.patch_size[-2:])) > 1 and not target.uneven_patches,
        "its windows are square": not square and not target.uneven_windows,
        "it has no absolute position": config.absolute_position and not target.position,
        "it always normalises patches": not config.patch_norm and not target.dialect.no_patch_norm,
        "its qkv has a bias": not config.qkv_bias and not target.dialect.no_qkv_bias,
        "its attention is scaled by 1/√d": config.qk_scale is not None,
    }
    for fault, present in faults.items():
        if present:
            raise ConfigError(f"This model cannot be written in {title} spelling ({name}): {fault}.")


def _tables(target: Target, config: SwinConfig, *, dense: bool) -> list[Axes | None]:
    """Windows of the tables that the target's code makes for this size; None where it cannot run."""
    whole = tuple(map(max, zip(*config.windows, strict=True)))
    if dense or config.rank == 3 or config.input_size is None:
        return [whole] * config.stages
    return [target.cut(whole, config.grid(stage) or whole) for stage in range(config.stages)]
