"""Where weights lie: behind a published name, in a file, a run folder or a Hugging Face folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from swinkit.data.names import class_names, labels_named
from swinkit.errors import ConfigError, WeightsError, check_local, nearest, shortened
from swinkit.files import check_regular
from swinkit.models.variants import VARIANTS
from swinkit.weights.catalog import CATALOG
from swinkit.weights.containers import holds_checkpoint
from swinkit.weights.download import fetch, fetch_folder
from swinkit.weights.opening import Opened, open_weights

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".json")


def find_file(path: str | Path) -> Path:
    """The weights behind a name, file, run or Hugging Face folder; WeightsError where there are none."""
    if not isinstance(path, str | Path):
        raise ConfigError(f"{shortened(repr(path), 60)} is no model: give a name, a file or a folder.")
    check_local(path, WeightsError)
    try:
        return _find_file(Path(path))
    except OSError as error:
        raise WeightsError(f"{str(path)[:200]} cannot be read ({error.strerror or error}).") from error


def _find_file(path: Path) -> Path:
    if path.is_dir():
        for name in ("best.safetensors", "last.safetensors"):
            if (path / name).is_file():
                return path / name
        if holds_checkpoint(path):
            return path
        raise WeightsError(
            f"{path} holds neither best.safetensors nor last.safetensors: is it a run folder? Nor has it the "
            "model.safetensors or pytorch_model.bin of a Hugging Face folder."
        )
    if path.exists():
        return check_regular(path)
    if str(path) in CATALOG:
        weights = CATALOG[str(path)]
        return (fetch_folder if weights.repository else fetch)(str(path), weights)
    if str(path) in VARIANTS:
        published = next((name for name, one in CATALOG.items() if one.variant == str(path)), None)
        take = "train it" if published is None else f"take published weights, {published}, or train it"
        raise WeightsError(f"{path} is an architecture without weights: {take}, or use swinkit.create.")
    if path.parent == Path() and path.suffix not in SUFFIXES:  # no path at all: rather a misspelt name
        known = CATALOG if path.suffix else VARIANTS
        raise WeightsError(f"There is no model, file or run folder {path}: {nearest(str(path), known)}")
    raise WeightsError(f"There is no weights file or run folder {path}: check the path.")


def open_named(name: str | Path, *, window: Any = None, img_size: Any = None) -> Opened:
    """Open weights, and add what the catalogue knows of published ones: class names and licence.

    `window` and `img_size` as in `open_weights`.
    """
    opened = open_weights(find_file(name), window=window, img_size=img_size)
    published = CATALOG.get(str(name))
    if published is None:
        return opened
    labels, numbered = opened.labels, opened.numbered
    if published.labels is not None and labels is not None and numbered:
        names = class_names(published.labels)
        if len(names) == len(labels):
            labels, numbered = labels_named(names), False
    lineage = ({"published": str(name), "url": published.url}, *opened.lineage)
    return replace(opened, labels=labels, numbered=numbered, licence=published.licence, lineage=lineage)
