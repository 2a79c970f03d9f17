"""Pictures in, cut-outs out: whole folders, in which files are decoded and written while the network works."""

import fnmatch
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from deepmat import imaging
from deepmat.config import TestConfig
from deepmat.errors import CheckpointError, DataError, DeepmatError
from deepmat.imaging import masks, trimap
from deepmat.imaging.trimap import Width
from deepmat.inference import predict as inference
from deepmat.runtime.files import list_inputs, pair
from deepmat.runtime.processes import cores, give_back_memory, keep_memory

Record = dict[str, Any]
AHEAD = 2
"""Pictures that are decoded while the network works."""
IN_MEMORY = 48_000_000
"""Pixels of the pictures that are read, predicted and written at a time, unless one alone has more."""


class Job(NamedTuple):
    """One picture: its name (path in the input folder, no extension) and the trimap or mask that goes with it.

    partner None: the picture's own alpha channel. A problem is why there is nothing to be done.
    """

    name: str
    image: Path
    partner: Path | None = None
    problem: str | None = None


class Read(NamedTuple):
    image: np.ndarray
    """uint8 RGB [H, W, 3]"""
    trimap: np.ndarray
    """uint8 [H, W] of 0, 128, 255"""
    about: imaging.About | None
    """What a copy of the picture should say too."""
    notices: list[str]


def find_jobs(
    inputs: Sequence[Path],
    partners: Path | None,
    what: str,
    outputs: Sequence[Path] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[list[Job], list[str]]:
    """The pictures of files and folders, each with the trimap or mask (`what`) of its name; and notices.

    partners: a folder, one file for one picture, or None for the alpha channels of the pictures themselves. Pictures
    in the folders of partners and outputs below an input folder are no inputs. include, exclude: patterns as a shell
    has them ("*.jpg", "shoes/*"), for the name that a picture goes by or its file's name. DataError for no pictures.
    """
    pictures, notices = list_inputs(inputs, [folder for folder in (partners, *outputs) if folder])
    # Paired before some are left out: what goes together does not depend on the patterns.
    found = _partners([name for name, _ in pictures], partners, what)
    pictures = [(name, path) for name, path in pictures if _wanted(name, path, include, exclude)]
    if not pictures:
        raise DataError(f"none of the pictures in {', '.join(map(str, inputs))} fits the patterns")
    jobs: list[Job] = []
    first: dict[str, Path] = {}
    for name, path in pictures:
        partner = found[name]
        if name in first:
            problem = f"{path}: its alpha would overwrite that of {first[name]}; predict them apart"
            jobs.append(Job(str(path), path, None, problem))
        elif not path.is_file():
            lost = "a link that leads nowhere; mend or remove it" if path.is_symlink() else "no such file; check it"
            jobs.append(Job(name, path, None, f"{path}: {lost}"))
        elif isinstance(partner, DataError):
            jobs.append(Job(name, path, None, str(partner)))
        else:
            jobs.append(Job(name, path, partner))
        first.setdefault(name, path)
    return jobs, notices


def _wanted(name: str, path: Path, include: Sequence[str], exclude: Sequence[str]) -> bool:
    names = (name + path.suffix, path.name)

    def match(patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatch(each, pattern) for each in names for pattern in patterns)

    return (not include or match(include)) and not match(exclude)


def _partners(names: Sequence[str], partners: Path | None, what: str) -> dict[str, Path | DataError | None]:
    if partners is None:
        return dict.fromkeys(names)
    if partners.is_dir():
        return {**pair(list(dict.fromkeys(names)), partners, what)[0]}
    if not partners.exists():
        raise DataError(f"{partners}: no such folder or file of {what}s; check the path")
    if len(names) > 1:
        raise DataError(f"{partners}: {len(names)} pictures need a folder of {what}s")
    return {names[0]: partners}


def read_job(job: Job, width: Width | None = None, max_pixels: int = imaging.MAX_PIXELS) -> Read:
    """The picture of a job and its trimap, which is the partner, or with `width` made of it or of the picture's alpha.

    width: of the unknown band around the edge of a mask. DataError if something cannot be read or does not fit.
    """
    image, own, about, notices = imaging.read_picture(job.image, max_pixels)
    size = (image.shape[0], image.shape[1])
    if width is None:
        assert job.partner
        levels, told = trimap.read_trimap(job.partner, size, max_pixels)
        return Read(image, levels, about, notices + told)
    if job.partner:
        mask, told = masks.read_mask(job.partner, None, size, max_pixels)
        source = job.partner
    elif own is None or own.min() == 255:
        hidden = "no alpha channel" if own is None else "an alpha channel that is 255 everywhere"
        raise DataError(f"{job.image}: has {hidden}; give --trimaps or --masks, a folder or a file")
    else:
        mask, told, source = own, [], job.image
    try:
        levels, odd = trimap.from_mask(mask, width.pixels(size), width.pixels(size))
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    return Read(image, levels, about, [*notices, *told, *(f"{source}: {notice}" for notice in odd)])


def cut_out(
    model: nn.Module,
    jobs: Sequence[Job],
    read: Callable[[Job], Read],
    write: Callable[[Job, Read, np.ndarray], dict[str, str]],
    settings: TestConfig | None = None,
) -> Iterator[Record]:
    """Predict pictures one by one, in the order of the jobs; at the same time read the next and write the last ones.

    read: job -> Read; write: job, what was read, alpha (float32 [H, W]) -> kind and path of each file written. Both run
    in threads, as far ahead and behind as memory allows (IN_MEMORY). Whatever goes wrong fails that picture alone.
    Yields {"name", "width", "height", "mode", "seconds" (of the network), "read_seconds", "write_seconds", "notices",
    "paths"}, or {"name", "error"}.
    """
    keep_memory()
    options = inference.mode_options(settings or TestConfig(mode="auto"))
    todo = deque(jobs)
    reading, writing = deque[_Task](), deque[_Task]()
    with ThreadPoolExecutor(AHEAD) as readers, ThreadPoolExecutor(max(2, cores())) as writers:
        try:
            while todo or reading or writing:
                while todo and len(reading) <= AHEAD:
                    pixels = imaging.count_pixels(todo[0].image)
                    if (reading or writing) and pixels + _pixels(reading) + _pixels(writing) > IN_MEMORY:
                        break
                    job = todo.popleft()
                    record = {"name": job.name}
                    reading.append(_Task(job, record, pixels, readers.submit(_timed, _read, read, job)))
                if reading:
                    task = reading.popleft()
                    writing.append(_through(model, task, options, lambda *seen: writers.submit(_timed, write, *seen)))
                    del task
                while writing and (not reading or writing[0].done() or len(writing) > 2 * cores()):
                    yield writing.popleft().finished()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)
            writers.shutdown(wait=False, cancel_futures=True)
    give_back_memory()


class _Task(NamedTuple):
    """A picture on its way, read or written by a thread; without one, its record is complete."""

    job: Job
    record: Record
    pixels: int
    future: "Future[tuple[Any, float]] | None" = None

    def done(self) -> bool:
        return self.future is None or self.future.done()

    def finished(self) -> Record:
        if self.future is None:
            return self.record
        error = self.future.exception()
        if error:
            return _failed(self.record, error)
        self.record["paths"], self.record["write_seconds"] = self.future.result()
        return self.record


def _pixels(tasks: Iterable[_Task]) -> int:
    return sum(task.pixels for task in tasks)


def _failed(record: Record, error: BaseException) -> Record:
    """What is told of an error; the error itself would keep all that was in memory."""
    if not isinstance(error, Exception):
        raise error
    message = str(error)
    if isinstance(error, MemoryError):
        message = f"too large for the memory ({message})"
    elif not isinstance(error, DeepmatError):
        message = f"{type(error).__name__}: {message}"
    return {"name": record["name"], "error": message if record["name"] in message else f"{record['name']}: {message}"}


def _through(model: nn.Module, task: _Task, options: Record, write: Callable[..., Any]) -> _Task:
    """What was read goes through the network and on to be written."""
    assert task.future
    error: BaseException | None = task.future.exception()
    if error:
        return _Task(task.job, _failed(task.record, error), 0)
    try:
        pixels, task.record["read_seconds"] = task.future.result()
        alpha = _predict(model, pixels, options, task.record)
        return task._replace(future=write(task.job, pixels, alpha))
    except CheckpointError:
        raise  # as it would be for all of them
    except Exception as problem:
        return _Task(task.job, _failed(task.record, problem), 0)


def _read(read: Callable[[Job], Read], job: Job) -> Read:
    if job.problem:
        raise DataError(job.problem)
    return read(job)


def _timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    begin = time.perf_counter()
    return work(*arguments), time.perf_counter() - begin


def _predict(model: nn.Module, pixels: Read, options: Record, record: Record) -> np.ndarray:
    begin = time.perf_counter()
    alpha, seen = inference.predict_seen(model, pixels.image, pixels.trimap, **options)
    record["height"], record["width"] = alpha.shape
    record["mode"], record["seconds"] = seen.mode, time.perf_counter() - begin
    record["notices"] = [*pixels.notices, *seen.notices]
    return alpha
