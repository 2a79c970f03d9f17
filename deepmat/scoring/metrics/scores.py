"""SAD, MAD, MSE, Grad and Conn, with the choices that tools of the field make differently as arguments.

Every metric takes the predicted and the true alpha, [H, W], uint8 or floats in [0, 1], and a region, bool [H, W]. It
returns a float; lower is better. A region without pixels gives 0; `protocols.score` gives no score there. 8-bit alphas
are summed in integers where the definition allows it, which has no rounding error.
"""

import math
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Literal

import cv2
import numpy as np

STEPS = 10
"""Number of Conn's thresholds above 0: 1/10, 2/10 ... 1."""
Width = Literal["single", "double"]


@cache
def _kernels() -> ModuleType | None:
    """The compiled inner loops, or None without numba; the scores are the same, but take several times as long."""
    try:
        return import_module("deepmat.scoring.metrics.kernels")
    except ImportError:  # numba is not installed, or does not support this version of numpy
        return None


def fraction(alpha: np.ndarray) -> np.ndarray:
    """Alpha as float64 in [0, 1]."""
    return alpha / 255.0 if alpha.dtype == np.uint8 else alpha.astype(np.float64)


def _difference(pred: np.ndarray, alpha: np.ndarray, region: np.ndarray, norm: int) -> float:
    """The sum over the region of |p - a| (cv2.NORM_L1) or of its square (cv2.NORM_L2SQR), alpha in [0, 1]."""
    if pred.dtype == alpha.dtype == np.uint8:
        levels = cv2.norm(pred, alpha, norm, np.ascontiguousarray(region).view(np.uint8))
        return levels / (255 if norm == cv2.NORM_L1 else 255**2)
    off = (fraction(pred) - fraction(alpha))[region]
    return float(np.abs(off).sum() if norm == cv2.NORM_L1 else np.dot(off, off))


def _mean(total: float, over: np.ndarray) -> float:
    count = np.count_nonzero(over)
    return total / int(count) if count else 0.0


def sad(pred: np.ndarray, alpha: np.ndarray, region: np.ndarray) -> float:
    """SAD: the sum of |p - a| over the region, alpha in [0, 1], divided by 1000."""
    return _difference(pred, alpha, region, cv2.NORM_L1) / 1000


def mad(pred: np.ndarray, alpha: np.ndarray, region: np.ndarray, over: np.ndarray | None = None) -> float:
    """MAD: the mean of |p - a| over the region, alpha in [0, 1]. over: another region whose pixels are counted."""
    return _mean(_difference(pred, alpha, region, cv2.NORM_L1), region if over is None else over)


def mse(pred: np.ndarray, alpha: np.ndarray, region: np.ndarray, over: np.ndarray | None = None) -> float:
    """MSE: the mean of (p - a)^2 over the region, alpha in [0, 1]. over: another region whose pixels are counted."""
    return _mean(_difference(pred, alpha, region, cv2.NORM_L2SQR), region if over is None else over)


@cache
def gaussian_derivative() -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian of sigma 1.4 and its derivative, float64 [9], each of unit L2 norm.

    Their outer product, also of unit norm, is the benchmark's gradient filter. It ends where the Gaussian is under .01.
    """
    sigma, least = 1.4, 0.01
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * least)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    gaussian = np.exp(-(x**2) / (2 * sigma**2))
    derivative = -x * gaussian
    return gaussian / np.linalg.norm(gaussian), derivative / np.linalg.norm(derivative)


def _range(alpha: np.ndarray, stretch: bool) -> float:
    """The number that alpha is divided by: its range, or that of its dtype."""
    full = 255.0 if alpha.dtype == np.uint8 else 1.0
    return (float(alpha.max()) - float(alpha.min()) or full) if stretch else full


def grad(pred: np.ndarray, alpha: np.ndarray, region: np.ndarray, *, stretch: bool = True) -> float:
    """Grad: the sum of squared differences of gradient magnitudes over the region, divided by 1000.

    Gradients are of first-order Gaussian derivatives of sigma 1.4; the border is repeated. stretch: each alpha is first
    stretched to [0, 1] by its own minimum and maximum, as the benchmark does.
    """
    if not region.any():
        return 0.0
    ranges = _range(pred, stretch), _range(alpha, stretch)
    if pred.dtype == alpha.dtype == np.uint8 and (kernels := _kernels()):
        contiguous = (np.ascontiguousarray(each) for each in (pred, alpha, region))
        return kernels.squared_gradient_difference(*contiguous, *ranges, *gaussian_derivative()) / 1000
    window = _around(region)
    magnitudes = [_gradient_magnitude(each[window] / scale) for each, scale in zip((pred, alpha), ranges, strict=True)]
    difference = (magnitudes[0] - magnitudes[1])[region[window]]
    return float(np.dot(difference, difference)) / 1000


def _around(region: np.ndarray) -> tuple[slice, slice]:
    """The rectangle around the region and the gradient filter's reach."""
    half = len(gaussian_derivative()[0]) // 2
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    top, left = (max(0, int(each[0]) - half) for each in (rows, columns))
    return slice(top, int(rows[-1]) + half + 1), slice(left, int(columns[-1]) + half + 1)


def _gradient_magnitude(alpha: np.ndarray) -> np.ndarray:
    gaussian, derivative = gaussian_derivative()
    along_x = cv2.sepFilter2D(alpha, cv2.CV_64F, derivative, gaussian, borderType=cv2.BORDER_REPLICATE)
    along_y = cv2.sepFilter2D(alpha, cv2.CV_64F, gaussian, derivative, borderType=cv2.BORDER_REPLICATE)
    return np.hypot(along_x, along_y)


@cache
def thresholds_passed(width: Width) -> np.ndarray:
    """The last of Conn's thresholds that each 8-bit level reaches, uint8 [256], compared in floats of that width.

    The benchmark compares in single precision, where 153 / 255 reaches 0.6. Ports to Python compare in double with the
    multiples of 0.1 of numpy.arange, where it does not.
    """
    steps = np.arange(0, 1 + 1 / STEPS, 1 / STEPS)
    levels = np.arange(256) / 255
    if width == "single":
        steps, levels = steps.astype(np.float32), levels.astype(np.float32)
    return (levels[:, None] >= steps[1:]).sum(axis=1, dtype=np.uint8)


def conn(
    pred: np.ndarray, alpha: np.ndarray, region: np.ndarray, *, width: Width = "single", background: bool = False
) -> float:
    """Conn: the sum of |phi(p) - phi(a)| over the region, divided by 1000. Alphas must be uint8.

    At each threshold t = 0, 0.1 ... 1 the source is the largest 4-connected component of (p >= t and a >= t); of equal
    ones the first in MATLAB's order, column by column. l is the last threshold up to which a pixel is in all sources.
    phi(x) = 1 - (x - l) where x - l >= 0.15, else 1. width: the precision in which t is compared. background: count the
    pixels of no component as a component, as ports do that take the largest label, 0 included.
    """
    assert pred.dtype == alpha.dtype == np.uint8
    passed = cv2.LUT(cv2.min(pred, alpha), thresholds_passed(width))
    table, kernels = _phi_table(), _kernels()
    if kernels and not background:
        pred, alpha, region = (np.ascontiguousarray(each) for each in (pred, alpha, region))
        total = kernels.phi_difference(pred, alpha, region, kernels.last_in_source(passed), table)
    else:
        last = _last_in_source(passed, background)
        total = int(np.abs(table[last, pred] - table[last, alpha])[region].sum())
    return total / (STEPS * 255) / 1000


@cache
def _phi_table() -> np.ndarray:
    """phi by l and level, int32 [11, 256], in units of 1/2550, which is exact, since no distance equals 0.15."""
    distance = STEPS * np.arange(256, dtype=np.int32) - 255 * np.arange(STEPS + 1, dtype=np.int32)[:, None]
    return np.where(20 * distance >= 3 * STEPS * 255, STEPS * 255 - distance, STEPS * 255).astype(np.int32)


def _last_in_source(passed: np.ndarray, background: bool) -> np.ndarray:
    """l of each pixel in tenths, uint8 [H, W]. passed: the last threshold that the pixel reaches, uint8 [H, W]."""
    last = np.zeros_like(passed)
    inside = np.ones(passed.shape, bool)
    for step in range(1, STEPS + 1):
        above = (passed >= step).view(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        if not background:
            areas[0] = 0  # OpenCV's label of the pixels of no component
        columns = labels.T.ravel()
        first = np.isin(columns, np.flatnonzero(areas == areas.max())).argmax()
        inside &= labels == columns[first] if areas.any() else False
        last[inside] = step
    return last
