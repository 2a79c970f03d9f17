"""Modes: how much of a picture a network sees at a time.

A mode is a function of a network, a picture and its trimap. It returns alpha, float32 [H, W], and how the picture was
seen; known pixels may hold anything. Modes in IN_PARTS ask a session for windows; the others show the picture at once.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from deepmat.config import TestConfig
from deepmat.errors import TooLarge, lookup
from deepmat.imaging import trimap as trimaps
from deepmat.inference.predictor import Predictor
from deepmat.models.session import Window, stretch
from deepmat.runtime import distributed
from deepmat.runtime.devices import free_memory

TILES = (0, 2048, 1024, 512)
"""Sides of tiles that mode auto chooses from; 0 is the whole picture."""
PROCESS_BYTES, PICTURE_BYTES = 900_000_000, 20
"""Memory of the process without a picture, and for each pixel of a picture beside the network: image, trimap, alpha."""


class Seen(NamedTuple):
    """How a picture was seen."""

    mode: str
    """"whole", "tile 1024", "crop" ...; "none" where nothing is unknown."""
    notices: list[str]
    """Remarks on what did not go as planned."""


Answer = tuple[np.ndarray, Seen]


def pixels_that_fit(predictor: Predictor, memory: float | None, picture: int) -> int:
    """Pixels that the network can see at once beside a picture of so many.

    memory: GB that the process may take in all; on CUDA, of the GPU's memory, for what the network sees, and at most
    half of what is free. None is half of what is free; on other devices the processes of the machine share that.
    """
    device: torch.device = predictor.device
    if device.type == "cuda":
        left = min(free_memory(device) / 2, (memory or math.inf) * 1e9)
    elif memory is None:
        left = free_memory(device) / 2 / distributed.local_world()
    else:
        left = memory * 1e9 - PROCESS_BYTES
    if device.type == "cpu":
        left -= PICTURE_BYTES * picture
    return max(0, int(left / predictor.bytes_a_pixel))


def enlarged(pixels: np.ndarray) -> np.ndarray:
    """A picture at twice its size, each pixel four times."""
    return cv2.resize(pixels, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)


def reduced(alpha: np.ndarray) -> np.ndarray:
    """An alpha at half its size, the mean of each four pixels."""
    return cv2.resize(alpha, (alpha.shape[1] // 2, alpha.shape[0] // 2), interpolation=cv2.INTER_AREA)


def _at_once(
    predictor: Predictor,
    image: np.ndarray,
    trimap: np.ndarray,
    enlarge: bool,
    size: tuple[int, int] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """The alpha of a picture seen at once, perhaps stretched to `size`, at twice that size with `enlarge`; notices."""
    if not enlarge:
        session = predictor.begin(image, trimap)
        return session.finish(session.part(None, size)), session.notices
    shown = (stretch(image, size), stretch(trimap, size)) if size else (image, trimap)
    large = (2 * size[0], 2 * size[1]) if size else None
    try:
        alpha, notices = _at_once(predictor, enlarged(shown[0]), enlarged(shown[1]), False, large)
    except TooLarge as error:
        raise TooLarge(f"seen at twice its size (not by --set test.double=0): {error}") from error
    alpha = reduced(alpha)
    return stretch(alpha, (trimap.shape[0], trimap.shape[1])) if size else alpha, notices


def whole(
    predictor: Predictor,
    image: np.ndarray,
    trimap: np.ndarray,
    enlarge: bool = False,
    *,
    max_size: int = 1600,
    fit: str = "keep",
) -> Answer:
    """Show the picture at once, shrunk if a side is over max_size.

    fit "keep": both sides by the same factor. fit "stretch": each side alone to min(max_size, side rounded down to a
    multiple of the stride), as pytorch-deep-image-matting does.
    """
    height, width = trimap.shape
    if fit == "stretch":
        step = predictor.stride
        h, w = (min(max_size, max(side - side % step, step)) for side in (height, width))
        alpha, notices = _at_once(predictor, image, trimap, enlarge, (h, w))
        return alpha, Seen("whole", notices)
    scale = max_size / max(height, width)
    if scale < 1:
        h, w = (max(1, round(side * scale)) for side in (height, width))
        image = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
        trimap = trimaps.resize(trimap, (h, w))
    alpha, notices = _at_once(predictor, image, trimap, enlarge)
    return (alpha if scale >= 1 else stretch(alpha, (height, width))), Seen("whole", notices)


def resize(
    predictor: Predictor,
    image: np.ndarray,
    trimap: np.ndarray,
    enlarge: bool = False,
    *,
    size: tuple[int, int] = (320, 320),
) -> Answer:
    """Show the whole picture squeezed to `size` (height, width), and stretch the answer back."""
    alpha, notices = _at_once(predictor, image, trimap, enlarge, (size[0], size[1]))
    return alpha, Seen("resize", notices)


def _spans(side: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Begin and end of the tiles along one side. They begin at multiples of the stride, as pooling does."""
    starts = range(0, max(side - overlap, 1), tile - overlap)
    return [(start, min(start + tile, side)) for start in starts]


def _weights(spans: list[tuple[int, int]]) -> list[np.ndarray]:
    """The weight of each tile along one side, float32: 1, falling to almost 0 where it overlaps another; sums are 1."""
    weights = [np.ones(end - begin, np.float32) for begin, end in spans]
    for (_, end), (begin, _), before, after in zip(spans, spans[1:], weights, weights[1:], strict=False):
        shared = end - begin
        rise = (np.arange(shared, dtype=np.float32) + 1) / (shared + 1)
        after[:shared] *= rise
        before[len(before) - shared :] *= 1 - rise
    return weights


def _in_tiles(
    part: Callable[[Window], np.ndarray], trimap: np.ndarray, inside: Window, side: int, overlap: int
) -> np.ndarray:
    """Alpha, float32 [h, w], of the rectangle `inside` a picture, from overlapping tiles blended linearly.

    Tiles with nothing unknown are left out: alpha is 0 there.
    """
    rows, columns = inside[0], inside[1]
    known = trimap[inside]
    height, width = known.shape
    alpha = np.zeros((height, width), np.float32)
    down, across = _spans(height, side, overlap), _spans(width, side, overlap)
    for (top, bottom), by_row in zip(down, _weights(down), strict=True):
        for (left, right), by_column in zip(across, _weights(across), strict=True):
            if trimaps.unknown_region(known[top:bottom, left:right]).any():
                begin = rows.start + top, columns.start + left
                end = rows.start + bottom, columns.start + right
                found = part((slice(begin[0], end[0]), slice(begin[1], end[1])))
                alpha[top:bottom, left:right] += found * by_row[:, None] * by_column
    return alpha


def tile(
    predictor: Predictor, image: np.ndarray, trimap: np.ndarray, *, tile: int = 1024, overlap: int = 256
) -> Answer:
    """Show the picture at full size in squares of side `tile` that share a band `overlap` wide, blended linearly.

    Both are multiples of the stride, overlap at most half of tile.
    """
    session = predictor.begin(image, trimap)
    height, width = trimap.shape
    alpha = _in_tiles(session.part, trimap, np.s_[0:height, 0:width], tile, overlap)
    return session.finish(alpha), Seen("tile", session.notices)


def crop(predictor: Predictor, image: np.ndarray, trimap: np.ndarray, *, size: tuple[int, int] = (320, 320)) -> Answer:
    """Show windows of `size` side by side, those at the edges stretched to it, as pytorch-deep-image-matting does.

    Windows with nothing unknown are left out.
    """
    session = predictor.begin(image, trimap)
    height, width = trimap.shape
    alpha = np.zeros((height, width), np.float32)
    for top in range(0, height, size[0]):
        for left in range(0, width, size[1]):
            window = np.s_[top : top + size[0], left : left + size[1]]
            if trimaps.unknown_region(trimap[window]).any():
                alpha[window] = session.part(window, (size[0], size[1]))
    return session.finish(alpha), Seen("crop", session.notices)


def auto(
    predictor: Predictor,
    image: np.ndarray,
    trimap: np.ndarray,
    *,
    overlap: int = 256,
    memory: float | None = None,
) -> Answer:
    """Show the picture at full size, at once where the memory allows it, else in the largest tiles that it allows.

    The network sees only the rectangle around the unknown region, with its reach. memory: as for `pixels_that_fit`.
    Where the estimate was wrong and the memory runs out, smaller tiles follow, with a notice. Raises TooLarge if even
    the smallest do not fit.
    """
    session = predictor.begin(image, trimap)
    inside = _around_unknown(trimap, predictor)
    sides = [end.stop - end.start for end in inside]
    pixels = pixels_that_fit(predictor, memory, trimap.size)
    tiles = [TILES[0]] if math.prod(side + -side % predictor.stride for side in sides) <= pixels else []
    tiles += [side for side in TILES[1:] if side**2 <= pixels] or [TILES[-1]]
    alpha, notices = np.zeros(trimap.shape, np.float32), []
    for side in tiles:
        mode = f"tile {side}" if side else "whole"
        try:
            if side:
                alpha[inside] = _in_tiles(session.part, trimap, inside, side, min(overlap, side // 2))
            else:
                alpha[inside] = session.part(inside)
        except TooLarge:
            if side == tiles[-1]:
                raise
            notices.append(f"the memory ran out ({mode}); goes on in smaller tiles")
        else:
            return session.finish(alpha), Seen(mode, session.notices + notices)
    raise AssertionError("the smallest tile either fits or raises")


def _around_unknown(trimap: np.ndarray, predictor: Predictor) -> Window:
    """The rectangle around the unknown region and the network's reach, begun at multiples of its stride."""
    unknown = trimaps.unknown_region(trimap)
    sides = []
    for axis, length in ((1, trimap.shape[0]), (0, trimap.shape[1])):
        where = np.flatnonzero(unknown.any(axis=axis))
        begin = int(where[0]) // predictor.stride * predictor.stride - predictor.reach
        sides.append(slice(max(0, begin), min(length, int(where[-1]) + 1 + predictor.reach)))
    return sides[0], sides[1]


MODES: dict[str, Callable[..., Answer]] = {"auto": auto, "whole": whole, "tile": tile, "crop": crop, "resize": resize}
IN_PARTS = ("auto", "tile", "crop")
"""Modes that ask for parts of a picture."""


def mode_options(settings: TestConfig) -> dict[str, Any]:
    """The config's settings that its mode takes, as arguments of `predict`. Raises ConfigError for an unknown mode."""
    parameters = inspect.signature(lookup(MODES, settings.mode, "test.mode")).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    names += [name for name in ("double", "correct", "narrow") if getattr(settings, name) is not None]
    return {"mode": settings.mode, **{name: getattr(settings, name) for name in names}}
