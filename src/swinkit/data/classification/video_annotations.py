"""The annotation files of Kinetics (CSV) and Something-Something V2 (JSON), as they are published.

They name videos by a number or by YouTube's name. Where these lie below the data's folder, whole or trimmed,
as files or as folders of frames, is found out. Many of Kinetics' videos are gone, so files that are missing
are counted and left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from swinkit.data.classification.samples import Entry, Found
from swinkit.data.io.media import CLIPS
from swinkit.data.io.paths import is_image, is_video, walk_files
from swinkit.data.io.video import with_span
from swinkit.data.splits import SPLIT_NAMES, part_of
from swinkit.data.tables import columns_of, csv_lines
from swinkit.errors import DataError, some
from swinkit.text_files import read_head, read_json

_BESIDE = (".", "labels", "annotations")  # where they lie in a folder of data
_KINETICS = {"label", "youtube_id", "time_start", "time_end"}
_SOMETHING = {"id", "template"}


class Told(NamedTuple):
    """What an annotation file tells of a video: its name, and of a stretch of it that of the trimmed file."""

    name: str
    label: str
    part: str
    span: tuple[float, float] | None = None
    trimmed: str | None = None


def is_annotation(path: Path) -> bool:
    """Whether a file is one of these, with labels."""
    try:
        if path.suffix.lower() == ".csv":
            return set(columns_of(path)) >= _KINETICS
        return path.suffix.lower() == ".json" and _looks_like_something(path)
    except (OSError, DataError):
        return False


def find_annotations(folder: Path) -> list[Path]:
    """Those of a folder of data that are named after a part."""
    files = (path for place in _BESIDE for path in sorted((folder / place).glob("*")))
    found = [path for path in files if part_of(path.name) and is_annotation(path)]
    return found if any(part_of(path.name) == "train" for path in found) else []


def read_annotations(files: Iterable[Path], root: Path) -> Found:
    """Videos below `root` by these files; DataError for a file at fault, or without any of its videos."""
    found = Found(root, medium=CLIPS)
    places = _places(root)
    for path in files:
        found.sided = found.sided or path.suffix.lower() == ".json"  # Something-Something
        rows = list(_kinetics(path) if path.suffix.lower() == ".csv" else _something(path))
        told = list(dict.fromkeys(rows))
        if len(told) < len(rows):
            found.notes.append(
                f"{len(rows) - len(told)} rows of {path} repeat another exactly and were dropped."
            )
        missing = []
        for video in told:
            place = _find(video, places)
            if place is None:
                missing.append(video.trimmed or video.name)
            else:
                found.splits.setdefault(video.part, []).append(Entry(place, (video.label,)))
        if len(missing) == len(told):
            example = f" such as {missing[0]}.mp4" if missing else ""
            raise DataError(
                f"None of the {len(told)} videos of {path}{example} lies below {root}; check the path."
            )
        if missing:
            found.notes.append(
                f"{len(missing)} of {len(told)} videos of {path} are not below {root} and were left out: "
                f"{some(missing, 3)}."
            )
        found.order = found.order or _order(path)
    strange = found.names() - set(found.order or found.names())
    if strange:
        raise DataError(f"The labels.json in {root} lacks {some(strange)}; take the published files.")
    return found


def _places(root: Path) -> dict[str, str]:
    """Where each video, or folder of frames, lies, by its name without suffix."""
    places: dict[str, str] = {}
    for path in walk_files(root):
        if is_video(path):
            places[path.stem] = str(path)
        elif is_image(path):
            places.setdefault(path.parent.name, str(path.parent))
    return places


def _find(video: Told, places: dict[str, str]) -> str | None:
    """Where a video lies; its stretch of the whole one, where that is there and no trimmed one."""
    if video.trimmed in places:
        return places[video.trimmed]
    if video.name not in places:
        return None
    return places[video.name] if video.span is None else with_span(places[video.name], *video.span)


def _kinetics(path: Path) -> Iterator[Told]:
    """Rows of label, youtube_id, time_start, time_end, split; trimmed videos are named ID_START_END."""
    lines = csv_lines(path)
    next(lines)  # the names of the columns
    for number, row in lines:
        try:
            start, end = int(row["time_start"]), int(row["time_end"])
        except ValueError as error:
            raise DataError(
                f"Line {number} of {path} has no whole seconds as time_start and time_end."
            ) from error
        name, word = row["youtube_id"], row.get("split") or part_of(path.name) or "train"
        part = SPLIT_NAMES.get(word.lower())
        if not row["label"] or part is None or start >= end:
            raise DataError(
                f"Line {number} of {path} lacks a label, has an unknown split, or ends before it begins."
            )
        yield Told(name, row["label"], part, (start, end), f"{name}_{start:06d}_{end:06d}")


def _something(path: Path) -> Iterator[Told]:
    """Records of id and template; the class is the template without brackets."""
    records = _json(path)
    if not isinstance(records, list) or not all(
        isinstance(each, dict) and each.keys() >= _SOMETHING for each in records
    ):
        raise DataError(f"{path} is no list of videos with id and template; take the published file.")
    for each in records:
        label = str(each["template"]).replace("[", "").replace("]", "")
        yield Told(str(each["id"]), label, part_of(path.name) or "train")


def _order(path: Path) -> tuple[str, ...] | None:
    """Something-Something's classes in the order of its labels.json, where that lies beside."""
    for beside in path.parent.glob("*labels.json"):
        numbers = _json(beside)
        if isinstance(numbers, dict):
            return tuple(sorted(numbers, key=lambda name: int(numbers[name])))
    return None


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); take the published file.") from error


def _looks_like_something(path: Path) -> bool:
    beginning = read_head(path, 2000)
    return beginning.startswith("[") and '"template"' in beginning
