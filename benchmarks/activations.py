"""Memory of training: bytes that one image leaves for the backward pass, and bytes of weights and optimiser.

    python benchmarks/activations.py

Method. Every tensor that autograd keeps in a training step under bfloat16 autocast is counted once by its
storage (`torch.autograd.graph.saved_tensors_hooks`), weights left out, for batches of 1 and 2; the difference
is one image's. With checkpointing the peak is that of the stage which keeps most, computed again, beside the
inputs of the others. It is counted on a CPU with SDPA; kernels on a GPU may keep less. Weights, gradients,
AdamW's two moments and the average are 4 bytes each a parameter.
"""

from __future__ import annotations

import torch

import swinkit

MODELS = ("swin_t", "swin_s", "swin_b", "swin_l")


def kept(model: torch.nn.Module, images: int, size: int) -> int:
    """Bytes that autograd keeps for a batch."""
    storages: dict[int, int] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor), torch.autocast("cpu"):
        loss = model(torch.randn(images, 3, size, size)).sum()
    del loss
    return sum(storages.values())


def main() -> None:
    print("| model | MB an image | with --checkpointing | GB of weights and optimiser |\n|---|---|---|---|")
    for name in MODELS:
        model = swinkit.create(name).train()
        size = model.preprocessing.size
        plain = kept(model, 2, size) - kept(model, 1, size)
        stages = set(range(model.backbone.config.stages))
        peaks = []
        for stage in stages:  # while its activations are computed again, those of the others are not there
            model.backbone.set_checkpointing(stages - {stage})
            peaks.append(kept(model, 2, size) - kept(model, 1, size))
        saved = max(peaks)
        state = 5 * 4 * sum(p.numel() for p in model.parameters())
        print(f"| {name} | {plain / 1e6:.0f} | {saved / 1e6:.0f} | {state / 1e9:.1f} |")
    print(f"\nbfloat16 autocast, torch {torch.__version__}; `python benchmarks/activations.py`")


if __name__ == "__main__":
    main()
