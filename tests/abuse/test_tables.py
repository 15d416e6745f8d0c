"""Damaged tables: what damage does not touch is read as before, or its loss is named, or all is refused."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from swinkit.api import check_data
from swinkit.errors import SwinkitError
from tests.builders.limits import Tally, attempt, check_sentence, digests, memory_limit
from tests.builders.mutations import (
    BYTES,
    ENCODINGS,
    Generator,
    as_json,
    change_tokens,
    change_value,
    choose,
)
from tests.builders.tables import DOCUMENTS, NAMES, Document, Found, check_valid, images_in, read_found

CASES, SEED = 2400, 24
SAMPLE = 104  # of the default tests: 8 of each kind of table


class Damage(NamedTuple):
    """New content; the images of which it may tell something else, None: all, none: it means the same."""

    deed: str
    content: bytes
    touched: set[str] | None


def damage_text(document: Document, file: Path, rng: Generator) -> Damage:
    content = file.read_bytes()
    if file.suffix in (".safetensors", ".npz"):
        return damage_bytes(content, rng)
    kind = rng.random()
    if kind < 0.2:
        return damage_bytes(content, rng)
    text = content.decode()
    if kind < 0.3:
        return same_meaning(document, file, text, rng)
    if file.suffix == ".json":
        return damage_json(text, rng)
    lines = text.splitlines(keepends=True)
    if kind < 0.4:
        return damage_rows(document, file, lines, rng)
    place = int(rng.integers(0, len(lines)))
    changed = [*lines]
    changed[place] = change_tokens(lines[place], rng)
    return Damage(
        "tokens",
        "".join(changed).encode("utf-8", "surrogatepass"),
        touched_by(document, file, lines, changed),
    )


def damage_bytes(content: bytes, rng: Generator) -> Damage:
    change = choose(BYTES, rng)
    return Damage(change.__name__, change(content, rng), None)


def same_meaning(document: Document, file: Path, text: str, rng: Generator) -> Damage:
    """Another encoding, line ends, indentation: to be read as before, or refused."""
    deed = choose([*ENCODINGS, "crlf", "blank lines", "indent"], rng)
    if deed == "crlf":
        return Damage(deed, text.replace("\n", "\r\n").encode(), set())
    if deed == "indent" and file.suffix == ".json":
        return Damage(deed, json.dumps(json.loads(text), indent=3, sort_keys=True).encode(), set())
    if deed in ("blank lines", "indent"):
        return Damage(deed, f"{text}\n\n".encode(), set())
    lossless = deed.startswith("utf-") and deed != "utf-7"
    return Damage(deed, ENCODINGS[deed](text), set() if lossless else None)


def damage_rows(document: Document, file: Path, lines: list[str], rng: Generator) -> Damage:
    """Delete, repeat or reorder whole rows."""
    head, rows = lines[: document.head], lines[document.head :]
    deed = choose(["delete", "repeat", "reorder"], rng)
    if not rows:
        return Damage("nothing", "".join(lines).encode(), set())
    place = int(rng.integers(0, len(rows)))
    if deed == "delete":
        del rows[place]
    elif deed == "repeat":
        rows.insert(place, rows[place])
    else:
        rows = [rows[i] for i in rng.permutation(len(rows))]
    changed = head + rows
    return Damage(deed, "".join(changed).encode(), touched_by(document, file, lines, changed))


def touched_by(document: Document, file: Path, lines: list[str], changed: list[str]) -> set[str] | None:
    """Images of which a changed text may tell something else."""
    if file.name in document.global_files or lines[: document.head] != changed[: document.head]:
        return None
    if document.by_file:
        return images_in([file.stem])
    before, after = Counter(lines), Counter("".join(changed).splitlines(keepends=True))
    return images_in([*(before - after), *(after - before)])


def damage_json(text: str, rng: Generator) -> Damage:
    content: dict[str, Any] = json.loads(text)
    if rng.random() < 0.1:
        return Damage("tokens", change_tokens(text, rng).encode("utf-8", "surrogatepass"), None)
    key = choose(["images", "annotations", "annotations", "categories", ""], rng)
    if key in ("", "categories"):
        return Damage(f"JSON {key}", as_json(change_value(content, rng)), None)
    rows = content[key]
    place = int(rng.integers(0, len(rows)))
    changed = change_value(rows[place], rng)
    touched = _ids(rows[place], key) | _ids(changed, key)
    if key == "images":
        # an id that an annotation or another image has is theirs too
        touched |= _ids(changed, "annotations")
    rows[place] = changed
    names = {row["file_name"] for row in coco_images(text) if str(row["id"]) in touched}
    return Damage(
        f"JSON {key}", as_json(content), names | images_in([json.dumps(changed, ensure_ascii=False)])
    )


def coco_images(text: str) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = json.loads(text)["images"]
    return images


def _ids(row: Any, key: str) -> set[str]:
    own = row.get("id" if key == "images" else "image_id") if isinstance(row, dict) else None
    return {str(own)} if isinstance(own, int | float | str) else set()


def check_found(damage: Damage, found: Found, before: Found) -> str:
    """Right as it was, or a part with its loss named; how it ended."""
    check_valid(found)
    for note in found.notes:
        check_sentence(note)
    if found.listing == before.listing:
        return "right"
    if damage.touched is None:
        return "read otherwise, all may be touched"
    assert damage.touched, "other content, though the meaning is the same"
    named = bool(found.faults or set(found.notes) - set(before.notes) or set(found.listing) - set(NAMES))
    for name, shown in before.listing.items():
        if name in damage.touched:
            check_touched(name, damage, found, before, named)
        elif name in found.listing:
            assert found.listing[name] == shown, name
        else:
            assert named, f"{name} is gone without a word"
    return "a part or changed rows, named" if named else "changed rows"


def check_touched(name: str, damage: Damage, found: Found, before: Found, named: bool) -> None:
    """An image whose rows were damaged never becomes one without objects, unless that is named."""
    if damage.deed == "delete" or _is_negative(before.listing[name]):
        return
    shown = found.listing.get(name)
    lost = shown is None or _is_negative(shown)
    if not lost or (shown is not None and found.source.name == "labels.csv"):
        return  # an empty cell of the column labels is an image without labels
    is_there = name in str(damage.content, "utf-8", "replace")
    assert named or not is_there, f"{name} lost its objects without a word"


def _is_negative(shown: Any) -> bool:
    return shown == [("train", [])]


def run_case(document: Document, file: Path, damage: Damage, before: Found) -> str:
    content = file.read_bytes()
    file.write_bytes(damage.content)
    try:
        found = attempt(partial(read_found, document))
        if isinstance(found, SwinkitError):
            return "refused"
        end = check_found(damage, found, before)
        if set(found.listing) - set(NAMES) and document.read is None:
            report = attempt(partial(check_data, document.source, progress=False))
            assert isinstance(report, SwinkitError) or report.broken, "a file is not there without a word"
        return end
    finally:
        file.write_bytes(content)


def run_cases(folder: Path, cases: int, seed: int) -> Tally:
    tally = Tally("tables")
    for place, make in enumerate(DOCUMENTS):
        document = make(folder / f"{place}")
        before = read_found(document)
        sound = digests(folder / f"{place}")
        with memory_limit():
            for number in range(cases // len(DOCUMENTS)):
                rng = np.random.default_rng((seed, place, number))
                file = choose(document.files, rng)
                damage = damage_text(document, file, rng)
                with tally.case(number, f"{document.kind}, {file.name}: {damage.deed}"):
                    tally.add(run_case(document, file, damage, before))
        assert digests(folder / f"{place}") == sound
    return tally


def test_damaged_tables(tmp_path: Path) -> None:
    run_cases(tmp_path, SAMPLE, SEED).check()


@pytest.mark.slow
def test_many_damaged_tables(tmp_path: Path) -> None:
    run_cases(tmp_path, CASES, SEED + 1).check()
