"""Cut pictures out: folders of files in, folders of files out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepmat import config as configs
from deepmat.config import TestConfig
from deepmat.errors import ConfigError
from deepmat.imaging.foreground import estimate_foreground
from deepmat.inference import outputs
from deepmat.inference.jobs import Job, Read, find_jobs, read_job
from deepmat.inference.modes import mode_options
from deepmat.inference.opening import open_network
from deepmat.inference.pipeline import Picture, predict_jobs
from deepmat.runtime import distributed
from deepmat.runtime.files import append_line, refuse_inside, refuse_overwriting, remove_leftovers
from deepmat.runtime.records import to_json
from deepmat.runtime.work import Work
from deepmat.subject.band import WIDTH, parse_width

LOG = "log.jsonl"
COLOURS = ("estimated", "own")
"""Foreground colours: without the background's share, or the picture's own."""


@dataclass(frozen=True)
class CutOuts(Work[Picture]):
    """A prepared batch of pictures. Iterating yields the record of each picture of this process."""

    out: Path = Path()
    existing: int = 0
    """Pictures that are left out since all their files exist."""
    settings: TestConfig = field(default_factory=TestConfig)


def cut_out(
    inputs: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    weights: Path | str | None = None,
    trimaps: Path | str | None = None,
    masks: Path | str | None = None,
    width: str | None = None,
    save: str = "alpha,cutout",
    background: str | None = None,
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
    """Cut out pictures: what `deepmat predict` does.

    inputs: pictures, or folders of them with all their subfolders. out: folder for OUT/KIND/NAME.ext and OUT/log.jsonl.
    trimaps, masks: a folder, paired by name, or one file for one picture; without either the pictures' own alpha
    channels are the masks. width: of the unknown band on each side of a mask's edge, "20" (pixels) or "2%". save: kinds
    of outputs.OUTPUTS with optional extensions. background: for composites, a colour, a picture or a folder. mode,
    max_size, fit, memory: as in inference.modes. assume: as for `load_model`. settings: config keys, "test.tile=512".

    Raises ConfigError, DataError, CheckpointError, DeviceError before any work. Iterating yields a record for each
    picture; one that fails has "error". Several processes of a launcher share the pictures (runtime.distributed).
    """
    options = _settings(mode, max_size, fit, memory, settings)
    out = Path(out)
    _check(out, trimaps, masks, width, colours)
    choices = outputs.parse_outputs(save)
    if background and "composite" not in {choice.kind for choice in choices}:
        raise ConfigError("--background: is for composite; add that to --save")
    max_pixels = max_megapixels * 10**6
    behind = outputs.open_background(background or "white", max_pixels)
    band = None if trimaps else parse_width(width or WIDTH, "--width")
    given = [inputs] if isinstance(inputs, (str, Path)) else inputs
    partners = trimaps or masks
    jobs, notices = find_jobs(
        [Path(each) for each in given],
        Path(partners) if partners else None,
        "trimap" if trimaps else "mask",
        [out, *(out / kind for kind in outputs.OUTPUTS)],
        include,
        exclude,
    )
    existing = _existing(jobs, choices, out, background, skip_existing)
    todo = distributed.share([job for job in jobs if job not in existing])
    network = open_network(weights, device=distributed.device_name(device), precision=precision, assume=assume)

    def read(job: Job) -> Read:
        return read_job(job, band, max_pixels)

    def write(job: Job, seen: Read, alpha: np.ndarray) -> dict[str, str]:
        estimate = estimate_foreground if colours == "estimated" else None
        cut = outputs.CutOut(job.name, seen.image, alpha, seen.trimap, seen.about, estimate, behind)
        return outputs.write_outputs(cut, choices, out)

    def steps() -> Iterator[Picture]:
        if distributed.world() == 1 and out.is_dir():
            remove_leftovers(out)
        for record in predict_jobs(network.network, todo, read, write, options):
            record = {**record, "precision": network.precision}
            append_line(out / _log_name(), to_json(record))
            yield record

    about = f"{network.about}, mode {options.mode}"
    return CutOuts(len(todo), steps, notices, about, out, len(existing), options)


def _settings(
    mode: str | None, max_size: int | None, fit: str | None, memory: float | None, settings: Sequence[str]
) -> TestConfig:
    """The test section of the config. Raises ConfigError for a setting that the mode does not use."""
    how = mode or ("whole" if max_size or fit else "auto")
    given = {"mode": how, "max_size": max_size, "fit": fit, "memory": memory}
    configs.refuse_keys(settings, ("test",))
    flags = {"test": {key: value for key, value in given.items() if value is not None}}
    chosen = configs.load(flags=flags, overrides=settings).test
    configs.refuse_unused({"--max-size": max_size, "--fit": fit, "--memory": memory}, mode_options(chosen))
    return chosen


def _check(out: Path, trimaps: Path | str | None, masks: Path | str | None, width: str | None, colours: str) -> None:
    if trimaps and masks:
        raise ConfigError("--trimaps and --masks: give one of them")
    if trimaps and width:
        raise ConfigError("--width: is for masks; trimaps state themselves what is unknown")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: is a file; name a folder")
    if colours not in COLOURS:
        raise ConfigError(f"--colours {colours}: unknown; known: {', '.join(COLOURS)}")


def _existing(
    jobs: Sequence[Job],
    choices: Sequence[outputs.Choice],
    out: Path,
    background: str | None,
    skip_existing: bool,
) -> set[Job]:
    """Jobs of which all files exist, where these are to be skipped. ConfigError if an output would replace an input."""
    places = {job: [out / choice.place(job.name) for choice in choices] for job in jobs if not job.problem}
    read = [path for job in jobs for path in (job.image, job.partner) if path]
    if background and Path(background).is_dir():
        refuse_inside("--out", out / "composite", [Path(background)])
    elif background:
        read.append(Path(background))
    refuse_overwriting((path for paths in places.values() for path in paths), read)
    return {job for job, paths in places.items() if skip_existing and all(path.is_file() for path in paths)}


def _log_name() -> str:
    return f"log-{distributed.rank()}.jsonl" if distributed.world() > 1 else LOG
