"""A planned data set on disk: many processes, stopped and continued at will, nothing half-written."""

import json
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deepmat import imaging, trimap
from deepmat.compositing.pixels import COMPOSITORS
from deepmat.compositing.plan import Entry
from deepmat.errors import ConfigError, DataError
from deepmat.files import append_line, remove_leftovers, write_text
from deepmat.processes import deaf_children

MANIFEST = "manifest.jsonl"
KINDS = {"train": ("image", "alpha", "fg", "bg"), "test": ("image", "alpha", "fg", "bg", "trimap")}
TEST_TRIMAP = {"kernel_size": 3, "iterations": 10}


def read_foreground(fg: Path, alpha: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Foreground colours, uint8 [H, W, 3], and alpha, uint8 [H, W], from two files or one RGBA file.

    DataError if they differ in size, there is no alpha channel, or alpha leaves nothing to composite.
    """
    if alpha is None:
        colour, matte = imaging.read_rgba(fg)
        if matte is None:
            raise DataError(f"{fg}: has no alpha channel; give the folder of its alphas with --alpha")
    else:
        colour, matte = imaging.read_image(fg), imaging.read_grey(alpha)
        imaging.check_same_size(alpha, matte, fg, colour)
    if matte.min() == matte.max():
        raise DataError(
            f"{alpha or fg}: alpha is {matte.flat[0]} everywhere, so there is no edge to learn from; remove the picture"
        )
    return colour, matte


def _write_composite(entry: Entry, out: Path, foreground: np.ndarray, alpha: np.ndarray) -> None:
    compositor = COMPOSITORS[entry["compositor"]]
    background = compositor.fit(imaging.read_image(Path(entry["bg"])), *alpha.shape)
    pictures = {"alpha": alpha, "fg": foreground, "bg": background}
    if entry["split"] == "test":
        if entry["trimap"]:
            source = Path(entry["trimap"])
            pictures["trimap"] = trimap.read_trimap(source)[0]
            imaging.check_same_size(source, pictures["trimap"], Path(entry["fg"]), alpha)
        else:
            pictures["trimap"] = trimap.from_alpha(alpha, **TEST_TRIMAP)
    pictures["image"] = compositor.blend(foreground, alpha, background)
    for kind, pixels in pictures.items():
        imaging.write_image(out / entry["split"] / kind / f"{entry['name']}.png", pixels)


def _composite_group(entries: list[Entry], out: Path) -> list[tuple[Entry, str | None]]:
    """Write composites that share a foreground; each with its error message or None."""
    first = entries[0]
    try:
        foreground, alpha = read_foreground(Path(first["fg"]), Path(first["alpha"]) if first["alpha"] else None)
    except DataError as error:
        return [(entry, str(error)) for entry in entries]
    results: list[tuple[Entry, str | None]] = []
    for entry in entries:
        try:
            _write_composite(entry, out, foreground, alpha)
            results.append((entry, None))
        except DataError as error:
            results.append((entry, str(error)))
    return results


def _groups(entries: Iterable[Entry], size: int = 10) -> Iterator[list[Entry]]:
    for _, group in groupby(entries, key=lambda entry: (entry["split"], entry["fg"])):
        members = list(group)
        yield from (members[start : start + size] for start in range(0, len(members), size))


def _read_manifest(path: Path) -> dict[str, Entry]:
    """What is listed by name; a line cut short by a kill is left out."""
    listed = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            listed[entry["name"]] = entry
    return listed


def _finished(plan: list[Entry], out: Path) -> dict[str, Entry]:
    """The entries of the plan, all of one split, that are written already, by name."""
    split = plan[0]["split"]
    listed = _read_manifest(out / split / MANIFEST)
    done = {}
    for entry in plan:
        before = listed.pop(entry["name"], None)
        if before is not None and before != entry:
            changed = sorted(key for key in {*before, *entry} if before.get(key) != entry.get(key))
            raise ConfigError(
                f"{out / split / MANIFEST}: {entry['name']} was made with another {', '.join(changed)}; "
                "choose another output folder or remove this one"
            )
        places = [out / split / kind / f"{entry['name']}.png" for kind in KINDS[split]]
        if before is not None and all(map(Path.is_file, places)):
            done[entry["name"]] = entry
    if listed:
        raise ConfigError(
            f"{out / split / MANIFEST}: lists {next(iter(listed))} and {len(listed) - 1} others that this command does "
            "not make; choose another output folder or remove this one"
        )
    return done


def _write_manifest(path: Path, entries: Iterable[Entry]) -> None:
    write_text(path, "".join(json.dumps(entry) + "\n" for entry in entries))


def _results(groups: Iterable[list[Entry]], out: Path, workers: int) -> Iterator[list[tuple[Entry, str | None]]]:
    """What became of each group, as it is done: here, or in a pool of processes."""
    if workers == 1:
        yield from (_composite_group(group, out) for group in groups)
        return
    # A forked child would inherit the locks of the parent's threads. Windows takes no more than 61.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, 61), spawn, initializer=cv2.setNumThreads, initargs=(1,))
    try:
        with deaf_children():
            tasks = [pool.submit(_composite_group, group, out) for group in groups]
        for task in as_completed(tasks):
            yield task.result()
    except BrokenProcessPool as error:
        raise DataError(
            f"{out}: a worker process ended too early: too little memory, or a script without "
            "`if __name__ == '__main__':`; start again with fewer workers to go on"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def composite(plan: list[Entry], out: Path, workers: int = 1) -> Iterator[dict[str, Any]]:
    """Write every composite of a plan (one split) below out/split: image, alpha, fg, bg and, for a test set, trimap.

    Yields one record per entry {"name", "skipped" or "error" or neither} as it is done, in no fixed order. What an
    earlier, interrupted run listed in the manifest is skipped. A picture that fails is yielded with its message and
    the rest goes on. ConfigError if `out` holds another data set, DataError for an empty plan or one with a name twice.
    More than one worker needs a script that can be imported (`if __name__ == "__main__":`).
    """
    if not plan:
        raise DataError("nothing to composite: the plan is empty")
    if len({entry["name"] for entry in plan}) < len(plan):
        raise DataError("two foregrounds lead to composites of the same name; rename one of them")
    out = Path(out)
    manifest = out / plan[0]["split"] / MANIFEST
    done = _finished(plan, out)
    remove_leftovers(manifest.parent)
    for name in done:
        yield {"name": name, "skipped": True}
    # A cut line of an earlier run must not swallow the first new one.
    _write_manifest(manifest, done.values())
    todo = [entry for entry in plan if entry["name"] not in done]
    for results in _results(_groups(todo), out, workers):
        for entry, error in results:
            if error is None:
                done[entry["name"]] = entry
                append_line(manifest, json.dumps(entry))
            yield {"name": entry["name"], **({"error": error} if error else {})}
    _write_manifest(manifest, (done[entry["name"]] for entry in plan if entry["name"] in done))
