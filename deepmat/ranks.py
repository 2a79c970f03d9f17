"""Several processes at one job, on one machine or many, as `torchrun` and `accelerate launch` start them.

They tell each process through its environment: RANK of WORLD_SIZE, LOCAL_RANK of LOCAL_WORLD_SIZE on its machine.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from deepmat.errors import ConfigError, TrainingError
from deepmat.processes import cores

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
    """The device for `devices.pick_device`: auto and cuda are one GPU for each process of a machine."""
    import torch

    if world() > 1 and asked in ("auto", "cuda") and torch.cuda.device_count() > 1:
        return f"cuda:{local_rank() % torch.cuda.device_count()}"
    return asked


@contextmanager
def together(device: str = "cpu") -> Iterator[None]:
    """The processes of the job know of each other within the block, as `gather` and `total` need.

    device: "cuda" also prepares them to train on GPUs together.
    """
    if world() == 1:
        yield
        return
    import torch
    import torch.distributed as dist
    from accelerate import PartialState

    global _group
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
    try:
        yield
    finally:
        _leave()


def _leave() -> None:
    from accelerate.state import AcceleratorState, PartialState

    PartialState().destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)


def with_common_gradients(model: "nn.Module") -> "nn.Module":
    """The model for training: its gradients become the mean over the processes. Within `together`.

    Every parameter that wants a gradient must get one in each step.
    """
    if world() == 1:
        return model
    from accelerate import Accelerator, DistributedDataParallelKwargs

    options = DistributedDataParallelKwargs(gradient_as_bucket_view=True)
    return Accelerator(mixed_precision="no", device_placement=False, kwargs_handlers=[options]).prepare_model(model)


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
    """Each process's value, by rank, in all of them; waits for the last. Within `together`."""
    if world() == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world()
    with _heard():
        dist.all_gather_object(values, value, group=_group)
    return values


def total(values: Sequence[float]) -> list[float]:
    """The sums of such values over the processes, without word to a GPU. Within `together`."""
    if world() == 1:
        return list(values)
    import torch
    import torch.distributed as dist

    sums = torch.tensor(values, dtype=torch.float64)
    with _heard():
        dist.all_reduce(sums, group=_group)
    return sums.tolist()


def merged(parts: Sequence[Sequence[T]]) -> list[T]:
    """The whole of which `share` gave the parts, in its order."""
    nothing = object()
    return [item for item in chain.from_iterable(zip_longest(*parts, fillvalue=nothing)) if item is not nothing]  # type: ignore[misc]


@contextmanager
def _heard() -> Iterator[None]:
    """TrainingError in place of what torch says when another process of the job has gone."""
    try:
        yield
    except RuntimeError as error:
        raise TrainingError("another process of this job has ended; what it said tells why") from error
