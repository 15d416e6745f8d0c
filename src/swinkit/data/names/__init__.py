"""Class names of published data sets, one list a file (sources: scripts/make_names.py)."""

from __future__ import annotations

from importlib.resources import files

from swinkit.errors import ConfigError, nearest

LISTS = ("imagenet-1k", "coco", "coco-stuff", "ade20k", "kinetics-400")


def class_names(name: str) -> list[str]:
    """Names in the order of the labels; ConfigError for an unknown list."""
    if name not in LISTS:
        raise ConfigError(f"There is no list of class names {name!r}: {nearest(name, LISTS)}")
    return (files("swinkit.data.names") / f"{name}.txt").read_text(encoding="utf-8").splitlines()
