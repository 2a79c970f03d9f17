"""Enlarge a mask along the edges of its photo, between the known colours of both sides."""

import cv2
import numpy as np

from deepmat.imaging.guided import blocks, edge_band

REACH = 4
"""Pixels around the mask's edge that are looked at."""
SNAP = 0.05
"""Share of the way between two known colours that is taken as noise of either."""


def between(
    image: np.ndarray,
    mask: np.ndarray,
    foreground: np.ndarray,
    known: np.ndarray,
    background: np.ndarray,
    least: float,
) -> np.ndarray:
    """Return a mask enlarged to its photo, uint8 [H, W, 3], where the colours of both sides are known: uint8 [H, W].

    At the mask's edge a pixel's level is where its colour lies between those of the foreground and the background.
    mask: uint8 [h, w]; foreground, background: float32 [h, w, 3]; known: bool [h, w], where the foreground's are;
    least: distance of both colours, in levels, below which the mask is kept as it is.
    """
    band = edge_band(np.where(mask >= 64, np.uint8(255), np.uint8(0)), REACH) & known.view(np.uint8)
    enlarged = np.empty(image.shape[:2], np.uint8)
    for block, larger in blocks(enlarged.shape, mask.shape):
        there, kept = larger(band, cv2.INTER_NEAREST) > 0, larger(mask)
        if there.any():
            behind = larger(background)
            way = larger(foreground) - behind
            length = np.einsum("hwc,hwc->hw", way, way)
            share = np.einsum("hwc,hwc->hw", image[block] - behind, way) / np.maximum(length, 1)
            levels = np.clip(255 * (share * (1 + 2 * SNAP) - SNAP) + 0.5, 0, 255).astype(np.uint8)
            kept = np.where(there & (length > least * least), levels, kept)
        enlarged[block] = kept
    return enlarged
