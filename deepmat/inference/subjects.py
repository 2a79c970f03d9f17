"""Where the trimap of a picture comes from: a trimap file, a mask and the width of its band, or a finder."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from deepmat import imaging
from deepmat.errors import DataError, NoSubject
from deepmat.imaging import masks, trimap
from deepmat.imaging.arrays import PATHS, Source, as_mask, as_trimap
from deepmat.imaging.fitting import Photo
from deepmat.imaging.layers import is_opaque
from deepmat.inference.jobs import Job, SubjectOf
from deepmat.inference.modes import Seen
from deepmat.inference.predict import Finish, see
from deepmat.inference.predictor import Predictor
from deepmat.subject.band import WIDEN, WIDTH, Width, from_mask, parse_width, too_narrow
from deepmat.subject.emptied import is_cut_out
from deepmat.subject.finders.choice import ALPHA
from deepmat.subject.prompting import beyond, fitted
from deepmat.subject.rough import from_rough, is_network_mask
from deepmat.subject.seeking import CUT_OUT, Seeker, Subject, detail_of, given, kept, seek

SHOW = "--save sheet shows the mask; --box, --point or a better mask helps"
"""What helps where a rough mask misses the edge."""


def by_trimap(max_pixels: int = imaging.MAX_PIXELS) -> SubjectOf:
    """Return what reads trimaps, the partners of the jobs."""
    return partial(_from_trimap, max_pixels)


def by_mask(width: Width | None = None, max_pixels: int = imaging.MAX_PIXELS) -> SubjectOf:
    """Return what makes trimaps of masks, the partners of the jobs or else the pictures' alpha channels.

    width: of the unknown band around the edge of a mask. None: as wide as the soft mask of a segmentation network is
    coarse (`subject.rough`); otherwise WIDTH, but as far as the picture's edge where a hard mask is too large or too
    small all around (`subject.offset`).
    """
    return partial(_from_mask, width, max_pixels)


def by_finder(seeker: Seeker, max_pixels: int = imaging.MAX_PIXELS) -> SubjectOf:
    """Return what finds the subjects of photos, or takes rough masks, the partners of the jobs."""
    return partial(_from_subject, seeker, max_pixels)


def _from_trimap(max_pixels: int, job: Job, photo: Photo, own: np.ndarray | None) -> Subject:
    assert job.partner  # find_jobs was given trimaps
    return of_trimap(job.partner, photo, max_pixels)


def of_trimap(given: Source, photo: Photo, max_pixels: int = imaging.MAX_PIXELS) -> Subject:
    """Return the subject that a trimap of a photo shows. Raises DataError for one that cannot be used."""
    levels, notices = as_trimap(given, _size(photo), photo=photo, max_pixels=max_pixels)
    name = given if isinstance(given, PATHS) else "trimap"
    return Subject(levels, notices + [f"{name}: {notice}" for notice in trimap.one_sided(levels)])


def _from_mask(width: Width | None, max_pixels: int, job: Job, photo: Photo, own: np.ndarray | None) -> Subject:
    size = _size(photo)
    if job.partner:
        mask, notices = masks.read_mask(job.partner, None, size, max_pixels, photo)
    elif own is None or is_opaque(own):
        hidden = "no alpha channel" if own is None else "an alpha channel that is 255 nearly everywhere"
        how = "give --trimaps or --masks, a folder or a file; or use `deepmat cut`, which finds the subject"
        raise DataError(f"{job.image}: has {hidden}; {how}")
    elif width is None and own.any() and is_cut_out(photo.image, own):
        return kept(own, f"{CUT_OUT}; --width gives it an unknown band")
    else:
        mask, notices = own, []
    source, band = job.partner or job.image, (width or parse_width(WIDTH)).pixels(size)
    soft = job.partner is not None and is_network_mask(mask)
    with _named(str(source)):
        if job.partner and soft:
            detail = max(imaging.read_size(job.partner))
            levels, odd = from_rough(photo.image, mask, detail_of(detail, mask), band if width else None)
        else:
            levels, odd = from_mask(mask, band, band, image=None if width else photo.image)
    notices = [*notices, *(f"{source}: {notice}" for notice in odd)]
    return Subject(levels, notices, loose=soft and not width)


def _from_subject(seeker: Seeker, max_pixels: int, job: Job, photo: Photo, own: np.ndarray | None) -> Subject:
    return of_photo(photo, own, job.partner, seeker, str(job.image), max_pixels)


def of_photo(
    photo: Photo,
    own: np.ndarray | None,
    mask: Source | None,
    seeker: Seeker,
    name: str = "image",
    max_pixels: int = imaging.MAX_PIXELS,
) -> Subject:
    """Return the subject of a photo: of its rough mask where one is given, made to agree with prompts, or else found.

    own: the photo's alpha channel, uint8 [H, W], or None; name: of the photo, for messages. Raises NoSubject where
    there is none, DataError where the mask cannot be used, ConfigError for an unknown finder.
    """
    size = _size(photo)
    with _named(name):
        prompts = fitted(seeker.prompts, size)
        cut_off = [] if prompts == seeker.prompts else [f"{name}: {beyond(seeker.prompts, size)}"]
        if mask is None:
            subject = seek(photo.image, own, seeker._replace(prompts=prompts))
            return subject._replace(notices=cut_off + [f"{name}: {notice}" for notice in subject.notices])
    levels, detail, notices = as_mask(mask, size, photo=photo, max_pixels=max_pixels)
    source = str(mask) if isinstance(mask, PATHS) else "mask"
    with _named(source):
        why = f"{source} is given" if source != "mask" else "it is given"
        subject = given(photo.image, levels, detail, why, prompts)
    return subject._replace(notices=[*cut_off, *notices, *(f"{source}: {notice}" for notice in subject.notices)])


def see_subject(
    model: nn.Module | Predictor, image: np.ndarray, subject: Subject, **options: Any
) -> tuple[Finish, Seen]:
    """Show a picture with its subject to a network, as `predict.see` does, unless it is cut out already."""
    alpha = subject.alpha
    if alpha is None:
        return see(model, image, subject.trimap, loose=subject.loose, **options)
    return lambda: alpha, Seen("none", [])


def doubts(source: object, subject: Subject, alpha: np.ndarray) -> list[str]:
    """Return notices if alpha, float32 [H, W], contradicts the trimap, with what helps. source: of the trimap.

    Raises NoSubject where a subject was found, but alpha is 0 all over, DataError where a mask showed it.
    """
    if subject.finder and not (alpha >= 0.5 / 255).any():
        if subject.finder == "mask":
            raise DataError(f"{source}: nothing of the mask is left in the cut-out; correct the mask")
        helps = ("finder", "mask") if subject.finder == ALPHA else ("box", "point", "mask")
        raise NoSubject("nothing of what was found is left in the cut-out", helps, name=str(source))
    if subject.alpha is not None:
        return []
    return [f"{source}: {notice}" for notice in too_narrow(subject.trimap, alpha, SHOW if subject.finder else WIDEN)]


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Begin the messages of errors with the name of the file that they are about."""
    try:
        yield
    except NoSubject as error:
        raise error.of(name) from error
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _size(photo: Photo) -> tuple[int, int]:
    return photo.image.shape[0], photo.image.shape[1]
