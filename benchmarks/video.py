"""Swin3D-T on the CPU beside torchvision's `swin3d_t` with the same weights, and decoding beside PyAV's loop.

    python benchmarks/video.py CLIPS --rounds 7

Method. torchvision draws random weights and we load them; both must give the same logits before anything is
timed. Modes: `forward` (evaluation, inference_mode) and `train` (forward, cross entropy, backward), eager, on
one clip. In each round both run once, in turning order, so that a busy spell falls on both; the ratio is
THEIR time / OUR time within a round, its median and quartiles over rounds. Tokens are those of the first
stage. Memory is what a training forward leaves for the backward pass, weights left out. Decoding: frames of a
clip (32 of stride 2) of every video below CLIPS by us, as pictures, one thread; by plain loops over
`container.decode` that stop after the last of them, to pictures (`to_image`) and to bare arrays
(`to_ndarray`); by torchcodec too where it can be loaded.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import swinkit
from swinkit.data.io.media import CLIPS, find_inputs
from swinkit.data.io.video import open_footage

FRAMES = tuple(range(0, 64, 2))


def pair(folder: Path) -> tuple[nn.Module, nn.Module]:
    """Ours and theirs, with the same weights, shown to agree."""
    theirs = torchvision.models.video.swin3d_t(num_classes=400)
    path = folder / "swin3d_t.pt"
    torch.save(theirs.state_dict(), path)
    ours = swinkit.load(path)
    path.unlink()
    x = torch.randn(1, 3, 16, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), atol=1e-4, rtol=0)
    for model in (ours, theirs):
        for module in model.modules():
            if type(module).__name__ in ("StochasticDepth", "Dropout"):
                module.p = 0.0
    return ours, theirs


def forward(model: nn.Module, x: Tensor) -> None:
    model.eval()
    with torch.inference_mode():
        model(x)


def train(model: nn.Module, x: Tensor) -> None:
    model.train()
    model.zero_grad(set_to_none=True)
    F.cross_entropy(model(x), torch.zeros(len(x), dtype=torch.int64)).backward()


def rounds(runs: Sequence[Callable[[], object]], count: int) -> list[list[float]]:
    """Seconds of each, by round; the first round is not counted."""
    times: list[list[float]] = [[] for _ in runs]
    for number in range(count + 1):
        order = range(len(runs)) if number % 2 else reversed(range(len(runs)))
        for i in order:
            start = time.perf_counter()
            runs[i]()
            if number:
                times[i].append(time.perf_counter() - start)
    return times


def told(times: list[list[float]]) -> str:
    """Median ratio to the first, with quartiles."""
    ratios = sorted(b / a for a, b in zip(times[0], times[1], strict=True))
    low, _, high = statistics.quantiles(ratios, n=4)
    return f"{statistics.median(ratios):.2f} ({low:.2f}–{high:.2f})"


def saved_bytes(model: nn.Module, x: Tensor) -> int:
    """Bytes that a training forward keeps for the backward pass, each storage once, weights left out."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(x).sum()
    del loss
    return sum(kept.values())


def ours_decode(path: Path) -> int:
    with open_footage(path, threads=1) as footage:
        wanted = [tick for tick in FRAMES if tick < footage.ticks]
        return sum(image.height > 0 for image in footage.frames(wanted))


def to_image(frame: av.VideoFrame) -> object:
    return frame.to_image()


def to_array(frame: av.VideoFrame) -> object:
    return frame.to_ndarray(format="rgb24")


def plain_decode(path: Path, convert: Callable[[av.VideoFrame], object]) -> int:
    """What a user would write."""
    wanted, found = set(FRAMES), 0
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                convert(frame)
                found += 1
            if number >= FRAMES[-1]:
                break
    return found


def torchcodec_decode() -> Callable[[Path], Any] | None:
    try:
        from torchcodec.decoders import VideoDecoder

        def decode(path: Path) -> Any:
            decoder = VideoDecoder(str(path), num_ffmpeg_threads=1)
            return decoder.get_frames_at([n for n in FRAMES if n < len(decoder)])

    except (ImportError, RuntimeError, OSError):
        return None
    return decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=32)
    options = parser.parse_args()
    torch.manual_seed(0)
    ours, theirs = pair(options.clips.parent)
    x = torch.randn(1, 3, options.frames, 224, 224)
    tokens = options.frames // 2 * 56 * 56
    versions = f"torchvision {torchvision.__version__}, av {version('av')}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {versions}")
    print(f"one clip of 3×{options.frames}×224×224")
    for name, run in (("forward", forward), ("train", train)):
        times = rounds([lambda run=run: run(ours, x), lambda run=run: run(theirs, x)], options.rounds)
        median = statistics.median(times[0])
        print(f"{name}: {median:.2f} s, {tokens / median:,.0f} tokens/s; torchvision / ours {told(times)}")
    own, other = saved_bytes(ours, x), saved_bytes(theirs, x)
    print(
        f"kept for backward: {own / 2**20:.0f} MiB, torchvision {other / 2**20:.0f} MiB ({other / own:.2f})"
    )
    for stages in ((0,), (0, 1), True):
        ours.backbone.set_checkpointing(stages)
        print(f"kept with checkpointing of stages {stages}: {saved_bytes(ours, x) / 2**20:.0f} MiB")
    paths = find_inputs(options.clips, CLIPS)

    def ours_of_all() -> int:
        return sum(ours_decode(path) for path in paths)

    loops: dict[str, Callable[[Path], Any]] = {
        "plain loop to pictures": lambda path: plain_decode(path, to_image),
        "plain loop to arrays": lambda path: plain_decode(path, to_array),
    }
    torchcodec = torchcodec_decode()
    if torchcodec is not None:
        loops["torchcodec to tensors"] = torchcodec
    for name, decode in loops.items():
        times = rounds([ours_of_all, lambda decode=decode: [decode(path) for path in paths]], options.rounds)
        rate = ours_of_all() / statistics.median(times[0])
        print(f"decode: {rate:,.0f} wanted frames/s; {name} / ours {told(times)}")


if __name__ == "__main__":
    main()
