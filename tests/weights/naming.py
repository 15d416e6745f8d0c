"""Names of other dialects' files as ours, for tests that harm some of them."""

import re

from swinkit.weights.dialects import DIALECTS


def our_name(name: str, dialect: str) -> str:
    """Name of a tensor without prefix, in Microsoft's spelling (q, k and v stand apart)."""
    reader = next(known for known in DIALECTS if known.name == dialect)
    return reader.to_ours(re.sub(r"^(swin|backbone)\.", "", name))
