"""The trimap of a mask: an unknown band around its edge, and the width of that band."""

import math
from typing import NamedTuple

import cv2
import numpy as np

from deepmat.errors import ConfigError, lookup
from deepmat.imaging.masks import INVERTED, clean_mask, histogram, looks_inverted
from deepmat.imaging.trimap import BACKGROUND, FOREGROUND, METHODS, UNKNOWN, by_distance, depth
from deepmat.subject.offset import offset_of

WIDTH = "2%"
"""Default width. From a hard mask of a photo it leaves 95 % of the soft pixels of hair and fur unknown, and 10 to 33 %
of the picture."""
MOSTLY_SOFT = 0.5
"""Share of fractional pixels above which a mask gets a notice."""


THIN = 0.25
"""Share of the foreground or background below which the known rest is next to nothing. Of animals, hair included, 0.28
and more stay known at the default width."""
MOSTLY_THIN = 0.7
"""Share of the foreground's edge from which on a mask with a thick part, as a flower's head on stems, is of thin parts.
Of portraits with hair, 0.63 and less of the edge is of thin parts."""
STEP, FEW_STEPS, LEAST = 0.25, 0.02, 7
"""The largest step of alpha to a known neighbour, the share of a side's edge where larger ones are no accident, and the
width in pixels of known parts that it is counted along."""


class Width(NamedTuple):
    """A width in pixels, or as a fraction of the longer side of a picture."""

    value: float
    relative: bool

    def pixels(self, size: tuple[int, ...]) -> float:
        """Return the width in pixels for a shape (height, width, ...): 0, or at least 1."""
        return max(1.0, self.value * max(size[:2]) if self.relative else self.value) if self.value else 0.0


def parse_width(text: str | float, what: str = "width") -> Width:
    """Parse 20 or "20" (pixels), or "2%" (of the longer side).

    Raises ConfigError, beginning with `what`, for anything else.
    """
    number, percent, rest = str(text).strip().partition("%")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if rest or not 0 <= value < float("inf"):
        raise ConfigError(
            f'{what} {text!s:.60}: not a width; give pixels, "20", or a share of the longer side, "{WIDTH}"'
        )
    if 0 < value < 1 and not percent:
        raise ConfigError(f'{what} {text!s:.60}: less than a pixel; a share is a percentage, "{100 * value:g}%"')
    return Width(value / 100, True) if percent else Width(value, False)


def from_mask(
    mask: np.ndarray, inwards: float, outwards: float, method: str = "distance", image: np.ndarray | None = None
) -> tuple[np.ndarray, list[str]]:
    """Make a trimap from a mask or alpha, uint8 [H, W]. Returns uint8 [H, W] of 0, 128, 255, and notices.

    The mask is cleaned first (`imaging.masks.clean_mask`). Unknown are its fractional pixels and a band around them and
    around the edge: `inwards` pixels of the foreground, `outwards` pixels of the background. Where these leave next to
    nothing known, or nothing along most of the edge, as of stems and grills, the band follows the thickness of each
    part. image: uint8 RGB [H, W, 3]; where it shows that a hard mask is too large or too small all around, the band is
    widened as far as the picture's edge instead (`subject.offset`). method: one of METHODS. Raises DataError for a mask
    that looks like labels, ConfigError for an unknown method.
    """
    make = lookup(METHODS, method, "method")
    alpha, notices = clean_mask(mask)
    odd: list[str] = []
    if image is not None and _is_hard(alpha):
        inwards, outwards, odd = widened(image, alpha, inwards, outwards)
        notices = [*notices, *(f"{notice}; --width sets it" for notice in odd)]
    trimap = make(alpha, inwards, outwards)
    if method == "distance" and not odd and _is_thin(alpha, trimap, inwards):
        inside, outside = by_thickness(alpha == 255, inwards), by_thickness(alpha == 0, outwards)
        trimap = by_distance(alpha, inside, outside)
        notices = [*notices, "its parts are thinner than the unknown band, which was made narrower to leave some known"]
    before, after = histogram(alpha), histogram(trimap)
    known = np.flatnonzero(after).tolist()
    if known in ([FOREGROUND], [BACKGROUND]):
        what = "background" if known == [BACKGROUND] else "foreground"
        return trimap, [*notices, f"all pixels are {known[0]}, so the whole trimap is {what}"]
    for level, what, side in ((FOREGROUND, "foreground", "inwards"), (BACKGROUND, "background", "outwards")):
        if before[level] and level not in known:
            notices.append(f"no known {what} is left; a smaller width {side} leaves some")
        elif level not in known:
            notices.append(f"no pixel is {level}, so no {what} is known")
    soft = float(before[1:255].sum()) / alpha.size
    if soft > MOSTLY_SOFT:
        share = f"{100 * soft:.0f} % of the pixels are between 0 and 255, so unknown"
        notices.append(f"{share}; `deepmat trimap --threshold 128` takes it as a hard mask")
    return trimap, notices + ([INVERTED] if looks_inverted(alpha) else [])


def widened(image: np.ndarray, alpha: np.ndarray, inwards: float, outwards: float) -> tuple[float, float, list[str]]:
    """Return the widths of a band that reaches beyond the picture's edge, and notices if they are not those given.

    image: uint8 RGB [H, W, 3]; alpha: uint8 [H, W], a hard mask of it.
    """
    offset = offset_of(image, alpha, min(inwards, outwards))
    if not offset:
        return inwards, outwards, []
    side = "inside" if offset > 0 else "outside"
    notice = (
        f"the picture's edge lies about {abs(offset)} pixels {side} the mask's all around, so the unknown region was "
        "widened as far"
    )
    return inwards + max(offset, 0), outwards + max(-offset, 0), [notice]


def _is_hard(alpha: np.ndarray) -> bool:
    """Return whether fewer pixels of alpha, uint8 [H, W], are fractional than are foreground."""
    levels = histogram(alpha)
    return bool(levels[1:255].sum() < levels[FOREGROUND])


def _is_thin(alpha: np.ndarray, trimap: np.ndarray, inwards: float) -> bool:
    """Return whether a hard mask is of thin parts: its trimap leaves little known, or none along most of its edge.

    alpha, trimap: uint8 [H, W]. A soft mask may have few pixels of 255 for other reasons. Along the edge, parts of up
    to 2 pixels do not count, which have no middle that could stay known.
    """
    if not _is_hard(alpha):
        return False
    before, after = histogram(alpha), histogram(trimap)
    if any(after[level] < THIN * before[level] for level in (FOREGROUND, BACKGROUND)):
        return True
    if not before[BACKGROUND]:
        return False
    inside, around = _thickness(alpha == FOREGROUND, inwards)
    edge = (inside > 0) & (inside < 1.5)
    return bool(np.count_nonzero(edge & (around > 1) & (around <= inwards)) > MOSTLY_THIN * np.count_nonzero(edge))


def _thickness(part: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the depth of each pixel in a part, and the largest depth within `width` pixels, both float32 [H, W]."""
    inside = depth(part)
    side = 2 * math.ceil(width) + 1
    return inside, cv2.dilate(inside, np.ones((side, side), np.uint8))


def by_thickness(part: np.ndarray, width: float) -> np.ndarray:
    """Return the width of the band at each pixel, float32 [H, W]: half of the part's own half thickness, up to `width`.

    part: bool [H, W]. A part of 3 pixels keeps its middle line.
    """
    return np.minimum(np.maximum(_thickness(part, width)[1] / 2, 1), width).astype(np.float32)


def steps_at_known(trimap: np.ndarray, alpha: np.ndarray, least: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return where alpha contradicts the known pixels beside it, first along the foreground, then the background.

    trimap: uint8 [H, W] of 0, 128, 255; alpha: float32 [H, W]. Each side has two masks, bool [H, W]: the unknown pixels
    whose alpha differs by more than STEP from the known value beside them, and all unknown pixels beside known ones.
    least: width in pixels below which parts of the known do not count.
    """
    sides = []
    for known, value in ((FOREGROUND, 1), (BACKGROUND, 0)):
        part = cv2.morphologyEx(cv2.inRange(trimap, known, known), cv2.MORPH_OPEN, np.ones((least, least), np.uint8))
        beside = cv2.dilate(part, np.ones((3, 3), np.uint8)) > 0
        edge = np.asarray(beside) & (trimap == UNKNOWN)
        sides.append((edge & (np.abs(alpha - value) > STEP), edge))
    return sides


WIDEN = "widen it (masks: --width) or correct it, --save uncertainty shows where"
"""What helps where the unknown region of a trimap misses the edge."""


def too_narrow(trimap: np.ndarray, alpha: np.ndarray, remedy: str = WIDEN) -> list[str]:
    """Return notices, with what helps, if alpha contradicts known pixels, as where a mask is too large or too small."""
    notices = []
    for (steps, edge), what in zip(steps_at_known(trimap, alpha, LEAST), ("foreground", "background"), strict=True):
        share = int(np.count_nonzero(steps)) / max(int(np.count_nonzero(edge)), 1)
        if share > FEW_STEPS:
            notices.append(
                f"along {100 * share:.0f} % of the known {what} alpha jumps at the edge of the unknown region, which "
                f"may miss the true edge; {remedy}"
            )
    return notices
