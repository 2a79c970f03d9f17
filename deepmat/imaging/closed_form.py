"""Closed-form matting, which needs no training: alpha that is linear in colour within each window of 3 x 3 pixels.

Levin, Lischinski and Weiss, "A closed-form solution to natural image matting", PAMI 2008. What is known holds exactly,
and the equations are solved from coarse to fine, since conjugate gradients carry knowledge one pixel further a step.
"""

import cv2
import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from deepmat.imaging.laplacian import system
from deepmat.imaging.trimap import UNKNOWN, unknown_region

EPSILON = 1e-7
"""Weight of the slope of alpha over colour, for colours from 0 to 1, in the paper's own code."""
COARSEST = 32
"""Pixels of the shorter side at which nothing coarser is solved first."""
STEPS, TOLERANCE = 500, 1e-4
"""Most steps of conjugate gradients at each size, and the residual, relative to the right side, at which they end."""


def closed_form(image: np.ndarray, trimap: np.ndarray, epsilon: float = EPSILON, steps: int = STEPS) -> np.ndarray:
    """Alpha, float32 [H, W] in [0, 1], of a picture, uint8 [H, W, 3].

    trimap: uint8 [H, W]; all but 0 and 255 is unknown. steps: the most of conjugate gradients at each size. Where
    nothing is known, alpha is 0.5.
    """
    unknown = unknown_region(trimap)
    if unknown.all():
        return np.full(trimap.shape, 0.5, np.float32)
    alpha = (trimap / 255).astype(np.float32)
    if unknown.any():
        matrix, right = system(image, trimap, epsilon)
        diagonal = matrix.diagonal() + 1e-6
        divide = LinearOperator(matrix.shape, lambda residual: residual / diagonal, dtype=np.float32)
        start = _coarse(image, trimap, epsilon, steps)[unknown]
        found, _ = cg(matrix, right, start, rtol=TOLERANCE, maxiter=steps, M=divide)
        alpha[unknown] = found.clip(0, 1)
    return alpha


def _coarse(image: np.ndarray, trimap: np.ndarray, epsilon: float, steps: int) -> np.ndarray:
    """The alpha of the picture at half its size, enlarged; 0.5 for small pictures."""
    height, width = trimap.shape
    if min(height, width) <= COARSEST:
        return np.full(trimap.shape, 0.5, np.float32)
    size = (width + 1) // 2, (height + 1) // 2
    small, levels = (cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) for pixels in (image, trimap))
    levels[unknown_region(levels)] = UNKNOWN
    return cv2.resize(closed_form(small, levels, epsilon, steps), (width, height), interpolation=cv2.INTER_LINEAR)
