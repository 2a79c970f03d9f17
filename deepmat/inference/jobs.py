"""Jobs of a batch: pictures, each with its trimap or mask, paired by name."""

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging import masks, trimap
from deepmat.imaging.fitting import read_photo, unused_alpha
from deepmat.imaging.layers import is_opaque
from deepmat.runtime.listing import Input, list_inputs, pair
from deepmat.runtime.paths import is_file, is_folder, is_there
from deepmat.subject.band import Width, from_mask


class Job(NamedTuple):
    """A picture with its trimap or mask."""

    name: str
    """Path in the input folder, without extension."""
    image: Path
    partner: Path | None = None
    """Trimap or mask; None for the picture's own alpha channel."""
    problem: str | None = None
    """Why the picture cannot be used."""


class Read(NamedTuple):
    """The contents of a job: a picture with its trimap."""

    image: np.ndarray
    """uint8 RGB [H, W, 3]"""
    trimap: np.ndarray
    """uint8 [H, W] of 0, 128, 255"""
    about: imaging.About | None
    """Profile and resolution, for files made from the picture."""
    notices: list[str]


def find_jobs(
    inputs: Sequence[Path],
    partners: Path | None,
    what: str,
    outputs: Sequence[Path] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[list[Job], list[str]]:
    """Find pictures in files and folders, and pair each with the trimap or mask (`what`) of its name.

    partners: a folder, one file for one picture, or None for the pictures' own alpha channels. outputs: folders that
    hold no inputs, as does the folder of partners. include, exclude: shell patterns ("*.jpg", "shoes/*") for the name
    of a picture or of its file. Returns jobs and notices. Raises DataError if there are no pictures.
    """
    pictures, notices = list_inputs(inputs, [folder for folder in (partners, *outputs) if folder])
    # Pair before applying patterns, so that pairs do not depend on them.
    found = _partners([each.name for each in pictures if not each.problem], partners, what)
    pictures = [each for each in pictures if _wanted(each, include, exclude)]
    if not pictures:
        raise DataError(f"{', '.join(map(str, inputs))}: no picture matches --include and --exclude; check them")
    jobs: list[Job] = []
    first: dict[str, Path] = {}
    for name, path, closed in pictures:
        partner = found.get(name)
        if closed:
            jobs.append(Job(name, path, None, closed))
        elif name in first:
            problem = f"{path}: its outputs would overwrite those of {first[name]}; predict them separately"
            jobs.append(Job(str(path), path, None, problem))
        elif lost := _lost(path):
            jobs.append(Job(name, path, None, lost))
        elif isinstance(partner, DataError):
            jobs.append(Job(name, path, None, str(partner)))
        else:
            jobs.append(Job(name, path, partner))
        first.setdefault(name, path)
    return jobs, notices


def _lost(path: Path) -> str | None:
    """Return why a picture file cannot be opened; None if it can."""
    try:
        if is_file(path):
            return None
    except DataError as error:
        return str(error)
    return f"{path}: {'a broken link; mend or remove it' if path.is_symlink() else 'no such file; check the path'}"


def _wanted(given: Input, include: Sequence[str], exclude: Sequence[str]) -> bool:
    # What a closed folder holds is not known, so that only its own name can exclude it.
    names = (given.name,) if given.problem else (given.name + given.path.suffix, given.path.name)

    def match(patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatch(each, pattern) for each in names for pattern in patterns)

    return (not include or bool(given.problem) or match(include)) and not match(exclude)


def _partners(names: Sequence[str], partners: Path | None, what: str) -> dict[str, Path | DataError | None]:
    if partners is None:
        return dict.fromkeys(names)
    if is_folder(partners):
        return {**pair(list(dict.fromkeys(names)), partners, what)[0]}
    if not is_there(partners):
        raise DataError(f"{partners}: no such folder or file of {what}s; check the path")
    if len(names) > 1:
        raise DataError(f"{partners}: {len(names)} pictures need a folder of {what}s")
    return {names[0]: partners}


def read_job(job: Job, width: Width | None = None, max_pixels: int = imaging.MAX_PIXELS) -> Read:
    """Read the picture and the trimap of a job. With `width` the partner, or else the alpha channel, is a mask.

    width: of the unknown band around the edge of masks. Raises DataError for files that cannot be read or do not fit.
    """
    photo, own, about, notices = read_photo(job.image, max_pixels)
    image, size = photo.image, (photo.image.shape[0], photo.image.shape[1])
    if job.partner:
        notices += unused_alpha(own, job.image, job.partner)
    if width is None:
        assert job.partner  # find_jobs was given trimaps
        levels, more = trimap.read_trimap(job.partner, size, max_pixels, photo)
        more += [f"{job.partner}: {notice}" for notice in trimap.one_sided(levels)]
        return Read(image, levels, about, notices + more)
    if job.partner:
        mask, more = masks.read_mask(job.partner, None, size, max_pixels, photo)
        source = job.partner
    elif own is None or is_opaque(own):
        hidden = "no alpha channel" if own is None else "an alpha channel that is 255 nearly everywhere"
        raise DataError(f"{job.image}: has {hidden}; give --trimaps or --masks, a folder or a file")
    else:
        mask, more, source = own, [], job.image
    try:
        levels, odd = from_mask(mask, width.pixels(size), width.pixels(size))
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    return Read(image, levels, about, [*notices, *more, *(f"{source}: {notice}" for notice in odd)])
