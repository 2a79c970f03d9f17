"""Steps that draw the trimap of a training sample. deepmat.data.augment explains what a step is."""

from typing import Any

import cv2
import numpy as np

from deepmat.imaging import trimap

Layers = dict[str, Any]


def trimap_by_erosion(
    layers: Layers, rng: np.random.Generator, *, kernel: list[int], iterations: list[int], independent: bool
) -> Layers:
    """Make the trimap by erosion and dilation of alpha (`trimap.from_alpha`), with random kernels and iterations."""

    def draw() -> tuple[int, int]:
        return int(rng.integers(kernel[0], kernel[1] + 1)), int(rng.integers(iterations[0], iterations[1] + 1))

    inwards = draw()
    return {**layers, "trimap": trimap.from_alpha(layers["alpha"], *inwards, draw() if independent else None)}


def trimap_by_distance(layers: Layers, rng: np.random.Generator, *, width: list[int], uneven: float) -> Layers:
    """Make the trimap by distance from fractional alpha (`trimap.by_distance`), with log-uniform random widths.

    uneven: probability that the widths vary along the edge, as in a trimap painted by hand.
    """
    wander = rng.random() < uneven

    def draw() -> float | np.ndarray:
        drawn = float(np.exp(rng.uniform(*np.log(width))))
        if not wander:
            return drawn
        cells = int(rng.integers(3, 13))
        field = rng.standard_normal((cells, cells), np.float32) * np.float32(0.7)
        return drawn * cv2.exp(cv2.resize(field, layers["alpha"].shape[::-1], interpolation=cv2.INTER_CUBIC))

    return {**layers, "trimap": trimap.by_distance(layers["alpha"], draw(), draw())}


def blots(layers: Layers, rng: np.random.Generator, *, count: list[int], radius: list[int]) -> Layers:
    """Make random ellipses unknown, as in a trimap painted in a hurry."""
    spotted = layers["trimap"].copy()
    height, width = spotted.shape
    for _ in range(int(rng.integers(count[0], count[1] + 1))):
        middle = int(rng.integers(width)), int(rng.integers(height))
        long, broad = (round(float(np.exp(rng.uniform(*np.log(radius))))) for _ in range(2))
        cv2.ellipse(spotted, middle, (long, broad), rng.uniform(0, 180), 0, 360, trimap.UNKNOWN, cv2.FILLED)
    return {**layers, "trimap": spotted}


def forget(layers: Layers, rng: np.random.Generator, *, levels: list[int]) -> Layers:
    """Make a part of one colour unknown: all pixels of about the colour of a random known pixel.

    levels: range of the tolerance, of 255. Only pixels on the side of that pixel, foreground or background, change, and
    none if little of that side would stay known.
    """
    known = np.flatnonzero(~trimap.unknown_region(layers["trimap"]))
    if not known.size:
        return layers
    row, column = divmod(int(known[rng.integers(known.size)]), layers["trimap"].shape[1])
    smooth, side = cv2.blur(layers["image"], (5, 5)), layers["trimap"] == layers["trimap"][row, column]
    near = int(rng.integers(levels[0], levels[1] + 1))
    colour = smooth[row, column].astype(int)
    alike = cv2.inRange(smooth, np.clip(colour - near, 0, 255), np.clip(colour + near, 0, 255))
    forgotten = side & (cv2.dilate(alike, np.ones((9, 9), np.uint8)) > 0)
    if forgotten.sum() > 0.9 * side.sum():
        return layers
    return {**layers, "trimap": np.where(forgotten, np.uint8(trimap.UNKNOWN), layers["trimap"])}


def untold(layers: Layers, rng: np.random.Generator) -> Layers:
    """Make all of what `combine` put behind unknown: a part of which nothing is known."""
    if "behind" not in layers:
        return layers
    return {**layers, "trimap": np.where(layers["behind"], np.uint8(trimap.UNKNOWN), layers["trimap"])}
