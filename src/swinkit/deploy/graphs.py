"""One network for one shape of input, as other runtimes take it; attention in its plain form."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from swinkit.errors import ConfigError

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def openvino_graph(module: nn.Module, example: Tensor, *, precision: str = "fp32") -> Run:
    """Compiled by OpenVINO for the CPU at hand; ConfigError for a precision that it does not multiply."""
    return compiled(converted(module, example), precision)


def converted(module: nn.Module, example: Tensor) -> Any:
    """A network as OpenVINO's model, for inputs of this shape."""
    return library("openvino", "openvino").convert_model(torch.export.export(module, (example,)))


def compiled(graph: Any, precision: str = "fp32") -> Run:
    """OpenVINO's model on the CPU at hand, with as many threads as torch has."""
    if precision == "bf16" and not has_bf16():
        raise ConfigError("`precision=bf16`: this CPU has no instructions for it; give fp32.")
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
    }
    network = _core().compile_model(graph, "CPU", settings)

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = network(x)[0]
        return np.array(answer)  # the runtime's own memory is written over by the next input

    return run


def has_bf16() -> bool:
    """Whether the CPU at hand multiplies in bf16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@functools.cache
def _core() -> Any:
    """OpenVINO itself, once for the process and to its end.

    Its CPU plugin takes the stack on which signals are handled, and the second one to go gives back the first
    one's, which is gone: the next Ctrl-C would end the process with a segmentation fault.
    """
    return library("openvino", "openvino").Core()


def onnxruntime_graph(module: nn.Module, example: Tensor) -> Run:
    """Exported to ONNX, and run by ONNX Runtime on the CPU."""
    runtime = library("onnxruntime", "export")
    library("onnxscript", "export")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, of its own libraries
        program = torch.onnx.export(module, (example,), dynamo=True, verbose=False)
    assert program is not None
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (name,) = (given.name for given in session.get_inputs())

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = session.run(None, {name: x})[0]
        return answer

    return run


def library(name: str, extra: str) -> Any:
    """An optional library; ConfigError with its install line where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"The runtime needs {name}: pip install 'swinkit[{extra}]'.") from error
