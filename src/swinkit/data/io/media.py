"""Pictures and clips: how each is told, found, checked and shown."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from swinkit.data.io.images import check_header, read_preview
from swinkit.data.io.paths import (
    is_image,
    is_unsupported_image,
    is_video,
    naturally,
    pictures_among,
    walk_files,
)
from swinkit.data.io.tar import exists as file_exists
from swinkit.data.io.video import check_clip, read_overview, stretch_of
from swinkit.errors import ConfigError, DataError, check_local, nearest


@dataclass(frozen=True)
class Medium:
    """What the samples of a data set are.

    `among` gives the samples among the files below a folder. `check` reads the header of one, `overview`
    makes one picture of it for people: of a clip four frames. Both raise InputError where that cannot be.
    """

    noun: str
    among: Callable[[Sequence[Path], Path], list[Path]]
    check: Callable[[Path], None]
    overview: Callable[..., Image.Image]


def _clips_among(files: Sequence[Path], folder: Path) -> list[Path]:
    """Videos, and folders below this one in which pictures lie and no video."""
    videos = [file for file in files if is_video(file)]
    others: dict[Path, bool] = defaultdict(bool)
    for file in files:
        others[file.parent] |= is_image(file)
    taken = {folder, *(file.parent for file in videos)}
    return videos + [place for place, has_pictures in others.items() if has_pictures and place not in taken]


def _with_films(files: Sequence[Path]) -> list[Path]:
    """Pictures, and videos that are to be answered frame by frame."""
    pictures = pictures_among(files)
    return pictures + [file for file in files if is_video(file) and not is_image(file)]


PICTURES = Medium("image", lambda files, _: pictures_among(files), check_header, read_preview)
FRAMES = Medium("image", lambda files, _: _with_films(files), check_header, read_preview)
CLIPS = Medium("clip", _clips_among, check_clip, read_overview)


def medium_for(task: str | None) -> Medium | None:
    """What a task takes; None for none. Raises ConfigError for one that is unknown."""
    media = {None: None, "classify": PICTURES, "segment": PICTURES, "detect": PICTURES, "video": CLIPS}
    if task not in media:
        raise ConfigError(f"`task={task!r}`: {nearest(str(task), [name for name in media if name])}")
    return media[task]


def medium_of(path: Path) -> Medium:
    """What a path of a list names: a video, a stretch of one and a folder are clips."""
    file, span = stretch_of(path)
    films = is_video(file) and not is_image(file)
    return CLIPS if films or span is not None or file.is_dir() else PICTURES


def recognised(files: Iterable[Path]) -> Medium:
    """What files are: clips where videos are no fewer than pictures, which may then be their thumbnails."""
    films = pictures = 0
    for file in files:
        if is_image(file):
            pictures += 1
        elif is_video(file):
            films += 1
    return CLIPS if films and films >= pictures else PICTURES


def exists(path: Path) -> bool:
    """Whether a path names a file on its own or in a tar file, a stretch of a video, or a folder."""
    place = stretch_of(path).path
    return file_exists(place) or place.is_dir()


def find_inputs(paths: str | Path | Iterable[str | Path], medium: Medium = PICTURES) -> list[Path]:
    """List the images or clips behind files, folders (with all below them) and patterns like `photos/*.jpg`.

    The order is that of `paths`, natural inside each ("2.jpg" before "10.jpg"). A file that is named twice is
    listed twice; what a folder or pattern adds is listed once.
    Hidden files and files with other suffixes are left out, but a file given by name is kept. For clips, a
    folder in which pictures lie and no videos is one itself.

    Raises DataError naming the first entry behind which there is nothing.
    """
    entries = [paths] if isinstance(paths, str | Path) else paths
    found: list[Path] = []
    listed: set[Path] = set()  # by a folder or pattern, or named before
    named: set[Path] = set()
    for entry in entries:
        path = Path(entry).expanduser()
        behind = _behind(path, medium)
        new = behind if path in named else [each for each in behind if each not in listed]
        found += new
        listed.update(new)
        if behind == [path]:
            named.add(path)
    if not found:
        raise DataError(
            f"No {medium.noun} was named; give files, folders or patterns such as 'photos/*.jpg'."
        )
    return found


def _behind(path: Path, medium: Medium) -> list[Path]:
    check_local(path, DataError)
    if path.is_dir():
        found = _below(path, medium)
        if not found:
            raise DataError(f"The folder {path} holds no {medium.noun}s; check the path.")
        return found
    if exists(path):
        return [path]
    if path.exists():
        raise DataError(f"{path} is a named pipe, a socket or a device; give files or folders.")
    if not glob.has_magic(str(path)):
        raise DataError(f"There is no file or folder {path}; check the path.")
    # The glob module, unlike pathlib, takes absolute patterns and skips hidden files.
    matches = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207
    files = [match for match in matches if match.is_file()]
    fitting = {*medium.among(files, path.parent), *(file for file in files if file.suffix == path.suffix)}
    found = [file for file in files if file in fitting]
    for folder in (match for match in matches if match.is_dir()):
        found += _below(folder, medium)
    if not found:
        raise DataError(f"No {medium.noun} matches the pattern '{path}'; check it.")
    return naturally(found)


def _below(folder: Path, medium: Medium) -> list[Path]:
    """All there are in a folder; the folder itself where it is one."""
    files = list(walk_files(folder))
    found = medium.among(files, folder)
    alone = medium is CLIPS and not any(map(is_video, files))
    if alone and any(file.parent == folder and is_image(file) for file in files):
        return [folder]
    if medium is not CLIPS:  # named as failures, not skipped silently
        found = [*found, *(file for file in files if is_unsupported_image(file))]
    return naturally(found)
