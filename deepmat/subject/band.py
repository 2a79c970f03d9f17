"""The trimap of a mask: an unknown band around its edge, and the width of that band."""

from typing import NamedTuple

import numpy as np

from deepmat.errors import ConfigError, lookup
from deepmat.imaging.masks import INVERTED, clean_mask, histogram, looks_inverted
from deepmat.imaging.trimap import BACKGROUND, FOREGROUND, METHODS

WIDTH = "2%"
"""Default width. From a hard mask of a photo it leaves 95 % of the soft pixels of hair and fur unknown, and 10 to 33 %
of the picture."""
MOSTLY_SOFT = 0.5
"""Share of fractional pixels above which a mask gets a notice."""


class Width(NamedTuple):
    """A width in pixels, or as a fraction of the longer side of a picture."""

    value: float
    relative: bool

    def pixels(self, size: tuple[int, ...]) -> float:
        """Return the width in pixels for a shape (height, width, ...): 0, or at least 1."""
        return max(1.0, self.value * max(size[:2]) if self.relative else self.value) if self.value else 0.0


def parse_width(text: str, what: str = "width") -> Width:
    """Parse "20" (pixels) or "2%" (of the longer side). Raises ConfigError, beginning with `what`, for other text."""
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if rest or not 0 <= value < float("inf"):
        raise ConfigError(f'{what} {text}: not a width; give pixels, "20", or a share of the longer side, "{WIDTH}"')
    return Width(value / 100, True) if percent else Width(value, False)


def from_mask(
    mask: np.ndarray, inwards: float, outwards: float, method: str = "distance"
) -> tuple[np.ndarray, list[str]]:
    """Make a trimap from a mask or alpha, uint8 [H, W]. Returns uint8 [H, W] of 0, 128, 255, and notices.

    The mask is cleaned first (`imaging.masks.clean_mask`). Unknown are its fractional pixels and a band around them and
    around the edge: `inwards` pixels of the foreground, `outwards` pixels of the background. method: one of METHODS.
    Raises DataError for a mask that looks like labels, ConfigError for an unknown method.
    """
    make = lookup(METHODS, method, "method")
    alpha, notices = clean_mask(mask)
    trimap = make(alpha, inwards, outwards)
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
