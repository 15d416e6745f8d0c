"""Shifted-window transformers, whole: train, evaluate, predict, explain and export Swin models."""

from swinkit._version import __version__
from swinkit.api import backbone, create, evaluate, load, predict, save, train

__all__ = ["__version__", "backbone", "create", "evaluate", "load", "predict", "save", "train"]
