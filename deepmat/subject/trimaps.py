"""Make trimaps: masks in, trimaps out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import NamedTuple, TypedDict

import cv2

from deepmat import imaging
from deepmat.errors import ConfigError, DataError, lookup
from deepmat.imaging.masks import histogram, read_mask
from deepmat.imaging.trimap import FOREGROUND, METHODS, UNKNOWN
from deepmat.runtime import distributed, files, sharing
from deepmat.runtime.cluster import LIVES
from deepmat.runtime.files import (
    AnyPath,
    as_path,
    as_path_or_none,
    as_paths,
    refuse_inside,
    refuse_overwriting,
    remove_leftovers,
)
from deepmat.runtime.listing import is_picture, list_inputs, refuse_no_folder
from deepmat.runtime.pairing import pair
from deepmat.runtime.paths import is_folder
from deepmat.runtime.sharing import Batch, parse_engine, refuse_storage
from deepmat.runtime.storage import Address, check_bucket
from deepmat.runtime.work import Work
from deepmat.subject.band import WIDTH, Width, from_mask, parse_width
from deepmat.subject.preview import write_preview
from deepmat.subject.rough import from_soft, is_network_mask


class MaskJob(NamedTuple):
    """A mask: its name (path in the input folder, no extension), its file, and why it cannot be used, or None."""

    name: str
    mask: Path
    problem: str | None = None


class Making(NamedTuple):
    """How trimaps are made: the arguments of `subject.band.from_mask`, and where they are written."""

    out: Path
    inwards: Width
    outwards: Width
    method: str
    threshold: int | None
    by_detail: bool
    """Whether the band around the edge of a network's soft mask is as wide as the mask is coarse."""

    def place(self, name: str) -> Path:
        """Return the path of the trimap of that name."""
        return self.out / f"{name}.png"


class MadeTrimap(TypedDict, total=False):
    """The record of a trimap; a failed one has only name and error."""

    name: str
    path: str
    height: int
    width: int
    unknown: float
    """Share of the pixels that are unknown."""
    foreground: float
    """Share of the pixels that are known foreground."""
    notices: list[str]
    error: str


@dataclass(frozen=True, kw_only=True)
class Trimaps(Work[MadeTrimap]):
    """A prepared batch of masks. Iterating yields the record of each trimap that this process makes."""

    existing: int
    """Masks of this process that are left out since their trimaps exist."""
    preview_notices: list[str] = field(default_factory=list)
    """Remarks on the preview, which is written at the end of the iteration."""


def make_trimaps(
    masks: AnyPath | Iterable[AnyPath],
    out: AnyPath,
    *,
    width: str | float | None = None,
    inwards: str | float | None = None,
    outwards: str | float | None = None,
    method: str = "distance",
    threshold: int | None = None,
    preview: AnyPath | None = None,
    images: AnyPath | None = None,
    skip_existing: bool = False,
    workers: int | None = None,
    engine: str = "processes",
) -> Trimaps:
    """Make trimaps of masks or alphas: what `deepmat trimap` does.

    masks: files, or folders of them with all their subfolders; out: folder for OUT/NAME.png. width: of the unknown band
    on each side of the edge, 20 (pixels) or "2%" (of the longer side); inwards, outwards: the same for one side.
    method: one of `imaging.trimap.METHODS`. threshold: masks are hard, with foreground from this level (1 to 255).
    preview: PNG for a sheet of some masks and trimaps; images: folder of the pictures to show there. workers: threads.
    engine: "processes", or "ray" for the workers of a Ray cluster (`runtime.sharing`).

    Raises ConfigError and DataError before any work. Iterating yields a record for each mask, in order; one that fails
    has "error". The processes of a launcher share the masks (`runtime.distributed`).
    """
    runs_on = parse_engine(engine)
    given, out = as_paths(masks, "masks"), as_path(out, "out")
    preview, images = as_path_or_none(preview, "preview"), as_path_or_none(images, "images")
    refuse_storage(runs_on, [out, preview])
    _check_places(given, out, preview, images)
    making = _making(out, width, inwards, outwards, method, threshold)
    if workers is not None and not (isinstance(workers, Integral) and workers >= 1):
        raise ConfigError(f"--workers {workers!s:.60}: give a whole number, 1 or more")
    jobs, notices = _find_jobs(given, making, preview)
    own = distributed.share(jobs)  # before trimaps count as existing, which another process may be writing
    there = files.existing([out], len(own)) if skip_existing else None
    existing = {job for job in own if there and not job.problem and there(making.place(job.name))}
    todo = [job for job in own if job not in existing]
    partners = pair([job.name for job in jobs if not job.problem], images, "picture")[0] if images else None
    about_preview: list[str] = []

    def steps() -> Iterator[MadeTrimap]:
        distributed.meet()
        made = {job.name for job in existing}
        batch = Batch(todo, partial(_start, making, workers), _lost)
        for record in sharing.do(batch, runs_on):
            if "error" not in record:
                made.add(record["name"])
            yield record
        if runs_on.is_cluster and is_folder(out):
            remove_leftovers(out)  # of workers that were killed
        made = set().union(*distributed.gather(made))
        shown = [(job.name, job.mask, making.place(job.name)) for job in jobs if job.name in made]
        if preview and shown and not distributed.rank():
            about_preview[:] = write_preview(preview, shown, threshold, partners)

    return Trimaps(
        len(todo), steps, [] if distributed.rank() else notices, existing=len(existing), preview_notices=about_preview
    )


def _check_places(masks: Sequence[Path], out: Path, preview: Path | None, images: Path | None) -> None:
    if preview and not is_picture(preview):
        raise ConfigError(f"--preview {preview}: not the name of a picture; write {preview}.png")
    if preview:
        refuse_inside("--preview", preview, [*filter(is_folder, masks), images])
    elif images:
        raise ConfigError("--images: is only for --preview FILE.png; add that or leave it out")
    refuse_no_folder("--out", out)
    for written in filter(None, (out, preview)):
        if isinstance(written, Address):
            check_bucket(written)


def _making(
    out: Path,
    width: str | float | None,
    inwards: str | float | None,
    outwards: str | float | None,
    method: str,
    threshold: int | None,
) -> Making:
    both = parse_width(WIDTH if width is None else width, "--width")
    sides = {"--inwards": inwards, "--outwards": outwards}
    band = {option: both if side is None else parse_width(side, option) for option, side in sides.items()}
    lookup(METHODS, method, "method")
    if threshold is not None and not (isinstance(threshold, Integral) and 1 <= threshold <= 255):
        raise ConfigError(f"--threshold {threshold!s:.60}: not a level of a mask; give 1 to 255")
    by_detail = (width, inwards, outwards) == (None, None, None)
    return Making(out, band["--inwards"], band["--outwards"], method, threshold, by_detail)


def _find_jobs(masks: Sequence[Path], making: Making, preview: Path | None) -> tuple[list[MaskJob], list[str]]:
    """Return a job for each mask, and notices. Raises ConfigError if an output would overwrite an input."""
    pictures, notices = list_inputs(masks, [making.out])
    places = [making.place(name) for name in {each.name for each in pictures if not each.problem}]
    refuse_overwriting([*places, *([preview] if preview else [])], (each.path for each in pictures))
    jobs: dict[str, MaskJob] = {}
    for name, path, closed in pictures:
        if closed:
            jobs[str(path)] = MaskJob(name, path, closed)
        elif name in jobs:
            problem = f"{path}: its trimap would overwrite that of another mask named {name}; make them apart"
            jobs[str(path)] = MaskJob(str(path), path, problem)
        else:
            jobs[name] = MaskJob(name, path)
    return list(jobs.values()), notices


def _start(making: Making, workers: int | None) -> Callable[[Sequence[MaskJob]], Iterator[MadeTrimap]]:
    return lambda jobs: _make_all(jobs, making, workers or distributed.own_cores())


def _lost(job: MaskJob, why: str) -> MadeTrimap:
    return {"name": job.name, "error": f"{job.mask}: its worker ended {LIVES} times ({why}); do it alone"}


def _make_all(jobs: Sequence[MaskJob], making: Making, workers: int) -> Iterator[MadeTrimap]:
    """Make the trimaps in threads. Yields their records in the order of the jobs."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(lambda job: _make(job, making), jobs)
    finally:  # a caller that stops does not wait for jobs that have not begun
        pool.shutdown(wait=True, cancel_futures=True)


def _make(job: MaskJob, making: Making) -> MadeTrimap:
    """Read a mask and write its trimap."""
    path = making.place(job.name)
    try:
        if job.problem:
            raise DataError(job.problem)
        mask, changed = read_mask(job.mask, making.threshold)
        inwards, outwards = making.inwards.pixels(mask.shape), making.outwards.pixels(mask.shape)
        if making.method == "distance" and inwards == outwards and is_network_mask(mask):
            trimap, odd = from_soft(mask, None if making.by_detail else inwards)
        else:
            trimap, odd = from_mask(mask, inwards, outwards, making.method)
        imaging.write_image(path, trimap)
    except DataError as error:
        return {"name": job.name, "error": str(error)}
    except (MemoryError, cv2.error) as error:
        return {"name": job.name, "error": f"{job.mask}: too large for the memory ({error})"}
    counts = histogram(trimap)
    return {
        "name": job.name,
        "path": str(path),
        "height": trimap.shape[0],
        "width": trimap.shape[1],
        "unknown": float(counts[UNKNOWN]) / trimap.size,
        "foreground": float(counts[FOREGROUND]) / trimap.size,
        "notices": [*changed, *(f"{job.mask}: {notice}" for notice in odd)],
    }
