"""Random command lines over all commands and options, which are read off the command itself."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cyclopts import App

from swinkit.cli.app import app
from tests.builders.mutations import WORDS, Generator, choose

# minutes of work where it is given right
LEFT_OUT = ("demo", "compare classification", "compare segmentation", "compare scaling")
# these start processes, compile, or repeat the work as often as is said
NOT_DRAWN = {
    "--compile", "--devices", "--num-nodes", "--max-restarts", "--strategy", "--runtime", "--log", "--rounds",
    "--overwrite", "--progress", "--dry-run", "--iterations", "--epochs", "--text", "--save-minutes",
}  # fmt: skip
_FAR = "99999999999999999999999"
INTEGERS = (*("1", "2", "7", "16") * 3, "0", "-1", "1.5", "x", "", "2147483648", _FAR, "1e3", "nan")
FLOATS = (*("0", "0.5", "1", "2") * 3, "-0.5", "nan", "inf", "-inf", "1e308", "1e-320", "x", "", _FAR)


class Option(NamedTuple):
    name: str
    hint: Any


class Sandbox(NamedTuple):
    """What command lines name: all of it lies in one folder, `work`, in which they run."""

    work: Path
    model: Path
    run: Path
    data: Path
    boxes: Path
    mine: Path  # a file of the user's, which no command may change


def commands() -> dict[str, list[Option]]:
    """The options of each command."""
    return {name: options for name, options in _commands(app, ()) if name not in LEFT_OUT}


def _commands(group: App, above: tuple[str, ...]) -> Iterator[tuple[str, list[Option]]]:
    for word in group:
        command = group[word]
        if word.startswith("-"):
            continue
        if command.default_command is not None:
            arguments = command.assemble_argument_collection()
            options = [Option(argument.names[0], argument.hint) for argument in arguments]
            named = [option for option in options if option.name.startswith("--")]
            yield " ".join((*above, word)), [option for option in named if option.name not in NOT_DRAWN]
        yield from _commands(command, (*above, word))


def draw_line(name: str, options: list[Option], box: Sandbox, rng: Generator) -> list[str]:
    """Arguments that are mostly right, then some options with right, wrong and extreme values."""
    line = [*name.split(), *_positional(name, box, rng)]
    for _ in range(choose((0, 1, 1, 2), rng)):
        option = choose(options, rng) if options else None
        if option is not None:
            line += [option.name, *_values(option, box, rng)]
    if rng.random() < 0.1:
        line.insert(int(rng.integers(1, len(line) + 1)), choose(("--nonsense", "-x", "--", *WORDS), rng))
    if rng.random() < 0.05:
        del line[int(rng.integers(0, len(line)))]
    return [word.replace("\0", "") for word in line]


def _positional(name: str, box: Sandbox, rng: Generator) -> list[str]:
    model = str(choose([box.model, box.model, box.run], rng))
    data = str(choose([box.data, box.data, box.boxes], rng))
    if rng.random() < 0.15:
        model = _path(box, rng)
    if rng.random() < 0.15:
        data = _path(box, rng)
    out = str(box.work / f"out{int(rng.integers(0, 10**9))}")
    light = ["--workers", "0", "--device", "cpu", "--no-progress"]
    image = str(box.data / "train" / "grün" / "0.png")
    if name == "train":
        how = [] if rng.random() < 0.06 else ["--dry-run"]
        return [data, "--model", model, "--out", out, "--epochs", "1", "--batch-size", "4", *light, *how]
    return {
        "evaluate": [model, data, "--out", out, *light],
        "predict": [model, choose([image, data], rng), "--out", out, *light],
        "embed": [model, "cat", "--out", f"{out}.safetensors"],
        "calibrate": [model, data, "--out", f"{out}.safetensors"],
        "models": [choose(["swin", "tiny", *WORDS], rng)],
        "convert": [model, f"{out}.safetensors", "--to", choose(["timm", "ours", "onnx", "x"], rng)],
        "inspect": [model],
        "benchmark": [model, "--size", "16", "--batch-size", "1", "--rounds", "1", "--no-progress"],
        "data check": [data, "--out", f"{out}.png"],
        "data shard": [data, out, "--size", "4"],
        "data convert": [data, out, "--to", choose(["coco", "yolo", "voc", "csv", "x"], rng)],
        "data split": [data, "--out", out],
    }[name]


def _values(option: Option, box: Sandbox, rng: Generator) -> list[str]:
    """Values for an option's type; of a type that is not known, any word."""
    if rng.random() < 0.05:
        return []  # forgotten
    hint = _plain(option.hint)
    if hint is bool:
        return []
    count = 1
    if typing.get_origin(hint) in (tuple, list):
        hint, count = _plain(typing.get_args(hint)[0]), int(rng.integers(0, 4))
    return [_value(option.name, hint, box, rng) for _ in range(count)]


def _plain(hint: Any) -> Any:
    """A type without None, and without what pydantic says of it."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _plain(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return _plain(next(part for part in typing.get_args(hint) if part is not type(None)))
    return hint


def _value(name: str, hint: Any, box: Sandbox, rng: Generator) -> str:
    if name == "--workers":
        return choose(("0", "-1", "x", "nan"), rng)
    if name == "--device":
        return choose(("cpu", "auto", "cuda:99", "gpu", "", "mps"), rng)
    if hint is int:
        return choose(INTEGERS, rng)
    if hint is float:
        return choose(FLOATS, rng)
    if typing.get_origin(hint) is Literal:
        return str(choose([*typing.get_args(hint), "x", ""], rng))
    if hint is Path or rng.random() < 0.4:
        return _path(box, rng)
    return str(choose(WORDS, rng))


def _path(box: Sandbox, rng: Generator) -> str:
    usual = (box.mine, box.data, box.model, box.run, box.work / "new", box.work / "no" / "such", box.work)
    odd = (
        f"{box.mine}/x",
        str(box.work / ("n" * 300)),
        "",
        ".",
        "gone.safetensors",
        "swin_pico",
        "swin_x",
        "é\udcff",
    )
    return str(choose([*usual, *odd], rng))
