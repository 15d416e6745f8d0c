"""WebDataset shards: tar files in which `KEY.jpg` lies beside `KEY.cls`, `.json` or `.txt`; read in place."""

from __future__ import annotations

import glob
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from braceexpand import braceexpand

from swinkit.data.classification.samples import ClassData, Entry, Found, Sample
from swinkit.data.io.parallel import in_threads
from swinkit.data.io.paths import is_image, is_video, natural_key, read_lines
from swinkit.data.io.tar import in_order, index, open_file, read_inside
from swinkit.data.io.tar_integrity import Damage, refuse_unreadable
from swinkit.data.io.video import stretch_of
from swinkit.data.splits import part_of
from swinkit.errors import DataError, RunError
from swinkit.files import (
    check_new_folder,
    make_folder,
    remove_unfinished,
    write_atomically,
    write_text,
)
from swinkit.labels import is_number
from swinkit.text_files import parse_json

CLASSES = "classes.txt"  # beside the shards: the names of the numbered classes, one a line


def names_shards(data: Path) -> bool:
    """Whether a path is that of a tar file, or a pattern of such."""
    return data.suffix.lower() == ".tar" or glob.has_magic(str(data))


def find_shards(place: Path) -> list[Path]:
    """The tar files of a folder, of a pattern (`train-{0000..0146}.tar`, `*.tar`), or this one."""
    if place.is_dir():
        return sorted(place.glob("*.tar"), key=lambda path: natural_key(path.name))
    found: list[Path] = []
    for text in _expanded(place):
        matches = sorted(map(Path, glob.glob(text))) if glob.has_magic(text) else [Path(text)]  # noqa: PTH207
        missing = [path for path in matches if not path.is_file()] if matches else [Path(text)]
        if missing:
            raise DataError(f"There is no file {missing[0]}; check the pattern '{place}'.")
        found += matches
    return list(dict.fromkeys(found))


def _expanded(place: Path) -> list[str]:
    try:
        return list(braceexpand(str(place)))
    except ValueError as error:
        raise DataError(f"The pattern '{place}' has braces that do not match ({error}); check it.") from error


def read_shards(shards: list[Path], root: Path) -> Found:
    """List the files of shards, without reading them; the part is told by the name: train-000000.tar.

    Classes are the numbers or names in `.cls`, or `label` or `labels` in `.json`; a file `classes.txt` beside
    the shards names numbers. Raises DataError for a shard that cannot be read, or an image without a label.
    """
    found = Found(root)
    shards, listed, unreadable = readable_shards(_list, shards)
    found.multi = any(multi for _, multi, _ in listed)
    for path, (entries, _, others) in zip(shards, listed, strict=True):
        found.splits.setdefault(part_of(path.name) or "train", []).extend(entries)
        if others:
            found.notes.append(f"{others} files in {path} have no label and were left out.")
    found.damaged = [*unreadable, *damaged_among(shards)]
    if not any(entries for entries, _, _ in listed):
        refuse_unreadable(unreadable)
    found.notes += [damage.text for damage in found.damaged]
    found.notes += _repeated_names(shards)
    names = (shards[0].parent if shards else root) / CLASSES
    if names.is_file() and all(map(is_number, found.names())):
        order = read_lines(names)
        beyond = [name for name in found.names() if int(name) >= len(order)]
        if beyond:
            raise DataError(f"{names} names {len(order)} classes, but {root} has the class {beyond[0]}.")
        found.rename({name: order[int(name)] for name in found.names()})
        present = found.names()
        found.order = tuple(name for name in order if name in present)
    return found.known()


def write_shards(
    data: ClassData, out: Path, *, size: int, seed: int = 0, advance: Callable[[int], None] = lambda _: None
) -> list[Path]:
    """Write a data set as shards of `size` images, mixed, each file byte for byte as it lies on disk.

    Raises RunError where shards are there already or cannot be written, DataError for a clip that is no file.
    """
    for sample in (sample for samples in data.splits.values() for sample in samples):
        if sample.path.is_dir() or stretch_of(sample.path).span is not None:
            raise DataError(
                f"{sample.path} is a folder or a stretch of a video, and shards hold whole files: "
                "make files of such clips first."
            )
    if out.is_dir():
        remove_unfinished(out)
    if out.is_dir() and any(out.glob("*.tar")):
        raise RunError(f"{out} already holds tar files: choose another folder.")
    check_new_folder(out)
    make_folder(out)
    written: list[Path] = []
    for split, samples in data.splits.items():
        order = np.random.default_rng(seed).permutation(len(samples)).tolist()
        numbers = count()
        for shard, start in enumerate(range(0, len(order), size)):
            path = out / f"{split}-{shard:06d}.tar"
            content = [(next(numbers), samples[place]) for place in order[start : start + size]]
            write_atomically(path, partial(_write, content=content, multi=data.multi))
            written.append(path)
            advance(len(content))
    write_text(out / CLASSES, "".join(f"{name}\n" for name in data.classes))
    return written


Made = TypeVar("Made")


def readable_shards(
    read: Callable[[Path], Made], shards: Sequence[Path]
) -> tuple[list[Path], list[Made], list[Damage]]:
    """Read every shard; return those that can be used, what was read of each, and the others' faults."""
    usable: list[Path] = []
    results: list[Made] = []
    unreadable: list[Damage] = []
    for shard, result in zip(shards, in_threads(partial(_attempt, read), shards), strict=True):
        if isinstance(result, DataError):
            unreadable.append(Damage(shard, str(result), None, unreadable=True))
        else:
            usable.append(shard)
            results.append(result)
    return usable, results, unreadable


def _attempt(read: Callable[[Path], Made], shard: Path) -> Made | DataError:
    try:
        return read(shard)
    except DataError as error:
        return error


def damaged_among(shards: Sequence[Path]) -> list[Damage]:
    """Return what cannot be read of some shards."""
    damages = (index(shard).damage for shard in shards)
    return [damage for damage in damages if damage is not None]


def _repeated_names(shards: Sequence[Path]) -> Iterator[str]:
    """Yield a note for each shard in which a name stands twice."""
    for shard in shards:
        names = index(shard).names
        count = len(names) - len(np.unique(names))
        if count:
            yield f"{count} files in {shard} have the name of one behind them and were left out."


def captions_in(shard: Path) -> tuple[list[tuple[Path, str]], int]:
    """Pictures of a shard with what `KEY.txt` or the `caption` of `KEY.json` says; how many have neither."""
    found: list[tuple[Path, str]] = []
    bare = 0
    for files in _groups(shard):
        image = _sample(files)
        if image is None:
            continue
        texts = _captions(shard, files)
        found += [(shard / image, text) for text in texts]
        bare += not texts
    return found, bare


def tell_captions(shards: Iterable[Path]) -> bool:
    """Whether the first shard that can be read has captions and no classes."""
    for shard in shards:
        try:
            return _tells_captions(shard)
        except DataError:  # to be told where it is read
            continue
    return False


def _tells_captions(shard: Path) -> bool:
    """Whether pictures of a shard have captions and no classes: as the first that has either."""
    for files in _groups(shard):
        if _sample(files) is None:
            continue
        if _labels(shard, files)[0] is not None:
            return False
        if _captions(shard, files):
            return True
    return False


def _groups(shard: Path) -> Iterator[dict[str, str]]:
    """The files of each key by their suffixes, as they lie."""
    groups: dict[str, dict[str, str]] = {}
    for name in in_order(shard):
        folder, _, base = name.rpartition("/")
        key, _, suffix = base.partition(".")
        groups.setdefault(f"{folder}/{key}", {})[suffix.lower()] = name
    return iter(groups.values())


def _list(shard: Path) -> tuple[list[Entry], bool, int]:
    """Labelled images, whether one may have several labels, and how many images have none."""
    entries: list[Entry] = []
    multi, others = False, 0
    for files in _groups(shard):
        image = _sample(files)
        if image is None:
            continue
        labels, several = _labels(shard, files)
        if labels is None:
            others += 1
            continue
        multi = multi or several
        entries.append(Entry(str(shard / image), labels))
    return entries, multi, others


def _sample(files: dict[str, str]) -> str | None:
    """Which file of a key is the sample: `KEY.jpg` before `KEY.mask.png`, arrays last."""
    paths = {suffix: Path(f"x.{suffix}") for suffix in files}
    found = [suffix for suffix, path in paths.items() if is_image(path) or is_video(path)]
    # a clip before its thumbnail
    found.sort(key=lambda suffix: ("." in suffix, suffix == "npy", is_image(paths[suffix])))
    return files[found[0]] if found else None


def _labels(shard: Path, files: dict[str, str]) -> tuple[tuple[str, ...] | None, bool]:
    """Names or numbers of the classes of one image, and whether there may be several."""
    if "cls" in files:
        try:
            name = read_inside(shard, files["cls"]).decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            reason = f"{shard / files['cls']} is not UTF-8 ({error})"
            raise DataError(f"{reason}; write the shard anew.") from error
        return ((name,) if name else None), False
    content = _json(shard, files)
    labels = content.get("labels")
    several = isinstance(labels, list)
    listed = labels if isinstance(labels, list) else [content.get("label")]
    if any(isinstance(label, list | dict) for label in listed):
        raise DataError(f"{shard / files['json']} has a label that is no name: give text or a number.")
    names = tuple(dict.fromkeys(str(label) for label in listed if label is not None))
    return (names if names or several else None), several


def _captions(shard: Path, files: dict[str, str]) -> list[str]:
    """What is said of one image, each once; nothing where the shard does not say it."""
    if "txt" in files:
        told: Any = read_inside(shard, files["txt"])
    else:
        told = _json(shard, files).get("caption")
    try:
        told = told.decode("utf-8-sig") if isinstance(told, bytes) else told
        every = told if isinstance(told, list) else [told]
        texts = [" ".join(str(text).split()) for text in every if text]
        "".join(texts).encode()
    except UnicodeError as error:
        name = shard / files.get("txt", files.get("json", ""))
        raise DataError(f"{name} is not UTF-8 ({error}); write the shard anew.") from error
    return [text for text in dict.fromkeys(texts) if text]


def _json(shard: Path, files: dict[str, str]) -> dict[str, Any]:
    """What `KEY.json` says; nothing where there is none, or it is no mapping."""
    if "json" not in files:
        return {}
    try:
        content = parse_json(read_inside(shard, files["json"]))
    except ValueError as error:
        raise DataError(f"{shard / files['json']} is not JSON ({error}); write the shard anew.") from error
    return content if isinstance(content, dict) else {}


def _write(path: Path, *, content: list[tuple[int, Sample]], multi: bool) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, sample in content:
            with open_file(sample.path) as file:
                _add(tar, f"{number:09d}{sample.path.suffix.lower()}", file.read())
            if multi:
                _add(tar, f"{number:09d}.json", json.dumps({"labels": sample.labels}).encode())
            else:
                _add(tar, f"{number:09d}.cls", str(sample.label).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file without date or owner: the same data give the same bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
