"""What is compiled for the sizes that it meets: a graph a size, and not without end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_log = logging.getLogger(__name__)


class SizedGraphs:
    """`torch.compile` of a module's method that takes one tensor (B, C, *size): any B, some sizes.

    Each size has a graph of its own, for symbolic heights and widths make slower code; those that come after
    the first `sizes` are computed as without compiling, which a line in the log says. One input alone, and
    training beside evaluation, have graphs of their own.
    """

    sizes = 16

    def __init__(self, method: Callable[[Any, Tensor], Any]) -> None:
        self.method, self.compiled = method, torch.compile(method, dynamic=False)
        self.known: set[tuple[int, ...]] = set()
        self._told = False

    def __call__(self, module: nn.Module, x: Tensor) -> Any:
        """What the method gives."""
        size = tuple(x.shape[2:])
        if size not in self.known and len(self.known) >= self.sizes:
            if not self._told:
                self._told = True
                _log.warning("Inputs have over %d sizes: those to come are not compiled.", self.sizes)
            return self.method(module, x)
        self.known.add(size)
        if len(x) > 1:
            torch._dynamo.maybe_mark_dynamic(x, 0)
        # torch would give up at the eighth graph
        with torch._dynamo.config.patch(recompile_limit=8 * self.sizes):
            return self.compiled(module, x)
