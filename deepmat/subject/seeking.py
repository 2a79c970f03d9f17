"""The subject of a photo without a trimap: found by a finder or given as a rough mask, and its trimap."""

from typing import NamedTuple

import numpy as np

from deepmat.subject.finders import Found, Prompts
from deepmat.subject.finders.choice import find
from deepmat.subject.hints import hints
from deepmat.subject.rough import from_rough


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


def seek(image: np.ndarray, own: np.ndarray | None, prompts: Prompts, finder: str | None = None) -> Subject:
    """Find the subject of a photo, and make its trimap.

    image: uint8 RGB [H, W, 3]; own: its alpha channel, uint8 [H, W], or None; finder: as for `finders.choice.find`.
    Raises DataError where there is no subject, ConfigError for an unknown finder.
    """
    found, name, why = find(image, prompts, finder, own)
    return _guided(image, found, name, why)


def given(image: np.ndarray, mask: np.ndarray, detail: int, why: str) -> Subject:
    """Make the trimap of a photo from a rough mask that was given.

    mask: uint8 [H, W]; detail: the pixels of its longer side before it was resized to the photo.
    """
    return _guided(image, Found(mask, 1.0, detail, []), "mask", why)


def _guided(image: np.ndarray, found: Found, name: str, why: str) -> Subject:
    trimap, notices = from_rough(image, found.mask, found.detail if found.detail < max(found.mask.shape) else None)
    notices = [*found.notices, *notices, *hints(found.mask, found.sure)]
    return Subject(trimap, notices, name, why, found.mask, found.backdrop)
