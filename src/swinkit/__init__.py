"""Shifted-window transformers, whole: train, evaluate, predict, explain and export Swin models."""

from typing import TYPE_CHECKING, Any

from swinkit._version import __version__

if TYPE_CHECKING:
    from swinkit.api import (
        backbone,
        benchmark,
        calibrate,
        check_data,
        convert,
        convert_data,
        create,
        dry_run,
        embed,
        evaluate,
        inspect,
        list_models,
        load,
        predict,
        shard_data,
        split_data,
        train,
    )
    from swinkit.models.save import optimize, save, to_dialect

__all__ = [
    "__version__",
    "backbone",
    "benchmark",
    "calibrate",
    "check_data",
    "convert",
    "convert_data",
    "create",
    "dry_run",
    "embed",
    "evaluate",
    "inspect",
    "list_models",
    "load",
    "optimize",
    "predict",
    "save",
    "shard_data",
    "split_data",
    "to_dialect",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import the API on first use: `swin --help` shall not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module 'swinkit' has no attribute {name!r}")
    from swinkit import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
