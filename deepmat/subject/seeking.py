"""The subject of a photo without a trimap: found by a finder or given as a rough mask, and its trimap."""

import os
from typing import NamedTuple

import numpy as np

from deepmat.errors import ConfigError
from deepmat.imaging.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from deepmat.runtime.fetching import Progress
from deepmat.subject.emptied import is_cut_out
from deepmat.subject.finders import Found, Prompts
from deepmat.subject.finders.agreeing import agreed, mark
from deepmat.subject.finders.choice import ALPHA, check_name, find, finder_names
from deepmat.subject.finders.known import NETWORKS, obtain
from deepmat.subject.finders.network import check_side, is_file_of_network, load
from deepmat.subject.finders.settings import Settings
from deepmat.subject.hints import hints
from deepmat.subject.key import open_key
from deepmat.subject.rough import from_rough

CUT_OUT = "the photo is cut out already, so its alpha and colours are kept"
"""Why the alpha channel of such a photo is used."""


class Subject(NamedTuple):
    """What is known of the subject of a photo [H, W] before a network has seen it."""

    trimap: np.ndarray
    """uint8 [H, W] of 0, 128, 255"""
    notices: list[str]
    finder: str = ""
    """Name of the finder, "mask" for a mask that was given; empty for a trimap that was given."""
    why: str = ""
    """Why that finder was used."""
    mask: np.ndarray | None = None
    """uint8 [H, W], the rough mask; None for a trimap that was given."""
    backdrop: np.ndarray | None = None
    """uint8 RGB [H, W, 3]: the background's colours, where the finder knows them."""
    alpha: np.ndarray | None = None
    """float32 [H, W] in [0, 1], of a photo that is cut out already: kept as it is, with the colours."""
    loose: bool = False
    """Whether the width of the unknown region is estimated, not given: a network narrows it, however narrow it is."""


class Seeker(NamedTuple):
    """How subjects are found; by default as the picture decides."""

    prompts: Prompts = Prompts()
    finder: str | None = None
    """As for `finders.choice.find`."""
    settings: Settings | None = None
    """Of a segmentation network, by name or in a file; None for its own."""
    progress: Progress | None = None
    """Called while a network is fetched."""


def prepare(seeker: Seeker) -> None:
    """Fetch and load the network that a seeker names, if any. Raises DataError and ConfigError where that fails."""
    named = seeker.finder in NETWORKS
    if seeker.finder and (named or is_file_of_network(seeker.finder)):
        path = obtain(seeker.finder, progress=seeker.progress) if named else seeker.finder
        check_side(path, load(path), seeker.settings or Settings())


def as_finder(given: object) -> str | None:
    """Return the finder that a caller from Python gave: a name, a path, or None. Raises ConfigError for others."""
    finder = os.fspath(given) if isinstance(given, os.PathLike) else given
    if finder is None or isinstance(finder, str):
        return finder
    raise ConfigError(f"finder: {given!r:.60} is neither a name nor a path; give one of {', '.join(finder_names())}")


def check_finder(finder: str | None) -> None:
    """Raise ConfigError or DataError unless a finder is known by that name, or is an ONNX file that can be used."""
    if finder is None:
        return
    if is_file_of_network(finder):
        load(finder)
    else:
        check_name(finder)


def seek(image: np.ndarray, own: np.ndarray | None, seeker: Seeker) -> Subject:
    """Find the subject of a photo, and make its trimap.

    image: uint8 RGB [H, W, 3]; own: its alpha channel, uint8 [H, W], or None. Raises NoSubject where there is none,
    ConfigError for an unknown finder.
    """
    found, name, why = find(
        image, seeker.prompts, seeker.finder, own, settings=seeker.settings, progress=seeker.progress
    )
    if name == ALPHA and is_cut_out(image, found.mask):
        return kept(found.mask, CUT_OUT)._replace(notices=found.notices, mask=found.mask)
    return _guided(image, found, name, why, Prompts() if name == ALPHA else seeker.prompts)


def kept(alpha: np.ndarray, why: str) -> Subject:
    """Return the subject of a photo that is cut out already, by its alpha, uint8 [H, W]."""
    levels = np.where((alpha == BACKGROUND) | (alpha == FOREGROUND), alpha, np.uint8(UNKNOWN))
    return Subject(levels, [], ALPHA, why, alpha=alpha / np.float32(255))


def given(image: np.ndarray, mask: np.ndarray, detail: int, why: str, prompts: Prompts = Prompts()) -> Subject:
    """Make the trimap of a photo from a rough mask that was given, and made to agree with prompts.

    mask: uint8 [H, W]; detail: the pixels of its longer side before it was resized to the photo.
    """
    return _guided(image, agreed(image, Found(mask, 1.0, detail, []), prompts), "mask", why, prompts)


def _guided(image: np.ndarray, found: Found, name: str, why: str, prompts: Prompts) -> Subject:
    trimap, notices = from_rough(image, found.mask, detail_of(found.detail, found.mask))
    if found.backdrop is not None:
        trimap = open_key(image, trimap, found.backdrop)
    mark(trimap, found.mask, prompts)
    notices = [*found.notices, *notices, *hints(found.mask, found.sure, prompts)]
    return Subject(trimap, notices, name, why, found.mask, found.backdrop, loose=True)


def detail_of(side: int, mask: np.ndarray) -> int | None:
    """Return the detail of a mask for `from_rough`: None if it is not smaller than the photo, so that its edges tell.

    side: the pixels of its longer side before it was resized to the photo; mask: uint8 [H, W], of the photo's size.
    """
    return side if side < max(mask.shape) else None
