"""Finders: each finds the subject of a photo, and answers with a rough mask of it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Prompts(NamedTuple):
    """What a user says of the subject, in pixels of the photo, x from the left and y from the top."""

    box: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom of a rectangle that holds the subject; right and bottom are exclusive."""
    points: tuple[tuple[int, int], ...] = ()
    """(x, y) of pixels of the subject."""
    not_points: tuple[tuple[int, int], ...] = ()
    """(x, y) of pixels of the background."""


class Found(NamedTuple):
    """A rough mask of the subject of a photo [H, W]."""

    mask: np.ndarray
    """uint8 [H, W]: 0 for background to 255 for foreground; between them where the finder is unsure."""
    sure: float
    """How sure the finder is of the whole mask, from 0 to 1."""
    detail: int
    """Pixels of the longer side at which the mask was made; at most max(H, W). A mask of 320 pixels enlarged to 3,200
    errs by ten or more."""
    notices: list[str]
    """Remarks for the user."""
    backdrop: np.ndarray | None = None
    """uint8 [H, W, 3]: the background's colours, continued behind the subject, where the finder knows them."""


Finder = Callable[[np.ndarray, Prompts], Found]
"""From a photo, uint8 RGB [H, W, 3], and prompts. Raises NoSubject where it finds no subject."""
