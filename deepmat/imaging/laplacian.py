"""The matting Laplacian of a picture's unknown pixels, for windows of 3 x 3 pixels.

Levin, Lischinski and Weiss, "A closed-form solution to natural image matting", PAMI 2008, equation 12.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import cv2
import numpy as np
from scipy.sparse import csr_array

WINDOW = list(product((-1, 0, 1), repeat=2))
AROUND = list(product((-2, -1, 0, 1, 2), repeat=2))
"""Rows and columns from a pixel to those that share a window with it."""
PART = 1 << 12
"""Pixels at a time, so that intermediate values stay in the processor's caches."""


def system(image: np.ndarray, trimap: np.ndarray, epsilon: float) -> tuple[csr_array, np.ndarray]:
    """The linear equations for alpha in the unknown region: matrix @ alpha = right.

    image: uint8 [H, W, 3]; trimap: uint8 [H, W] of 0, 128, 255, with N unknown pixels; epsilon: weight of the slope of
    alpha over colour, for colours from 0 to 1. Returns the matrix, float32 [N, N], and the right side, float32 [N],
    which holds what is known.
    """
    known = np.pad((trimap == 255).astype(np.float32), 2)
    places = np.flatnonzero(np.pad((trimap != 0) & (trimap != 255), 2))
    number = np.full(known.size, -1, np.int32)
    number[places] = np.arange(len(places))
    steps = np.array([row * known.shape[1] + column for row, column in AROUND])
    weights = _weights(np.pad(image, ((2, 2), (2, 2), (0, 0))), places, steps, epsilon)

    right = np.zeros(len(places), np.float32)
    columns = np.empty(weights.shape, np.int32)
    for each, step in enumerate(steps):
        columns[:, each] = number[places + step]
        right -= weights[:, each] * known.ravel()[places + step]
    within = columns >= 0
    begins = np.concatenate(([0], np.cumsum(within.sum(1)))).astype(np.int32)
    return csr_array((weights[within], columns[within], begins), (len(places),) * 2), right


def _weights(image: np.ndarray, places: np.ndarray, steps: np.ndarray, epsilon: float) -> np.ndarray:
    """The Laplacian between pixels and those AROUND them, float32 [N, 25].

    image: uint8 [H, W, 3] with a border of 2; places: int64 [N], pixels within the border, in the order of the picture.
    """
    height, width, _ = image.shape
    colours = np.ascontiguousarray(image.reshape(-1, 3).T)
    shifts = [row * width + column for row, column in WINDOW]
    # Windows that hold one of the pixels and lie in the picture.
    middles = np.zeros((height, width), bool)
    for shift in shifts:
        middles.ravel()[places + shift] = True
    middles[:3] = middles[-3:] = middles[:, :3] = middles[:, -3:] = False
    windows = np.flatnonzero(middles)
    number = np.full(height * width, len(windows), np.int32)
    number[windows] = np.arange(len(windows))
    means, inverses = _statistics(colours, windows, shifts, epsilon)

    weights = np.empty((len(places), len(steps)), np.float32)

    def fill(here: slice) -> None:
        part = places[here]
        around = colours[:, steps[:, None] + part].reshape(3, 5, 5, -1) / 255
        total = np.zeros((5, 5, len(part)))
        for (row, column), shift in zip(WINDOW, shifts, strict=True):
            window = number[part + shift]
            mean = means[:, window]
            towards = _product(inverses[:, window], around[:, 2, 2] - mean)
            inside = slice(row + 1, row + 4), slice(column + 1, column + 4)
            shared = np.einsum("crwn,cn->rwn", around[:, inside[0], inside[1]], towards)
            shared += 1 - (mean * towards).sum(0)
            total[inside] -= shared * ((window < len(windows)) / 9)
        total[2, 2] -= total.sum((0, 1))  # rows of a Laplacian sum to 0
        weights[here] = total.reshape(len(steps), -1).T

    _in_parts(fill, len(places))
    return weights


def _in_parts(fill: Callable[[slice], None], count: int) -> None:
    """Call `fill` for each PART of so many pixels, in as many threads as OpenCV takes."""
    with ThreadPoolExecutor(cv2.getNumThreads()) as threads:
        list(threads.map(fill, (slice(begin, min(begin + PART, count)) for begin in range(0, count, PART))))


def _statistics(
    colours: np.ndarray, windows: np.ndarray, shifts: list[int], epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean colour and inverse of the covariance of windows, float64 [3, M + 1] and [6, M + 1]; the last are zeros.

    Covariances get epsilon / 9 on the diagonal. Of the symmetric matrices the upper half is kept, row by row.
    """
    means, inverses = np.zeros((3, len(windows) + 1)), np.zeros((6, len(windows) + 1))

    def fill(here: slice) -> None:
        inside = colours[:, windows[here] + np.array(shifts)[:, None]] / 255
        means[:, here] = inside.mean(1)
        inside -= means[:, None, here]
        covariance = np.einsum("awn,bwn->abn", inside, inside) / 9
        xx, yy, zz = (covariance[each, each] + epsilon / 9 for each in range(3))
        xy, xz, yz = covariance[0, 1], covariance[0, 2], covariance[1, 2]
        first = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
        adjugate = np.stack([*first, xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy])
        inverses[:, here] = adjugate / (xx * adjugate[0] + xy * adjugate[1] + xz * adjugate[2])

    _in_parts(fill, len(windows))
    return means, inverses


def _product(symmetric: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Symmetric matrices [6, N] as in `_statistics` times vectors [3, N]."""
    xx, xy, xz, yy, yz, zz = symmetric
    x, y, z = vectors
    return np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])
