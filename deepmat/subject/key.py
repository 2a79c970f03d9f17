"""Foreground colours over a backdrop whose colours are known: studio backdrops, green and blue screens."""

import numpy as np

from deepmat.imaging.foreground import estimate_foreground

SPREAD, NOISE = 225.0, 16.0
"""Variances in squared levels: of a foreground colour around its estimate, and of the picture around the matting
equation with that backdrop."""
ROWS = 256
"""Rows computed at a time."""


def foreground_over(image: np.ndarray, alpha: np.ndarray, backdrop: np.ndarray) -> np.ndarray:
    """Return the foreground's colours, uint8 RGB [H, W, 3], of a picture whose background is known.

    image, backdrop: uint8 RGB [H, W, 3]; alpha: float32 [H, W] in [0, 1]. A picture is alpha * F + (1 - alpha) * B. The
    estimate of F without B is moved by what is left of the picture, as far as both variances make likely: the maximum
    a posteriori of Chuang et al., "A Bayesian Approach to Digital Matting" (CVPR 2001), equation 9, with B fixed.
    """
    colours = estimate_foreground(image, alpha)
    for top in range(0, len(image), ROWS):
        rows = np.s_[top : top + ROWS]
        share, estimate = alpha[rows][..., None], colours[rows].astype(np.float32)
        gain = share * SPREAD / (share**2 * SPREAD + NOISE)
        rest = image[rows] - share * estimate - (1 - share) * backdrop[rows]
        colours[rows] = np.rint(np.clip(estimate + gain * rest, 0, 255))
    return colours
