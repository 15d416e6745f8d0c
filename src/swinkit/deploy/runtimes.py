"""A model whose network another runtime computes: the same tensors in and out, faster on CPUs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from copy import copy, deepcopy
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from swinkit.config.common import Runtimes
from swinkit.core.backbone import SwinBackbone
from swinkit.core.folding import fold
from swinkit.deploy.graphs import Run, onnxruntime_graph, openvino_graph
from swinkit.deploy.quantising import Quantised
from swinkit.errors import ConfigError
from swinkit.tasks.base import Task

SIZES = 8  # of inputs, for each of which there is a graph
Kind = TypeVar("Kind", bound=Task)
Build = Callable[[nn.Module, Tensor], Run]


def in_runtime(task: Kind, config: Runtimes) -> Kind:
    """The model as it is, or a copy that shares its weights, whose `forward` is computed elsewhere.

    ConfigError for a runtime that is not installed, or not for this model, device or precision.
    """
    wanted = picked(task, config.runtime)
    if wanted == "torch":
        return _compiled(task) if config.compile else task
    if not task.is_graph:
        raise ConfigError(f"`runtime={wanted}` is for classify, video and segment, not for {task.name}.")
    if task.device.type != "cpu":
        raise ConfigError(f"`runtime={wanted}` runs on the CPU: give `device=cpu`, or `runtime=torch`.")
    own = copy(task)
    network = Network(task, _builder(task, wanted, config))
    usual = len(task.preprocessing.shape) + 1

    def forward(x: Tensor) -> Tensor:
        # several views of an input are averaged by the task itself, view by view
        answer: Tensor = network(x) if x.ndim == usual else type(task).forward(own, x)
        return answer

    own.forward = forward
    return own


def picked(task: Task, runtime: str) -> str:
    """The runtime that is meant; `auto`: OpenVINO where it is installed and computes this model."""
    if runtime != "auto":
        return runtime
    fits = task.device.type == "cpu" and task.is_graph and isinstance(task.backbone, SwinBackbone)
    return "openvino" if fits and find_spec("openvino") else "torch"


def _builder(task: Task, runtime: str, config: Runtimes) -> Build:
    """What makes a runtime's graphs."""
    if runtime == "onnxruntime":
        return onnxruntime_graph
    if config.precision != "int8":
        return partial(openvino_graph, precision=config.precision)
    if task.ragged:
        raise ConfigError(
            "`precision=int8` is for classify and video, whose inputs have one size: give fp32."
        )
    return Quantised(task, config)


def _compiled(task: Kind) -> Kind:
    """A copy that shares its weights, whose backbone is compiled; the user's own stays as it is."""
    own = copy(task)
    own._modules = {**task._modules, "backbone": copy(task.backbone)}
    own.compile_backbone()
    return own


class Network:
    """`forward` of a model, folded for inference, as graphs of another runtime.

    A graph is of one shape of input; a smaller batch is filled up, a larger one makes another. Those of the
    last few sizes are kept. Threads take turns.
    """

    def __init__(self, task: Task, build: Build) -> None:
        self.module = deepcopy(task).eval().requires_grad_(False)
        if isinstance(self.module.backbone, SwinBackbone):
            fold(self.module.backbone)
        self.build = build
        self._graphs: OrderedDict[tuple[int, ...], tuple[int, Run]] = OrderedDict()
        self._turn = threading.Lock()

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs (B, …) of inputs (B, …)."""
        with self._turn, torch.no_grad():
            batch, run = self._graph(x)
            filled = x if len(x) == batch else torch.cat([x, x.new_zeros(batch - len(x), *x.shape[1:])])
            return torch.from_numpy(run(filled.contiguous().numpy()))[: len(x)]

    def _graph(self, x: Tensor) -> tuple[int, Any]:
        size = tuple(x.shape[1:])
        batch, run = self._graphs.pop(size, (0, None))
        if run is None or batch < len(x):
            batch, run = len(x), self.build(self.module, x)
        while len(self._graphs) >= SIZES:
            self._graphs.popitem(last=False)
        self._graphs[size] = batch, run
        return batch, run
