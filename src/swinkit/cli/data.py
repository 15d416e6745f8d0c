"""The verbs of `swin data`: look at data sets before training on them, and pack them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from swinkit.cli.tables import Overwrite, say, screen, table
from swinkit.config.common import Masks
from swinkit.config.preprocessing import Clips
from swinkit.errors import ConfigError

if TYPE_CHECKING:
    from swinkit.data.classification.check import DataReport
    from swinkit.data.detection.check import ObjectReport
    from swinkit.data.segmentation.check import MaskReport

Options = Parameter(name="*")
TaskName = Annotated[
    Literal["classify", "segment", "detect", "video", "open_vocabulary", "contrastive"] | None,
    Parameter(help="What it is for, where the files do not tell."),
]


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
    overwrite: Overwrite = False,
) -> int:
    """Read every picture, mask or clip; 1 where something must be mended before training."""
    from swinkit.api import check_data
    from swinkit.data.detection.check import ObjectReport
    from swinkit.data.io.value_range import ValueRule
    from swinkit.data.segmentation.check import MaskReport
    from swinkit.data.survey import value_notes
    from swinkit.files import check_target, is_ours, write_text
    from swinkit.visualize.data_sheet import draw_data
    from swinkit.visualize.detection_sheet import draw_objects
    from swinkit.visualize.mask_sheet import draw_masks

    check_target(out, ".png", overwrite=overwrite)
    listed = out.with_name(f"{out.stem}-problems.txt")
    if not is_ours(out):  # lines of text have no place for a mark: beside our sheet the list is ours too
        check_target(listed, overwrite=overwrite)
    if fix_list is not None:
        check_target(fix_list, ".txt", ".lst", "", overwrite=overwrite)
    report = check_data(source, task=task, in_chans=in_chans, clip=clip, masks=masks)
    _refuse_samples((out, listed, fix_list), report)
    noun = report.data.medium.noun
    splits = list(report.counts)
    rows: list[tuple[object, ...]] = [
        (label, name, *(report.counts[split][label] for split in splits))
        for label, name in enumerate(report.data.classes)
    ]
    if isinstance(report, ObjectReport):
        screen.print(table(("id", "class", *splits), [*rows, *_of_pictures(report)], title="Objects"))
    elif isinstance(report, MaskReport):
        screen.print(table(("id", "class", *splits, "pixels"), _with_pixels(rows, report), title="Images"))
    else:
        rows.append(("", "all", *(sum(report.counts[split]) for split in splits)))
        screen.print(table(("id", "class", *splits), rows, title=f"{noun.capitalize()}s"))
    screen.print(table(("short side", f"{noun}s", ""), _size_rows(report.sizes), title="Sizes"))
    say("Stored as " + ", ".join(f"{mode} ({count})" for mode, count in report.modes.items()))
    for note in value_notes(report.values, ValueRule(), "the data"):
        say(note)
    if report.lengths:
        shortest, middle, longest = min(report.lengths), median(report.lengths), max(report.lengths)
        say(f"{shortest:.1f} to {longest:.1f} seconds long, {middle:.1f} in the middle")
    if report.label_ids is not None:
        say(report.label_ids)
    kinds = Counter(problem.kind for problem in report.problems)
    if kinds:
        first = {problem.kind: problem for problem in reversed(report.problems)}
        found = [(kind, n, first[kind].line()) for kind, n in kinds.items()]
        screen.print(table(("problem", "files", "the first"), found, title="Problems"))
        write_text(listed, "".join(f"{problem.kind}: {problem.line()}\n" for problem in report.problems))
        say(f"All of them: {listed}")
    if isinstance(report, ObjectReport):
        draw_objects(report, out)
    elif isinstance(report, MaskReport):
        draw_masks(report, out)
    else:
        draw_data(report, out)
    say(f"Contact sheet: {out}")
    if fix_list is not None:
        lines = "".join(f"{path}\n" for path in report.to_drop())
        write_text(fix_list, lines, errors="surrogateescape")
        say(f"Files to drop: {fix_list} ({len(report.to_drop())})")
    say("Broken: mend it before training." if report.broken else "Nothing is broken.")
    return int(report.broken)


def _refuse_samples(targets: Sequence[Path | None], report: DataReport) -> None:
    """Refuse to write over a file of the data set: that swinkit has drawn it does not make it replaceable."""
    existing = {target.resolve(): target for target in targets if target is not None and target.exists()}
    if not existing:
        return
    for samples in report.data.splits.values():
        for sample in samples:
            for name in ("path", "image", "mask"):
                file = getattr(sample, name, None)
                target = None if file is None else existing.get(file.resolve())
                if target is not None:
                    raise ConfigError(f"{target} is a file of the data set: give another name.")


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


def _of_pictures(report: ObjectReport) -> list[tuple[object, ...]]:
    """How many objects there are in all, in how many pictures, and in how many there are none."""
    pictures = report.pictures.values()
    return [
        ("", "all", *map(sum, report.counts.values())),
        ("", "images", *(count for count, _ in pictures)),
        ("", "images without objects", *(empty for _, empty in pictures)),
    ]


def data_shard(
    source: Annotated[str, Parameter(help="Data as for training.")],
    out: Annotated[Path, Parameter(help="Folder for the shards.")],
    /,
    *,
    task: TaskName = None,
    size: Annotated[int, Parameter(help="Files a shard.")] = 1000,
) -> None:
    """Write tar files of many pictures each."""
    from swinkit.api import shard_data

    written = shard_data(source, out, task=task, size=size)
    say(f"{len(written)} shards: {written[0]} …  (`swin train {out}` reads them in place)")


def data_split(
    source: Annotated[str, Parameter(help="Data as for training.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder for the split, outside of the data.")],
    val: Annotated[
        float | None,
        Parameter(help="Fraction for validation. Default: keep the data's own, else 0.2."),
    ] = None,
    test: Annotated[
        float | None, Parameter(help="Fraction for test. Default: keep the data's own, else none.")
    ] = None,
    seed: Annotated[int, Parameter(help="Another seed draws other files.")] = 0,
    task: TaskName = None,
    masks: Annotated[Masks, Options] = Masks(),  # noqa: B008, frozen
    overwrite: Overwrite = False,
) -> None:
    """Draw splits, by class where files have classes; files of the same pixels stay together."""
    from swinkit.api import split_data

    counts = split_data(
        source, out, val=val, test=test, seed=seed, task=task, masks=masks, overwrite=overwrite
    )
    said = ", ".join(f"{split} {count}" for split, count in counts.items())
    say(f"{said}: {out}  (`swin train {out}` uses it)")


def data_convert(
    source: Annotated[str, Parameter(help="Pictures with boxes in any form that training takes.")],
    out: Annotated[Path, Parameter(help="Folder for the new data set; must not hold anything.")],
    /,
    *,
    to: Annotated[Literal["coco", "yolo", "voc", "csv"], Parameter(help="The form to write.")],
    link: Annotated[bool, Parameter(help="Link to the pictures instead of copying them.")] = False,
) -> None:
    """Write pictures with boxes in another form."""
    from swinkit.api import convert_data

    for note in convert_data(source, out, to=to, link=link):
        say(note)
    say(f"Written: {out}")


def _size_rows(sizes: Sequence[tuple[int, int]]) -> list[tuple[object, ...]]:
    """How many files have a short side below each limit, with bars."""
    limits = (32, 64, 128, 224, 384, 768, 1536)
    counts = Counter(sum(min(size) >= limit for limit in limits) for size in sizes)
    names = ["below 32", *(f"{a} to {b - 1}" for a, b in pairwise(limits)), f"{limits[-1]} and more"]
    most = max(counts.values(), default=1)
    return [(names[i], counts[i], "█" * round(40 * counts[i] / most)) for i in sorted(counts)]
