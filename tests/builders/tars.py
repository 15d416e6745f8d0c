"""Small shards by the standard library, and their damage: of bytes, or of members with whole headers."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

import swinkit
from swinkit.data.classification.open import open_classes
from swinkit.data.classification.samples import ClassData
from swinkit.data.io.images import read_image
from swinkit.errors import ImageError
from tests.builders.mutations import BYTES, Generator, choose

Member = tuple[str, bytes]
Rows = dict[str, tuple[str, str]]
"""Class and digest of the pixels of each image, by its name in the shard."""
CLASSES = ("cat", "dog", "hen")
COUNT = 12  # images of a shard


class Shard(NamedTuple):
    """What a damaged shard holds; `rows` None: nobody can say, only that it is not as it was."""

    deed: str
    content: bytes
    rows: Rows | None


def image_of(number: int) -> bytes:
    """An image with other pixels for each number; the format changes too."""
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def members_of(first: int, count: int = COUNT) -> list[Member]:
    """Images with their classes, in `.cls` or in `.json`."""
    members: list[Member] = []
    for number in range(first, first + count):
        name = CLASSES[number % 3]
        members.append((f"{number:04d}.png", image_of(number)))
        if number % 2:
            members.append((f"{number:04d}.json", json.dumps({"label": name}).encode()))
        else:
            members.append((f"{number:04d}.cls", name.encode()))
    return members


def tar_of(members: list[Member], form: int = tarfile.USTAR_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def rows_of(members: list[Member]) -> Rows:
    """What members with plain names tell: of a name that stands twice the last counts, as for tar."""
    last = dict(members)
    rows: Rows = {}
    for name, content in last.items():
        key, _, suffix = name.rpartition(".")
        if suffix != "png":
            continue
        if f"{key}.cls" in last:
            rows[name] = (last[f"{key}.cls"].decode(), digest_of(content))
        elif f"{key}.json" in last:
            rows[name] = (json.loads(last[f"{key}.json"])["label"], digest_of(content))
    return rows


def digest_of(content: bytes) -> str:
    with Image.open(io.BytesIO(content)) as image:
        return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def damage_members(members: list[Member], outside: Path, rng: Generator) -> Shard:
    """Delete, repeat, reorder, rename or replace whole members; no shard may reach the file `outside`."""
    changed = [*members]
    place = int(rng.integers(0, len(changed)))
    name, content = changed[place]
    suffix = Path(name).suffix
    deed = choose(["delete", "repeat", "replace", "reorder", "rename", "outside", "odd names"], rng)
    rows = None
    if deed == "delete":
        del changed[place]
    elif deed == "repeat":
        changed.insert(int(rng.integers(0, len(changed))), (name, content))
    elif deed == "replace":
        changed.append((name, image_of(500) if suffix == ".png" else content))
    elif deed == "reorder":
        changed = [changed[i] for i in rng.permutation(len(changed))]
    elif deed == "rename":
        changed[place] = (f"9{name}", content)
    elif deed == "outside":
        key = choose(
            [str(outside), f"../{outside.name}", f"../../{outside.name}", f"a/../../{outside.name}"], rng
        )
        key = key.removesuffix(".png")
        number = int(rng.integers(0, len(members) // 2))
        changed += [(f"{key}.png", image_of(number)), (f"{key}.cls", b"cat")]
        return Shard(deed, tar_of(changed), None)
    else:
        key = choose(["", ".", "a" * 200, "é", "\udcff", "a b", "./x", "-rf", "x.tar/y", "con", "a//b"], rng)
        changed[place] = (f"{key}{suffix}", content)
        return Shard(deed, tar_of(changed, tarfile.GNU_FORMAT), None)
    form = choose([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], rng)
    rows = rows_of(changed)
    return Shard(deed, tar_of(changed, form), rows)


def damage_bytes(members: list[Member], rng: Generator) -> Shard:
    change = choose(BYTES, rng)
    return Shard(change.__name__, change(tar_of(members), rng), None)


def read_rows(data: ClassData) -> Rows:
    """What is read of each image; one that cannot be read is left out."""
    rows: Rows = {}
    for samples in data.splits.values():
        for sample in samples:
            try:
                image = read_image(sample.path).convert("RGB")
            except ImageError:
                continue
            digest = hashlib.sha256(image.tobytes()).hexdigest()
            name = str(sample.path).split(".tar/")[-1]
            rows[name] = (data.classes[sample.label], digest)
    return rows


def open_shards(folder: Path) -> ClassData:
    # files may change twice within the resolution of their times
    swinkit.data.io.tar._INDICES.clear()
    return open_classes(folder, val_fraction=0, min_classes=1)
