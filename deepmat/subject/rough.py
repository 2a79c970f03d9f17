"""The trimap of a rough mask: what a segmentation network, GrabCut or a hand gives, near the subject but not exact."""

import cv2
import numpy as np

from deepmat.imaging.shrinking import shrunk
from deepmat.imaging.trimap import BACKGROUND, FOREGROUND, UNKNOWN, by_distance, depth
from deepmat.subject.band import THIN, WIDTH, by_thickness, parse_width, widened
from deepmat.subject.settle import REACH, settle

WORK = 384
"""Pixels of the longer side at which a mask is settled by its picture."""
BAND = 2.5
"""Width of the unknown band on each side of the edge, in pixels of the mask as it was made."""
HAZE = 0.02, 0.98
"""Levels of the mask between which it shows haze."""
THICK = 1.5
"""Half thickness, in pixels of the mask as it was made, from which on haze is more than a soft edge: hair, which goes
on where the mask no longer sees it."""
DEEP = 2.0
"""How much wider the band beside hair is on the side of the foreground: networks take see-through hair for solid."""
DOUBT = 0.2, 0.8
"""Probabilities between which mask and picture leave a pixel undecided."""
SURE = 0.97
"""Probability from which on the mask's word against the picture's leaves a pixel unknown."""
TAILS, LEAST = 0.3, 0.01
"""Share of a mask's foreground that is nearly 255, away from any edge, from which on the mask is a network's, and the
share of the picture that such a foreground and the background have at least. Mattes: under 0.1; networks: over 0.5."""
SLOPE = 1.5
"""Width of the slope of an edge beyond these levels, in pixels of `_softness`."""
NEARLY = 25
"""Levels up to so far from 0 or 255 are nearly these."""
ROUGHEST = 192
"""Pixels of the longer side of the coarsest masks."""
STEEP = 0.6
"""Steepest slope of a network's edges, of a range of 1, in its own pixels."""
HARD, HARD_DETAIL = 0.02, 250
"""Share of fractional pixels below which a mask is hard, and the pixels of the longer side that it is taken to be exact
to if nothing is known of it."""
UNSETTLED = 0.1
"""Share of the picture that gets a notice where mask and picture leave it open."""


def is_network_mask(mask: np.ndarray) -> bool:
    """Return whether a mask, uint8 [H, W], is the soft mask of a segmentation network, and not an alpha.

    The last layer of a network, a sigmoid, reaches 255 nearly nowhere, so that much of the inside is a little below it.
    An alpha is exactly 255 there, but for the slope of its edges.
    """
    inside = mask >= 255 - NEARLY
    nearly, whole = inside & (mask < 255), np.count_nonzero(inside)
    outside = np.count_nonzero(mask <= NEARLY)
    if min(whole, outside) < LEAST * mask.size or np.count_nonzero(nearly) <= TAILS * whole:
        return False
    between = cv2.inRange(mask, NEARLY + 1, 254 - NEARLY) > 0
    apart = depth(~between) > max(0.01 * max(mask.shape), SLOPE * _softness(mask))
    return bool(np.count_nonzero(nearly & apart) > TAILS * whole)


def estimate_detail(mask: np.ndarray) -> int:
    """Return the pixels of the longer side at which a soft mask, uint8 [H, W], was made, by the slope of its edges."""
    side = max(mask.shape)
    return round(min(max(side / _softness(mask), ROUGHEST), side))


def _softness(mask: np.ndarray) -> float:
    """Return pixels of a soft mask, uint8 [H, W], for each pixel of the network, by the slope of its steeper edges."""
    soft = mask.astype(np.float32) / 255
    slope = np.hypot(cv2.Sobel(soft, -1, 1, 0, scale=1 / 8), cv2.Sobel(soft, -1, 0, 1, scale=1 / 8))
    inside = cv2.inRange(mask, 128, 255)
    edge = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return STEEP / max(float(np.quantile(slope[edge], 0.75)), 1e-3) if edge.any() else 1.0


def from_rough(
    image: np.ndarray, mask: np.ndarray, detail: int | None = None, width: float | None = None
) -> tuple[np.ndarray, list[str]]:
    """Make a trimap from a picture and a rough mask of it. Returns uint8 [H, W] of 0, 128, 255, and notices.

    image: uint8 RGB [H, W, 3]; mask: uint8 [H, W], soft or hard, 255 foreground. detail: pixels of the longer side at
    which the mask was made; None: as the softness of its edges tells, or HARD_DETAIL if it is hard. The mask is settled
    by the picture first (`subject.settle`). Unknown are a band around the edge, as wide as the mask is coarse or of
    `width` pixels on each side, the haze of the mask beside it, and what mask and picture leave open. Of a hard mask
    that is too large or too small all around (`subject.offset`), unknown is what lies around its edge as far as the
    picture's, as in `subject.band.from_mask`.
    """
    soft, side = mask.astype(np.float32) / 255, max(mask.shape)
    hard = np.count_nonzero((mask > 0) & (mask < 255)) < HARD * mask.size
    if hard and width is None:
        band = parse_width(WIDTH).pixels(mask.shape)
        inwards, outwards, odd = widened(image, mask, band, band)
        if odd:
            trimap = by_distance(cv2.inRange(mask, 128, 255), inwards, outwards)
            return trimap, [*odd, *_notices(trimap, 0.0)]
    coarse = max(side / (detail or (HARD_DETAIL if hard else estimate_detail(mask))), 1.0)
    unsure = shrunk(soft, WORK)
    if hard:
        unsure = cv2.GaussianBlur(unsure, (0, 0), coarse * max(unsure.shape) / side)
    likely = settle(shrunk(image, WORK), unsure)
    likely = np.asarray(cv2.resize(likely, mask.shape[::-1], interpolation=cv2.INTER_CUBIC))
    coarse = max(coarse, side / WORK)
    return _trimap(soft, likely, coarse, BAND * coarse if width is None else width)


def from_soft(mask: np.ndarray, width: float | None = None) -> tuple[np.ndarray, list[str]]:
    """Make a trimap from a network's soft mask alone, uint8 [H, W]. Returns uint8 [H, W] of 0, 128, 255, and notices.

    Unknown are a band around the edge, as wide as the mask is coarse or of `width` pixels on each side, and what is not
    nearly 0 or 255.
    """
    soft, coarse = mask.astype(np.float32) / 255, max(mask.shape) / estimate_detail(mask)
    return _trimap(soft, soft, coarse, BAND * coarse if width is None else width)


def _trimap(soft: np.ndarray, likely: np.ndarray, coarse: float, width: float) -> tuple[np.ndarray, list[str]]:
    """Return the trimap of a mask and of the probabilities settled from it, both float32 [H, W] in [0, 1], and notices.

    coarse: pixels for each pixel of the mask as it was made. In parts so thin that the band would leave next to nothing
    known it follows their thickness.
    """
    inside = _cleaned((likely > 0.5).astype(np.uint8), soft, width)
    far = np.where(inside > 0, depth(inside), depth(1 - inside))
    near = far < width
    if np.count_nonzero(near & (inside > 0)) > (1 - THIN) * np.count_nonzero(inside):
        near = far < np.where(inside > 0, by_thickness(inside > 0, width), width)
    reach = REACH * max(soft.shape)
    doubt = (soft < 0.5) & (depth(soft < 0.5) > reach)
    haze = (soft > HAZE[0]) & (soft < HAZE[1]) & (far < reach) & ~doubt
    thick = (depth(haze) > THICK * coarse).view(np.uint8)
    hair = depth(1 - thick) < (THICK * coarse + width) * np.where(inside > 0, DEEP, 1.0)
    undecided = (likely > DOUBT[0]) & (likely < DOUBT[1])
    against = np.where(inside > 0, soft < 1 - SURE, soft > SURE)
    trimap = np.where(inside > 0, np.uint8(FOREGROUND), np.uint8(BACKGROUND))
    trimap[near | haze | hair | undecided | against] = UNKNOWN
    return trimap, _notices(trimap, float(np.mean(undecided | against)))


def _notices(trimap: np.ndarray, unsettled: float) -> list[str]:
    notices = []
    if unsettled > UNSETTLED:
        notices.append(
            f"{100 * unsettled:.0f} % of the picture may be foreground or not, by the mask and by the picture, and is "
            "left unknown, as a sheet or a preview shows"
        )
    for level, what in ((FOREGROUND, "foreground"), (BACKGROUND, "background")):
        if not (trimap == level).any():
            notices.append(f"the mask is nowhere sure of {what}")
    return notices


def _cleaned(inside: np.ndarray, soft: np.ndarray, width: float) -> np.ndarray:
    """Return the foreground, uint8 [H, W] of 0 and 1, without islands and pinholes.

    Islands are parts that the band would cover, or of which the mask knows nothing.
    """
    for side in (1, 0):
        _, parts, about, _ = cv2.connectedComponentsWithStats((inside == side).view(np.uint8), connectivity=4)
        small = about[:, cv2.CC_STAT_AREA] < 4 * width**2
        if side:
            small |= np.bincount(parts.ravel(), soft.ravel() > 0.5, len(about)) == 0
        small[0] = False
        inside = np.where(small[parts], np.uint8(1 - side), inside)
    return inside
