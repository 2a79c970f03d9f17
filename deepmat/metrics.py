"""The four scores of image matting, as the benchmark's MATLAB code computes them.

Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009 (Grad, Conn); the units are
those of Deep Image Matting's tables. Every metric takes the predicted and the true alpha as uint8 [H, W] (the benchmark
reads 8-bit files) and the unknown region as bool [H, W], and returns a float; lower is better. An empty unknown region
scores 0: nothing had to be estimated.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import cv2
import numpy as np


def sad(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """Sum of |p - a| over the unknown region, alpha in [0, 1], divided by 1000."""
    difference = cv2.absdiff(pred, alpha)[unknown]
    return int(difference.sum(dtype=np.int64)) / 255 / 1000


def mse(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """Mean of (p - a)^2 over the unknown region, alpha in [0, 1]."""
    difference = cv2.absdiff(pred, alpha)[unknown].astype(np.int64)
    return int(np.dot(difference, difference)) / 255**2 / max(difference.size, 1)


def _gaussian_derivative(sigma: float = 1.4, epsilon: float = 1e-2) -> np.ndarray:
    """Derivative of a Gaussian along x, float64 [9, 9] at sigma 1.4, of unit L2 norm."""
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    gaussian = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    kernel = np.outer(gaussian, -x * gaussian / sigma**2)
    return kernel / np.linalg.norm(kernel)


def _gradient_magnitude(alpha: np.ndarray) -> np.ndarray:
    low, high = int(alpha.min()), int(alpha.max())
    stretched = (alpha.astype(np.float64) - low) / max(high - low, 1)
    kernel = _gaussian_derivative()
    along_x = cv2.filter2D(stretched, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    along_y = cv2.filter2D(stretched, -1, np.ascontiguousarray(kernel.T), borderType=cv2.BORDER_REPLICATE)
    return np.hypot(along_x, along_y)


def grad(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """Sum of squared differences of the gradient magnitudes over the unknown region, divided by 1000.

    Each alpha is first stretched to [0, 1] by its own minimum and maximum, as the benchmark does.
    """
    difference = (_gradient_magnitude(pred) - _gradient_magnitude(alpha))[unknown]
    return float(np.dot(difference, difference)) / 1000


def conn(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """Sum of |phi(p) - phi(a)| over the unknown region, divided by 1000.

    At each threshold t = 0, 0.1 ... 1 the source is the largest 4-connected component of (p >= t and a >= t); l is the
    last threshold at which a pixel is still in it; phi(x) = 1 - (x - l) where x - l >= 0.15, else 1.
    Thresholds are compared in integers (10 x >= 255 k): that is what single precision gives for 8-bit alphas, where
    double precision would drop 153/255 >= 0.6.
    """
    lowest = np.minimum(pred, alpha)
    # Tenths; 10 for the pixels that never leave the source.
    level = np.full(alpha.shape, 10, np.int64)
    inside = np.ones(alpha.shape, bool)
    for tenth in range(1, 11):
        above = (lowest.astype(np.int32) * 10 >= 255 * tenth).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
        # Label 0 is the background, never the source.
        source = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if count > 1 else np.zeros_like(inside)
        level[inside & ~source] = tenth - 1
        inside &= source
    return float(np.abs(_phi(pred, level) - _phi(alpha, level))[unknown].sum()) / 1000


def _phi(alpha: np.ndarray, level: np.ndarray) -> np.ndarray:
    distance = 10 * alpha.astype(np.int64) - 255 * level  # in 1/2550
    return np.where(20 * distance >= 3 * 2550, 1 - distance / 2550, 1.0)


METRICS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "sad": sad,
    "mse": mse,
    "grad": grad,
    "conn": conn,
}


def mean(records: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, float]:
    """Mean of each named score over the records that have it; NaN for no record."""
    records = list(records)
    means = {}
    for name in names:
        scores = [record[name] for record in records if name in record]
        means[name] = math.fsum(scores) / len(scores) if scores else math.nan
    return means
