"""Frizz: hair as cameras see it, of hundreds of crossing strands below a pixel wide, often out of focus."""

import numpy as np

from deepmat.synth.camera import soft_focus
from deepmat.synth.drawing import (
    View,
    aim,
    draw_strands,
    ellipse_outline,
    fill_shape,
    fractal_noise,
    grow_hairs,
    make_paint,
    new_canvas,
    normal,
    random_colour,
    to_layers,
    uniform,
)

STEPS = 20
"""Straight pieces of a strand."""


def frizz(rng: np.random.Generator, view: View) -> np.ndarray:
    """A dense mass of hair, fur or wool whose rim dissolves into fine strands, lit from behind at times."""
    grey = rng.random() < 0.3
    colour = random_colour(rng, (0.0, 0.13), (0.0, 0.08) if grey else (0.15, 0.75), (0.05, 0.95))
    shine = np.clip(colour * rng.uniform(1.0, 2.5) ** 0.5 + rng.uniform(0, 0.25) ** 2, 0, 1)
    x, y, turn = rng.uniform(-0.1, 0.1), rng.uniform(-0.05, 0.15), rng.uniform(0, 2 * np.pi)
    a, b = rng.uniform(0.14, 0.28), rng.uniform(0.14, 0.28)
    body = ellipse_outline(x, y, a, b, turn, 120)
    bumps = fractal_noise(rng, 1, 120, 1.5, 2, 12)[0] - 0.5
    body = [x, y] + (body - [x, y]) * (1 + rng.uniform(0.1, 0.5) * bumps * np.hanning(120))[:, None]

    # Most strands are short, so that the mass thins out; a few are long. Combed hair hangs or blows one way.
    combed, lush = rng.random() < 0.4, rng.uniform(0.5, 2.0)
    mean = rng.uniform(0.08, 0.25) if combed else rng.uniform(0.02, 0.09)
    thin = min(1.0, (450 / view.scale) ** 0.5)
    count = int(2200 * lush / thin)
    root = rng.integers(0, 120, count)
    along = np.roll(body, -1, 0)[root] - np.roll(body, 1, 0)[root]
    outward = np.arctan2(-along[:, 0], along[:, 1]) + normal(rng, rng.uniform(0.3, 0.9), count)
    t = np.linspace(0, 1, STEPS, dtype=np.float32)
    if combed:
        flow, phase = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
        locks = rng.uniform(0, 0.5) * np.sin(root * rng.uniform(0.1, 0.8) + phase)
        outward = flow + locks + normal(rng, rng.uniform(0.03, 0.25), count)
    bend = 0.3 if combed else 1.0
    curl, waves = bend * rng.uniform(0.0, 1.8) * uniform(rng, 0.3, 1.0, count, 1), rng.uniform(0.5, 5)
    wander = np.cumsum(normal(rng, bend * rng.uniform(0.03, 0.25), count, STEPS), 1)
    sway = curl * np.sin(2 * np.pi * (waves * t + uniform(rng, 0, 1, count, 1)))
    droop = bend * rng.uniform(-0.2, 1.2) * t * np.sin(np.pi / 2 - outward)[:, None]
    heading = outward[:, None] + sway + wander + droop
    length = np.minimum(mean * rng.exponential(1.0, count), 0.45).astype(np.float32)
    starts = [x, y] + (body[root] - [x, y]) * uniform(rng, 0.85, 1.02, count, 1)
    paths = grow_hairs(starts.astype(np.float32), heading, length)

    view = aim(rng, view, np.concatenate([body[::4], paths[::15, STEPS // 2], paths[::15, -1]]))
    width = rng.uniform(0.0008, 0.002) * thin
    canvas, sheet = new_canvas(view, width)
    faint, dense = np.split(paths, [int(count * rng.uniform(0.5, 1.0))])
    light = np.clip(1 + normal(rng, rng.uniform(0.02, 0.25), 24, 1), 0.5, 1.6)
    tones = light * np.linspace(colour, shine, 24)[rng.permutation(24)]
    # A strand thinner than a pixel covers part of it.
    draw_strands(canvas, sheet, faint, tones, width, (rng.uniform(0.08, 0.4), rng.uniform(0.3, 0.9)))
    fill_shape(canvas, sheet, body, make_paint(colour * rng.uniform(0.4, 0.9)))
    draw_strands(canvas, sheet, dense, tones, width)
    inner = grow_hairs(
        (starts + normal(rng, 0.05, count, 2)).astype(np.float32)[::2], heading[::2], np.minimum(length[::2], 0.06)
    )
    draw_strands(canvas, sheet, inner, tones * 0.9, width)
    return soft_focus(rng, to_layers(canvas, view))
