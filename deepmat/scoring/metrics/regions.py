"""Regions of a picture that scores are computed over."""

from collections.abc import Callable

import cv2
import numpy as np

from deepmat.imaging.trimap import unknown_region

THIN, DISTINCT = 0.006, 26
"""Fine parts are narrower than this share of the longer side and differ by so many levels from their surroundings."""


def whole(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """The whole picture."""
    return np.ones(trimap.shape, bool)


def unknown(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """The unknown region of the trimap."""
    return unknown_region(trimap)


def fine(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Thin parts of the true alpha in the unknown region: hair, threads, meshes and the gaps between them.

    Alpha is 26 levels (a tenth) or more above its opening, or below its closing, by a disc whose diameter is 0.6 % of
    the longer side, at least 5 pixels; grown by one pixel.
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
"""By name: true alpha and trimap, uint8 [H, W] -> region, bool [H, W]."""
