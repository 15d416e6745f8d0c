"""Read the golden fixtures (see fixtures/README.md)."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

RECOMPUTED = ("relative_position_index", "attn_mask")


@dataclass
class Golden:
    meta: dict
    state: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    def gradients(self) -> dict[str, Tensor]:
        return {k.removeprefix("grad/"): v for k, v in self.outputs.items() if k.startswith("grad/")}


def load_golden(name: str, *, buffers: bool = False) -> Golden:
    """Arrays of a fixture; with `buffers` those of its state too that are recomputed from the size."""
    path = Path(__file__).parent / "fixtures" / f"{name}.npz"
    with np.load(path, allow_pickle=False) as z:
        groups: dict[str, dict[str, Tensor]] = {"state": {}, "input": {}, "output": {}}
        for key in z.files:
            group, _, rest = key.partition("/")
            if rest and (buffers or not rest.endswith(RECOMPUTED)):
                groups[group][rest] = torch.from_numpy(z[key])
        meta = json.loads(str(z["meta"]))
    return Golden(meta, groups["state"], groups["input"], groups["output"])
