"""The verbs of the command line, as `cli.VERBS` lists them: each parses, calls the API, prints."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swinkit.config import Clips, EvaluateConfig, Masks, PredictConfig, TrainOptions
from swinkit.errors import ConfigError
from swinkit.settings import merged, read_yaml

if TYPE_CHECKING:
    from swinkit.data.check_masks import MaskReport
    from swinkit.results import Result

Options = Parameter(name="*")
TaskName = Annotated[
    Literal["classify", "segment", "video"] | None,
    Parameter(help="What it is for, where the files do not tell."),
]
FIGURES = {"map": "average precision", "miou": "IoU"}  # of each class, where that is what counts
LONGEST = 100  # classes that are listed one by one
# in a file or a pipe a row stays on its line
screen = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
messages = Console(stderr=True)


def train(
    data: Annotated[str | None, Parameter(help="Folder of class folders, or CSV with path,label.")] = None,
    /,
    *,
    config: Annotated[Path | None, Parameter(help="config.yaml of a run to repeat; options win.")] = None,
    resume: Annotated[Path | None, Parameter(help="Run folder to continue.")] = None,
    dry_run: Annotated[
        bool, Parameter(help="Show groups, batches and schedule, and train nothing.", negative="")
    ] = False,
    options: Annotated[TrainOptions, Options] = TrainOptions(),  # noqa: B008, frozen
) -> None:
    import swinkit

    given = options.model_dump(exclude_unset=True)
    if resume is not None:
        if data is not None or given or config is not None or dry_run:
            raise ConfigError("A resumed run keeps its settings: give --resume alone.")
        run = swinkit.train(resume=resume)
    else:
        base = {} if config is None else {k: v for k, v in read_yaml(config).items() if k != "out"}
        settings = merged(base, given)
        source = data or settings.pop("data", None)
        settings.pop("data", None)
        if dry_run:
            _print_outline(source, settings)
            return
        run = swinkit.train(source, **settings)
    if not run.metrics:  # of several processes the first one speaks
        return
    _print_figures(run.metrics)
    _say(f"Run folder: {run.path}  (best.safetensors predicts; curves.png, predictions.png show)")


def evaluate(
    model: Annotated[str, Parameter(help="Run folder or weights file.")],
    data: Annotated[str, Parameter(help="Data as for training.")],
    /,
    *,
    options: Annotated[EvaluateConfig, Options] = EvaluateConfig(),  # noqa: B008, frozen
) -> None:
    from swinkit.api import evaluate_in_full

    report = evaluate_in_full(model, data, **options.model_dump(exclude_unset=True))
    per_class = report.get("per_class", {})
    if len(per_class) <= LONGEST:
        rows = [(name, "" if share is None else f"{share:.2f} %") for name, share in per_class.items()]
        figure = next((word for key, word in FIGURES.items() if key in report["metrics"]), "top1")
        screen.print(_table(("class", figure), rows))
    _print_figures(report["metrics"])


def predict(
    model: Annotated[str, Parameter(help="Run folder or weights file.")],
    paths: Annotated[list[str], Parameter(help="Pictures or videos, folders, patterns.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Folder for annotated pictures, tables and films.")] = None,
    json: Annotated[Path | None, Parameter(help="File for the results as JSON.")] = None,
    csv: Annotated[Path | None, Parameter(help="File for the results as CSV.")] = None,
    options: Annotated[PredictConfig, Options] = PredictConfig(),  # noqa: B008, frozen
) -> int:
    import swinkit
    from swinkit.progress import progress_bar
    from swinkit.results import Kept, write_csv, write_json

    results: list[Kept] = []
    answers = swinkit.predict(model, paths, out, **options.model_dump(exclude_unset=True))
    try:
        with progress_bar(messages, enabled=options.progress) as bar:
            step = bar.add_task("predict", total=None, speed="")
            for result in answers:
                results.append(Kept.of(result, written=json is not None or csv is not None))
                bar.advance(step)
    finally:  # what is answered is shown and kept, whatever comes between
        with ExitStack() as last:  # each of these happens, even if another fails
            if json is not None:
                last.callback(write_json, results, json)
            if csv is not None:
                last.callback(write_csv, results, csv)
            _print_results(results)
    failed = [result.failed for result in results]
    if out is not None and not all(failed):
        _say(f"Timelines: {out}" if options.stream else f"Annotated pictures: {out}")
    return int(any(failed))


def models(
    words: Annotated[list[str] | None, Parameter(help="Show only rows that hold all of these.")] = None,
    /,
) -> None:
    from swinkit.variants import VARIANTS
    from swinkit.weights.catalog import CATALOG

    built: list[tuple[str, ...]] = [
        (
            name,
            variant.task,
            "×".join(map(str, variant.config().input_size or ())),
            "×".join(map(str, variant.config().windows[0])),
            *_short(variant.params, variant.macs),
        )
        for name, variant in VARIANTS.items()
    ]
    published: list[tuple[str, ...]] = [
        (
            name,
            weights.task,
            weights.trained_on,
            "" if weights.metric is None else f"{weights.metric[0]} {weights.metric[1]}",
            *_short(*VARIANTS[weights.variant].cost(weights.classes)),
            weights.licence,
        )
        for name, weights in CATALOG.items()
    ]
    wanted = [word.lower() for word in words or ()]
    heads = {
        "Architectures": ("model", "task", "input", "window", "parameters", "MACs"),
        "Published weights": ("model", "task", "trained on", "figure", "parameters", "MACs", "licence"),
    }
    found = 0
    for (title, head), rows in zip(heads.items(), (built, published), strict=True):
        shown = [row for row in rows if all(word in " ".join(row).lower() for word in wanted)]
        found += len(shown)
        if shown:
            screen.print(_table(head, shown, title=title))
    if not found:
        raise ConfigError(f"No model fits {' '.join(words or ())!r}: `swin models` without words lists all.")
    _say("Parameters and MACs of published detectors are those of their backbone.")


def convert(
    source: Annotated[str, Parameter(help="Weights file or folder of any dialect, or a published name.")],
    out: Annotated[Path, Parameter(help="File to write; for huggingface a folder.")],
    /,
    *,
    to: Annotated[str, Parameter(help="microsoft, openmmlab, timm, torchvision, huggingface, safetensors.")],
) -> None:
    from swinkit.conversion import convert_file
    from swinkit.progress import show_report

    report = convert_file(source, out, to=to)
    show_report(screen, report)
    _say(f"Written: {out}")


def inspect(
    source: Annotated[str, Parameter(help="Weights file or folder of any dialect, or a published name.")], /
) -> None:
    from swinkit.conversion import describe_file

    screen.print(_table(("", ""), describe_file(source)))


def data_check(
    source: Annotated[str, Parameter(help="Folder of class folders, or CSV with path,label[,split].")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Contact sheet to write.")] = Path("data-check.png"),
    fix_list: Annotated[Path | None, Parameter(help="Write the files to drop, one a line.")] = None,
    task: TaskName = None,
    in_chans: Annotated[int, Parameter(help="Channels that the model will take.")] = 3,
    clip: Annotated[Clips, Options] = Clips(),  # noqa: B008, frozen
    masks: Annotated[Masks, Options] = Masks(),  # noqa: B008, frozen
) -> int:
    from swinkit.api import check_data
    from swinkit.data.check_masks import MaskReport
    from swinkit.explain.datasheet import draw_data
    from swinkit.explain.masksheet import draw_masks
    from swinkit.files import write_text

    report = check_data(source, task=task, in_chans=in_chans, clip=clip, masks=masks)
    noun = report.data.medium.noun
    splits = list(report.counts)
    rows: list[tuple[object, ...]] = [
        (label, name, *(report.counts[split][label] for split in splits))
        for label, name in enumerate(report.data.classes)
    ]
    if isinstance(report, MaskReport):
        screen.print(_table(("id", "class", *splits, "pixels"), _with_pixels(rows, report), title="Images"))
    else:
        rows.append(("", "all", *(sum(report.counts[split]) for split in splits)))
        screen.print(_table(("id", "class", *splits), rows, title=f"{noun.capitalize()}s"))
    screen.print(_table(("short side", f"{noun}s", ""), _size_rows(report.sizes), title="Sizes"))
    _say("Stored as " + ", ".join(f"{mode} ({count})" for mode, count in report.modes.items()))
    if report.lengths:
        shortest, middle, longest = min(report.lengths), median(report.lengths), max(report.lengths)
        _say(f"{shortest:.1f} to {longest:.1f} seconds long, {middle:.1f} in the middle")
    if report.label_ids is not None:
        _say(report.label_ids)
    kinds = Counter(problem.kind for problem in report.problems)
    if kinds:
        first = {problem.kind: problem for problem in reversed(report.problems)}
        found = [(kind, n, first[kind].line()) for kind, n in kinds.items()]
        screen.print(_table(("problem", "files", "the first"), found, title="Problems"))
        listed = out.with_name(f"{out.stem}-problems.txt")
        write_text(listed, "".join(f"{problem.kind}: {problem.line()}\n" for problem in report.problems))
        _say(f"All of them: {listed}")
    if isinstance(report, MaskReport):
        draw_masks(report, out)
    else:
        draw_data(report, out)
    _say(f"Contact sheet: {out}")
    if fix_list is not None:
        write_text(fix_list, "".join(f"{path}\n" for path in report.to_drop()))
        _say(f"Files to drop: {fix_list} ({len(report.to_drop())})")
    _say("Broken: mend it before training." if report.broken else "Nothing is broken.")
    return int(report.broken)


def _with_pixels(rows: list[tuple[object, ...]], report: MaskReport) -> list[tuple[object, ...]]:
    """Rows of classes with their share of all pixels, and what the pictures hold besides."""
    total = [sum(counts) for counts in zip(*report.pixels.values(), strict=True)]
    shares = [f"{count / max(1, sum(total)):.2%}" for count in total]
    images = [len(pairs) for pairs in report.data.splits.values()]
    empty = [""] * len(images)
    return [
        *((*row, share) for row, share in zip(rows, shares, strict=False)),
        ("", "ignored", *empty, shares[-1]),
        ("", "all images", *images, ""),
    ]


def data_shard(
    source: Annotated[str, Parameter(help="Data as for training.")],
    out: Annotated[Path, Parameter(help="Folder for the shards.")],
    /,
    *,
    task: TaskName = None,
    size: Annotated[int, Parameter(help="Files a shard.")] = 1000,
) -> None:
    from swinkit.api import shard_data

    written = shard_data(source, out, task=task, size=size)
    _say(f"{len(written)} shards: {written[0]} …  (`swin train {out}` reads them in place)")


def compare_segmentation(
    rows: Annotated[list[str] | None, Parameter(help="Rows to compare; by default all.")] = None,
    /,
    *,
    rounds: Annotated[int, Parameter(help="Times that each row is timed; 0: count only.")] = 3,
    batch_size: Annotated[int, Parameter(help="Images at once.")] = 1,
    device: Annotated[str, Parameter(help="cpu, cuda, cuda:N, mps, or auto.")] = "auto",
    json: Annotated[Path | None, Parameter(help="File for the figures as JSON.")] = None,
) -> None:
    from swinkit.bench.segmentation import chosen, count, figures, measure
    from swinkit.files import write_text
    from swinkit.hardware import pick_device
    from swinkit.progress import progress_bar

    place = pick_device(device)
    found = [count(name, row) for name, row in chosen(rows or ()).items()]
    with progress_bar(messages) as bar:
        step = bar.add_task("compare", total=rounds * len(found), speed="")
        measure(found, place, rounds=rounds, batch_size=batch_size, advance=lambda: bar.advance(step))
    head = ("model", "parameters", "published", "MACs", "published", "images/s", "mIoU, published")
    screen.print(_table(head, [entry.cells() for entry in found], title="ADE20K, 512²"))
    _say(
        "MACs by torch.utils.flop_counter, FLOPs / 2; other counters leave out what attention multiplies. "
        f"Images a second: batch {batch_size} on {place}, median of {rounds} rounds through all rows."
    )
    if json is not None:
        write_text(json, figures(found))


def _size_rows(sizes: Sequence[tuple[int, int]]) -> list[tuple[object, ...]]:
    """How many files have a short side below each limit, with bars."""
    limits = (32, 64, 128, 224, 384, 768, 1536)
    counts = Counter(sum(min(size) >= limit for limit in limits) for size in sizes)
    names = ["below 32", *(f"{a} to {b - 1}" for a, b in pairwise(limits)), f"{limits[-1]} and more"]
    most = max(counts.values(), default=1)
    return [(names[i], counts[i], "█" * round(40 * counts[i] / most)) for i in sorted(counts)]


def demo(
    *,
    out: Annotated[Path, Parameter(help="Folder for data, run and pictures.")] = Path("demo"),
    epochs: Annotated[int | None, Parameter(help="Passes over the training images.")] = None,
) -> None:
    from swinkit.demo import run_demo

    report = run_demo(out, epochs=epochs)
    _say("Pictures to look at:")
    for path, what in report.pictures.items():
        _say(f"  {path}  {what}")
    _say(f"Model: {report.model}")
    _say(f"top-1 {report.top1:.1f} %")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """Rows as text; nothing in them is markup."""
    table = Table(*head, title=title, show_header=any(head))
    table.columns[0].no_wrap = True  # half a name is none
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def _short(params: int, macs: int) -> tuple[str, str]:
    """Parameters and MACs for a table."""
    return f"{params / 1e6:.1f} M", f"{macs / 1e9:.2f} G" if macs >= 1e9 else f"{macs / 1e6:.0f} M"


def _say(line: str) -> None:
    screen.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_outline(data: str | None, settings: dict[str, Any]) -> None:
    from swinkit.api import outline_training
    from swinkit.explain.terminal import block_chart

    plan = outline_training(data, **settings)
    rows: list[tuple[object, ...]] = [
        (group.name, group.tensors, f"{group.parameters:,}", f"{group.lr:.3g}", f"{group.weight_decay:g}")
        for group in plan.groups
    ]
    if plan.frozen:
        rows.append(("frozen", "", f"{plan.frozen:,}", "", ""))
    screen.print(_table(("group", "tensors", "parameters", "peak lr", "weight decay"), rows, title="Groups"))
    batches = plan.batches
    several = f" × {batches.world} processes" if batches.world > 1 else ""
    _say(
        f"{batches.images} images; {batches.batch_size} a batch{several} × {batches.accumulate} accumulated "
        f"= {batches.step} a step; {batches.an_epoch} batches an epoch × {batches.epochs} epochs = "
        f"{batches.steps} steps, {plan.warmup} of them warm-up"
    )
    _say(f"Learning rate of the head, 0 to {max(plan.rates):.3g}:")
    for line in block_chart(plan.rates):
        _say(f"  {line}")


def _print_figures(figures: dict[str, float]) -> None:
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:.0f}" if name.endswith("images") else f"{value:.2f} %")
    screen.print(table)


def _print_results(results: Sequence[Result]) -> None:
    table = Table("input", "answer", "score")
    for result in results:
        for i, (name, score) in enumerate(result.lines()):
            table.add_row(Text(result.path if i == 0 else ""), Text(name), score)
    screen.print(table)
