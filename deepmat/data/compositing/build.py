"""Write a planned data set: in several threads, whole files only, continued after a stop."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import closing, nullcontext
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TypedDict

import cv2

from deepmat.data.compositing.making import LAYOUTS, Opened, make, open_foreground, places_of
from deepmat.data.compositing.manifest import (
    MANIFEST,
    Entry,
    Stamp,
    asked_once,
    changed_source,
    growing_manifest,
    merge_manifests,
    part_of,
    read_manifest,
    sort_manifest,
    write_manifest,
)
from deepmat.errors import ConfigError, DataError, lookup
from deepmat.runtime import distributed, sharing
from deepmat.runtime.cluster import LIVES
from deepmat.runtime.files import existing, remove_leftovers, write_bytes
from deepmat.runtime.locking import alone
from deepmat.runtime.processes import keep_memory
from deepmat.runtime.sharing import Batch, Engine
from deepmat.runtime.storage import Address

FORMATS = ("png", "jpg", "webp")
BLOCK = 20
"""Neighbours in a plan, which share a foreground, that one process of several takes."""


class Built(TypedDict, total=False):
    """The record of a composite."""

    name: str
    skipped: bool
    """An earlier run of the same command wrote it."""
    error: str


def _unchanged(
    entry: Entry,
    before: Entry,
    manifest: Path,
    layout: str,
    exists: Callable[[Path], bool],
    is_unchanged: Callable[[str, Stamp], bool],
) -> bool:
    """Whether this composite is written already, from sources that have not changed.

    exists: whether a file does; is_unchanged: whether a source is as it was. ConfigError if one of that name was made
    with other options.
    """
    changed = sorted(key for key, value in entry.items() if before.get(key) != value)
    if changed:
        what = "format" if changed == ["image"] else ", ".join(changed)
        raise ConfigError(
            f"{manifest}: {entry['name']} was made with another {what}; choose another output folder or remove this one"
        )
    places = {kind: manifest.parent / place for kind, place in places_of(entry, layout).items()}
    if not all(map(exists, places.values())):
        return False
    # In a storage files are whole, and their sizes would take a request for each.
    if not isinstance(manifest, Address) and places["image"].stat().st_size != before["bytes"]:
        return False
    return changed_source(before, is_unchanged) is None


def _finished(plan: list[Entry], manifest: Path, layout: str) -> dict[str, Entry]:
    """The entries of the plan, all of one split, that are written already, by name."""
    listed = {entry["name"]: entry for entry in read_manifest(manifest)}
    exists = existing([manifest.parent], len(listed))
    unchanged = asked_once()
    done = {}
    for entry in plan:
        before = listed.pop(entry["name"], None)
        if before is not None and _unchanged(entry, before, manifest, layout, exists, unchanged):
            done[entry["name"]] = before
    if listed:
        raise ConfigError(
            f"{manifest}: lists {next(iter(listed))} and {len(listed) - 1} others that this command does "
            "not make; choose another output folder or remove this one"
        )
    return done


Result = tuple[str, Entry | str]
"""The name of a composite, and its entry as written, or the error message."""


def _start(
    folder: Path, layout: str, workers: int | None, keep: Callable[[Entry], None]
) -> Callable[[Sequence[Entry]], Iterator[Result]]:
    opened = lru_cache(maxsize=2)(open_foreground)  # neighbours in a plan share a foreground
    return lambda entries: _results(entries, folder, layout, workers or distributed.own_cores(), opened, keep)


def _keep_nothing(entry: Entry) -> None:
    pass


def _lost(entry: Entry, why: str) -> Result:
    return entry["name"], f"{entry['name']}: its worker ended {LIVES} times ({why}); do it alone"


def _results(
    entries: Iterable[Entry],
    folder: Path,
    layout: str,
    workers: int,
    opened: Callable[[str, str | None], Opened],
    keep: Callable[[Entry], None],
) -> Iterator[Result]:
    """Write composites in `workers` threads. keep: gets the entry of each at once, one at a time.

    Threads suffice: nine tenths of the time goes to decoding, enlarging, blending and encoding, which release the GIL.
    Several are one more, so that no core waits while files are synced to the disk.
    """
    opening, adding = Lock(), Lock()

    def write(entry: Entry) -> Result:
        try:
            with opening:  # the first thread reads it, the others take it from the cache
                foreground = opened(entry["fg"], entry["alpha"])
            written, files = make(entry, layout, foreground)
            for place, data in files.items():
                write_bytes(folder / place, data)
        except DataError as error:
            return entry["name"], str(error)
        except (MemoryError, cv2.error) as error:
            return entry["name"], f"{entry['name']}: cannot be composited ({error})"
        with adding:
            keep(written)
        return entry["name"], written

    keep_memory()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # threads of OpenCV would compete with those of the pool
    pool = ThreadPoolExecutor(workers + (workers > 1))
    waiting: set[Future[Result]] = set()
    try:
        for entry in entries:
            waiting.add(pool.submit(write, entry))
            if len(waiting) >= 4 * workers:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (task.result() for task in done)
        yield from (task.result() for task in as_completed(waiting))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(threads)


def check_plan(plan: Sequence[Entry], layout: str, image_format: str) -> None:
    """ConfigError for an unknown layout or format, DataError for an empty plan or one with a name twice."""
    lookup(LAYOUTS, layout, "layout")
    lookup(dict.fromkeys(FORMATS), image_format, "format")
    if not plan:
        raise DataError("nothing to composite: the plan is empty; check the folder of foregrounds")
    if len({entry["name"] for entry in plan}) < len(plan):
        raise DataError("two foregrounds lead to composites of the same name; rename one of them")


def _placed(entry: Entry, suffix: str) -> Entry:
    placed = entry.copy()
    placed["offset"], placed["image"] = [0, 0], f"image/{entry['name']}.{suffix}"
    return placed


def build_composites(
    plan: list[Entry],
    out: Path,
    workers: int | None = 1,
    *,
    layout: str = "composites",
    image_format: str = "png",
    engine: Engine = Engine(),
) -> Iterator[Built]:
    """Write every composite of a plan (one split) below out/split, and their manifest.

    layout "composites" writes image/ and, for a test set, alpha/ and trimap/; "full" also alpha/, fg/ and bg/.
    image_format: png and webp are lossless, jpg (quality 95) is smaller; test sets are always png. workers: threads, by
    default one for each core of this process. The processes of a launcher share the plan and must all call this.

    Yields one record per entry of this process, in the order of completion; a picture that fails has "error", and the
    rest goes on.
    Composites that an earlier, interrupted run listed in the manifest are skipped unless a source changed since.
    ConfigError if another process makes the same split, or `out` holds another data set; errors of `check_plan`.
    """
    check_plan(plan, layout, image_format)
    folder = out / plan[0]["split"]
    suffix = "png" if plan[0]["split"] == "test" else image_format
    plan = [_placed(entry, suffix) for entry in plan]
    distributed.meet()
    taken = "another process makes this data set; wait for its end, or give another folder"
    with nullcontext() if distributed.rank() else alone(folder, taken):
        yield from _build(plan, folder, workers, layout, engine)


def _build(plan: list[Entry], folder: Path, workers: int | None, layout: str, engine: Engine) -> Iterator[Built]:
    """`build_composites` of a plan that names each composite's file, in a folder of its own."""
    manifest = folder / MANIFEST
    if not distributed.rank():
        merge_manifests(manifest)  # of several processes that were killed
        finished = _finished(plan, manifest, layout)
        remove_leftovers(folder)
        # Rewritten without a line that a kill cut short, which would run into the first new one.
        write_manifest(manifest, finished.values())
        del finished  # the entries of a large data set take memory that the pictures need
    distributed.gather(None)
    done = {entry["name"] for entry in read_manifest(manifest)}
    for entry in distributed.share([entry for entry in plan if entry["name"] in done]):
        yield {"name": entry["name"], "skipped": True}
    distributed.gather(None)  # nobody writes before all have read
    own = distributed.share([entry for entry in plan if entry["name"] not in done], BLOCK)
    with growing_manifest(part_of(manifest)) as add:
        keep = _keep_nothing if engine.is_cluster else add
        batch = Batch(own, partial(_start, folder, layout, workers, keep), _lost)
        with closing(sharing.do(batch, engine)) as results:  # its threads end before the manifest is closed
            for name, result in results:
                if engine.is_cluster and not isinstance(result, str):
                    add(result)
                yield {"name": name, "error": result} if isinstance(result, str) else {"name": name}
    distributed.gather(None)
    if not distributed.rank():
        _complete(manifest, plan)
        if engine.is_cluster:
            remove_leftovers(folder)  # of workers that were killed
    distributed.gather(None)


def _complete(manifest: Path, plan: Sequence[Entry]) -> None:
    """Make one sorted manifest of the parts of all processes; none if it lists nothing."""
    merge_manifests(manifest)
    if read_manifest(manifest):
        sort_manifest(manifest, (entry["name"] for entry in plan))
    else:
        manifest.unlink()
