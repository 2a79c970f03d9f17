"""Backgrounds with the statistics of photographs: places, surfaces and natural textures under one camera."""

from collections.abc import Callable

import cv2
import numpy as np

from deepmat.errors import lookup
from deepmat.synth.backgrounds.places import city, land, lights, plants, room, water
from deepmat.synth.backgrounds.surfaces import cloth, clutter, poster, stone, studio, wood
from deepmat.synth.camera import add_grain
from deepmat.synth.colours import Pick, any_colour, some_of
from deepmat.synth.drawing import (
    SMALLEST,
    check_sides,
    coordinates,
    dye,
    fractal_noise,
    smooth_step,
    spread_out,
    uniform,
    whole,
)
from deepmat.synth.textures import natural

# Each returns [H W 3], uint8 or float32 in [0, 1].
PLACES: dict[str, Callable[[np.random.Generator, int, int, Pick], np.ndarray]] = {
    "clutter": clutter,
    "land": land,
    "water": water,
    "room": room,
    "city": city,
    "plants": plants,
    "lights": lights,
    "cloth": cloth,
    "stone": stone,
    "wood": wood,
    "studio": studio,
    "poster": poster,
    "natural": natural,
}

Photo = Callable[[np.random.Generator, int, int], np.ndarray]
"""(rng, height, width) -> a random part of a photograph, uint8 RGB [height, width, 3]."""
PHOTOS = 0.7
"""Share of the backgrounds that are photographs, where there are photographs."""

# One in three is a natural texture, since the other places are cleaner than photographs.
DRAWN = (*PLACES, *["natural"] * 5)


def _disc(radius: float) -> np.ndarray:
    """The point spread function of defocus: weights [K K] that sum to 1."""
    reach = int(np.ceil(radius))
    x = np.arange(-reach, reach + 1, dtype=np.float32)
    weight = np.clip(radius + 0.5 - np.hypot(x[None], x[:, None]), 0, 1)
    return weight / weight.sum()


def background(
    rng: np.random.Generator,
    height: int,
    width: int,
    palette: np.ndarray | None = None,
    place: str | None = None,
    photo: Photo | None = None,
) -> np.ndarray:
    """A random photo-like picture, uint8 RGB [H, W, 3].

    palette: colours to use, float [N, 3] in [0, 1]; None for any. place: one of PLACES; None for a random one. photo:
    draws most of the pictures in place of PLACES.
    ConfigError for a name that is not in PLACES, DataError if a side is under 32 pixels.
    """
    check_sides(height, width)
    name = DRAWN[rng.integers(len(DRAWN))] if place is None else place
    pick = any_colour(rng) if palette is None else some_of(rng, palette)
    shown = photo if photo and rng.random() < PHOTOS else None
    focus, unit = rng.random(), min(height, width)
    if focus < (0.2 if shown else 0.35):
        radius = rng.uniform(0.0, 0.8)
    else:
        radius = unit * (rng.uniform(0.003, 0.015) if focus < 0.7 else rng.uniform(0.015, 0.06))
    # Out of focus there is no fine detail, so draw it smaller and enlarge it.
    shrink = float(np.clip(radius / 2, 1, unit / SMALLEST))
    small = max(SMALLEST, round(height / shrink)), max(SMALLEST, round(width / shrink))
    if shown:
        colour = shown(rng, *small)
    else:
        colour = lookup(PLACES, name, "kind of background")(rng, *small, pick)

    x, y = coordinates(whole(48, 48))
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.3 * (x * np.cos(turn) + y * np.sin(turn)) - rng.uniform(0, 0.4) * (x**2 + y**2)
    light *= rng.uniform(0.75, 1.35) + rng.uniform(0.0, 0.5) * (fractal_noise(rng, 48, 48, rng.uniform(0.5, 1.2)) - 0.5)
    light = cv2.resize(dye(uniform(rng, 0.9, 1.1, 3), light), small[::-1], interpolation=cv2.INTER_CUBIC)
    if shrink == 1:  # no surface in a photograph is quite plain
        grit = fractal_noise(rng, *small, rng.uniform(0.3, 1.0), 10) - 0.5
        light *= spread_out(1 + rng.uniform(0.0, 0.5) ** 1.5 * grit)
    picture = cv2.multiply(colour, light, scale=1 if colour.dtype == np.uint8 else 255, dtype=cv2.CV_8U)
    if radius / shrink > 0.6:
        blurred = cv2.filter2D(picture, -1, _disc(radius / shrink), borderType=cv2.BORDER_REFLECT)
        if shrink == 1 and rng.random() < 0.5:  # in focus in parts
            depth = smooth_step(fractal_noise(rng, *small, 2.0, 2, 4), 0.2, 0.6)
            blurred = cv2.blendLinear(picture, blurred, 1 - depth, depth)
        picture = blurred
    if small != (height, width):
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    return add_grain(rng, picture, rng.uniform(0, 9))
