"""Our detector beside torchvision's Mask R-CNN with the same Swin plugged in: time of each part, and memory.

    python benchmarks/detection.py --rounds 5

Both have the same backbone (weights too), maps, pyramid and heads, and look at as many regions; times are of
the forward pass of one picture in evaluation, in turn, and ratios are the medians of those of each round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

import swinkit
from swinkit.tasks.detect import Detector

NAMES = ("0", "1", "2", "3")


class Timed(nn.Module):
    """A module whose calls are timed."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.seconds = inner, 0.0

    def forward(self, *given: Any) -> Any:
        """Call it."""
        start = time.perf_counter()
        out = self.inner(*given)
        self.seconds = time.perf_counter() - start
        return out


class WithPyramid(nn.Module):
    """Swin's maps and torchvision's pyramid, as its detectors take a backbone."""

    def __init__(self, backbone: nn.Module, features: list[Any]) -> None:
        super().__init__()
        self.backbone, self.out_channels = backbone, 256
        self.fpn = FeaturePyramidNetwork(
            [spec.channels for spec in features], 256, extra_blocks=LastLevelMaxPool()
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Maps by name."""
        return self.fpn(dict(zip(NAMES, self.backbone(x), strict=True)))  # type: ignore[no-any-return]


def both(variant: str) -> tuple[Detector, MaskRCNN, Timed]:
    """Ours and theirs around one backbone, whose time is taken."""
    torch.manual_seed(0)
    ours = swinkit.create(variant)
    assert isinstance(ours, Detector)
    # the scores of random heads are alike: as many objects for both
    ours.set_test_limits(score_threshold=0.0)
    backbone = ours.backbone
    timed = Timed(backbone)
    anchors = AnchorGenerator(tuple((side,) for side in (32, 64, 128, 256, 512)), ((0.5, 1.0, 2.0),) * 5)
    theirs = MaskRCNN(
        WithPyramid(timed, backbone.features),
        len(ours.labels) + 1,
        rpn_anchor_generator=anchors,
        box_score_thresh=0.0,
        min_size=800,
        max_size=1333,
    )
    ours.backbone = timed  # type: ignore[assignment]
    return ours.eval(), theirs.eval(), timed


def measure(variant: str, size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Seconds of both, in all and without the backbone, and their ratios."""
    ours, theirs, timed = both(variant)
    height, width = (-(-side // 32) * 32 for side in size)  # theirs pads to this too
    x, picture = torch.randn(1, 3, height, width), [torch.rand(3, *size)]
    runs: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(x, [size]),
        "torchvision": lambda: theirs(picture),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    found: dict[str, int] = {}
    with torch.inference_mode():
        for i in range(rounds + 1):
            for name, run in runs.items():
                start = time.perf_counter()
                answer = run()
                whole = time.perf_counter() - start
                found[name] = len(answer[0]["boxes"])
                if i:  # the first warms up
                    taken[name].append((whole, whole - timed.seconds))
    rest = [a[1] / b[1] for a, b in zip(taken["ours"], taken["torchvision"], strict=True)]
    return {
        "size": list(size),
        "found": found,
        **{f"{name}_s": round(median(t[0] for t in times), 3) for name, times in taken.items()},
        **{f"{name}_rest_s": round(median(t[1] for t in times), 3) for name, times in taken.items()},
        "rest_ratio": round(median(rest), 3),
        "rest_ratio_range": [round(min(rest), 3), round(max(rest), 3)],
    }


def memory(variant: str, size: tuple[int, int]) -> float:
    """Peak of a process that loads the model and answers once, in MB; of torch itself about 400."""
    code = (
        "import torch, swinkit, resource\n"
        f"model = swinkit.create({variant!r}).eval()\n"
        f"with torch.inference_mode(): model.find(torch.randn(1, 3, {size[0]}, {size[1]}))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(out.stdout.split()[-1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mask_rcnn_swin_t")
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1333))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    size = (given.size[0], given.size[1])
    result = measure(given.model, size, given.rounds)
    padded = (-(-size[0] // 32) * 32, -(-size[1] // 32) * 32)
    result |= {"threads": given.threads, "peak_mb": round(memory(given.model, padded))}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
