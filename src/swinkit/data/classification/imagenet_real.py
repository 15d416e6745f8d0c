"""ImageNet-Real: several right labels for each picture of ImageNet's validation part (Beyer et al. 2020)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from swinkit.data.classification.samples import Sample, Samples
from swinkit.errors import DataError, check_local
from swinkit.text_files import read_json

_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})")


def relabel(samples: Samples, path: Path, *, classes: int) -> Samples:
    """Samples with all their labels by `real.json`; those without any are left out, as in the paper.

    Its place in the file is the number in a picture's name. Raises DataError where both do not fit.
    """
    lists = _read(path, classes)
    kept = []
    for sample in samples:
        number = _NUMBER.search(sample.path.name)
        if number is None or not 1 <= int(number[1]) <= len(lists):
            raise DataError(
                f"{sample.path} is no picture of ImageNet's validation part: those are named "
                f"ILSVRC2012_val_00000001 and so on, and {path} knows {len(lists)}."
            )
        labels = lists[int(number[1]) - 1]
        if labels:
            kept.append(Sample(sample.path, tuple(labels)))
    if not kept:
        raise DataError(f"{path} has no labels for any of these {len(samples)} pictures.")
    return Samples(kept, multi=True)


def _read(path: Path, classes: int) -> list[list[int]]:
    check_local(path, DataError, "real")
    try:
        lists: Any = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}): give real.json.") from error
    if not isinstance(lists, list) or not all(isinstance(some, list) for some in lists):
        raise DataError(f"{path} is no list of lists of labels: give real.json.")
    if not all(type(label) is int and 0 <= label < classes for some in lists for label in some):
        raise DataError(f"{path} has labels that the model's {classes} classes do not have.")
    return lists
