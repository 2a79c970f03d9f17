"""Fit a mask or trimap, the guide, to its photo: size and orientation."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from deepmat.errors import DataError
from deepmat.imaging.colour import About
from deepmat.imaging.layers import as_grey, is_opaque, split
from deepmat.imaging.reading import matte_of
from deepmat.imaging.shrinking import shrunk
from deepmat.imaging.unread import MAX_PIXELS, File, Unread

INVERSE = {6: 8, 8: 6}
"""Orientations that are undone by another one; the others undo themselves."""
SIDE, CELLS = 256, 8
"""Longer side at which a guide is compared with its photo, and intervals of each colour channel."""
CLEARLY = 1.3
"""Factor by which one way must fit better than another."""


class Photo(NamedTuple):
    """The photo of a guide."""

    image: np.ndarray
    """uint8 RGB [H, W, 3], upright."""
    orientation: int
    """EXIF's, 1 to 8, from which it was turned upright."""


def read_photo(
    path: File, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> tuple[Photo, np.ndarray | None, About, list[str]]:
    """Read a picture that guides are fitted to. Returns it with all else that `imaging.read_picture` returns.

    name: stands for the file in messages, by default its path. Raises DataError if it cannot be read.
    """
    file = Unread(path, max_pixels, name)
    image, own, about, notices = file.whole()
    return Photo(image, file.orientation), own, about, notices


def unused_alpha(own: np.ndarray | None, picture: object, guide: object) -> list[str]:
    """Return a notice if a picture's own alpha channel, uint8 [H, W] or None, shows a shape and a guide replaces it.

    picture, guide: their names in the notice.
    """
    if own is None or is_opaque(own):
        return []
    left_out = f"its own alpha channel is not used, since {guide} is given"
    return [f"{picture}: {left_out}; colours where it is transparent may not be the photo's"]


def read_alpha_like(path: Path, photo: Photo, deep: bool = False) -> tuple[np.ndarray, list[str]]:
    """Read an alpha file as `imaging.read_grey`, or with deep as `imaging.read_matte`, turned as its photo is.

    Returns it and notices, as `turn_like`.
    """
    file = Unread(path)
    picture = file.decode()
    levels = matte_of(picture, file.name) if deep else as_grey(*split(picture))
    alpha, notices = turn_like(levels, file.orientation, photo)
    return alpha, [f"{path}: {notice}" for notice in notices]


def check_aspect(size: tuple[int, int], wanted: tuple[int, int]) -> str:
    """Return the notice that a mask or trimap was resized to its picture's (height, width).

    Raises DataError unless the aspect ratios agree: the smaller size is the larger one scaled, to within a pixel on one
    side.
    """
    (h, w), (height, width) = sorted((size, wanted), key=lambda sides: sides[0] * sides[1])
    sizes = f"{size[1]}x{size[0]}, but its picture is {wanted[1]}x{wanted[0]}"
    if min(abs(w - h * width / height), abs(h - w * height / width)) > 1:
        raise DataError(f"{sizes}, of another aspect ratio; make them the same size")
    return f"{sizes}; resized to that"


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels, [H, W], turned upright from EXIF's orientation, 1 to 8. C-contiguous."""
    turned = pixels.T if orientation >= 5 else pixels
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    return np.ascontiguousarray(turned)


def turn_like(guide: np.ndarray, own: int, photo: Photo) -> tuple[np.ndarray, list[str]]:
    """Turn a guide as its photo is turned. Returns it with a notice if it was turned or if that is in doubt.

    guide: mask or trimap, uint8 [H, W], or alpha, float32 [H, W] in [0, 1], turned upright from its own EXIF
    orientation, `own`. One tool applies EXIF's orientation and another does not, so it may have been made before or
    after the photo was turned. The aspect ratio tells; where it does not, the way in which foreground and background
    differ most in colour.
    """
    image, orientation = photo
    raw = turn(guide, INVERSE.get(own, own))
    ways = {each: turn(raw, each) for each in (own, orientation, 1)}
    fitting = {each: turned for each, turned in ways.items() if _fits(turned.shape, image.shape)}
    if len(ways) == 1 or not fitting or own in fitting and (own == orientation or len(fitting) == 1):
        return guide, []
    scores = {each: _separation(turned, image) for each, turned in fitting.items()}
    best = max(scores, key=lambda each: scores[each])
    rest = max((score for each, score in scores.items() if each != best), default=0.0)
    clear = scores[best] > CLEARLY * rest
    about = f"its EXIF orientation is {own}, its picture's {orientation}"
    if own in fitting and not clear:
        same = all(np.array_equal(guide, turned) for turned in fitting.values())
        return guide, [] if same else [f"{about}; taken as upright, check the result or save both upright"]
    if best == own:
        return guide, []
    return fitting[best], [f"{about}; turned to fit the picture, save both upright"]


def _fits(size: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    try:
        check_aspect((size[0], size[1]), (wanted[0], wanted[1]))
    except DataError:
        return False
    return True


def _separation(guide: np.ndarray, image: np.ndarray) -> float:
    """Return how much a pixel's colour says about its side, in bits: the mutual information of both."""
    cells = shrunk(image, SIDE).astype(np.int64) * CELLS // 256
    codes = (cells[..., 0] * CELLS + cells[..., 1]) * CELLS + cells[..., 2]
    sides = cv2.resize(guide, cells.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    if sides.dtype.kind == "f":
        sides = 255 * sides
    joint = np.stack([np.bincount(codes[each], minlength=CELLS**3) for each in (sides < 64, sides > 191)]).astype(float)
    joint /= max(joint.sum(), 1)
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log2(joint[there] / apart[there])).sum())
