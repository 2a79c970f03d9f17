"""Several processes at one job, on one machine or many, as `torchrun` and `accelerate launch` start them.

They tell each process through its environment: RANK of WORLD_SIZE, LOCAL_RANK of LOCAL_WORLD_SIZE on its machine.
"""

import atexit
import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from deepmat.errors import ConfigError, TrainingError
from deepmat.runtime.processes import cores

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")
_group: Any = None


def rank() -> int:
    return int(os.environ.get("RANK", 0))


def world() -> int:
    """Number of processes; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", 1))


def local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", rank()))


def local_world() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", world()))


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of the work: every world()-th item."""
    return items[rank() :: world()]


def device_name(asked: str) -> str:
    """The device for `devices.pick_device`: auto and cuda are one GPU for each process of a machine.

    ConfigError where processes would share one.
    """
    import torch

    count = torch.cuda.device_count()
    if world() > 1 and asked.startswith("cuda:"):
        raise ConfigError(f"--device {asked}: each of {world()} processes takes a GPU of its own; leave it out")
    if world() > 1 and 1 < count < local_world() and asked != "cpu":
        raise ConfigError(f"{local_world()} processes on a machine with {count} GPUs; start one for each")
    if world() > 1 and asked in ("auto", "cuda") and count > 1:
        return f"cuda:{local_rank() % count}"
    return asked


def meet(device: str = "cpu") -> None:
    """Have the processes of the job know of each other, as `gather`, `total` and `with_common_gradients` need.

    device: "cuda" for training on GPUs together.
    """
    global _group
    if world() == 1 or _group:
        return
    import torch
    import torch.distributed as dist
    from accelerate import PartialState

    if device == "cpu":
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun says, so that accelerate is not surprised
        torch.set_num_threads(max(1, cores() // local_world()))
    try:
        PartialState(
            cpu=device != "cuda",
            backend="cpu:gloo,cuda:nccl" if device == "cuda" else "gloo",
            timeout=timedelta(minutes=10),
        )
        # One waits as long as another still works.
        _group = dist.new_group(backend="gloo", timeout=timedelta(days=30))
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"WORLD_SIZE is {world()}, but the processes do not find each other ({error}); start them with torchrun or "
            "accelerate launch, or unset it"
        ) from error
    atexit.register(_part)  # and not before: a launcher's processes meet once


def _part() -> None:
    """End gloo's threads, which abort the process if they let go of a tensor while the interpreter ends."""
    import torch.distributed as dist

    global _group
    _group = None
    gc.collect()  # what holds on to the groups, such as DistributedDataParallel
    dist.destroy_process_group()


def with_common_gradients(model: "nn.Module") -> "nn.Module":
    """The model for training: its gradients become the mean over the processes. After `meet`.

    Every parameter that wants a gradient must get one in each step.
    """
    if world() == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    gather(None)  # whoever could not begin has said so by now
    with heard():
        return DistributedDataParallel(model, gradient_as_bucket_view=True)


def with_common_statistics(model: "nn.Module", device: "torch.device") -> tuple["nn.Module", list[str]]:
    """The model with batch norm over the samples of all processes; a notice where that cannot be (on CPUs)."""
    from torch.nn import SyncBatchNorm
    from torch.nn.modules.batchnorm import _BatchNorm

    if world() == 1 or not any(isinstance(layer, _BatchNorm) for layer in model.modules()):
        return model, []
    if device.type != "cuda":
        return model, ["batch norm sees the samples of each process alone: torch has no other on CPUs"]
    return SyncBatchNorm.convert_sync_batchnorm(model), []


def gather(value: Any) -> list[Any]:
    """Each process's value, by rank, in all of them; waits for the last. After `meet`."""
    if world() == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world()
    with heard():
        dist.all_gather_object(values, value, group=_group)
    return values


def total(values: Sequence[float]) -> list[float]:
    """The sums of such values over the processes, without word to a GPU. After `meet`."""
    if world() == 1:
        return list(values)
    import torch
    import torch.distributed as dist

    sums = torch.tensor(values, dtype=torch.float64)
    with heard():
        dist.all_reduce(sums, group=_group)
    return sums.tolist()


def merged(parts: Sequence[Sequence[T]]) -> list[T]:
    """The whole of which `share` gave the parts, in its order."""
    nothing = object()
    return [item for item in chain.from_iterable(zip_longest(*parts, fillvalue=nothing)) if item is not nothing]  # type: ignore[misc]


LOST = ("gloo", "nccl", "connection", "closed by peer")


@contextmanager
def heard() -> Iterator[None]:
    """TrainingError in place of what torch says when another process of the job has gone."""
    try:
        yield
    except RuntimeError as error:
        if world() == 1 or not any(word in str(error).lower() for word in LOST):
            raise
        raise TrainingError("another process of this job has ended; what it said tells why") from error
