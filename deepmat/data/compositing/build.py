"""A planned data set on disk: many threads, stopped and continued at will, nothing half-written."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np

from deepmat import imaging
from deepmat.data.compositing.manifest import (
    MANIFEST,
    Entry,
    Stamp,
    add_to_manifest,
    changed_source,
    checksum,
    read_manifest,
    sort_manifest,
    stamp,
    write_manifest,
)
from deepmat.data.layouts import read_foreground
from deepmat.errors import ConfigError, DataError, lookup
from deepmat.imaging import trimap
from deepmat.imaging.blend import COMPOSITORS
from deepmat.runtime.files import remove_leftovers, write_bytes
from deepmat.runtime.processes import keep_memory

KINDS = {"train": ("image",), "test": ("image", "alpha", "trimap")}
LAYOUTS = {"composites": (), "full": ("alpha", "fg", "bg")}
"""What is written besides KINDS."""
FORMATS = ("png", "jpg", "webp")
TEST_TRIMAP = (3, 10)
"""Kernel size and iterations."""


def _places(entry: Entry, layout: str) -> dict[str, str]:
    """The files of one composite by kind, relative to its manifest."""
    kinds = dict.fromkeys((*KINDS[entry["split"]], *LAYOUTS[layout]))
    return {kind: entry["image"] if kind == "image" else f"{kind}/{entry['name']}.png" for kind in kinds}


def _test_trimap(entry: Entry, alpha: np.ndarray) -> np.ndarray:
    if not entry["trimap"]:
        return trimap.from_alpha(alpha, *TEST_TRIMAP)
    source = Path(entry["trimap"])
    levels = trimap.read_trimap(source)[0]
    imaging.check_same_size(source, levels, Path(entry["fg"]), alpha)
    return levels


def fitted(entry: Entry, height: int, width: int) -> np.ndarray:
    """A composite's background, uint8 [height, width, 3], as its compositor fits it. DataError if it cannot."""
    background = imaging.read_image(Path(entry["bg"]))
    try:
        return lookup(COMPOSITORS, entry["compositor"], "compositor").fit(background, height, width)
    except DataError as error:
        raise DataError(f"{entry['bg']}: {error}") from error


def _pictures(entry: Entry, foreground: np.ndarray, alpha: np.ndarray, kinds: Iterable[str]) -> dict[str, np.ndarray]:
    """The composite and what belongs to it: uint8 image, fg, bg [H, W, 3], alpha and, where wanted, trimap [H, W]."""
    compositor = COMPOSITORS[entry["compositor"]]
    background = fitted(entry, *alpha.shape)
    image = compositor.blend(foreground, alpha, background)
    pictures = {"image": image, "alpha": alpha, "fg": foreground, "bg": background}
    return {**pictures, "trimap": _test_trimap(entry, alpha)} if "trimap" in kinds else pictures


def preview(plan: Sequence[Entry], count: int) -> Iterator[dict[str, Any]]:
    """`count` composites spread over the plan: {"name", "image", "trimap", "alpha", ...} or {"name", "error"}."""
    for place in sorted({round(each) for each in np.linspace(0, len(plan) - 1, min(count, len(plan)))}):
        entry = plan[place]
        try:
            layers = read_foreground(Path(entry["fg"]), Path(entry["alpha"]) if entry["alpha"] else None)
            yield {"name": entry["name"], **_pictures(entry, *layers, ["trimap"])}
        except DataError as error:
            yield {"name": entry["name"], "error": str(error)}


Opened = tuple[dict[str, Stamp], np.ndarray, np.ndarray]


def _open_foreground(fg: str, alpha: str | None) -> Opened:
    """Stamps of the files, taken before they are read; colours; alpha."""
    before = {kind: stamp(path) for kind, path in (("fg", fg), ("alpha", alpha)) if path}
    return before, *read_foreground(Path(fg), Path(alpha) if alpha else None)


def _write_composite(entry: Entry, folder: Path, layout: str, foreground: Opened) -> Entry:
    """Write the files of one composite; its entry with what only now is known."""
    before, colours, alpha = foreground
    sources = {**before, **{kind: stamp(entry[kind]) for kind in ("bg", "trimap") if entry[kind]}}
    places = _places(entry, layout)
    pictures = _pictures(entry, colours, alpha, places)
    about: Entry = {}
    for kind, place in places.items():
        data = imaging.encode(pictures[kind], Path(place).suffix)
        write_bytes(folder / place, data)
        if kind == "image":
            about = {"bytes": len(data), "crc32": checksum(data)}
    return {**entry, "size": list(alpha.shape), **about, "sources": sources}


def _unchanged(entry: Entry, before: Entry, manifest: Path, layout: str) -> bool:
    """Whether this composite is written already, from sources that are still the same.

    ConfigError if one of its name was made in another way.
    """
    changed = sorted(key for key in entry if before.get(key) != entry[key])
    if changed:
        what = "format" if changed == ["image"] else ", ".join(changed)
        raise ConfigError(
            f"{manifest}: {entry['name']} was made with another {what}; choose another output folder or remove this one"
        )
    places = {kind: manifest.parent / place for kind, place in _places(entry, layout).items()}
    if not all(map(Path.is_file, places.values())) or places["image"].stat().st_size != before["bytes"]:
        return False
    return changed_source(before) is None


def _finished(plan: list[Entry], manifest: Path, layout: str) -> dict[str, Entry]:
    """The entries of the plan, all of one split, that are written already, by name."""
    listed = {entry["name"]: entry for entry in read_manifest(manifest)}
    done = {}
    for entry in plan:
        before = listed.pop(entry["name"], None)
        if before is not None and _unchanged(entry, before, manifest, layout):
            done[entry["name"]] = before
    if listed:
        raise ConfigError(
            f"{manifest}: lists {next(iter(listed))} and {len(listed) - 1} others that this command does "
            "not make; choose another output folder or remove this one"
        )
    return done


def _results(entries: Iterable[Entry], manifest: Path, layout: str, workers: int) -> Iterator[tuple[Entry, str | None]]:
    """Write composites and their lines in `workers` threads. Yields each entry with its error message or None.

    Threads do: nine tenths of the time goes to decoding, enlarging, blending and packing, which leave the interpreter
    free, and there is nothing to start.
    """
    opened = lru_cache(maxsize=2)(_open_foreground)  # neighbours in a plan share theirs
    opening, adding = Lock(), Lock()

    def write(entry: Entry) -> tuple[Entry, str | None]:
        try:
            with opening:  # so that it is read once
                foreground = opened(entry["fg"], entry["alpha"])
            written = _write_composite(entry, manifest.parent, layout, foreground)
        except DataError as error:
            return entry, str(error)
        except (MemoryError, cv2.error) as error:
            return entry, f"{entry['name']}: cannot be composited ({error})"
        with adding:
            add_to_manifest(manifest, written)
        return entry, None

    keep_memory()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # pictures are made in parallel already
    pool = ThreadPoolExecutor(workers)
    waiting: set[Future[tuple[Entry, str | None]]] = set()
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


def build_composites(
    plan: list[Entry], out: Path, workers: int = 1, *, layout: str = "composites", image_format: str = "png"
) -> Iterator[dict[str, Any]]:
    """Write every composite of a plan (one split) below out/split, and their manifest.

    layout "composites" writes image/ and, for a test set, alpha/ and trimap/; "full" also alpha/, fg/ and bg/.
    image_format: png and webp are lossless, jpg (quality 95) is smaller; test sets are always png.

    Yields one record per entry, {"name", "skipped" or "error" or neither}, in the order of completion. What an
    earlier, interrupted run listed in the manifest is skipped, unless a source changed since. A picture that fails is
    yielded with its message and the rest goes on. ConfigError if `out` holds another data set, DataError for an empty
    plan or one with a name twice.
    """
    lookup(LAYOUTS, layout, "layout")
    lookup(dict.fromkeys(FORMATS), image_format, "format")
    if not plan:
        raise DataError("nothing to composite: the plan is empty")
    if len({entry["name"] for entry in plan}) < len(plan):
        raise DataError("two foregrounds lead to composites of the same name; rename one of them")
    folder = Path(out) / plan[0]["split"]
    suffix = "png" if plan[0]["split"] == "test" else image_format
    plan = [{**entry, "offset": [0, 0], "image": f"image/{entry['name']}.{suffix}"} for entry in plan]
    manifest = folder / MANIFEST
    finished = _finished(plan, manifest, layout)
    remove_leftovers(folder)
    # A cut line of an earlier run must not swallow the first new one.
    write_manifest(manifest, finished.values())
    done = set(finished)
    del finished  # so that memory does not grow with the data set more than it must
    for name in done:
        yield {"name": name, "skipped": True}
    todo = (entry for entry in plan if entry["name"] not in done)
    for entry, error in _results(todo, manifest, layout, workers):
        yield {"name": entry["name"], **({"error": error} if error else {})}
    if read_manifest(manifest):
        sort_manifest(manifest, (entry["name"] for entry in plan))
    else:
        manifest.unlink()
