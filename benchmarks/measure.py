"""One side of a benchmark in a process of its own."""

import multiprocessing
import resource
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

KILO = 1024 if sys.platform != "darwin" else 1


def run_side(module: str, side: str, folder: str) -> dict[str, Any]:
    """{"seconds" an item, "peak_mb" of this process and its workers together, "figures" that it found itself}."""
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
    # A side that does something once before may keep the time itself.
    items, seconds, *figures = result if isinstance(result, tuple) else (result, seconds)
    peak = (_peak("self") + sum(workers.values())) * KILO / 1e6
    return {"seconds": seconds / items, "peak_mb": peak, "figures": figures[0] if figures else {}}


def _watch(workers: dict[int, int], done: threading.Event) -> None:
    """Keep the peak of each worker process, while there are any."""
    while not done.wait(0.1):
        for process in multiprocessing.active_children():
            if process.pid:
                workers[process.pid] = max(workers.get(process.pid, 0), _peak(str(process.pid)))


def _peak(process: str) -> int:
    """Peak memory of a process in kilobytes; getrusage's own would count what the parent held at the start."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):  # no such process any more, or no such file on this system
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if process == "self" else 0
