"""Read files of torch.save without running what stands in them."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch

from swinkit.errors import WeightsError

LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # how torch's older format begins


class Foreign:
    """Stands where a file wants an object of a class that is not on torch's list: does nothing."""

    origin = "an unknown class"
    dump_patches = False  # asked for by torch's older format

    def __new__(cls, *_: Any, **__: Any) -> Foreign:
        """Take any arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Ignore them."""

    def __setstate__(self, state: Any) -> None:
        """Ignore the object's state."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Ignore entries, of dict subclasses."""

    def append(self, value: Any) -> None:
        """Ignore entries, of list subclasses."""

    def extend(self, values: Any) -> None:
        """Ignore entries, of list subclasses."""

    def add(self, value: Any) -> None:
        """Ignore entries, of set subclasses."""


class _Unpickler(pickle._Unpickler):
    """Finds what torch itself trusts with `weights_only=True`; all else becomes a `Foreign` class.

    Python's own unpickler, not that in C, for there a file could set attributes of trusted classes and
    functions (BUILD), and so change this process.
    """

    stack: list[Any]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """Look up, import nothing."""
        trusted = _trusted().get(f"{module}.{name}")
        if trusted is not None:
            return trusted
        return type(name, (Foreign,), {"origin": f"{module}.{name}"})

    def load_build(self) -> None:
        """Give an object its state, where that is a plain dict's; `Foreign` ones go without."""
        state = self.stack.pop()
        owner = self.stack[-1]
        if type(owner) is OrderedDict and isinstance(state, dict):
            owner.__dict__.update(state)

    dispatch[pickle.BUILD[0]] = load_build  # as the base class fills it


def _trusted() -> dict[str, Any]:
    from torch._weights_only_unpickler import _get_allowed_globals

    known: dict[str, Any] = _get_allowed_globals()
    # it may call whatever a file hands to it
    return {name: found for name, found in known.items() if name != "torch._tensor._rebuild_from_type_v2"}


def _load_restricted(file: Any, **options: Any) -> Any:
    return _Unpickler(file, **options).load()


_RESTRICTED = SimpleNamespace(__name__="restricted", Unpickler=_Unpickler, load=_load_restricted)


def unpickle(path: Path) -> Any:
    """Content of a file written by torch.save; objects of foreign classes come back as `Foreign`."""
    if is_zip(path):
        check_archive(path)
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError:
        pass  # classes that torch does not trust: read once more, without them
    except Exception as error:
        raise unreadable(path, error) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the source of foreign classes is not here
            return torch.load(path, weights_only=False, pickle_module=_RESTRICTED, map_location="cpu")
    except Exception as error:
        raise unreadable(path, error) from error


def is_zip(path: Path) -> bool:
    """Whether a file is a zip archive, or was one before its bytes were changed."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # one with changed bytes
        return True


def check_archive(path: Path) -> None:
    """Refuse zip files of other things, and those whose checksums do not hold, for torch checks none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names, broken = archive.namelist(), archive.testzip()
    except Exception as error:
        raise unreadable(path, error) from error
    if broken is not None:
        raise WeightsError(f"{path} is damaged (the checksum of {broken} does not hold): fetch it again.")
    if any(name.endswith("constants.pkl") for name in names):
        raise WeightsError(
            f"{path} is a TorchScript program, which is code: save the state_dict of its model instead."
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise WeightsError(f"{path} is a zip archive of other things, not a file of torch.save: unpack it.")


def unreadable(path: Path, error: Exception) -> WeightsError:
    """What a file seems to be that could not be read for this error."""
    with path.open("rb") as file:
        start = file.read(64)
    if start.lstrip().startswith((b"<", b"version https://git-lfs")):
        what = "a web page" if start.lstrip().startswith(b"<") else "a Git LFS pointer"
        return WeightsError(f"{path} is {what}, not weights: fetch the file itself.")
    if start[:1] == b"\x80" and not start.startswith(LEGACY[: len(start)]):
        return WeightsError(
            f"{path} is a pickle that torch.save did not write: save its tensors with torch.save."
        )
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return WeightsError(f"{path} is damaged or cut short: fetch it again.")
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return WeightsError(f"{path} is no weights file that is known here ({reason[:120]}).")
