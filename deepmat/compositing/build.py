"""A planned data set on disk: many processes, stopped and continued at will, nothing half-written."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deepmat import imaging, trimap
from deepmat.compositing.manifest import (
    MANIFEST,
    Entry,
    add_to_manifest,
    checksum,
    read_manifest,
    sort_manifest,
    stamps,
    write_manifest,
)
from deepmat.compositing.pixels import COMPOSITORS
from deepmat.errors import ConfigError, DataError, lookup
from deepmat.files import remove_leftovers, write_bytes
from deepmat.sources import read_foreground

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


def _pictures(entry: Entry, foreground: np.ndarray, alpha: np.ndarray, kinds: Iterable[str]) -> dict[str, np.ndarray]:
    """The composite and what belongs to it: uint8 image, fg, bg [H, W, 3], alpha and, where wanted, trimap [H, W]."""
    compositor = COMPOSITORS[entry["compositor"]]
    background = compositor.fit(imaging.read_image(Path(entry["bg"])), *alpha.shape)
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


def _write_composite(entry: Entry, folder: Path, layout: str, foreground: np.ndarray, alpha: np.ndarray) -> Entry:
    """Write the files of one composite; its entry with what only now is known."""
    sources = stamps(entry)
    places = _places(entry, layout)
    pictures = _pictures(entry, foreground, alpha, places)
    crc32 = ""
    for kind, place in places.items():
        data = imaging.encode(pictures[kind], Path(place).suffix)
        write_bytes(folder / place, data)
        if kind == "image":
            crc32 = checksum(data)
    return {**entry, "size": list(alpha.shape), "crc32": crc32, "sources": sources}


def _composite_group(entries: list[Entry], folder: Path, layout: str) -> list[tuple[Entry, str | None]]:
    """Write composites that share a foreground; each with its error message or None."""
    first = entries[0]
    try:
        foreground, alpha = read_foreground(Path(first["fg"]), Path(first["alpha"]) if first["alpha"] else None)
    except DataError as error:
        return [(entry, str(error)) for entry in entries]
    results: list[tuple[Entry, str | None]] = []
    for entry in entries:
        try:
            results.append((_write_composite(entry, folder, layout, foreground, alpha), None))
        except DataError as error:
            results.append((entry, str(error)))
    return results


def _groups(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    for _, group in groupby(entries, key=lambda entry: (entry["split"], entry["fg"])):
        members = list(group)
        yield from (members[start : start + size] for start in range(0, len(members), size))


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
    with suppress(DataError):
        if stamps(entry) == before.get("sources"):
            return all((manifest.parent / place).is_file() for place in _places(entry, layout).values())
    return False


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


def _results(
    groups: Iterable[list[Entry]], folder: Path, layout: str, workers: int
) -> Iterator[list[tuple[Entry, str | None]]]:
    """What became of each group, as it is done, by so many threads.

    Threads do: nine tenths of the time goes to decoding, resizing, blending and packing, which leave the interpreter
    free, and there is nothing to start.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # pictures are made in parallel already
    pool = ThreadPoolExecutor(workers)
    try:
        for task in as_completed([pool.submit(_composite_group, group, folder, layout) for group in groups]):
            yield task.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(threads)


def composite(
    plan: list[Entry], out: Path, workers: int = 1, *, layout: str = "composites", image_format: str = "png"
) -> Iterator[dict[str, Any]]:
    """Write every composite of a plan (one split) below out/split, and their manifest.

    layout "composites" writes image/ and, for a test set, alpha/ and trimap/; "full" also alpha/, fg/ and bg/.
    image_format: png and webp are lossless, jpg (quality 95) is smaller; test sets are always png.

    Yields one record per entry {"name", "skipped" or "error" or neither} as it is done, in no fixed order. What an
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
    # Long groups read a foreground once; but every worker should have several to do.
    size = max(10, min(100, (len(plan) - len(done)) // (8 * workers)))
    for results in _results(_groups(todo, size), folder, layout, workers):
        for entry, error in results:
            if error is None:
                done.add(entry["name"])
                add_to_manifest(manifest, entry)
            yield {"name": entry["name"], **({"error": error} if error else {})}
    if done:
        sort_manifest(manifest, (entry["name"] for entry in plan))
    else:
        manifest.unlink()
