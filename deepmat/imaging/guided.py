"""Enlarge a mask or an alpha along the edges of its photo, by the guided filter.

He, Sun, "Fast Guided Filter" (arXiv 1505.00996): mask = a . colour + b in each window; a [3] and b are computed on the
reduced picture, smoothed, enlarged, and applied to the photo's own pixels.
"""

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

RADIUS = 3
"""Of the windows, in pixels of the mask."""
SMOOTH = 16.0
"""Variance of colours, in squared levels, below which windows count as flat."""
STRIP = 256
"""Rows of the photo that are computed at a time."""

Enlarge = Callable[..., np.ndarray]


def _mean(planes: np.ndarray, radius: int) -> np.ndarray:
    return cv2.blur(planes, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)


def _coefficients(small: np.ndarray, mask: np.ndarray, where: np.ndarray, radius: int) -> np.ndarray:
    """Return a and b of the pixels that where, bool [H, W], marks: float32 [H, W, 4], 0 elsewhere.

    small: a picture, float32 [H, W, 3]; mask: float32 [H, W].
    """
    mean, target = _mean(small, radius), _mean(mask, radius)
    together = (_mean(small * mask[..., None], radius) - mean * target[..., None])[where]
    square = np.empty((len(together), 3, 3), np.float32)
    for i in range(3):
        moments = (_mean(small * small[..., i : i + 1], radius) - mean * mean[..., i : i + 1])[where]
        square[:, i] = moments
        square[:, i, i] += SMOOTH
    a = np.linalg.solve(square, together[..., None])[..., 0]
    b = target[where] - np.einsum("nc,nc->n", a, mean[where])
    planes = np.zeros((*mask.shape, 4), np.float32)
    planes[where] = np.concatenate([a, b[:, None]], -1)
    return planes


def strips(size: tuple[int, ...], small: tuple[int, ...]) -> Iterator[tuple[slice, Enlarge]]:
    """Yield the rows of each strip of a photo of size (H, W), and how to enlarge planes [h, w, ...] to these rows."""
    height, width, rows, columns = *size, *small
    for top in range(0, height, STRIP):
        part = slice(top, min(top + STRIP, height))
        y = (np.arange(part.start, part.stop, dtype=np.float32) + 0.5) * (rows / height) - 0.5
        x = (np.arange(width, dtype=np.float32) + 0.5) * (columns / width) - 0.5
        x, y = (np.ascontiguousarray(each, np.float32) for each in np.broadcast_arrays(x[None], y[:, None]))

        def larger(planes: np.ndarray, method: int = cv2.INTER_LINEAR, x: Any = x, y: Any = y) -> np.ndarray:
            return cv2.remap(planes, x, y, method, borderMode=cv2.BORDER_REPLICATE)

        yield part, larger


def edge_band(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return the pixels up to so far from where a mask changes, uint8 [H, W] of 0 and 1."""
    around = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return (cv2.dilate(mask, around) != cv2.erode(mask, around)).view(np.uint8)


def enlarge(image: np.ndarray, mask: np.ndarray, radius: int = RADIUS) -> np.ndarray:
    """Return a mask, uint8 or float32 [h, w] of 0 ... 255, enlarged to its photo, uint8 [H, W, 3], along its edges.

    Away from the mask's edge its levels are kept. radius: of the windows, in pixels of the mask.
    """
    small = cv2.resize(image, mask.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    around = edge_band(mask, 3 * radius + 1) > 0  # smoothing and interpolation reach beyond the band that is enlarged
    planes = _mean(_coefficients(small, mask.astype(np.float32), around, radius), radius)
    band, enlarged = edge_band(mask, 2 * radius), np.empty(image.shape[:2], mask.dtype)
    half = 0.5 if mask.dtype == np.uint8 else 0  # to round
    for rows, larger in strips(enlarged.shape, mask.shape):
        line = larger(planes)
        guided = np.einsum("hwc,hwc->hw", line[..., :3], image[rows].astype(np.float32)) + line[..., 3]
        levels = np.clip(guided + half, 0, 255).astype(mask.dtype)
        enlarged[rows] = np.where(larger(band, cv2.INTER_NEAREST) > 0, levels, larger(mask))
    return enlarged
