"""Options of `swin benchmark`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from swinkit.config.base import Settings
from swinkit.config.common import _check_int8


class BenchmarkConfig(Settings):
    """Options of benchmark."""

    device: str = Field(default="auto", description="cpu, cuda, cuda:N, mps, or auto.")
    batch_size: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(1,), min_length=1, description="Inputs at once; each of several."
    )
    size: tuple[Annotated[int, Field(ge=4)], ...] = Field(
        default=(), description="Sides of the input in pixels; by default the model's own."
    )
    precision: tuple[Literal["fp32", "bf16", "fp16", "int8"], ...] = Field(
        default=("fp32",), min_length=1, description="Numbers in which to compute; each of several."
    )
    runtime: tuple[Literal["auto", "torch", "openvino", "onnxruntime"], ...] = Field(
        default=("torch",),
        min_length=1,
        description="What computes; each of several, in each precision it has. auto as in predict.",
    )
    calibration: str | None = Field(
        default=None, description="For int8: a folder of inputs like those that are to be answered."
    )
    force: bool = Field(default=False, description="Measure int8 even where it answers otherwise than fp32.")
    compile: bool = Field(default=False, description="Measure torch.compile beside eager torch.")
    rounds: int = Field(default=10, ge=1, description="Times that each is timed, in turns.")
    out: str | None = Field(
        default=None, description="Folder for benchmark.json and benchmark.png; by default none."
    )
    overwrite: bool = Field(
        default=False, description="Replace files that are there, even if swinkit has not written them."
    )
    progress: bool = Field(default=True, description="Show progress on screen (stderr).")

    @field_validator("batch_size", "size", "precision", "runtime", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_int8("int8" in self.precision, self.calibration, self.force)
        return self
