"""Narrowing a trimap by an alpha that was found with it: unknown pixels become known where alpha is sure of them."""

import cv2
import numpy as np

from deepmat.imaging.trimap import BACKGROUND, FOREGROUND, unknown_region

SURE, AROUND = 0.03, 0.0035
"""Alpha within SURE of 0 or 1 is sure of a pixel. It becomes known if the same holds as far around as this share of the
longer side."""
WIDE = 0.014
"""Width of the part of the unknown region beside known pixels that alpha is sure of, as a share of the longer side,
from which a trimap is wide. Of portraits of 1,400 pixels it is .004 to .009 with 7 pixels around fractional alpha, .018
to .024 with 30; of photos of 800, .007 to .0125 with their narrow trimaps, .0125 to .020 with the wide ones."""


def sure_of(trimap: np.ndarray, alpha: np.ndarray, sure: float, around: int) -> np.ndarray:
    """The trimap, uint8 [H, W] of 0, 128, 255, with what alpha, float32 [H, W] in [0, 1], is sure of.

    An unknown pixel becomes known where alpha is within `sure` of 0, or of 1, for `around` pixels to all sides. Known
    pixels stay.
    """
    unknown, levels = unknown_region(trimap), trimap.copy()
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * around + 1, 2 * around + 1))
    for level, claimed in ((BACKGROUND, alpha < sure), (FOREGROUND, alpha > 1 - sure)):
        everywhere = np.where(unknown, claimed, trimap == level).astype(np.uint8)
        levels[(cv2.erode(everywhere, disk) > 0) & unknown] = level
    return levels


def narrowed(trimap: np.ndarray, alpha: np.ndarray, rough: bool = False) -> np.ndarray:
    """The trimap, uint8 [H, W] of 0, 128, 255, with what alpha is sure of, if it is wide; otherwise the trimap itself.

    trimap: knows both sides; alpha: float32 [H, W] in [0, 1], found with it. A narrow trimap, drawn with care, tells
    more than alpha does; not so one that was made of a `rough` mask, which is narrowed too. A trimap of which nothing
    would be left unknown stays.
    """
    if not rough and _width(trimap, alpha) < WIDE * max(trimap.shape):
        return trimap
    levels = sure_of(trimap, alpha, SURE, max(1, round(AROUND * max(trimap.shape))))
    return levels if unknown_region(levels).any() else trimap


def _width(trimap: np.ndarray, alpha: np.ndarray) -> float:
    """Pixels from what is known to what alpha is unsure of.

    The median along the edge of the known foreground or of the known background, whichever is greater.
    """
    unknown = unknown_region(trimap)
    unsure = unknown & (alpha > SURE) & (alpha < 1 - SURE)
    if not unsure.any():
        return 0.0
    away = cv2.distanceTransform((~unsure).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    widths = []
    for level in (BACKGROUND, FOREGROUND):
        beside = cv2.dilate((trimap == level).view(np.uint8), np.ones((3, 3), np.uint8)) > 0
        widths.append(float(np.median(away[beside & unknown])) if (beside & unknown).any() else 0.0)
    return max(widths)
