"""Draw a validation and a test split of a data set of any kind, and store it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from swinkit.config.preprocessing import Clips
from swinkit.data.captions.open import CaptionData, Captions
from swinkit.data.classification.check import Seen, look_at, look_at_clip
from swinkit.data.classification.open import draw_split
from swinkit.data.classification.samples import ClassData, Entry, Found, Sample, Samples
from swinkit.data.detection.samples import NO_CLASS, Annotated, ObjectData, ObjectSamples
from swinkit.data.io.media import CLIPS
from swinkit.data.io.parallel import in_threads
from swinkit.data.io.tar import open_file
from swinkit.data.io.video import stretch_of
from swinkit.data.open import Data, save_splits
from swinkit.data.segmentation.open import MaskData, Pairs
from swinkit.data.splits import draw_key
from swinkit.data.stored_splits import TABLE, write_description
from swinkit.data.survey import image_of
from swinkit.errors import ConfigError, DataError

VAL_FRACTION = 0.2  # of a data set without val, as in training


def check_fractions(val: float | None, test: float | None) -> None:
    """Refuse fractions that leave nothing to train on, or draw nothing."""
    for name, fraction in (("val", val), ("test", test)):
        if fraction is not None and not 0 <= fraction < 1:
            raise ConfigError(f"{name} is {fraction}; give a number from 0 up to, not including, 1.")
    if (val or 0) + (test or 0) >= 1:
        raise ConfigError(f"val and test are {val} and {test}: together they must be less than 1.")


def redraw(
    data: Data,
    *,
    val: float | None,
    test: float | None,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Data:
    """Return a data set with other splits: fractions of all its files, by class where files have classes.

    A split that the data set has stays as it is where its fraction is None; else it is joined with train and
    drawn again. Files with the same pixels, stretches of one video and all captions of an image are in one
    split. The same seed draws the same files, wherever the data set lies.
    """
    if val is None and "val" not in data.splits:
        val = VAL_FRACTION if (test or 0) + VAL_FRACTION < 1 else 0.0
    check_fractions(val, test)
    fractions = {"test": test, "val": val}
    redrawn = ["train", *(split for split, fraction in fractions.items() if fraction is not None)]
    pool = [sample for split in redrawn for sample in data.splits.get(split, ())]
    notes = []
    for split in redrawn[1:]:
        if split in data.splits:
            count = len(data.splits[split])
            notes.append(f"The {split} split of the data ({count}) was joined with train and drawn again.")
    if not pool:
        raise DataError(f"{data.root} has nothing to draw from: its train split is empty.")
    if isinstance(data, MaskData):
        maps = [pairs.label_map for split, pairs in data.splits.items() if split in redrawn]
        if any(label_map != maps[0] for label_map in maps):
            raise DataError(
                f"The masks of {data.root} have other values in each split: keep these splits, or write all "
                "masks with the same values."
            )
    groups = _groups(pool, data, advance)
    remaining, drawn = 1.0, {"train": list(range(len(groups)))}
    for split, fraction in fractions.items():
        if fraction:
            chosen = _draw([groups[i] for i in drawn["train"]], pool, data, fraction / remaining, seed)
            drawn[split] = [drawn["train"][i] for i in chosen]
            taken = set(drawn[split])
            drawn["train"] = [i for i in drawn["train"] if i not in taken]
            remaining -= fraction
    splits = {split: samples for split, samples in data.splits.items() if split not in redrawn}
    for split, numbers in drawn.items():
        places = sorted(place for number in numbers for place in groups[number])
        splits[split] = _container(data, [pool[place] for place in places])
    order = ("train", "val", "test")
    ordered = {split: splits[split] for split in order if len(splits.get(split, ()))}
    return data.with_splits(ordered, notes)  # type: ignore[arg-type]  # each kind of data has its container


def store(data: Data, source: Path, out: Path) -> None:
    """Write the splits of a data set into a folder that training takes."""
    save_splits(data, out / TABLE)
    write_description(out, source)


def _groups(pool: Sequence[Any], data: Data, advance: Callable[[int], None]) -> list[list[int]]:
    """Return places of samples that must stay together."""
    paths = list(dict.fromkeys(image_of(sample) for sample in pool))
    look = partial(_digest, is_clip=data.medium is CLIPS)
    by_path: dict[Path, bytes] = {}
    first_of: dict[Path, bytes] = {}  # the digest that stands for all stretches of a video
    same: dict[bytes, bytes] = {}
    for path, digest in zip(paths, in_threads(look, paths), strict=True):
        advance(1)
        first = first_of.setdefault(Path(stretch_of(path).path), digest)
        _join(same, first, digest)
        by_path[path] = digest
    groups: dict[bytes, list[int]] = defaultdict(list)
    for place, sample in enumerate(pool):
        groups[_root(same, by_path[image_of(sample)])].append(place)
    return list(groups.values())


def _root(same: dict[bytes, bytes], digest: bytes) -> bytes:
    while same.get(digest, digest) != digest:
        digest = same[digest]
    return digest


def _join(same: dict[bytes, bytes], first: bytes, second: bytes) -> None:
    same[_root(same, second)] = _root(same, first)


def _digest(path: Path, *, is_clip: bool) -> bytes:
    """Return a digest of the pixels; of the bytes of a file that cannot be decoded, else of its name."""
    seen = look_at_clip(path, Clips()) if is_clip else look_at(path, 3)
    if isinstance(seen, Seen):
        return seen.digest
    try:
        with open_file(path) as file:
            return hashlib.sha256(file.read()).digest()
    except OSError:
        return hashlib.sha256(str(path).encode(errors="surrogateescape")).digest()


def _draw(
    groups: Sequence[Sequence[int]], pool: Sequence[Any], data: Data, fraction: float, seed: int
) -> list[int]:
    """Return numbers of the groups that are drawn, a fraction of each class; never all groups."""
    root = data.root if data.root.is_dir() else data.root.parent
    entries: dict[str, int] = {}
    found = Found(root, {"train": []}, multi=data.multi or not isinstance(data, ClassData))
    for number, places in enumerate(groups):
        paths = [image_of(pool[place]) for place in places]
        first = str(min(paths, key=lambda path: draw_key(path, root, seed)))
        names = sorted({str(label) for place in places for label in _labels(pool[place])})
        entries[first] = number
        found.splits["train"].append(Entry(first, tuple(names)))
    draw_split(found, "val", fraction, seed)
    return [entries[entry.path] for entry in found.splits.get("val", ())]


def _labels(sample: Any) -> tuple[int, ...]:
    """Return the classes of a sample whose files tell them without being decoded."""
    if isinstance(sample, Sample):
        return sample.labels
    if isinstance(sample, Annotated):
        return tuple(label for label in sample.labels.tolist() if label != NO_CLASS)
    return ()


def _container(data: Data, samples: list[Any]) -> Any:
    """Hold samples as the splits of a data set do."""
    if isinstance(data, MaskData):
        return Pairs(samples, data.label_map)
    if isinstance(data, ObjectData):
        return ObjectSamples(samples)
    if isinstance(data, CaptionData):
        return Captions(samples)
    return Samples(samples, multi=data.multi)
