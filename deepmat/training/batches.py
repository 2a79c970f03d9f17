"""Batches of samples in a fixed order, from any number of processes."""

import signal
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakValueDictionary, finalize

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from deepmat.config import DataConfig, Large
from deepmat.data.origins import Origin
from deepmat.data.samples import TrainingSet, times_at
from deepmat.errors import DataError, TrainingError
from deepmat.runtime.processes import GROUP_SIGNALS, Workers, end_with_parent

CHANNELS = {"composite": 3, "fg": 3, "bg": 3, "alpha": 1, "trimap": 1, "matte": 1, "image": 3}
"""Channels of each kind, in the order of a batch in memory; matte and image can be absent."""


@dataclass
class Block:
    """The memory of a batch. In shared memory the last byte is 1 while it is in use."""

    memory: torch.Tensor
    place: tuple[int, int, int] = (0, 0, 0)
    """Of shared memory: loader, worker, number."""
    known: bool = False
    """Whether the trainer has this memory from an earlier batch: to send it is a round trip, and a mapping."""

    def pin_memory(self) -> "Block":
        """Copy to pinned memory, as torch's loader asks for; shared memory is then free."""
        pinned = Block(self.memory.pin_memory())
        self.memory[-1] = 0
        return pinned

    def __reduce__(self) -> Any:
        return _receive, (self.place, None if self.known else self.memory)


def _receive(place: tuple[int, int, int], memory: torch.Tensor | None) -> Block:
    loader, *block = place
    blocks = _LOADERS[loader].received
    if memory is not None:
        blocks[tuple(block)] = memory
    return Block(blocks[tuple(block)])


class Gather:
    """Copies the samples of a batch into one block, since each tensor sent between processes costs a round trip.

    In a worker process, blocks are shared and used again when the trainer has dropped their batch: page faults in fresh
    shared memory take as long as a quarter of a sample.
    """

    def __init__(self) -> None:
        self.loader = id(self)
        _LOADERS[self.loader] = self
        self.received: dict[tuple[int, ...], torch.Tensor] = {}
        self._own: list[torch.Tensor] = []

    def __call__(self, samples: list[Any]) -> dict[str, Any] | DataError:
        """Return {"name": list of str, "kinds": list of str, "block": kind after kind, "size": (H, W)}.

        Or the first error among the samples (an exception raised in a worker would lose its message).
        """
        failed = next((sample for sample in samples if isinstance(sample, DataError)), None)
        if failed:
            return failed
        untouched = all(sample["image"] is sample["composite"] for sample in samples)
        kinds = [kind for kind in CHANNELS if kind in samples[0] and not (kind == "image" and untouched)]
        rows = [torch.from_numpy(sample[kind].reshape(-1)) for kind in kinds for sample in samples]
        count, worker = sum(map(len, rows)), get_worker_info()
        block = self._shared(count + 1, worker.id) if worker else Block(torch.ByteTensor(count + 1))
        torch.cat(rows, out=block.memory[:count])
        names = [sample["name"] for sample in samples]
        return {"name": names, "kinds": kinds, "block": block, "size": samples[0]["alpha"].shape}

    def _shared(self, size: int, worker: int) -> Block:
        """Return a free block of at least so many bytes; without one, a new one, in place of one that is too small."""
        free = [number for number, memory in enumerate(self._own) if not memory[-1]]
        number = next((each for each in free if len(self._own[each]) >= size), None)
        known = number is not None
        if number is None:
            memory = torch.ByteTensor().set_(torch.UntypedStorage._new_shared(size))
            number = free[0] if free else len(self._own)
            self._own[number : number + 1] = [memory]
        self._own[number][-1] = 1
        return Block(self._own[number], (self.loader, worker, number), known)


_LOADERS = WeakValueDictionary[int, Gather]()
"""The collating functions of this process by `loader`."""


def _unpack(gathered: Any) -> Any:
    """Return the result of `Gather` as a batch (see deepmat.data), or its error.

    Tensors are views of its block: [N, C, H, W] in the order N, H, W, C (channels last).
    """
    if isinstance(gathered, DataError):
        return gathered
    memory = gathered["block"].memory
    if memory.is_shared():
        # Every tensor of the batch keeps this array; when the last one is gone, the block is free.
        view = memory.numpy()
        finalize(view, memory[-1].zero_)
        memory = torch.from_numpy(view)
    (height, width), count, start = gathered["size"], len(gathered["name"]), 0
    batch = {"name": gathered["name"]}
    for kind in gathered["kinds"]:
        part = memory[start : start + count * height * width * CHANNELS[kind]]
        start += len(part)
        batch[kind] = part.view(count, height, width, CHANNELS[kind]).permute(0, 3, 1, 2)
    return {"image": batch["composite"], **batch}


def collate(samples: list[Any]) -> dict[str, Any] | DataError:
    """Return a batch of samples, or the first error among them."""
    return _unpack(Gather()(samples))


def batch_order(
    count: int,
    batch_size: int,
    accumulate: int,
    part: tuple[int, int],
    seed: int,
    start: int,
    stop: int,
    large: Large | None = None,
) -> Iterator[list[tuple[int, int, int]]]:
    """Yield the (epoch, index, times) of each batch of steps start ... stop - 1; a step has `accumulate` batches.

    part: index of the process, and number of processes. The samples of a step depend on batch_size x accumulate x
    processes alone. Every epoch is a new permutation; its beginning is repeated to fill the last step.
    """
    mine, processes = part
    per_step = batch_size * accumulate * processes
    steps_per_epoch = -(-count // per_step)
    epoch, order = -1, np.empty(0, np.int64)
    for step in range(start, stop):
        if step // steps_per_epoch != epoch:
            epoch = step // steps_per_epoch
            order = np.resize(np.random.default_rng([seed, epoch]).permutation(count), steps_per_epoch * per_step)
        times = times_at(step, large)
        first = step % steps_per_epoch * per_step + mine * batch_size * accumulate
        for begin in range(first, first + batch_size * accumulate, batch_size):
            yield [(epoch, int(index), times) for index in order[begin : begin + batch_size]]


def _start_worker(_: int) -> None:
    end_with_parent()  # torch's workers do not notice a parent that is killed while they start
    for number in GROUP_SIGNALS:  # torch's workers set their own handlers
        signal.signal(number, signal.SIG_IGN)
    # Workers are the parallelism; threads would compete with them.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def training_batches(
    origins: Sequence[Origin],
    config: DataConfig,
    *,
    batch_size: int,
    seed: int,
    start: int,
    stop: int,
    workers: int,
    accumulate: int = 1,
    part: tuple[int, int] = (0, 1),
    pin: bool = False,
    matte: bool = False,
) -> Generator[Any, None, None]:
    """Yield the batches of steps start ... stop - 1 (`batch_order`); they do not depend on the number of workers.

    matte: as for TrainingSet. pin: put them in pinned memory, which a GPU reads asynchronously. Raises DeepmatError if
    workers cannot be started, TrainingError if they cannot import the script.
    """
    samples = TrainingSet(origins, config, seed, matte)
    processes = Workers()
    loader = DataLoader[Any](
        cast(Dataset[Any], samples),
        batch_sampler=batch_order(len(samples), batch_size, accumulate, part, seed, start, stop, config.large),
        collate_fn=Gather(),
        num_workers=workers,
        multiprocessing_context=processes if workers else None,
        # A generator of its own, so that starting it draws no random number of the run.
        generator=torch.Generator(),
        worker_init_fn=_start_worker,
        pin_memory=pin,
    )
    with processes.starting("--workers 0 loads the pictures in this process"):
        gathered = iter(loader)
    try:
        yield from map(_unpack, gathered)
    except RuntimeError as error:
        if processes.ended_with_error():
            raise TrainingError(f"{processes.UNGUARDED}, or take workers=0") from error
        raise
    finally:  # whoever keeps an error also keeps the loader, whose deletion would end the workers
        getattr(gathered, "_shutdown_workers", lambda: None)()
