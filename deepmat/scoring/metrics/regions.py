"""Parts of a picture that scores are taken over."""

from collections.abc import Callable

import cv2
import numpy as np

from deepmat.imaging.trimap import unknown_region

THIN, DISTINCT = 0.006, 26
"""Fine parts are narrower than this part of the longer side, and so many levels from what surrounds them."""


def whole(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """All of the picture."""
    return np.ones(trimap.shape, bool)


def unknown(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """All that the trimap does not know."""
    return unknown_region(trimap)


def fine(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Hair, threads, meshes and the gaps between them: the thin parts of the true alpha in the unknown region.

    Thin is what a disc cannot enter, whose diameter is 0.6 % of the picture's longer side, 5 pixels at least: alpha
    lies 26 levels (a tenth) or more above its opening by that disc, or below its closing. A pixel around counts too.
    """
    diameter = max(5, round(THIN * max(alpha.shape)) | 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    strands = cv2.morphologyEx(alpha, cv2.MORPH_TOPHAT, disc)
    gaps = cv2.morphologyEx(alpha, cv2.MORPH_BLACKHAT, disc)
    thin = cv2.dilate(cv2.inRange(cv2.max(strands, gaps), DISTINCT, 255), np.ones((3, 3), np.uint8))
    return (np.asarray(thin) > 0) & unknown_region(trimap)


REGIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "unknown": unknown,
    "whole": whole,
    "fine": fine,
}
"""By name: true alpha and trimap, uint8 [H, W], to the region, bool [H, W]."""
