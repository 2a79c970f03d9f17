"""Worker processes: how many, and how they are kept out of what Ctrl-C means to the main one."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
