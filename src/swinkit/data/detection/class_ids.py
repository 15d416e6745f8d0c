"""Classes that files of one data set number differently: they are one by their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from swinkit.data.detection.layout import Layout
from swinkit.errors import DataError


def ids_by_name(names: Mapping[int, str], layout: Layout, file: Path) -> dict[int | None, int]:
    """Return the id in the layout of each class of a file: that of the same name in earlier files, if any.

    Raises DataError where an id stands for a class that only this file has and for another of other files:
    it may be a new class or a new name.
    """
    earlier = {name: own for own, name in layout.names.items()}
    ids: dict[int | None, int] = {}
    moved, renamed = [], []
    free = max([*names, *layout.names], default=0)
    for own, name in names.items():
        if name in earlier:
            ids[own] = earlier[name]
        elif own not in layout.names:
            ids[own] = own
        elif layout.names[own] in names.values():
            free += 1
            ids[own] = free
        else:
            renamed.append(f"{own} {name!r}, and another part {layout.names[own]!r}")
            continue
        layout.names[ids[own]] = name
        if ids[own] != own:
            moved.append(f"{name!r} {own}, elsewhere {ids[own]}")
    if renamed:
        raise DataError(
            f"{file} calls category {'; category '.join(renamed[:8])}: give a class the same name in all "
            "parts."
        )
    if moved:
        more = f" and {len(moved) - 8} more" if len(moved) > 8 else ""
        layout.remarks.append(
            f"{file.name} gives classes other ids than another part; they are read by their names: "
            f"{'; '.join(moved[:8])}{more}."
        )
    return ids
