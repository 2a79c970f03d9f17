"""Batches of independent items, done by this process, by those of a launcher, or by the workers of a Ray cluster.

Which process does an item, and when, has no influence on its result. Under a launcher each process prepares a batch of
its share of the items (`distributed.share`); with Ray one process prepares all of them and hands them out.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from deepmat.errors import ConfigError, lookup
from deepmat.runtime import cluster, distributed
from deepmat.runtime.storage import Address

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Batch(Generic[T, R]):
    """Items of this process, and what does them."""

    items: Sequence[T]
    start: Callable[[], Callable[[Sequence[T]], Iterable[R]]]
    """Opens what the items need, a network say, once in each process. Returns the function that does items: it yields
    one record for each, in any order. Ray pickles it, so with Ray it holds no open network or file."""
    lost: Callable[[T, str], R]
    """The record of an item that ended its workers, given why they ended."""
    gpu: bool = False
    """Whether each worker takes a GPU of a cluster that has some."""


class Engine(NamedTuple):
    """Who does a batch."""

    name: str = "processes"
    """One of ENGINES."""
    cores: int = 1
    """Of a worker of the cluster."""

    @property
    def is_cluster(self) -> bool:
        """Whether workers of a cluster do the items."""
        return self.name != "processes"


def _by_this_process(batch: Batch[T, R], cores: int) -> Generator[R, None, None]:
    if batch.items:
        yield from batch.start()(batch.items)


def _by_ray(batch: Batch[T, R], cores: int) -> Generator[R, None, None]:
    if not batch.items:
        return
    with cluster.open_pool(batch.start, cores, batch.gpu) as pool:
        yield from cluster.hand_out(batch.items, pool, batch.lost)


ENGINES = {"processes": _by_this_process, "ray": _by_ray}


def parse_engine(text: str) -> Engine:
    """Parse "processes", "ray" or "ray:CORES". Raises ConfigError, also if that engine cannot be used here."""
    name, colon, cores = str(text).partition(":")
    lookup(ENGINES, name, "engine")
    if colon and (name == "processes" or not cores.isdecimal() or int(cores) < 1):
        raise ConfigError(f"--engine {text}: write processes, ray, or ray:4 for workers of 4 cores")
    engine = Engine(name, int(cores or 1))
    if engine.is_cluster:
        if distributed.world() > 1:
            raise ConfigError(f"--engine {text}: Ray starts the workers itself; start deepmat without a launcher")
        cluster.check()
    return engine


def refuse_storage(engine: Engine, written: Iterable[object]) -> None:
    """Raise ConfigError if several processes would write to an address, where parts of logs cannot be put together."""
    if distributed.world() == 1 and not engine.is_cluster:
        return
    for path in written:
        if isinstance(path, Address):
            raise ConfigError(
                f"{path}: several processes or --engine ray write to local folders only; write to one and copy it, or "
                "start one process"
            )


def do(batch: Batch[T, R], engine: Engine) -> Generator[R, None, None]:
    """Do the items of a batch. Yields the record of each as it is done."""
    return ENGINES[engine.name](batch, engine.cores)


def do_for_all(batch: Batch[T, R], engine: Engine) -> Iterator[R]:
    """Do the items of a batch. Yields their records, then those of the other processes of the launcher, by rank.

    Every process of the job must call it.
    """
    distributed.meet()
    own = []
    for record in do(batch, engine):
        own.append(record)
        yield record
    for rank, records in enumerate(distributed.gather(own)):
        if rank != distributed.rank():
            yield from records
