"""Masks and alphas of any origin, hard or soft, as an alpha: uint8 [H, W], 0 background, 255 foreground."""

from pathlib import Path

import cv2
import numpy as np

from deepmat import imaging
from deepmat.errors import DataError

BLOCK, ENOUGH = 8, 8
"""A JPEG's blocks in pixels; so many with an edge tell."""
RIM, RINGING = 3, 16
"""Pixels beside an edge that may be antialiased; the most that is left of an edge in the next block, in levels."""
JPEG_NEAR = 8
LABELS = 32
"""No mask is as dark as that, but class numbers are."""
INVERTED = "255 all around and 0 in the middle: inverted? 255 is foreground; if so, swap black and white"


def histogram(grey: np.ndarray) -> np.ndarray:
    """How many pixels of a uint8 [H, W] are of each of 256 levels, float32."""
    return cv2.calcHist([grey], [0], None, [256], [0, 256]).reshape(-1)


def looks_inverted(alpha: np.ndarray) -> bool:
    """Whether an alpha or a trimap, uint8 [H, W], is 255 nearly all around and 0 in the middle."""
    height, width = alpha.shape
    border = np.concatenate((alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    centre = alpha[height // 3 : -(-2 * height // 3), width // 3 : -(-2 * width // 3)]
    return bool(np.mean(border == 255) > 0.8 and np.mean(centre == 0) > 0.8)


def check_aspect(size: tuple[int, int], wanted: tuple[int, int]) -> str:
    """A notice of a guide's being resized from one (height, width) to its picture's.

    DataError unless their aspect ratio is the same: one size is the other shrunk, to within a pixel on one side.
    """
    (h, w), (height, width) = small, large = sorted((size, wanted), key=lambda sides: sides[0] * sides[1])
    told = f"{size[1]}x{size[0]}, but its picture is {wanted[1]}x{wanted[0]}"
    if min(abs(w - h * width / height), abs(h - w * height / width)) > 1:
        raise DataError(f"{told}, of another aspect ratio; make them the same size")
    return f"{told}; resized to that"


def _blocks(grey: np.ndarray, extreme: np.ufunc) -> np.ndarray:
    """The least or greatest level of each block of a JPEG."""
    lines = extreme.reduceat(grey, np.arange(0, grey.shape[0], BLOCK), axis=0)
    return extreme.reduceat(lines, np.arange(0, grey.shape[1], BLOCK), axis=1)


def is_hard_jpeg(mask: np.ndarray) -> bool:
    """Whether a mask, uint8 [H, W], is of 0 and 255 that JPEG made uneven, whatever it was saved as since.

    JPEG's ringing fills the blocks of 8 pixels that an edge runs through and leaves the others flat. A soft edge
    reaches into other blocks; an antialiased one has nothing beside it; other levels make other flat blocks.
    """
    fractional = cv2.inRange(mask, 1, 254)
    if not fractional.any():
        return False
    hard = cv2.inRange(mask, 128, 255)
    around = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    rim = cv2.compare(cv2.erode(hard, around), cv2.dilate(hard, around), cv2.CMP_NE)
    rest = mask.copy()
    cv2.copyTo(hard, rim, rest)
    low, high = _blocks(rest, np.minimum), _blocks(rest, np.maximum)
    dark, bright = high < 128, low >= 128
    edge = ~(dark | bright)
    ringing = edge & (_blocks(cv2.subtract(fractional, rim), np.maximum) > 0)
    uneven = ~edge & (high - low > 2)
    other = dark & (high > RINGING) | bright & (low < 255 - RINGING)
    edges, rung, bent, grey = (int(np.count_nonzero(blocks)) for blocks in (edge, ringing, uneven, other))
    return ENOUGH <= edges <= edge.size / 2 and 3 * rung >= edges and 10 * bent <= edges and 30 * grey <= edges


def clean_mask(mask: np.ndarray, threshold: int | None = None, near: int = 0) -> tuple[np.ndarray, list[str]]:
    """Any mask, uint8 [H, W], as an alpha, hard ones as 0 and 255, soft ones as they are; and what was changed.

    Hard are masks of two levels, 0 and any other (1, say), and those that JPEG made uneven (`is_hard_jpeg`); with
    `threshold`, all: levels from it on are foreground. near: in soft ones, levels so close to 0 or 255 count as
    those. DataError for levels that look like labels of several things.
    """
    if threshold is not None:
        return cv2.inRange(mask, threshold, 255), []
    present = np.flatnonzero(histogram(mask))
    top = int(present[-1])
    if present[0] == 0 and len(present) == 2 and top < 255:
        return cv2.inRange(mask, 1, 255), [f"its levels, 0 and {top}, taken as 0 and 255"]
    if top < LABELS and len(present) > 1:
        levels = f"its levels are {present[0]} to {top}, as of labels"
        raise DataError(f"{levels}; save a mask of one thing, 255 on 0, or set a threshold")
    if is_hard_jpeg(mask):
        return cv2.inRange(mask, 128, 255), ["a hard mask that JPEG made uneven; 128 and over taken as 255"]
    if not any(0 < level <= near or 255 - near <= level < 255 for level in present.tolist()):
        return mask, []
    table = np.arange(256, dtype=np.uint8)
    table[: near + 1], table[255 - near :] = 0, 255
    return cv2.LUT(mask, table), [f"JPEG makes 0 and 255 uneven; levels up to {near} from them taken as those"]


def read_mask(
    path: Path,
    threshold: int | None = None,
    size: tuple[int, int] | None = None,
    max_pixels: int = imaging.MAX_PIXELS,
) -> tuple[np.ndarray, list[str]]:
    """A mask or alpha file as an alpha, uint8 [H, W], and notices of what was changed (`clean_mask`).

    A used alpha channel is the mask; colours count as their luminance. size: the picture's height and width, to which
    a mask of the same aspect ratio is resized. DataError if it cannot be read, looks like labels, or is of another
    aspect ratio.
    """
    grey = imaging.read_grey(path, max_pixels)
    near = JPEG_NEAR if imaging.describe(path, max_pixels)["format"] in ("JPEG", "MPO") else 0
    try:
        mask, notices = clean_mask(grey, threshold, near)
        if size and mask.shape != tuple(size):
            notices = [*notices, check_aspect(mask.shape, size)]
            mask = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return mask, [f"{path}: {notice}" for notice in notices]
