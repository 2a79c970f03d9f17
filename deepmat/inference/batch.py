"""A batch of pictures with its network and its files: what stands behind `deepmat predict` and `deepmat cut`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from deepmat import config as configs
from deepmat.config import TestConfig
from deepmat.errors import ConfigError, DataError
from deepmat.inference import outputs
from deepmat.inference.background import Background, open_background
from deepmat.inference.cropping import Crop, cropped, parse_crop
from deepmat.inference.jobs import Job, Read, SubjectOf, read_job
from deepmat.inference.logs import log_place, merge_logs
from deepmat.inference.modes import mode_options
from deepmat.inference.opening import Opened, Opening, opener
from deepmat.inference.pipeline import Picture, predict_jobs
from deepmat.inference.places import Places
from deepmat.runtime import distributed, sharing
from deepmat.runtime.cluster import LIVES
from deepmat.runtime.files import existing, open_log, real, refuse_inside, refuse_overwriting, remove_leftovers
from deepmat.runtime.paths import is_folder
from deepmat.runtime.records import to_json
from deepmat.runtime.sharing import Batch, Engine
from deepmat.runtime.storage import Address, addressed
from deepmat.runtime.work import Work

COLOURS = ("estimated", "own")
"""Colours of cut-outs: those of the foreground, estimated without the background, or the picture's own."""


@dataclass(frozen=True, kw_only=True)
class CutOuts(Work[Picture]):
    """A prepared batch of pictures. Iterating yields the record of each picture of this process."""

    existing: int
    """Pictures of this process that are left out since all their files exist."""


Run = Callable[[Sequence[Job]], Iterator[Picture]]
"""Predicts and writes pictures, and yields their records."""


@dataclass(frozen=True)
class Files:
    """What is read for a picture, and what is written."""

    subject_of: SubjectOf
    places: Places
    choices: Sequence[outputs.Choice]
    background: Background
    estimated: bool
    """Whether foreground colours are estimated."""
    crop: Crop | None
    max_pixels: int

    def left(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs without those whose files all exist. A storage is listed, not asked for each file."""
        if self.places.stream:
            return list(jobs)
        there = existing(self.places.folders(jobs, self.choices), len(jobs) * len(self.choices))
        return [job for job in jobs if job.problem or not all(map(there, self.of(job)))]

    def outdated(self, jobs: Iterable[Job]) -> list[str]:
        """Return a notice if trimaps or masks are newer than what was made of them. A storage is not asked."""
        newer = [job.partner for job in jobs if job.partner and self._are_older(job, job.partner)]
        if not newer:
            return []
        more = f" and {len(newer) - 1} more" if len(newer) > 1 else ""
        return [f"{newer[0]}{more}: newer than what was made of it; without --skip-existing it is made again"]

    def _are_older(self, job: Job, partner: Path) -> bool:
        """Return whether an output of a job is older than its trimap or mask."""
        paths = [partner, *self.of(job)]
        if any(isinstance(path, Address) for path in paths):
            return False
        try:
            changed, *made = (path.stat().st_mtime_ns for path in paths)
        except OSError:
            return False
        return min(made) < changed

    def of(self, job: Job) -> list[Path]:
        """Return the paths of the files of a picture."""
        return [self.places.place(job, choice) for choice in self.choices]

    def read(self, job: Job) -> Read:
        """Read a picture and get its trimap."""
        return read_job(job, self.subject_of, self.max_pixels)

    def write(self, job: Job, seen: Read, alpha: np.ndarray) -> dict[str, str]:
        """Write the files of a picture. Returns their paths by kind."""
        cut = outputs.CutOut(
            job.name,
            seen.image,
            alpha,
            seen.subject.trimap,
            seen.about,
            self.estimated and seen.subject.alpha is None,
            self.background,
            mask=seen.subject.mask,
            backdrop=seen.subject.backdrop,
        )
        if self.crop:
            cut = cropped(cut, self.crop, self.max_pixels)
        if self.places.stream:
            self._send(outputs.encode_output(cut, self.choices[0]), self.places.stream)
            return {}
        return outputs.write_outputs(cut, self.choices, lambda choice: self.places.place(job, choice))

    def _send(self, data: bytes, stream: BinaryIO) -> None:
        try:
            stream.write(data)
            stream.flush()
        except OSError as error:
            how = "free space or send it elsewhere"
            raise DataError(f"the cut-out cannot be written to the pipe ({error.strerror}); {how}") from error


def prepare_files(
    subject_of: SubjectOf,
    places: Places,
    *,
    save: str | Sequence[str],
    background: str | None,
    colours: str,
    crop: str | float | None,
    square: bool,
    max_pixels: int,
) -> Files:
    """Return what is read and written, from the options of `deepmat predict` and `deepmat cut`. Raises ConfigError."""
    if colours not in COLOURS:
        raise ConfigError(f"--colours {colours}: unknown; known: {', '.join(COLOURS)}")
    choices = outputs.parse_outputs(save)
    if background and "composite" not in {choice.kind for choice in choices}:
        raise ConfigError("--background: is for composite; add that to --save")
    behind = open_background(background or "white", max_pixels)
    return Files(subject_of, places, choices, behind, colours == "estimated", parse_crop(crop, square), max_pixels)


def pixels_of(max_megapixels: int) -> int:
    """Return the most pixels of a picture. Raises ConfigError unless megapixels are a whole number, 1 or more."""
    if not isinstance(max_megapixels, Integral) or max_megapixels < 1:
        raise ConfigError(f"--max-megapixels {max_megapixels!s:.60}: give a whole number, 1 or more")
    return max_megapixels * 10**6


def prepare_settings(
    mode: str | None, max_size: int | None, fit: str | None, memory: float | None, settings: str | Sequence[str]
) -> TestConfig:
    """Return the test section of the config. Raises ConfigError for a setting that the mode does not use."""
    how = mode or ("whole" if max_size or fit else "auto")
    given: Mapping[str, Any] = {"mode": how, "max_size": max_size, "fit": fit, "memory": memory}
    configs.refuse_keys(settings, ("test",))
    flags = {"test": {key: value for key, value in given.items() if value is not None}}
    chosen = configs.load(flags=flags, overrides=settings).test
    configs.refuse_unused({"--max-size": max_size, "--fit": fit, "--memory": memory}, mode_options(chosen))
    return chosen


def refuse_input_files(jobs: Sequence[Job], files: Files, background: str | None) -> None:
    """Raise ConfigError if an output would replace a file that is read."""
    if files.places.stream:
        return
    behind = [addressed(background)] if background else []
    if files.places.folder and behind and is_folder(behind[0]):
        refuse_inside("--out", files.places.folder / "composite", behind)
        behind = []

    def read() -> Iterator[Path]:
        yield from (path for job in jobs for path in (job.image, job.partner) if path and job.data is None)
        yield from behind

    def written() -> Iterator[Path]:
        return (path for job in jobs if not job.problem for path in files.of(job))

    if not _apart(written(), read()):
        refuse_overwriting(written(), read())


def _apart(written: Iterable[Path], read: Iterable[Path]) -> bool:
    """Return whether outputs surely differ from each other and from inputs, by hashes: 8 bytes a path, not 500."""
    outputs, inputs = (np.fromiter((hash(real(path)) for path in paths), np.int64) for paths in (written, read))
    return np.unique(outputs).size == outputs.size and not np.isin(outputs, inputs).any()


def prepare_batch(
    jobs: Sequence[Job],
    notices: list[str],
    files: Files,
    options: TestConfig,
    opening: Opening,
    engine: Engine,
    skip_existing: bool,
    steps: Callable[[Run, Sequence[Job]], Iterator[Picture]] = lambda run, todo: run(todo),
) -> CutOuts:
    """Open the network, and prepare those of the jobs that this process does.

    notices: on all jobs. steps: makes the records of the jobs that are to be done, by what predicts and writes
    pictures. Raises CheckpointError, DeviceError.
    """
    own = distributed.share(jobs)  # before files count as existing, which another process may be writing
    todo = files.left(own) if skip_existing else list(own)
    if skip_existing and distributed.rank() == 0:
        left = set(todo if len(own) == len(jobs) else files.left(jobs))
        notices = [*notices, *files.outdated(job for job in jobs if job not in left)]
    network, out = opening.open(), files.places.folder
    opened = opener(opening, network, engine)

    def run(pictures: Sequence[Job]) -> Iterator[Picture]:
        return run_batch(opened, pictures, files, options, engine, opening.gpu)

    def done() -> Iterator[Picture]:
        distributed.meet()
        yield from steps(run, todo)
        distributed.gather(None)  # every process has written its part of the log
        if out and distributed.rank() == 0:
            merge_logs(out, [job.name for job in jobs])

    return CutOuts(
        len(todo),
        done,
        notices if distributed.rank() == 0 else [],
        f"{network.about}, mode {options.mode}",
        existing=len(own) - len(todo),
    )


def run_batch(
    opened: Callable[[], Opened],
    jobs: Sequence[Job],
    files: Files,
    options: TestConfig,
    engine: Engine = Engine(),
    gpu: bool = False,
) -> Iterator[Picture]:
    """Predict and write the pictures. Yields and logs the record of each.

    opened: opens the network, once in each process. gpu: whether it may run on a GPU of a cluster.
    """
    out, names = files.places.folder, [job.name for job in jobs]
    if out and distributed.world() == 1 and is_folder(out):
        remove_leftovers(out)
        merge_logs(out, names)  # of a job of several processes that was killed
    batch = Batch(jobs, partial(_start, opened, files, options), _lost, gpu)
    with open_log(log_place(out, engine)) if out and jobs else nullcontext() as append:
        for record in sharing.do(batch, engine):
            if append:
                append(to_json(record))
            yield record
    if out and engine.is_cluster:
        remove_leftovers(out)  # of workers that were killed


def _start(
    opened: Callable[[], Opened], files: Files, options: TestConfig
) -> Callable[[Sequence[Job]], Iterator[Picture]]:
    network = opened()

    def predict(jobs: Sequence[Job]) -> Iterator[Picture]:
        for record in predict_jobs(network.network, jobs, files.read, files.write, options):
            record["weights"], record["precision"] = network.label, network.precision
            yield record

    return predict


def _lost(job: Job, why: str) -> Picture:
    return {"name": job.name, "error": f"{job.image}: its worker ended {LIVES} times ({why}); do it alone"}
