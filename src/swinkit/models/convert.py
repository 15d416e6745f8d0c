"""What `swin convert` and `swin inspect` do: a weights file into another dialect, and into words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from swinkit.core.backbone import Norms, SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.errors import ConfigError, nearest
from swinkit.files import check_target, check_targets
from swinkit.models.assembly import backbone_of, model_of
from swinkit.models.class_names import with_class_names
from swinkit.models.locate import open_named
from swinkit.models.save import save, to_dialect
from swinkit.models.scratch import ANCHOR_SCALE
from swinkit.models.variants import VARIANTS
from swinkit.tasks.base import Task
from swinkit.tasks.classify import Classifier
from swinkit.tasks.detect import Detector
from swinkit.tasks.segment import Segmenter
from swinkit.towers.vit import ViTConfig
from swinkit.weights.beside import Beside
from swinkit.weights.opening import Opened
from swinkit.weights.saving import is_folder, write_dialect, written_names
from swinkit.weights.store import LoadReport
from swinkit.weights.writing import TARGETS, huggingface_config

OURS = "safetensors"
WRITTEN = (".safetensors", ".pth", ".pt", ".bin", "")  # the last is a folder's


def convert_file(
    source: str | Path,
    out: Path,
    *,
    to: str,
    classes: Sequence[str] = (),
    pool_scales: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    filter_sizes: Sequence[int] | None = None,
    overwrite: bool = False,
) -> LoadReport:
    """Write a weights file in another dialect, or as ours (`safetensors`); the report of its reading.

    `classes` names the classes of a model that has numbers alone; `pool_scales`, `dilations` and
    `filter_sizes` are those of a segmentation model whose file does not tell them. Raises ConfigError for an
    unknown dialect, a model that the other code cannot build, or a file that is there and not ours, unless
    `overwrite`; WeightsError for a file that does not load whole.
    """
    if to != OURS and to not in TARGETS:
        raise ConfigError(f"There is no dialect {to!r}: {nearest(to, (OURS, *TARGETS))}")
    _check_out(source, out, to, overwrite=overwrite)
    opened = open_named(source)
    branches: dict[str, Any] = {
        "pool_scales": pool_scales,
        "dilations": dilations,
        "filter_sizes": filter_sizes,
    }
    notes: tuple[str, ...] = ()
    model: Task | SwinBackbone
    if opened.labels is None:
        if classes:
            raise ConfigError(f"{opened.source} holds a backbone, which has no classes: leave `classes` out.")
        final: Norms = "final" if "norm.weight" in opened.tensors else "none"
        model = backbone_of(opened, "each" if opened.normed else final)
    else:
        model = with_class_names(model_of(opened, **branches), classes)
    if to == OURS:
        if isinstance(model, SwinBackbone):
            raise ConfigError(
                f"{opened.source} holds a backbone alone, and our own file a whole model: say `to=microsoft` "
                "with a name that ends in .safetensors."
            )
        save(model, out, overwrite=overwrite)
    else:
        tensors = to_dialect(model, to)  # first, for it refuses what cannot be written
        net = model.backbone if isinstance(model, Task) else model
        extra = _huggingface_config(model, net) if to == "huggingface" else {}
        notes = write_dialect(out, tensors, to, extra, net.config, _beside(model, opened))
        if isinstance(model, Detector) and model.rpn_head.anchor_scale != ANCHOR_SCALE:
            scale = model.rpn_head.anchor_scale
            notes += (f"OpenMMLab's config must say anchor_generator scales=[{scale:g}] for this file.",)
    report = model.load_report
    assert isinstance(report, LoadReport)
    return replace(report, notes=(*report.notes, *notes))


def _huggingface_config(model: Task | SwinBackbone, net: SwinBackbone) -> dict[str, Any]:
    """config.json with which transformers builds the model."""
    labels = model.labels if isinstance(model, Task) else None
    maps = net.out_indices if net.norms == "each" else None
    heads = model.settings() if isinstance(model, Segmenter) else None
    extra = huggingface_config(net.config, labels, maps, heads)
    if isinstance(model, Classifier) and model.multi_label:
        extra["problem_type"] = "multi_label_classification"
    return extra


def _beside(model: Task | SwinBackbone, opened: Opened) -> Beside:
    """What a file of another dialect tells swinkit: all but the tensors."""
    if isinstance(model, SwinBackbone):
        return Beside(None, opened.preprocessing, {}, opened.licence, opened.lineage)
    return Beside(model.labels, model.preprocessing, model.settings(), model.licence, tuple(model.lineage))


def _check_out(source: str | Path, out: Path, to: str, *, overwrite: bool) -> None:
    """Refuse to write over the source, or over what swinkit has not written."""
    if out.exists() and Path(source).exists() and out.resolve() == Path(source).resolve():
        raise ConfigError(f"{out} is the file to convert: give another name for the new one.")
    if is_folder(out, to) and out.is_dir():
        check_targets(out, written_names(out, to), overwrite=overwrite)
    else:
        check_target(out, *WRITTEN, overwrite=overwrite)


def describe_file(source: str | Path) -> list[tuple[str, str]]:
    """What a weights file is, as rows of a table; WeightsError where it is no Swin."""
    opened = open_named(source)
    size = opened.config.input_size
    tensors = [*opened.tensors.values(), *opened.dense.values()]
    rows = [
        ("file", opened.source),
        ("dialect", opened.dialect),
        ("model", opened.other_head or _what(opened)),
        *_architecture(opened),
        ("input", f"{opened.config.in_chans} channels" + (f", trained at {_by(size)}" if size else "")),
        ("classes", _classes(opened)),
        ("parameters", f"{sum(math.prod(t.shape) for t in tensors) / 1e6:.2f} M in backbone and head"),
    ]
    if opened.others:
        rows.append(("other tensors", f"{len(opened.others)}, such as {next(iter(opened.others))}"))
    if opened.dropped:
        rows.append(("left out", f"{len(opened.dropped)}, such as {opened.dropped[0]}"))
    if opened.licence:
        rows.append(("licence", opened.licence))
    return rows


def _architecture(opened: Opened) -> list[tuple[str, str]]:
    config = opened.config
    if isinstance(config, ViTConfig):
        numbers = f"{config.width}; {config.layers}; {config.heads}"
        return [("vision transformer: width, layers, heads", numbers), ("patch", f"{config.patch}")]
    return [
        ("architecture", _variant(opened, config)),
        ("channels, depths, heads", f"{config.embed_dim}; {_list(config.depths)}; {_list(config.num_heads)}"),
        ("window, patch", f"{_windows(config)}; {_by(config.patch_size)}"),
        ("fit", config.fit),
        ("absolute position", "yes" if config.absolute_position else "no"),
    ]


def _what(opened: Opened) -> str:
    if opened.labels is None:
        return "a backbone whose maps have norms of their own" if opened.normed else "a backbone"
    kinds = {
        "classify": "an image classifier",
        "video": "a video classifier",
        "segment": f"a segmentation model ({opened.settings.get('head')})",
        "detect": f"a detector ({opened.settings.get('head')})",
        "open_vocabulary": "an open-vocabulary detector",
        "contrastive": "pictures and captions in one space",
    }
    return kinds.get(opened.task, opened.task)


def _variant(opened: Opened, config: SwinConfig) -> str:
    """Its name in the table, rather that of the file's own task and head."""
    swins = {name: own for name, own in VARIANTS.items() if own.settings.get("kind") != "vit"}
    found = [name for name, variant in swins.items() if _shape(variant.config()) == _shape(config)]
    own = [name for name in found if VARIANTS[name].task == opened.task]
    head = opened.settings.get("head")
    same = [name for name in own if VARIANTS[name].options.get("head") == head]
    return next(iter((*same, *own, *found)), "none of the table's")


def _shape(config: SwinConfig) -> tuple[object, ...]:
    return (config.embed_dim, config.depths, config.num_heads, config.patch_size, config.windows)


def _classes(opened: Opened) -> str:
    if opened.labels is None:
        return "none"
    names = "numbered" if opened.numbered else ", ".join(opened.labels.names[:3])
    return f"{len(opened.labels)} ({names}{'' if opened.numbered or len(opened.labels) < 4 else ' …'})"


def _windows(config: SwinConfig) -> str:
    shown = list(dict.fromkeys(map(_by, config.windows)))
    return ", ".join(shown)


def _by(numbers: tuple[int, ...]) -> str:
    return "×".join(map(str, numbers))


def _list(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
