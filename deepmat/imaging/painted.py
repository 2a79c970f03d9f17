"""Trimaps as they are painted: in a few flat levels or colours, unlike a photo."""

import cv2
import numpy as np

from deepmat.errors import DataError
from deepmat.imaging.layers import as_levels, coloured

MAIN_SHARE = 0.45
"""Least share of the three main levels or colours in a trimap. In soft masks it is 0.48 or more, in most photos less
than 0.1."""
COLOURS, NEAR = 6, 16
"""Most colours of a trimap, and how far a pixel may be from one of them, in levels, to count as it."""
RIM, OTHERS = 9, 0.005
"""Pixels of further colours lie along edges: the squares of RIM pixels that are full of them are at most this share."""
SAMPLE = 250_000
"""About so many pixels are looked at to find the main colours."""


def percent(share: float) -> str:
    """Return a share as a message has it: 0.02 %, 73 %."""
    return f"{100 * share:.2g} %" if share < 0.095 else f"{100 * share:.0f} %"


def levels_of(colour: np.ndarray, alpha: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
    """Return the trimap levels, uint8 [H, W], in a picture's layers (`as_levels`), and a notice if it has colours.

    Raises DataError for a photo.
    """
    grey = as_levels(colour, alpha)
    share = 0.0
    if colour.ndim == 3 and (alpha is None or colour.min() < colour.max()):
        shown = colour if alpha is None else cv2.copyTo(colour, cv2.inRange(alpha, 128, 255))
        share = np.count_nonzero(coloured(shown)) / grey.size
    photo = why_no_trimap(shown if share else grey)
    if photo:
        raise DataError(f"{photo}; give 0 for background, 128 for unknown, 255 for foreground (predict: or --masks)")
    what = f"{percent(share)} of it is coloured, taken as unknown; paint background 0, unknown 128, foreground 255"
    return grey, [what] if share else []


def why_no_trimap(pixels: np.ndarray) -> str:
    """Return why levels, uint8 [H, W], or colours, uint8 [H, W, 3], are no trimap's, or "" if they may be."""
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / SAMPLE) ** 0.5))
    sample = pixels[::step, ::step]
    if pixels.ndim == 3:
        sample = sample @ np.array((1 << 16, 1 << 8, 1), np.int32)
    codes, counts = np.unique(sample, return_counts=True)
    main = np.sort(counts)[::-1][:3].sum() / sample.size
    if main < MAIN_SHARE:
        return f"not a trimap but a photo or a soft mask: its three main levels are {100 * main:.0f} % of it"
    if pixels.ndim == 2:
        return ""
    found = np.stack((codes >> 16, codes >> 8 & 255, codes & 255), axis=1)
    others = np.full(pixels.shape[:2], 255, np.uint8)
    for _ in range(COLOURS):
        colour = found[counts.argmax()]
        counts[np.abs(found - colour).max(axis=1) <= NEAR] = 0
        others[cv2.inRange(pixels, colour - NEAR, colour + NEAR) > 0] = 0
    full = cv2.erode(others, np.ones((RIM, RIM), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return "not a trimap: it has the colours of a photo" if np.count_nonzero(full) > OTHERS * full.size else ""
