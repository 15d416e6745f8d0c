"""A network in whole numbers of eight bits: measured on pictures, and refused where it answers otherwise."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from swinkit.config.common import Runtimes
from swinkit.data.io.media import find_inputs
from swinkit.data.loader import in_order
from swinkit.deploy.graphs import Run, compiled, converted, library
from swinkit.errors import ConfigError
from swinkit.progress import console, remark
from swinkit.tasks.base import Task

AGREEMENT = 0.99  # share of inputs on which the answer must be that of fp32
MOST = 600  # inputs, of which every other calibrates

Inputs = list[NDArray[np.float32]]


class Quantised:
    """Builds int8 graphs by NNCF and OpenVINO: half of the inputs calibrate, on the others it is checked.

    ConfigError where there are fewer than two inputs; and, for each graph, where under 99 % of answers (the
    first class; with several labels each decision) are those of fp32, unless that is forced.
    """

    def __init__(self, task: Task, config: Runtimes) -> None:
        assert config.calibration is not None
        self.multi, self.force, self.noun = task.multi_label, config.force, task.medium.noun
        self.folder = Path(config.calibration)
        inputs = _read(task, self.folder)
        if len(inputs) < 2:
            raise ConfigError(
                f"{self.folder} has {len(inputs)} {self.noun}s that can be read: int8 needs two at least, "
                "better hundreds, like those that are to be answered."
            )
        self.calibrating, self.checking = inputs[::2], inputs[1::2]

    def __call__(self, module: nn.Module, example: Tensor) -> Run:
        """A graph for inputs of this shape."""
        run = compiled(quantised(converted(module, example), _filled(self.calibrating, len(example))))
        self._check(module, run, len(example))
        return run

    def _check(self, module: nn.Module, run: Run, batch: int) -> None:
        same, count = 0.0, len(self.checking)
        for x in _filled(self.checking, batch):
            with torch.no_grad():
                exact = self._decided(module(torch.from_numpy(x)))
            same += (exact == self._decided(torch.from_numpy(run(x)))).float().mean(1)[:count].sum().item()
            count -= len(x)
        share = same / len(self.checking)
        found = (
            f"int8 answers as fp32 does on {share:.1%} of {len(self.checking)} {self.noun}s of {self.folder}"
        )
        if share < AGREEMENT and not self.force:
            raise ConfigError(
                f"{found}, and {AGREEMENT:.0%} are asked for: give `precision=fp32`, more {self.noun}s like "
                "those that are to be answered, or `force`."
            )
        remark(console(), f"{found}.")

    def _decided(self, logits: Tensor) -> Tensor:
        return logits > 0 if self.multi else logits.argmax(1, keepdim=True)


def quantised(graph: Any, inputs: Inputs) -> Any:
    """OpenVINO's model in int8, its ranges those of the inputs (NNCF)."""
    nncf = library("nncf", "openvino")
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # its bars
        return nncf.quantize(
            graph, nncf.Dataset(inputs), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(inputs)
        )


def _read(task: Task, folder: Path) -> Inputs:
    """Single inputs (1, C, …) as the model takes them, spread over all files."""
    files = find_inputs(folder, task.medium)
    files = files[:: -(-len(files) // MOST)]
    batches = in_order(task.dataset(files), batch_size=1, workers=0)
    return [batch.images.numpy() for batch in batches if len(batch)]


def _filled(inputs: Inputs, size: int) -> Inputs:
    """In batches; the last is filled up with its own first inputs."""
    batches = []
    for start in range(0, len(inputs), size):
        own = inputs[start : start + size]
        batches.append(np.concatenate([own[i % len(own)] for i in range(size)]))
    return batches
