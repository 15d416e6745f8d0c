"""What a weights file in another spelling tells swinkit beside its tensors: other readers ignore it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swinkit.config.preprocessing import Preprocessing
from swinkit.errors import ConfigError, WeightsError
from swinkit.labels import Labels

BESIDE = "swinkit_beside"  # its key in the metadata of safetensors, and beside the tensors of a .pth


@dataclass(frozen=True)
class Beside:
    """Classes, preprocessing, task options, licence and history of a model that was written elsewhere."""

    labels: Labels | None
    preprocessing: Preprocessing | None
    settings: Mapping[str, Any]
    licence: str
    lineage: tuple[dict[str, Any], ...]

    def to_text(self) -> str:
        """JSON that `read_beside` takes back."""
        labels = None if self.labels is None else self.labels.to_list()
        images = None if self.preprocessing is None else self.preprocessing.model_dump(mode="json")
        content = {
            "labels": labels,
            "preprocessing": images,
            "settings": dict(self.settings),
            "licence": self.licence,
            "lineage": list(self.lineage),
        }
        return json.dumps(content)


def read_beside(metadata: Mapping[str, str], source: str) -> Beside | None:
    """What `to_text` wrote, if it is there; WeightsError where it is damaged."""
    if BESIDE not in metadata:
        return None
    try:
        content: dict[str, Any] = json.loads(metadata[BESIDE])
        labels, images = content["labels"], content["preprocessing"]
        return Beside(
            None if labels is None else Labels.from_list(labels),
            None if images is None else Preprocessing.checked(images),
            dict(content["settings"]),
            str(content["licence"]),
            tuple(dict(step) for step in content["lineage"]),
        )
    except (ConfigError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsError(f"{source} has damaged metadata ({BESIDE}): convert it again.") from error
