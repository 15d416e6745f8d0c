"""Open a class data set, in whatever form it lies on disk: its classes numbered, its parts told apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from swinkit.data.classification.folders import read_folder
from swinkit.data.classification.lists import find_lists, read_lists
from swinkit.data.classification.samples import ClassData, Entry, Found, Samples
from swinkit.data.classification.shards import find_shards, names_shards, read_shards
from swinkit.data.classification.synsets import SYNSET, readable_names, translation
from swinkit.data.classification.video_annotations import find_annotations, is_annotation, read_annotations
from swinkit.data.io.media import Medium
from swinkit.data.io.paths import natural_key
from swinkit.data.io.tar import place_inside
from swinkit.data.splits import draw_key
from swinkit.data.tables import BETWEEN, TABLES, Row, Table, read_table, write_table
from swinkit.errors import ConfigError, DataError, check_local, some
from swinkit.labels import matching_classes, whole_numbers
from swinkit.text_files import composed


def open_classes(
    data: str | Path,
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    split_file: Path | None = None,
    min_classes: int = 2,
    medium: Medium | None = None,
) -> ClassData:
    """List the images or clips of a class data set and number its classes.

    `data` is a folder with `train` (and `val`, `test`) folders of class folders, one folder of class
    folders, a CSV or Parquet file with the columns path, label or labels and, if wanted, split, a folder of
    text lists (`lists.py`), or shards: a folder of tar files, one, or a pattern with braces (`shards.py`), or
    the annotation files of Kinetics or Something-Something beside their videos (`annotations.py`).
    Where there is train but no val, `val_fraction` of each class is drawn from train: the same images for
    the same seed, wherever the data lies. `val_fraction=0` draws none: a folder without parts is then all
    "train". `classes` (a model's) fixes names and order; the data may then hold a part of them only, and
    name them by synset or number too. A `split_file` that exists, written by `save_split`, decides on the
    splits instead. What the samples are is recognised unless `medium` says so; folders of
    frames are clips only where it does, or a list names them.

    Raises DataError for data that cannot be used as it is, ConfigError for a fraction outside [0, 1).
    """
    if not 0 <= val_fraction < 1:
        raise ConfigError(f"`val_fraction` is {val_fraction}; give a number from 0 up to, not including, 1.")
    found = _find(Path(data), medium)
    if medium is not None and found.medium is not medium:
        raise DataError(f"{found.root} holds {found.medium.noun}s, but the model takes {medium.noun}s.")
    piped = sorted(name for name in found.names() if BETWEEN in name) if found.multi else []
    if piped:
        raise DataError(
            f"{found.root} has the class {some(piped)}: with several labels for a file none may hold |."
        )
    _name_synsets(found)
    drawn = split_file is None or not split_file.exists()
    if split_file is not None and not drawn:
        found = _apply_split_file(found, split_file)
    _compose_names(found)
    if drawn and val_fraction > 0 and "train" in found.splits and "val" not in found.splits:
        draw_split(found, "val", val_fraction, seed)
    names = _order_classes(found, classes, min_classes)
    labels = {name: label for label, name in enumerate(names)}
    splits = {split: _numbered(entries, labels, found.multi) for split, entries in found.splits.items()}
    notes = [*found.notes, *_missing(found, names)]
    return ClassData(
        found.root,
        found.medium,
        names,
        splits,
        tuple(notes),
        multi=found.multi,
        sided=found.sided,
        damaged=tuple(found.damaged),
    )


def save_split(data: ClassData, path: Path) -> None:
    """Write which file is in which split as CSV (path, label, split), paths relative to `data.root`.

    `open_classes(data.root, split_file=path)` gives the same splits again; so does `open_classes(path)`
    where the file lies in `data.root`.

    Raises DataError for a file that cannot be written.
    """
    rows = (
        Row(sample.path, tuple(data.classes[label] for label in sample.labels), split)
        for split, samples in data.splits.items()
        for sample in samples
    )
    write_table(rows, path, data.root, multi=data.multi)


def _find(data: Path, medium: Medium | None) -> Found:
    check_local(data, DataError)
    if data.is_dir():
        lists = find_lists(data)
        if lists:
            return _numbered_alike(read_lists(lists, data))
        annotations = find_annotations(data)
        if annotations:
            return read_annotations(annotations, data)
        shards = find_shards(data)
        return _numbered_alike(read_shards(shards, data)) if shards else read_folder(data, medium)
    if names_shards(data):
        return _numbered_alike(read_shards(find_shards(data), data.parent))
    if not data.exists():
        raise DataError(f"There is no folder or file {data}; check the path.")
    if data.suffix.lower() == ".txt":
        return _numbered_alike(read_lists([data], data.parent))
    if is_annotation(data):
        return read_annotations([data], data.parent)
    if data.suffix.lower() not in TABLES:
        raise DataError(
            f"{data} is neither a folder nor a CSV, Parquet, text or tar file; give a folder of class "
            "folders or a CSV."
        )
    return _numbered_alike(_from_table(read_table(data, data.parent), data.parent))


def _numbered_alike(found: Found) -> Found:
    """Give classes that are written as numbers one spelling; refuse or name what looks like a quantity."""
    found.rename(whole_numbers(found.names()))
    names = sorted(found.names())
    if not names or not all(map(_is_number, names)) or all(name.lstrip("+-").isdecimal() for name in names):
        return found
    count = sum(1 for _ in found.entries())
    text = f"The labels of {found.root} are {len(names)} different numbers, such as {some(names[:2])}"
    if 2 * len(names) > count:
        raise DataError(
            f"{text}, for {count} files: is it a column of scores or of a quantity? Classes are names or "
            "whole numbers; give the column that holds them."
        )
    found.notes.append(f"{text}: each is a class of its own. Is it a column of scores or of a quantity?")
    return found


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _compose_names(found: Found) -> None:
    """Make classes one whose names differ only in how letters are composed; refuse what is not Unicode."""
    names = found.names()
    found.rename({name: composed(name) for name in names})
    if found.order is not None:
        found.order = tuple(dict.fromkeys(map(composed, found.order)))
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise DataError(f"{found.root} has the class {name!a}, which is not valid Unicode; rename it.")


def _from_table(table: Table, root: Path) -> Found:
    found = Found(root, multi=table.multi, notes=list(table.notes))
    for row in table.rows:
        found.splits.setdefault(row.split or "train", []).append(Entry(str(row.path), row.labels))
    return found.known()


def _numbered(entries: list[Entry], labels: dict[str, int], multi: bool) -> Samples:
    """Samples in the order of their classes; those of shards as they lie, to be read so."""
    numbers = {
        own: tuple(sorted(labels[name] for name in own)) for own in {entry.labels for entry in entries}
    }
    if entries and place_inside(Path(entries[0].path)) is None:
        entries = sorted(entries, key=lambda entry: numbers[entry.labels])
    return Samples.of(((entry.path, numbers[entry.labels]) for entry in entries), multi=multi)


def _name_synsets(found: Found) -> None:
    """Give classes that are all synsets their words; their order stays that of the synsets, as published."""
    names = found.names()
    if not names or not all(SYNSET.fullmatch(name) for name in names):
        return
    words = readable_names(found.root, names)
    found.rename({name: words.get(name, name) for name in names})
    found.order = tuple(words.get(name, name) for name in found.order or sorted(names))


def _order_classes(found: Found, classes: Sequence[str] | None, min_classes: int) -> tuple[str, ...]:
    """Give the class names in the order of their labels, and check that all splits keep to them."""
    present = found.names()
    if not any(found.splits.values()) or (not present and classes is None):
        raise DataError(f"{found.root} holds no {found.medium.noun}s in class folders; check the path.")
    if classes is not None:
        _translate(found, classes)
        return tuple(classes)
    if "train" in found.splits:
        for split in found.splits:
            extra = sorted(found.names(split) - found.names("train"), key=natural_key)
            if extra:
                raise DataError(
                    f"In {found.root}, {split} has classes that train lacks: "
                    f"{some(extra, beside=found.names('train'))}; "
                    f"add {found.medium.noun}s of them to train or remove them."
                )
    if len(present) < min_classes and not found.multi:
        raise DataError(
            f"{found.root} has only the class {some(sorted(present))}, but {min_classes} are needed; "
            "add classes, or give the folder whose subfolders are the classes."
        )
    return found.order or tuple(sorted(present, key=natural_key))


def _translate(found: Found, classes: Sequence[str]) -> None:
    """Call the classes as the model does; DataError where it does not know one."""
    names = found.names()
    meant = matching_classes(names, classes)
    words = meant if len(meant) == len(names) else translation(names, classes)
    if words is None:
        unknown = sorted(found.names() - set(classes), key=natural_key)
        raise DataError(
            f"{found.root} has classes that the model does not know: {some(unknown, beside=classes)}; "
            f"it knows {some(classes, beside=unknown)}, so rename the folders or train a model for them."
        )
    if any(name.isdecimal() and words[name] != name for name in words):
        found.notes.append("Classes that are numbers are taken for the model's by their number.")
    found.rename(words)


def draw_split(found: Found, split: str, fraction: float, seed: int) -> None:
    """Move a fraction of each class of train to another split; a class of one image stays in train.

    The images with the smallest hashes of seed and relative path are drawn: that depends neither on the
    order of the file system nor on a random generator's version, and a new image moves few others.
    An image of several classes counts for its rarest.
    """
    groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    times = Counter(name for entry in found.splits["train"] for name in entry.labels)
    for entry in found.splits["train"]:
        groups[min(((times[name], name) for name in entry.labels), default=())[1:]].append(entry)
    if found.multi:  # there, one image each of many rare classes would leave nothing to validate on
        lonely = [key for key, entries in groups.items() if len(entries) == 1]
        groups[("",)] = [entry for key in lonely for entry in groups.pop(key)]
    drawn: set[str] = set()
    for entries in groups.values():
        if len(entries) < 2:
            continue
        count = min(max(1, round(len(entries) * fraction)), len(entries) - 1)
        for entry in sorted(entries, key=lambda entry: draw_key(Path(entry.path), found.root, seed)):
            if count and all(times[name] > 1 for name in entry.labels):  # each class keeps one in train
                drawn.add(entry.path)
                times.subtract(entry.labels)
                count -= 1
    if drawn:
        train = found.splits["train"]
        found.splits["train"] = [entry for entry in train if entry.path not in drawn]
        found.splits[split] = [entry for entry in train if entry.path in drawn]


def _apply_split_file(found: Found, split_file: Path) -> Found:
    """Replace the splits by those of a file; images it does not list are left out, with a note."""
    listed = _from_table(read_table(split_file, found.root, exact=True), found.root)
    unlisted = {entry.path for entry in found.entries()} - {entry.path for entry in listed.entries()}
    listed.notes = [*found.notes, *listed.notes]
    listed.order, listed.sided = found.order, found.sided
    listed.damaged = found.damaged
    if unlisted:
        listed.notes.append(
            f"{len(unlisted)} {found.medium.noun}s are not listed in {split_file} and were left out."
        )
    return listed


def _missing(found: Found, names: Sequence[str]) -> list[str]:
    present = {split: found.names(split) for split in found.splits}
    absent = {split: [name for name in names if name not in own] for split, own in present.items()}
    return [
        f"There is no {found.medium.noun} of {some(gone)} in {split}."
        for split, gone in absent.items()
        if gone
    ]
