"""The colours that masks of numbers bring along in their palette."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from PIL import Image

from swinkit.data.io.tar import open_file
from swinkit.data.segmentation.label_map import LabelMap
from swinkit.labels import Colour, Labels

LOOKED_AT = 16  # masks: one that holds few classes may have a short palette


def with_palette(labels: Labels, label_map: LabelMap, masks: Iterable[Path]) -> Labels:
    """Return classes in the colours of the masks' palette, if they have no colours of their own.

    The palette must have a colour for each class, each another one, and be the same in all masks; one of
    greys that equal the values is none.
    """
    if label_map.colours or labels.colours != Labels.of(labels.names).colours:
        return labels
    stored: dict[int, Colour] = {}
    for mask in islice(masks, LOOKED_AT):
        palette = _palette_of(mask)
        if palette is None:
            return labels
        for value in label_map.values:
            if value < len(palette) and stored.setdefault(value, palette[value]) != palette[value]:
                return labels
    colours = {label: stored[value] for value, label in label_map.values.items() if value in stored}
    grey = all(colour == (value, value, value) for value, colour in stored.items())
    if grey or len(colours) < len(labels) or len(set(colours.values())) < len(labels):
        return labels
    return replace(labels, colours=tuple(colours[label] for label in range(len(labels))))


def are_numbers(masks: Sequence[Path]) -> bool:
    """Return whether masks hold numbers without a palette, judged by the first that can be opened."""
    for mask in masks[:LOOKED_AT]:
        try:
            with open_file(mask) as file, Image.open(file) as image:
                return image.mode not in ("P", "PA", "RGB", "RGBA", "CMYK")
        except (OSError, ValueError):  # said where it is read
            continue
    return False


def _palette_of(mask: Path) -> list[Colour] | None:
    """Return the palette of a mask; None of one that has none or cannot be read."""
    try:
        with open_file(mask) as file, Image.open(file) as image:
            values = image.getpalette("RGB") if image.mode == "P" else None
    except (OSError, ValueError):  # said where it is read
        return None
    if values is None:
        return None
    return [(values[i], values[i + 1], values[i + 2]) for i in range(0, len(values) - 2, 3)]
