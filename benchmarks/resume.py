"""What stopping and resuming costs, and the share of a training step that waits for the loader.

    python benchmarks/resume.py DATA --model swin_nano --epochs 2

Method. The same run twice, in processes of its own: once unbroken, and once stopped by SIGTERM after the
first epoch and resumed. The overhead is the difference of the two times. Given beside it: how long a process
takes until it trains (imports, data, model), which is most of it, and the time and size of a saved state. The
share of waiting is what training itself prints for its last epoch.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

SWIN = [sys.executable, "-m", "swinkit"]


def run(command: list[str], *, stop_after: Path | None = None) -> tuple[float, str]:
    """Seconds and what was printed; with `stop_after`, ended when that file is there."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if stop_after is not None:
        while not stop_after.exists():
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGTERM)
    out, _ = process.communicate()
    return time.perf_counter() - start, out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--model", default="swin_nano")
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder, "one"), Path(folder, "two")
        train = [*SWIN, "train", given.data, "--model", given.model, "--epochs", str(given.epochs), "--out"]
        start_up, _ = run([*train[:-1], "--dry-run"])
        whole, printed = run([*train, str(one)])
        first, _ = run([*train, str(two)], stop_after=two / "metrics.csv")
        second, _ = run([*SWIN, "train", "--resume", str(two)])
        state = two / "last.ckpt"
        content = torch.load(state, weights_only=True)
        begun = time.perf_counter()
        torch.save(content, Path(folder, "again.ckpt"))
        saving, size = time.perf_counter() - begun, state.stat().st_size
    waits = re.findall(r"wait +(\d+)%", printed)
    print("| | |\n|---|---|")
    print(f"| unbroken run | {whole:.1f} s |")
    print(f"| stopped after an epoch, and resumed | {first:.1f} + {second:.1f} s |")
    print(f"| overhead | {first + second - whole:.1f} s |")
    print(f"| of that a process's start (a dry run) | {start_up:.1f} s |")
    print(f"| one saved state | {saving:.2f} s, {size / 1e6:.0f} MB |")
    print(f"| waiting for the loader, last epoch | {waits[-1] if waits else '?'} % |")
    print(f"\n{given.model}, {given.epochs} epochs, {platform.processor() or platform.machine()}")


if __name__ == "__main__":
    main()
