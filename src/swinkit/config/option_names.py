"""Options in messages: `batch_size` for Python, --batch-size on the command line.

Messages put options between backticks, alone or with a value: `tile`, `epochs=0`. Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

_QUOTED = re.compile(r"`([a-z_.0-9]+)(=[^`]*)?`")
_QUOTE = "'"
_PUNCTUATION = re.compile("[,']")
_on_command_line = ContextVar("on_command_line", default=False)


@contextmanager
def command_line() -> Iterator[None]:
    """Within, `spelled` writes options as they are typed."""
    before = _on_command_line.set(True)
    try:
        yield
    finally:
        _on_command_line.reset(before)


def spelled(message: str) -> str:
    """The message with its options as the user writes them: unchanged unless within `command_line`."""
    if "`" not in message or not _on_command_line.get():
        return message
    return _QUOTED.sub(lambda found: _flag(found[1], found[2] or "") or found[0], message)


def _flag(name: str, value: str) -> str | None:
    flag = _flags().get(name)
    if flag is None or not value:
        return flag
    several = value.startswith(("=(", "=["))  # they follow their option, without punctuation
    return f"{flag} {_PUNCTUATION.sub('', value[2:-1]) if several else value[1:].strip(_QUOTE)}"


@cache
def _flags() -> dict[str, str]:
    """Name, with or without its group → option as typed."""
    from swinkit.config.base import Settings
    from swinkit.config.benchmark import BenchmarkConfig
    from swinkit.config.evaluate import EvaluateConfig
    from swinkit.config.predict import EmbedConfig, PredictConfig
    from swinkit.config.train import TrainConfig

    flags = {name: f"--{name}" for name in ("out", "json", "csv", "overwrite", "classes")}
    groups: dict[str, str] = {}
    for config in (TrainConfig, EvaluateConfig, PredictConfig, EmbedConfig, BenchmarkConfig):
        for name, field in config.model_fields.items():
            flags[name] = f"--{_dashed(name)}"
            group = field.annotation
            if isinstance(group, type) and issubclass(group, Settings):
                for inner in group.model_fields:
                    groups[inner] = groups[f"{name}.{inner}"] = f"--{name}.{_dashed(inner)}"
    return groups | flags


def _dashed(name: str) -> str:
    return name.replace("_", "-")
