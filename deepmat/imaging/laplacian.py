"""The matting Laplacian of a picture's unknown pixels, for windows of 3 x 3 pixels.

Levin, Lischinski and Weiss, "A closed-form solution to natural image matting", PAMI 2008, equation 12.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, product

import cv2
import numpy as np
from scipy.sparse import csr_array

WINDOW = list(product((-1, 0, 1), repeat=2))
AROUND = list(product((-2, -1, 0, 1, 2), repeat=2))
"""Rows and columns from a pixel to those that share a window with it."""
PART = 1 << 13
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
    shifts = np.array([row * width + column for row, column in WINDOW])
    # Windows that hold one of the pixels and lie in the picture.
    middles = np.zeros((height, width), bool)
    for shift in shifts:
        middles.ravel()[places + shift] = True
    middles[:3] = middles[-3:] = middles[:, :3] = middles[:, -3:] = False
    windows = np.flatnonzero(middles)
    number = np.full(height * width, -1, np.int32)
    number[windows] = np.arange(len(windows))
    weights = np.empty((len(places), len(steps)), np.float32)

    def fill(part: slice) -> None:
        pixels = places[part]
        begin, end = np.searchsorted(windows, (pixels[0] + shifts[0], pixels[-1] + shifts[-1] + 1))
        found = number[pixels - shifts[:, None]]
        # The window that a pixel is part of at each of WINDOW; the last stands for one that lies beyond the picture.
        window = np.where(found < 0, end - begin, found - begin)
        total = np.zeros((len(steps), len(pixels)), np.float32)
        own = _whitened(colours[:, windows[begin:end] + shifts[:, None]], epsilon)
        shared, read = np.zeros(end - begin + 1, np.float32), np.empty(len(pixels), np.float32)
        for one, other in combinations(range(len(WINDOW)), 2):
            np.einsum("cm,cm->m", own[:, one], own[:, other], out=shared[:-1])
            shared[:-1] += 1 / len(WINDOW)
            step = _step(one, other)
            for at, to in ((one, step), (other, len(steps) - 1 - step)):
                total[to] -= np.take(shared, window[at], out=read, mode="clip")
        total[len(steps) // 2] = -total.sum(0)  # rows of a Laplacian sum to 0
        weights[part] = total.T

    _in_parts(fill, len(places))
    return weights


def _step(one: int, other: int) -> int:
    """Which of AROUND leads from a pixel of WINDOW to another."""
    (row, column), (to_row, to_column) = WINDOW[one], WINDOW[other]
    return AROUND.index((to_row - row, to_column - column))


def _in_parts(fill: Callable[[slice], None], count: int) -> None:
    """Call `fill` for each PART of so many pixels, in as many threads as OpenCV takes."""
    with ThreadPoolExecutor(cv2.getNumThreads()) as threads:
        list(threads.map(fill, (slice(begin, min(begin + PART, count)) for begin in range(0, count, PART))))


def _whitened(levels: np.ndarray, epsilon: float) -> np.ndarray:
    """The colours of windows, uint8 [3, 9, M], less their mean, with a covariance of 1 / 9 I: float32 [3, 9, M].

    The product of two of them is what the Laplacian has of both pixels. Before, epsilon / 9 is added to the variances.
    """
    colours = levels / 255
    colours -= colours.mean(1, keepdims=True)
    x, y, z = colours
    xx, yy, zz = ((each * each).mean(0) + epsilon / len(WINDOW) for each in colours)
    xy, xz, yz = (x * y).mean(0), (x * z).mean(0), (y * z).mean(0)
    # Cholesky's factor of the covariance, row by row.
    first = np.sqrt(xx)
    below, last = xy / first, xz / first
    second = np.sqrt(yy - below * below)
    beside = (yz - below * last) / second
    third = np.sqrt(zz - last * last - beside * beside)
    x /= first
    y -= below * x
    y /= second
    z -= last * x + beside * y
    z /= third
    return (colours / math.sqrt(len(WINDOW))).astype(np.float32)
