"""Read every file of a survey once, in several processes."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from deepmat import imaging
from deepmat.checks.composites import Compared, Opener, Pixels, compare, is_test, summarise
from deepmat.checks.findings import Case, Checked, Finding, Survey, finding, message_of
from deepmat.checks.pictures import look_at_alpha, look_at_fringe, look_at_header, look_at_trimap
from deepmat.data.compositing import MANIFEST, Entry
from deepmat.data.compositing.manifest import checksum
from deepmat.data.layouts import read_foreground
from deepmat.errors import DataError
from deepmat.runtime import distributed
from deepmat.runtime.cluster import LIVES
from deepmat.runtime.processes import Workers, end_with_parent
from deepmat.runtime.sharing import Batch, Engine, do_for_all
from deepmat.runtime.storage import Address

CHUNK = 8
"""Cases that a worker process takes at a time."""
T = TypeVar("T")
R = TypeVar("R")


def _digest(pixels: np.ndarray) -> bytes:
    state = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    state.update(np.ascontiguousarray(pixels).data)
    return state.digest()


def _examine_file(role: str, path: Path, pixels: Pixels) -> Iterator[Finding]:
    """Read one file of a case into `pixels`, by role. Returns the findings on it, alone and beside the alpha."""
    if not isinstance(path, Address) and not path.is_file():
        yield finding("unreadable", path, "no file, but a broken link or a device; remove it", fix="left out")
        return
    if not isinstance(path, Address) and not path.stat().st_size:
        yield finding("unreadable", path, "empty (0 bytes); replace or remove it", fix="left out")
        return
    about = imaging.describe(path)
    if role == "rgba":
        colour, alpha = imaging.read_rgba(path)
        pixels["fg"] = path, colour
        if alpha is None:
            how = "save it with one, or put its alpha into alpha/ beside fg/ or the folder of --alpha"
            message = f"has no alpha channel and no alpha file of its name; {how} (backgrounds: --bg)"
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


def _examine_listed(path: Path, entry: Entry) -> Iterator[Finding]:
    """The finding on a composite whose bytes are not those that its manifest lists."""
    if checksum(path.read_bytes()) != entry["crc32"]:
        message = (
            f"not the bytes that {MANIFEST} lists (crc32): damaged or edited; remove it and run deepmat composite again"
        )
        yield finding("manifest", path, message)


class Digest(NamedTuple):
    """Digests of the pixels of a foreground or composite, to find duplicates."""

    split: str
    path: str
    whole: bytes
    """Of colours and alpha together; of a test picture, of its trimap too: one picture can be tested with several."""
    colours: bytes | None
    """Of the colours; None where they are all one, as of a drawn shape."""


class Examined(NamedTuple):
    """The result of reading the files of a case."""

    findings: list[Finding]
    pixels: int
    digest: Digest | None
    compared: Compared | None


def _examine(case: Case, opened: Opener) -> Examined:
    """Read the files of a case."""
    findings: list[Finding] = []
    count = 0
    pixels: Pixels = {}
    # A trimap is compared with the alpha, so it comes after it.
    for role, path in sorted(case.files, key=lambda file: file[0] == "trimap"):
        pixels.pop("trimap", None)  # a case can have several trimaps
        try:
            if role == "image" and case.entry and "crc32" in case.entry:
                findings += _examine_listed(path, case.entry)
                whole = is_test(case)  # of others the checksum suffices
                pixels["image"] = path, imaging.read_image(path) if whole else _blank(imaging.read_size(path))
            else:
                findings += _examine_file(role, path, pixels)
            name = "fg" if role == "rgba" else role
            count += pixels[name][1].shape[0] * pixels[name][1].shape[1] if name in pixels else 0
        except DataError as error:
            findings.append(finding("unreadable", path, message_of(error, path), fix="left out"))
        except (OSError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or "too large for this memory"
            message = f"cannot be read ({reason}); repair or remove it"
            findings.append(finding("unreadable", path, message, fix="left out"))
        findings += _sizes(pixels, role)
    compared = None
    if is_test(case) and "image" in pixels:
        wrong, compared = compare(case, pixels, opened)
        findings += wrong
    digest = None
    if case.kind != "background" and not case.entry:
        base = "image" if case.kind == "composite" else "fg"
        digest = _digest_of(case, base, pixels) if base in pixels else None
        if base == "fg" and "fg" in pixels and "alpha" in pixels:
            findings += look_at_fringe(pixels["fg"][0], pixels["fg"][1], pixels["alpha"][1])
    return Examined(findings, count, digest, compared)


def _blank(size: tuple[int, int]) -> np.ndarray:
    """A picture that takes no memory, for its size only."""
    return np.broadcast_to(np.uint8(0), size)


def _digest_of(case: Case, base: str, pixels: Pixels) -> Digest:
    path, colour = pixels[base]
    colours = _digest(colour)
    others = ("alpha", "trimap") if is_test(case) else ("alpha",)
    whole = colours + b"".join(_digest(pixels[role][1]) for role in others if role in pixels)
    varied = any((line != colour[0, 0]).any() for line in colour)
    return Digest(case.split, str(path), whole, colours if varied else None)


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


def _examine_all(cases: Sequence[Case]) -> list[Examined]:
    opened = lru_cache(maxsize=1)(read_foreground)  # neighbours share a foreground
    return [_examine(case, opened) for case in cases]


def _start_worker() -> None:
    end_with_parent()
    cv2.setNumThreads(1)


def spread(work: Callable[[Sequence[T]], R], chunks: Sequence[Sequence[T]], workers: int) -> Iterator[R]:
    """work(chunk) for every chunk, in the order of completion: in this process or in a pool."""
    if workers == 1 or len(chunks) < 3:
        yield from map(work, chunks)
        return
    processes = Workers()
    with processes.starting("--workers 1 works in this process"):
        # Windows takes 61 processes at most.
        pool = ProcessPoolExecutor(min(workers, len(chunks), 61), processes, initializer=_start_worker)
        tasks = [pool.submit(work, chunk) for chunk in chunks]
    try:
        for task in as_completed(tasks):
            yield task.result()
    except BrokenProcessPool as error:
        pool.shutdown()  # which waits for their exit codes
        if processes.ended_with_error():
            raise DataError(f"{processes.UNGUARDED}, or take workers=1") from error
        raise DataError(
            "a worker process ended too early, perhaps of too little memory; use fewer --workers, or --workers 1"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def chunked(items: Sequence[T]) -> list[Sequence[T]]:
    """The items in parts of CHUNK."""
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]


def spread_items(work: Callable[[Sequence[T]], list[R]], workers: int | None) -> Callable[[Sequence[T]], Iterator[R]]:
    """Return the function that does items in chunks, in so many processes; by default one for each own core."""

    def do(items: Sequence[T]) -> Iterator[R]:
        for results in spread(work, chunked(items), workers or distributed.own_cores()):
            yield from results

    return do


def _lost(case: Case, why: str) -> Examined:
    path = case.files[0][1]
    message = f"reading it or its partners ended {LIVES} workers ({why}); open it alone, repair or remove it"
    return Examined([finding("unreadable", path, message)], 0, None, None)


def examine(found: Survey, workers: int | None = 1, engine: Engine = Engine()) -> Iterator[Checked]:
    """Read every file of a survey once. Yields a record of each case, in the order of completion, and a last one.

    The processes of a launcher share the cases, and each yields the records of all.

    The last one is of the whole folder: duplicates, and the comparison of a composited test set. More than one worker
    needs a script that can be imported (`if __name__ == "__main__":`).
    """
    digests: list[Digest] = []
    compared: list[Compared] = []
    own = distributed.share(found.cases, CHUNK)
    for result in do_for_all(Batch(own, partial(spread_items, _examine_all, workers), _lost), engine):
        digests += [result.digest] if result.digest else []
        compared += [result.compared] if result.compared else []
        yield Checked(result.findings, result.pixels)
    wrong, comparison = summarise(compared, found)
    yield Checked([*_duplicates(digests), *wrong], comparison=comparison)


def _duplicates(digests: list[Digest]) -> Iterator[Finding]:
    """Findings on duplicate foregrounds or composites. The test set keeps its own, since scores depend on it."""
    seen: dict[bytes, tuple[str, str]] = {}
    for split, path, whole, colours in sorted(digests, key=lambda item: item[:2]):
        first = next((seen[digest] for digest in (whole, colours) if digest in seen), None)
        if first and first[0] != split:
            same = "it is" if first[1] == path else f"its colours, those of {first[1]}, are"
            message = f"{same} in the test set too, so scores would not show how it generalises; leave it out of one"
            yield finding("leak", path, message, fix="left out")
        elif whole in seen:
            message = f"the same pixels as {first[1] if first else ''}; remove one"
            yield finding("duplicate", path, message, severity="warning", fix="left out")
        for digest in filter(None, (whole, colours)):
            seen.setdefault(digest, (split, path))
