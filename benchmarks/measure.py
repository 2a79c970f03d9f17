"""One side of a benchmark in a process of its own."""

import resource
import sys
import time
from importlib import import_module
from pathlib import Path

KILO = 1024 if sys.platform != "darwin" else 1


def run_side(module: str, side: str, folder: str) -> dict[str, float]:
    """{"seconds" an item, "peak_mb" of this process and, where it has others, of the largest of those besides}."""
    work = import_module(module).SIDES[side]
    begin = time.perf_counter()
    done = work(Path(folder))
    if isinstance(done, tuple):  # it kept the time itself, without what is done once
        items, seconds = done
    else:
        items, seconds = done, time.perf_counter() - begin
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"seconds": seconds / items, "peak_mb": (_peak() + children) * KILO / 1e6}


def _peak() -> int:
    """This process's own peak; getrusage's counts what the parent held when it started this one."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
