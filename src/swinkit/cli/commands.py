"""The verbs of the command line, as `cli.VERBS` lists them: each parses, calls the API, prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from swinkit.cli.tables import Overwrite, say, screen, table
from swinkit.config.evaluate import EvaluateConfig
from swinkit.config.train import TrainOptions
from swinkit.errors import ConfigError

if TYPE_CHECKING:
    from swinkit.training.plan import Outline

Options = Parameter(name="*")
# of each class, where that is what counts
FIGURES = {"map": "average precision", "miou": "IoU", "mask_ap": "mask AP", "box_ap": "box AP"}
NOTHING = -1.0  # COCO's figure where there is nothing of a kind
SHOWN = 10  # classes that a dry run names
LONGEST = 100  # classes that are listed one by one


def train(
    data: Annotated[str | None, Parameter(help="Folder of classes, masks, boxes, captions; or CSV.")] = None,
    /,
    *,
    config: Annotated[Path | None, Parameter(help="config.yaml of a run to repeat; options win.")] = None,
    resume: Annotated[Path | None, Parameter(help="Run folder to continue.")] = None,
    dry_run: Annotated[
        bool,
        Parameter(help="Show task, splits, groups and schedule, and train nothing.", negative=""),
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
        if dry_run:
            _print_outline(swinkit.dry_run(data, config=config, **given))
            return
        run = swinkit.train(data, config=config, **given)
    if not run.metrics:  # of several processes the first one speaks
        return
    _print_figures(run.metrics)
    say(f"Run folder: {run.path}  (best.safetensors predicts; curves.png, predictions.png show)")


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
        screen.print(table(("class", figure), rows))
    _print_figures(report["metrics"])


def models(
    words: Annotated[list[str] | None, Parameter(help="Show only rows that hold all of these.")] = None,
    /,
) -> None:
    from swinkit.models.listing import model_tables

    tables = model_tables(words or ())
    for title, (head, rows) in tables.items():
        if rows:
            screen.print(table(head, rows, title=title))
    if not any(rows for _, rows in tables.values()):
        raise ConfigError(f"No model fits {' '.join(words or ())!r}: `swin models` without words lists all.")


def convert(
    source: Annotated[str, Parameter(help="Weights file or folder of any dialect, or a published name.")],
    out: Annotated[Path, Parameter(help="File to write; for huggingface, and best for timm, a folder.")],
    /,
    *,
    to: Annotated[str, Parameter(help="microsoft, openmmlab, timm, torchvision, huggingface, safetensors.")],
    classes: Annotated[
        tuple[str, ...],
        Parameter(help="Class names of a model whose classes are numbered, or a file of them."),
    ] = (),
    pool_scales: Annotated[
        list[int] | None,
        Parameter(help="Scales of the pooling of upernet or pspnet, in a file that does not tell them."),
    ] = None,
    dilations: Annotated[
        list[int] | None, Parameter(help="Dilations of deeplabv3plus, in a file that does not tell them.")
    ] = None,
    filter_sizes: Annotated[
        list[int] | None, Parameter(help="Filters of dmnet, in a file that does not tell them.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    import swinkit
    from swinkit.weights.store import show_report

    branches = {"pool_scales": pool_scales, "dilations": dilations, "filter_sizes": filter_sizes}
    report = swinkit.convert(source, out, to=to, classes=classes, overwrite=overwrite, **branches)
    show_report(screen, report)
    say(f"Written: {out}")


def inspect(
    source: Annotated[str, Parameter(help="Weights file or folder of any dialect, or a published name.")], /
) -> None:
    import swinkit

    screen.print(table(("", ""), swinkit.inspect(source).items()))


def demo(
    *,
    out: Annotated[Path, Parameter(help="Folder for data, run and pictures.")] = Path("demo"),
    epochs: Annotated[int | None, Parameter(help="Passes over the training images.")] = None,
) -> None:
    from swinkit.cli.demo import run_demo

    report = run_demo(out, epochs=epochs)
    say("Pictures to look at:")
    for path, what in report.pictures.items():
        say(f"  {path}  {what}")
    say(f"Model: {report.model}")
    say(f"top-1 {report.top1:.1f} %")


def _print_outline(plan: Outline) -> None:
    from swinkit.progress import print_notes
    from swinkit.visualize.terminal import block_chart

    print_notes(plan.notes)
    screen.print(table(("", ""), _facts(plan)))
    rows: list[tuple[object, ...]] = [
        (group.name, group.tensors, f"{group.parameters:,}", f"{group.lr:.3g}", f"{group.weight_decay:g}")
        for group in plan.groups
    ]
    if plan.frozen:
        rows.append(("frozen", "", f"{plan.frozen:,}", "", ""))
    screen.print(table(("group", "tensors", "parameters", "peak lr", "weight decay"), rows, title="Groups"))
    batches = plan.batches
    several = f" × {batches.world} processes" if batches.world > 1 else ""
    say(
        f"{batches.images} images; {batches.batch_size} a batch{several} × {batches.accumulate} accumulated "
        f"= {batches.step} a step; {batches.an_epoch} batches an epoch × {batches.epochs} epochs = "
        f"{batches.steps} steps, {plan.warmup} of them warm-up"
    )
    say(f"Learning rate of the head, 0 to {max(plan.rates):.3g}:")
    for line in block_chart(plan.rates):
        say(f"  {line}")


def _facts(plan: Outline) -> list[tuple[str, str]]:
    """Rows of a table: what would be trained, where, on what."""
    head, number = plan.head, len(plan.classes)
    if number:
        names = ", ".join(plan.classes[:SHOWN]) + (" …" if number > SHOWN else "")
        head += f", {number} class{'es' if number > 1 else ''}: {names}"
    splits = ", ".join(f"{name} {count}" for name, count in plan.splits.items())
    parameters = sum(group.parameters for group in plan.groups) + plan.frozen
    return [
        ("task", plan.task),
        ("model", f"{plan.model}, {parameters:,} parameters"),
        ("head", head),
        ("device", f"{plan.device}, precision {plan.precision}"),
        ("splits", splits),
    ]


def _print_figures(figures: dict[str, float]) -> None:
    shown = Table("figure", "value")
    for name, value in figures.items():
        number = "–" if value == NOTHING else f"{value:.2f} %"
        shown.add_row(name, f"{value:.0f}" if name.endswith("images") else number)
    screen.print(shown)
