"""Our own file: safetensors that describe themselves; written whole or not at all; loaded with a report."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from swinkit.errors import WeightsError
from swinkit.files import write_atomically

HEADER_KEY = "swinkit"
FORMAT = 1
HEADER = ("task", "config", "labels", "preprocessing", "settings", "licence", "lineage")
RECOMPUTED = ("relative_position_index", "attn_mask")  # stand in foreign files; ours come from the size


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor of a file and of a model, by name.

    `initialised` are new on purpose (a head for other classes); `missing` and `unexpected` are not, and
    raise WeightsError unless `strict=False`.
    """

    source: str
    loaded: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    initialised: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, int, str]]:
        """For a table: what happened, to how many tensors, the first of them."""
        groups = {key: names for key, names in asdict(self).items() if key != "source"}
        groups = {key: names for key, names in groups.items() if names or key == "loaded"}
        return [(key, len(names), ", ".join(names[:3])) for key, names in groups.items()]

    def sentence(self) -> str:
        """The report in one line: how many tensors were loaded, and which were not."""
        others = [f"{what} {first}" + (" …" if count > 3 else "") for what, count, first in self.rows()[1:]]
        return "; ".join([f"{self.source}: {len(self.loaded)} tensors loaded", *others]) + "."


def write_file(path: Path, tensors: Mapping[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors, and the header as JSON in the metadata, as one safetensors file."""
    ours = {_file_name(name): tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": "pt", HEADER_KEY: json.dumps({"format": FORMAT, **header})}
    write_atomically(path, lambda temporary: save_file(ours, temporary, metadata))


def read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of one of our files; anything else raises WeightsError that says what it is."""
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path}: check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is no readable safetensors file ({error}): it may be cut short or of another kind."
        ) from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}).") from error
    if HEADER_KEY not in metadata:
        raise WeightsError(f"{path} was not written by swinkit: it does not say what model it holds.")
    try:
        header: dict[str, Any] = json.loads(metadata[HEADER_KEY])
        absent = [key for key in ("format", *HEADER) if key not in header]
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{path} has a damaged header: its metadata is no JSON.") from error
    if absent:
        raise WeightsError(f"{path} has a damaged header: {absent[0]!r} is missing from its metadata.")
    if header["format"] > FORMAT:
        raise WeightsError(f"{path} was written by a newer swinkit: update with `pip install -U swinkit`.")
    return tensors, header


def adopt(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    source: str,
    renew: Collection[str] = (),
    strict: bool = True,
) -> LoadReport:
    """Copy tensors into a model by its own names, and report on every one.

    `renew` names tensors of the model that keep their fresh values on purpose. Raises WeightsError where
    something is missing, unexpected or of another shape, unless `strict=False`.
    """
    own = model.state_dict()
    dropped = [name for name in tensors if name in renew or name.endswith(RECOMPUTED)]
    usable = {name: tensor for name, tensor in tensors.items() if name not in dropped}
    fitting = {name: t for name, t in usable.items() if name in own and own[name].shape == t.shape}
    unexpected = [name for name in usable if name not in fitting]
    missing = [name for name in own if name not in fitting and name not in renew]
    report = LoadReport(
        source,
        loaded=tuple(fitting),
        dropped=tuple(dropped),
        initialised=tuple(name for name in own if name in renew),
        missing=tuple(missing),
        unexpected=tuple(unexpected),
    )
    if strict and (missing or unexpected):
        raise WeightsError(_misfit(source, missing, unexpected, own, usable))
    model.load_state_dict(fitting, strict=False)
    return report


def canonical_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """File names to module names: what is not a head's belongs to the backbone.

    Files spell the backbone's tensors as Microsoft's do, without a prefix; its modules have one.
    """
    roots = ("patch_embed.", "absolute_pos_embed", "layers.", "norm.", "norm0.", "norm1.", "norm2.", "norm3.")
    return {
        f"backbone.{name}" if name.startswith(roots) else name: tensor for name, tensor in tensors.items()
    }


def _file_name(name: str) -> str:
    return name.removeprefix("backbone.")


def _misfit(
    source: str,
    missing: list[str],
    unexpected: list[str],
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
) -> str:
    reshaped = [name for name in unexpected if name in own]
    if reshaped:
        name = reshaped[0]
        return (
            f"{source} does not fit the model: {len(reshaped)} tensors have another shape, the first is "
            f"{name} with {tuple(given[name].shape)} in the file and {tuple(own[name].shape)} in the model."
        )
    parts = [
        f"{len(names)} tensors {what} (such as {names[0]})"
        for what, names in (("are missing", missing), ("are not the model's", unexpected))
        if names
    ]
    return f"{source} does not fit the model: {' and '.join(parts)}; strict=False loads the rest."
