"""Numbers of a tower, as a file or a user states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from swinkit.errors import ConfigError


def check_numbers(kind: type[Any], values: Mapping[str, Any], what: str) -> None:
    """Refuse what is no field of a dataclass of whole numbers from 1 on: ConfigError."""
    known = [field.name for field in fields(kind)]
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"A {what} has no setting {name!r}: it has {', '.join(known)}.")
        if type(value) is not int or value < 1:
            raise ConfigError(f"{name}={value!r} of a {what}: give a whole number from 1 on.")
