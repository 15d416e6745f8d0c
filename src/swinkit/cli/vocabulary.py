"""The verbs that make and tune what open-vocabulary detectors look for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from swinkit.cli.tables import Overwrite, say, screen, table
from swinkit.config.predict import EmbedConfig
from swinkit.errors import ConfigError

ModelName = Annotated[str, Parameter(help="Run folder or weights file.")]
Out = Annotated[Path, Parameter(help="File to write, .safetensors.")]


def embed(
    model: ModelName,
    names: Annotated[
        list[str] | None, Parameter(help="Names, NAME=SYNONYM|SYNONYM for such as are called so.")
    ] = None,
    /,
    *,
    out: Out,
    file: Annotated[Path | None, Parameter(help="File of more names, one a line, written alike.")] = None,
    like: Annotated[
        list[str] | None, Parameter(help="Examples: FILE or FILE:x1,y1,x2,y2, NAME= before it.")
    ] = None,
    images: Annotated[
        list[str] | None, Parameter(help="Images or videos, folders, patterns, whose vectors to write.")
    ] = None,
    options: Annotated[EmbedConfig, Parameter(name="*")] = EmbedConfig(),  # noqa: B008, frozen
) -> None:
    """Write names with their embeddings as a vocabulary, or images with their vectors."""
    import swinkit
    from swinkit.tasks.open_vocab.queries import parse_names

    chosen = options.model_dump(exclude_unset=True)
    if images:
        if names or file is not None or like:
            raise ConfigError("Say what to embed: --images alone, or names, --file and --like.")
        vectors = swinkit.embed(model, images, out=out, **chosen)
        say(f"Vectors of {len(vectors)} images, {vectors.shape[1]} numbers each: {out}")
        return
    if not names and file is None and not like:
        raise ConfigError("Say what to embed: names, --file, --like or --images.")
    named = parse_names(names or ()) or None
    made = swinkit.embed(model, names=named, file=file, like=like, out=out, **chosen)
    say(f"Vocabulary of {len(made)} names: {out}  (`swin predict … --vocabulary {out}` looks for them)")


def calibrate(
    model: ModelName,
    data: Annotated[str, Parameter(help="Pictures with boxes, some of each name.")],
    /,
    *,
    out: Out,
    vocabulary: Annotated[
        str | None, Parameter(help="File of names and embeddings; by default the model's own classes.")
    ] = None,
    split: Annotated[str | None, Parameter(help="Part of the data; by default train, else all.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Pick the score from which each name counts, and write a vocabulary that holds it."""
    import swinkit

    made, known = swinkit.calibrate(
        model, data, out=out, vocabulary=vocabulary, split=split, overwrite=overwrite
    )
    assert made.thresholds is not None
    rows = [
        (name, f"{threshold:.3f}" if name in known else f"{threshold:.3f} (not in the data, or never found)")
        for name, threshold in zip(made.names, made.thresholds.tolist(), strict=True)
    ]
    screen.print(table(("name", "from score"), rows))
    say(f"Vocabulary: {out}")
