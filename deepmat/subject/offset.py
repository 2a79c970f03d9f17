"""How far the edge of a mask lies from the edge of its picture: masks that are too large or too small all around."""

import cv2
import numpy as np

from deepmat.imaging.trimap import depth

REACH = 4
"""Widths of the unknown band up to which the picture's edge is looked for on each side of the mask's edge."""
CLEAR = 2.0
"""How many times stronger than in the band the picture's edge must be. No mask of 19 photos reaches it, drawn or by
three networks, at three sizes; of the drawn ones, made too large by two bands, 35 of 38 do."""
NEAR = 5
"""Side in pixels of the square in which an edge counts as met: its distance from an outline varies."""
LONG = 0.5
"""Length of a line along the mask's edge, as a share of that edge's own, below which it says nothing."""


def offset_of(image: np.ndarray, mask: np.ndarray, width: float) -> int:
    """Return the distance in pixels from a mask's edge inwards to the picture's: below 0 where the mask is too small.

    image: uint8 RGB [H, W, 3]; mask: uint8 [H, W], foreground from 128; width: of the unknown band on each side of the
    edge. 0 where the picture's edge lies well in that band, and where no distance stands out. What counts at a distance
    is the median of the picture's gradient along the whole line there, so that neither texture nor another object is
    taken for the edge.
    """
    inside = cv2.inRange(mask, 128, 255)
    if not inside.any() or inside.all():
        return 0
    steps = np.rint(depth(inside) - depth(255 - inside)).astype(np.int32)  # 1, 2 inwards, -1, -2 outwards
    strength = cv2.dilate(_gradient(image), np.ones((NEAR, NEAR), np.uint8))
    reach = round(REACH * width)
    lines = _lines(strength, steps, reach)
    least = LONG * max(lines[reach - 1].size, lines[reach + 1].size) if reach else 0
    edges = np.array([float(np.median(line)) if line.size > least else 0 for line in lines])
    far = np.abs(np.arange(-reach, reach + 1))
    within = edges[far <= max(width - NEAR, 1)].max()
    # the square makes a plateau of each edge, whose middle is where the edge is
    best = int(np.argmax(np.convolve(edges, np.ones(NEAR), "same") * (far > width - NEAR // 2)))
    return best - reach if edges[best] > CLEAR * within else 0


def _lines(strength: np.ndarray, steps: np.ndarray, reach: int) -> list[np.ndarray]:
    """Return the values at each distance from -reach to reach, by one sorting: they are hundreds in large pictures."""
    near = np.abs(steps) <= reach
    at = steps[near]
    order = at.argsort(kind="stable")
    bounds = np.searchsorted(at[order], np.arange(-reach, reach + 2))
    values = strength[near][order]
    return [values[begin:end] for begin, end in zip(bounds[:-1], bounds[1:], strict=True)]


def _gradient(image: np.ndarray) -> np.ndarray:
    """Return the strength of edges, float32 [H, W]: of the channel of CIELAB that has most of it."""
    strongest = np.zeros(image.shape[:2], np.float32)
    for channel in cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2LAB)):  # one at a time: a large picture is gigabytes
        soft = cv2.GaussianBlur(channel.astype(np.float32), (0, 0), 1)
        np.maximum(strongest, np.hypot(cv2.Sobel(soft, -1, 1, 0), cv2.Sobel(soft, -1, 0, 1)), out=strongest)
    return strongest
