"""Masks of any origin, hard or soft, read as alphas: uint8 [H, W], 0 background, 255 foreground."""

from pathlib import Path

import cv2
import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging.layers import as_grey, holds_matte, split
from deepmat.imaging.unread import Unread

BLOCK, ENOUGH = 8, 8
"""Side of the blocks of a JPEG in pixels, and the fewest blocks with an edge that allow a decision."""
RIM, RINGING = 3, 16
"""Width in pixels beside an edge that may be antialiased, and the largest deviation, in levels, that an edge leaves
in a neighbouring block."""
JPEG_NEAR = 8
"""Levels so close to 0 or 255 are set to these in a soft mask saved as JPEG."""
LABELS, VOID = 32, 255
"""A mask whose levels are all lower, but for that of void pixels, holds class numbers."""
PLATEAUS, FLAT, GRADED = 4, 0.8, 0.7
"""A mask holds numbers of objects too if it has at least so many levels between 0 and 255, that share of whose pixels
has neighbours of the same level, unless that share of the steps between such levels is between successive ones."""
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


def check_aspect(size: tuple[int, int], wanted: tuple[int, int]) -> str:
    """Return the notice that a mask or trimap was resized to its picture's (height, width).

    Raises DataError unless the aspect ratios agree: the smaller size is the larger one scaled, to within a pixel on one
    side.
    """
    (h, w), (height, width) = sorted((size, wanted), key=lambda sides: sides[0] * sides[1])
    sizes = f"{size[1]}x{size[0]}, but its picture is {wanted[1]}x{wanted[0]}"
    if min(abs(w - h * width / height), abs(h - w * height / width)) > 1:
        raise DataError(f"{sizes}, of another aspect ratio; make them the same size")
    return f"{sizes}; resized to that"


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


def is_labels(mask: np.ndarray) -> bool:
    """Return whether a mask, uint8 [H, W], seems to hold numbers of classes or objects, and perhaps 255 for void.

    Such numbers are small, or fill areas of their own; the levels of a soft mask change from pixel to pixel.
    """
    present = np.flatnonzero(histogram(mask))
    fractional = present[(present > 0) & (present < 255)]
    if present[-1] < LABELS:
        return len(present) > 1
    small = fractional.size and fractional[-1] < LABELS
    if not small and fractional.size < PLATEAUS:
        return False
    around = np.ones((3, 3), np.uint8)
    even = cv2.compare(cv2.erode(mask, around), cv2.dilate(mask, around), cv2.CMP_EQ)
    counts, flat = histogram(mask)[fractional], cv2.calcHist([mask], [0], even, [256], [0, 256]).reshape(-1)[fractional]
    share = float(flat.sum() / counts.sum())
    if small:
        return share > 0.5
    return share > FLAT and bool(np.median(flat / counts) > 0.5) and not _is_graded(mask, present)


def _is_graded(mask: np.ndarray, present: np.ndarray) -> bool:
    """Return whether the levels between 0 and 255 meet their successors mostly: a gradient in steps."""
    table = np.zeros(256, np.int16)
    table[present] = 1 + np.arange(len(present))
    table[[0, 255]] = 0
    ranks = table[mask]
    steps = [np.abs(a - b)[(a > 0) & (b > 0)] for a, b in ((ranks[1:], ranks[:-1]), (ranks[:, 1:], ranks[:, :-1]))]
    step = np.concatenate([each[each > 0] for each in steps])
    return step.size > 0 and bool(np.mean(step == 1) > GRADED)


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
    if is_labels(mask):
        numbers = present[present < VOID]
        levels = f"its levels are {numbers[0]} to {numbers[-1]}{' and 255' if top == VOID else ''}, like labels"
        raise DataError(f"{levels}; save a mask of one object, 255 on 0, or use `deepmat trimap --threshold`")
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
) -> tuple[np.ndarray, list[str]]:
    """Read a mask or alpha file as an alpha. Returns uint8 [H, W], and notices of what was changed (`clean_mask`).

    The mask is the alpha channel, or the luminance if that holds it (`layers.holds_matte`). size: height and width of
    the picture; a mask of the same aspect ratio is resized to it. Raises DataError if the file cannot be read, looks
    like labels, or has another aspect ratio.
    """
    file = Unread(path, max_pixels)
    near = JPEG_NEAR if file.picture.format in ("JPEG", "MPO") else 0
    colour, alpha = split(file.decode())
    odd = alpha is not None and alpha.min() < 255 and holds_matte(colour, alpha)
    try:
        mask, notices = clean_mask(as_grey(colour, alpha), threshold, near)
        if odd:
            notices = ["its colours were taken as the mask; its alpha channel shows no more than a frame", *notices]
        if size and mask.shape != tuple(size):
            notices = [*notices, check_aspect(mask.shape, size)]
            mask = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return mask, [f"{path}: {notice}" for notice in notices]
