"""The trimap: uint8 [H, W], 255 known foreground, 0 known background, 128 unknown."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np

from deepmat import imaging
from deepmat.errors import ConfigError, DataError, lookup
from deepmat.imaging.masks import INVERTED, check_aspect, clean_mask, histogram, looks_inverted, read_mask

FOREGROUND, UNKNOWN, BACKGROUND = 255, 128, 0
WIDTH = "2%"
"""From a hard mask of a photo, that leaves 0.95 of the soft pixels of hair and fur unknown, and a tenth to a third of
the picture."""
LABELS = 16


Pixels = TypeVar("Pixels")


def unknown_region(trimap: Pixels) -> Pixels:
    """The mask of the pixels of unknown alpha, bool, True where the level is neither 0 nor 255.

    trimap: uint8 [H, W], or a tensor of any shape.
    """
    levels: Any = trimap
    return (levels != BACKGROUND) & (levels != FOREGROUND)


def _kernel(size: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def from_alpha(
    alpha: np.ndarray, kernel_size: int, iterations: int, outwards: tuple[int, int] | None = None
) -> np.ndarray:
    """The training trimap of Deep Image Matting: unknown where alpha is fractional, widened both ways.

    alpha: uint8 [H, W]. An elliptical kernel of `kernel_size` pixels is applied `iterations` times; pixels whose
    erosion is still 255 stay foreground, those whose dilation is still 0 stay background. `outwards`: another kernel
    size and iterations for the dilation.
    """
    kernel_out, iterations_out = outwards or (kernel_size, iterations)
    eroded = cv2.erode(alpha, _kernel(kernel_size), iterations=iterations)
    dilated = cv2.dilate(alpha, _kernel(kernel_out), iterations=iterations_out)
    # UNKNOWN where not known background, and as much again as FOREGROUND has more where known foreground.
    _, not_background = cv2.threshold(dilated, 0, UNKNOWN, cv2.THRESH_BINARY)
    _, foreground = cv2.threshold(eroded, 254, FOREGROUND - UNKNOWN, cv2.THRESH_BINARY)
    return cv2.add(not_background, foreground)


def by_distance(
    alpha: np.ndarray, inwards: float | np.ndarray, outwards: float | np.ndarray, metric: int = cv2.DIST_L2
) -> np.ndarray:
    """A trimap from alpha, uint8 [H, W]: unknown within so many pixels of what is not fully foreground or background.

    Foreground is what lies further than `inwards` from any alpha under 255; background, further than `outwards` from
    any alpha over 0; either may be an array [H, W] of widths. metric: OpenCV's, for the distance.
    """
    trimap = np.full_like(alpha, UNKNOWN)
    for level, known, width in ((255, FOREGROUND, inwards), (0, BACKGROUND, outwards)):
        same = (alpha == level).view(np.uint8)
        if same.all():  # no distance to measure from
            trimap[:] = known
        else:
            trimap[cv2.distanceTransform(same, metric, cv2.DIST_MASK_PRECISE) > width] = known
    return trimap


def by_morphology(alpha: np.ndarray, inwards: float, outwards: float) -> np.ndarray:
    """`from_alpha` with an elliptical kernel of 3 pixels, once for each pixel of width; along diagonals 0.7 times that.

    As often as that kernel, a cross, must be applied to reach a pixel, so far is it in city blocks.
    """
    return by_distance(alpha, round(inwards), round(outwards), cv2.DIST_L1)


METHODS: dict[str, Callable[[np.ndarray, float, float], np.ndarray]] = {
    "distance": by_distance,
    "morphology": by_morphology,
}


class Width(NamedTuple):
    """A width in pixels, or as a fraction of a picture's longer side."""

    value: float
    relative: bool

    def pixels(self, size: tuple[int, ...]) -> float:
        """The width in a picture of that shape (height, width, ...): 1 pixel or more, unless it is 0."""
        return max(1.0, self.value * max(size[:2]) if self.relative else self.value) if self.value else 0.0


def parse_width(text: str, what: str = "width") -> Width:
    """ "20" (pixels) or "2%" (of the longer side) as a Width. ConfigError, which begins with `what`, for other text."""
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if rest or not 0 <= value < float("inf"):
        raise ConfigError(f'{what} {text}: not a width; give pixels, "20", or a part of the longer side, "{WIDTH}"')
    return Width(value / 100, True) if percent else Width(value, False)


def from_mask(
    mask: np.ndarray, inwards: float, outwards: float, method: str = "distance"
) -> tuple[np.ndarray, list[str]]:
    """A trimap, uint8 [H, W], of any mask or alpha, uint8 [H, W], and notices of what is odd about it.

    Unknown is what is fractional in the mask as `masks.clean_mask` leaves it, and so many pixels inwards and outwards
    from there or from the edge. method: one of METHODS. DataError for a mask that looks like labels, ConfigError for
    an unknown method.
    """
    make = lookup(METHODS, method, "method")
    alpha, notices = clean_mask(mask)
    trimap = make(alpha, inwards, outwards)
    before, after = histogram(alpha), histogram(trimap)
    known = np.flatnonzero(after).tolist()
    if known in ([FOREGROUND], [BACKGROUND]):
        what = "background" if known == [BACKGROUND] else "foreground"
        return trimap, [*notices, f"all of it is {known[0]}, so all of the trimap is {what}"]
    for level, what, side in ((FOREGROUND, "foreground", "inwards"), (BACKGROUND, "background", "outwards")):
        if before[level] and level not in known:
            notices.append(f"no {what} is left as known; a smaller width {side} leaves some")
        elif level not in known:
            notices.append(f"none of it is {level}, so no {what} is known")
    soft = float(before[1:255].sum()) / alpha.size
    if soft > 0.5:
        notices.append(
            f"{100 * soft:.0f} % of it is between 0 and 255, so unknown; with a threshold, 128 say, it is hard"
        )
    return trimap, notices + ([INVERTED] if looks_inverted(alpha) else [])


def write_trimaps(
    jobs: Sequence[tuple[str, Path | DataError]],
    out: Path,
    inwards: Width,
    outwards: Width,
    method: str = "distance",
    threshold: int | None = None,
    workers: int = 1,
) -> Iterator[dict[str, Any]]:
    """Write out/NAME.png, a trimap of its mask's size, for each (name, mask file or why there is none), in their order.

    Yields {"name", "path", "height", "width", "unknown" and "foreground" (fractions of the picture), "notices"}, or
    {"name", "error"} for one that failed. threshold: as in `masks.clean_mask`; workers: threads.
    """

    def make(job: tuple[str, Path | DataError]) -> dict[str, Any]:
        name, source = job
        path = out / f"{name}.png"
        try:
            if isinstance(source, DataError):
                raise source
            mask, told = read_mask(source, threshold)
            trimap, odd = from_mask(mask, inwards.pixels(mask.shape), outwards.pixels(mask.shape), method)
            imaging.write_image(path, trimap)
        except DataError as error:
            return {"name": name, "error": str(error)}
        except (MemoryError, cv2.error) as error:
            return {"name": name, "error": f"{source}: too large for the memory ({error})"}
        height, width = trimap.shape
        shares = {"unknown": UNKNOWN, "foreground": FOREGROUND}
        counts = histogram(trimap)
        return {
            "name": name,
            "path": str(path),
            "height": height,
            "width": width,
            **{what: float(counts[level]) / trimap.size for what, level in shares.items()},
            "notices": told + [f"{source}: {notice}" for notice in odd],
        }

    lookup(METHODS, method, "method")
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(make, jobs)
    finally:  # a stop does not wait for those that no one began
        pool.shutdown(wait=True, cancel_futures=True)


def resize(trimap: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A trimap, uint8 [H, W], at another height and width: known only where all that becomes one pixel is known."""
    mean = cv2.resize(trimap, size[::-1], interpolation=cv2.INTER_AREA)
    return np.where((mean == FOREGROUND) | (mean == BACKGROUND), mean, np.uint8(UNKNOWN))


def quantise(grey: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Any grey picture, uint8 [H, W], to the nearest of the three levels, with a notice of what was changed.

    DataError for levels that look like labels. Half-way thresholds bring a trimap that JPEG blurred back as it was but
    for a pixel or two beside the borders, and add no third level where two meet.
    """
    top = int(grey.max())
    if 0 < top < LABELS:
        raise DataError(f"its levels are 0 to {top}, as of labels; save background 0, unknown 128, foreground 255")
    table = np.empty(256, np.uint8)
    table[:64], table[64:192], table[192:] = BACKGROUND, UNKNOWN, FOREGROUND
    counts = histogram(grey)
    counts[[BACKGROUND, UNKNOWN, FOREGROUND]] = 0
    if not counts.any():
        return grey, []
    often = [level for level in np.argsort(-counts, kind="stable")[:3].tolist() if counts[level]]
    examples = ", ".join(f"{level} as {table[level]}" for level in often)
    more = ", ..." if np.count_nonzero(counts) > len(often) else ""
    share = f"{100 * float(counts.sum()) / grey.size:.2g} % of the trimap was not 0, 128 or 255"
    far = np.abs(np.arange(256) - table.astype(int)) > 16
    doubt = "; is it a trimap?" if counts[far].sum() > grey.size / 4 else ""
    return cv2.LUT(grey, table), [f"{share}; taken as the nearest ({examples}{more}){doubt}"]


def read_trimap(
    path: Path, size: tuple[int, int] | None = None, max_pixels: int = imaging.MAX_PIXELS
) -> tuple[np.ndarray, list[str]]:
    """A trimap file as uint8 [H, W] in {0, 128, 255}, and notices of what was changed or is odd.

    size: the picture's height and width, to which a trimap of the same aspect ratio is resized. DataError if it
    cannot be read, its levels look like labels, or it is of another aspect ratio.
    """
    levels = imaging.read_levels(path, max_pixels)
    try:
        trimap, notices = quantise(levels)
        if size and trimap.shape != tuple(size):
            notices.append(check_aspect(trimap.shape, size))
            trimap = resize(trimap, size)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    present = np.flatnonzero(histogram(trimap)).tolist()
    if UNKNOWN not in present:
        hint = "; if it is a mask, give it as --masks (predict) or to `deepmat trimap`" if len(present) > 1 else ""
        notices.append(f"nothing is unknown, so the trimap itself is the alpha{hint}")
    elif present == [UNKNOWN]:
        notices.append("all is unknown; mark what is surely 0 and 255")
    if looks_inverted(trimap):
        notices.append(INVERTED)
    return trimap, [f"{path}: {notice}" for notice in notices]
