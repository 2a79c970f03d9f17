"""The trimap: uint8 [H, W], 255 known foreground, 0 known background, 128 unknown."""

from pathlib import Path

import cv2
import numpy as np

from deepmat.errors import DataError
from deepmat.imaging import read_levels

FOREGROUND, UNKNOWN, BACKGROUND = 255, 128, 0


def unknown_region(trimap: np.ndarray) -> np.ndarray:
    """uint8 [H, W] in {0, 128, 255} -> bool [H, W], True where alpha is unknown."""
    return trimap == UNKNOWN


def _kernel(size: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def from_alpha(
    alpha: np.ndarray, kernel_size: int, iterations: int, outwards: tuple[int, int] | None = None
) -> np.ndarray:
    """The training trimap of Deep Image Matting: unknown where alpha is fractional, widened both ways.

    alpha: uint8 [H, W]. An elliptical kernel of `kernel_size` pixels is applied `iterations` times; pixels whose
    erosion is still 255 stay foreground, those whose dilation is still 0 stay background. `outwards`: another kernel
    size and iterations for the dilation.
    """
    kernel_out, iterations_out = outwards or (kernel_size, iterations)
    eroded = cv2.erode(alpha, _kernel(kernel_size), iterations=iterations)
    dilated = cv2.dilate(alpha, _kernel(kernel_out), iterations=iterations_out)
    # UNKNOWN where not known background, and as much again as FOREGROUND has more where known foreground.
    _, not_background = cv2.threshold(dilated, 0, UNKNOWN, cv2.THRESH_BINARY)
    _, foreground = cv2.threshold(eroded, 254, FOREGROUND - UNKNOWN, cv2.THRESH_BINARY)
    return cv2.add(not_background, foreground)


def by_distance(alpha: np.ndarray, inwards: float, outwards: float) -> np.ndarray:
    """A trimap from alpha, uint8 [H, W]: unknown within so many pixels of what is not fully foreground or background.

    Foreground is what lies further than `inwards` from any alpha under 255; background, further than `outwards` from
    any alpha over 0.
    """
    trimap = np.full_like(alpha, UNKNOWN)
    for level, known, width in ((255, FOREGROUND, inwards), (0, BACKGROUND, outwards)):
        same = (alpha == level).astype(np.uint8)
        if same.all():  # no distance to measure from
            trimap[:] = known
        else:
            trimap[cv2.distanceTransform(same, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > width] = known
    return trimap


def quantise(grey: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Any grey picture, uint8 [H, W], to the nearest of the three levels, with notices of what was changed.

    DataError for levels that look like labels.
    """
    if 0 < grey.max() <= 2:
        raise DataError(
            f"its levels are 0 to {grey.max()}, as of labels; save background 0, unknown 128, foreground 255"
        )
    table = np.empty(256, np.uint8)
    table[:64], table[64:192], table[192:] = BACKGROUND, UNKNOWN, FOREGROUND
    trimap = cv2.LUT(grey, table)
    moved = int(np.count_nonzero(trimap != grey))
    if not moved:
        return trimap, []
    return trimap, [f"{100 * moved / grey.size:.2g} % of the trimap was not 0, 128 or 255; taken as the nearest"]


def read_trimap(path: Path) -> tuple[np.ndarray, list[str]]:
    """A trimap file as uint8 [H, W] in {0, 128, 255}, and notices of what was changed.

    DataError if it cannot be read or its levels look like labels.
    """
    levels = read_levels(path)
    try:
        trimap, notices = quantise(levels)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return trimap, [f"{path}: {notice}" for notice in notices]
