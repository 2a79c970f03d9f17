"""The trimap: uint8 [H, W], 255 known foreground, 0 known background, 128 unknown."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging.fitting import Photo, check_aspect, turn_like
from deepmat.imaging.layers import split
from deepmat.imaging.masks import INVERTED, histogram, looks_inverted
from deepmat.imaging.painted import MAIN_SHARE, levels_of, percent

FOREGROUND, UNKNOWN, BACKGROUND = 255, 128, 0
LABELS = 16
"""A trimap whose levels are all lower holds class numbers."""
NEAR = 16
"""Levels so close to one of the three levels of a trimap may stand for it, as those beside the edges of a JPEG."""
LEAST_SHARE = 0.01
"""Least share of each of three levels in a picture of more levels."""
DOUBTFUL_SHARE = 0.25
"""A picture may be no trimap if more than this share of it is not near 0, 128 and 255."""

Pixels = TypeVar("Pixels")


def unknown_region(trimap: Pixels) -> Pixels:
    """Return the mask of the pixels of unknown alpha: bool, True where the trimap is neither 0 nor 255.

    trimap: uint8 [H, W], or a tensor of any shape.
    """
    levels: Any = trimap
    return (levels != BACKGROUND) & (levels != FOREGROUND)


def _kernel(size: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def from_alpha(
    alpha: np.ndarray, kernel_size: int, iterations: int, outwards: tuple[int, int] | None = None
) -> np.ndarray:
    """Make the training trimap of Deep Image Matting, uint8 [H, W]: fractional alpha, widened both ways, is unknown.

    alpha: uint8 [H, W]. It is eroded and dilated `iterations` times by an ellipse of `kernel_size` pixels. Foreground
    is where the erosion is 255, background where the dilation is 0. outwards: kernel size and iterations of the
    dilation, if they differ.
    """
    kernel_out, iterations_out = outwards or (kernel_size, iterations)
    eroded = cv2.erode(alpha, _kernel(kernel_size), iterations=iterations)
    dilated = cv2.dilate(alpha, _kernel(kernel_out), iterations=iterations_out)
    # 128 where the dilation is not 0, plus 127 where the erosion is 255.
    _, not_background = cv2.threshold(dilated, 0, UNKNOWN, cv2.THRESH_BINARY)
    _, foreground = cv2.threshold(eroded, 254, FOREGROUND - UNKNOWN, cv2.THRESH_BINARY)
    return cv2.add(not_background, foreground)


def by_distance(
    alpha: np.ndarray, inwards: float | np.ndarray, outwards: float | np.ndarray, metric: int = cv2.DIST_L2
) -> np.ndarray:
    """Make a trimap from alpha by distance. Both are uint8 [H, W].

    Foreground is further than `inwards` pixels from any alpha below 255, background further than `outwards` pixels
    from any alpha above 0; the rest is unknown. Widths: numbers, or arrays [H, W]. metric: cv2.DIST_L2 and so on.
    """
    trimap = np.full_like(alpha, UNKNOWN)
    for level, known, width in ((255, FOREGROUND, inwards), (0, BACKGROUND, outwards)):
        trimap[depth(alpha == level, metric) > width] = known
    return trimap


def depth(region: np.ndarray, metric: int = cv2.DIST_L2) -> np.ndarray:
    """Return the distance of each pixel of a region, bool or uint8 [H, W], from the rest: infinite if there is none.

    float32 [H, W], in pixels; 0 outside the region. metric: cv2.DIST_L2 and so on.
    """
    if region.all():
        return np.full(region.shape, np.inf, np.float32)
    return cv2.distanceTransform(region.astype(np.uint8, copy=False), metric, cv2.DIST_MASK_PRECISE)


def by_morphology(alpha: np.ndarray, inwards: float, outwards: float) -> np.ndarray:
    """Make a trimap by erosion and dilation with a kernel of 3 pixels, once for each pixel of width.

    Equals `from_alpha` with that kernel, which is a cross: n applications reach a city-block distance of n, and so
    0.7 n pixels along diagonals.
    """
    return by_distance(alpha, round(inwards), round(outwards), cv2.DIST_L1)


METHODS: dict[str, Callable[[np.ndarray, float, float], np.ndarray]] = {
    "distance": by_distance,
    "morphology": by_morphology,
}
"""Ways to make a trimap from an alpha and the widths of the unknown band inwards and outwards."""


def resize(trimap: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a trimap to a height and width. A pixel is known where the mean of what it covers rounds to 0 or 255."""
    mean = cv2.resize(trimap, size[::-1], interpolation=cv2.INTER_AREA)
    return np.where((mean == FOREGROUND) | (mean == BACKGROUND), mean, np.uint8(UNKNOWN))


def quantise(grey: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Map the levels of a trimap, uint8 [H, W], to 0, 128 and 255. Returns it with a notice if any changed.

    Three levels are background, unknown and foreground in their order, whatever they are (`three_levels`). Others are
    rounded; thresholds lie half-way between the levels, which restores a trimap saved as JPEG, except for a few pixels
    beside its edges. Raises DataError for levels that look like labels.
    """
    top = int(grey.max())
    if 0 < top < LABELS:
        raise DataError(f"its levels are 0 to {top}, like labels; save background 0, unknown 128, foreground 255")
    counts = histogram(grey)
    table = _table((BACKGROUND, UNKNOWN, FOREGROUND))
    three = three_levels(counts)
    if three and table[three].tolist() != [BACKGROUND, UNKNOWN, FOREGROUND]:
        levels = ", ".join(map(str, three))
        notice = f"its levels {levels} were taken as 0 (background), 128 (unknown), 255 (foreground), in their order"
        return cv2.LUT(grey, _table(three)), [notice]
    counts[[BACKGROUND, UNKNOWN, FOREGROUND]] = 0
    if not counts.any():
        return grey, []
    often = [level for level in np.argsort(-counts, kind="stable")[:3].tolist() if counts[level]]
    examples = ", ".join(f"{level} as {table[level]}" for level in often)
    more = ", ..." if np.count_nonzero(counts) > len(often) else ""
    share = f"{percent(float(counts.sum()) / grey.size)} of the trimap was not 0, 128 or 255"
    far = np.abs(np.arange(256) - table.astype(int)) > NEAR
    doubt = "; is it a trimap?" if counts[far].sum() > DOUBTFUL_SHARE * grey.size else ""
    return cv2.LUT(grey, table), [f"{share}; taken as the nearest ({examples}{more}){doubt}"]


def _table(three: Sequence[int]) -> np.ndarray:
    """Return what each level is mapped to, uint8 [256]: 0, 128 or 255 as it is nearest to each of three levels."""
    low, middle, high = three
    levels = 2 * np.arange(256)
    return np.where(levels < low + middle, BACKGROUND, np.where(levels < middle + high, UNKNOWN, FOREGROUND)).astype(
        np.uint8
    )


def three_levels(counts: np.ndarray) -> list[int]:
    """Return the three levels that a trimap is painted with, ascending, or [] if it is not of three levels.

    counts: pixels of each level, [256]. Stray pixels beside two levels are no third level. Among more levels, of
    smoothed edges or JPEG, three must be clear: together MAIN_SHARE of the pixels, and near the least frequent of them
    LEAST_SHARE, more than far from all three.
    """
    present = np.flatnonzero(counts).tolist()
    if len(present) <= 3:
        return present if len(present) == 3 and not _is_stray(counts, present) else []
    left, three, near = counts.astype(np.float64), [], 0.0
    for _ in range(3):
        level = int(left.argmax())
        around = slice(max(level - NEAR, 0), level + NEAR + 1)
        three.append(level)
        near = float(left[around].sum())
        left[around] = 0
    total = counts.sum()
    clear = near > max(float(left.sum()), LEAST_SHARE * total) and counts[three].sum() >= MAIN_SHARE * total
    return sorted(three) if clear else []


def _is_stray(counts: np.ndarray, three: list[int]) -> bool:
    """Return whether the rarest of three levels stands for one of the others, or these need no other.

    Between 0 and 255 it is the unknown region, however thin.
    """
    rare = min(three, key=lambda level: counts[level])
    others = {*three} - {rare}
    if counts[rare] >= LEAST_SHARE * counts.sum() or others == {BACKGROUND, FOREGROUND}:
        return False
    return min(abs(rare - level) for level in others) <= NEAR or others <= {BACKGROUND, UNKNOWN, FOREGROUND}


def read_trimap(
    path: imaging.File,
    size: tuple[int, int] | None = None,
    max_pixels: int = imaging.MAX_PIXELS,
    photo: Photo | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Read a trimap file. Returns uint8 [H, W] in {0, 128, 255}, and notices of what was changed or looks wrong.

    path: of the file, or the bytes in it. size: height and width of the picture; a trimap of the same aspect ratio is
    resized to it. photo: the picture, as which the trimap is turned. Raises DataError if the file cannot be read, is a
    photo, its levels look like labels, or its aspect ratio differs.
    """
    file = imaging.Unread(path, max_pixels)
    layers = split(file.decode())
    try:
        levels, colours = levels_of(*layers)
        trimap, notices = fit_levels(levels, size, photo, file.orientation)
    except DataError as error:
        raise DataError(f"{file.name}: {error}") from error
    return trimap, [f"{file.name}: {notice}" for notice in [*colours, *notices]]


def one_sided(trimap: np.ndarray) -> list[str]:
    """Return a notice if a trimap, uint8 [H, W] of 0, 128, 255, has unknown pixels and knows one side alone."""
    present = np.flatnonzero(histogram(trimap)).tolist()
    sides = {(BACKGROUND, UNKNOWN): (FOREGROUND, "foreground"), (UNKNOWN, FOREGROUND): (BACKGROUND, "background")}
    if tuple(present) not in sides:
        return []
    level, what = sides[tuple(present)]
    return [f"no pixel is {level}, so no {what} is known; mark some of it if the picture has any"]


def fit_levels(
    levels: np.ndarray, size: tuple[int, int] | None = None, photo: Photo | None = None, own: int = 1
) -> tuple[np.ndarray, list[str]]:
    """Convert any levels, uint8 [H, W], to a trimap of that size. Returns it and notices, as `read_trimap`.

    own: EXIF's orientation, from which the levels were turned upright.
    """
    trimap, notices = quantise(levels)
    if photo:
        trimap, turned = turn_like(trimap, own, photo)
        notices += turned
    if size and trimap.shape != tuple(size):
        notices.append(check_aspect(trimap.shape, size))
        trimap = resize(trimap, size)
    present = np.flatnonzero(histogram(trimap)).tolist()
    if UNKNOWN not in present:
        hint = "; if it is a mask, give it as --masks (predict) or to `deepmat trimap`" if len(present) > 1 else ""
        notices.append(f"no pixel is unknown, so the trimap is the alpha{hint}")
    elif present == [UNKNOWN]:
        notices.append("all pixels are unknown; mark known foreground (255) and background (0)")
    if looks_inverted(trimap):
        notices.append(INVERTED)
    return trimap, notices
