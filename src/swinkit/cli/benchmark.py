"""The verbs that measure: published tables, row by row, and how cost grows with the picture."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Annotated

from cyclopts import Parameter

from swinkit.cli.tables import Overwrite, messages, say, screen, table
from swinkit.config.benchmark import BenchmarkConfig
from swinkit.errors import ConfigError
from swinkit.files import check_target, write_text
from swinkit.hardware import pick_device
from swinkit.progress import progress_bar

Rows = Annotated[list[str] | None, Parameter(help="Rows to compare; by default all.")]
Rounds = Annotated[int, Parameter(help="Times that each row is timed; 0: count only.")]
Batch = Annotated[int, Parameter(help="Images at once.")]
Device = Annotated[str, Parameter(help="cpu, cuda, cuda:N, mps, or auto.")]
Json = Annotated[Path | None, Parameter(help="File for the figures as JSON.")]


def benchmark(
    model: Annotated[str, Parameter(help="Variant (random weights), published name, run folder or file.")],
    /,
    *,
    options: Annotated[BenchmarkConfig, Parameter(name="*")] = BenchmarkConfig(),  # noqa: B008, frozen
) -> None:
    import swinkit
    from swinkit.bench.machine import in_words
    from swinkit.bench.model import HEAD, lines

    report = swinkit.benchmark(model, **options.model_dump(exclude_unset=True))
    screen.print(table(HEAD, lines(report), title=model))
    macs = ", ".join(f"{count / 1e9:.2f} GMAC at {size}" for size, count in report["macs"].items())
    say(f"{report['parameters'] / 1e6:.1f} M parameters; {macs} (torch.utils.flop_counter, FLOPs / 2).")
    say(f"On {report['device']}; {in_words(report['machine'])}")


def compare_classification(
    rows: Rows = None,
    /,
    *,
    rounds: Rounds = 3,
    batch_size: Batch = 1,
    device: Device = "auto",
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    from swinkit.bench import classification

    _check_json(json, overwrite=overwrite)
    _compare(classification, "ImageNet-1K", "top1", rows, rounds, batch_size, device, json)


def compare_segmentation(
    rows: Rows = None,
    /,
    *,
    rounds: Rounds = 3,
    batch_size: Batch = 1,
    device: Device = "auto",
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    from swinkit.bench import segmentation

    _check_json(json, overwrite=overwrite)
    _compare(segmentation, "ADE20K, 512²", "miou", rows, rounds, batch_size, device, json)


def _check_json(json: Path | None, *, overwrite: bool) -> None:
    if json is not None:
        check_target(json, ".json", overwrite=overwrite)


def _compare(
    published: ModuleType,
    title: str,
    figure: str,
    rows: list[str] | None,
    rounds: int,
    batch_size: int,
    device: str,
    json: Path | None,
) -> None:
    """Count, time and show the rows of a published table."""
    from swinkit.bench.rows import chosen, count, figures, measure

    place = pick_device(device)
    found = [count(name, row) for name, row in chosen(rows or (), published.ROWS).items()]
    with progress_bar(messages) as bar:
        step = bar.add_task("compare", total=rounds * len(found), speed="")
        measure(found, place, rounds=rounds, batch_size=batch_size, advance=lambda: bar.advance(step))
    screen.print(table(published.HEAD, published.cells(found), title=title))
    say(
        "MACs by torch.utils.flop_counter, FLOPs / 2; other counters leave out what attention multiplies. "
        f"Images a second: batch {batch_size} on {place}, median of {rounds} rounds through all rows."
    )
    if json is not None:
        write_text(json, figures(found, figure))


def compare_scaling(
    *,
    sizes: Annotated[
        list[int] | None, Parameter(help="Sides of the picture; by default 224 to 1792 by 224.")
    ] = None,
    rounds: Annotated[int, Parameter(help="Times that each is timed.")] = 3,
    device: Device = "auto",
    out: Annotated[Path | None, Parameter(help="File for the picture, .png.")] = None,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    from swinkit.bench import scaling

    place = pick_device(device)
    if out is not None and out.suffix.lower() != ".png":
        raise ConfigError(f"{out} is the name of no picture: give one that ends in .png.")
    if out is not None:
        check_target(out, ".png", overwrite=overwrite)
    _check_json(json, overwrite=overwrite)
    wanted = sizes or scaling.SIZES
    with progress_bar(messages) as bar:
        step = bar.add_task("compare", total=2 * (rounds + 1) * len(wanted), speed="")
        points = scaling.measure(wanted, place, rounds=rounds, advance=lambda: bar.advance(step))
    screen.print(table(scaling.HEAD, scaling.cells(points), title="One picture, by its side"))
    say(
        f"On {place}, median of {rounds} rounds in turns. The formulas' times begin at the first size's. "
        "Memory is the most that the process (on a GPU: torch) held."
    )
    if out is not None:
        scaling.draw(points, out)
        say(f"Picture: {out}")
    if json is not None:
        write_text(json, scaling.figures(points))
