"""Published recipes and presets: options of training, one YAML file each."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from swinkit.config.base import merged, read_yaml
from swinkit.errors import ConfigError, check_local, nearest

_RECIPES = files("swinkit.recipes")


def recipes() -> list[str]:
    """Names of the recipes that come along."""
    return sorted(Path(entry.name).stem for entry in _RECIPES.iterdir() if entry.name.endswith(".yaml"))


def read_recipe(name: str, model: str) -> dict[str, Any]:
    """Options of a recipe for a model; ConfigError for an unknown one.

    `like` in its file names the recipe that it changes. `by_model` holds options for some models, by the
    name of the variant or, before that, of the published weights.
    """
    check_local(name, ConfigError, "recipe")
    if name not in recipes():
        raise ConfigError(f"There is no recipe {name!r}: {nearest(name, recipes())}")
    values = read_yaml(Path(str(_RECIPES / f"{name}.yaml")))
    special = values.pop("by_model", {})
    like = values.pop("like", None)
    if like is not None:
        values = merged(read_recipe(like, ""), values)
    own = special.get(model) or special.get(model.split(".")[0]) or {}
    return {**merged(values, own), "recipe": name}
