"""Damage to bytes, text and JSON, each by a seeded generator: the same seed gives the same damage."""

from __future__ import annotations

import codecs
import copy
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

Generator = np.random.Generator
Change = Callable[[bytes, Generator], bytes]


def place_in(data: bytes, rng: Generator) -> int:
    return int(rng.integers(0, max(len(data), 1)))


def flip_bits(data: bytes, rng: Generator) -> bytes:
    """One to four bits, anywhere."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        changed[place_in(data, rng)] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def cut(data: bytes, rng: Generator) -> bytes:
    return data[: place_in(data, rng)]


def cut_begin(data: bytes, rng: Generator) -> bytes:
    return data[1 + place_in(data, rng) // 8 :]


def insert_junk(data: bytes, rng: Generator) -> bytes:
    place = place_in(data, rng)
    return data[:place] + rng.bytes(int(rng.integers(1, 40))) + data[place:]


def zero_block(data: bytes, rng: Generator) -> bytes:
    place, count = place_in(data, rng), int(rng.integers(1, 600))
    return data[:place] + bytes(min(count, len(data) - place)) + data[place + count :]


def drop_block(data: bytes, rng: Generator) -> bytes:
    place, count = place_in(data, rng), int(rng.integers(1, 200))
    return data[:place] + data[place + count :]


def repeat_block(data: bytes, rng: Generator) -> bytes:
    place, count = place_in(data, rng), int(rng.integers(1, 200))
    return data[: place + count] + data[place : place + count] + data[place + count :]


def append_junk(data: bytes, rng: Generator) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 3000)))


def extreme_number(data: bytes, rng: Generator) -> bytes:
    """Four bytes become the largest or smallest number, in either order of bytes."""
    place = place_in(data, rng)
    numbers = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", bytes(4))
    return data[:place] + numbers[int(rng.integers(0, len(numbers)))] + data[place + 4 :]


BYTES: tuple[Change, ...] = (
    flip_bits,
    cut,
    cut_begin,
    insert_junk,
    zero_block,
    drop_block,
    repeat_block,
    append_junk,
    extreme_number,
)

# words that stand where a name, a number or a path is expected
WORDS = (
    "",
    " ",
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e308",
    "1e999",
    "99999999999999999999999",
    "0x10",
    "1_000",
    "٣",
    "½",
    "null",
    "true",
    "no",
    "~",
    "[]",
    "{}",
    "[[1, 2], [3]]",
    "{a: {b: c}}",
    "'",
    '"',
    "a\tb",
    "../../../../etc/passwd",
    "/etc/passwd",
    "/dev/zero",
    "..",
    ".",
    "CON",
    "https://example.org/a.png",
    "*",
    "$(touch /tmp/swinkit-abuse)",
    "`id`",
    "!!python/object/apply:os.system ['touch /tmp/swinkit-abuse']",
    "&a [*a]",
    "%s%n%x",
    "{0}",
    "é",
    "e\u0301",
    "\u202ecat",
    "\u200b",
    "\ufeff",
    "\x00",
    "\x1b[31m",
    "日本",
    "a" * 5000,
    "9" * 5000,
)
# what JSON may hold instead
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    0.5,
    2**31,
    2**63,
    2**64,
    10**400,
    -(10**30),
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "1",
    "nan",
    "\ud800",
    "../../a.png",
    "a" * 5000,
    [],
    [None],
    [[]],
    [1, 2, 3, 4],
    [[1, 2], [3, 4]],
    {},
    {"a": 1},
    {"counts": "]", "size": [1, 1]},
    {"counts": [0, 10**12], "size": [10**6, 10**6]},
    {"counts": [-5, 10], "size": [4, 4]},
)
_TOKEN = re.compile(r"[\w.+-]+|\s+|[^\w\s]")


def choose(options: Any, rng: Generator) -> Any:
    return options[int(rng.integers(0, len(options)))]


def change_tokens(text: str, rng: Generator) -> str:
    """Delete, repeat, replace or swap one or two words or signs of a text."""
    tokens = _TOKEN.findall(text)
    for _ in range(int(rng.integers(1, 3))):
        if not tokens:
            break
        place = int(rng.integers(0, len(tokens)))
        deed = int(rng.integers(0, 5))
        if deed == 0:
            del tokens[place]
        elif deed == 1:
            tokens.insert(place, tokens[place])
        elif deed == 2:
            other = int(rng.integers(0, len(tokens)))
            tokens[place], tokens[other] = tokens[other], tokens[place]
        else:
            tokens[place] = choose(WORDS, rng)
    return "".join(tokens)


def change_value(value: Any, rng: Generator) -> Any:
    """Replace, delete or add something, anywhere below a value of JSON; the value itself is not changed."""
    value = copy.deepcopy(value)
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return copy.deepcopy(choose(VALUES, rng))
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = choose(keys, rng)
    deed = rng.random()
    if deed < 0.15:
        del value[key]
    elif deed < 0.25 and isinstance(value, list):
        value.insert(key, copy.deepcopy(choose(VALUES, rng)))
    elif deed < 0.25:
        value[choose(WORDS, rng)] = value.pop(key)
    elif deed < 0.6 or not isinstance(value[key], dict | list):
        value[key] = copy.deepcopy(choose(VALUES, rng))
    else:
        value[key] = change_value(value[key], rng)
    return value


def as_json(value: Any) -> bytes:
    """JSON as Python writes it, lone surrogates as escapes."""
    return json.dumps(value).encode()


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "utf-8-sig": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-be with mark": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-32": lambda text: text.encode("utf-32"),
    "latin-1": lambda text: text.encode("latin-1", "replace"),
    "gbk": lambda text: text.encode("gbk", "replace"),
    "utf-7": lambda text: text.encode("utf-7"),
}
