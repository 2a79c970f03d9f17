"""Long hair: locks of strands that hang or blow, around a head and shoulders of other colours."""

import cv2
import numpy as np

from deepmat.synth.camera import soft_focus
from deepmat.synth.drawing import (
    View,
    aim,
    ellipse_outline,
    fill_shape,
    grow_hairs,
    lay_strands,
    make_paint,
    new_canvas,
    normal,
    over,
    random_colour,
    to_layers,
    uniform,
)

STEPS = 32
"""Straight pieces of a strand."""
TONES = 24


def _guides(rng: np.random.Generator, roots: np.ndarray, outward: np.ndarray) -> np.ndarray:
    """The path of each lock, [N STEPS+1 2], from its root on the scalp: outwards first, then with gravity or wind."""
    count, t = len(roots), np.linspace(0, 1, STEPS, dtype=np.float32)
    flow = np.pi / 2 + normal(rng, 0.2) if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
    towards = flow + normal(rng, rng.uniform(0.03, 0.35), count) - outward
    towards = (towards + np.pi) % (2 * np.pi) - np.pi
    yields = 1 - np.exp(-rng.uniform(3, 12) * uniform(rng, 0.6, 1.4, count, 1) * t)
    waves = rng.uniform(0, 1.4) * uniform(rng, 0.3, 1, count, 1) * t**0.5
    sway = waves * np.sin(
        2 * np.pi * (rng.uniform(0.7, 5) * uniform(rng, 0.8, 1.25, count, 1) * t + uniform(rng, 0, 1, count, 1))
    )
    length = rng.uniform(0.15, 0.55) * np.exp(normal(rng, 0.3, count))
    return grow_hairs(roots, outward[:, None] + towards[:, None] * yields + sway, length.astype(np.float32))


def _strands(rng: np.random.Generator, guides: np.ndarray, each: int) -> np.ndarray:
    """`each` strands around each lock's path, [N STEPS+1 2]: close at its tip or spread, a few astray."""
    count, t = each * len(guides), np.linspace(0, 1, STEPS + 1, dtype=np.float32)
    guides = guides.repeat(each, 0)
    reach = uniform(rng, 0.5, 1.1, count, 1) * t * STEPS  # no two strands of a lock are equally long
    below = np.minimum(reach.astype(int), STEPS - 1)
    row = np.arange(count)[:, None]
    step = (reach - below)[..., None]
    paths = guides[row, below] * (1 - step) + guides[row, below + 1] * step
    spread = rng.uniform(0.006, 0.025) * np.exp(normal(rng, 0.4, len(guides) // each)).repeat(each)[:, None, None]
    apart = normal(rng, 1.0, count, 1, 2) * spread * (1 - rng.uniform(-0.4, 0.95) * t)[:, None]
    loose = rng.uniform(0.0002, 0.0016) * np.where(rng.random((count, 1, 1)) < rng.uniform(0.02, 0.2), 5, 1)
    wander = np.cumsum(np.cumsum(normal(rng, 1.0, count, STEPS + 1, 2), 1), 1) * loose / STEPS**0.5
    return (paths + apart + wander).astype(np.float32)


def locks(rng: np.random.Generator, view: View) -> np.ndarray:
    """A head with long hair, seen from before or behind; strands let light through, so that thin locks are a haze."""
    grey, dyed = rng.random() < 0.2, rng.random() < 0.1
    hue = (0.0, 1.0) if dyed else (0.0, 0.13)
    colour = random_colour(rng, hue, (0.0, 0.08) if grey else (0.15, 0.8), (0.03, 0.9 if rng.random() < 0.5 else 0.3))
    shine = np.clip(colour * rng.uniform(1.0, 2.0) + rng.uniform(0, 0.3) ** 2, 0, 1)
    skin = random_colour(rng, (0.02, 0.1), (0.2, 0.6), (0.25, 0.95))
    clothes = random_colour(rng, (0.0, 1.0), (0.0, 0.8), (0.05, 0.95))

    x, y, a = rng.uniform(-0.1, 0.1), rng.uniform(-0.2, 0.0), rng.uniform(0.1, 0.17)
    b = a * rng.uniform(1.15, 1.4)
    count, each = int(rng.integers(30, 130)), int(rng.integers(20, 70))
    turn = uniform(rng, -np.pi - 0.5, 0.5, count)
    roots = np.stack([x + 0.97 * a * np.cos(turn), y + 0.97 * b * np.sin(turn)], -1).astype(np.float32)
    outward = np.arctan2(np.sin(turn) / b, np.cos(turn) / a)
    paths = _strands(rng, _guides(rng, roots, outward), each)
    view = aim(rng, view, np.concatenate([paths[::9, STEPS // 2], paths[::9, -1]]))

    canvas, sheet = new_canvas(view, 0.0007)
    middle = x + rng.uniform(-0.05, 0.05)
    shoulders = ellipse_outline(middle, y + b + 0.35, rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.3))
    fill_shape(canvas, sheet, ellipse_outline(x, y + b, 0.5 * a, 0.15), make_paint(skin * 0.8))
    fill_shape(canvas, sheet, shoulders, make_paint(clothes))
    fill_shape(canvas, sheet, ellipse_outline(x, y, a, b), make_paint(colour if rng.random() < 0.4 else skin))

    light = np.clip(1 + normal(rng, rng.uniform(0.01, 0.25), TONES, 1), 0.5, 1.6)
    tones = light * np.linspace(colour, shine, TONES)[rng.permutation(TONES)]
    # A hair is a tenth of a pixel to a pixel wide.
    opacity = np.exp(rng.uniform(np.log(0.08), 0) + normal(rng, 0.25, TONES)).clip(0, 1)
    mixed = rng.permutation(paths)
    behind, before = np.split(mixed if rng.random() < 0.5 else paths, [int(rng.uniform(0.4, 1) * len(paths))])
    layers = np.zeros(canvas.shape, np.float32)
    lay_strands(layers, sheet, behind, tones * rng.uniform(0.75, 1), opacity)
    layers = over(to_layers(canvas, sheet), layers)
    lay_strands(layers, sheet, mixed[::2, : STEPS // 4], tones, np.minimum(3 * opacity, 1))
    lay_strands(layers, sheet, before, tones, opacity)
    return soft_focus(rng, cv2.resize(layers, (view.width, view.height), interpolation=cv2.INTER_AREA))
