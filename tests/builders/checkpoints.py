"""A small model's weights in every container, and their damage: of bytes, of headers, of pickles."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file

import swinkit
from swinkit.tasks.base import Task
from tests.builders.mutations import BYTES, VALUES, WORDS, Generator, as_json, change_value, choose


class Container(NamedTuple):
    """A weights file; `sealed`: a checksum holds its tensors."""

    kind: str
    file: Path
    sealed: bool
    damages: tuple[Callable[[bytes, Generator, Path], bytes], ...]


def change_bytes(content: bytes, rng: Generator, canary: Path) -> bytes:
    return choose(BYTES, rng)(content, rng)


def header_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and what follows."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(header: Any, body: bytes) -> bytes:
    text = as_json(header)
    return struct.pack("<Q", len(text)) + text + body


def change_header(content: bytes, rng: Generator, canary: Path) -> bytes:
    """A name, a type, a shape or an offset of the header."""
    header, body = header_of(content)
    keys = [key for key in header if key != "__metadata__"]
    deed, key = int(rng.integers(0, 6)), choose(keys, rng)
    if deed == 0:
        header[key] = change_value(header[key], rng)
    elif deed == 1:
        header[key]["dtype"] = choose(["F64", "F16", "BF16", "I8", "U64", "BOOL", "F8_E4M3", "X", ""], rng)
    elif deed == 2:
        other = choose(keys, rng)
        header[key], header[other] = header[other], header[key]
    elif deed == 3:
        place = int(rng.integers(0, 2))
        header[key]["data_offsets"][place] += int(choose([-4, 4, 2**31, 2**63, -(2**40)], rng))
    elif deed == 4:
        header[key]["shape"] = choose([[-1], [2**40, 2**40], [0], [], [1, 1, 1, 1, 1, 1, 1, 1, 1], "x"], rng)
    else:
        header[choose(WORDS, rng)] = header.pop(key)
    return with_header(header, body)


def change_length(content: bytes, rng: Generator, canary: Path) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    changed = choose([0, 1, length - 1, length + 1, len(content), 2**31, 2**63, 2**64 - 1], rng)
    return struct.pack("<Q", changed) + content[8:]


def change_metadata(content: bytes, rng: Generator, canary: Path) -> bytes:
    """A value of the metadata, which for our files is JSON itself; its checksum stays."""
    header, body = header_of(content)
    metadata = header.get("__metadata__", {})
    if not metadata:
        header["__metadata__"] = choose([{"format": "x"}, {"swinkit": "{}"}, {"swinkit": "["}, [], "x"], rng)
        return with_header(header, body)
    key = choose(list(metadata), rng)
    try:
        metadata[key] = json.dumps(change_value(json.loads(metadata[key]), rng))
    except json.JSONDecodeError:
        metadata[key] = choose([*WORDS, *VALUES], rng)
    return with_header(header, body)


def change_pickle(content: bytes, rng: Generator, canary: Path) -> bytes:
    """The pickle within a zip of torch.save, with right checksums of the zip."""
    return _repacked(
        content, lambda name, data: _damaged_pickle(data, rng) if name.endswith(".pkl") else data
    )


def _damaged_pickle(data: bytes, rng: Generator) -> bytes:
    ends = [place for _, _, place in pickletools.genops(data) if place]
    place = int(choose(ends, rng))
    deed = int(rng.integers(0, 4))
    if deed == 0:
        return data[:place] + bytes([int(rng.integers(0, 256))]) + data[place + 1 :]
    if deed == 1:
        return (
            data[:place]
            + choose([b"0", b"2", b")R", b"}b", b"N", b"(", b"e", b"s", b"q\x00", b"h\x7f"], rng)
            + data[place:]
        )
    if deed == 2:
        return data[:place] + data[int(choose(ends, rng)) :]
    return choose(BYTES, rng)(data, rng)


def change_zip(content: bytes, rng: Generator, canary: Path) -> bytes:
    """Members of the zip: names, contents, one missing."""
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    chosen, deed = choose(names, rng), int(rng.integers(0, 4))

    def change(name: str, data: bytes) -> bytes | None:
        if name != chosen:
            return data
        if deed == 0:
            return None
        return choose(BYTES, rng)(data, rng) if deed == 1 else b"" if deed == 2 else data * 3

    return _repacked(content, change)


def _repacked(content: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(file, "w") as after:
        for name in before.namelist():
            data = change(name, before.read(name))
            if data is not None:
                after.writestr(name, data)
    return file.getvalue()


def run_code(content: bytes, rng: Generator, canary: Path) -> bytes:
    """A pickle that would make a folder, in one of the ways by which pickles run code."""
    place = str(canary)
    calls = (
        ("os", "mkdir", (place,)),
        ("posix", "mkdir", (place,)),
        ("os", "system", (f"mkdir {place}",)),
        ("builtins", "eval", (f"__import__('os').mkdir({place!r})",)),
        ("builtins", "exec", (f"import os; os.mkdir({place!r})",)),
        ("subprocess", "check_call", (["mkdir", place],)),
        ("pathlib", "Path.mkdir", (Path(place),)),
        ("torch.hub", "load", (place,)),
        ("torch", "load", (place,)),
        ("numpy", "load", (place,)),
    )
    module, name, arguments = choose(calls, rng)
    call = call_of(module, name, arguments)
    deed = int(rng.integers(0, 3))
    if deed == 0:
        return pickle.dumps({"state_dict": 1}, 2)[:-1] + call + b"0."
    if deed == 1:  # before the content is built
        return _repacked(content, lambda n, d: d[:2] + call + b"0" + d[2:] if n.endswith(".pkl") else d)
    return _repacked(content, lambda n, d: d[:-1] + b"0" + call + b"." if n.endswith(".pkl") else d)


def call_of(module: str, name: str, arguments: tuple[Any, ...]) -> bytes:
    """The part of a pickle that calls a function."""
    return b"c" + f"{module}\n{name}\n".encode() + pickle.dumps(arguments, 2)[2:-1] + b"R"


def containers(model: Task, folder: Path) -> list[Container]:
    """The model in our file, in files of other libraries without checksums, and of torch.save."""
    ours = swinkit.save(model, folder / "ours.safetensors")
    theirs = folder / "timm.safetensors"
    save_file(swinkit.to_dialect(model, "timm"), theirs, {"format": "pt"})
    state = swinkit.to_dialect(model, "microsoft")
    new, old = folder / "new.pth", folder / "old.pth"
    torch.save({"model": state, "epoch": 3}, new)
    torch.save({"model": state, "epoch": 3}, old, _use_new_zipfile_serialization=False)
    headers = (change_header, change_length, change_metadata)
    return [
        Container("ours", ours, True, (change_bytes, *headers)),
        Container("timm's safetensors", theirs, False, (change_bytes, *headers)),
        Container("torch.save", new, False, (change_bytes, change_pickle, change_zip, run_code)),
        Container("torch.save, old", old, False, (change_bytes, change_bytes)),
    ]


def logits_of(model: Task, pixels: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return model.eval()(pixels).numpy()
