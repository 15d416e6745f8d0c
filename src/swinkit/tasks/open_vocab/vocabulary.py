"""What to look for: names with embeddings, as they are kept in a file."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from swinkit.errors import ConfigError, DataError, check_local, nearest, some, unreadable
from swinkit.files import check_readable, check_regular, check_target, write_atomically
from swinkit.text_files import composed
from swinkit.weights.checksum import is_intact, with_checksum

KEY = "swinkit_vocabulary"
# what np.load raises for archives with changed bytes
_NPZ_ERRORS = (
    OSError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    OverflowError,
)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Names, and for each an embedding (N, D); perhaps the score from which on each counts (N,).

    The last `negatives` of them are not looked for: what is rather one of these is no answer.
    """

    names: tuple[str, ...]
    embeddings: Tensor
    thresholds: Tensor | None = None
    negatives: int = 0

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or len(self.embeddings) != len(self.names) or not self.names:
            raise ConfigError(
                f"{len(self.names)} names need as many embeddings, not {tuple(self.embeddings.shape)}."
            )
        if not self.embeddings.isfinite().all():
            raise ConfigError("A vocabulary's embeddings must be numbers, and some are not.")
        if not all(name.strip() for name in self.names):
            raise ConfigError("A vocabulary has an empty name: what is it?")
        for name, count in Counter(self.names).items():
            if count > 1:
                raise ConfigError(f"The name {name!r} stands {count} times in a vocabulary: once is enough.")
        if self.thresholds is not None and self.thresholds.shape != (len(self.names),):
            raise ConfigError(f"{len(self.names)} names need as many thresholds.")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dim(self) -> int:
        """Numbers of an embedding."""
        return self.embeddings.shape[1]

    @property
    def wanted(self) -> tuple[str, ...]:
        """The names that are looked for."""
        return self.names[: len(self.names) - self.negatives]

    def unbound(self) -> Vocabulary:
        """The same without scores of its own."""
        return replace(self, thresholds=None)

    def chosen(self, names: Sequence[str]) -> Vocabulary:
        """Some of the names, in that order; ConfigError for one that is not there.

        dining_table is taken for "Dining table" where there is no other.
        """
        places = self._places(names)
        if None in places:
            missing = self.missing(names)
            raise ConfigError(
                f"The vocabulary has no {missing[0]!r}: {nearest(missing[0], self.names)} It misses "
                f"{len(missing)} of {len(names)} names."
            )
        index = torch.tensor(places)
        kept = None if self.thresholds is None else self.thresholds[index]
        return Vocabulary(tuple(names), self.embeddings[index], kept)

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of the names that `chosen` would not find."""
        return [name for name, place in zip(names, self._places(names), strict=True) if place is None]

    def _places(self, names: Sequence[str]) -> list[int | None]:
        exact = {name: i for i, name in enumerate(self.names)}
        alike = {_plain(name): i for i, name in enumerate(self.names)}
        return [exact.get(name, alike.get(_plain(name))) for name in names]

    def spelt(self, names: Iterable[str]) -> Vocabulary:
        """The same, its names spelt as these where they are alike."""
        alike = {_plain(name): name for name in names}
        found = tuple(alike.get(_plain(name), name) for name in self.names)
        return replace(self, names=found) if len(set(found)) == len(found) else self

    def joined(self, other: Vocabulary) -> Vocabulary:
        """The names of both; of both sizes of embeddings ConfigError."""
        if other.dim != self.dim:
            raise ConfigError(
                f"Embeddings of {self.dim} and of {other.dim} numbers cannot be one vocabulary."
            )
        kept = None
        if self.thresholds is not None or other.thresholds is not None:
            kept = torch.cat(
                [torch.zeros(len(own)) if own.thresholds is None else own.thresholds for own in (self, other)]
            )
        names, embeddings = self.names + other.names, torch.cat([self.embeddings, other.embeddings])
        return Vocabulary(names, embeddings, kept)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write as safetensors: `embeddings`, perhaps `thresholds`, and the names in its metadata."""
        place = check_target(Path(path), ".safetensors", overwrite=overwrite)
        tensors = {"embeddings": self.embeddings.detach().float().cpu().contiguous()}
        if self.thresholds is not None:
            tensors["thresholds"] = self.thresholds.detach().float().cpu().contiguous()
        metadata = {KEY: json.dumps({"names": self.names, "negatives": self.negatives}, ensure_ascii=False)}
        sealed = with_checksum(tensors, metadata)
        write_atomically(place, lambda p: save_file(tensors, p, sealed))
        return place

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read `save`'s file, or of an .npz the arrays NAME and NAME_names (FILE.npz:NAME).

        Raises DataError for what is no vocabulary.
        """
        told = str(path)
        check_local(told, DataError)
        file, _, key = told.partition(".npz:")
        if key or told.endswith(".npz"):
            return _from_npz(Path(f"{file}.npz" if key else told), key)
        try:
            check_readable(Path(told))
            with safe_open(told, framework="pt") as opened:
                metadata = opened.metadata() or {}
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118, no mapping
            if not is_intact(tensors, metadata):
                raise DataError(
                    f"{told} is damaged: its content does not match its checksum; take another copy."
                )
            stated = json.loads(metadata[KEY])
            names, negatives = tuple(map(str, stated["names"])), int(stated["negatives"])
            made = cls(names, tensors["embeddings"].float(), tensors.get("thresholds"), negatives)
            return _meaning(made)
        except ConfigError as error:
            raise DataError(f"{told} is a damaged vocabulary: {error}") from error
        except DataError:
            raise
        except PermissionError as error:
            raise DataError(unreadable(told, error, "a vocabulary")) from error
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            why = "it was not written as one"
            if isinstance(error, OSError):
                why = "there is no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
            raise DataError(
                f"{told!r} cannot be read as a vocabulary: {why}. `swin embed` writes them."
            ) from error


def describe_vocabulary(source: str) -> list[tuple[str, str]]:
    """What a file of `Vocabulary.save` holds, as rows of a table; nothing of any other."""
    try:
        check_regular(Path(source))
        with safe_open(source, framework="pt") as opened:
            if KEY not in (opened.metadata() or {}):
                return []
    except (OSError, SafetensorError):
        return []
    made = Vocabulary.load(source)
    beside = [f"the last {made.negatives} not looked for"] if made.negatives else []
    beside += ["each with its score"] if made.thresholds is not None else []
    names = "; ".join([f"{len(made)}: {some(made.names)}", *beside])
    return [("file", source), ("kind", "vocabulary"), ("names", names), ("embeddings", f"{made.dim} numbers")]


def _meaning(made: Vocabulary) -> Vocabulary:
    """Refuse a name whose embedding is nothing but zeros: ConfigError."""
    for name, is_something in zip(made.names, made.embeddings.any(1).tolist(), strict=True):
        if not is_something:
            raise ConfigError(f"The embedding of {name!r} is all zeros, which is like everything.")
    return made


def _plain(name: str) -> str:
    return composed(name.replace("_", " ").casefold())


def _from_npz(file: Path, key: str) -> Vocabulary:
    try:
        with check_regular(file).open("rb") as stored:
            arrays = np.load(stored, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise DataError(f"{file} holds one array without names; write a vocabulary by `swin embed`.")
            keys = [name for name in arrays.files if f"{name}_names" in arrays.files]
            if not key and len(keys) == 1:
                (key,) = keys
            if key not in keys:
                raise DataError(
                    f"{file} holds the vocabularies {', '.join(keys) or 'none'}: say {file}:NAME."
                )
            names = tuple(map(str, arrays[f"{key}_names"].tolist()))
            return _meaning(Vocabulary(names, torch.from_numpy(arrays[key].astype(np.float32))))
    except DataError:
        raise
    except _NPZ_ERRORS as error:
        raise DataError(unreadable(file, error, "a vocabulary")) from error
