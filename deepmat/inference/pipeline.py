"""The pipeline of a batch: threads decode pictures, finish alphas and write files while the network runs."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
from torch import nn

from deepmat import imaging
from deepmat.config import TestConfig
from deepmat.errors import CheckpointError, DataError, DeepmatError
from deepmat.inference.jobs import Job, Read, files_ahead
from deepmat.inference.modes import mode_options
from deepmat.inference.predict import Finish
from deepmat.inference.subjects import doubts, see_subject
from deepmat.runtime import distributed
from deepmat.runtime.processes import give_back_memory, keep_memory
from deepmat.subject.key import without_key

AHEAD = 2
"""Pictures decoded while the network runs."""
IN_MEMORY = 48_000_000
"""Most pixels of all pictures in the pipeline, unless a single picture has more."""


class Picture(TypedDict, total=False):
    """The record of a picture. A failed one has name, error, weights and precision only."""

    name: str
    width: int
    height: int
    mode: str
    """How the network saw the picture (`inference.modes.Seen`)."""
    seconds: float
    """Time in the network, and of what follows until the alpha is made."""
    read_seconds: float
    write_seconds: float
    notices: list[str]
    paths: dict[str, str]
    """Files written, by label of output."""
    weights: str
    """"lite" or "closed-form", of the package, or else the path of the weights."""
    precision: str
    """"fp32", "bf16" or "int8"."""
    finder: str
    """What found the subject, where there was no trimap: a name of `subject.finders`, or "mask"."""
    why: str
    """Why that finder was used."""
    error: str


def predict_jobs(
    model: nn.Module,
    jobs: Sequence[Job],
    read: Callable[[Job], Read],
    write: Callable[[Job, Read, np.ndarray], dict[str, str]],
    settings: TestConfig | None = None,
) -> Iterator[Picture]:
    """Predict pictures one by one, while others are read and written. Yields records in the order of the jobs.

    read: job -> Read; write: job, what was read, alpha (float32 [H, W]) -> path of each file by label. Both run in
    threads, within IN_MEMORY pixels, and so does what makes the alpha of what the network found, of one picture at a
    time. An error fails its picture only, except for CheckpointError, which would fail every picture and ends the
    batch.
    """
    keep_memory()
    options = mode_options(settings or TestConfig(mode="auto"))
    coming = files_ahead(jobs)
    job = next(coming, None)
    reading, writing, finishing = deque[_Task](), deque[_Task](), threading.Lock()

    def end(task: _Task, pixels: Read, finish: Finish) -> tuple[dict[str, str], float]:
        with finishing:
            alpha, seconds = _timed(finish)
        task.record["seconds"] += seconds
        alpha = without_key(alpha, pixels.image, pixels.subject.trimap, pixels.subject.backdrop)
        source = task.job.partner or task.job.image
        task.record["notices"] += doubts(source, pixels.subject, alpha)
        return _timed(write, task.job, pixels, alpha)

    with ThreadPoolExecutor(AHEAD) as readers, ThreadPoolExecutor(max(2, distributed.own_cores())) as writers:
        try:
            while job or reading or writing:
                while job and len(reading) <= AHEAD:
                    pixels = imaging.count_pixels(job.data or job.image)
                    if (reading or writing) and pixels + _pixels(reading) + _pixels(writing) > IN_MEMORY:
                        break
                    record: Picture = {"name": job.name}
                    reading.append(_Task(job, record, pixels, readers.submit(_timed, _read, read, job)))
                    job = next(coming, None)
                if reading:
                    task = reading.popleft()
                    writing.append(_through(model, task, options, lambda *seen: writers.submit(end, *seen)))
                    del task
                while writing and (not reading or writing[0].done() or len(writing) > 2 * distributed.own_cores()):
                    yield writing.popleft().finished()
        except KeyboardInterrupt:  # what is written has its record, and so its line in the log
            for task in writing:
                if not (task.future and task.future.cancel()):
                    yield task.finished()
            raise
        finally:
            coming.close()
            readers.shutdown(wait=False, cancel_futures=True)
            writers.shutdown(wait=False, cancel_futures=True)
    give_back_memory()


class _Task(NamedTuple):
    """A picture that a thread reads or writes. Without a future its record is complete."""

    job: Job
    record: Picture
    pixels: int
    future: "Future[tuple[Any, float]] | None" = None

    def done(self) -> bool:
        return self.future is None or self.future.done()

    def finished(self) -> Picture:
        if self.future is None:
            return self.record
        error = self.future.exception()
        if error:
            return _failed(self.record, error)
        self.record["paths"], self.record["write_seconds"] = self.future.result()
        return self.record


def _pixels(tasks: Iterable[_Task]) -> int:
    return sum(task.pixels for task in tasks)


def _failed(record: Picture, error: BaseException) -> Picture:
    """Return the record of a failed picture. It keeps no error, whose traceback would hold the picture in memory."""
    if not isinstance(error, Exception):
        raise error
    message = str(error)
    if isinstance(error, MemoryError):
        message = f"too large for the memory ({message})"
    elif not isinstance(error, DeepmatError):
        message = f"{type(error).__name__}: {message}"
    file, name = Path(message.partition(": ")[0]), record["name"]
    named = Path(name).name in (file.name, file.stem)
    return {"name": name, "error": message if named else f"{name}: {message}"}


def _through(model: nn.Module, task: _Task, options: dict[str, Any], end: Callable[..., Any]) -> _Task:
    """Show a picture that was read to the network, and submit what follows."""
    assert task.future
    error: BaseException | None = task.future.exception()
    if error:
        return _Task(task.job, _failed(task.record, error), 0)
    try:
        pixels, task.record["read_seconds"] = task.future.result()
        return task._replace(future=end(task, pixels, _see(model, pixels, options, task.record)))
    except CheckpointError:
        raise  # every picture would fail alike
    except Exception as problem:
        return _Task(task.job, _failed(task.record, problem), 0)


def _read(read: Callable[[Job], Read], job: Job) -> Read:
    if job.problem:
        raise DataError(job.problem)
    return read(job)


def _timed(work: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, float]:
    begin = time.perf_counter()
    return work(*arguments, **options), time.perf_counter() - begin


def _see(model: nn.Module, pixels: Read, options: dict[str, Any], record: Picture) -> Finish:
    subject = pixels.subject
    (finish, seen), record["seconds"] = _timed(see_subject, model, pixels.image, subject, **options)
    record["height"], record["width"] = subject.trimap.shape
    record["mode"], record["notices"] = seen.mode, [*pixels.notices, *seen.notices]
    if subject.finder:
        record["finder"], record["why"] = subject.finder, subject.why
    return finish
