"""Enlarge a mask or an alpha along the edges of its photo, by the guided filter.

He, Sun, "Fast Guided Filter" (arXiv 1505.00996): mask = a . colour + b in each window; a [3] and b are computed on the
reduced picture, smoothed, enlarged, and applied to the photo's own pixels.
"""

import itertools
from collections.abc import Callable, Iterator

import cv2
import numpy as np

RADIUS = 3
"""Of the windows, in pixels of the mask."""
SMOOTH = 16.0
"""Variance of colours, in squared levels, below which windows count as flat."""
STRIP, LONG = 256, 1 << 14
"""Rows and columns of the photo that are computed at a time; OpenCV takes no side of 32,768 pixels."""

Block = tuple[slice, slice]
"""Rows and columns of a photo."""
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


def blocks(size: tuple[int, ...], small: tuple[int, ...]) -> Iterator[tuple[Block, Enlarge]]:
    """Yield each block of a photo of size (H, W), and how to enlarge planes [h, w, ...] to it."""
    for top, left in itertools.product(range(0, size[0], STRIP), range(0, size[1], LONG)):
        rows, columns = slice(top, min(top + STRIP, size[0])), slice(left, min(left + LONG, size[1]))
        down, y = _seen_by(rows, size[0], small[0])
        across, x = _seen_by(columns, size[1], small[1])
        x, y = (np.ascontiguousarray(each, np.float32) for each in np.broadcast_arrays(x[None], y[:, None]))

        def larger(
            planes: np.ndarray,
            method: int = cv2.INTER_LINEAR,
            seen: Block = (down, across),
            x: np.ndarray = x,
            y: np.ndarray = y,
        ) -> np.ndarray:
            return cv2.remap(planes[seen], x, y, method, borderMode=cv2.BORDER_REPLICATE)

        yield (rows, columns), larger


def _seen_by(part: slice, side: int, small: int) -> tuple[slice, np.ndarray]:
    """Return the part of a reduced side that a part of the side is enlarged from, and where in it each pixel lies."""
    at = (np.arange(part.start, part.stop) + 0.5) * (small / side) - 0.5
    first = max(int(at[0]) - 1, 0)
    return slice(first, int(at[-1]) + 3), at - first


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
    for block, larger in blocks(enlarged.shape, mask.shape):
        line = larger(planes)
        guided = np.einsum("hwc,hwc->hw", line[..., :3], image[block].astype(np.float32)) + line[..., 3]
        levels = np.clip(guided + half, 0, 255).astype(mask.dtype)
        enlarged[block] = np.where(larger(band, cv2.INTER_NEAREST) > 0, levels, larger(mask))
    return enlarged
