"""Options of `swin evaluate`."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from swinkit.config.common import Masks, Runtimes, Views


class EvaluateConfig(Views, Masks, Runtimes):
    """Options of evaluate."""

    split: Literal["train", "val", "test"] | None = Field(
        default=None, description="Part of the data; by default val, else test, else all."
    )
    clips: int | None = Field(
        default=None, ge=1, description="Clips spread over each video; mean of all; by default the model's."
    )
    crops: Literal[1, 3, 5] = Field(
        default=1,
        description="5: centre and corners of a picture's central square; 3: along a video's long side.",
    )
    queries: str | None = Field(
        default=None,
        description="Open vocabulary: file of names, one a line, or of names and embeddings, to look for.",
    )
    shots: int | None = Field(
        default=None,
        ge=1,
        description="Open vocabulary: look for each class by so many examples, drawn from the part train.",
    )
    seed: int = Field(default=0, ge=0, description="Open vocabulary: of the drawing of examples.")
    novel: str | None = Field(
        default=None,
        description="Open vocabulary: file of names, one a line, not seen in training: their figure stands "
        "apart.",
    )
    classes: tuple[str, ...] = Field(
        default=(),
        description="Class names of a model whose classes are numbered, in its order, or a file of them "
        "(txt, json, csv); by default those of the data, sorted, where there are as many.",
    )
    real: str | None = Field(
        default=None,
        description="real.json of ImageNet-Real: all labels of each picture of ImageNet's val, in its order.",
    )
    out: str | None = Field(
        default=None,
        description="Folder for evaluation.json and pictures; by default the model's run folder.",
    )
    overwrite: bool = Field(
        default=False, description="Replace files that are there, even if swinkit has not written them."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.stride is not None and self.slide is None:
            raise ValueError("`stride` is the step of `slide`; give both")
        if "seed" in self.model_fields_set and self.shots is None:
            raise ValueError("`seed` is of the drawing of examples; give `shots` with it")
        return self

    @property
    def sought(self) -> dict[str, Any]:
        """What is looked for, as a report states it."""
        drawn = {} if self.shots is None else {"shots": self.shots, "seed": self.seed}
        return {"queries": self.queries, "novel": self.novel, **drawn}

    @field_validator("crops", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdecimal() else value
