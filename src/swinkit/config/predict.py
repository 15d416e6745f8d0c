"""Options of `swin predict` and `swin embed`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from swinkit.config.base import Settings
from swinkit.config.common import Runtimes, Views


class PredictConfig(Views, Runtimes):
    """Options of predict."""

    topk: int = Field(default=5, ge=1, description="Classes shown for an input.")
    overwrite: bool = Field(
        default=False, description="Replace files that are there, even if swinkit has not written them."
    )
    clips: int | None = Field(
        default=None,
        ge=1,
        description="Clips spread over each video that answer for it; by default the model's.",
    )
    stream: bool = Field(
        default=False, description="Answer a video window by window: a timeline instead of one answer."
    )
    hop: float | None = Field(
        default=None,
        gt=0,
        description="Seconds from one window of --stream to the next; by default half a window.",
    )

    save: tuple[Literal["overlay", "colour", "index", "geojson"], ...] = Field(
        default=("overlay",), description="Segmentation: what is written of each picture."
    )
    tile: int | None = Field(
        default=None,
        ge=32,
        description="Segmentation and detection: answer pictures of any size, not resized, by tiles of this "
        "side.",
    )
    score: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Detection: how sure an object must be; by default the model's, 0.05.",
    )
    overlap: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Detection: overlap (IoU) from which of two objects of a class the surer stays; 0.5.",
    )
    detections: int | None = Field(
        default=None,
        ge=1,
        description="Detection: objects of a picture at most; by default 100, or of each of its tiles.",
    )
    classes: tuple[str, ...] = Field(
        default=(),
        description="Class names of a model whose classes are numbered, in its order, or a file of them "
        "(txt, json, csv). Detection, where the classes have names: only objects of these.",
    )
    track: bool = Field(
        default=False, description="Detection: follow the objects of a video; each keeps its number."
    )
    find: tuple[str, ...] = Field(
        default=(),
        description="Open vocabulary: names of what to find, NAME=SYNONYM|SYNONYM for one that is called so.",
    )
    like: tuple[str, ...] = Field(
        default=(),
        description="Open vocabulary: examples of what to find, as FILE or FILE:x1,y1,x2,y2 in pixels, with "
        "NAME= before it; those of one name, else the file's, are averaged.",
    )
    vocabulary: str | None = Field(
        default=None,
        description="Open vocabulary: file of names and embeddings, as swin embed writes it; of these only "
        "those that find names, where it is given too.",
    )
    prompts: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Open vocabulary: templates, {} stands for a name; mean of all; by default the model's.",
    )
    by: Literal["dissimilar", "objectness"] | None = Field(
        default=None,
        description="Open vocabulary: which of the boxes near that of an example is asked for, the one least "
        "like all others (OWL-ViT) or the likeliest object (OWLv2); by default as the model can.",
    )
    negatives: tuple[str, ...] = Field(
        default=(), description="Open vocabulary: names of what is not to be taken for one of the others."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.tile is not None and (self.slide is not None or self.scales != (1.0,)):
            raise ValueError(
                "`tile` answers at the picture's own resolution; give no `slide` or `scales` with it"
            )
        if self.stride is not None and self.slide is None and self.tile is None:
            raise ValueError("`stride` is the step of `slide` or `tile`; give one of them")
        if self.hop is not None and not self.stream:
            raise ValueError("`hop` is the step of `stream`; give both")
        if self.clips is not None and self.stream:
            raise ValueError("`stream` answers each window by itself; give no `clips` with it")
        return self


class EmbedConfig(Settings):
    """Options of embed."""

    prompts: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Templates, {} stands for a name; mean of all; by default the model's.",
    )
    negatives: tuple[str, ...] = Field(
        default=(), description="Names of what is not to be taken for one of these."
    )
    by: Literal["dissimilar", "objectness"] | None = Field(
        default=None,
        description="Which of the boxes near that of an example is meant; by default as the model can.",
    )
    batch_size: int | None = Field(default=None, ge=1, description="Images at once; by default what fits.")
    workers: int | None = Field(
        default=None, ge=0, description="Loader processes for images; by default as in predict."
    )
    device: str = Field(default="auto", description="cpu, cuda, cuda:N, mps, or auto.")
    overwrite: bool = Field(
        default=False, description="Replace files that are there, even if swinkit has not written them."
    )
