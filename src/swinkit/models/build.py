"""Build models: from a variant, or from a file of any dialect, perhaps with another head or shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swinkit._version import __version__
from swinkit.core.backbone import Norms, SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.core.windows import Fit
from swinkit.errors import ConfigError, nearest
from swinkit.labels import Labels
from swinkit.models.assembly import (
    TASKS,
    backbone_of,
    labels_of,
    model_of,
    options_of,
    retarget,
    take_heads,
    take_text,
    with_depth,
    with_text,
)
from swinkit.models.defaults import preprocessing_for
from swinkit.models.locate import open_named
from swinkit.models.variants import VARIANTS, find_variant
from swinkit.tasks.base import Task
from swinkit.towers.vit import ViTConfig
from swinkit.weights.catalog import CATALOG
from swinkit.weights.store import show_changes


def create(
    name: str,
    num_classes: int | None = None,
    *,
    classes: Sequence[str] | None = None,
    task: str | None = None,
    multi_label: bool = False,
    **settings: Any,
) -> Task:
    """Build a variant with random weights; `settings` replace those of its SwinConfig.

    Of a video model one side as `window` or `img_size` keeps windows and clips as deep as they are.

    `classes` names the classes; `num_classes` alone numbers them. With `multi_label` a picture may have
    several, or none. With `task="segment"` a classifier's variant gets a dense `head` ("upernet",
    "ssformer" …) of `channels`, with `pool_scales` ("upernet", "pspnet"), `dilations` ("deeplabv3plus") or
    `filter_sizes` ("dmnet"), and an `auxiliary` one of so
    many, 0 for none; with `task="detect"` a `head` ("mask_rcnn", "faster_rcnn", "cascade_mask_rcnn",
    "cascade_rcnn") with a pyramid of `channels` and layers of `width`. Raises ConfigError for an unknown
    variant or setting.
    """
    _check_habits(name, settings)
    variant = find_variant(name)
    task = known_task(task) or variant.task
    kind = TASKS[task]
    source = str(settings.get("text"))
    settings, text = with_text(settings)
    given, settings = options_of(kind, settings | ({"multi_label": True} if multi_label else {}))
    options = {**kind.usual, **(variant.options if task == variant.task else {}), **given}
    config = retarget(variant.settings, task, settings, source=variant.task)
    if num_classes is None and classes is None and kind.named:
        num_classes = variant.classes
    if not kind.named and not num_classes and classes is None:
        labels = Labels.of([])  # what is looked for is said later
    else:
        labels = labels_of(num_classes, classes)
    prepared = preprocessing_for(config, task, options, img_size=settings.get("img_size"))
    model = kind(config, labels, prepared, **options)
    model.lineage.append({"architecture": name, "weights": "random", "swinkit": __version__})
    take_text(model, text, source)
    return model.eval()


def _check_habits(name: str, settings: Mapping[str, Any]) -> None:
    """Name the option of swinkit for one that other libraries have; ConfigError."""
    for option in ("pretrained", "weights"):
        if option in settings:
            fits = [known for known, weights in CATALOG.items() if weights.variant == name]
            example = fits[0] if fits else "swin_t.in1k"
            raise ConfigError(
                f"There is no option {option!r}: published weights have names of their own, such as "
                f"swinkit.load({example!r}); `swin models` lists them."
            )
    for option in ("n_classes", "nb_classes", "num_labels", "nclasses"):
        if option in settings:
            raise ConfigError(f"There is no option {option!r}: did you mean 'num_classes'?")


def known_task(task: str | None) -> str | None:
    """The task as it is; ConfigError for one that is unknown."""
    if task is not None and task not in list(TASKS):
        raise ConfigError(f"`task={task!r}` is unknown to this swinkit: {nearest(str(task), TASKS)}")
    return task


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
    heads: str | Path | None = None,
    strict: bool = True,
    **settings: Any,
) -> Task:
    """Load published weights by name, a file of any dialect, a run folder or a Hugging Face folder.

    Dialect, architecture and `fit` come from the tensors; the report is kept at `model.load_report`. Other
    classes give a fresh head; `classes` are names, or the name of a list such as "imagenet-1k". `window`
    resizes the bias tables (bicubic), `img_size` absolute position and the preprocessing, `in_chans` the
    patch convolution; `multi_label` says whether a picture may have several classes; `task="video"` inflates
    an image model, `task="segment"` and "detect" give it heads as `create` does; `heads` is a file of
    torchvision's Mask R-CNN from which a detector takes what fits. Of a run folder its best model is taken.
    Of a video model one side as `window` or `img_size` keeps windows and clips as deep as they were.
    `settings` replace those that keep all shapes (`drop_path` …).

    Raises WeightsError for a file that is no Swin, is damaged, or does not fit whole; with `strict=False`
    what is missing starts fresh, and the report says so. Raises ConfigError for settings that cannot be.
    """
    _check_habits(str(path), settings)
    task = known_task(task)
    wanted = {"in_chans": in_chans, "window": window, "fit": fit}
    settings |= {key: value for key, value in wanted.items() if value is not None}
    model = model_of(
        open_named(path, window=window, img_size=img_size),
        task=task,
        num_classes=num_classes,
        classes=classes,
        img_size=img_size,
        multi_label=multi_label,
        strict=strict,
        **settings,
    )
    if heads is not None:
        take_heads(model, heads)
    return model


def task_of(model: str) -> str:
    """What a variant, published weights or a file are for, without building it."""
    if model in VARIANTS:
        return VARIANTS[model].task
    return CATALOG[model].task if model in CATALOG else open_named(model).task


def option_of(model: str, name: str) -> Any:
    """An option of the task of a variant or of weights, without building it; None where it has none."""
    if model in VARIANTS:
        return VARIANTS[model].options.get(name)
    weights = CATALOG.get(model)
    return VARIANTS[weights.variant].options.get(name) if weights else open_named(model).settings.get(name)


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
    left behind. `fit` is "pad_shift" by default, for video "clamp", as published; raw maps of timm's and
    torchvision's weights are by their own rules.
    `net.load_report` tells what was loaded; it is None for random weights.
    """
    _check_habits(str(name), settings)
    kind: Norms = "each" if norms else "none"
    if str(name) in VARIANTS:
        variant = find_variant(str(name))
        settings = with_depth(variant.settings, settings)
        config = variant.config(**settings, fit=fit or _dense_fit(variant.config()))
        return SwinBackbone(config, out_indices=out_indices, norms=kind).eval()
    opened = open_named(name, window=settings.get("window"), img_size=settings.get("img_size"))
    if not isinstance(opened.config, ViTConfig):
        if norms or opened.config.patch_remainder == "pad":
            settings = {"patch_remainder": "pad", **settings, "fit": fit or _dense_fit(opened.config)}
        elif fit is not None:
            settings |= {"fit": fit}
    return backbone_of(opened, kind, out_indices=out_indices, strict=strict, **settings)


def _dense_fit(config: SwinConfig) -> Fit:
    """The rule of published detectors and segmenters, or Video Swin's."""
    return "clamp" if config.rank == 3 else "pad_shift"


ModelLike = Task | str | Path


def load_and_report(source: str | Path) -> Task:
    """Load a model, and show what became of the weights unless all of them were taken as they are."""
    model = load(source)
    show_changes(model.load_report)
    return model
