"""Several processes at one job, on one machine or many, as `torchrun` and `accelerate launch` start them.

They tell each process through its environment: RANK of WORLD_SIZE, LOCAL_RANK on its machine.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from deepmat.errors import ConfigError

T = TypeVar("T")
_group: Any = None


def rank() -> int:
    return int(os.environ.get("RANK", 0))


def world() -> int:
    """Number of processes; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", 1))


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of the work: every world()-th item."""
    return items[rank() :: world()]


def device_name(asked: str) -> str:
    """The device for `devices.pick_device`: auto and cuda are one GPU for each process of a machine."""
    import torch

    if world() > 1 and asked in ("auto", "cuda") and torch.cuda.device_count() > 1:
        return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
    return asked


@contextmanager
def together() -> Iterator[None]:
    """The processes of the job know of each other within the block, as `gather` needs."""
    if world() == 1:
        yield
        return
    import torch.distributed as dist

    global _group
    try:
        dist.init_process_group("gloo", timeout=timedelta(minutes=10))
        _group = dist.new_group(timeout=timedelta(days=30))  # one waits as long as another still works
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"WORLD_SIZE is {world()}, but the processes do not find each other ({error}); start them with torchrun or "
            "accelerate launch, or unset it"
        ) from error
    try:
        yield
    finally:
        dist.destroy_process_group()


def gather(value: Any) -> list[Any]:
    """Each process's value, by rank, in all of them; waits for the last. Within `together`."""
    if world() == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world()
    dist.all_gather_object(values, value, group=_group)
    return values
