"""Inner loops of compositing, compiled by numba (`pip install 'deepmat[fast]'`); imported only if it is installed.

Results are bit-identical to those of the functions in `blend`.
"""

import math

import cv2
import numpy as np

from deepmat.runtime.compiled import compiled

PRECISION = 22
"""Fractional bits of PIL's fixed-point weights for resizing 8-bit pictures."""
TAPS = 4
"""Source lines per line of the result: the kernel is 0 from two lines on."""


@compiled
def blend_truncated(fg: np.ndarray, alpha: np.ndarray, bg: np.ndarray, out: np.ndarray) -> None:
    """Blend as `blend.blend_adobe`: flat uint8 of three channels, and the alpha of each pixel."""
    for pixel in range(alpha.size):
        weight, start = np.int32(alpha[pixel]), 3 * pixel
        if weight == 0:  # most pixels are 0 or 255: copies are faster than the formula in vectors
            for i in range(start, start + 3):
                out[i] = bg[i]
        elif weight == 255:
            for i in range(start, start + 3):
                out[i] = fg[i]
        else:
            fraction = weight / 255.0
            for i in range(start, start + 3):
                out[i] = np.uint8(np.int32(fraction * np.int32(fg[i]) + (1.0 - fraction) * np.int32(bg[i])))


@compiled
def blend_rounded(fg: np.ndarray, weight: np.ndarray, bg: np.ndarray, out: np.ndarray) -> None:
    """Blend as `blend.blend_cv2`: all flat uint8 of one size, with an alpha for each channel."""
    for i in range(out.size):
        share = np.int32(weight[i])
        out[i] = np.uint8((share * np.int32(fg[i]) + (255 - share) * np.int32(bg[i]) + 127) // 255)


def bicubic_weights(size: int, enlarged: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each line's first source line, int64 [enlarged], and PIL's fixed-point weights, int32 [enlarged, TAPS].

    The kernel is Keys' cubic with a = -0.5 (IEEE ASSP 29(6), 1981, equation 15), normalised over the existing lines.
    """
    centres = (np.arange(enlarged) + 0.5) * (size / enlarged)
    starts = np.maximum((centres - 1.5).astype(np.int64), 0)
    sources = starts[:, None] + np.arange(TAPS)
    d = np.abs(sources - centres[:, None] + 0.5)
    near, far = (1.5 * d - 2.5) * d * d + 1, (((d - 5) * d + 8) * d - 4) * -0.5
    shares = np.where(d < 1, near, np.where(d < 2, far, 0.0))
    shares[(sources >= size) | (sources >= (centres + 2.5).astype(np.int64)[:, None])] = 0
    whole = np.zeros(enlarged)
    for tap in range(TAPS):  # in PIL's order, on which the rounding of a sum depends
        whole += shares[:, tap]
    fixed = shares / whole[:, None] * (1 << PRECISION)
    return starts, np.where(fixed < 0, fixed - 0.5, fixed + 0.5).astype(np.int32)


@compiled
def enlarge_downwards(lines: np.ndarray, starts: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    """Do one pass of PIL's bicubic resize: uint8 [h, n] to the first H lines, uint8 [H, n], by these weights."""
    last = lines.shape[0] - 1
    for y in range(out.shape[0]):
        top = starts[y]
        a, b = lines[top], lines[min(top + 1, last)]
        c, d = lines[min(top + 2, last)], lines[min(top + 3, last)]
        ka, kb, kc, kd = table[y, 0], table[y, 1], table[y, 2], table[y, 3]
        for x in range(out.shape[1]):
            total = np.int32(1 << (PRECISION - 1)) + ka * np.int32(a[x]) + kb * np.int32(b[x])
            total += kc * np.int32(c[x]) + kd * np.int32(d[x])
            out[y, x] = min(max(total >> PRECISION, 0), 255)


def enlarge(picture: np.ndarray, ratio: float, height: int, width: int) -> np.ndarray:
    """Return the top left of PIL's bicubic resize: uint8 [h, w, 3], enlarged by `ratio`, to uint8 [height, width, 3].

    PIL resizes horizontally and then vertically, with 8 bits in between. Both passes are vertical here, on a transposed
    picture, since neighbours in memory then have the same weights; only the needed lines are computed.
    """
    h, w = picture.shape[:2]
    turned, wide = cv2.transpose(picture), np.empty((width, h, 3), np.uint8)
    enlarge_downwards(turned.reshape(w, -1), *bicubic_weights(w, math.ceil(w * ratio)), wide.reshape(width, -1))
    lines, out = cv2.transpose(wide), np.empty((height, width, 3), np.uint8)
    enlarge_downwards(lines.reshape(h, -1), *bicubic_weights(h, math.ceil(h * ratio)), out.reshape(height, -1))
    return out
