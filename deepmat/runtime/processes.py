"""Worker processes: how many, how they end, and how they keep memory."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from deepmat.errors import DeepmatError

LARGEST_KEPT = 30 << 20
"""Bytes. glibc allows thresholds of up to 32 MB."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
KERNEL_CACHES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128", "LRU_CACHE_CAPACITY": "128"}
"""Entries of the caches of oneDNN, and of torch before it, which keep code and buffers for each layer and size of
picture. By default 1,024 each. A picture seen by lite takes 60 to 80; with 64 nothing was slower, with 16 a tenth."""


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def keep_memory() -> None:
    """Make glibc reuse freed blocks of up to 30 MB in this process; elsewhere do nothing.

    By default it returns blocks of over 128 kB to the system at once, and page faults of new ones cost a fifth of the
    time of a procedural scene, a sixteenth of that of a composite. Call it where work on pictures begins; only the
    first call does anything.
    """
    mallopt = _glibc("mallopt")
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_KEPT)


def share_heap() -> None:
    """Make all threads of this process allocate from one heap, where malloc is glibc's; call it before there are any.

    By default each has a heap of its own, of which `give_back_memory` keeps up to 60 MB at the upper end.
    """
    mallopt = _glibc("mallopt")
    if mallopt:
        mallopt(M_ARENA_MAX, 1)


def give_back_memory() -> None:
    """Return free memory to the system, where malloc is glibc's; takes about 5 ms.

    Blocks of up to 30 MB come from one heap, whose gaps stay with the process otherwise.
    """
    trim = _glibc("malloc_trim")
    if trim:
        trim(0)


def bound_kernel_caches() -> None:
    """Keep torch's memory on CPUs bounded over pictures of many sizes; call it before its first convolution.

    Variables of the environment that are set already stay.
    """
    for name, entries in KERNEL_CACHES.items():
        os.environ.setdefault(name, entries)


def _glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


@cache
def survive_forks() -> None:
    """Make processes forked from this one compute in one thread each; call it before the first use of torch's threads.

    A forked process lacks the threads of its parent, and GNU's OpenMP, which torch uses on Linux, would wait for them
    for ever. Only the first call does anything.
    """
    import torch

    if sys.platform == "linux":
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def end_with_parent() -> None:
    """Make this worker process end when its parent does, also when the parent is killed."""
    parent = multiprocessing.parent_process()
    assert parent

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals that a terminal or launcher sends to a whole process group."""


@contextmanager
def deaf_children() -> Iterator[None]:
    """Let processes that are started in the block ignore GROUP_SIGNALS; the main process ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set handlers
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in GROUP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Worker(SpawnProcess):
    """A process that ignores GROUP_SIGNALS, so that `terminate` kills it."""

    def terminate(self) -> None:
        self.kill()


class Workers(SpawnContext):
    """The context in which worker processes are started. They are spawned, since forked ones would inherit locks."""

    UNGUARDED = (
        "a worker process ended with an error, which is above; it imports the script again, so that must be a file "
        'which calls deepmat below `if __name__ == "__main__":`'
    )

    def __init__(self) -> None:
        super().__init__()
        self._started: list[_Worker] = []

    def Process(self, *arguments: Any, **named: Any) -> _Worker:  # type: ignore[override]
        """Make a worker process."""
        self._started.append(_Worker(*arguments, **named))
        return self._started[-1]

    @contextmanager
    def starting(self, instead: str) -> Iterator[None]:
        """Start worker processes in the block. Raises DeepmatError, with the option `instead`, if they cannot start."""
        try:
            self.Lock()  # fails where semaphores do, before half of a pool is made
            with deaf_children():
                yield
        except (OSError, ImportError, NotImplementedError) as error:  # of semaphores, pipes, the processes themselves
            why = getattr(error, "strerror", None) or error
            raise DeepmatError(
                f"worker processes cannot be started ({why}): they need shared memory (/dev/shm); {instead}"
            ) from error

    def ended_with_error(self) -> bool:
        """Return whether a worker ended by itself with an error, as one does that cannot import the script."""
        return any((worker.exitcode or 0) > 0 for worker in self._started)
