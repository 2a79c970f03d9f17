"""Run one side of a benchmark in a process of its own, and measure time and memory."""

import multiprocessing
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

KILO = 1024 if sys.platform != "darwin" else 1


def run_side(module: str, side: str, folder: str) -> dict[str, Any]:
    """Return {"seconds" per item, "peak_mb" of this process and its workers, "figures" that the side reports}."""
    work = import_module(module).SIDES[side]
    workers: dict[int, int] = {}
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(workers, done))
    watcher.start()
    begin = time.perf_counter()
    try:
        result = work(Path(folder))
        seconds = time.perf_counter() - begin
    finally:
        done.set()
        watcher.join()
    # A side with a preparation of its own may measure the time itself.
    items, seconds, figures = (*result, {})[:3] if isinstance(result, tuple) else (result, seconds, {})
    peak = (_peak("self") + sum(workers.values())) * KILO / 1e6
    return {"seconds": seconds / items, "peak_mb": peak, "figures": figures}


def _watch(workers: dict[int, int], done: threading.Event) -> None:
    """Record the peak memory of each worker process while it runs."""
    while not done.wait(0.1):
        for process in multiprocessing.active_children():
            if process.pid:
                workers[process.pid] = max(workers.get(process.pid, 0), _peak(str(process.pid)))


def _peak(process: str) -> int:
    """Return the peak memory of a process in kilobytes. getrusage would count the parent's memory at the start too."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):  # the process has ended, or this system has no such file
        if process != "self" or sys.platform == "win32":
            return 0
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
