"""Natural textures: dead leaves and coloured noise with the statistics of photographs, for backgrounds and for bodies.

Networks for restoration train on such pictures nearly as well as on photographs (Achddou, Gousseau and Ladjal 2021;
Baradad et al., "Learning to see by looking at noise", 2021). `kinds` holds the textures, `tools` their parts.
"""

from collections.abc import Callable

import cv2
import numpy as np

from deepmat.synth.colours import Pick, some_of
from deepmat.synth.drawing import (
    coordinates,
    fractal_noise,
    mix,
    smooth_step,
    spread_out,
    whole,
)
from deepmat.synth.textures.kinds import (
    blades,
    bokeh,
    carpet,
    cells,
    clouds,
    fabric,
    foliage,
    fur,
    grain,
    leaves,
    rock,
    stones,
)
from deepmat.synth.textures.tools import between

TEXTURES: dict[str, Callable[[np.random.Generator, int, int, Pick], np.ndarray]] = {
    "leaves": leaves,
    "stones": stones,
    "foliage": foliage,
    "blades": blades,
    "fur": fur,
    "grain": grain,
    "clouds": clouds,
    "rock": rock,
    "cells": cells,
    "fabric": fabric,
    "carpet": carpet,
    "bokeh": bokeh,
}
SURFACES = {name: draw for name, draw in TEXTURES.items() if name != "bokeh"}  # textures of bodies


def _any(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    return TEXTURES[list(TEXTURES)[rng.integers(len(TEXTURES))]](rng, height, width, pick)


def _slant(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The picture in perspective, as a floor or a wall."""
    height, width = picture.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen, near = corners.copy(), int(rng.choice([1, 2, 2, 2, 3]))  # the edge that is nearest: most often the lower one
    edge = rng.uniform(0.1, 0.33) * (corners[(near + 1) % 4] - corners[near])
    seen[near] += edge
    seen[(near + 1) % 4] -= edge
    closer = cv2.getPerspectiveTransform(seen, corners)
    return cv2.warpPerspective(picture, closer, (width, height), borderMode=cv2.BORDER_REFLECT)


def _light(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Light [H W] that falls off to one side, in a quarter of the cases with soft shadows."""
    x, y = coordinates(whole(48, 48))
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.3) * (x * np.cos(turn) + y * np.sin(turn))
    if rng.random() < 0.25:
        shadow = fractal_noise(rng, 48, 48, rng.uniform(0.8, 1.5), 2)
        light = light * (1 - rng.uniform(0.2, 0.55) * smooth_step(shadow, 0.4, 0.4 + rng.uniform(0.15, 0.6)))
    return cv2.resize(light.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)


def natural(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """A picture of one or two of TEXTURES with the contrast of a photograph, under uneven light.

    Returns float32 [H W 3] in [0, 1].
    """
    picture = _any(rng, height, width, pick)
    if rng.random() < 0.35:
        picture = _slant(rng, picture)
    if rng.random() < 0.15:  # another one beside it
        share = fractal_noise(rng, height, width, rng.uniform(0.8, 1.8), rng.uniform(1, 4))
        share = smooth_step(share, 0.5, 0.5 + between(rng, 0.02, 0.3))
        picture = mix(picture, _any(rng, height, width, pick), share)
    mean, spread = cv2.meanStdDev(np.clip(picture, 0, 1.3))
    wanted = rng.choice([0.04, 0.08, 0.12, 0.15, 0.2]) * rng.uniform(0.8, 1.2)
    gain = float(np.clip(wanted / max(float(spread.mean()), 1e-3), 0.4, 2.5))
    steady = (mean.ravel() * (1 - gain)).tolist()
    even = cv2.merge([part * np.float32(gain) + rest for part, rest in zip(cv2.split(picture), steady, strict=True)])
    return np.clip(even * spread_out(_light(rng, height, width)), 0, 1)


def surface(rng: np.random.Generator, height: int, width: int, mean: np.ndarray) -> np.ndarray:
    """The relief of a body of one mean colour [3], from one of SURFACES: factors around 1, float32 [H W 3].

    The factors differ far more in lightness than in hue, so that the body keeps its colour.
    """
    near = 0.25 + 0.25 * np.clip(mean, 0.02, 1) / max(float(np.max(mean)), 0.02)
    name = list(SURFACES)[rng.integers(len(SURFACES))]
    picture = SURFACES[name](rng, height, width, some_of(rng, near.astype(np.float32)[None]))
    means, spreads = (part.ravel() for part in cv2.meanStdDev(picture))
    gain = min(rng.uniform(0.06, 0.3) / max(float((spreads / means).mean()), 1e-3), 1.5)
    parts = [part * (gain / m) - gain for part, m in zip(cv2.split(picture), means.tolist(), strict=True)]
    grey = (parts[0] + parts[1] + parts[2]) * np.float32(0.7 / 3) + 1
    return np.clip(cv2.merge([grey + np.float32(0.3) * part for part in parts]), 0.3, 1.8)
