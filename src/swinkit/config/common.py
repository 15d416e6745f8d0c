"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from swinkit.config.base import Settings
from swinkit.config.preprocessing import checked_range


class Compute(Settings):
    """On what, and how, to compute; None and `auto` are chosen to fit the machine."""

    device: str = Field(default="auto", description="cpu, cuda, cuda:N, mps, or auto.")
    workers: int | None = Field(default=None, ge=0, description="Loader processes.")
    batch_size: int | None = Field(default=None, ge=1, description="Images a step.")
    progress: bool = Field(default=True, description="Show progress on screen (stderr).")


class Runtimes(Settings):
    """What computes the network."""

    runtime: Literal["auto", "torch", "openvino", "onnxruntime"] = Field(
        default="torch",
        description="What computes the network of classifiers and segmentation on a CPU; auto: OpenVINO "
        "where it is installed.",
    )
    precision: Literal["fp32", "bf16", "int8"] = Field(
        default="fp32",
        description="Numbers in which OpenVINO computes; bf16 where the CPU has it, int8 for classifiers.",
    )
    calibration: str | None = Field(
        default=None,
        description="For int8: a folder of inputs like those that are to be answered, some hundred. Half of "
        "them set the ranges, on the others int8 must answer as fp32 does, on 99 %.",
    )
    force: bool = Field(default=False, description="Compute in int8 even where it answers otherwise.")
    compile: bool = Field(
        default=False,
        description="Compile the backbone (torch.compile), for each of the first 16 input sizes: a wait at "
        "the first, then faster.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.compile and self.runtime != "torch":
            raise ValueError("`compile` is for `runtime=torch`; give no other with it")
        if self.precision != "fp32" and self.runtime != "openvino":
            raise ValueError("`precision` is that of `runtime=openvino`; give both")
        _check_int8(self.precision == "int8", self.calibration, self.force)
        return self


def _check_int8(wanted: bool, calibration: str | None, force: bool) -> None:
    if wanted != (calibration is not None):
        raise ValueError("int8 needs `calibration`, and `calibration` is for int8; give both")
    if force and not wanted:
        raise ValueError("`force` is for `precision=int8`; give both")


class Values(Settings):
    """Which stored values are black and white."""

    value_range: tuple[float, float] | None = Field(
        default=None,
        description="Stored values that become black and white, 0 4095 say; by default those of the model, "
        "else of the type: 0 255 of 8 bits, 0 65535 of 16. In training on floats and signed or wider "
        "integers the least and the most of the training images.",
    )

    @field_validator("value_range")
    @classmethod
    def _has_extent(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        return checked_range(limits)


class Views(Compute, Values):
    """How a picture is answered whose every pixel is, in prediction and evaluation."""

    flip: bool = Field(default=False, description="Answer each picture and its mirror image; mean of both.")
    scales: tuple[float, ...] = Field(
        default=(1.0,),
        min_length=1,
        description="Segmentation and detection: sizes at which to answer, times the usual one; mean of all.",
    )
    slide: int | None = Field(
        default=None,
        ge=1,
        description="Segmentation: answer by windows of this side that slide over the resized picture.",
    )
    stride: int | None = Field(
        default=None, ge=1, description="Step of the windows of slide or tile; by default two thirds."
    )

    @field_validator("classes", mode="before", check_fields=False)
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        return (str(value),) if isinstance(value, str | Path) else value

    @field_validator("scales")
    @classmethod
    def _positive(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if min(scales) <= 0:
            raise ValueError("give numbers above 0")
        return scales


class Masks(Settings):
    """What the values of masks mean, where the data do not say it, or otherwise than they do."""

    label_map: str | None = Field(
        default=None,
        description="Masks: a description in YAML, or ade20k, cityscapes, coco-stuff, voc, camvid.",
    )
    ignore_index: tuple[NonNegativeInt, ...] = Field(
        default=(), description="Masks: more values that count for nothing."
    )

    @property
    def masks(self) -> Masks:
        """These options alone."""
        return Masks(label_map=self.label_map, ignore_index=self.ignore_index)
