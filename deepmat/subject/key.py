"""A backdrop whose colours are known, as of a studio or a green screen: colours over it, its trimap and alpha."""

import cv2
import numpy as np

from deepmat.imaging.foreground import estimate_foreground
from deepmat.imaging.shrinking import shrunk
from deepmat.imaging.trimap import BACKGROUND, FOREGROUND, UNKNOWN

SPREAD, NOISE = 225.0, 16.0
"""Variances in squared levels: of a foreground colour around its estimate, and of the picture around the matting
equation with that backdrop."""
ROWS = 256
"""Rows computed at a time."""
KEY = 50
"""Levels by which one channel of a key colour is above the others."""
SHOWS, SAME = 0.2, 0.9
"""Share of the key colour from which a pixel is not surely foreground, and from which it may be background."""
NEAR = 20
"""Largest difference from the backdrop, in levels of any channel, of a pixel that is background."""

SIDE = 320
"""Longer side of the copy on which `without_key` looks at the foreground's own colours."""
SOLID, CORE, REACH = 0.9, 31, 13.0
"""Alpha from which a pixel of the copy is solid; side of a square of such pixels that counts, broader than
what a veil or smoke is taken for; how far it counts."""


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


def open_key(image: np.ndarray, trimap: np.ndarray, backdrop: np.ndarray) -> np.ndarray:
    """Return a trimap, uint8 [H, W], whose foreground shows nothing of a key colour, as of a green screen.

    Pixels of the foreground that show the key colour become unknown, as in gaps of hair and in glass; those that are
    the backdrop's become background, but for unknown ones at an edge, where alpha may fall to 0. Over backdrops of no
    key colour the trimap stays as it is. image, backdrop: uint8 RGB [H, W, 3]; trimap: uint8 [H, W].
    """
    share = _key_share(image, backdrop)
    if share is None:
        return trimap
    opened = np.where((trimap == FOREGROUND) & (share > SHOWS), np.uint8(UNKNOWN), trimap)
    same = (share > SAME) & (cv2.absdiff(image, backdrop).max(axis=2) < NEAR)
    inside = cv2.erode(same.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    opened[np.where(trimap == UNKNOWN, inside, same)] = BACKGROUND
    return opened


def without_key(alpha: np.ndarray, image: np.ndarray, trimap: np.ndarray, backdrop: np.ndarray | None) -> np.ndarray:
    """Return alpha, float32 [H, W], no higher in the unknown region than the key colour that shows allows.

    A picture is alpha * F + (1 - alpha) * B. Where F has nothing of the key colour of B, all of it that the picture
    shows is the share 1 - alpha of B, so that alpha is at most 1 - share. Where solid foreground nearby has a share of
    its own, as a blue coat before a blue screen, share = alpha * own + 1 - alpha. Without a backdrop, and over one of
    no key colour, alpha stays as it is. image, backdrop: uint8 RGB [H, W, 3]; trimap: uint8 [H, W].
    """
    share = None if backdrop is None else _key_share(image, backdrop)
    if share is None:
        return alpha
    share = np.clip(share, 0, 1)
    most = (1 - share) / (1 - _own_share(share, alpha))
    return np.where(trimap == UNKNOWN, np.minimum(alpha, most), alpha).astype(np.float32)


def _own_share(share: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return how much of the key colour solid foreground nearby shows, 0 for none, float32 [H, W] of 0 to 0.95."""
    small, solid = shrunk(share, SIDE), shrunk(alpha, SIDE)
    core = cv2.erode((solid > SOLID).astype(np.float32), np.ones((CORE, CORE), np.uint8))
    weight, total = (cv2.GaussianBlur(each, (0, 0), REACH) for each in (core, core * small))
    own = np.minimum(total / (weight + 0.005), np.float32(0.95))
    return cv2.resize(own, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _key_share(image: np.ndarray, backdrop: np.ndarray) -> np.ndarray | None:
    """Return how much of the backdrop's key colour a picture shows, float32 [H, W]; None if it has no key colour."""
    channel = int(backdrop.reshape(-1, 3).mean(axis=0).argmax())
    key = _excess(backdrop, channel)
    return None if np.median(key) < KEY else _excess(image, channel) / np.maximum(key, 1)


def _excess(colours: np.ndarray, channel: int) -> np.ndarray:
    """Return by how much a channel is above the other two, float32 [H, W]."""
    others = [colours[..., each] for each in range(3) if each != channel]
    return colours[..., channel].astype(np.float32) - np.maximum(*others)
