"""A training step of a small Swin in fp32 and in bf16 autocast on the CPU, interleaved.

    python benchmarks/precision.py [MODEL] [BATCH]

Each round times one step (forward, loss, backward, clip, AdamW) in each precision; the ratio is fp32 / bf16
within a round, and its median over the rounds is printed: above 1, bf16 is faster.
"""

import statistics
import sys
import time

import torch
import torch.nn.functional as F

import swinkit

ROUNDS, WARMUP = 20, 3


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, *, bf16: bool) -> float:
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(x)
    optimizer.zero_grad()
    F.cross_entropy(logits.float(), torch.zeros(len(x), dtype=torch.int64)).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return time.perf_counter() - start


def main(name: str = "swin_pico", batch: str = "64") -> None:
    model = swinkit.create(name).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    size = model.preprocessing.size
    x = torch.randn(int(batch), 3, size, size)
    rounds = [[step(model, optimizer, x, bf16=bf16) for bf16 in (False, True)] for _ in range(ROUNDS)][
        WARMUP:
    ]
    speeds = [int(batch) / statistics.median(times) for times in zip(*rounds, strict=True)]
    ratio = statistics.median(fp32 / bf16 for fp32, bf16 in rounds)
    print(f"{name}, batch {batch}, {torch.get_num_threads()} threads:", end=" ")
    print(f"fp32 {speeds[0]:.0f} images/s, bf16 {speeds[1]:.0f} images/s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
