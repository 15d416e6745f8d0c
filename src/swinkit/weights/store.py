"""Our own file: safetensors that describe themselves; written whole or not at all; loaded with a report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from safetensors.torch import save_file
from torch import Tensor, nn

from swinkit.errors import SwinkitError, WeightsError, shortened
from swinkit.files import write_atomically
from swinkit.progress import console, remark
from swinkit.weights.checksum import with_checksum

HEADER_KEY = "swinkit"
FORMAT = 1
HEADER = ("task", "config", "labels", "preprocessing", "settings", "licence", "lineage")
Model = TypeVar("Model", bound=nn.Module)
RECOMPUTED = ("relative_position_index", "attn_mask")  # stand in foreign files; ours come from the size
MAX_FRESH = 2**34  # parameters that start fresh beside those of a file
COUNTERS = "num_batches_tracked"  # of batch norms; nothing depends on them, and few files keep them


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor of a file and of a model, by name.

    `initialised` are new on purpose (a head for other classes); `missing` and `unexpected` are not, and
    raise WeightsError unless `strict=False`. `notes` are sentences for the user.
    """

    source: str
    loaded: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    initialised: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, int, str]]:
        """For a table: what happened, to how many tensors, the first of them."""
        groups = {key: names for key, names in asdict(self).items() if key not in ("source", "notes")}
        groups = {key: names for key, names in groups.items() if names or key == "loaded"}
        return [(key, len(names), ", ".join(names[:3])) for key, names in groups.items()]

    def sentence(self) -> str:
        """The report in one line: how many tensors were loaded, and which were not."""
        others = [f"{what} {first}" + (" …" if count > 3 else "") for what, count, first in self.rows()[1:]]
        return "; ".join([f"{self.source}: {len(self.loaded)} tensors loaded", *others]) + "."


def write_file(path: Path, tensors: Mapping[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors, and the header as JSON in the metadata, as one safetensors file."""
    ours = {name: tensor.detach().cpu().contiguous() for name, tensor in file_names(tensors).items()}
    metadata = {"format": "pt", HEADER_KEY: json.dumps({"format": FORMAT, **header})}
    sealed = with_checksum(ours, metadata)
    write_atomically(path, lambda temporary: save_file(ours, temporary, sealed))


def adopt(
    build: Callable[[], Model],
    tensors: Mapping[str, Tensor],
    *,
    source: str,
    renew: tuple[str, ...] = (),
    strict: bool = True,
) -> tuple[Model, LoadReport]:
    """Build a model around tensors of its own names, without copying them, and report on every one.

    `renew` names beginnings of names that start fresh on purpose. Raises WeightsError where something is
    missing, unexpected or of another shape, unless `strict=False`: what is missing then starts fresh too.
    Half precision becomes single.
    """
    try:
        with torch.device("meta"):
            model = build()
    except (ArithmeticError, RuntimeError, TypeError) as error:
        if isinstance(error, SwinkitError):
            raise
        raise WeightsError(
            f"No model can be built as {source} describes it ({shortened(error)}): take another copy."
        ) from error
    own = model.state_dict()
    dropped = [name for name in tensors if name.startswith(renew or ("\0",)) or name.endswith(RECOMPUTED)]
    usable = {name: tensor for name, tensor in tensors.items() if name not in dropped}
    fitting = {name: t for name, t in usable.items() if name in own and own[name].shape == t.shape}
    broken = next((name for name, t in fitting.items() if not t.is_meta and not t.isfinite().all()), None)
    if broken is not None:
        raise WeightsError(f"{source} holds no numbers (NaN or infinity) in {broken}: take an earlier file.")
    absent = [name for name in own if name not in fitting]
    told = [name for name in absent if not name.endswith(COUNTERS)]
    missing = [name for name in told if not name.startswith(renew or ("\0",))]
    report = LoadReport(
        source,
        loaded=tuple(fitting),
        dropped=tuple(dropped),
        initialised=tuple(name for name in told if name not in missing),
        missing=tuple(missing),
        unexpected=tuple(name for name in usable if name not in fitting),
    )
    if strict and (report.missing or report.unexpected):
        raise WeightsError(_misfit(source, missing, list(report.unexpected), own, usable))
    fresh_numbers = sum(own[name].numel() for name in absent)
    if fresh_numbers > MAX_FRESH:
        raise WeightsError(
            f"{source} lacks {fresh_numbers:.3g} parameters of the model that it describes: take another "
            "copy of the file."
        )
    fresh = build().state_dict() if absent else {}
    given = {name: tensor.to(own[name].dtype) for name, tensor in fitting.items()}
    model.load_state_dict({**given, **{name: fresh[name] for name in absent}}, assign=True)
    return model, report


def canonical_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """File names to module names: what is not a head's belongs to the backbone.

    Files spell the backbone's tensors as Microsoft's do, without a prefix; its modules have one.
    """
    norms = ("norm.", "norm0.", "norm1.", "norm2.", "norm3.")
    roots = ("patch_embed.", "absolute_pos_embed", "layers.", "vit.", *norms)
    return {
        f"backbone.{name}" if name.startswith(roots) else name: tensor for name, tensor in tensors.items()
    }


def file_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Module names to file names, which are Microsoft's."""
    return {name.removeprefix("backbone."): tensor for name, tensor in tensors.items()}


_CAUSES = (
    ("relative_position_bias_table", "the window differs: give window"),
    ("absolute_pos_embed", "it was trained at another size: give img_size"),
    ("patch_embed.proj.weight", "patches or channels of the input differ: give patch or in_chans"),
    ("psp_modules.", "the pooling differs: give `pool_scales`"),
    ("aspp_modules.", "the branches differ: give `dilations`"),
    ("dcm_modules.", "the branches differ: give filter_sizes"),
    (".attn.qkv.weight", "the channels differ: give embed_dim"),
    (".mlp.", "the hidden layers are of another width: give mlp_ratio"),
    (".conv_seg.", "the classes differ: give num_classes"),
    ("head.", "the classes differ: give num_classes"),
    ("fc_cls.", "the classes differ: give num_classes"),
)


def _likely_cause(name: str) -> str:
    """What a wrong shape of a tensor most likely comes from, and the option to give."""
    cause = next((cause for part, cause in _CAUSES if part in name), None)
    return "" if cause is None else f"; {cause}"


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
            f"{name} with {tuple(given[name].shape)} in the file and {tuple(own[name].shape)} in the model"
            f"{_likely_cause(name)}."
        )
    parts = [
        f"{len(names)} tensors {what} (such as {names[0]})"
        for what, names in (("are missing", missing), ("are not the model's", unexpected))
        if names
    ]
    return f"{source} does not fit the model: {' and '.join(parts)}; strict=False loads the rest."


def show_changes(report: LoadReport | None) -> None:
    """Print what became of weights, unless all of them were taken as they are."""
    if report is not None and (len(report.rows()) > 1 or report.notes):
        show_report(console(), report)


def show_report(console: Console, report: LoadReport) -> None:
    """Print what became of the tensors of a weights file as a table."""
    table = Table("tensors", "count", "such as", title=report.source)
    for what, count, names in report.rows():
        table.add_row(what, str(count), Text(names))
    console.print(table)
    for note in report.notes:
        remark(console, f"Note: {note}")
