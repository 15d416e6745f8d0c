"""Read any checkpoint file down to its tensors, and run nothing that stands in it.

Kinds: .pth, .pt, .bin, .ckpt (torch's zip and older formats), .safetensors, sharded safetensors or .bin with
an index, and a Hugging Face folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from swinkit.errors import WeightsError
from swinkit.files import check_readable, check_regular
from swinkit.text_files import read_json
from swinkit.weights.beside import BESIDE
from swinkit.weights.checksum import is_intact
from swinkit.weights.unpickling import LEGACY, Foreign, check_archive, is_zip, unpickle, unreadable

FILE_KEY = "swinkit_file"  # in a config.json of ours: the name of the weights that it belongs to
FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
WRAPPERS = ("best", "state_dict", "model", "module", "teacher", "student")  # best first


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
        if _has_settings(path):
            return _with_settings(_read_file(path), path.parent)
        return _read_file(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}).") from error


def _read_file(path: Path) -> Checkpoint:
    """Read a file that is there, without what lies beside it."""
    if path.name.endswith(".index.json"):
        return _read_shards(path)
    try:
        check_regular(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}): give a weights file.") from error
    if path.stat().st_size == 0:
        raise WeightsError(f"{path} is empty: fetch it again.")
    if path.suffix == ".safetensors" or _looks_like_safetensors(path):
        return _read_safetensors(path)
    return _peel(unpickle(path), str(path))


def check_content(path: Path) -> None:
    """Refuse a file that cannot be weights, such as a web page, or whose checksums do not hold."""
    with path.open("rb") as file:
        start = file.read(len(LEGACY))
    if is_zip(path):
        check_archive(path)
    elif start != LEGACY and not _looks_like_safetensors(path):
        raise unreadable(path, ValueError("neither torch's nor safetensors"))


def holds_checkpoint(folder: Path) -> bool:
    """Whether a folder is one that `read_checkpoint` takes."""
    return any((folder / name).is_file() for name in FOLDER_FILES)


def _read_folder(folder: Path) -> Checkpoint:
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return replace(_with_settings(_read_file(folder / name), folder), source=str(folder))
    raise WeightsError(f"{folder} holds no weights: none of {', '.join(FOLDER_FILES)} is there.")


def _has_settings(path: Path) -> bool:
    """Whether the config.json beside a file is that of the file: by the usual names, or as ours says."""
    config = path.parent / "config.json"
    if not config.is_file():
        return False
    if path.name in FOLDER_FILES:
        return True
    try:
        stated = _read_json(config)
    except WeightsError:  # of something else
        return False
    return isinstance(stated, dict) and stated.get(FILE_KEY) == path.name


def _with_settings(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """A checkpoint with the settings that lie beside it."""
    settings = _read_settings(folder / "config.json")
    return replace(checkpoint, config=settings, processor=_read_processor(folder))


def _read_processor(folder: Path) -> Mapping[str, Any]:
    """Settings of the image processor, which stand alone or among those of a model with text."""
    alone = _read_settings(folder / "preprocessor_config.json")
    inner = _read_settings(folder / "processor_config.json").get("image_processor")
    return alone or (inner if isinstance(inner, dict) else {})


def _read_settings(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    values = _read_json(path)
    if not isinstance(values, dict):
        raise WeightsError(f"{path} is damaged: it holds no settings.")
    return values


def _read_json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
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
    check_readable(path)  # safetensors says of a file without read permission that there is none
    try:
        with safe_open(path, framework="pt") as file:
            names, metadata = list(file.keys()), file.metadata() or {}
        for name in names:  # opened for each, so that mapped pages do not pile up beside the copies
            with safe_open(path, framework="pt") as file:
                tensors[name] = file.get_tensor(name).clone()
        if not is_intact(tensors, metadata):
            raise WeightsError(
                f"{path} is damaged: its content does not match its checksum; take another copy of the file."
            )
        return Checkpoint(str(path), tensors, metadata=metadata)
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is no readable safetensors file ({error}): it may be cut short or of another kind."
        ) from error


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
        raise _needs_code(source, coded[0])
    if not found:
        raise WeightsError(f"{source} holds no named tensors: {_kind(content)} with {_some(content)}.")
    most = max(_count(mapping) for _, mapping in found)
    whole = [pair for pair in found if 2 * _count(pair[1]) > most]  # not one with a stray tensor
    keys, mapping = min(whole, key=lambda pair: (_rank(*pair), -_count(pair[1])))
    coded = [name for name, value in mapping.items() if _stands_for_tensor(name, value, wrapped=bool(keys))]
    if coded:
        raise _needs_code(source, f"{coded[0]} as {mapping[coded[0]].origin}")
    tensors = {name: value.detach() for name, value in mapping.items() if isinstance(value, Tensor)}
    others = [f"{'.'.join(other)}.* ({_count(m)} tensors)" for other, m in whole if other != keys]
    dropped = (*others, *_foreign(content, ()))
    return Checkpoint(
        source, _separate(tensors), ".".join(keys), dropped, _text_beside(content), _classes(content)
    )


def _text_beside(content: Mapping[str, Any]) -> dict[str, str]:
    """What swinkit wrote beside tensors of another dialect, if it did."""
    text = content.get(BESIDE)
    return {BESIDE: text} if isinstance(text, str) else {}


def _classes(content: Mapping[str, Any]) -> dict[str, Any]:
    """Names and colours of classes that OpenMMLab's files hold beside their tensors."""
    meta = content.get("meta")
    inner = meta.get("dataset_meta", meta) if isinstance(meta, Mapping) else {}
    if not isinstance(inner, Mapping):
        return {}
    names, colours = (inner.get(key.upper()) or inner.get(key) for key in ("classes", "palette"))
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return {}
    return {"label_names": list(names), "palette": colours}


def _needs_code(source: str, what: str) -> WeightsError:
    return WeightsError(
        f"{source} stores {what}, which needs its code to be read: save plain tensors instead."
    )


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
