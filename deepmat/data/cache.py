"""A cache of decoded pictures on disk: a crop reads only its own bytes.

A picture is a memory-mapped .npy file, uint8 [H, W, 4] (foreground and alpha) or [H, W, 3] (background). Its name holds
a hash of the paths of its sources and one of their sizes and times of change; when a source changes, a new file
replaces the old one. Beside a foreground lies NAME.points.npy (see `augment.edge_points`).
"""

import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np

from deepmat import imaging
from deepmat.data.augment import edge_points
from deepmat.data.layouts import Foreground, read_foreground
from deepmat.errors import DataError
from deepmat.runtime.addresses import joined
from deepmat.runtime.files import remove_leftovers, whole_file
from deepmat.runtime.paths import is_folder
from deepmat.runtime.storage import Address, version

HASH = 16
VERSION = 2
"""Raise it when the content of the files changes: older files are then ignored."""
HEADER = 128
"""Bytes before the pixels in a .npy file of version 1."""


class Job(NamedTuple):
    """A picture to keep: a foreground with its alpha, or a background, without alpha and points."""

    colours: Path
    alpha: Path | None
    is_foreground: bool


def job_of(picture: Foreground | Path) -> Job:
    """The job of a foreground or of the path of a background."""
    return Job(picture, None, False) if isinstance(picture, Path) else Job(picture.fg, picture.alpha, True)


@cache
def _home(job: Job, here: str) -> str:
    """The hash of the paths of the sources; relative ones are relative to `here`."""
    places = "".join(f"\n{joined(Path(here), str(path))}" for path in (job.colours, job.alpha) if path)
    return hashlib.sha256(os.fsencode(f"{VERSION} {job.is_foreground}{places}")).hexdigest()[:HASH]


def _stamp(path: Path) -> tuple[int, int] | str:
    """What changes with a file. Of one in a storage it is asked once in a process, not for each sample."""
    if isinstance(path, Address):
        return _version(path)
    about = os.stat(path)
    return about.st_size, about.st_mtime_ns


_version = cache(version)


def _place(job: Job, folder: Path) -> Path:
    """The picture's file in the cache for the current state of its sources. DataError if one is missing."""
    try:
        stamps = [_stamp(path) for path in (job.colours, job.alpha) if path]
    except OSError as error:
        raise DataError(f"{error.filename}: no such file; check the path") from error
    state = hashlib.sha256(repr(stamps).encode()).hexdigest()[:HASH]
    return folder / f"{_home(job, os.getcwd())}-{state}.npy"


def _points_of(path: Path) -> Path:
    return path.with_suffix(".points.npy")


def _decode(job: Job) -> tuple[np.ndarray, np.ndarray | None]:
    if not job.is_foreground:
        return imaging.read_image(job.colours), None
    colours, alpha = read_foreground(job.colours, job.alpha)
    return np.dstack((colours, alpha)), edge_points(alpha)


def _save(path: Path, array: np.ndarray) -> None:
    with whole_file(path) as part, open(part, "wb") as file:
        np.save(file, array)


def _keep(job: Job, folder: Path, older: Sequence[Path]) -> None:
    """Decode a picture into the cache, and remove the files of older states of it."""
    path = _place(job, folder)
    pixels, points = _decode(job)
    if points is not None:
        _save(_points_of(path), points)
    _save(path, pixels)
    for stale in older:
        if not stale.name.startswith(path.stem):
            stale.unlink(missing_ok=True)


class CachePlan(NamedTuple):
    """The pictures that the cache lacks."""

    jobs: list[Job]
    bytes: int
    """What they will take."""
    failed: list[str]
    """Messages on pictures that cannot be kept: a source is missing or not a picture."""


class CacheStep(TypedDict, total=False):
    """The record of a picture that was decoded."""

    done: int
    of: int
    """Numbers of pictures, so far and in all."""
    error: str
    """Of a picture that cannot be used."""


def plan_cache(pictures: Sequence[Foreground | Path], folder: Path) -> CachePlan:
    """The pictures that the cache lacks, and their size by their headers. DataError if there is no space for them."""
    jobs, size, failed = [], 0, []
    for job in map(job_of, pictures):
        try:
            if not _kept(job, folder):
                height, width = imaging.read_size(job.colours)
                size += HEADER + height * width * (4 if job.is_foreground else 3)
                jobs.append(job)
        except DataError as error:
            failed.append(str(error))
    home = next(place for place in (folder, *folder.absolute().parents) if is_folder(place))
    free = shutil.disk_usage(home).free
    if size > free:
        raise DataError(
            f"{folder}: decoded pictures need {size / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            "--set data.cache=DIR puts them elsewhere, data.cache=null decodes each time"
        )
    return CachePlan(jobs, size, failed)


def build_cache(plan: CachePlan, folder: Path, workers: int) -> Iterator[CacheStep]:
    """Decode the pictures of a plan into the cache. Yields a record for each."""
    remove_leftovers(folder)
    present = defaultdict(list)
    for path in folder.glob("*.npy"):
        present[path.name[:HASH]].append(path)
    # Threads suffice: decoding and writing release the GIL.
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(_keep, job, folder, present[_place(job, folder).name[:HASH]]) for job in plan.jobs]
        try:
            for done, task in enumerate(waiting, start=1):
                record: CacheStep = {"done": done, "of": len(waiting)}
                try:
                    task.result()
                except DataError as error:
                    record["error"] = str(error)
                yield record
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@lru_cache(maxsize=1024)
def _mapped(path: Path, is_foreground: bool) -> tuple[np.ndarray, np.ndarray | None]:
    # A plain array over the mapping: slices of numpy's memmap class are slow.
    pixels = np.load(path, mmap_mode="r").view(np.ndarray)
    return pixels, np.load(_points_of(path)) if is_foreground else None


def _kept(job: Job, folder: Path) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The cached form of the picture's current file; None if there is none or it is damaged."""
    try:
        return _mapped(_place(job, folder), job.is_foreground)
    except (OSError, ValueError, EOFError):
        return None


def open_picture(picture: Foreground | Path, folder: Path | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The pixels of a picture and, of a foreground, its edge points; None for a background.

    They are mapped from the cache in `folder`, else decoded. DataError if the picture cannot be used.
    """
    job = job_of(picture)
    return (_kept(job, folder) if folder else None) or _decode(job)
