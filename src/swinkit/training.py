"""A training run from settings to figures: open data and model, fit, measure the best model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from swinkit.assembly import take_heads
from swinkit.config import EvaluateConfig, TrainConfig
from swinkit.data.batching import check_headers
from swinkit.data.dataset import Data, open_data, save_splits
from swinkit.data.media import CLIPS
from swinkit.data.object_opening import holds_objects
from swinkit.data.objects import ObjectData
from swinkit.data.pairs import MaskData, holds_masks
from swinkit.data.samples import ClassData, Samples
from swinkit.engine.evaluate import evaluate_split
from swinkit.engine.faults import listed, too_many
from swinkit.engine.launch import is_launcher, launch, node_rank
from swinkit.engine.outline import Outline, outline
from swinkit.engine.ranks import Place, here, join, told_by
from swinkit.engine.run import Run, RunFolder
from swinkit.engine.train import Plan, devices_of, fit, prepare
from swinkit.errors import ConfigError, DataError
from swinkit.files import remove_unfinished, write_text
from swinkit.hardware import pick_device
from swinkit.inputs import Preprocessing
from swinkit.models import create, load, option_of, task_of
from swinkit.options import check_owners
from swinkit.preparation import sides_for
from swinkit.progress import console, print_notes, remark, show_changes
from swinkit.tasks.base import Task
from swinkit.tasks.open_vocabulary import OpenVocabulary
from swinkit.tasks.queries import vocabulary_of
from swinkit.tasks.segment import Segmenter
from swinkit.variants import VARIANTS
from swinkit.vocabulary import Vocabulary
from swinkit.weights.catalog import CATALOG

HEADERS_READ = 200_000  # of a part; beyond, that would take longer than it saves


def run_training(config: TrainConfig, resumed: RunFolder | None) -> Run:
    """Train into a new run folder, or go on in one: here, or in processes of its own.

    Where torchrun has started this process, all that it has started train together.
    """
    place = _meet(config)
    if place.world > 1:
        # to be the same when it is resumed
        config = config.model_copy(update={"devices": devices_of(config), "num_nodes": place.nodes})
    if place.rank:
        return _follow()
    if is_launcher(config) and node_rank(config):
        folder = resumed or RunFolder(Path(str(config.out)))
        launch(folder, config)  # the first machine prepares, and measures
        return Run(folder.path, load(folder.path), {})
    resumed = resumed or _restarted(config)
    ready = _prepare(config, resumed)
    folder = _open_folder(ready, resumed)
    if is_launcher(config):
        launch(folder, ready.config)
    else:
        told_by(folder.path)
        ready.fit(folder)
    best = load(folder.path)
    return Run(folder.path, best, _final_figures(best, ready.data, config, folder))


def outline_run(config: TrainConfig) -> Outline:
    """What a run would do; writes nothing."""
    ready = _prepare(config, None)
    from_scratch = ready.model.load_report is None
    return outline(ready.model, ready.plan.batches, ready.config, from_scratch=from_scratch)


def fit_share(path: str | Path) -> None:
    """Train in a run folder that is there, as one of several processes that torchrun or we have started."""
    folder, config = RunFolder.open(path)
    place = _meet(config)
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if place.first and restarts != "0":
        remove_unfinished(folder.path)
        remark(console(), f"A process has died: all start again where they were ({restarts}).")
    _prepare(config, folder).fit(folder)


def _meet(config: TrainConfig) -> Place:
    """Who this process is; of several, it waits for the others."""
    place = here()
    if place.world > 1:
        join(place, pick_device(config.device, local_rank=place.local))
    return place


def _follow() -> Run:
    """Train beside the first process, in the run folder that it has made."""
    path = told_by(Path())
    fit_share(path)
    return Run(path, load(path), {})


def _restarted(config: TrainConfig) -> RunFolder | None:
    """The run folder of a run that torchrun has started again."""
    if config.out is None or os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return None
    folder = RunFolder(Path(config.out))
    return folder if folder.config_file.exists() else None


class _Ready(NamedTuple):
    """All that a run begins with: `data` are those `opened` without files that cannot be read."""

    config: TrainConfig
    opened: Data
    data: Data
    model: Task
    plan: Plan

    def fit(self, folder: RunFolder) -> None:
        """Train into the folder."""
        fit(self.model, self.data.splits, self.config, folder, chosen=self.plan, console=console())


def _prepare(config: TrainConfig, resumed: RunFolder | None) -> _Ready:
    """Data, model and plan; nothing is written."""
    pick_device(config.device)  # a device that is not there shall not cost a scan of the data
    split_file = resumed.split_file if resumed else None
    opened = open_data(
        config.data,
        task=_wanted_task(config),
        masks=config,
        val_fraction=config.val_fraction,
        seed=config.seed,
        split_file=split_file,
    )
    if "model" not in config.model_fields_set and opened.medium is CLIPS:
        config = config.model_copy(update={"model": "swin3d_t"})
    task = "open_vocabulary" if _wanted_task(config) == "open_vocabulary" else opened.task
    check_owners(config, task, "the data are")
    if isinstance(opened, ObjectData) and not opened.teaches:
        raise DataError(f"No picture of train in {opened.root} has an object: where are they?")
    if isinstance(opened, MaskData) and len(opened.classes) < 2:
        raise DataError(f"{opened.root} has only the class {opened.classes[0]!r}, but 2 are needed.")
    data = _readable(opened)
    torch.manual_seed(config.seed)
    model = start_model(config, data)
    return _Ready(config, opened, data, model, prepare(model, len(data.splits["train"]), config))


def _wanted_task(config: TrainConfig) -> str | None:
    """The task that is stated, or that the model is for where the data are; None: that of the data.

    A classifier's weights learn any, and those of a segmentation model or a detector what the data hold.
    """
    if config.task is None and "model" in config.model_fields_set:
        own = task_of(config.model)
        if own == "open_vocabulary":
            return own
        other = {"segment": holds_objects, "detect": holds_masks}.get(own)
        fits = {"segment": holds_masks, "detect": holds_objects}.get(own)
        if own == "classify" or (fits and other and not fits(config.data) and other(config.data)):
            return None
        return own
    return config.task


def _open_folder(ready: _Ready, resumed: RunFolder | None) -> RunFolder:
    """The run folder, with the split and the notes; made last, so that a mistake leaves no litter."""
    folder = resumed or RunFolder.create(ready.config)
    if resumed is None:
        save_splits(ready.opened, folder.split_file)
    else:
        remove_unfinished(folder.path)
    report = ready.model.load_report
    replaced = [report.sentence()] if report is not None and report.initialised else []
    show_changes(report)
    notes = [*ready.data.notes, *replaced]
    if notes:
        write_text(folder.path / "notes.txt", "\n".join(notes) + "\n")
    print_notes(notes)
    return folder


def _final_figures(best: Task, data: Data, config: TrainConfig, folder: RunFolder) -> dict[str, float]:
    """Figures of the best model on val and, as test_NAME, on test; pictures of the last of them."""
    options = EvaluateConfig(**config.model_dump(include={"device", "workers", "batch_size", "progress"}))
    figures: dict[str, float] = {}
    parts = {part: prefix for part, prefix in (("val", ""), ("test", "test_")) if part in data.splits}
    for part, prefix in parts.items():
        values = evaluate_split(
            best,
            data.splits[part],
            options,
            out=folder.path if part == list(parts)[-1] else None,
            source={"data": config.data, "split": part, "model": str(folder.best)},
            console=console(),
        )
        figures |= {f"{prefix}{name}": value for name, value in values["metrics"].items()}
    return figures


def start_model(config: TrainConfig, data: Data) -> Task:
    """The model that training starts from: a variant with random weights, or a file.

    For clips, weights of an image model are inflated; for masks and boxes, a classifier's get other heads.
    """
    settings = ("img_size", "window", "in_chans", "drop_path", "head", "channels", "auxiliary", "width")
    given = _given(config, *settings)
    task = None if data.task == "classify" else data.task
    if isinstance(data, ObjectData) and _wanted_task(config) == "open_vocabulary":
        return start_open_vocabulary(config, data)
    if isinstance(data, ObjectData):
        given |= _detector_head(config, data)
    if config.model in VARIANTS:
        if task == "video" and VARIANTS[config.model].task != task:
            raise ConfigError(
                f"{data.root} holds clips, but {config.model} takes images: choose a video model such as "
                "swin3d_t, or weights of an image model, which are inflated."
            )
        given = {"drop_path": 0.1, **given}
        model = create(config.model, classes=data.classes, task=task, multi_label=data.multi, **given)
    else:
        several = data.multi if isinstance(data, ClassData) else None
        model = load(config.model, task=task, classes=data.classes, multi_label=several, **given)
    if config.heads is not None:
        take_heads(model, config.heads)
    model.preprocessing = _preprocessing(config, model.preprocessing, model.name)
    if not isinstance(data, ClassData):
        model.labels = data.labels  # with their colours and ids
    if isinstance(model, Segmenter):
        model.losses, model.average = config.loss, config.average
    if config.class_weights == "balanced":
        model.weigh_classes(data.splits["train"].counts(len(data.classes)).tolist())
    return model


def start_open_vocabulary(config: TrainConfig, data: ObjectData) -> OpenVocabulary:
    """An open-vocabulary detector that knows the names of the data, by a vocabulary or by its text tower."""
    given = _given(config, "img_size", "window", "in_chans", "width")
    stated = None if config.vocabulary is None else Vocabulary.load(config.vocabulary)
    fresh = config.model in VARIANTS and config.model not in CATALOG
    if stated is not None and (fresh or task_of(config.model) != "open_vocabulary"):
        given |= {"dim": stated.dim, "text": "none"}
    if config.text is not None:
        given["text"] = config.text
    task = "open_vocabulary"
    if not fresh:
        model = load(config.model, task=task, classes=data.classes, **given)
    else:
        if VARIANTS[config.model].settings.get("kind") != "vit":
            given["drop_path"] = 0.1 if config.drop_path is None else config.drop_path
        model = create(config.model, task=task, classes=data.classes, **given)
    assert isinstance(model, OpenVocabulary)
    model.labels = data.labels
    if "prompts" in config.model_fields_set:
        model.prompts = config.prompts
    if model.text is not None and not config.text_lr:
        model.text.requires_grad_(False)
    if stated is None and model.text is None and not model.vocabulary.any():
        raise ConfigError(
            "The model cannot read the names of the classes: give --vocabulary, a file of names and "
            "embeddings, or --text, a folder of CLIP."
        )
    if stated is not None:
        model.know(stated)
    elif not (report := model.load_report) or "vocabulary" in report.initialised:
        model.know(vocabulary_of(model, {name: [name] for name in data.classes}, prompts=model.prompts))
    return model


def _detector_head(config: TrainConfig, data: ObjectData) -> dict[str, str]:
    """The kind of R-CNN where the model is no detector: with masks where the data have shapes.

    ConfigError for one that learns masks from data without them.
    """
    own = task_of(config.model) == "detect"
    if config.head is None and not own:
        return {"head": "mask_rcnn" if data.has_shapes else "faster_rcnn"}
    head = config.head or str(option_of(config.model, "head"))
    if "mask" in head and not data.has_shapes:
        bare = head.replace("mask_rcnn", "rcnn" if head.startswith("cascade") else "faster_rcnn")
        raise ConfigError(f"{head} learns masks, and {data.bare}: say head={bare}, for boxes.")
    if config.augmentation.copy_paste and not data.has_shapes:
        raise ConfigError(f"copy_paste needs the objects' shapes, and {data.bare}.")
    return {}


def _preprocessing(config: TrainConfig, usual: Preprocessing, task: str) -> Preprocessing:
    """The model's own, with what the settings say; ConfigError where they are for videos and it is not."""
    clip = _given(config, "frames", "stride", "fps")
    if config.frame_sampling is not None:
        clip["sampling"] = config.frame_sampling
    if clip and usual.clip is None:
        raise ConfigError(
            "frames, stride, fps and frame_sampling are for videos, and the model takes images."
        )
    values = usual.model_dump() | _given(config, "mean", "std")
    if usual.clip is not None:
        values["clip"] |= clip
    if usual.dense is not None and config.short is not None:
        values["dense"] = sides_for(task, config.short).model_dump() if config.short else {}
    return Preprocessing.checked(values)


def _given(config: TrainConfig, *names: str) -> dict[str, Any]:
    """Those of the options that have a value."""
    return {name: value for name in names if (value := getattr(config, name)) is not None}


def _readable(data: Data) -> Data:
    """The data without files whose header cannot be read; these become notes.

    Raises DataError where none stays, or more are broken than a run may leave out. Of large data sets the
    headers are not read beforehand.
    """
    if "train" not in data.splits:
        have = ", ".join(data.splits)
        kinds = {"segment": "pictures and masks", "detect": "pictures and boxes"}
        what = kinds.get(data.task, "class folders")
        raise DataError(f"{data.root} has no part train, only {have}: add a folder train of {what}.")
    splits: dict[str, Any] = {}
    notes = list(data.notes)
    for split, samples in data.splits.items():
        if len(samples) > HEADERS_READ:
            splits[split] = samples
            continue
        good, messages = check_headers(samples, data.check)
        if not good:
            raise DataError(f"No {data.medium.noun} of {split} in {data.root} can be read: {messages[0]}")
        splits[split] = samples.chosen(good) if messages else samples
        if isinstance(data, ClassData) and split == "train" and messages:
            _check_classes(data, splits[split], messages[0])
        if split == "train" and too_many(len(messages), len(samples)):
            raise DataError(
                f"{len(messages)} of {len(samples)} training {data.medium.noun}s cannot be read, more than "
                f"1 %: {listed(messages)} `swin data check {data.root} --fix-list drop.txt` lists all."
            )
        notes += messages
    if "val" not in splits:
        raise DataError(
            f"{data.root} leaves no {data.medium.noun} for validation: add some, or raise val_fraction."
        )
    return data.with_splits(splits, notes)


def _check_classes(data: ClassData, left: Samples, reason: str) -> None:
    """Refuse training where no file of a class is left."""
    count = len(data.classes)
    lost = (data.splits["train"].counts(count) > 0) & (left.counts(count) == 0)
    if lost.any():
        name = data.classes[int(lost.argmax())]
        raise DataError(f"No {data.medium.noun} of the class {name!r} in {data.root} can be read: {reason}")
