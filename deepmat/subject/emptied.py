"""Photos that are cut out already: of their background nothing is left, so that nothing can be found out about them."""

import cv2
import numpy as np

from deepmat.imaging.trimap import depth

BEYOND = 12
"""Pixels by which programs continue the subject's colours where a cut-out is transparent; deepmat by 8."""
SAME, MOSTLY = 2, 0.999
"""Levels between colours that are one, and the share of the pixels that are of the one colour of no background."""
WHITE = 250
"""Level of a colour that a photo's overexposed background may have."""
RIM = np.ones((7, 7), np.uint8)
"""What makes a rim of three pixels."""
UNEVEN = 3
"""Pixels by which the distances differ, but for a tenth on each side, to which programs continue colours: what is left
beside a rough mask ends anywhere."""


def is_cut_out(image: np.ndarray, alpha: np.ndarray) -> bool:
    """Return whether a photo, uint8 RGB [H, W, 3], is what a cut-out leaves of one.

    Then it has one colour, the fill, wherever alpha, uint8 [H, W], is 0, but for the subject's colours, continued as
    far everywhere. A photo before an overexposed background is like that, and its alpha a rough mask, where the fill
    reaches into the mask, the subject reaches unevenly out of it, or a hard mask lies on white.
    """
    hidden = alpha == 0
    deep = depth(hidden)
    far = deep > BEYOND
    if not far.any():
        far = hidden
    count = int(np.count_nonzero(far))
    if not count:
        return False
    fill = _median(image, far, count)
    one = cv2.inRange(image, fill - SAME, fill + SAME) > 0
    if np.count_nonzero(one & far) <= MOSTLY * count:
        return False
    if one.mean() > MOSTLY:
        return True  # a drawing of one colour, all in its alpha
    inside = alpha >= 128
    rim = inside & (cv2.dilate((~inside).view(np.uint8), RIM) > 0)
    is_hard = not np.count_nonzero((alpha > 0) & (alpha < 255))
    if (is_hard and fill.min() >= WHITE) or (rim.any() and one[rim].mean() > 0.5):
        return False
    more = hidden & ~one
    ends = deep[more & (cv2.dilate((hidden & one).view(np.uint8), np.ones((3, 3), np.uint8)) > 0)]
    return bool(more.mean() < 1 - MOSTLY or np.subtract(*np.percentile(ends, (90, 10))) <= UNEVEN)


def _median(image: np.ndarray, part: np.ndarray, count: int) -> np.ndarray:
    """Return the median colour of a part, bool [H, W] with so many pixels: float64 [3]."""
    counts = [cv2.calcHist([image], [channel], part.view(np.uint8), [256], [0, 256]).ravel() for channel in range(3)]
    return np.array([np.searchsorted(np.cumsum(each, dtype=np.float64), count / 2) for each in counts], np.float64)
