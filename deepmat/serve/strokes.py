"""A stroke on a trimap: only the rectangle around it is computed anew."""

import zlib
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from deepmat.errors import ConfigError
from deepmat.imaging.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from deepmat.inference.outputs import CutOut
from deepmat.inference.predict import predict_seen, times_smaller

AROUND = 32
"""Pixels around a stroke whose alpha changes with it, less and less. With 64 the alpha nearby is no closer to that of
the whole picture seen anew."""
CONTEXT = 32
"""Pixels around these that the network sees at least. With 96 a stroke takes half as long again, and its alpha differs
from that of the whole picture by 0.0012 in place of 0.0016 (mean of unknown pixels nearby, a portrait of 1 MP)."""
GZIP = 31
"""zlib's number for gzip alone."""
DOUBLED = 80_000
"""Pixels up to which a part of a small picture is seen at twice its size, as the whole of it is; more take seconds."""


class Rectangle(NamedTuple):
    """A part of a picture; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def inside(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def grown(self, by: int, size: tuple[int, int]) -> "Rectangle":
        """Return it with a margin, inside a picture of (height, width)."""
        (height, width), (left, top, right, bottom) = size, self
        return Rectangle(max(left - by, 0), max(top - by, 0), min(right + by, width), min(bottom + by, height))

    def snapped(self, step: int, size: tuple[int, int]) -> "Rectangle":
        """Return it with its sides moved out to multiples of `step`, inside a picture of (height, width)."""
        left, top = self.left - self.left % step, self.top - self.top % step
        right, bottom = self.right + -self.right % step, self.bottom + -self.bottom % step
        return Rectangle(left, top, min(right, size[1]), min(bottom, size[0]))

    def within(self, other: "Rectangle") -> tuple[slice, slice]:
        """Return its rows and columns in a rectangle that holds it."""
        rows, columns = slice(self.top - other.top, self.bottom - other.top), slice(self.left - other.left, None)
        return rows, slice(columns.start, self.right - other.left)


def checked(left: int, top: int, width: int, height: int, size: tuple[int, int]) -> Rectangle:
    """Return a rectangle of a picture of (height, width). Raises ConfigError if it does not lie in it."""
    found = Rectangle(left, top, left + width, top + height)
    if not (0 <= left < found.right <= size[1] and 0 <= top < found.bottom <= size[0]):
        raise ConfigError(
            f"rectangle {left},{top} of {width}x{height}: lies outside the picture of {size[1]}x{size[0]}"
        )
    return found


def levels_of(data: bytes, rectangle: Rectangle, name: str) -> np.ndarray:
    """Return the bytes of a rectangle, row by row, as uint8 [H, W]. Raises ConfigError if they are too few or many."""
    height, width = rectangle.shape
    if len(data) != height * width:
        raise ConfigError(f"{name}: {len(data)} bytes, but its rectangle of {width}x{height} has {height * width}")
    return np.frombuffer(data, np.uint8).reshape(height, width)


def unpacked(data: bytes, rectangle: Rectangle) -> bytes:
    """Return what gzip has packed: at most a byte more than the rectangle has. Raises ConfigError for other data."""
    height, width = rectangle.shape
    try:
        return zlib.decompressobj(wbits=GZIP).decompress(data, height * width + 1)
    except zlib.error as error:
        raise ConfigError("packed: no gzip") from error


def trimap_of(data: bytes, rectangle: Rectangle) -> np.ndarray:
    """Return the trimap of a rectangle as `levels_of` does. Raises ConfigError for levels other than 0, 128, 255."""
    levels = levels_of(data, rectangle, "trimap")
    if not np.isin(levels, (BACKGROUND, UNKNOWN, FOREGROUND)).all():
        raise ConfigError("trimap: has levels other than 0, 128 and 255")
    return levels


def with_trimap(network: Any, cut: CutOut, patch: np.ndarray, at: Rectangle) -> tuple[CutOut, Rectangle]:
    """Return a cut-out with a rectangle of its trimap replaced, and the rectangle in which it changed.

    patch: uint8 of 0, 128, 255. A large picture that the network sees smaller is seen so here, and AROUND and CONTEXT
    are pixels of what it sees.
    """
    size, times = (cut.trimap.shape[0], cut.trimap.shape[1]), times_smaller(network, cut.trimap.size)
    trimap = cut.trimap.copy()
    trimap[at.inside] = patch
    changed = at.grown(times * AROUND, size)
    alpha, known = cut.alpha.copy(), trimap[changed.inside]
    part = alpha[changed.inside]
    if (known == UNKNOWN).any():
        found = _found(network, cut.image, trimap, changed, times)
        part += _weight(at, changed, times * AROUND) * (found - part)
        np.clip(part, 0, 1, out=part)
    part[known == FOREGROUND] = 1
    part[known == BACKGROUND] = 0
    return replace(cut, trimap=trimap, alpha=alpha), changed


def _found(network: Any, image: np.ndarray, trimap: np.ndarray, changed: Rectangle, times: int) -> np.ndarray:
    """Return the network's alpha of a rectangle, which sees it and what is around it so many times smaller."""
    size = trimap.shape[0], trimap.shape[1]
    seen = _view(trimap, changed, times * CONTEXT, size).snapped(times, size)
    small = max(size) <= network.enlarge_up_to and seen.shape[0] * seen.shape[1] <= DOUBLED
    double = None if small else 0  # a part of a large picture is not seen at twice its size
    part = np.ascontiguousarray(image[seen.inside]), trimap[seen.inside]
    return predict_seen(network, *part, double=double, narrow=False, shrink=times)[0][changed.within(seen)]


def with_alpha(cut: CutOut, patch: np.ndarray, levels: np.ndarray, at: Rectangle) -> CutOut:
    """Return a cut-out with a rectangle of its trimap and of its alpha replaced, as undo has it. Both are uint8."""
    trimap, alpha = cut.trimap.copy(), cut.alpha.copy()
    trimap[at.inside] = patch
    same = np.rint(alpha[at.inside] * 255).astype(np.uint8) == levels  # keeps its finer steps
    alpha[at.inside] = np.where(same, alpha[at.inside], levels.astype(np.float32) / 255)
    return replace(cut, trimap=trimap, alpha=alpha)


def _view(trimap: np.ndarray, changed: Rectangle, margin: int, size: tuple[int, int]) -> Rectangle:
    """Return what the network sees: as far around as both foreground and background are known in it."""
    seen = changed.grown(margin, size)
    while seen.shape != size:
        part = trimap[seen.inside]
        if (part == FOREGROUND).any() and (part == BACKGROUND).any():
            break
        margin *= 2
        seen = changed.grown(margin, size)
    return seen


def _weight(at: Rectangle, changed: Rectangle, around: int) -> np.ndarray:
    """Return the share of the new alpha, float32 [H, W] of `changed`: 1 in the stroke, falling to 0 `around` it."""
    sides = []
    for begin, end, first, last in (
        (at.top, at.bottom, changed.top, changed.bottom),
        (at.left, at.right, changed.left, changed.right),
    ):
        place = np.arange(first, last, dtype=np.float32)
        far = np.maximum(np.maximum(begin - place, place - (end - 1)), 0)
        sides.append(np.clip(1 - far / around, 0, 1))
    return np.minimum(sides[0][:, None], sides[1])
