"""Cut pictures out: folders of files in, folders of files out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepmat import config as configs
from deepmat.config import TestConfig
from deepmat.errors import ConfigError
from deepmat.imaging.foreground import estimate_foreground
from deepmat.inference import outputs
from deepmat.inference.background import Background, open_background
from deepmat.inference.jobs import Job, Read, find_jobs, read_job
from deepmat.inference.modes import mode_options
from deepmat.inference.opening import Opened, open_network
from deepmat.inference.pipeline import Picture, predict_jobs
from deepmat.runtime import distributed
from deepmat.runtime.files import (
    AnyPath,
    append_line,
    as_path,
    as_path_or_none,
    as_paths,
    refuse_inside,
    refuse_overwriting,
    remove_leftovers,
)
from deepmat.runtime.paths import is_file, is_folder, is_there
from deepmat.runtime.records import to_json
from deepmat.runtime.work import Work
from deepmat.subject.band import WIDTH, Width, parse_width

LOG = "log.jsonl"
COLOURS = ("estimated", "own")
"""Colours of cut-outs: those of the foreground, estimated without the background, or the picture's own."""


@dataclass(frozen=True, kw_only=True)
class CutOuts(Work[Picture]):
    """A prepared batch of pictures. Iterating yields the record of each picture of this process."""

    existing: int
    """Pictures of this process that are left out since all their files exist."""


def cut_out(
    inputs: AnyPath | Iterable[AnyPath],
    out: AnyPath,
    *,
    weights: AnyPath | None = None,
    trimaps: AnyPath | None = None,
    masks: AnyPath | None = None,
    width: str | None = None,
    save: str = "alpha,cutout",
    background: AnyPath | None = None,
    colours: str = "estimated",
    skip_existing: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    mode: str | None = None,
    max_size: int | None = None,
    fit: str | None = None,
    precision: str = "auto",
    memory: float | None = None,
    max_megapixels: int = 500,
    device: str = "auto",
    assume: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
) -> CutOuts:
    """Cut pictures out: what `deepmat predict` does.

    inputs: pictures, or folders of them with all their subfolders; out: folder for OUT/KIND/NAME.ext and OUT/log.jsonl.
    trimaps, masks: a folder, paired by name, or one file for one picture; without either, the alpha channels of the
    pictures are the masks. width: of the unknown band on each side of a mask's edge, "20" (pixels) or "2%". save: kinds
    of `outputs.OUTPUTS`, "alpha,cutout.webp". background: for composites, a colour, a picture or a folder. mode,
    max_size, fit, memory: see `inference.modes`. assume: see `load_model`. settings: config keys, "test.tile=512".

    Raises ConfigError, DataError, CheckpointError, DeviceError before any work. Iterating yields a record for each
    picture; one that fails has "error". The processes of a launcher share the pictures (`runtime.distributed`).
    """
    options = _settings(mode, max_size, fit, memory, settings)
    given, out = as_paths(inputs, "inputs"), as_path(out, "out")
    trimaps, masks = as_path_or_none(trimaps, "trimaps"), as_path_or_none(masks, "masks")
    background = background if isinstance(background, str) else str(as_path_or_none(background, "background") or "")
    _check(out, trimaps, masks, width, colours, max_megapixels)
    band = None if trimaps else parse_width(width or WIDTH, "--width")
    files = _prepare_files(out, save, background, colours == "estimated", band, max_megapixels * 10**6)
    partners, what = (trimaps, "trimap") if trimaps else (masks, "mask")
    jobs, notices = find_jobs(
        given,
        partners,
        what,
        [files.out, *(files.out / kind for kind in outputs.OUTPUTS)],
        include,
        exclude,
    )
    _refuse_overwriting(jobs, files, background)
    own = distributed.share(jobs)  # before files count as existing, which another process may be writing
    todo = [job for job in own if not (skip_existing and files.exist(job))]
    network = open_network(weights, device=distributed.device_name(device), precision=precision, assume=assume)
    return CutOuts(
        len(todo),
        lambda: _run(network, todo, files, options),
        notices if distributed.rank() == 0 else [],
        f"{network.about}, mode {options.mode}",
        existing=len(own) - len(todo),
    )


@dataclass(frozen=True)
class _Files:
    """What is read for a picture, and what is written."""

    out: Path
    choices: Sequence[outputs.Choice]
    background: Background
    estimated: bool
    """Whether foreground colours are estimated."""
    band: Width | None
    """Width of the unknown band around the edge of masks; None for trimaps."""
    max_pixels: int

    def exist(self, job: Job) -> bool:
        """Return whether all files of a picture exist."""
        return not job.problem and all(is_file(path) for path in self.places(job))

    def places(self, job: Job) -> list[Path]:
        """Return the paths of the files of a picture."""
        return [self.out / choice.place(job.name) for choice in self.choices]

    def read(self, job: Job) -> Read:
        """Read a picture and its trimap."""
        return read_job(job, self.band, self.max_pixels)

    def write(self, job: Job, seen: Read, alpha: np.ndarray) -> dict[str, str]:
        """Write the files of a picture. Returns their paths by kind."""
        estimate = estimate_foreground if self.estimated else None
        cut = outputs.CutOut(job.name, seen.image, alpha, seen.trimap, seen.about, estimate, self.background)
        return outputs.write_outputs(cut, self.choices, self.out)


def _prepare_files(
    out: Path, save: str, background: str | None, estimated: bool, band: Width | None, max_pixels: int
) -> _Files:
    choices = outputs.parse_outputs(save)
    if background and "composite" not in {choice.kind for choice in choices}:
        raise ConfigError("--background: is for composite; add that to --save")
    return _Files(out, choices, open_background(background or "white", max_pixels), estimated, band, max_pixels)


def _settings(
    mode: str | None, max_size: int | None, fit: str | None, memory: float | None, settings: Sequence[str]
) -> TestConfig:
    """Return the test section of the config. Raises ConfigError for a setting that the mode does not use."""
    how = mode or ("whole" if max_size or fit else "auto")
    given = {"mode": how, "max_size": max_size, "fit": fit, "memory": memory}
    configs.refuse_keys(settings, ("test",))
    flags = {"test": {key: value for key, value in given.items() if value is not None}}
    chosen = configs.load(flags=flags, overrides=settings).test
    configs.refuse_unused({"--max-size": max_size, "--fit": fit, "--memory": memory}, mode_options(chosen))
    return chosen


def _check(
    out: Path,
    trimaps: Path | None,
    masks: Path | None,
    width: str | None,
    colours: str,
    max_megapixels: int,
) -> None:
    if trimaps and masks:
        raise ConfigError("--trimaps and --masks: give one of them")
    if trimaps and width:
        raise ConfigError("--width: is for masks; trimaps define the unknown region themselves")
    if is_there(out) and not is_folder(out):
        raise ConfigError(f"--out {out}: is a file; name a folder")
    if colours not in COLOURS:
        raise ConfigError(f"--colours {colours}: unknown; known: {', '.join(COLOURS)}")
    if max_megapixels < 1:
        raise ConfigError(f"--max-megapixels {max_megapixels}: give 1 or more")


def _refuse_overwriting(jobs: Sequence[Job], files: _Files, background: str | None) -> None:
    """Raise ConfigError if an output would replace a file that is read."""
    read = [path for job in jobs for path in (job.image, job.partner) if path]
    if background and is_folder(Path(background)):
        refuse_inside("--out", files.out / "composite", [Path(background)])
    elif background:
        read.append(Path(background))
    refuse_overwriting((path for job in jobs if not job.problem for path in files.places(job)), read)


def _run(network: Opened, jobs: Sequence[Job], files: _Files, options: TestConfig) -> Iterator[Picture]:
    """Predict and write the pictures. Yields and logs the record of each."""
    if distributed.world() == 1 and is_folder(files.out):
        remove_leftovers(files.out)
    log = files.out / (f"log-{distributed.rank()}.jsonl" if distributed.world() > 1 else LOG)
    for record in predict_jobs(network.network, jobs, files.read, files.write, options):
        record["precision"] = network.precision
        append_line(log, to_json(record))
        yield record
