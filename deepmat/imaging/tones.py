"""Masks in two tones: two levels that are not 0 and 255, or two colours."""

import cv2
import numpy as np

from deepmat.errors import DataError
from deepmat.imaging.layers import coloured, luminance

APART, LEAST, MOST = 32, 0.01, 0.8
"""Levels between two tones, the least share of the pixels that each has, and the least that both have together."""
FEWEST = 16
"""Pixels below which levels prevail by chance."""
RINGING = 0.1
"""Share of a tone's pixels from which on 0 or 255 is a tone itself, and not what JPEG leaves beside edges."""
CLOTH = 224
"""Highest level on 0 that is stretched; thin cloth has higher ones."""
NEAR = 2
"""Levels so close to a tone belong to it, unless the mask is a JPEG."""
SAMPLE = 1 << 16
"""About so many pixels decide which colours are frequent."""
BINS, DISTINCT, OFF = 16, 64, 48
"""Width in levels of the bins in which colours are counted; least distance between two colours; distance from the line
between the two from which on a pixel has another."""
EVEN, OTHERS = (12, 32), (0.02, 0.1)
"""Distance up to which pixels are of a colour, and share of pixels of others that a mask may have; in a JPEG."""
TINTED = 32
"""Difference between channels above which a pixel of a mask counts as coloured."""
BLACK = 32
"""Highest level in a colour that is background beside any other."""


def find_tones(mask: np.ndarray, near: int) -> tuple[int, int]:
    """Return the levels of background and foreground of a mask, uint8 [H, W]: 0 and 255 unless two others prevail.

    Two prevail if they have most of the pixels, FEWEST or more, each with those up to `near` from it. On 0, the other
    must prevail in what is not background: soft and translucent foregrounds stay.
    """
    if mask.size < FEWEST:
        return 0, 255
    counts = cv2.calcHist([mask], [0], None, [256], [0, 256]).reshape(-1) / mask.size
    present = np.flatnonzero(counts)
    middle = min(max((int(present[0]) + int(present[-1]) + 1) // 2, 1), 254)
    low, high = int(counts[:middle].argmax()), int(middle + counts[middle:].argmax())
    low = 0 if counts[0] > max(LEAST, RINGING * counts[low]) else low
    high = 255 if counts[255] > max(LEAST, RINGING * counts[high]) else high
    shares = [float(counts[max(0, tone - near) : tone + near + 1].sum()) for tone in (low, high)]
    if low == 0 and (high > CLOTH or shares[1] < MOST * (1 - shares[0])) or high - low < APART:
        return 0, 255
    return (low, high) if min(shares) > LEAST and sum(shares) > MOST else (0, 255)


def stretch(mask: np.ndarray, near: int) -> tuple[np.ndarray, list[str]]:
    """Stretch a mask, uint8 [H, W], linearly from its tones (`find_tones`) to 0 and 255. Returns it and notices.

    It stays as it is if its tones are up to `near` from 0 and 255.
    """
    low, high = find_tones(mask, near or NEAR)
    if low <= near and high >= 255 - near:
        return mask, []
    table = np.rint(np.interp(np.arange(256), [low, high], [0, 255])).astype(np.uint8)
    return cv2.LUT(mask, table), [f"its levels {low} to {high} were taken as 0 to 255"]


def two_colours(colour: np.ndarray, jpeg: bool = False) -> np.ndarray | None:
    """Convert a picture of two colours, uint8 [H, W, 3], to levels, uint8 [H, W]; None if it has more, or one.

    The darker colour becomes 0, the brighter 255, those between follow linearly. Raises DataError if that seems to be
    the wrong way round: neither is black, and the brighter one fills most of the border.
    """
    pixels = colour.reshape(-1, 3)[:: max(1, colour.size // 3 // SAMPLE)].astype(np.float32)
    first = _most_frequent(pixels)
    rest = pixels[np.abs(pixels - first).max(axis=1) > DISTINCT]
    if len(rest) < LEAST * len(pixels):
        return None
    dark, bright = sorted((first, _most_frequent(rest)), key=_brightness)
    along = bright - dark
    scale = along / (along @ along)
    place = (pixels - dark) @ scale
    off = np.linalg.norm(pixels - dark - place.clip(0, 1)[:, None] * along, axis=1)
    even = np.minimum(*(np.abs(pixels - tone).max(axis=1) for tone in (dark, bright))) <= EVEN[jpeg]
    if np.mean(off > OFF) > OTHERS[jpeg] or np.mean(even) < MOST:
        return None
    levels = cv2.transform(colour.astype(np.float32), np.append(scale, -dark @ scale)[None] * 255)
    levels = np.rint(levels.clip(0, 255)).astype(np.uint8)
    border = np.concatenate((levels[0], levels[-1], levels[:, 0], levels[:, -1]))
    if dark.max() > BLACK and np.mean(border > 127) > 0.5:
        names = " and ".join(f"#{np.rint(tone).astype(np.uint8).tobytes().hex()}" for tone in (dark, bright))
        raise DataError(f"its colours are {names}, and which is the foreground is unclear; save it as 255 on 0")
    return levels


def _most_frequent(pixels: np.ndarray) -> np.ndarray:
    """Return the median of the most frequent colours, float32 [3], of float32 [N, 3]."""
    bins = (pixels // BINS) @ np.array([1, 256 // BINS, (256 // BINS) ** 2], np.float32)
    return np.median(pixels[bins == np.bincount(bins.astype(np.int64)).argmax()], axis=0)


def _brightness(tone: np.ndarray) -> float:
    return float(tone @ np.array([0.299, 0.587, 0.114], np.float32))


def mask_levels(colour: np.ndarray, jpeg: bool = False) -> tuple[np.ndarray, list[str]]:
    """Return the levels, uint8 [H, W], of a mask kept in colours, uint8 [H, W] or [H, W, 3], and notices.

    Greys are their luminance. Raises DataError for more than two colours, and as `two_colours`.
    """
    if colour.ndim == 2 or np.mean(coloured(colour, TINTED)) <= LEAST:
        return luminance(colour), []
    levels = two_colours(colour, jpeg)
    if levels is None:
        raise DataError("its colours are not those of a mask, but like labels or a photo; save one object as 255 on 0")
    return levels, ["it has two colours; the darker was taken as 0, the brighter as 255"]
