"""Several processes that train together, as torchrun starts them: who is who, and what they tell each other.

Without torchrun a process is the only one, and all of this does nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.batchnorm import _BatchNorm

Value = TypeVar("Value")


@dataclass(frozen=True)
class Place:
    """A process: its `rank` among all (`world`) and among those of its machine (`local_world`)."""

    rank: int
    world: int
    local: int
    local_world: int

    @property
    def nodes(self) -> int:
        """Machines."""
        return self.world // self.local_world

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0


ALONE = Place(0, 1, 0, 1)


def own_place() -> Place | None:
    """Which of torchrun's processes this is, if it is one."""
    if not dist.is_torchelastic_launched():
        return None
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return Place(*(int(os.environ[name]) for name in names))


def here() -> Place:
    """Which of torchrun's processes this is, or the only one."""
    return own_place() or ALONE


def join(place: Place, device: torch.device) -> None:
    """Meet the others; every process must call it. Does nothing a second time."""
    if dist.is_initialized():
        return
    # The launcher's store outlives a restart (torch 2.15), and with it the addresses of those that have died.
    # Over several machines restarts are not counted alike: there launch.py asks for a store for each.
    store, rank, world = next(rendezvous("env://"))
    again = os.environ["TORCHELASTIC_RESTART_COUNT"] if place.nodes == 1 else ""
    meeting: dict[str, Any] = {
        "store": PrefixStore(f"swinkit{again}", store),
        "rank": rank,
        "world_size": world,
    }
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device, **meeting)
    else:
        dist.init_process_group("gloo", **meeting)


def rank() -> int:
    """The number of this process."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def summed(values: list[float]) -> list[float]:
    """Sums over all processes."""
    if not dist.is_initialized():
        return values
    total = torch.tensor(values, dtype=torch.float64)  # on the CPU: a GPU would be waited for
    dist.all_reduce(total)
    return total.tolist()


def highest(values: list[float]) -> list[float]:
    """The largest of each over all processes."""
    if not dist.is_initialized():
        return values
    largest = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return largest.tolist()


def gathered(value: Value) -> list[Value]:
    """Everyone's value, in order, in every process."""
    if not dist.is_initialized():
        return [value]
    everyone: list[Value | None] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, value)
    return cast(list[Value], everyone)


def all_rows(own: Tensor) -> Tensor:
    """The rows (N, …) of all processes, in order; gradients go back to where each comes from.

    Every process must call it, with any number of rows.
    """
    if not dist.is_initialized():
        return own
    counts = [torch.zeros(1, dtype=torch.int64) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, torch.tensor([len(own)]))  # on the CPU: a GPU would be waited for
    rows: Tensor = _Rows.apply(own, [int(count) for count in counts])
    return rows


class _Rows(torch.autograd.Function):
    """Rows of all processes side by side."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, counts: list[int]) -> Tensor:
        """Padded to the most that one has, for all must send alike."""
        ctx.counts = counts
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """What all others make of the own rows, summed."""
        total = gradient.clone()
        dist.all_reduce(total)
        return total.split(ctx.counts)[dist.get_rank()], None


def collected(value: Value) -> list[Value]:
    """Everyone's value, in order, in the first process; in the others nothing."""
    if not dist.is_initialized():
        return [value]
    everyone: list[Value | None] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(value, everyone)
    return cast(list[Value], everyone or [])


def told_by(value: Value, source: int = 0) -> Value:
    """The value of one process."""
    if not dist.is_initialized():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=source)
    return box[0]


def broadcast_statistics(module: nn.Module) -> None:
    """Give all processes the running statistics of the first one's batch norms; every process must call it.

    Without SyncBatchNorm (on CPUs) each process keeps those of its own images, and the first one's are saved.
    """
    if not dist.is_initialized():
        return
    for norm in module.modules():
        if isinstance(norm, _BatchNorm):
            for statistics in (norm.running_mean, norm.running_var):
                if statistics is not None:
                    dist.broadcast(statistics, src=0)


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds: all of it, unless FSDP2 has shared it out."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on the CPU; every process must ask for it."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().cpu()


def shared_out(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor on the device of another, and shared out like it."""
    if isinstance(like, DTensor):
        value = value.to(like.device)
        return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
    return value.to(like.device, copy=True)


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict with whole tensors; every process must ask for it."""
    state = module.state_dict()
    if any(isinstance(tensor, DTensor) for tensor in state.values()):
        return {name: whole(tensor) for name, tensor in state.items()}
    return state
