"""Closed-form matting, which needs no training: alpha that is linear in colour within each window of 3 x 3 pixels.

Levin, Lischinski and Weiss, "A closed-form solution to natural image matting", PAMI 2008. What is known holds exactly,
and the equations are solved from coarse to fine, since conjugate gradients carry knowledge one pixel further a step.
"""

import cv2
import numpy as np
from scipy.sparse import diags_array
from scipy.sparse.linalg import LinearOperator, cg

from deepmat.imaging.laplacian import system
from deepmat.imaging.narrowing import sure_of
from deepmat.imaging.trimap import UNKNOWN, unknown_region
from deepmat.runtime.stopping import check_stop

EPSILON = 1e-6
"""Weight of the slope of alpha over colour, for colours from 0 to 1. A ninth of it is added to the variance of each
window's colours. Rounding to 8 bits alone has one of 1.3e-6; with the 1e-7 of the paper's own code alpha follows that
where background and hair are smooth, and with more than 1e-6 it loses details of sharp pictures."""
COARSEST = 32
"""Pixels of the shorter side at which nothing coarser is solved first."""
STEPS, TOLERANCE = 500, 1e-4
"""Most steps of conjugate gradients at each size, and the residual, relative to the right side, at which they end."""

DOUBT, TRUST = 1e-3, 0.03
"""Weight of another method's alpha where it is 0.5, and where it is 0 or 1 (`correct`)."""
CORRECTION = 60
"""Steps of conjugate gradients that `correct` takes."""
SURE, MARGIN = 0.02, 3
"""`correct` leaves a pixel as it is where alpha is within SURE of 0, or of 1, for so many pixels around."""
MOST = 1_000_000
"""Unknown pixels above which `correct` would take too long: about 5 s."""
FINE = 1024
"""Pixels of the longer side above which `correct` begins with a copy of half the size. There a window reaches twice as
far, so that the means of whole regions are corrected too."""
AT_ONCE, OVERLAP = 100_000, 64
"""Unknown pixels that `correct` sees at once, in less than 0.2 GB, and rows around them; others hardly matter."""


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
        start = coarse(image, trimap, epsilon, steps)[unknown]
        found, _ = cg(matrix, right, start, rtol=TOLERANCE, maxiter=steps, M=divide, callback=check_stop)
        alpha[unknown] = found.clip(0, 1)
    return alpha


def coarse(image: np.ndarray, trimap: np.ndarray, epsilon: float = EPSILON, steps: int = STEPS) -> np.ndarray:
    """`closed_form` of the picture at half its size, enlarged; 0.5 for small pictures."""
    height, width = trimap.shape
    if min(height, width) <= COARSEST:
        return np.full(trimap.shape, 0.5, np.float32)
    small, levels = _halved(image), _halved(trimap)
    levels[unknown_region(levels)] = UNKNOWN
    return cv2.resize(closed_form(small, levels, epsilon, steps), (width, height), interpolation=cv2.INTER_LINEAR)


def _halved(pixels: np.ndarray) -> np.ndarray:
    """A picture, a trimap or an alpha at half its size, rounded up."""
    height, width = pixels.shape[:2]
    return cv2.resize(pixels, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)


def correct(image: np.ndarray, trimap: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Another method's alpha, float32 [H, W] in [0, 1], made to follow the picture, uint8 [H, W, 3].

    trimap: uint8 [H, W]; all but 0 and 255 is unknown, and the rest of alpha stays. Over the unknown pixels the result
    x minimises x' L x + sum of c (x - alpha)^2, with the matting Laplacian L. c grows from DOUBT to TRUST with
    |2 alpha - 1|^4, since a method that says 0 or 1 is seldom misled by details. Where it says so for a whole
    neighbourhood, the pixel counts as known. With more than MOST pixels left only a copy is solved, if any.
    """
    if max(trimap.shape) > FINE:
        alpha = _with_copy(image, trimap, alpha)
    trimap = sure_of(trimap, alpha, SURE, MARGIN)
    total = np.cumsum(np.count_nonzero(unknown_region(trimap), axis=1))
    if not 0 < total[-1] <= MOST:
        return alpha
    corrected = alpha.copy()
    edges = [0, *np.searchsorted(total, np.arange(AT_ONCE, total[-1], AT_ONCE)).tolist(), len(alpha)]
    for top, bottom in zip(edges, edges[1:], strict=False):
        begin = max(top - OVERLAP, 0)
        seen = slice(begin, bottom + OVERLAP)
        corrected[top:bottom] = _corrected(image[seen], trimap[seen], alpha[seen])[top - begin : bottom - begin]
    return corrected


def _with_copy(image: np.ndarray, trimap: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Alpha with what `correct` changes in a copy of half the size."""
    small, levels, shown = _halved(image), _halved(trimap), _halved(alpha)
    levels[unknown_region(levels)] = UNKNOWN
    change = correct(small, levels, shown) - shown
    change = cv2.resize(change, (trimap.shape[1], trimap.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.where(unknown_region(trimap), (alpha + change).clip(0, 1), alpha)


def _corrected(image: np.ndarray, trimap: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`correct` of a part of a picture."""
    unknown = unknown_region(trimap)
    given = alpha[unknown]
    trust = DOUBT + (TRUST - DOUBT) * np.abs(2 * given - 1) ** 4
    matrix, right = system(image, trimap, EPSILON)
    matrix = matrix + diags_array(trust, format="csr")
    diagonal = matrix.diagonal()
    divide = LinearOperator(matrix.shape, lambda residual: residual / diagonal, dtype=np.float32)
    found, _ = cg(
        matrix, right + trust * given, given, rtol=TOLERANCE, maxiter=CORRECTION, M=divide, callback=check_stop
    )
    corrected = alpha.copy()
    corrected[unknown] = found.clip(0, 1)
    return corrected
