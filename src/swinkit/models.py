"""Build models: from a variant, or from a file of any dialect, perhaps with another head or shape."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from swinkit._version import __version__
from swinkit.config import Clips, Preprocessing
from swinkit.core.backbone import Norms, SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.core.windows import Fit
from swinkit.data.names import class_names
from swinkit.errors import ConfigError, WeightsError, nearest
from swinkit.labels import Labels
from swinkit.sources import open_named
from swinkit.tasks.base import Task
from swinkit.tasks.classify import Classifier
from swinkit.tasks.video import VideoClassifier
from swinkit.variants import VARIANTS, find_variant
from swinkit.weights.catalog import CATALOG
from swinkit.weights.opening import Opened
from swinkit.weights.resize import adapt
from swinkit.weights.store import LoadReport, adopt, canonical_names

TASKS: dict[str, type[Classifier]] = {"classify": Classifier, "video": VideoClassifier}
OTHER_TASKS = {"detect": "a detector", "segment": "a segmentation model"}
HEAD_DROP = {"video": 0.5}  # as published


def create(
    name: str,
    num_classes: int | None = None,
    *,
    classes: Sequence[str] | None = None,
    multi_label: bool = False,
    **settings: Any,
) -> Task:
    """Build a variant with random weights; `settings` replace those of its SwinConfig.

    Of a video model one side as `window` or `img_size` keeps windows and clips as deep as they are.

    `classes` names the classes; `num_classes` alone numbers them. With `multi_label` a picture may have
    several, or none. Raises ConfigError for an unknown
    variant or setting.
    """
    variant = find_variant(name)
    config = variant.config(**_with_depth(variant.settings, settings))
    if num_classes is None and classes is None:
        num_classes = variant.classes
    labels = _labels(num_classes, classes)
    model = TASKS[variant.task](
        config,
        labels,
        preprocessing_for(config),
        head_drop=HEAD_DROP.get(variant.task, 0.0),
        multi_label=multi_label,
    )
    model.lineage.append({"architecture": name, "weights": "random", "swinkit": __version__})
    return model.eval()


def preprocessing_for(config: SwinConfig) -> Preprocessing:
    """The usual preprocessing at a backbone's size; of videos as in Video Swin's test pipeline."""
    size = config.input_size
    side = min(size[-2:]) if size else 224
    if config.rank == 2:
        return Preprocessing(size=side, channels=config.in_chans)
    # the one published model with windows so deep is that of Something-Something
    sampling: Literal["dense", "uniform"] = "uniform" if config.windows[0][0] >= 16 else "dense"
    clip = Clips(frames=size[0] if size else 32, sampling=sampling)
    return Preprocessing(size=side, channels=config.in_chans, crop=1.0, interpolation="bilinear", clip=clip)


def load(  # noqa: PLR0913, a keyword for each thing that people change
    path: str | Path,
    *,
    task: str | None = None,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    in_chans: int | None = None,
    img_size: int | Sequence[int] | None = None,
    window: int | Sequence[Any] | None = None,
    fit: str | None = None,
    multi_label: bool | None = None,
    strict: bool = True,
    **settings: Any,
) -> Task:
    """Load published weights by name, a file of any dialect, a run folder or a Hugging Face folder.

    Dialect, architecture and `fit` come from the tensors; the report is kept at `model.load_report`. Other
    classes give a fresh head; `classes` are names, or the name of a list such as "imagenet-1k". `window`
    resizes the bias tables (bicubic), `img_size` absolute position and the preprocessing, `in_chans` the
    patch convolution; `multi_label` says whether a picture may have several classes; `task="video"` inflates
    an image model. Of a run folder its best model is taken.
    Of a video model one side as `window` or `img_size` keeps windows and clips as deep as they were.
    `settings` replace those that keep all shapes (`drop_path` …).

    Raises WeightsError for a file that is no Swin, is damaged, or does not fit whole; with `strict=False`
    what is missing starts fresh, and the report says so. Raises ConfigError for settings that cannot be.
    """
    if task is not None and task not in list(TASKS):
        raise ConfigError(f"task={task!r} is unknown to this swinkit: {nearest(str(task), TASKS)}")
    published = CATALOG.get(str(path))
    if task is None and published is not None and published.task not in TASKS:
        raise WeightsError(_only_a_backbone(str(path), OTHER_TASKS[published.task]))  # before it is fetched
    wanted = {"in_chans": in_chans, "window": window, "fit": fit}
    settings |= {key: value for key, value in wanted.items() if value is not None}
    return model_of(
        open_named(path, window=window, img_size=img_size),
        task=task,
        num_classes=num_classes,
        classes=classes,
        img_size=img_size,
        multi_label=multi_label,
        strict=strict,
        **settings,
    )


def task_of(model: str) -> str:
    """What a variant, published weights or a file are for, without building it."""
    if model in VARIANTS:
        return VARIANTS[model].task
    return CATALOG[model].task if model in CATALOG else open_named(model).task


def model_of(
    opened: Opened,
    *,
    task: str | None = None,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    img_size: int | Sequence[int] | None = None,
    multi_label: bool | None = None,
    strict: bool = True,
    **settings: Any,
) -> Task:
    """The model of an opened file, with the changes that `load` describes."""
    task = _task(opened, task)
    config = retarget(opened.config, task, settings | ({} if img_size is None else {"img_size": img_size}))
    labels, fresh_head = _choose_labels(opened, num_classes, classes)
    tensors, resized = adapt(opened.tensors, opened.config, config)
    tensors, left = _for_classifier(tensors, config.stages)
    if opened.other_head is None:
        tensors |= opened.others  # of nobody's: to be reported
    else:
        left += opened.others
    preprocessing = _preprocessing(opened, config, img_size)
    options = _options(opened) or {"head_drop": HEAD_DROP.get(task, 0.0)}
    if multi_label is not None:
        options["multi_label"] = multi_label
    model, report = adopt(
        lambda: TASKS[task](config, labels, preprocessing, **options),
        canonical_names(tensors),
        source=opened.source,
        renew=("head.weight", "head.bias") if fresh_head else (),
        strict=strict,
    )
    model.load_report = _finish(replace(report, dropped=(*report.dropped, *left)), opened, resized)
    model.lineage, model.licence = list(opened.lineage), opened.licence
    return model.eval()


def backbone(
    name: str | Path,
    *,
    out_indices: Sequence[int] | None = None,
    fit: str | None = None,
    norms: bool = True,
    strict: bool = True,
    **settings: Any,
) -> SwinBackbone:
    """A backbone for other people's detectors and heads: net(x) -> maps, `net.features` -> FeatureSpecs.

    `name` is a variant (random weights) or weights of any dialect; `out_indices` names stages (default: all,
    or those whose norms the file has); `settings` are those of `load`. Maps come AFTER a LayerNorm of their
    own (`norm0` …, as in Microsoft's detection and segmentation backbones; fresh where the file is a
    classifier's); with `norms=False` they are the raw outputs of the stages. A classifier's final norm is
    left behind. `fit` is "pad_shift" by default, for video "clamp", as published.
    `net.load_report` tells what was loaded; it is None for random weights.
    """
    kind: Norms = "each" if norms else "none"
    if str(name) in VARIANTS:
        variant = find_variant(str(name))
        settings = _with_depth(variant.settings, settings)
        config = variant.config(**settings, fit=fit or _dense_fit(variant.config()))
        return SwinBackbone(config, out_indices=out_indices, norms=kind).eval()
    opened = open_named(name, window=settings.get("window"), img_size=settings.get("img_size"))
    settings |= {"fit": fit or _dense_fit(opened.config)}
    return backbone_of(opened, kind, out_indices=out_indices, strict=strict, **settings)


def _dense_fit(config: SwinConfig) -> Fit:
    """The rule of published detectors and segmenters, or Video Swin's."""
    return "clamp" if config.rank == 3 else "pad_shift"


def backbone_of(
    opened: Opened,
    norms: Norms,
    *,
    out_indices: Sequence[int] | None = None,
    strict: bool = True,
    **settings: Any,
) -> SwinBackbone:
    """The backbone of an opened file; with `norms="each"` those of its maps, fresh where it has none.

    `out_indices` are by default the stages that have norms, where some have, else all.
    """
    config = retarget(opened.config, opened.task, settings)
    if out_indices is None and norms == "each":
        out_indices = opened.normed or None
    if norms == "each" and opened.normed:
        wanted = [f"norm{i}." for i in out_indices or ()]
    else:
        wanted = ["norm."] if norms == "final" else []
    tensors, resized = adapt(opened.tensors, opened.config, config)
    body = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(("head.", "norm")) or name.startswith(tuple(wanted))
    }
    left = (*(name for name in tensors if name not in body), *opened.others)
    net, report = adopt(
        lambda: SwinBackbone(config, out_indices=out_indices, norms=norms),
        body,
        source=opened.source,
        renew=() if wanted else ("norm0.", "norm1.", "norm2.", "norm3."),
        strict=strict,
    )
    net.load_report = _finish(replace(report, dropped=(*report.dropped, *left)), opened, resized)
    return net.eval()


def retarget(config: SwinConfig, task: str, settings: dict[str, Any]) -> SwinConfig:
    """The architecture with other settings; for `task="video"` an image's becomes a clip's.

    An inflated model has Video Swin's patch depth 2 and window depth 8 unless `window` says otherwise.
    """
    values = config.to_dict()
    if task == "video" and config.rank == 2:
        size = config.input_size
        values |= {
            "patch": (2, *config.patch_size),
            "window": tuple((8, *window) for window in config.windows),
            "img_size": None if size is None else (32, *size),
            "fit": "clamp",
        }
        if config.absolute_position:
            raise ConfigError("A model with absolute position cannot be inflated to video: train one anew.")
    return SwinConfig.from_dict(values | _with_depth(values, settings))


def _with_depth(values: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which, for video, a side alone keeps the depth in time that was there before."""
    changed = dict(settings)
    patch = settings.get("patch", values["patch"])
    if isinstance(patch, Sequence) and len(patch) == 3:
        if isinstance(settings.get("img_size"), int):
            frames = (values["img_size"] or (32,))[0]
            changed["img_size"] = (frames, settings["img_size"], settings["img_size"])
        if isinstance(settings.get("window"), int):
            first = values["window"][0]
            depth = first if isinstance(first, int) else first[0]
            changed["window"] = (depth, settings["window"], settings["window"])
    return changed


def _task(opened: Opened, wanted: str | None) -> str:
    """The task to build for; ConfigError for one that is unknown or not of this model."""
    if wanted is None:
        if opened.other_head is not None:
            raise WeightsError(_only_a_backbone(opened.source, opened.other_head))
        if opened.task not in TASKS:
            raise WeightsError(
                f"{opened.source} holds a model for the task {opened.task!r}, unknown to this swinkit."
            )
        return opened.task
    if wanted == "classify" and opened.config.rank == 3:
        raise ConfigError(f"{opened.source} is a video model: leave task out, or say task='video'.")
    return wanted


def _only_a_backbone(source: str, what: str) -> str:
    return (
        f"{source} is {what} with a Swin inside, a task unknown to this swinkit: take its backbone by "
        "swinkit.backbone, or start a classifier with task='classify' and num_classes."
    )


def _choose_labels(
    opened: Opened, num_classes: int | None, classes: Sequence[str] | None
) -> tuple[Labels, bool]:
    """The classes of the model, and whether its head must start fresh for them."""
    stored = opened.labels
    if classes is None and num_classes is None:
        if stored is None:
            raise WeightsError(
                f"{opened.source} holds a backbone without a classifier: give num_classes for a fresh head, "
                "or take it by swinkit.backbone."
            )
        return stored, False
    if stored is not None and classes is None and num_classes == len(stored):
        return stored, False
    labels = _labels(num_classes, classes)
    if stored is None:
        return labels, True
    # a foreign file numbers its classes: to name as many is no change
    same = len(labels) == len(stored) if opened.numbered else labels.names == stored.names
    return labels, not same


def _for_classifier(tensors: dict[str, Tensor], stages: int) -> tuple[dict[str, Tensor], list[str]]:
    """Of a dense backbone's norms the last becomes the final one; the others' names are given back."""
    last = f"norm{stages - 1}."
    spare = r"norm\d?\." if any(name.startswith(last) for name in tensors) else r"norm\d\."
    left = [name for name in tensors if re.match(spare, name) and not name.startswith(last)]
    kept = {name: tensor for name, tensor in tensors.items() if name not in left}
    return {re.sub(r"^norm\d\.", "norm.", name): tensor for name, tensor in kept.items()}, left


def _options(opened: Opened) -> dict[str, Any]:
    """Settings that our own file holds for its task; WeightsError for others than it has."""
    settings = dict(opened.settings)
    kinds = {"head_drop": (int, float), "multi_label": (bool,)}
    if not all(type(value) in kinds.get(name, ()) for name, value in settings.items()):
        raise WeightsError(f"{opened.source} has a damaged header: its task has no settings {settings}.")
    return settings


def _preprocessing(opened: Opened, config: SwinConfig, img_size: int | Sequence[int] | None) -> Preprocessing:
    """The file's own preprocessing, at another size or for other channels where asked for."""
    stored, usual = opened.preprocessing, preprocessing_for(config)
    if stored is None or config.in_chans != stored.channels:
        return usual
    if stored.clip is None and config.rank == 3:  # inflated
        return usual.model_copy(update={"mean": stored.mean, "std": stored.std})
    if img_size is None:
        return stored
    if usual.clip is None or stored.clip is None:
        return Preprocessing.checked({**stored.model_dump(exclude={"crop"}), "size": usual.size})
    frames = stored.clip.frames if isinstance(img_size, int) else usual.clip.frames
    clip = stored.clip.model_copy(update={"frames": frames})
    return stored.model_copy(update={"size": usual.size, "clip": clip})


def _finish(report: LoadReport, opened: Opened, resized: list[str]) -> LoadReport:
    """Add what happened before the tensors reached the model."""
    ours = {name.removeprefix("backbone."): name for name in report.loaded}
    return replace(
        report,
        converted=tuple(ours[name] for name in opened.converted if name in ours),
        resized=tuple(ours[name] for name in resized if name in ours),
        dropped=(*report.dropped, *opened.dropped),
    )


def _labels(count: int | None, names: Sequence[str] | None) -> Labels:
    """Named classes, or numbered ones; ConfigError where there are none or the two disagree."""
    if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
        raise ConfigError(f"num_classes={count!r}: give a whole number.")
    if isinstance(names, str):
        names = class_names(names)
    if names is not None and (not isinstance(names, Sequence) or not all(isinstance(n, str) for n in names)):
        raise ConfigError(f"classes={names!r}: give a list of names, or the name of a list.")
    if names is None:
        names = [str(i) for i in range(count or 0)]
    if count not in (None, len(names)):
        raise ConfigError(f"num_classes={count}, but {len(names)} classes are named.")
    if not names:
        raise ConfigError(f"num_classes={len(names)}: a classifier needs at least one class.")
    return Labels.of(names)
