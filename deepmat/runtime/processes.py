"""Worker processes: how many, how they are kept out of what Ctrl-C means to the main one, how they keep memory."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_memory() -> None:
    """Have large blocks of memory used again in place of given back.

    Where malloc is glibc's, it gives large blocks back to the system at once until it has seen a still larger one
    freed; to fetch them again, page by page, takes a fifth of the time of a procedural scene, a sixteenth of that of a
    composite. This block is never touched.
    """
    bytearray(30 << 20)


def give_back_memory() -> None:
    """Have memory that is free given back to the system, where malloc is glibc's; takes about 5 ms.

    Blocks of up to 32 MB come out of one heap, whose gaps stay with the process: before blocks that fit none of them.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def end_with_parent() -> None:
    """To be called in a worker: it ends with the process that started it, also one that was killed and told nobody."""
    parent = multiprocessing.parent_process()
    assert parent

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes started in the block ignore SIGINT and SIGTERM, which go to a whole group: the main one ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in GROUP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
