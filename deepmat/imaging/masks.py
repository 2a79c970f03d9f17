"""Masks of any origin, hard or soft, read as alphas: uint8 [H, W], 0 background, 255 foreground."""

import cv2
import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging.fitting import Photo, check_aspect, turn_like
from deepmat.imaging.layers import as_grey, holds_matte, is_opaque, masked_by, split
from deepmat.imaging.painted import why_no_trimap
from deepmat.imaging.tones import NEAR, mask_levels, stretch, two_colours
from deepmat.imaging.unread import Unread

BLOCK, ENOUGH = 8, 8
"""Side of the blocks of a JPEG in pixels, and the fewest blocks with an edge that allow a decision."""
RIM, RINGING = 3, 16
"""Width in pixels beside an edge that may be antialiased, and the largest deviation, in levels, that an edge leaves
in a neighbouring block."""
JPEG_NEAR = 8
"""Levels so close to 0 or 255 are set to these in a soft mask saved as JPEG."""
TWO_LEVELS = 8
"""Least difference of two levels, neither of them 0, that are background and foreground."""
LABELS, VOID = 32, 255
"""A mask whose levels are all lower, but for that of void pixels, holds class numbers."""
PLATEAUS, FLAT, GRADED = 4, 0.7, 0.7
"""A mask holds numbers of objects too if it has at least so many levels between 0 and 255, that share of whose pixels
has neighbours of the same level, unless that share of the steps to and from such levels is to the next one."""
INVERTED = "255 along the border and 0 in the middle; is it inverted? 255 is foreground; if so, swap black and white"

LIKE_PHOTO = "few of its pixels are 0 or 255, as in a photo; is it a mask? A mask is 255 on the subject and 0 elsewhere"


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
    around = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    even = cv2.compare(cv2.erode(mask, around), cv2.dilate(mask, around), cv2.CMP_EQ)
    counts, flat = histogram(mask)[fractional], cv2.calcHist([mask], [0], even, [256], [0, 256]).reshape(-1)[fractional]
    share = float(flat.sum() / counts.sum())
    if small:
        return share > 0.5
    return share > FLAT and bool(np.median(flat / counts) > 0.5) and not _is_graded(mask, present)


def _is_graded(mask: np.ndarray, present: np.ndarray) -> bool:
    """Return whether levels between 0 and 255 mostly meet the next lower or higher one: a gradient in steps."""
    table = np.zeros(256, np.int16)
    table[present] = np.arange(len(present))
    ranks, hard = table[mask], (mask == 0) | (mask == 255)
    down = np.abs(np.diff(ranks, axis=0))[~(hard[1:] & hard[:-1])]
    right = np.abs(np.diff(ranks, axis=1))[~(hard[:, 1:] & hard[:, :-1])]
    steps, to_next = (np.count_nonzero(down) + np.count_nonzero(right), np.sum(down == 1) + np.sum(right == 1))
    return bool(to_next > GRADED * steps)


def clean_mask(mask: np.ndarray, threshold: int | None = None, near: int = 0) -> tuple[np.ndarray, list[str]]:
    """Convert a mask, uint8 [H, W], to an alpha. Returns it with notices of what was changed.

    Hard masks become 0 and 255: those of two levels, say 0 and 1 or 16 and 235, and those with JPEG artefacts
    (`is_hard_jpeg`). Soft masks mostly of two other levels are stretched to 0 and 255 (`tones.stretch`), and what is
    within `tones.NEAR` of these then becomes them. Others stay as they are, but for levels up to `near` from 0 or 255.
    threshold: every mask is hard, with foreground from this level on. Raises DataError for levels that look like labels
    of several objects, or one grey everywhere.
    """
    if threshold is not None:
        return cv2.inRange(mask, threshold, 255), []
    present = np.flatnonzero(histogram(mask)).tolist()
    low, top = present[0], present[-1]
    if low == top and 0 < low < 255:
        raise DataError(f"all its pixels are {low}; save a mask of one object, 255 on 0")
    if len(present) == 2 and (low == 0 or top >= LABELS and top - low >= TWO_LEVELS) and (low, top) != (0, 255):
        return cv2.inRange(mask, low + 1, 255), [f"its levels {low} and {top} were taken as 0 and 255"]
    if is_labels(mask):
        levels = f"{low} to {present[-2]} and 255" if top == VOID else f"{low} to {top}"
        how = "save a mask of one object, 255 on 0, or use `deepmat trimap --threshold`"
        raise DataError(f"its levels are {levels}, like labels; {how}")
    hard, notices = is_hard_jpeg(mask), list[str]()
    if not hard:
        mask, notices = stretch(mask, near)
        hard = bool(notices) and is_hard_jpeg(mask)
    if hard:
        taken = "levels from 128 on were taken as 255, lower ones as 0"
        return cv2.inRange(mask, 128, 255), [*notices, f"a hard mask with JPEG artefacts; {taken}"]
    snap = near or (NEAR if notices else 0)
    table = np.arange(256, dtype=np.uint8)
    table[: snap + 1], table[255 - snap :] = 0, 255
    cleaned = cv2.LUT(mask, table)
    if np.array_equal(cleaned, mask):
        return mask, notices
    if near:
        notices.append(f"a soft mask with JPEG artefacts; levels up to {near} from 0 or 255 were taken as these")
    return cleaned, notices


def read_mask(
    path: imaging.File,
    threshold: int | None = None,
    size: tuple[int, int] | None = None,
    max_pixels: int = imaging.MAX_PIXELS,
    photo: Photo | None = None,
    name: str | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Read a mask or alpha file as an alpha. Returns uint8 [H, W], and notices of what was changed (`clean_mask`).

    The mask is the alpha channel, or the colours if these hold it (`layers.holds_matte`, `tones.mask_levels`). size:
    height and width of the picture; a mask of the same aspect ratio is resized to it. photo: the picture, as which the
    mask is turned. name: stands for a file given as bytes in messages. Raises DataError if the file cannot be read,
    holds no mask of one object, or has another aspect ratio.
    """
    file = Unread(path, max_pixels, name)
    near = JPEG_NEAR if file.picture.format in ("JPEG", "MPO") else 0
    colour, alpha = split(file.decode())
    try:
        levels, notices = _levels(colour, alpha, threshold, near > 0)
        mask, changed = clean_mask(levels, threshold, near)
        notices += changed
        if threshold is None and why_no_trimap(mask):
            notices.append(LIKE_PHOTO)
        if photo:
            mask, turned = turn_like(mask, file.orientation, photo)
            notices += turned
        if size and mask.shape != tuple(size):
            notices.append(check_aspect(mask.shape, size))
            mask = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA)
    except DataError as error:
        raise DataError(f"{file.name}: {error}") from error
    return mask, [f"{file.name}: {notice}" for notice in notices]


def _levels(
    colour: np.ndarray, alpha: np.ndarray | None, threshold: int | None, jpeg: bool
) -> tuple[np.ndarray, list[str]]:
    """Return the levels of a mask, uint8 [H, W], from a picture's layers, and notices."""
    if alpha is not None and alpha.min() < 255:
        if not holds_matte(colour, alpha) and (not is_opaque(alpha) or two_colours(colour) is None):
            return alpha, []
        notices = ["its colours were taken as the mask; its alpha channel shows no more than a frame"]
    else:
        notices = []
    if threshold is not None:
        return as_grey(colour, alpha), notices
    levels, more = mask_levels(colour, jpeg)
    return masked_by(alpha, levels), notices + more
