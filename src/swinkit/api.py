"""The whole Python API, verb by verb. The command line calls nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from torch import Tensor

from swinkit.config.base import merged, read_yaml
from swinkit.config.benchmark import BenchmarkConfig
from swinkit.config.common import Masks
from swinkit.config.evaluate import EvaluateConfig
from swinkit.config.mirrored_classes import without_flip
from swinkit.config.predict import EmbedConfig, PredictConfig
from swinkit.config.preprocessing import Clips
from swinkit.config.task_options import check_owners
from swinkit.config.train import TrainConfig
from swinkit.data.captions.open import CaptionData
from swinkit.data.classification.open import open_classes
from swinkit.data.detection.samples import ObjectData
from swinkit.data.io.in_memory import all_in_memory, is_single
from swinkit.data.io.media import find_inputs, medium_for
from swinkit.data.io.tar_integrity import refuse_unreadable
from swinkit.data.open import Data, open_data, open_to_check
from swinkit.data.segmentation.open import MaskData
from swinkit.data.stored_splits import find_split, source_of
from swinkit.errors import ConfigError, DataError, check_local
from swinkit.evaluation.run import TrainedOn, evaluate_model, pick_split
from swinkit.files import MADE_BY, check_outside, check_target, check_targets, check_writable, write_text
from swinkit.hardware import fit_threads, pick_device
from swinkit.inference.output import Names, without_ours
from swinkit.models.build import ModelLike, backbone, create, load, load_and_report
from swinkit.models.class_names import for_prediction
from swinkit.models.listing import model_tables
from swinkit.models.save import optimize, save, to_dialect
from swinkit.models.variants import VARIANTS
from swinkit.progress import console, print_notes, progress_bar
from swinkit.recipes import read_recipe
from swinkit.results import Result
from swinkit.tasks.base import InputLike, Task
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.weights.catalog import CATALOG

if TYPE_CHECKING:
    from swinkit.data.classification.check import DataReport
    from swinkit.training.plan import Outline
    from swinkit.training.run_folder import Run
    from swinkit.weights.store import LoadReport

__all__ = [
    "backbone",
    "benchmark",
    "calibrate",
    "check_data",
    "convert",
    "convert_data",
    "create",
    "dry_run",
    "embed",
    "evaluate",
    "inspect",
    "list_models",
    "load",
    "optimize",
    "predict",
    "save",
    "shard_data",
    "split_data",
    "to_dialect",
    "train",
]


def train(
    data: str | Path | None = None,
    *,
    config: str | Path | None = None,
    resume: str | Path | None = None,
    **options: Any,
) -> Run:
    """Train on a data set into a run folder, or resume one; options as in `TrainConfig`.

    `config` is the config.yaml of a run to repeat; options, and data where they are given, win.

    Raises ConfigError, DataError or WeightsError before anything is written, RunError where the run
    folder cannot be used, InterruptedRunError after Ctrl-C.
    """
    from swinkit.training.run import run_training
    from swinkit.training.run_folder import RunFolder

    if resume is not None:
        if data is not None or config is not None or options:
            raise ConfigError("A resumed run keeps its settings: give resume alone.")
        folder, settings = RunFolder.open(resume)
        return run_training(settings, folder)
    return run_training(_train_config(*_repeated(data, config, options)), None)


def _repeated(
    data: str | Path | None, config: str | Path | None, options: dict[str, Any]
) -> tuple[str | Path | None, dict[str, Any]]:
    """Data and options, over those of a run's config.yaml where one is named."""
    if config is None:
        return data, options
    earlier = {name: value for name, value in read_yaml(Path(config)).items() if name != "out"}
    settings = merged(earlier, options)
    source = settings.pop("data", None)
    return data or source, settings


def _train_config(data: str | Path | None, options: dict[str, Any]) -> TrainConfig:
    """Settings from options, over those of a recipe where one is named."""
    if data is None:
        raise ConfigError("Training needs data: give a folder of class folders or a CSV file.")
    check_local(data, DataError)
    if options.get("recipe") is not None:
        model = str(options.get("model", TrainConfig.model_fields["model"].default))
        recipe = read_recipe(str(options["recipe"]), model)
        for given, published in (("lr", "base_lr"), ("accumulate", "global_batch")):
            if options.get(given) is not None:  # two ways to say the same
                recipe.pop(published, None)
        options = merged(recipe, options)
    # absolute, so that a run says the same wherever it goes on
    return TrainConfig.checked({**options, "data": str(Path(data).resolve())})


def check_data(
    data: str | Path,
    *,
    task: str | None = None,
    in_chans: int = 3,
    clip: Clips | None = None,
    masks: Masks | None = None,
    progress: bool = True,
) -> DataReport:
    """Read every picture or clip of a data set: what is broken, what stands twice, how it is made up.

    A folder of images or clips without classes or annotations is checked too, with a note.

    `task` says what it is for where files do not tell, "video" for folders of frames; `clip` which frames the
    model will take; `masks` what values of masks mean.
    """
    from swinkit.data.classification.check import check_classes
    from swinkit.data.detection.check import check_objects
    from swinkit.data.segmentation.check import check_masks
    from swinkit.data.unlabelled import open_unlabelled

    check_local(data, DataError)
    opened: Data | None = open_unlabelled(data, task)
    if opened is None:
        opened = open_to_check(data, task=task, masks=masks, val_fraction=0, min_classes=1)
    print_notes(opened.notes)
    with progress_bar(console(), enabled=progress) as bar:
        step = bar.add_task("check", total=sum(map(len, opened.splits.values())), speed="")
        advance = partial(bar.advance, step)
        if isinstance(opened, MaskData):
            return check_masks(opened, channels=in_chans, advance=advance)
        if isinstance(opened, ObjectData):
            return check_objects(opened, channels=in_chans, advance=advance)
        if isinstance(opened, CaptionData):
            opened = opened.pictures()
        return check_classes(opened, channels=in_chans, clip=clip, advance=advance)


def shard_data(
    data: str | Path, out: str | Path, *, task: str | None = None, size: int = 1000, progress: bool = True
) -> list[Path]:
    """Write a data set as WebDataset shards of `size` files, parts apart; the paths of the shards.

    `task` as for `check_data`.
    """
    from swinkit.data.classification.shards import write_shards

    if size < 1:
        raise ConfigError(f"size={size}: give the number of images a shard, 1000 say.")
    check_outside(Path(out), Path(data))
    source, table = find_split(data) or (data, None)
    opened = open_classes(source, val_fraction=0, min_classes=1, medium=medium_for(task), split_file=table)
    refuse_unreadable(opened.damaged)
    print_notes(opened.notes)
    with progress_bar(console(), enabled=progress) as bar:
        step = bar.add_task("shard", total=sum(map(len, opened.splits.values())), speed="")
        return write_shards(opened, Path(out), size=size, advance=lambda count: bar.advance(step, count))


def convert_data(
    data: str | Path,
    out: str | Path,
    *,
    to: Literal["coco", "yolo", "voc", "csv"],
    link: bool = False,
    progress: bool = True,
) -> list[str]:
    """Write pictures with boxes in another form into a new folder; notes on what that form cannot say.

    Pictures are copied, or with `link` linked to.
    """
    from swinkit.data.detection.open import open_objects
    from swinkit.data.detection.writers import convert_objects

    source, table = find_split(data) or (data, None)
    opened = open_objects(source, val_fraction=0, split_file=table)
    print_notes(opened.notes)
    with progress_bar(console(), enabled=progress) as bar:
        step = bar.add_task("convert", total=sum(map(len, opened.splits.values())), speed="")
        return convert_objects(opened, Path(out), to, link=link, advance=partial(bar.advance, step))


def split_data(
    data: str | Path,
    out: str | Path,
    *,
    val: float | None = None,
    test: float | None = None,
    seed: int = 0,
    task: str | None = None,
    masks: Masks | None = None,
    overwrite: bool = False,
) -> dict[str, int]:
    """Draw splits of a data set of any kind into a folder that `train` and all others take as data.

    `val` and `test` are fractions of all files, by class where files have classes. None keeps a split that
    the data have; without one, 0.2 is drawn for val and nothing for test. Files of the same pixels are in
    one split. No image is copied. Returns how many samples each split has. Raises ConfigError for fractions
    that leave nothing to train on, DataError for data that cannot be split.
    """
    from swinkit.data.splitting import check_fractions, redraw, store
    from swinkit.data.stored_splits import make_split_folder

    check_fractions(val, test)
    source = Path(source_of(data))
    make_split_folder(Path(out), source, overwrite=overwrite)
    opened = open_data(data, task=task, masks=masks, val_fraction=0, min_classes=1)
    print_notes(opened.notes)
    with progress_bar(console()) as bar:
        step = bar.add_task("split", total=sum(map(len, opened.splits.values())), speed="")
        drawn = redraw(opened, val=val, test=test, seed=seed, advance=partial(bar.advance, step))
    print_notes(drawn.notes)
    store(drawn, source, Path(out))
    return {split: len(samples) for split, samples in drawn.splits.items()}


def evaluate(model: ModelLike, data: str | Path, **options: Any) -> dict[str, float]:
    """Figures of a model on a data set; options as in `EvaluateConfig`.

    Saved with pictures as evaluation.json in `out`, by default in the run folder that `model` names. Where
    the data are those of the model's run, its own split is used: no training picture counts.
    """
    return evaluate_in_full(model, data, **options)["metrics"]  # type: ignore[no-any-return]


def evaluate_in_full(model: ModelLike, data: str | Path, **options: Any) -> dict[str, Any]:
    """What evaluation.json holds: the figures as `metrics`, and the task's details, such as `per_class`."""
    config = EvaluateConfig.checked(options)
    check_local(data, DataError)
    task = model if isinstance(model, Task) else load_and_report(model)
    check_owners(config, task.name)
    name = "" if isinstance(model, Task) else str(model)
    return evaluate_model(task, data, config, name=name, run=_run_of(task, data, config.masks))


def _run_of(task: Task, data: str | Path, masks: Masks) -> TrainedOn | None:
    """The run folder that the model was loaded from, if any; its label map unless `masks` name another."""
    from swinkit.training.run_folder import RunFolder

    run = None if task.load_report is None else RunFolder.around(task.load_report.source)
    if run is None:
        return None
    if not run.trained_on(data):
        return TrainedOn(run.path, None, masks)
    if masks == Masks():
        masks = RunFolder.open(run.path)[1].masks
    return TrainedOn(run.path, run.split_file, masks)


def predict(
    model: ModelLike,
    paths: Any,
    out: str | Path | None = None,
    *,
    json: str | Path | None = None,
    csv: str | Path | None = None,
    **options: Any,
) -> Iterator[Result]:
    """Results for files, folders and patterns, one an input, in order; options as in `PredictConfig`.

    Images in memory are taken too, as in `Task.predict`: their results are called image_1, image_2 …

    A file that cannot be read gives a `Failure` and the others go on. With `out`, annotated pictures are
    written there. With `stream` a video gives a `Timeline` of its windows; in `out` then are a table, a film
    and a picture of it, written as it runs. A segmentation model takes videos too, frame by frame, and with
    `tile` pictures of any size. Raises at once where nothing is found or an option is wrong.

    `json` (.json or .jsonl) and `csv` are files of the results. They are written as results come, to a file
    NAME.part, and whatever ends the iteration, they hold the results up to there.
    """
    from swinkit.inference.predict import (
        answer_files,
        check_in_memory,
        check_inputs,
        inputs_of,
        predict_in_memory,
        set_up,
    )
    from swinkit.results import record, results_files

    config = PredictConfig.checked(options)
    files = results_files(json, csv, overwrite=config.overwrite)
    device = pick_device(config.device)
    fit_threads(device)
    task = model if isinstance(model, Task) else load_and_report(model)
    check_owners(config, task.name)
    task, config = for_prediction(task, config)
    task = set_up(task.to(device), config)
    config, unflipped = without_flip(config, task.result_names)
    print_notes([unflipped] if unflipped else [])
    paths = paths if is_single(paths) else list(paths)
    if all_in_memory(paths):
        check_in_memory(config)
        names = Names(Path(out), ()) if out is not None else None
        return record(predict_in_memory(task, task.split(paths), config, names), files)
    inputs = find_inputs(paths, inputs_of(task))
    check_inputs(inputs, config)
    if out is not None:
        inputs = without_ours(inputs, paths, Path(out))
    names = Names(Path(out), inputs) if out is not None else None
    return record(answer_files(task, inputs, config, names), files)


def convert(source: str | Path, out: str | Path, *, to: str, **options: Any) -> LoadReport:
    """Write a weights file in another dialect, or as our own (`to="safetensors"`); the report of its reading.

    Options (`classes`, `pool_scales`, `dilations`, `filter_sizes`, `overwrite`) and errors are those of
    `swinkit.models.convert.convert_file`.
    """
    from swinkit.models.convert import convert_file

    return convert_file(source, Path(out), to=to, **options)


def inspect(source: str | Path) -> dict[str, str]:
    """Return what a weights file or vocabulary is, as `swin inspect` shows it; WeightsError for others."""
    from swinkit.models.convert import describe_file
    from swinkit.tasks.open_vocab.vocabulary import describe_vocabulary

    return dict(describe_vocabulary(str(source)) or describe_file(source))


def benchmark(model: ModelLike, **options: Any) -> dict[str, Any]:
    """Latency, throughput and peak memory of a model, or of a variant; options as in `BenchmarkConfig`.

    `cells` holds one entry for each batch size, input size and way to compute: `latency_ms` (median over
    rounds, in which all ways take turns), its quartiles, `throughput` (inputs a second), `peak_memory` in
    bytes. With `out` also as benchmark.json, with a picture.
    """
    from swinkit.bench.model import benchmark_model, draw, turns

    config = BenchmarkConfig.checked(options)
    fresh = isinstance(model, str) and model in VARIANTS and model not in CATALOG
    task = model if isinstance(model, Task) else create(str(model)) if fresh else load_and_report(model)
    device = pick_device(config.device)
    fit_threads(device)
    task = task.to(device)
    out = None if config.out is None else check_writable(Path(config.out))
    if out is not None:
        check_targets(out, ("benchmark.json", "benchmark.png"), overwrite=config.overwrite)
    with progress_bar(console(), enabled=config.progress) as bar:
        step = bar.add_task("benchmark", total=turns(task, config), speed="")
        found = benchmark_model(task, config, advance=partial(bar.advance, step))
    name = task.name if isinstance(model, Task) else str(model)
    report = {"model": name, **found}
    if out is not None:
        write_text(out / "benchmark.json", json.dumps({"creator": MADE_BY, **report}, indent=2) + "\n")
        draw(report, out / "benchmark.png")
    return report


@overload
def embed(
    model: ModelLike, paths: InputLike | Iterable[InputLike], *, out: str | Path | None = None, **options: Any
) -> Tensor: ...


@overload
def embed(
    model: ModelLike,
    paths: None = None,
    *,
    names: Any = None,
    file: str | Path | None = None,
    like: Any = None,
    out: str | Path | None = None,
    **options: Any,
) -> Vocabulary: ...


def embed(
    model: ModelLike,
    paths: Any = None,
    *,
    names: Any = None,
    file: str | Path | None = None,
    like: Any = None,
    out: str | Path | None = None,
    **options: Any,
) -> Tensor | Vocabulary:
    """Vectors (N, D) of images, or a vocabulary of names and examples; options as in `EmbedConfig`.

    Images are what `predict` takes, in that order, for models that classify or compare images with texts.
    `names`, names in a `file` and examples (`like`) are as `OpenVocabulary.find` takes them, for models with
    queries. With `out` also a file. Raises InputError for a file that cannot be read.
    """
    from swinkit.evaluation.queries import embedded_queries
    from swinkit.inference.predict import embed_images

    config = EmbedConfig.checked(options)
    asked = names is not None or file is not None or like is not None
    if asked == (paths is not None):
        raise ConfigError("Say what to embed: images; or names, a file of them, or examples (`like`).")
    if out is not None:
        check_target(Path(out), ".safetensors", overwrite=config.overwrite)
    task = model if isinstance(model, Task) else load_and_report(model)
    if asked:
        made = embedded_queries(task, names, file, like, config)
        if out is not None:
            made.save(out, overwrite=config.overwrite)
        return made
    paths = paths if is_single(paths) else list(paths)
    called, vectors = embed_images(task, paths, config)
    if out is not None:
        Vocabulary(tuple(called), vectors).save(out, overwrite=config.overwrite)
    return vectors


def list_models(*words: str) -> list[str]:
    """Names of architectures and of published weights; with words those of which `swin models` shows all."""
    rows = [row for _, rows in model_tables(words).values() for row in rows]
    return list(dict.fromkeys(row[0] for row in rows))


def calibrate(
    model: ModelLike,
    data: str | Path,
    *,
    out: str | Path | None = None,
    vocabulary: str | Path | None = None,
    split: str | None = None,
    **options: Any,
) -> tuple[Vocabulary, set[str]]:
    """A vocabulary with the score from which each name counts, and the names of which the data tell it.

    By default that of the model's own classes; the score is that of the highest F1 on a part of the data. A
    name that is not in the data, or never found, keeps the model's; objects of other names do not count.
    Options as in `EvaluateConfig`.
    """
    from swinkit.evaluation.queries import calibrated, queried

    config = EvaluateConfig.checked(options)
    if out is not None:
        check_target(Path(out), ".safetensors", overwrite=config.overwrite)
    task = queried(
        model if isinstance(model, Task) else load_and_report(model), OpenVocabulary, config.device
    )
    known = task.own_vocabulary() if vocabulary is None else Vocabulary.load(vocabulary)
    opened = open_data(data, task=task.name, val_fraction=0)
    assert isinstance(opened, ObjectData)
    part = pick_split(opened, split or ("train" if opened.splits.get("train") else None))
    made, told = calibrated(task, known, opened, part, config)
    if out is not None:
        made.save(out, overwrite=config.overwrite)
    return made, told


def dry_run(data: str | Path | None = None, *, config: str | Path | None = None, **options: Any) -> Outline:
    """What `train` would do with the same options: task, splits, groups, schedule. Writes nothing."""
    from swinkit.training.run import outline_run

    return outline_run(_train_config(*_repeated(data, config, options)))
