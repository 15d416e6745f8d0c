"""The library whose towers these are."""

from __future__ import annotations

from typing import Any

from swinkit.errors import ConfigError


def import_transformers() -> Any:
    """Hugging Face's transformers; ConfigError with the line that installs it."""
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(
            "Text towers, tokenizers and OWL's vision transformers need transformers: "
            "pip install 'swinkit[owl]'."
        ) from error
    return transformers
