"""Training steps per second by threads and OMP_WAIT_POLICY, on an idle and on a busy machine.

    python benchmarks/threads.py
    python benchmarks/threads.py --load 2

Each variant runs in a process of its own, in turns: `--rounds` times `--seconds` of training steps of
`--model` on random images, after three steps of warm-up. `--load` is the number of other processes that
compute all the time, on one thread each. Figures are medians over rounds, relative to `threads`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

STEPS = """
import sys, time
import torch
import swinkit

model = swinkit.create(sys.argv[1]).train()
optimizer = torch.optim.AdamW(model.parameters())
size, batch, seconds = model.preprocessing.size, int(sys.argv[2]), float(sys.argv[3])
images = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))

def step():
    optimizer.zero_grad()
    model(images).logsumexp(1).mean().backward()
    optimizer.step()

for _ in range(3):
    step()
started, steps = time.perf_counter(), 0
while time.perf_counter() - started < seconds:
    step()
    steps += 1
print(steps / (time.perf_counter() - started))
"""
SPIN = "while True: sum(range(10000))"


def variants(cpus: int) -> dict[str, dict[str, str]]:
    """Environment variables by name of a variant."""
    many = {"OMP_NUM_THREADS": str(cpus)}
    return {
        "threads": many,
        "threads, passive": {**many, "OMP_WAIT_POLICY": "PASSIVE"},
        "one thread": {"OMP_NUM_THREADS": "1"},
    }


def steps_per_second(given: argparse.Namespace, variables: dict[str, str]) -> float:
    """Training steps per second of one process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    command = [sys.executable, "-c", STEPS, given.model, str(given.batch), str(given.seconds)]
    done = subprocess.run(
        command, env={**environment, **variables}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="swin_pico")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--load", type=int, default=0, help="other processes that compute")
    parser.add_argument("--cpus", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(given.load)]
    rates: dict[str, list[float]] = {}
    try:
        for _ in range(given.rounds):
            for name, variables in variants(given.cpus).items():
                rates.setdefault(name, []).append(steps_per_second(given, variables))
    finally:
        for other in others:
            other.kill()
    base = statistics.median(rates["threads"])
    for name, values in rates.items():
        middle = statistics.median(values)
        spread = f"{min(values):.2f}–{max(values):.2f}"
        print(f"{name:<18} {middle:6.2f} steps/s ({spread})  {middle / base:.2f}")


if __name__ == "__main__":
    main()
