"""Masks whose values mean other classes in each split, as files beside the masks of a split say: by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from swinkit.data.segmentation.folders import Layout, colour_table, read_colours
from swinkit.data.segmentation.label_map import LabelMap
from swinkit.data.segmentation.mask_names import Pair
from swinkit.data.segmentation.published_maps import Meaning, as_model, ignoring, read_description
from swinkit.errors import DataError
from swinkit.labels import Labels

DESCRIPTION = "dataset.yaml"


def part_meanings(layout: Layout, root: Path, ignored: Sequence[int]) -> dict[str, Meaning]:
    """Return what the masks of each split mean; nothing if no split has a description of its own.

    A split's description, or table of colours, lies beside its masks or one folder above, below `root`. A
    split without one has the meaning of the whole data set, else that of the first split.
    """
    own: dict[str, Meaning] = {}
    for part, pairs in layout.parts.items():
        folder = pairs[0].mask.parent
        for place in (folder, folder.parent):
            meaning = _meaning_in(place) if place != root and place.is_relative_to(root) else None
            if meaning is not None:
                own[part] = ignoring(meaning, ignored)
                break
    if not own:
        return {}
    common = layout.meaning or next(iter(own.values()))
    return {part: own.get(part, common) for part in layout.parts}


def _meaning_in(folder: Path) -> Meaning | None:
    if (folder / DESCRIPTION).is_file():
        return read_description(folder / DESCRIPTION).meaning(folder / DESCRIPTION)
    table = colour_table(folder)
    return None if table is None else read_colours(table)


def by_name(
    meanings: Mapping[str, Meaning], classes: Sequence[str] | None, root: Path, notes: list[str]
) -> tuple[Labels, dict[str, LabelMap]]:
    """Give the classes of all splits one order, and each split a map to it; a note says what differs.

    The order is that of the first split, or of a model's `classes`.
    """
    names: dict[str, tuple[int, int, int]] = {}
    for labels, _ in meanings.values():
        for name, colour in zip(labels.names, labels.colours, strict=True):
            names.setdefault(name, colour)
    labels = Labels(tuple(names), tuple(names.values())) if classes is None else Labels.of(classes)
    maps = {part: as_model(meaning, labels.names, root)[1] for part, meaning in meanings.items()}
    values = {part: _values_by_name(meaning) for part, meaning in meanings.items()}
    first, *others = values
    different: list[str] = []
    for part in others:
        for name, value in values[part].items():
            if value != values[first].get(name, value):
                different.append(f"{name!r} is {values[first][name]} in {first} and {value} in {part}")
    if different:
        more = f" and {len(different) - 8} more" if len(different) > 8 else ""
        notes.append(
            f"Masks of {root} have other values for a class in each split; they are read by the names: "
            f"{'; '.join(different[:8])}{more}."
        )
    return labels, maps


def _values_by_name(meaning: Meaning) -> dict[str, object]:
    labels, label_map = meaning
    table: Mapping[object, int] = label_map.colours or label_map.values  # type: ignore[assignment]
    return {labels.names[label]: value for value, label in table.items()}


def maps_of_splits(
    splits: Mapping[str, Sequence[Pair]], by_mask: Mapping[Path, LabelMap], default: LabelMap
) -> dict[str, LabelMap]:
    """Return the map of each split; DataError where masks of two maps are in one."""
    chosen: dict[str, LabelMap] = {}
    for split, pairs in splits.items():
        maps = {id(own): own for own in (by_mask.get(pair.mask, default) for pair in pairs)}
        if any(own != next(iter(maps.values())) for own in maps.values()):
            raise DataError(
                f"The masks of {split} have values of two meanings: keep the splits of the data as they are, "
                "or write all masks with the same values."
            )
        chosen[split] = next(iter(maps.values()), default)
    return chosen
