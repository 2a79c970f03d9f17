"""Every file of a survey is read once, in many processes."""

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deepmat import imaging
from deepmat.checks.composites import Compared, Opener, Pixels, compare, is_test, summarise
from deepmat.checks.findings import Case, Finding, Survey, finding, message_of
from deepmat.checks.pictures import look_at_alpha, look_at_fringe, look_at_header, look_at_trimap
from deepmat.data.compositing import MANIFEST, Entry
from deepmat.data.compositing.manifest import checksum
from deepmat.data.layouts import read_foreground
from deepmat.errors import DataError
from deepmat.runtime.processes import deaf_children, end_with_parent

CHUNK = 8


def _digest(pixels: np.ndarray) -> bytes:
    state = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    state.update(np.ascontiguousarray(pixels).data)
    return state.digest()


def _examine_file(role: str, path: Path, pixels: Pixels) -> Iterator[Finding]:
    """Read one file of a case into `pixels`, by role. Returns the findings on it, alone and beside the alpha."""
    if not path.is_file():
        yield finding("unreadable", path, "no file, but a broken link or a device; remove it", fix="left out")
        return
    if not path.stat().st_size:
        yield finding("unreadable", path, "empty (0 bytes); replace or remove it", fix="left out")
        return
    about = imaging.describe(path)
    if role == "rgba":
        colour, alpha = imaging.read_rgba(path)
        pixels["fg"] = path, colour
        if alpha is None:
            message = "has no alpha channel; give the folder of its alphas with --alpha (of backgrounds: with --bg)"
            yield finding("partner", path, message, fix="left out")
        else:
            pixels["alpha"] = path, alpha
            yield from look_at_alpha(path, alpha, about["deep"])
    elif role == "alpha":
        pixels["alpha"] = path, imaging.read_grey(path)
        yield from look_at_alpha(path, pixels["alpha"][1], about["deep"])
    elif role == "trimap":
        pixels["trimap"] = path, imaging.read_levels(path)
        yield from look_at_trimap(path, pixels["trimap"][1], pixels["alpha"][1] if "alpha" in pixels else None)
    else:
        pixels[role] = path, imaging.read_image(path)
    yield from look_at_header(role, path, about)


def _examine_listed(path: Path, entry: Entry) -> Finding | None:
    """Whether a composite is, byte by byte, what its manifest says; then its pixels need no look."""
    if checksum(path.read_bytes()) == entry.get("crc32"):
        return None
    message = (
        f"not the bytes that {MANIFEST} lists (crc32): damaged or edited; remove it and run deepmat composite again"
    )
    return finding("manifest", path, message)


def _examine(case: Case, opened: Opener) -> dict[str, Any]:
    """The findings of one case; its pixels in all; of what may be there twice, (split, path, whole, colours); and of a
    composite for testing, how far it is from what its sources give.

    whole: a digest of colours and alpha together; colours: of them alone, or None where they are all one, as of a
    drawn shape.
    """
    findings: list[Finding] = []
    count = 0
    pixels: Pixels = {}
    # Trimaps are held against the alpha, so it comes first.
    for role, path in sorted(case.files, key=lambda file: file[0] == "trimap"):
        pixels.pop("trimap", None)  # the one before, of several
        try:
            if role == "image" and case.entry and "crc32" in case.entry:
                damaged = _examine_listed(path, case.entry)
                findings += [damaged] if damaged else []
                if is_test(case):
                    pixels["image"] = path, imaging.read_image(path)
                else:
                    pixels["image"] = path, np.broadcast_to(np.uint8(0), imaging.read_size(path))
                count += pixels["image"][1].shape[0] * pixels["image"][1].shape[1]
            else:
                findings += _examine_file(role, path, pixels)
                name = "fg" if role == "rgba" else role
                count += pixels[name][1].shape[0] * pixels[name][1].shape[1] if name in pixels else 0
        except DataError as error:
            findings.append(finding("unreadable", path, message_of(error, path), fix="left out"))
        except (OSError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or "too large for this memory"
            findings.append(
                finding("unreadable", path, f"cannot be read ({reason}); mend or remove it", fix="left out")
            )
        findings += _sizes(pixels, role)
    result: dict[str, Any] = {"findings": findings, "pixels": count, "digests": [], "composite": None}
    if is_test(case) and "image" in pixels:
        wrong, result["composite"] = compare(case, pixels, opened)
        findings += wrong
    if case.kind != "background" and not case.entry:
        base = "image" if case.kind == "composite" else "fg"
        if base in pixels:
            path, colour = pixels[base]
            colours = _digest(colour)
            whole = colours + (_digest(pixels["alpha"][1]) if "alpha" in pixels else b"")
            varied = any((line != colour[0, 0]).any() for line in colour)
            result["digests"].append((case.split, str(path), whole, colours if varied else None))
        if "fg" in pixels and "alpha" in pixels:
            findings += look_at_fringe(pixels["fg"][0], pixels["fg"][1], pixels["alpha"][1]) if base == "fg" else []
    return result


def _sizes(pixels: Pixels, role: str) -> Iterator[Finding]:
    """Whether what was read last is of the size of what was read first."""
    role = "fg" if role == "rgba" else role
    if role not in pixels:
        return
    (first, one), (path, other) = next(iter(pixels.values())), pixels[role]
    try:
        imaging.check_same_size(path, other, first, one)
    except DataError as error:
        yield finding("size", path, message_of(error, path))


def _examine_all(cases: Sequence[Case]) -> list[dict[str, Any]]:
    opened = lru_cache(maxsize=1)(read_foreground)  # neighbours share theirs
    return [_examine(case, opened) for case in cases]


def _start_worker() -> None:
    end_with_parent()
    cv2.setNumThreads(1)


def spread(work: Callable[..., Any], chunks: Sequence[Any], workers: int) -> Iterator[Any]:
    """work(chunk) for every chunk, in the order of completion: in this process or in a pool."""
    if workers == 1 or len(chunks) < 3:
        yield from map(work, chunks)
        return
    # As in compositing.build: no locks inherited, and at most what Windows takes.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(chunks), 61), spawn, initializer=_start_worker)
    try:
        with deaf_children():
            tasks = [pool.submit(work, chunk) for chunk in chunks]
        for task in as_completed(tasks):
            yield task.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process ended too early, of too little memory perhaps; use fewer --workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def chunked(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]


def examine(found: Survey, workers: int = 1) -> Iterator[dict[str, Any]]:
    """Read every file of a survey once: a record {"findings", "pixels"} per case, in no fixed order, and one at last.

    The last one holds what only the whole folder shows: what is there twice, and as "composites" what `summarise` says
    of the test set. More than one worker needs a script that can be imported (`if __name__ == "__main__":`).
    """
    digests: list[Any] = []
    compared: list[Compared] = []
    for results in spread(_examine_all, chunked(found.cases), workers):
        for result in results:
            digests += result["digests"]
            compared += [result["composite"]] if result["composite"] else []
            yield {"findings": result["findings"], "pixels": result["pixels"]}
    wrong, composites = summarise(compared, found)
    yield {"findings": [*_duplicates(digests), *wrong], "pixels": 0, "composites": composites}


def _duplicates(digests: list[tuple[str, str, bytes, bytes | None]]) -> Iterator[Finding]:
    """Foregrounds or composites that are there twice. The test set keeps its own, for scores to compare with."""
    seen: dict[bytes, tuple[str, str]] = {}
    for split, path, whole, colours in sorted(digests, key=lambda item: item[:2]):
        first = next((seen[digest] for digest in (whole, colours) if digest in seen), None)
        if first and first[0] != split:
            same = "it is" if first[1] == path else f"its colours, those of {first[1]}, are"
            message = f"{same} in the test set too, which would then test what was learnt; leave it out of one"
            yield finding("leak", path, message, fix="left out")
        elif whole in seen:
            message = f"the same pixels as {first[1] if first else ''}; remove one"
            yield finding("duplicate", path, message, severity="warning", fix="left out")
        for digest in filter(None, (whole, colours)):
            seen.setdefault(digest, (split, path))
