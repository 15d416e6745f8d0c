"""From an opened weights file to a model: its architecture and head, perhaps changed, around its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from swinkit.core.backbone import Norms, SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.data.names import labels_named
from swinkit.data.names.reading import read_names
from swinkit.errors import ConfigError, WeightsError
from swinkit.labels import Labels
from swinkit.models.defaults import PAIRED, SIDES, preprocessing_of
from swinkit.models.locate import find_file
from swinkit.tasks.base import Task
from swinkit.tasks.classify import Classifier
from swinkit.tasks.detect import Detector
from swinkit.tasks.open_vocab.contrastive import Contrastive
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from swinkit.tasks.open_vocab.two_towers import TwoTowers
from swinkit.tasks.segment import Segmenter
from swinkit.tasks.video import VideoClassifier
from swinkit.towers.text import TEXTS
from swinkit.towers.vit import ViTConfig
from swinkit.weights.containers import read_checkpoint
from swinkit.weights.convert import check_numbers
from swinkit.weights.dense_heads import check_branches
from swinkit.weights.opening import Opened
from swinkit.weights.owl import TextFile, read_text_tower
from swinkit.weights.rcnn_heads import torchvision_heads
from swinkit.weights.resize import adapt
from swinkit.weights.store import LoadReport, adopt, canonical_names

TASKS: dict[str, type[Task]] = {
    "classify": Classifier,
    "segment": Segmenter,
    "video": VideoClassifier,
    "detect": Detector,
    "open_vocabulary": OpenVocabulary,
    "contrastive": Contrastive,
}


def model_of(
    opened: Opened,
    *,
    task: str | None = None,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    img_size: int | Sequence[int] | None = None,
    strict: bool = True,
    **settings: Any,
) -> Task:
    """The model of an opened file, with the changes that `load` describes."""
    task = chosen_task(opened, task)
    kind = TASKS[task]
    source = str(settings.get("text"))
    settings, text = with_text(settings)
    given, settings = options_of(kind, settings)
    stored = _stored_options(opened, kind) if opened.task in (task, *kind.inherits) else {}
    options = {**kind.usual, **kind.kept_options(stored, given), **given}
    if img_size is not None:
        settings["img_size"] = img_size
    config = retarget(opened.config.to_dict(), task, settings, source=opened.task)
    if not kind.named and opened.task != task and num_classes is None and classes is None:
        labels, other_classes = Labels.of([]), True  # what is looked for is said later
    else:
        labels, other_classes = _choose_labels(opened, num_classes, classes)
    tensors, resized = _adapted(opened, config)
    tensors, renew, left = _arranged(opened, tensors, kind, options, other_classes)
    prepared = preprocessing_of(opened, config, task, img_size)
    model, report = adopt(
        lambda: kind(config, labels, prepared, **options),
        canonical_names(tensors),
        source=opened.source,
        renew=renew,
        strict=strict,
    )
    model.load_report = _finish(replace(report, dropped=(*report.dropped, *left)), opened, resized)
    model.lineage, model.licence = list(opened.lineage), opened.licence
    take_text(model, text, source)
    return model.eval()


def with_text(settings: dict[str, Any]) -> tuple[dict[str, Any], TextFile | None]:
    """Settings whose `text` is a folder, with what its text tower says instead, and the tower's tensors."""
    told = settings.get("text")
    if not isinstance(told, str | Path) or str(told) in (*TEXTS, "none"):
        return settings, None
    if not Path(told).exists():
        raise ConfigError(
            f"`text={str(told)!r}` is neither a folder nor one of {', '.join((*TEXTS, 'none'))}."
        )
    read = read_text_tower(Path(told))
    numbers = {"text": read.config.to_dict(), "dim": read.config.dim, "tokenizer": read.tokenizer}
    return settings | numbers, read


def take_text(model: Task, read: TextFile | None, source: str) -> None:
    """Put a text tower's tensors into a model that was built for it; its lineage tells so."""
    if read is None:
        return
    assert isinstance(model, TwoTowers)
    assert model.text is not None
    model.text.load_state_dict(read.tensors)
    if isinstance(model, OpenVocabulary):
        model.vocabulary.zero_()  # of another tower
    model.lineage.append({"text": source})
    report = model.load_report
    if report is not None:
        named = {f"text.{name}" for name in read.tensors}
        fresh = tuple(name for name in report.initialised if name not in named)
        model.load_report = replace(report, initialised=fresh, loaded=(*report.loaded, *sorted(named)))


def _adapted(opened: Opened, config: SwinConfig | ViTConfig) -> tuple[dict[str, Tensor], list[str]]:
    """The backbone's tensors for an architecture that is a little other than the file's."""
    if isinstance(config, ViTConfig) or isinstance(opened.config, ViTConfig):
        return dict(opened.tensors), []
    return adapt(opened.tensors, opened.config, config)


def options_of(kind: type[Task], settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of what a user gives, the task's own options and the backbone's settings; ConfigError for a wrong type.

    None stands for what is not given.
    """
    owners = {name: [task for task, other in TASKS.items() if name in other.options] for name in settings}
    said = {name: value for name, value in settings.items() if value is not None or not owners[name]}
    given = {name: value for name, value in said.items() if name in kind.options}
    others = {name: value for name, value in said.items() if name not in given}
    for name, value in given.items():
        if type(value) not in kind.options[name]:
            wanted = " or ".join(one.__name__ for one in kind.options[name])
            raise ConfigError(f"{name}={value!r}: give {wanted}.")
    for name in others:
        if owners[name]:
            raise ConfigError(
                f"`{name}` is for {' and '.join(owners[name])}, and this model is for {kind.name}."
            )
    return given, others


def _arranged(
    opened: Opened, tensors: dict[str, Tensor], kind: type[Task], options: dict[str, Any], other_classes: bool
) -> tuple[dict[str, Tensor], tuple[str, ...], list[str]]:
    """The tensors that a model of this kind takes, beginnings of the names that start fresh, what is left."""
    if issubclass(kind, Segmenter | Detector | TwoTowers):
        return _for_maps(opened, tensors, kind, options, other_classes)
    tensors, left = _for_classifier(tensors, opened.config.stages)
    if issubclass(TASKS[opened.task], Segmenter | Detector | TwoTowers):
        left += opened.dense
    else:
        tensors |= opened.dense  # of nobody's: to be reported
    if opened.other_head is None:
        tensors |= opened.others  # so are these
    else:
        left += opened.others
    return tensors, Classifier.class_layers if other_classes else (), left


def _for_maps(
    opened: Opened, tensors: dict[str, Tensor], kind: type[Task], options: dict[str, Any], other_classes: bool
) -> tuple[dict[str, Tensor], tuple[str, ...], list[str]]:
    """Backbone with the norms of its maps, and those of the file's heads that are as they are wanted."""
    body = {n: t for n, t in tensors.items() if not n.startswith(("head.", "norm."))}
    left = [name for name in tensors if name not in body]
    if opened.other_head is None:
        body |= opened.others  # of nobody's: to be reported
    else:
        left += opened.others
    stages = range(opened.config.stages)
    if issubclass(kind, TwoTowers) and not isinstance(opened.config, ViTConfig):
        unused = tuple(f"norm{i}." for i in stages[: -TwoTowers.maps])
        left += [name for name in body if name.startswith(unused)]
        body = {name: tensor for name, tensor in body.items() if not name.startswith(unused)}
    norms = tuple(f"backbone.norm{i}." for i in stages if i not in opened.normed)
    same = opened.task in (kind.name, *kind.inherits)
    fresh = kind.other_heads(opened.settings if same else {}, options)
    kept = [name for name in opened.dense if same and not name.startswith(fresh or ("\0",))]
    heads = {name: opened.dense[name] for name in kept}
    check_branches(heads, str(options.get("head")), options, opened.source)
    left += [name for name in opened.dense if name not in heads]
    return body | heads, norms + fresh + (kind.class_layers if other_classes else ()), left


def take_heads(model: Task, path: str | Path) -> None:
    """Give a detector the heads of torchvision's Mask R-CNN, as far as their shapes are its own.

    Its lineage and its report then tell them. Raises ConfigError for another model, WeightsError for a file
    without any.
    """
    if not isinstance(model, Detector):
        raise ConfigError(f"`heads` is for detectors, and this model is for {model.name}.")
    checkpoint = read_checkpoint(find_file(path))
    given = torchvision_heads(checkpoint.tensors, model.labels.categories)
    check_numbers(given, checkpoint.source)
    own = model.state_dict()
    other = [name for name, t in given.items() if name not in own or own[name].shape != t.shape]
    layers = {name.rpartition(".")[0] for name in other}  # whose biases alone would mean nothing
    fitting = {name: t for name, t in given.items() if name.rpartition(".")[0] not in layers}
    if not fitting:
        raise WeightsError(
            f"{checkpoint.source} holds no heads of torchvision's Mask R-CNN that fit the model."
        )
    model.load_state_dict({**own, **fitting})
    model.lineage.append({"heads": checkpoint.source, "tensors": len(fitting)})
    report = model.load_report
    if report is not None:  # of random weights there is none
        model.load_report = replace(
            report,
            source=f"{report.source} and {checkpoint.source}",
            loaded=tuple(dict.fromkeys((*report.loaded, *fitting))),
            initialised=tuple(name for name in report.initialised if name not in fitting),
            dropped=(*report.dropped, *(name for name in given if name not in fitting)),
        )


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
    config = retarget(opened.config.to_dict(), opened.task, settings, source=opened.task)
    if isinstance(config, ViTConfig):
        raise ConfigError(f"{opened.source} is no Swin: take the whole detector by swinkit.load.")
    if out_indices is None and norms == "each":
        out_indices = opened.normed or None
    if norms == "each" and opened.normed:
        wanted = [f"norm{i}." for i in out_indices or ()]
    else:
        wanted = ["norm."] if norms == "final" else []
    tensors, resized = _adapted(opened, config)
    body = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(("head.", "norm")) or name.startswith(tuple(wanted))
    }
    left = (*(name for name in tensors if name not in body), *opened.dense, *opened.others)
    net, report = adopt(
        lambda: SwinBackbone(config, out_indices=out_indices, norms=norms),
        body,
        source=opened.source,
        renew=() if wanted else ("norm0.", "norm1.", "norm2.", "norm3."),
        strict=strict,
    )
    net.load_report = _finish(replace(report, dropped=(*report.dropped, *left)), opened, resized)
    return net.eval()


def retarget(
    values: Mapping[str, Any], task: str, settings: Mapping[str, Any], *, source: str
) -> SwinConfig | ViTConfig:
    """The architecture with other settings; for another task than that of its `source` with its usual ones.

    For `task="video"` an image's becomes a clip's: an inflated model has Video Swin's patch depth 2 and
    window depth 8 unless `window` says otherwise. For "segment" it takes crops, for "detect" pictures of any
    size, and all windows shift.
    """
    values = dict(values)
    if values.get("kind") == "vit":
        if not issubclass(TASKS[task], TwoTowers):
            raise ConfigError(f"A model for {task} needs a Swin, and this one has a vision transformer.")
        trained = {
            name: value for name, value in settings.items() if name != "img_size"
        }  # positions are resized
        return ViTConfig.from_dict(values | trained)
    config = SwinConfig.from_dict(values)
    if task == "video" and config.rank == 2:
        size = config.input_size
        values |= {
            "patch": (2, *config.patch_size),
            "window": tuple((8, *window) for window in config.windows),
            "img_size": None if size is None else (32, *size),
            "fit": "clamp",
            "patch_remainder": "pad",
        }
        if config.absolute_position:
            raise ConfigError("A model with absolute position cannot be inflated to video: train one anew.")
    elif task not in ("classify", "video") and source != task:
        if config.rank == 3:
            raise ConfigError(f"A model for {task} takes images, and this one videos.")
        usual: Any = {"segment": SIDES["segment"][0], "contrastive": PAIRED}.get(task)
        if config.absolute_position and task != "segment":
            usual = config.img_size
        values |= {"img_size": usual, "fit": "pad_shift", "patch_remainder": "pad"}
    return SwinConfig.from_dict(values | with_depth(values, settings))


def with_depth(values: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
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


def chosen_task(opened: Opened, wanted: str | None) -> str:
    """The task to build for; ConfigError for one that is unknown or not of this model."""
    if wanted is None:
        if opened.other_head is not None:
            raise WeightsError(only_a_backbone(opened.source, opened.other_head))
        if opened.task not in TASKS:
            raise WeightsError(
                f"{opened.source} holds a model for the task {opened.task!r}, unknown to this swinkit."
            )
        return opened.task
    if wanted == "classify" and opened.config.rank == 3:
        raise ConfigError(f"{opened.source} is a video model: leave `task` out, or say `task='video'`.")
    return wanted


def only_a_backbone(source: str, what: str) -> str:
    """What to tell of a file whose head is unknown."""
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
    labels = labels_of(num_classes, classes)
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


def _stored_options(opened: Opened, kind: type[Task]) -> dict[str, Any]:
    """Settings of a file that this task has too; WeightsError for others than those of the file's own."""
    kinds = TASKS[opened.task].options
    if not all(type(value) in kinds.get(name, ()) for name, value in opened.settings.items()):
        raise WeightsError(
            f"{opened.source} has a damaged header: its task has no settings {dict(opened.settings)}."
        )
    return {name: value for name, value in opened.settings.items() if name in kind.options}


def _finish(report: LoadReport, opened: Opened, resized: list[str]) -> LoadReport:
    """Add what happened before the tensors reached the model."""
    ours = {name.removeprefix("backbone."): name for name in report.loaded}
    return replace(
        report,
        converted=tuple(ours[name] for name in opened.converted if name in ours),
        resized=tuple(ours[name] for name in resized if name in ours),
        dropped=(*report.dropped, *opened.dropped),
    )


def labels_of(count: int | None, names: Sequence[str] | None) -> Labels:
    """Named classes, or numbered ones; ConfigError where there are none or the two disagree."""
    if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
        raise ConfigError(f"num_classes={count!r}: give a whole number.")
    if names is not None and not isinstance(names, str | Path | Sequence):
        raise ConfigError(f"`classes={names!r}`: give a list of names, the name of a list, or a file.")
    if names is not None:
        names = read_names(names)
    if names is None:
        names = [str(i) for i in range(count or 0)]
    if count not in (None, len(names)):
        raise ConfigError(f"num_classes={count}, but {len(names)} classes are named.")
    if not names:
        raise ConfigError(f"num_classes={len(names)}: a model needs at least one class.")
    return labels_named(names)
