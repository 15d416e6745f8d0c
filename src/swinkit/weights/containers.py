"""Read any checkpoint file down to its tensors, and run nothing that stands in it.

Kinds: .pth, .pt, .bin, .ckpt (torch's zip and older formats), .safetensors, sharded safetensors or .bin with
an index, and a Hugging Face folder.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from swinkit.errors import WeightsError

FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
WRAPPERS = ("best", "state_dict", "model", "module", "teacher", "student")  # best first
LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # how torch's older format begins


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of a file by the names that stand there, and what else was found.

    `wrapper` is the path of keys under which they lay; `dropped` names entries of foreign classes that
    were left unread. `metadata` is that of safetensors; `config` and `processor` are config.json and
    preprocessor_config.json of a Hugging Face folder.
    """

    source: str
    tensors: dict[str, Tensor]
    wrapper: str = ""
    dropped: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    processor: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file, or a folder with config.json beside its weights.

    Raises WeightsError for what is missing, cut short, of another kind, or cannot be read without running
    code.
    """
    try:
        if path.is_dir():
            return _read_folder(path)
        if not path.is_file():
            raise WeightsError(f"There is no weights file {path}: check the path.")
        if path.name.endswith(".index.json"):
            return _read_shards(path)
        if path.stat().st_size == 0:
            raise WeightsError(f"{path} is empty: fetch it again.")
        if path.suffix == ".safetensors" or _looks_like_safetensors(path):
            return _read_safetensors(path)
        return _peel(_unpickle(path), str(path))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}).") from error


def check_content(path: Path) -> None:
    """Refuse a file that cannot be weights, such as a web page, or whose checksums do not hold."""
    with path.open("rb") as file:
        start = file.read(len(LEGACY))
    if _is_zip(path):
        _check_archive(path)
    elif start != LEGACY and not _looks_like_safetensors(path):
        raise _unreadable(path, ValueError("neither torch's nor safetensors"))


def holds_checkpoint(folder: Path) -> bool:
    """Whether a folder is one that `read_checkpoint` takes."""
    return any((folder / name).is_file() for name in FOLDER_FILES)


def _read_folder(folder: Path) -> Checkpoint:
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return replace(
                read_checkpoint(folder / name),
                source=str(folder),
                config=_read_settings(folder / "config.json"),
                processor=_read_settings(folder / "preprocessor_config.json"),
            )
    raise WeightsError(f"{folder} holds no weights: none of {', '.join(FOLDER_FILES)} is there.")


def _read_settings(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    values = _read_json(path)
    if not isinstance(values, dict):
        raise WeightsError(f"{path} is damaged: it holds no settings.")
    return values


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: it cannot be read as JSON ({error}).") from error


def _read_shards(index: Path) -> Checkpoint:
    """Read all files that an index names; each tensor must be where the index says."""
    places = _read_json(index)
    places = places.get("weight_map") if isinstance(places, dict) else None
    if not isinstance(places, dict) or not places:
        raise WeightsError(f"{index} is damaged: it names no tensors (weight_map).")
    tensors: dict[str, Tensor] = {}
    dropped: list[str] = []
    for name in sorted(set(map(str, places.values()))):
        shard = index.parent / name
        if Path(name).name != name or name.endswith(".json"):
            raise WeightsError(f"{index} names {name!r}, which is not beside it: nothing was read.")
        if not shard.is_file():
            raise WeightsError(f"{shard} is missing, though {index.name} names it: fetch it too.")
        read = read_checkpoint(shard)
        tensors |= read.tensors
        dropped += read.dropped
    absent = [name for name in places if name not in tensors]
    if absent:
        raise WeightsError(f"{index} promises {absent[0]}, which none of its files holds: fetch them again.")
    return Checkpoint(str(index), tensors, dropped=tuple(dropped))


def _looks_like_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def _read_safetensors(path: Path) -> Checkpoint:
    """Copy every tensor: one that stays mapped dies with the process where its file is written anew."""
    tensors = {}
    try:
        with safe_open(path, framework="pt") as file:
            names, metadata = list(file.keys()), file.metadata() or {}
        for name in names:  # opened for each, so that mapped pages do not pile up beside the copies
            with safe_open(path, framework="pt") as file:
                tensors[name] = file.get_tensor(name).clone()
        return Checkpoint(str(path), tensors, metadata=metadata)
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is no readable safetensors file ({error}): it may be cut short or of another kind."
        ) from error


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


def _unpickle(path: Path) -> Any:
    """Content of a file written by torch.save; objects of foreign classes come back as `Foreign`."""
    if _is_zip(path):
        _check_archive(path)
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError:
        pass  # classes that torch does not trust: read once more, without them
    except Exception as error:
        raise _unreadable(path, error) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the source of foreign classes is not here
            return torch.load(path, weights_only=False, pickle_module=_RESTRICTED, map_location="cpu")
    except Exception as error:
        raise _unreadable(path, error) from error


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # one with changed bytes
        return True


def _check_archive(path: Path) -> None:
    """Refuse zip files of other things, and those whose checksums do not hold, for torch checks none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names, broken = archive.namelist(), archive.testzip()
    except Exception as error:
        raise _unreadable(path, error) from error
    if broken is not None:
        raise WeightsError(f"{path} is damaged (the checksum of {broken} does not hold): fetch it again.")
    if any(name.endswith("constants.pkl") for name in names):
        raise WeightsError(
            f"{path} is a TorchScript program, which is code: save the state_dict of its model instead."
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise WeightsError(f"{path} is a zip archive of other things, not a file of torch.save: unpack it.")


def _unreadable(path: Path, error: Exception) -> WeightsError:
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


def _peel(content: Any, source: str) -> Checkpoint:
    """Find the mapping of tensors inside wrappers such as {"model": …, "optimizer": …}."""
    if isinstance(content, Foreign):
        raise WeightsError(
            f"{source} holds a whole pickled object ({content.origin}), which needs its code to be read: "
            "save its state_dict() instead."
        )
    if isinstance(content, Tensor) or not isinstance(content, Mapping):
        raise WeightsError(f"{source} holds {_kind(content)}, not named tensors: give a state_dict.")
    found = list(_mappings(content, ()))
    coded = [] if found else [name for name in _foreign(content, ()) if "numpy" in name]
    if coded:
        raise WeightsError(
            f"{source} stores {coded[0]}, which needs its code to be read: save plain tensors instead."
        )
    if not found:
        raise WeightsError(f"{source} holds no named tensors: {_kind(content)} with {_some(content)}.")
    most = max(_count(mapping) for _, mapping in found)
    whole = [pair for pair in found if 2 * _count(pair[1]) > most]  # not one with a stray tensor
    keys, mapping = min(whole, key=lambda pair: (_rank(*pair), -_count(pair[1])))
    coded = [name for name, value in mapping.items() if _stands_for_tensor(name, value, wrapped=bool(keys))]
    if coded:
        raise WeightsError(
            f"{source} stores {coded[0]} as {mapping[coded[0]].origin}, which needs its code to be read: "
            "save plain tensors instead."
        )
    tensors = {name: value.detach() for name, value in mapping.items() if isinstance(value, Tensor)}
    others = [f"{'.'.join(other)}.* ({_count(m)} tensors)" for other, m in whole if other != keys]
    dropped = (*others, *_foreign(content, ()))
    return Checkpoint(source, _separate(tensors), ".".join(keys), dropped)


def _separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share no memory with each other: what is one in the file shall not be one when trained."""
    seen: set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        plain = tensor.layout is torch.strided and not tensor.is_meta
        place = tensor.untyped_storage().data_ptr() if plain else 0
        shared = plain and (place in seen or not tensor.is_contiguous())
        own[name] = tensor.clone(memory_format=torch.contiguous_format) if shared else tensor
        seen.add(place)
    return own


def _stands_for_tensor(name: str, value: Any, *, wrapped: bool) -> bool:
    """Whether an object that was left unread may have been weights; beside unwrapped ones may be anything."""
    if not isinstance(value, Foreign):
        return False
    return wrapped or "." in name or value.origin.endswith("._reconstruct")  # an array of numpy


def _count(mapping: Mapping[str, Any]) -> int:
    return sum(isinstance(value, Tensor) for value in mapping.values())


def _mappings(content: Mapping[Any, Any], keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All mappings of names to tensors, three levels deep, with the keys that lead there."""
    if any(isinstance(value, Tensor) for value in content.values()) and all(
        isinstance(name, str) for name in content
    ):
        yield keys, content
    if len(keys) < 3:
        for name, value in content.items():
            if isinstance(value, Mapping) and "optim" not in str(name) and str(name) != "state":
                yield from _mappings(value, (*keys, str(name)))


def _rank(keys: tuple[str, ...], mapping: Mapping[str, Any]) -> int:
    """Averaged weights first, for they are what was measured; then the usual names.

    mmengine swaps the two before it saves: its `ema_state_dict`, which counts `steps`, holds the weights that
    were not averaged.
    """
    if "ema_state_dict" in keys and "steps" in mapping:
        return len(WRAPPERS) + 2
    if any(is_average(key) for key in keys):
        return -1
    known = (rank for rank, wrapper in enumerate(WRAPPERS) if wrapper in keys)
    return next(known, len(WRAPPERS) if not keys else len(WRAPPERS) + 1)


def is_average(key: str) -> bool:
    """Whether a key speaks of averaged weights: "model_ema", not "semantic"."""
    return re.search(r"(?<![a-z])(ema|swa|avg|averaged?)(?![a-z])", key.lower()) is not None


def _foreign(content: Any, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(content, Foreign):
        yield f"{'.'.join(keys)} ({content.origin})"
    elif isinstance(content, Mapping) and len(keys) < 3:
        for name, value in content.items():
            yield from _foreign(value, (*keys, str(name)))


def _kind(content: Any) -> str:
    return f"a {type(content).__name__}"


def _some(content: Mapping[Any, Any]) -> str:
    names = [str(name) for name in list(content)[:4]]
    return ", ".join(names) or "nothing in it"
