"""What each of several processes adds to loss and gradients of pairs; its imports are few, for speed."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

import swinkit
from swinkit.tasks.open_vocab.contrastive import Contrastive
from tests.owls import TINY, tokenizer

CONTRASTS = ("siglip", "clip")


def contrastive(**settings: Any) -> Contrastive:
    torch.manual_seed(0)
    given = {**TINY, "tokenizer": tokenizer(), "img_size": 64, **settings}
    model = swinkit.create("swin_t", task="contrastive", **given)
    assert isinstance(model, Contrastive)
    return model


def pairs_of_noise() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    x = torch.randn(5, 3, 64, 64, dtype=torch.float64)
    return x, Tensor([[58, 1, 2, 59], [58, 3, 59, 0], [58, 1, 4, 59], [58, 3, 59, 0], [58, 5, 2, 59]]).long()


def share(rank: int, port: int, queue: Any) -> None:
    """One of three processes, the last of which has no pair; an answer for each loss."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=3)
    for contrast in CONTRASTS:
        model = contrastive(contrast=contrast).train().double()
        x, ids = pairs_of_noise()
        own = (slice(0, 3), slice(3, 5), slice(0, 0))[rank]
        loss = model.learn(x[own], ids[own])[contrast] if rank < 2 else model.no_loss(x[:1])
        loss = loss * len(x[own]) / len(x)
        loss.backward()
        gradients = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
        queue.put((contrast, loss.item(), gradients))
    dist.barrier()  # a process that is gone would take its tensors with it
    dist.destroy_process_group()
