"""Masks of any origin, hard or soft, read as alphas: uint8 [H, W], 0 background, 255 foreground."""

from pathlib import Path

import cv2
import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging.fitting import Photo, check_aspect, turn_like

BLOCK, ENOUGH = 8, 8
"""Side of the blocks of a JPEG in pixels, and the fewest blocks with an edge that allow a decision."""
RIM, RINGING = 3, 16
"""Width in pixels beside an edge that may be antialiased, and the largest deviation, in levels, that an edge leaves
in a neighbouring block."""
JPEG_NEAR = 8
"""Levels so close to 0 or 255 are set to these in a soft mask saved as JPEG."""
LABELS = 32
"""A mask whose levels are all lower holds class numbers."""
INVERTED = "255 along the border and 0 in the middle; is it inverted? 255 is foreground; if so, swap black and white"


def histogram(grey: np.ndarray) -> np.ndarray:
    """Count the pixels of each of the 256 levels of a uint8 [H, W]. Returns float32 [256]."""
    return cv2.calcHist([grey], [0], None, [256], [0, 256]).reshape(-1)


def looks_inverted(alpha: np.ndarray) -> bool:
    """Return whether an alpha or trimap, uint8 [H, W], is 255 along most of its border and 0 in most of its middle."""
    height, width = alpha.shape
    border = np.concatenate((alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    centre = alpha[height // 3 : -(-2 * height // 3), width // 3 : -(-2 * width // 3)]
    return bool(np.mean(border == 255) > 0.8 and np.mean(centre == 0) > 0.8)


def _blocks(grey: np.ndarray, extreme: np.ufunc) -> np.ndarray:
    """Return the smallest or largest level of each block of a JPEG."""
    lines = extreme.reduceat(grey, np.arange(0, grey.shape[0], BLOCK), axis=0)
    return extreme.reduceat(lines, np.arange(0, grey.shape[1], BLOCK), axis=1)


def is_hard_jpeg(mask: np.ndarray) -> bool:
    """Return whether a mask, uint8 [H, W], is hard, of 0 and 255, but for the artefacts of JPEG.

    It may have been saved in another format since. JPEG's ringing fills the blocks of 8 x 8 pixels that an edge crosses
    and leaves the others flat. A soft edge reaches into other blocks, an antialiased edge has no ringing beside it, and
    a mask with further levels has flat blocks of these levels.
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
    """Convert a mask, uint8 [H, W], to an alpha. Returns it with notices of what was changed.

    Hard masks become 0 and 255: those of two levels, 0 and any other (say 1), and those with JPEG artefacts
    (`is_hard_jpeg`). Soft masks stay as they are, except that levels up to `near` from 0 or 255 become these.
    threshold: every mask is hard, with foreground from this level on. Raises DataError for levels that look like
    labels of several objects.
    """
    if threshold is not None:
        return cv2.inRange(mask, threshold, 255), []
    present = np.flatnonzero(histogram(mask))
    top = int(present[-1])
    if present[0] == 0 and len(present) == 2 and top < 255:
        return cv2.inRange(mask, 1, 255), [f"its levels 0 and {top} were taken as 0 and 255"]
    if top < LABELS and len(present) > 1:
        levels = f"its levels are {present[0]} to {top}, like labels"
        raise DataError(f"{levels}; save a mask of one object, 255 on 0, or set a threshold")
    if is_hard_jpeg(mask):
        return cv2.inRange(mask, 128, 255), [
            "a hard mask with JPEG artefacts; levels from 128 on were taken as 255, lower ones as 0"
        ]
    if not any(0 < level <= near or 255 - near <= level < 255 for level in present.tolist()):
        return mask, []
    table = np.arange(256, dtype=np.uint8)
    table[: near + 1], table[255 - near :] = 0, 255
    return cv2.LUT(mask, table), [
        f"a soft mask with JPEG artefacts; levels up to {near} from 0 or 255 were taken as these"
    ]


def read_mask(
    path: Path,
    threshold: int | None = None,
    size: tuple[int, int] | None = None,
    max_pixels: int = imaging.MAX_PIXELS,
    photo: Photo | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Read a mask or alpha file as an alpha. Returns uint8 [H, W], and notices of what was changed (`clean_mask`).

    A used alpha channel is the mask; colours are converted to luminance. size: height and width of the picture; a mask
    of the same aspect ratio is resized to it. photo: the picture, as which the mask is turned. Raises DataError if the
    file cannot be read, looks like labels, or has another aspect ratio.
    """
    grey = imaging.read_grey(path, max_pixels)
    header = imaging.describe(path, max_pixels)
    near = JPEG_NEAR if header["format"] in ("JPEG", "MPO") else 0
    try:
        mask, notices = clean_mask(grey, threshold, near)
        if photo:
            mask, turned = turn_like(mask, header["orientation"], photo)
            notices = [*notices, *turned]
        if size and mask.shape != tuple(size):
            notices = [*notices, check_aspect(mask.shape, size)]
            mask = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return mask, [f"{path}: {notice}" for notice in notices]
