"""Jobs of several processes, on one machine or many, started by `torchrun` or `accelerate launch`.

Launchers set environment variables: RANK and WORLD_SIZE; LOCAL_RANK and LOCAL_WORLD_SIZE, of the process's machine.
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
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", 0))


def world() -> int:
    """Return the number of processes; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", 1))


def local_rank() -> int:
    """Return the number of this process on its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", rank()))


def local_world() -> int:
    """Return the number of processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", world()))


def own_cores() -> int:
    """Return the number of processors for this process, where those of its machine share them."""
    return max(1, cores() // local_world())


def share(items: Sequence[T], block: int = 1) -> Sequence[T]:
    """Return this process's share of the items: every world()-th one, or every world()-th block of neighbours."""
    if block == 1 or world() == 1:
        return items[rank() :: world()]
    return [item for index, item in enumerate(items) if index // block % world() == rank()]


def device_name(asked: str) -> str:
    """Return the device name for `devices.pick_device`; "auto" and "cuda" give each process of a machine its own GPU.

    Raises ConfigError where processes would share one.
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
    """Connect the processes of the job, for `gather`, `total` and `with_common_gradients`.

    device: "cuda" for training on GPUs together. Raises ConfigError if they do not find each other.
    """
    global _group
    if world() == 1 or _group:
        return
    import torch
    import torch.distributed as dist
    from accelerate import PartialState

    if device == "cpu":
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun sets it; accelerate warns where it is not set
        torch.set_num_threads(own_cores())
    try:
        PartialState(
            cpu=device != "cuda",
            backend="cpu:gloo,cuda:nccl" if device == "cuda" else "gloo",
            timeout=timedelta(minutes=10),
        )
        # A group of its own for `gather` and `total`: a process waits in them as long as another still works, and
        # gloo notices at once if the other ends. NCCL would not, so it keeps the short timeout.
        _group = dist.new_group(backend="gloo", timeout=timedelta(days=30))
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"WORLD_SIZE is {world()}, but the processes do not find each other ({error}); start them with torchrun or "
            "accelerate launch, or unset it"
        ) from error
    atexit.register(_part)


def _part() -> None:
    """Destroy the groups: gloo's threads would abort the process if they freed a tensor while the interpreter ends."""
    import torch.distributed as dist

    global _group
    _group = None
    gc.collect()  # frees DistributedDataParallel and others that hold the groups
    dist.destroy_process_group()


def with_common_gradients(model: "nn.Module") -> "nn.Module":
    """Return the model as training calls it: gradients are averaged over the processes. After `meet`.

    Every parameter that requires a gradient must get one in each step.
    """
    if world() == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    gather(None)  # a process that failed before has ended by now, which `heard` reports
    with heard():
        return DistributedDataParallel(model, gradient_as_bucket_view=True)


def with_common_statistics(model: "nn.Module", device: "torch.device") -> tuple["nn.Module", list[str]]:
    """Return the model with batch norm over the samples of all processes; with a notice instead on CPUs."""
    from torch.nn import SyncBatchNorm
    from torch.nn.modules.batchnorm import _BatchNorm

    if world() == 1 or not any(isinstance(layer, _BatchNorm) for layer in model.modules()):
        return model, []
    if device.type != "cuda":
        return model, ["batch norm uses the samples of each process alone: on CPUs torch cannot share them"]
    return SyncBatchNorm.convert_sync_batchnorm(model), []


def gather(value: Any) -> list[Any]:
    """Return the values of all processes, by rank; waits for the last process. After `meet`."""
    if world() == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world()
    with heard():
        dist.all_gather_object(values, value, group=_group)
    return values


def total(values: Sequence[float]) -> list[float]:
    """Return each value's sum over the processes, without using a GPU. After `meet`."""
    if world() == 1:
        return list(values)
    import torch
    import torch.distributed as dist

    sums = torch.tensor(values, dtype=torch.float64)
    with heard():
        dist.all_reduce(sums, group=_group)
    return sums.tolist()


def merged(parts: Sequence[Sequence[T]]) -> list[T]:
    """Return the items in their order, given the shares of all processes (`share`)."""
    nothing = object()
    return [item for item in chain.from_iterable(zip_longest(*parts, fillvalue=nothing)) if item is not nothing]  # type: ignore[misc]


CONNECTION_LOST = ("gloo", "nccl", "connection", "closed by peer")


@contextmanager
def heard() -> Iterator[None]:
    """Raise TrainingError in place of torch's errors when another process of the job has ended."""
    try:
        yield
    except RuntimeError as error:
        if world() == 1 or not any(word in str(error).lower() for word in CONNECTION_LOST):
            raise
        raise TrainingError("another process of this job has ended; its message says why") from error
