"""A model as a file or state dict, and as a copy that is optimised for inference."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Literal, TypeVar

from torch import Tensor

from swinkit.core.backbone import SwinBackbone
from swinkit.core.folding import fold, refuse_folded
from swinkit.errors import ConfigError
from swinkit.files import check_target
from swinkit.tasks.base import Task
from swinkit.tasks.open_vocab.two_towers import TwoTowers
from swinkit.weights.store import file_names
from swinkit.weights.writing import spell


def save(model: Task, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a model as one self-describing safetensors file.

    Raises ConfigError if a file is there that swinkit has not written, unless `overwrite`, and RunError if
    the file cannot be written.
    """
    if not isinstance(model, Task):
        raise ConfigError(
            f"A {type(model).__name__} is no whole model: swinkit.to_dialect gives its tensors."
        )
    model.save(check_target(Path(path), ".safetensors", overwrite=overwrite))
    return Path(path)


Model = TypeVar("Model", bound=Task | SwinBackbone)


def optimize(model: Model, goal: Literal["inference"] = "inference") -> Model:
    """A copy that answers the same, faster, and learns no more; the model itself stays as it is.

    The affine part of each norm is folded into the layer behind it, and position bias with mask is kept by
    size. The copy cannot be saved or trained: ConfigError.
    """
    if goal != "inference":
        raise ConfigError(f"goal={goal!r}: a model can be optimised for 'inference'.")
    if not isinstance(model, Task | SwinBackbone):
        raise ConfigError(f"A {type(model).__name__} is no model of swinkit: load one.")
    if not isinstance(backbone_in(model), SwinBackbone):
        raise ConfigError("Only a Swin can be optimised, and the model's backbone is a vision transformer.")
    own = deepcopy(model)
    fold(backbone_in(own))
    own.eval().requires_grad_(False)
    return own


def backbone_in(model: Task | SwinBackbone) -> SwinBackbone:
    """The backbone of a model, or what is one."""
    return model if isinstance(model, SwinBackbone) else model.backbone


def to_dialect(model: Task | SwinBackbone, dialect: str) -> dict[str, Tensor]:
    """State dict under another ecosystem's names: microsoft, openmmlab, timm, torchvision, huggingface.

    Raises ConfigError for a model that the other code cannot build, or would compute otherwise.
    """
    if not isinstance(model, Task | SwinBackbone):
        raise ConfigError(f"A {type(model).__name__} is no model of swinkit: load one.")
    if isinstance(model, TwoTowers):
        raise ConfigError("A model with a text tower can be written as our own file alone.")
    refuse_folded(backbone_in(model))
    if isinstance(model, SwinBackbone):
        return spell(model.state_dict(), model.config, dialect, dense=model.norms == "each")
    backbone = model.backbone
    return spell(file_names(model.state_dict()), backbone.config, dialect, dense=backbone.norms == "each")
