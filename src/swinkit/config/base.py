"""The base of all settings, and their way from and to YAML. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from swinkit.errors import ConfigError, check_local, nearest, shortened
from swinkit.text_files import read_text

Stored = TypeVar("Stored", bound="Settings")


class Settings(BaseModel):
    """Base of all settings: immutable, and no unknown key passes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """Build from values, paths as text; ConfigError names the key at fault and the nearest right one."""
        try:
            return cls(**{k: str(value) if isinstance(value, Path) else value for k, value in values.items()})
        except ValidationError as error:
            raise ConfigError(explain(error, cls)) from error


def stored(kind: type[Stored], values: Any) -> Stored:
    """Build settings from what a file of ours holds, whose types must be exact; else ConfigError."""
    try:
        return kind.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise ConfigError(explain(error, kind)) from error


def merged(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The base with given options over it, group by group."""
    result = dict(base)
    for key, value in given.items():
        old = result.get(key)
        values = value.model_dump(exclude_unset=True) if isinstance(value, Settings) else value
        result[key] = merged(old, values) if isinstance(old, dict) and isinstance(values, dict) else value
    return result


def read_yaml(path: Path) -> dict[str, Any]:
    """Keys and values of a YAML file; ConfigError where it cannot be read or is no mapping."""
    import yaml  # here, for `swin --help` shall be quick

    check_local(path, ConfigError)

    try:
        values = yaml.safe_load(read_text(path))
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path} cannot be read as text in UTF-8: {shortened(error)}.") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        if "escape" in reason:
            reason += "; in double quotes write / instead of a backslash"
        raise ConfigError(f"{path} is not valid YAML: {shortened(reason)}.") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is not valid YAML: it is nested too deeply.") from error
    except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as error:
        # PyYAML lets pass what its own constructors raise: a date such as 2024-13-45, `!!int x`
        raise ConfigError(
            f"{path} is not valid YAML: a value cannot be read ({shortened(error)})."
        ) from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"{path} holds no settings: give lines of the form `epochs: 30`.")
    return values


def to_yaml(config: Settings) -> str:
    """The settings as YAML that `read_yaml` takes back."""
    import yaml

    return str(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def explain(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first fault in one sentence; with `model`, an unknown key gets its nearest neighbour."""
    fault = error.errors()[0]
    *parents, key = fault["loc"] or ("value",)
    where = shortened(".".join(map(str, fault["loc"])), 100)
    if fault["type"] == "extra_forbidden" and model is not None:
        owner: Any = model
        for parent in parents:
            owner = owner.model_fields[str(parent)].annotation
        return f"There is no option {where!r}: {nearest(str(key)[:100], owner.model_fields)}"
    message = fault["msg"].removeprefix("Value error, ").removesuffix(".")
    if not fault["loc"] or message.startswith("`"):  # of several options together, or naming its option
        return f"{message}."
    given = shortened(repr(fault["input"]), 100)
    return f"`{where}={given}` does not fit: {message[0].lower()}{message[1:]}."
