"""Write a model as its ecosystem reads it, with images and classes where it has a place for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from swinkit.config.preprocessing import Preprocessing
from swinkit.core.config import SwinConfig
from swinkit.files import MADE_BY, is_replaceable, make_folder, mark_archive, write_atomically, write_text
from swinkit.text_files import read_json
from swinkit.weights.beside import BESIDE, Beside
from swinkit.weights.checksum import with_checksum
from swinkit.weights.containers import FILE_KEY
from swinkit.weights.image_processors import write_processor
from swinkit.weights.timm_config import not_timm, timm_config
from swinkit.weights.writing import find_target

PROCESSOR, CONFIG, TENSORS = "preprocessor_config.json", "config.json", "model.safetensors"


def is_folder(path: Path, name: str) -> bool:
    """Whether a dialect is written as a folder: transformers' always, timm's for a name without a suffix."""
    return name == "huggingface" or (name == "timm" and (path.suffix == "" or path.is_dir()))


def written_names(path: Path, name: str) -> tuple[str, ...]:
    """Names of the files that `write_dialect` writes into a folder."""
    if name == "huggingface":
        return (TENSORS, CONFIG, PROCESSOR)
    return (TENSORS, CONFIG) if is_folder(path, name) else ()


def write_dialect(
    path: Path,
    tensors: dict[str, Tensor],
    name: str,
    extra: dict[str, Any],
    config: SwinConfig,
    beside: Beside,
) -> tuple[str, ...]:
    """Write a state dict as its ecosystem reads it; sentences on what that ecosystem will not know.

    huggingface: a folder with model.safetensors, config.json (`extra`) and preprocessor_config.json. timm: a
    folder with config.json, or a file with one beside it. Else one file: safetensors by that suffix, or
    torch's own, in which Microsoft's lies under "model", OpenMMLab's under "state_dict". All but torch's own
    of timm and torchvision hold `beside`, which swinkit reads back.
    """
    contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
    if is_folder(path, name):
        make_folder(path)
        _write_safetensors(path / TENSORS, contiguous, beside)
    elif path.suffix == ".safetensors":
        _write_safetensors(path, contiguous, beside)
    else:
        write_atomically(path, partial(_save_marked, _content(contiguous, name, beside)))
    title, pre, labels = find_target(name).dialect.title, beside.preprocessing, beside.labels
    if name == "huggingface":
        _write_json(path / CONFIG, extra)
        return (*_write_images(path, beside), *_unsaid(title, pre, {}))
    if name == "timm":
        notes = _write_timm(path, timm_config(config, labels, pre, beside.licence), beside)
        return (*notes, *_unsaid(title, pre, beside.settings))
    return (_lost(path, name, beside),)


def _write_safetensors(path: Path, tensors: dict[str, Tensor], beside: Beside) -> None:
    metadata = with_checksum(tensors, {"format": "pt", "creator": MADE_BY, BESIDE: beside.to_text()})
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))


def _content(tensors: dict[str, Tensor], name: str, beside: Beside) -> dict[str, Any]:
    """What torch saves: tensors alone where the other code expects nothing else."""
    if name not in ("microsoft", "openmmlab"):
        return dict(tensors)
    content: dict[str, Any] = {"model" if name == "microsoft" else "state_dict": tensors}
    labels = beside.labels
    if labels is not None and not labels.numbered:
        colours = [list(colour) for colour in labels.colours]
        content["meta"] = {"CLASSES": list(labels.names), "PALETTE": colours}
    return content | {BESIDE: beside.to_text()}


def _save_marked(content: dict[str, Any], path: Path) -> None:
    torch.save(content, path)
    mark_archive(path)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps({"creator": MADE_BY, **content}, indent=2, ensure_ascii=False)
    write_text(path, f"{text}\n")


def _write_images(folder: Path, beside: Beside) -> tuple[str, ...]:
    """Write preprocessor_config.json, if transformers can compute the preprocessing."""
    pre = beside.preprocessing
    if pre is None:
        return ()
    processor = write_processor(pre)
    if processor is None:
        (folder / PROCESSOR).unlink(missing_ok=True)  # of another model
        size = "×".join(map(str, pre.sides[::-1]))
        kind = f"resize={pre.resize!r} to {size}" if pre.antialias else "antialias=False"
        return (f"transformers cannot compute this preprocessing ({kind}); swinkit reads it back.",)
    _write_json(folder / PROCESSOR, processor)
    whole = pre.dense is not None and pre.dense.short is None
    if pre.rounding == "torchvision" and pre.resize == "short" and pre.square is None and not whole:
        differs = "be shifted" if pre.dense is None else "have sides shorter"
        return (
            "transformers rounds sizes and margins down where this model rounds to the nearest: its images "
            f"may {differs} by one pixel.",
        )
    return ()


def _write_timm(path: Path, content: dict[str, Any], beside: Beside) -> tuple[str, ...]:
    """Write timm's config.json into the folder, or beside a file where nothing else has that name."""
    folder = is_folder(path, "timm")
    config = (path if folder else path.parent) / CONFIG
    if not folder and not _is_of(config, path):
        return (
            f"{config} is not that of {path.name}, so timm will not know preprocessing and class names: give "
            "OUT as a new folder.",
        )
    _write_json(config, {**content, FILE_KEY: TENSORS if folder else path.name})
    pre = beside.preprocessing
    faults = [] if pre is None else not_timm(pre)
    if not faults:
        return ()
    kept = "; swinkit reads it back" if folder or path.suffix == ".safetensors" else ""
    return (f"timm does not compute this preprocessing ({', '.join(faults)}){kept}.",)


def _is_of(config: Path, weights: Path) -> bool:
    """Whether a config.json may be written: there is none, or it is one of ours for the same weights."""
    if not config.exists():
        return True
    try:
        stated = read_json(config)
    except (OSError, ValueError):
        return False
    named = stated.get(FILE_KEY) if isinstance(stated, dict) else None
    free = named == weights.name or (named is not None and not (weights.parent / str(named)).exists())
    return free and is_replaceable(config)


def _in_words(pre: Preprocessing) -> str:
    """Describe a preprocessing, for people who set it up elsewhere."""
    size, resized = (f"{width}×{height}" for height, width in (pre.sides, pre.resized))
    short = str(pre.resized[0]) if pre.resized[0] == pre.resized[1] else resized
    steps = {
        "short": f"short side to {short} ({pre.interpolation}), centre crop {size}",
        "stretch": f"stretched to {resized} ({pre.interpolation}), centre crop {size}",
        "border": f"fitted into {resized} ({pre.interpolation}), filled with the mean to {size}",
        "none": f"centre crop {size}",
        "exact": f"images of {size} alone",
    }
    step = steps[pre.resize]
    if pre.square is not None:
        step = f"{'stretched' if pre.square == 'stretch' else 'padded'} to {size}"
    elif pre.dense is not None:
        step = f"short side at most {pre.dense.short}, long side at most {pre.dense.long}"
    return f"{step}, mean {_plain(pre.mean)}, std {_plain(pre.std)} of values in 0..1"


def _plain(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)


def _unsaid(title: str, pre: Preprocessing | None, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what has no place in any file of a library."""
    notes = []
    if pre is not None and pre.ranged and pre.value_range is not None:
        low, high = pre.value_range
        notes.append(
            f"{title} code reads images of 8 bits: the value range {low:g}..{high:g} is part of mean and std "
            "there, and images of other values are not read so."
        )
    if settings.get("multi_label"):
        notes.append(f"{title} code does not know that an image may have several classes (multi_label).")
    return tuple(notes)


def _lost(path: Path, name: str, beside: Beside) -> str:
    """Name what a dialect without a place for it does not know, and what the preprocessing is."""
    archived = path.suffix != ".safetensors"
    labels, pre = beside.labels, beside.preprocessing
    parts = ["the preprocessing"]
    if labels is not None and not labels.numbered and not (archived and name in ("microsoft", "openmmlab")):
        parts.append("the class names")
    if beside.settings.get("multi_label"):
        parts.append("the option multi_label")
    what = " and ".join(parts)
    title = find_target(name).dialect.title
    them = "it" if len(parts) == 1 else "them"
    steps = "" if pre is None else f" The preprocessing: {_in_words(pre)}."
    if archived and name == "torchvision":
        return (
            f"{title} files have no place for {what}: lost in {path.name}. With a name that ends in "
            f".safetensors swinkit would read {them} back.{steps}"
        )
    return f"{title} code does not read {what} from {path.name}; swinkit reads {them} back.{steps}"
