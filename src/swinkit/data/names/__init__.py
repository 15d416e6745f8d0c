"""Class names of published data sets, one list a file (sources: scripts/make_names.py)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from swinkit.errors import ConfigError, nearest
from swinkit.labels import Labels

_COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # ids that COCO's 80 classes leave out
LISTS = ("imagenet-1k", "coco", "coco-stuff", "ade20k", "kinetics-400")


def class_names(name: str) -> list[str]:
    """Names in the order of the labels; ConfigError for an unknown list."""
    if name not in LISTS:
        raise ConfigError(f"There is no list of class names {name!r}: {nearest(name, LISTS)}")
    return (files("swinkit.data.names") / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def labels_named(names: Sequence[str]) -> Labels:
    """Labels of these names; where they are COCO's 80, with its category ids."""
    same = len(names) == 80 and list(names) == class_names("coco")
    return Labels.of(names, [i for i in range(1, 91) if i not in _COCO_GAPS] if same else ())
