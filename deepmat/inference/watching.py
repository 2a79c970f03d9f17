"""Watch folders for pictures that arrive."""

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from deepmat.errors import ConfigError, DataError
from deepmat.inference.jobs import Job

QUIET = 0.5
"""Seconds for which a file must not have changed: until then it may still be being written."""
SECONDS = 5
"""Between looks at folders that tell of no change, as shared ones do not."""


def check() -> None:
    """Raise ConfigError if watchfiles is not installed."""
    if not importlib.util.find_spec("watchfiles"):
        raise ConfigError("--watch: needs watchfiles; pip install 'deepmat[cut]'")


def watch(folders: Sequence[Path], known: Sequence[Job], find: Callable[[], list[Job]]) -> Iterator[list[Job]]:
    """Yield the jobs of pictures that arrive in folders or are replaced there, without end.

    known: the jobs that are done. find: returns all jobs. A job that has a problem is yielded, and again when its
    problem changes, as where a mask arrives after its picture. Changes are looked for every SECONDS even where the
    system reports none.
    """
    from watchfiles import watch as report

    changes = report(
        *folders, debounce=200, step=50, rust_timeout=1000 * SECONDS, yield_on_timeout=True, watch_filter=None
    )
    seen = {_state(job) for job in known}
    while True:
        waiting = False
        arrived = []
        for job in _found(find):
            state = _state(job)
            if state in seen:
                continue
            if _is_fresh(job.image) or (job.partner and _is_fresh(job.partner)):
                waiting = True
            else:
                seen.add(state)
                arrived.append(job)
        if arrived:
            yield arrived
        elif waiting:
            time.sleep(QUIET)
        else:
            next(changes)


def _found(find: Callable[[], list[Job]]) -> list[Job]:
    """Return the jobs; none while a folder is missing or being moved."""
    with suppress(DataError):
        return find()
    return []


def _state(job: Job) -> tuple[object, ...]:
    """Return what changes when a picture, its mask, or what is wrong with it changes."""
    return str(job.image), job.problem, *_stamp(job.image), *(_stamp(job.partner) if job.partner else ())


def _stamp(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_size


def _is_fresh(path: Path) -> bool:
    """Return whether a file changed a moment ago. A clock that runs ahead does not count."""
    with suppress(OSError):
        return 0 <= time.time() - path.stat().st_mtime < QUIET
    return False
