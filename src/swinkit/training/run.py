"""A training run from settings to figures: open data and model, fit, measure the best model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from swinkit.config.evaluate import EvaluateConfig
from swinkit.config.mirrored_classes import why_not_mirrored
from swinkit.config.task_options import check_owners
from swinkit.config.train import TrainConfig
from swinkit.data.captions.open import CaptionData
from swinkit.data.classification.samples import ClassData, Samples
from swinkit.data.dataset import check_headers
from swinkit.data.detection.few_shot import few_of
from swinkit.data.detection.samples import ObjectData
from swinkit.data.io.media import CLIPS
from swinkit.data.io.value_range import ValueRule
from swinkit.data.open import Data, open_data, save_splits
from swinkit.data.segmentation.open import MaskData
from swinkit.data.survey import measured_rule, survey_values, value_notes
from swinkit.distributed import Place, here, join, told_by
from swinkit.errors import ConfigError, DataError, RunError, SwinkitError, shortened
from swinkit.evaluation.loop import evaluate_split
from swinkit.files import check_writable, remove_unfinished, write_text
from swinkit.hardware import pick_device
from swinkit.models.build import load
from swinkit.models.scratch import SUITED, advice, is_fresh, is_short, scratch_config
from swinkit.progress import console, lines_meanwhile, print_notes, remark
from swinkit.tasks.base import Task
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from swinkit.training.faults import listed, too_many
from swinkit.training.fit import Plan, devices_of, fit, prepare
from swinkit.training.initial_model import start_model, wanted_task
from swinkit.training.launch import is_launcher, launch, node_rank
from swinkit.training.plan import Outline, outline
from swinkit.training.run_folder import Run, RunFolder
from swinkit.weights.store import show_changes

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
    if resumed is None:
        resumed, config = _restarted(config)
    with lines_meanwhile("Data and model are being prepared", enabled=config.progress):
        ready = _prepare(config, None) if resumed is None else _prepare_again(config, resumed)
    folder = _open_folder(ready, resumed)
    if is_launcher(config):
        launch(folder, ready.config)
    else:
        told_by(folder.path)
        ready.fit(folder)
    best = load(folder.path)
    figures = _final_figures(best, ready.data, ready.config, folder)
    images = len(ready.data.splits["train"])
    if best.name in SUITED and is_fresh(config) and is_short(images, config):
        remark(console(), advice(images, config.epochs))
    return Run(folder.path, best, figures)


def outline_run(config: TrainConfig) -> Outline:
    """What a run would do; writes nothing."""
    with lines_meanwhile("Data and model are being prepared", enabled=config.progress):
        ready = _prepare(config, None)
    splits = {name: len(samples) for name, samples in ready.data.splits.items()}
    notes = [*ready.data.notes, *replaced_heads(ready.model)]
    plan = ready.plan
    return outline(
        ready.model,
        plan.batches,
        ready.config,
        device=str(plan.device),
        precision=plan.precision,
        splits=splits,
        notes=notes,
    )


def fit_share(path: str | Path) -> None:
    """Train in a run folder that is there, as one of several processes that torchrun or we have started."""
    folder, config = RunFolder.open(path)
    place = _meet(config)
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if place.first and restarts != "0":
        remove_unfinished(folder.path)
        remark(console(), f"A process has died: all start again where they were ({restarts}).")
    _prepare_again(config, folder).fit(folder)


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


def _restarted(config: TrainConfig) -> tuple[RunFolder | None, TrainConfig]:
    """The run that torchrun has started again, and its settings, which all processes read; else these."""
    if config.out is None or os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return None, config
    folder = RunFolder(Path(config.out))
    return RunFolder.open(folder.path) if folder.config_file.exists() else (None, config)


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
    wanted = wanted_task(config)
    opened = open_data(
        config.data,
        task=wanted,
        masks=config,
        val_fraction=config.val_fraction,
        seed=config.seed,
        split_file=split_file,
    )
    if "model" not in config.model_fields_set and opened.medium is CLIPS:
        config = config.model_copy(update={"model": "swin3d_t"})
    task = "open_vocabulary" if wanted == "open_vocabulary" else opened.task
    check_owners(config, task, "the data are")
    if isinstance(opened, ObjectData) and not opened.teaches:
        raise DataError(f"No picture of train in {opened.root} has an object: where are they?")
    if isinstance(opened, MaskData) and len(opened.classes) < 2:
        raise DataError(f"{opened.root} has only the class {opened.classes[0]!r}, but 2 are needed.")
    config, mirroring = _unmirrored(config, opened)
    data = _readable(opened, mirroring)
    if resumed is None:
        config = scratch_config(config, task, len(data.splits["train"]))
    if isinstance(data, ObjectData) and config.shots is not None:
        few = few_of(data.splits["train"], len(data.classes), config.shots, config.seed)
        data = data.with_splits({**data.splits, "train": few}, data.notes)
    torch.manual_seed(config.seed)
    model = start_model(config, data, task)
    data = _with_range(model, data, config)
    plan = prepare(model, len(data.splits["train"]), config)
    if task == "contrastive" and plan.batches.whole < 2:
        raise ConfigError(
            "Captions are learnt by comparing pairs: give `batch_size` 2 at least, better hundreds."
        )
    return _Ready(config, opened, data, model, plan)


def _unmirrored(config: TrainConfig, data: Data) -> tuple[TrainConfig, list[str]]:
    """Switch mirroring off where it exchanges classes, unless the options ask for it; with a note."""
    sided = isinstance(data, ClassData) and data.sided
    reason = why_not_mirrored(data.classes, sided=sided)
    augmentation = config.augmentation
    if reason is None or not augmentation.hflip:
        return config, []
    if "hflip" in augmentation.model_fields_set:
        return config, [f"Images are mirrored as hflip={augmentation.hflip:g} says, but {reason}: give 0."]
    augmentation = augmentation.model_copy(update={"hflip": 0.0})
    note = f"Images are not mirrored in training (hflip=0): {reason}."
    return config.model_copy(update={"augmentation": augmentation}), [note]


def _with_range(model: Task, data: Data, config: TrainConfig) -> Data:
    """Give the model the value range of the training images, where it has none; notes on what they hold."""
    pre = model.preprocessing
    rule = ValueRule.of(pre)
    survey = survey_values(data.splits["train"], pre.channels, rule)
    as_stored = pre.channels not in (1, 3) and config.mean is not None and config.std is not None
    measured = rule if as_stored else measured_rule(survey, rule)
    if measured.value_range is not None and measured != rule:
        model.preprocessing = pre.with_range(measured.value_range, unbounded=True)
    splits: dict[str, Any] = dict(data.splits)
    return data.with_splits(splits, [*data.notes, *value_notes(survey, measured, "train")])


def _prepare_again(config: TrainConfig, resumed: RunFolder) -> _Ready:
    """Prepare a run that goes on; RunError for a folder whose files no run of ours has written so."""
    check_writable(resumed.path)
    try:
        return _prepare(config, resumed)
    except SwinkitError:
        raise
    except Exception as error:  # of any kind where somebody has changed the files
        raise RunError(
            f"{resumed.path} cannot be continued ({type(error).__name__}: {shortened(error)}): undo changes "
            "of its config.yaml and split.csv, or start a new run."
        ) from error


def _open_folder(ready: _Ready, resumed: RunFolder | None) -> RunFolder:
    """The run folder, with the split and the notes; made last, so that a mistake leaves no litter."""
    folder = resumed or RunFolder.create(ready.config)
    if resumed is not None:
        remove_unfinished(folder.path)
    if not folder.split_file.exists():  # a new run, or one that was killed before
        save_splits(ready.opened, folder.split_file)
    show_changes(ready.model.load_report)
    notes = [*ready.data.notes, *replaced_heads(ready.model)]
    if notes:
        write_text(folder.path / "notes.txt", "\n".join(notes) + "\n")
    print_notes(notes)
    return folder


def replaced_heads(model: Task) -> list[str]:
    """Return a sentence on the weights that the model's file did not hold, where there are any."""
    report = model.load_report
    return [report.sentence()] if report is not None and report.initialised else []


def _final_figures(best: Task, data: Data, config: TrainConfig, folder: RunFolder) -> dict[str, float]:
    """Figures of the best model on val and, as test_NAME, on test; pictures of the last of them."""
    options = EvaluateConfig(**config.model_dump(include={"device", "workers", "batch_size", "progress"}))
    figures: dict[str, float] = {}
    if isinstance(best, OpenVocabulary) and isinstance(data, ObjectData):
        best = best.limited(apart=data.by_frequency)
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


def _readable(data: Data, notes: Sequence[str]) -> Data:
    """The data without files whose header cannot be read; these become notes, beside those given.

    Raises DataError where none stays, or more are broken than a run may leave out. Of large data sets the
    headers are not read beforehand.
    """
    if "train" not in data.splits:
        have = ", ".join(data.splits)
        kinds = {"segment": "pictures and masks", "detect": "pictures and boxes"}
        add = f"a folder train of {kinds.get(data.task, 'class folders')}"
        add = "pairs whose split is train" if data.task == "contrastive" else add
        raise DataError(f"{data.root} has no part train, only {have}: add {add}.")
    if isinstance(data, ClassData | CaptionData):
        _check_shards(data)
    splits: dict[str, Any] = {}
    notes = [*data.notes, *notes]
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
            f"{data.root} leaves no {data.medium.noun} for validation: add some, or raise `val_fraction`."
        )
    return data.with_splits(splits, notes)


def _check_shards(data: ClassData | CaptionData) -> None:
    """Refuse tar files that have lost more than a run may leave out, or nobody knows how much."""
    total = sum(map(len, data.splits.values()))
    for damage in data.damaged:
        if damage.lost is None:
            raise DataError(damage.text)
    lost = sum(damage.lost or 0 for damage in data.damaged)
    if too_many(lost, total + lost):
        texts = [damage.text for damage in data.damaged]
        raise DataError(f"{lost} files of {data.root} are lost, more than 1 %: {listed(texts)}")


def _check_classes(data: ClassData, left: Samples, reason: str) -> None:
    """Refuse training where no file of a class is left."""
    count = len(data.classes)
    lost = (data.splits["train"].counts(count) > 0) & (left.counts(count) == 0)
    if lost.any():
        name = data.classes[int(lost.argmax())]
        raise DataError(f"No {data.medium.noun} of the class {name!r} in {data.root} can be read: {reason}")
