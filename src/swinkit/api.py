"""The whole Python API, verb by verb. The command line calls nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from rich.console import Console
from torch import Tensor

from swinkit.config import EvaluateConfig, PredictConfig, TrainConfig, merged
from swinkit.core.backbone import SwinBackbone
from swinkit.data.batching import check_headers, make_loader
from swinkit.data.folders import ClassData, open_classes, save_split
from swinkit.data.reading import find_images
from swinkit.errors import ConfigError, DataError, RunError
from swinkit.explain.annotate import Annotator
from swinkit.files import check_writable, remove_unfinished, write_text
from swinkit.hardware import pick_batch_size, pick_device, pick_workers
from swinkit.models import backbone, create, load
from swinkit.progress import progress_bar, remark, show_report
from swinkit.recipes import read_recipe
from swinkit.results import Failure, Result
from swinkit.tasks.base import Task
from swinkit.variants import VARIANTS
from swinkit.weights.store import file_names
from swinkit.weights.writing import spell

if TYPE_CHECKING:
    from swinkit.data.check import DataReport
    from swinkit.engine.outline import Outline
    from swinkit.engine.run import Run, RunFolder
    from swinkit.engine.train import Plan

__all__ = ["backbone", "create", "evaluate", "load", "predict", "save", "to_dialect", "train"]

ModelLike = Task | str | Path


def save(model: Task, path: str | Path) -> Path:
    """Write a model as one self-describing safetensors file; RunError where it cannot be written."""
    if not isinstance(model, Task):
        raise ConfigError(
            f"A {type(model).__name__} is no whole model: swinkit.to_dialect gives its tensors."
        )
    model.save(path)
    return Path(path)


def to_dialect(model: Task | SwinBackbone, dialect: str) -> dict[str, Tensor]:
    """State dict under another ecosystem's names: microsoft, openmmlab, timm, torchvision, huggingface.

    Raises ConfigError for a model that the other code cannot build, or would compute otherwise.
    """
    if not isinstance(model, Task | SwinBackbone):
        raise ConfigError(f"A {type(model).__name__} is no model of swinkit: load one.")
    if isinstance(model, SwinBackbone):
        return spell(model.state_dict(), model.config, dialect, dense=model.norms == "each")
    return spell(file_names(model.state_dict()), model.backbone.config, dialect)


def train(data: str | Path | None = None, *, resume: str | Path | None = None, **options: Any) -> Run:
    """Train on a data set into a run folder, or resume one; options as in `TrainConfig`.

    Raises ConfigError, DataError or WeightsError before anything is written, RunError where the run
    folder cannot be used, InterruptedRunError after Ctrl-C.
    """
    from swinkit.engine.run import RunFolder

    if resume is not None:
        if data is not None or options:
            raise ConfigError("A resumed run keeps its settings: give resume alone.")
        folder, config = RunFolder.open(resume)
        return _train(config, folder)
    return _train(_train_config(data, options), None)


def _train_config(data: str | Path | None, options: dict[str, Any]) -> TrainConfig:
    """Settings from options, over those of a recipe where one is named."""
    if data is None:
        raise ConfigError("Training needs data: give a folder of class folders or a CSV file.")
    if options.get("recipe") is not None:
        model = str(options.get("model", TrainConfig.model_fields["model"].default))
        recipe = read_recipe(str(options["recipe"]), model)
        for given, published in (("lr", "base_lr"), ("accumulate", "global_batch")):
            if options.get(given) is not None:  # two ways to say the same
                recipe.pop(published, None)
        options = merged(recipe, options)
    return TrainConfig.checked({**options, "data": str(data)})


def check_data(data: str | Path, *, progress: bool = True) -> DataReport:
    """Read every picture of a data set: what is broken, what stands twice, how it is made up."""
    from swinkit.data.check import check_classes

    opened = open_classes(data, val_fraction=0, min_classes=1)
    _print_notes(opened.notes)
    with progress_bar(_console(), enabled=progress) as bar:
        step = bar.add_task("check", total=sum(map(len, opened.splits.values())), speed="")
        return check_classes(opened, advance=lambda count: bar.advance(step, count))


def evaluate(model: ModelLike, data: str | Path, **options: Any) -> dict[str, float]:
    """Figures of a model on a data set; options as in `EvaluateConfig`.

    Saved with pictures as evaluation.json in `out`, by default in the run folder that `model` names. Where
    the data are those of the model's run, its own split is used: no training picture counts.
    """
    return evaluate_in_full(model, data, **options)["metrics"]  # type: ignore[no-any-return]


def evaluate_in_full(model: ModelLike, data: str | Path, **options: Any) -> dict[str, Any]:
    """What evaluation.json holds: the figures as `metrics`, and the task's details, such as `per_class`."""
    from swinkit.engine.evaluate import evaluate_split
    from swinkit.engine.run import RunFolder

    config = EvaluateConfig.checked(options)
    task = model if isinstance(model, Task) else _load(model)
    run = None if task.load_report is None else RunFolder.around(task.load_report.source)
    split_file = run.split_file if run and run.trained_on(data) else None
    opened = open_classes(data, val_fraction=0, classes=task.classes, split_file=split_file)
    split = _pick_split(opened, config.split)
    _print_notes(opened.notes)
    out = _place(config.out, run.path if run and not isinstance(model, Task) else None)
    source = {
        "data": str(data),
        "split": split,
        "model": "" if isinstance(model, Task) else str(model),
        "crops": config.crops,
        "flip": config.flip,
    }
    return evaluate_split(task, opened.splits[split], config, out=out, source=source, console=_console())


def _place(wanted: str | None, usual: Path | None) -> Path | None:
    """Where figures are saved; RunError where that is wanted and cannot be."""
    if wanted is not None:
        return check_writable(Path(wanted))
    try:
        return None if usual is None else check_writable(usual)
    except RunError as error:  # a colleague's run folder, say
        remark(_console(), f"The figures are shown, but not saved. {error}")
        return None


def predict(
    model: ModelLike, paths: str | Path | Iterable[str | Path], out: str | Path | None = None, **options: Any
) -> Iterator[Result]:
    """Results for files, folders and patterns, one an input, in order; options as in `PredictConfig`.

    A file that cannot be read gives a `Failure` and the others go on. With `out`, annotated pictures are
    written there. Raises at once where nothing is found or an option is wrong.
    """
    config = PredictConfig.checked(options)
    files = find_images(paths)
    device = pick_device(config.device)
    task = model if isinstance(model, Task) else _load(model)
    if "topk" in config.model_fields_set:
        task.set_test_limits(topk=config.topk)
    annotator = Annotator(Path(out), files) if out is not None else None
    return _predict(task.to(device), files, config, annotator)


def _load(source: str | Path) -> Task:
    """Load a model, and show what became of the weights unless all of them were taken as they are."""
    model = load(source)
    _show_report(model)
    return model


def _show_report(model: Task) -> None:
    if model.load_report is not None and len(model.load_report.rows()) > 1:
        show_report(_console(), model.load_report)


def _predict(
    task: Task, files: list[Path], config: PredictConfig, annotator: Annotator | None
) -> Iterator[Result]:
    dataset = task.dataset(files)
    size = pick_batch_size(config.batch_size, size=task.preprocessing.size, device=task.device)
    workers = pick_workers(config.workers, images=len(files), device=task.device)
    remaining = iter(files)
    for batch in make_loader(dataset, batch_size=size, shuffle=False, workers=workers, seed=0):
        answers = {result.path: result for result in task.answer(batch)} if len(batch) else {}
        errors = iter(batch.unreadable)
        for path in islice(remaining, len(batch) + len(batch.unreadable)):
            result = answers.get(str(path)) or Failure(str(path), next(errors))
            if annotator is not None:
                annotator.write(result)
            yield result


def outline_training(data: str | Path | None, **options: Any) -> Outline:
    """What `train` would do with the same options: groups, batches, schedule. Writes nothing."""
    from swinkit.engine.outline import outline

    config = _train_config(data, options)
    _, model, chosen = _prepare(config, None)
    return outline(model, chosen.batches, config, from_scratch=model.load_report is None)


def _prepare(config: TrainConfig, resumed: RunFolder | None) -> tuple[_Opened, Task, Plan]:
    """Data, model, and what was chosen for this machine; nothing is written."""
    from swinkit.engine.train import prepare

    pick_device(config.device)  # a device that is not there shall not cost a scan of the data
    split_file = resumed.split_file if resumed else None
    opened = open_classes(
        config.data, val_fraction=config.val_fraction, seed=config.seed, split_file=split_file
    )
    data = _readable(opened)
    torch.manual_seed(config.seed)
    model = start_model(config, data.classes)
    return _Opened(opened, data), model, prepare(model, len(data.splits["train"]), config)


class _Opened(NamedTuple):
    """A data set as it lies there, and without files that cannot be read."""

    whole: ClassData
    readable: ClassData


def _train(config: TrainConfig, resumed: RunFolder | None) -> Run:
    """Open data and model, then fit; the run folder is made last, so that a mistake leaves no litter."""
    from swinkit.engine.run import Run, RunFolder
    from swinkit.engine.train import fit

    (opened, data), model, chosen = _prepare(config, resumed)
    folder = resumed or RunFolder.create(config)
    if resumed is None:
        save_split(opened, folder.split_file)
    else:
        remove_unfinished(folder.path)
    report = model.load_report
    replaced = [report.sentence()] if report is not None and report.initialised else []
    _show_report(model)
    notes = [*data.notes, *replaced]
    if notes:
        write_text(folder.path / "notes.txt", "\n".join(notes) + "\n")
    _print_notes(notes)
    fit(model, data.splits, config, folder, chosen=chosen, console=_console())
    best = load(folder.path)
    return Run(folder.path, best, _final_figures(best, data, config, folder))


def _final_figures(best: Task, data: ClassData, config: TrainConfig, folder: RunFolder) -> dict[str, float]:
    """Figures of the best model on val and, as test_NAME, on test; pictures of the last of them."""
    from swinkit.engine.evaluate import evaluate_split

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
            console=_console(),
        )
        figures |= {f"{prefix}{name}": value for name, value in values["metrics"].items()}
    return figures


def start_model(config: TrainConfig, classes: tuple[str, ...]) -> Task:
    """The model that training starts from: a variant with random weights, or a file."""
    if config.model in VARIANTS:
        rate = 0.1 if config.drop_path is None else config.drop_path
        return create(config.model, classes=classes, drop_path=rate, **_given(config, "img_size", "window"))
    return load(config.model, classes=classes, **_given(config, "img_size", "window", "drop_path"))


def _given(config: TrainConfig, *names: str) -> dict[str, Any]:
    """Those of the options that have a value."""
    return {name: value for name in names if (value := getattr(config, name)) is not None}


def _readable(data: ClassData) -> ClassData:
    """The data without files whose header cannot be read; these become notes. DataError where none stays."""
    if "train" not in data.splits:
        have = ", ".join(data.splits)
        raise DataError(f"{data.root} has no part train, only {have}: add a folder train of class folders.")
    splits, notes = {}, list(data.notes)
    for split, samples in data.splits.items():
        good, messages = check_headers(samples)
        if not good:
            raise DataError(f"No image of {split} in {data.root} can be read: {messages[0]}")
        lost = {sample.label for sample in samples} - {sample.label for sample in good}
        if lost and split == "train":
            name = data.classes[min(lost)]
            raise DataError(f"No image of the class {name!r} in {data.root} can be read: {messages[0]}")
        splits[split] = tuple(good)
        notes += messages
    if "val" not in splits:
        raise DataError(f"{data.root} leaves no image for validation: add images, or raise val_fraction.")
    return replace(data, splits=splits, notes=tuple(notes))


def _pick_split(data: ClassData, wanted: str | None) -> str:
    """The part to evaluate: as wanted, else val, else test, else all there is."""
    order = (wanted,) if wanted else ("val", "test", "train")
    for split in order:
        if data.splits.get(split):
            return split
    have = ", ".join(data.splits)
    raise DataError(f"{data.root} has no part {wanted!r}: it has {have}.")


def _print_notes(notes: Sequence[str], limit: int = 20) -> None:
    more = [f"{len(notes) - limit} more notes of this kind."] if len(notes) > limit else []
    for note in [*notes[:limit], *more]:
        remark(_console(), f"Note: {note}")


def _console() -> Console:
    return Console(stderr=True)
