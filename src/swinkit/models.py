"""Build models: from a variant, from a file of ours, or from a loaded model with another head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from swinkit._version import __version__
from swinkit.config import Preprocessing
from swinkit.core.backbone import Norms, SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.errors import ConfigError, WeightsError, nearest
from swinkit.labels import Labels
from swinkit.tasks.base import Task
from swinkit.tasks.classify import Classifier
from swinkit.variants import VARIANTS, find_variant
from swinkit.weights.store import adopt, canonical_names, read_file

TASKS: dict[str, type[Classifier]] = {"classify": Classifier, "video": Classifier}
HEAD_DROP = {"video": 0.5}  # as published


def create(
    name: str, num_classes: int | None = None, *, classes: Sequence[str] | None = None, **settings: Any
) -> Task:
    """Build a variant with random weights; `settings` replace those of its SwinConfig.

    `classes` names the classes; `num_classes` alone numbers them. Raises ConfigError for an unknown
    variant or setting.
    """
    variant = find_variant(name)
    config = variant.config(**settings)
    if num_classes is None and classes is None:
        num_classes = variant.classes
    labels = _labels(num_classes, classes)
    model = TASKS[variant.task](
        config, labels, preprocessing_for(config), head_drop=HEAD_DROP.get(variant.task, 0.0)
    )
    model.lineage.append({"architecture": name, "weights": "random", "swinkit": __version__})
    return model.eval()


def preprocessing_for(config: SwinConfig) -> Preprocessing:
    """The usual preprocessing at a backbone's size."""
    size = config.input_size
    return Preprocessing(size=min(size[-2:]) if size else 224, channels=config.in_chans)


def load(
    path: str | Path,
    *,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    img_size: int | None = None,
    fit: str | None = None,
    strict: bool = True,
    **settings: Any,
) -> Task:
    """Load a file of ours, or a run folder (its best model), with a report at `model.load_report`.

    Other classes give a fresh head, and the report says so. `img_size` changes the preprocessing and the
    size that absolute position is resized to; `settings` replace those that keep all shapes (`drop_path`
    …). Raises WeightsError for a file that is not ours or does not fit.
    """
    file = find_file(path)
    tensors, header = read_file(file)
    if header["task"] not in TASKS:
        raise WeightsError(f"{file} holds a model for the task {header['task']!r}, unknown to this swinkit.")
    config = SwinConfig.from_dict(header["config"] | settings | ({"fit": fit} if fit else {}))
    preprocessing = Preprocessing.checked(header["preprocessing"])
    if img_size is not None:
        preprocessing = Preprocessing.checked(
            {**preprocessing.model_dump(exclude={"crop"}), "size": img_size}
        )
    stored = Labels.from_list(header["labels"])
    kept = classes is None and num_classes in (None, len(stored))
    labels = stored if kept else _labels(num_classes, classes)
    model = TASKS[header["task"]](config, labels, preprocessing, **header["settings"])
    renew = () if labels.names == stored.names else ("head.weight", "head.bias")
    model.load_report = adopt(model, canonical_names(tensors), source=str(file), renew=renew, strict=strict)
    model.lineage, model.licence = header["lineage"], header["licence"]
    return model.eval()


def backbone(
    name: str | Path,
    *,
    out_indices: Sequence[int] | None = None,
    fit: str = "pad_shift",
    norms: bool = True,
    **settings: Any,
) -> SwinBackbone:
    """A backbone for other people's detectors and heads: net(x) -> maps, `net.features` -> FeatureSpecs.

    `name` is a variant (random weights) or a file of ours; `out_indices` names stages (default: all).
    Maps come AFTER a LayerNorm of their own (`norm0` …, fresh, as in Microsoft's detection and segmentation
    backbones); with `norms=False` they are the raw outputs of the stages. A classifier's final norm is left
    behind. `net.load_report` tells what was loaded; it is None for random weights.
    """
    kind: Norms = "each" if norms else "none"
    if str(name) in VARIANTS:
        config = find_variant(str(name)).config(fit=fit, **settings)
        net = SwinBackbone(config, out_indices=out_indices, norms=kind)
        return net.eval()
    file = find_file(name)
    tensors, header = read_file(file)
    config = SwinConfig.from_dict(header["config"] | settings | {"fit": fit})
    net = SwinBackbone(config, out_indices=out_indices, norms=kind)
    body = {name: tensor for name, tensor in tensors.items() if not name.startswith(("head.", "norm."))}
    left = tuple(sorted(set(tensors) - set(body)))
    fresh = [name for name in net.state_dict() if name.startswith("norm")]
    report = adopt(net, body, source=str(file), renew=fresh)
    net.load_report = replace(report, dropped=(*report.dropped, *left))
    return net.eval()


def find_file(path: str | Path) -> Path:
    """The weights file behind a file or run folder; WeightsError where there is none."""
    path = Path(path)
    if path.is_dir():
        for name in ("best.safetensors", "last.safetensors"):
            if (path / name).is_file():
                return path / name
        raise WeightsError(f"{path} holds neither best.safetensors nor last.safetensors: is it a run folder?")
    if path.is_file():
        return path
    if str(path) in VARIANTS:
        raise WeightsError(f"{path} is an architecture without weights: train it, or use swinkit.create.")
    if path.parent == Path() and not path.suffix:  # no path at all: rather a misspelt name
        raise WeightsError(f"There is no model, file or run folder {path}: {nearest(str(path), VARIANTS)}")
    raise WeightsError(f"There is no weights file or run folder {path}: check the path.")


def _labels(count: int | None, names: Sequence[str] | None) -> Labels:
    """Named classes, or numbered ones; ConfigError where there are none or the two disagree."""
    if names is None:
        names = [str(i) for i in range(count or 0)]
    if count not in (None, len(names)):
        raise ConfigError(f"num_classes={count}, but {len(names)} classes are named.")
    if not names:
        raise ConfigError(f"num_classes={len(names)}: a classifier needs at least one class.")
    return Labels.of(names)
