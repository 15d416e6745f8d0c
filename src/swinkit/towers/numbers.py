"""Numbers of a tower, as a file or a user states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from swinkit.errors import ConfigError, shortened

MAX_NUMBER = 2**20  # of any kind; a file that says more is damaged
MAX_LAYERS = 2**10


def check_numbers(kind: type[Any], values: Mapping[str, Any], what: str) -> None:
    """Refuse what is no field of a dataclass of whole numbers from 1 on, or absurdly large: ConfigError."""
    known = [field.name for field in fields(kind)]
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"A {what} has no setting {name!r}: it has {', '.join(known)}.")
        if type(value) is not int or value < 1:
            raise ConfigError(
                f"{name}={shortened(repr(value), 100)} of a {what}: give a whole number from 1 on."
            )
        limit = MAX_LAYERS if name == "layers" else MAX_NUMBER
        if value > limit:
            raise ConfigError(f"{name}={float(value):.3g} of a {what} is too large: give {limit} at most.")
