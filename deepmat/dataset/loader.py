"""Batches of samples in a fixed order, from any number of processes."""

import signal
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from deepmat.config import AugmentConfig, DataConfig, Large
from deepmat.dataset.augment import Layers, Options, at_size, make_sample
from deepmat.dataset.origins import Origin
from deepmat.errors import DataError
from deepmat.processes import GROUP_SIGNALS, deaf_children, end_with_parent


class TrainingSet(Dataset[Any]):
    """Samples by (epoch, index, times), those of the origins one after the other.

    A sample is a dict of "name" and uint8 arrays (deepmat.dataset), so many times as large as the config's, a function
    of (seed, epoch, index, times) alone. A picture that cannot be used gives its DataError in place of a sample.
    """

    def __init__(self, origins: Sequence[Origin], config: DataConfig, seed: int) -> None:
        self.origins, self.seed = origins, seed
        self.augment, self.doubled = config.augment, config.doubled

    def __len__(self) -> int:
        return sum(map(len, self.origins))

    def __getitem__(self, at: tuple[int, int, int]) -> dict[str, Any] | DataError:
        epoch, index, times = at
        rng = np.random.default_rng([self.seed, epoch, index, 1])  # [seed, epoch] alone is that of the order
        fold = 2 if self.doubled and rng.random() < self.doubled else 1
        options = enlarged(self.augment, times / fold)
        for origin in self.origins:
            if index < len(origin):
                break
            index -= len(origin)
        try:
            name, layers = origin.open(index, rng)
            layers["second"] = lambda: _foreground(origin, rng, options)
            sample = make_sample(layers, rng, options)
            if fold > 1:
                sample = {kind: pixels.repeat(fold, 0).repeat(fold, 1) for kind, pixels in sample.items()}
            return {"name": name, **sample}
        except DataError as error:
            return error


LENGTHS = {"affine": "window", "crop": "sizes", "resize": "size", "distance_trimap": "width", "blots": "radius"}
"""Options in pixels that grow with the sample."""


def enlarged(config: AugmentConfig, times: float) -> dict[str, Any]:
    """The options of each step, for samples so many times as large."""
    options = config.model_dump()
    for step, key in LENGTHS.items():
        if options[step]:
            lengths = options[step][key]
            scaled = [type(length)(times * length) for length in np.atleast_1d(lengths).tolist()]
            options[step][key] = scaled if isinstance(lengths, list) else scaled[0]
    return options


def _foreground(origin: Origin, rng: np.random.Generator, options: Options) -> Layers:
    """Another foreground of the origin, as far as `resize`."""
    _, layers = origin.open(int(rng.integers(len(origin))), rng)
    return at_size(layers, rng, options)


CHANNELS = {"composite": 3, "fg": 3, "bg": 3, "alpha": 1, "trimap": 1, "image": 3}
"""Planes of each kind, in the order in which a batch lies in memory; image last, since it may be left out."""


def _gather(samples: list[Any]) -> dict[str, Any] | DataError:
    """Samples in one piece of memory: each piece that goes from process to process costs a conversation.

    {"name": list of str, "pixels": uint8, all of one kind after the other, "size": (N, H, W)}, or the first error among
    the samples (an exception raised in a worker would lose its message).
    """
    failed = next((sample for sample in samples if isinstance(sample, DataError)), None)
    if failed:
        return failed
    untouched = all(sample["image"] is sample["composite"] for sample in samples)
    kinds = [kind for kind in CHANNELS if not (kind == "image" and untouched)]
    rows = [torch.from_numpy(sample[kind].reshape(-1)) for kind in kinds for sample in samples]
    pixels = torch.empty(0, dtype=torch.uint8)
    if get_worker_info():  # at once where the main process can read it, as default_collate does
        pixels.set_(torch.UntypedStorage._new_shared(sum(map(len, rows))))
    torch.cat(rows, out=pixels)
    return {"name": [sample["name"] for sample in samples], "pixels": pixels, "size": samples[0]["alpha"].shape}


def _unpack(gathered: Any) -> Any:
    """What `_gather` made, as a batch (see deepmat.dataset); an error as it is.

    The pixels stay where they are: [N, C, H, W] over memory in the order N, H, W, C (channels last).
    """
    if isinstance(gathered, DataError):
        return gathered
    (height, width), count, start = gathered["size"], len(gathered["name"]), 0
    batch = {"name": gathered["name"]}
    for kind, channels in CHANNELS.items():
        part = gathered["pixels"][start : start + count * height * width * channels]
        start += len(part)
        if len(part):
            batch[kind] = part.view(count, height, width, channels).permute(0, 3, 1, 2)
    return {"image": batch["composite"], **batch}


def collate(samples: list[Any]) -> dict[str, Any] | DataError:
    """A batch of samples, or the first error among them."""
    return _unpack(_gather(samples))


def times_at(step: int, large: Large | None) -> int:
    """How many times as large as the config's the samples of a step are: of the last of each `large.every`."""
    return large.times if large and (step + 1) % large.every == 0 else 1


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
    """The (epoch, index, times) of the batches of steps start ... stop - 1, `accumulate` batches a step.

    part: which process of how many; a step's samples are the same on any number of them as long as batch_size x
    accumulate x processes is. Every epoch is a new permutation, whose beginning fills up the last step.
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
    end_with_parent()  # torch's workers miss the end of one that is killed while they start
    for number in GROUP_SIGNALS:  # torch's workers set handlers of their own
        signal.signal(number, signal.SIG_IGN)
    # Samples are made in parallel already.
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
) -> Iterator[Any]:
    """Batches of samples for the steps start ... stop - 1 (`batch_order`), each the same on any number of workers.

    pin: in memory that a GPU reads while the processor goes on.
    """
    samples = TrainingSet(origins, config, seed)
    loader = DataLoader(
        samples,
        batch_sampler=batch_order(len(samples), batch_size, accumulate, part, seed, start, stop, config.large),
        collate_fn=_gather,
        num_workers=workers,
        # A forked child hangs in the locks of OpenCV's and torch's threads.
        multiprocessing_context="spawn" if workers else None,
        # Its own, so that starting again draws nothing from the run's random numbers.
        generator=torch.Generator(),
        worker_init_fn=_start_worker,
        pin_memory=pin,
    )
    with deaf_children():
        gathered = iter(loader)
    return map(_unpack, gathered)
