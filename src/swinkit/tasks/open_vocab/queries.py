"""From names and examples to queries: embeddings of what an open-vocabulary detector shall find."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from swinkit.data.detection.few_shot import drawn_objects
from swinkit.data.detection.samples import ObjectSamples, exif_hint
from swinkit.data.io.images import header_size
from swinkit.data.io.in_memory import is_in_memory
from swinkit.errors import ConfigError, check_local
from swinkit.features import Size
from swinkit.heads.owl import normalised
from swinkit.progress import console, remark
from swinkit.tasks.base import InputLike
from swinkit.tasks.open_vocab.example_boxes import checked_choice
from swinkit.tasks.open_vocab.two_towers import TwoTowers
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.text_files import read_text
from swinkit.towers.tokens import tokenizer_of

ROUNDING = 0.5  # pixels by which a box may leave its image without a note
AT_ONCE = 64  # prompts that are read at once
CLIP7 = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""CLIP's seven best templates, as OWL-ViT is evaluated."""
_BOX = re.compile(r"(?P<file>.+):(?P<box>[^:]+,[^:]+)")
Box = tuple[float, float, float, float]


class Example(NamedTuple):
    """A picture of what to find: in a box, x1, y1, x2, y2 in its pixels, or the likeliest object in it."""

    image: InputLike
    box: Box | None = None

    @property
    def name(self) -> str:
        """The file's, without its suffix."""
        return Path(self.image).stem if isinstance(self.image, str | Path) else "example"


def parse_example(text: str) -> tuple[str, Example]:
    """`FILE`, `FILE:x1,y1,x2,y2` or `NAME=` before these; ConfigError for what is none of them."""
    check_local(text, ConfigError)
    match = None if Path(text).is_file() else _BOX.fullmatch(text)
    name, file = _called(text if match is None else match["file"])
    if not file or name == "":
        raise ConfigError(f"{text!r}: give FILE, FILE:x1,y1,x2,y2, or NAME= before one of these.")
    check_local(file, ConfigError)
    box = None if match is None else _as_box(match["box"].split(","))
    example = Example(file, box)
    return example.name if name is None else name.strip(), example


def _called(text: str) -> tuple[str | None, str]:
    """What stands before a file's name, which may have a = of its own."""
    if Path(text).is_file() or "=" not in text:
        return None, text
    splits = [(text[: at.start()], text[at.end() :]) for at in re.finditer("=", text)]
    return next((own for own in splits if Path(own[1]).is_file()), splits[0])


def parse_names(texts: Iterable[str]) -> dict[str, list[str]]:
    """Names with what is asked for: `NAME` itself, or the synonyms of `NAME=SYNONYM|SYNONYM`; each once."""
    found: dict[str, list[str]] = {}
    for text in texts:
        name, _, synonyms = text.partition("=")
        asked = [own.strip() for own in (synonyms or name).split("|")]
        found[name.strip()] = list(dict.fromkeys([*found.get(name.strip(), ()), *asked]))
    return found


def _as_box(given: Any) -> Box:
    """Four numbers; ConfigError for anything else."""
    try:
        left, top, right, bottom = map(float, np.asarray(given).ravel())
    except (TypeError, ValueError) as error:
        raise ConfigError(f"box={given!r}: give x1, y1, x2, y2 in pixels.") from error
    return left, top, right, bottom


Named = Mapping[str, Sequence[str | Example]]


def gather(names: Any = None, examples: Any = None) -> Named:
    """Names and examples as one mapping: what is called so, and by what it is found, all of it together.

    `names` are a sequence, or a mapping from each to its synonyms, among which may be examples. `examples`
    are pictures, pairs of picture and box, or texts as `parse_example` takes them; or a mapping from names to
    such. Those of one name are averaged. ConfigError for anything else.
    """
    found: dict[str, list[str | Example]] = {}
    if isinstance(names, str):
        names = [names]
    if names is not None and not isinstance(names, Mapping):
        given = list(names)
        told = [one for one in given if isinstance(one, str)]
        if len(told) < len(given):
            if examples is not None:
                raise ConfigError("Give names as the first, and examples as the second of what to find.")
            names, examples = told, [one for one in given if not isinstance(one, str)]
        else:
            names = told
    for name in names or ():
        if not isinstance(name, str):
            raise ConfigError(f"{name!r} is no name of what to find: give a text.")
        several = names[name] if isinstance(names, Mapping) else [name]
        several = [several] if isinstance(several, str | Example) else list(several)
        found.setdefault(str(name), []).extend(
            one if isinstance(one, str) else _example(one)[1] for one in several
        )
    if isinstance(examples, Mapping):
        for name, several in examples.items():
            listed = [several] if _is_single(several) else several
            found.setdefault(str(name), []).extend(_example(one)[1] for one in listed)
    else:
        for one in [examples] if _is_single(examples) else examples or ():
            name, example = _example(one)
            found.setdefault(name, []).append(example)
    if not found:
        raise ConfigError("Say what to find: names, examples, or a vocabulary.")
    for name, several in found.items():
        if not name.strip() or not several:
            raise ConfigError(f"{name!r} is no name of what to find.")
    return found


def _is_single(given: Any) -> bool:
    """Whether this is one example, not several: a picture, or a picture and a box."""
    if isinstance(given, str | Path | Example) or is_in_memory(given):
        return True
    if not isinstance(given, tuple) or len(given) != 2:
        return False
    box = given[1]
    if isinstance(box, np.ndarray | Tensor):
        return box.shape == (4,)
    return box is None or (not isinstance(box, str | Path | Image.Image) and len(box) == 4)


def _example(given: Any) -> tuple[str, Example]:
    if isinstance(given, Example):
        return given.name, given
    if isinstance(given, str):
        return parse_example(given)
    if isinstance(given, Path) or is_in_memory(given):
        example = Example(given)
        return example.name, example
    if isinstance(given, Sequence) and len(given) == 2 and not isinstance(given, str):
        image, box = given
        example = Example(image, None if box is None else _as_box(box))
        return example.name, example
    raise ConfigError(
        f"{given!r:.60} is neither a name nor an example: give a text, a picture, or a picture and a box."
    )


def find_queries(
    model: TwoTowers,
    names: Any = None,
    examples: Any = None,
    *,
    prompts: Sequence[str] | None = None,
    negatives: Sequence[str] = (),
    by: str | None = None,
) -> Vocabulary:
    """What `OpenVocabulary.find` looks for."""
    checked_choice(by)
    if isinstance(names, Vocabulary):
        stated = names
    elif isinstance(names, str | Path) and is_vocabulary(names):
        stated = Vocabulary.load(names)
    else:
        named = gather(names, examples)
        return vocabulary_of(model, named, prompts=prompts, negatives=negatives, by=by)
    if examples is not None:
        own = vocabulary_of(model, gather(None, examples), by=by)
        stated = stated.joined(own)
    if negatives:
        others = vocabulary_of(model, {name: [name] for name in negatives}, prompts=prompts)
        stated = replace(stated.joined(others), negatives=len(others))
    return stated


def queries_for(model: TwoTowers, file: str | None, classes: Sequence[str]) -> Vocabulary:
    """Queries for the classes of a data set: of a vocabulary, or as the text tower reads their names.

    A file of names, one a line, says which names there may be, and their synonyms; ConfigError for a class
    that is not there.
    """
    if file is not None and is_vocabulary(file):
        return Vocabulary.load(file).chosen(classes)
    named = {name: [name] for name in classes} if file is None else parse_names(names_in(Path(file)))
    missing = [name for name in classes if name not in named]
    if missing:
        raise ConfigError(f"{file} does not have {missing[0]!r}, a class of the data: add it.")
    return vocabulary_of(model, {name: named[name] for name in classes})


def example_queries(
    model: TwoTowers, samples: ObjectSamples, classes: Sequence[str], *, shots: int, seed: int
) -> tuple[Vocabulary, list[str]]:
    """A query for each class, of so many objects drawn from labelled pictures, and the classes that have any.

    The same for the same seed. A class without an example gets a query that is like nothing.
    """
    rows, shown = [], []
    for name, own in zip(classes, drawn_objects(samples, len(classes), shots, seed), strict=True):
        parts = []
        for number, i in own:
            sample = samples[number]
            box = _inside(sample.boxes[i].tolist(), sample.size or header_size(sample.image))
            parts.append(embed_picture(model, Example(sample.image, box)))
        if parts:
            shown.append(name)
        rows.append(normalised(torch.stack(parts).mean(0)) if parts else torch.zeros(model.dim))
    if not shown:
        raise ConfigError("No class has an example to draw: is the part train labelled?")
    return Vocabulary(tuple(classes), torch.stack(rows)), shown


def _inside(box: Sequence[float], size: Size) -> Box:
    """A labelled box without what lies outside of its picture of (height, width)."""
    left, top, right, bottom = box
    return max(0.0, left), max(0.0, top), min(float(size[1]), right), min(float(size[0]), bottom)


def is_vocabulary(text: str | Path) -> bool:
    """Whether a text names a vocabulary's file, not what to find."""
    return str(text).endswith((".safetensors", ".npz")) or ".npz:" in str(text)


def vocabulary_of(
    model: TwoTowers,
    named: Named,
    *,
    prompts: Sequence[str] | None = None,
    negatives: Sequence[str] = (),
    by: str | None = None,
) -> Vocabulary:
    """Queries for names with their synonyms and examples, each the mean of all that is said of it.

    Every name is put into each of `prompts`, in place of {}; by default the model's. `negatives` are names
    of what is not looked for. `by` is how queries are chosen of examples, as in `embed_example`.
    """
    prompts = model.prompts if prompts is None else [prompts] if isinstance(prompts, str) else prompts
    for prompt in prompts:
        if "{}" not in prompt:
            raise ConfigError(f"The prompt {prompt!r} has no {{}} where the name shall stand.")
    if not prompts:
        raise ConfigError("Give a prompt at least, such as 'a photo of a {}'.")
    twice = [name for name in negatives if name in named]
    if twice:
        raise ConfigError(f"{twice[0]!r} is to be found, and not to be found.")
    whole = {**named, **{name: [name] for name in negatives}}
    texts = list(dict.fromkeys(one for several in whole.values() for one in several if isinstance(one, str)))
    by_text: dict[str, Tensor] = {}
    if texts:
        by_text = _read(model, texts, prompts)
    rows = []
    for several in whole.values():
        parts = [
            by_text[one] if isinstance(one, str) else embed_picture(model, one, by=by)[None]
            for one in several
        ]
        rows.append(normalised(torch.cat([part.mean(0, keepdim=True) for part in parts])).mean(0))
    return Vocabulary(tuple(whole), normalised(torch.stack(rows)), negatives=len(negatives))


def _read(model: TwoTowers, texts: Sequence[str], prompts: Sequence[str]) -> dict[str, Tensor]:
    """Embeddings (prompts, dim) of texts; without a text tower those (1, dim) that the model has learnt."""
    learnt = model.known_embeddings(texts)
    if learnt is not None:
        return dict(zip(texts, learnt[:, None].unbind(0), strict=True))
    every = embed_texts(model, [prompt.replace("{}", text) for text in texts for prompt in prompts])
    return dict(zip(texts, every.unflatten(0, (len(texts), len(prompts))).unbind(0), strict=True))


@torch.inference_mode()
def embed_texts(model: TwoTowers, prompts: Sequence[str]) -> Tensor:
    """Embeddings (N, dim) of prompts, of length 1; ConfigError where the model cannot read."""
    if model.text is None:
        known = f"names of its {len(model.classes)} classes, " if model.classes else ""
        raise ConfigError(
            f"The model has no text tower: give {known}examples, or a vocabulary of embeddings."
        )
    if not model.tokenizer:
        raise ConfigError(
            "The model has no tokenizer to read names with: load a whole folder, with tokenizer.json, or "
            "vocab.json and merges.txt, beside the weights; or give a vocabulary of embeddings."
        )
    ids, mask = tokenizer_of(model.tokenizer)(prompts, model.text.config.context)
    with model.answering():
        parts = [
            model.text(own.to(model.device), which.to(model.device))
            for own, which in zip(ids.split(AT_ONCE), mask.split(AT_ONCE), strict=True)
        ]
    return normalised(torch.cat(parts).float().cpu())


@torch.inference_mode()
def embed_picture(model: TwoTowers, example: Example, *, by: str | None = None) -> Tensor:
    """The embedding (dim,) of an example, of length 1; ConfigError for a box that is not in its picture.

    What reaches over the edge is cut off, with a note.
    """
    batch = model.preprocess([example.image])
    box = None
    if example.box is not None:
        (height, width), (own_height, own_width) = batch.sizes[0], batch.valid[0][0]
        left, top, right, bottom = _within_image(example, (height, width))
        x, y = own_width / width / batch.images.shape[3], own_height / height / batch.images.shape[2]
        box = [left * x, top * y, right * x, bottom * y]
    images = batch.images.to(model.device, model.dtype)
    with model.answering():
        return normalised(model.embed_example(images, box, by=by)[0].float().cpu())


def _within_image(example: Example, size: Size) -> Box:
    """The box of an example, without what reaches over the edge of its image of (height, width).

    Raises ConfigError for a box that lies elsewhere, or is none.
    """
    assert example.box is not None
    left, top, right, bottom = box = example.box
    cut = _inside(box, size)
    path = Path(example.image) if isinstance(example.image, str | Path) else None
    what = f"The box {left:g},{top:g},{right:g},{bottom:g}"
    where = f"{path or 'its picture'} of {size[1]}×{size[0]} pixels"
    if not (all(map(math.isfinite, box)) and cut[0] < cut[2] and cut[1] < cut[3]):
        hint = None if path is None else exif_hint(path, size[::-1])
        raise ConfigError(f"{what} does not lie in {where}: {hint or 'give x1,y1,x2,y2'}.")
    if any(abs(edge - inner) > ROUNDING for edge, inner in zip(box, cut, strict=True)):
        remark(console(), f"Note: {what} reaches over the edge of {where}, and was cut there.")
    return cut


def names_in(file: Path) -> list[str]:
    """Names of a text file, one a line; ConfigError for one that cannot be read, or holds none."""
    check_local(file, ConfigError)
    try:
        lines = read_text(file).splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read as names, one a line ({error}).") from error
    found: Iterable[str] = (line.strip() for line in lines)
    names = list(dict.fromkeys(name for name in found if name))
    if not names:
        raise ConfigError(f"{file} holds no names.")
    return names
