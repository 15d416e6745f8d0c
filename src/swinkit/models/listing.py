"""The models that there are, as tables: architectures, and published weights."""

from __future__ import annotations

from collections.abc import Sequence

from swinkit.models.variants import VARIANTS, Variant
from swinkit.weights.catalog import CATALOG

Rows = list[tuple[str, ...]]


def model_tables(words: Sequence[str] = ()) -> dict[str, tuple[tuple[str, ...], Rows]]:
    """Tables of all architectures and published weights, by title: the head, and the rows with all words.

    The first cell of a row is the model's name.
    """
    built: Rows = [
        (
            name,
            variant.task,
            "×".join(map(str, variant.counted_at)),
            _window(variant),
            *_short(variant.params, variant.macs),
        )
        for name, variant in VARIANTS.items()
    ]
    published: Rows = [
        (
            name,
            weights.task,
            weights.trained_on,
            "" if weights.metric is None else f"{weights.metric[0]} {weights.metric[1]}",
            *_short(*VARIANTS[weights.variant].cost(weights.classes)),
            weights.licence,
        )
        for name, weights in CATALOG.items()
    ]
    lower = [word.lower() for word in words]
    built = [row for row in built if all(word in " ".join(row).lower() for word in lower)]
    published = [row for row in published if all(word in " ".join(row).lower() for word in lower)]
    return {
        "Architectures": (("model", "task", "input", "window", "parameters", "MACs"), built),
        "Published weights": (
            ("model", "task", "trained on", "figure", "parameters", "MACs", "licence"),
            published,
        ),
    }


def _window(variant: Variant) -> str:
    """That of the first stage; nothing of a vision transformer."""
    if variant.settings.get("kind") == "vit":
        return ""
    return "×".join(map(str, variant.config().windows[0]))


def _short(params: int, macs: int) -> tuple[str, str]:
    """Parameters and MACs for a table."""
    return f"{params / 1e6:.1f} M", f"{macs / 1e9:.2f} G" if macs >= 1e9 else f"{macs / 1e6:.0f} M"
