"""A batch on a Ray cluster: its workers take small chunks, one at a time, until all are done.

A chunk whose worker ends is cut into single items, which other workers do again: files are written whole or not at all,
and every worker makes the same ones. An item that ends several workers fails alone. At the end of a batch, idle workers
also take chunks that take unusually long elsewhere; the first result counts.
"""

import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol, TypeVar

from deepmat.errors import ConfigError, DeepmatError

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 8
"""Most items of a chunk."""
ROUNDS = 4
"""Chunks for each worker, at least, where there are enough items."""
LIVES = 3
"""Workers that an item may end before it fails."""
FALSE_STARTS = 20
"""Workers in succession that may end before they have begun."""
SLOW = 3
"""Times the longest time of a chunk so far, after which an idle worker repeats one."""
TICK = 1.0
"""Seconds after which a wait looks around."""


class Lost(NamedTuple):
    """The end of a worker before its answer."""

    why: str


class Pool(Protocol):
    """Workers."""

    def room(self) -> int:
        """Return the number of workers that there is room for."""
        ...

    def hire(self) -> Any:
        """Return a new worker. Its first answer, an empty list, says that it has started."""
        ...

    def give(self, worker: Any, items: Sequence[Any]) -> None:
        """Let a worker that has answered do items. Its answer is the list of their records."""
        ...

    def answer(self, seconds: float) -> tuple[Any, list[Any] | Lost] | None:
        """Return a worker and its answer, None after so many seconds. Raises errors that end the batch."""
        ...


@dataclass(eq=False)
class _Chunk:
    items: Sequence[Any]
    deaths: int = 0
    copies: int = 0
    """Workers that do it at this moment."""
    begun: float = 0.0
    done: bool = False


def hand_out(items: Sequence[T], pool: Pool, lost: Callable[[T, str], R]) -> Iterator[R]:
    """Let the workers of a pool do items. Yields their records as they arrive.

    lost: makes the record of an item that ended LIVES workers. Raises DeepmatError if workers do not start.
    """
    size = max(1, min(CHUNK, math.ceil(len(items) / (ROUNDS * max(1, pool.room())))))
    board = _Board(deque(_Chunk(items[start : start + size]) for start in range(0, len(items), size)))
    idle: list[Any] = []
    false_starts = 0
    while board.left:
        for _ in range(min(pool.room(), board.left) - len(board.working) - len(idle)):
            board.working[pool.hire()] = None
        while idle and (chunk := board.next()):
            worker = idle.pop()
            board.working[worker] = chunk
            pool.give(worker, chunk.items)
        answered = pool.answer(TICK)
        if not answered:
            continue
        worker, records = answered
        given = board.working.pop(worker)
        if not isinstance(records, Lost):
            false_starts = 0
            idle.append(worker)
            if given and board.finish(given):
                yield from records
        elif given is None:
            false_starts += 1
            if false_starts > FALSE_STARTS:
                raise DeepmatError(
                    f"the workers of the cluster end as they start ({records.why}); check that every node has deepmat, "
                    "its extras and free memory"
                )
        elif board.lose(given):
            yield lost(given.items[0], records.why)


class _Board:
    """The chunks of a batch: waiting, and in the hands of workers."""

    def __init__(self, waiting: deque[_Chunk]) -> None:
        self.waiting = waiting
        self.left = len(waiting)
        """Chunks that are not done."""
        self.working: dict[Any, _Chunk | None] = {}
        """By worker, in the order of beginning; None while it starts."""
        self.longest = math.inf
        """Seconds that a chunk took at most, so far."""

    def next(self) -> _Chunk | None:
        """Return the chunk for an idle worker, if there is one."""
        chunk = self.waiting.popleft() if self.waiting else self._late()
        if chunk:
            chunk.begun = chunk.begun or time.monotonic()
            chunk.copies += 1
        return chunk

    def _late(self) -> _Chunk | None:
        """Return the first chunk that takes unusually long and has no second worker yet."""
        before = time.monotonic() - SLOW * self.longest
        alone = (chunk for chunk in self.working.values() if chunk and not chunk.done and chunk.copies == 1)
        return next((chunk for chunk in alone if chunk.begun < before), None)

    def finish(self, chunk: _Chunk) -> bool:
        """Note that a worker has done a chunk. Returns whether it is the first one."""
        chunk.copies -= 1
        if chunk.done:
            return False
        took = time.monotonic() - chunk.begun
        self.longest = took if math.isinf(self.longest) else max(self.longest, took)
        chunk.done = True
        self.left -= 1
        return True

    def lose(self, chunk: _Chunk) -> bool:
        """Note that the worker of a chunk has ended. Returns whether its only item fails by that."""
        chunk.copies -= 1
        chunk.deaths += 1
        if chunk.done or chunk.copies:
            return False
        if len(chunk.items) == 1 and chunk.deaths >= LIVES:
            chunk.done = True
            self.left -= 1
            return True
        again = [_Chunk([item], chunk.deaths) for item in chunk.items]
        self.waiting.extendleft(reversed(again))
        self.left += len(again) - 1
        return False


def check() -> None:
    """Raise ConfigError if Ray is not installed."""
    if find_spec("ray") is None:
        raise ConfigError("--engine ray needs Ray: pip install 'deepmat[ray]'")


@contextmanager
def open_pool(
    start: Callable[[], Callable[[Sequence[T]], Iterable[R]]], cores: int = 1, gpu: bool = False
) -> Iterator["_RayPool"]:
    """Open a pool on the Ray cluster of RAY_ADDRESS or of this machine; else a cluster is started, for the block.

    start: as of `sharing.Batch`. cores: of each worker. gpu: a worker takes a GPU too, if the cluster has any.
    """
    import ray

    own = not ray.is_initialized()
    if own:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to Ray's makers
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray's own have no base class for this
            raise DeepmatError(f"Ray does not start ({error}); check RAY_ADDRESS, or try again") from error
    pool = _RayPool(start, cores, gpu)
    try:
        yield pool
    finally:
        pool.close()
        if own:
            ray.shutdown()


class _RayPool:
    """Actors of a cluster that Ray is connected to."""

    def __init__(self, start: Any, cores: int, gpu: bool) -> None:
        import ray

        self._ray, self._cores = ray, cores
        self._gpus = int(gpu and ray.cluster_resources().get("GPU", 0) > 0)
        self._start = ray.put(start)
        self._actors: set[Any] = set()
        self._answers: dict[Any, Any] = {}
        """Actor by the reference to its answer."""
        if not self.room():
            raise ConfigError(f"--engine ray: no node of the cluster has {cores} cores; take ray:1")

    def room(self) -> int:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        by_cores = (int(node.get("CPU", 0)) // self._cores for node in nodes)
        by_gpus = (int(node.get("GPU", 0)) if self._gpus else math.inf for node in nodes)
        return sum(map(min, by_cores, by_gpus))  # type: ignore[arg-type]

    def hire(self) -> Any:
        options = {"num_cpus": self._cores, "num_gpus": self._gpus, "max_restarts": 0}
        actor: Any = self._ray.remote(_Worker).options(**options).remote(self._cores)
        self._actors.add(actor)
        self._answers[actor.open.remote(self._start, os.getcwd())] = actor
        return actor

    def give(self, worker: Any, items: Sequence[Any]) -> None:
        self._answers[worker.do.remote(items)] = worker

    def answer(self, seconds: float) -> tuple[Any, list[Any] | Lost] | None:
        if not self._answers:  # all nodes are gone; others may come
            time.sleep(seconds)
            return None
        done, _ = self._ray.wait(list(self._answers), num_returns=1, timeout=seconds)
        if not done:
            return None
        actor = self._answers.pop(done[0])
        try:
            return actor, self._ray.get(done[0])
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause or error from None
        except self._ray.exceptions.RayError as error:
            self._actors.discard(actor)
            self._ray.kill(actor)  # it may only be out of reach
            return actor, Lost(f"{type(error).__name__}, as after a kill or for lack of memory")

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        if waiting := list(self._answers):  # they end when their workers have; nothing is written after that
            self._ray.wait(waiting, num_returns=len(waiting), timeout=10)


class _Worker:
    """An actor. Its constructor takes no part of the batch, so that nothing of it is imported before."""

    def __init__(self, cores: int) -> None:
        # Read by libraries as they are imported, which is when the batch arrives.
        for name in ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
            os.environ[name] = str(cores)
        os.environ["LOCAL_WORLD_SIZE"] = str(max(1, _cores_of_node() // cores))

    def open(self, start: Callable[[], Any], folder: str) -> list[Any]:
        """Go to the folder of the command, which relative paths mean, and open what the batch needs."""
        try:
            os.chdir(folder)
        except OSError as error:
            raise DeepmatError(
                f"{folder}: not on every node of the cluster ({error.strerror}); run deepmat in a folder on a disk "
                "that all nodes share"
            ) from error
        self._do = start()
        return []

    def do(self, items: Sequence[Any]) -> list[Any]:
        """Do items. Returns their records."""
        return list(self._do(items))


def _cores_of_node() -> int:
    from deepmat.runtime.processes import cores

    return cores()
