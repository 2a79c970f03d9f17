"""Choices of colours: random ones in a range, or those of a palette."""

from typing import Protocol

import numpy as np

from deepmat.synth.drawing import Span, normal, random_colours


class Pick(Protocol):
    """A choice of colours, which every drawing function takes."""

    def __call__(self, hue: Span, saturation: Span, value: Span, count: int = 0) -> np.ndarray:
        """`count` colours, float32 [count 3]; for 0, a single one [3]."""


def any_colour(rng: np.random.Generator) -> Pick:
    """A choice of random colours within the given hue, saturation and value."""

    def pick(hue: Span, saturation: Span, value: Span, count: int = 0) -> np.ndarray:
        colours = random_colours(rng, count or 1, hue, saturation, value)
        return colours if count else colours[0]

    return pick


def some_of(rng: np.random.Generator, palette: np.ndarray) -> Pick:
    """A choice of colours near those of `palette` [N 3], lighter and darker; it ignores hue, saturation and value."""

    def pick(hue: Span, saturation: Span, value: Span, count: int = 0) -> np.ndarray:
        chosen = palette[rng.integers(0, len(palette), count or 1)]
        colours = np.clip(chosen * (1 + normal(rng, 0.2, len(chosen), 1)) + normal(rng, 0.03, *chosen.shape), 0, 1)
        return colours.astype(np.float32) if count else colours[0].astype(np.float32)

    return pick
