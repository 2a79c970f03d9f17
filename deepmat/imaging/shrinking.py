"""Smaller copies, of which the rough shape of things is found fast."""

import cv2
import numpy as np


def shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a copy of a picture or plane, [H, W, ...], of at most `side` pixels a side; each is a mean of an area."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
