"""Solid subjects with a plain edge: leaves, and a blob that is partly out of focus."""

import cv2
import numpy as np

from deepmat.synth.camera import defocus, gaussian_blur
from deepmat.synth.drawing import (
    View,
    aim,
    bump,
    coordinates,
    draw_lines,
    draw_strands,
    fill_shape,
    grow_hairs,
    make_paint,
    mix,
    new_canvas,
    over,
    random_colour,
    shade,
    smooth_step,
    spread_out,
    stack_layers,
    texture,
    to_layers,
)


def blob(rng: np.random.Generator, view: View) -> np.ndarray:
    """A round painted body, partly out of focus."""
    turn, waves = rng.uniform(0, 2 * np.pi), np.arange(2, 6)
    size, bumps, phases = rng.uniform(0.22, 0.32), rng.normal(0, 0.12, 4) / waves, rng.uniform(0, 2 * np.pi, 4)

    def outline(angle: np.ndarray) -> np.ndarray:
        out = np.full_like(angle, size)
        for wave, swell, phase in zip(waves, bumps, phases, strict=True):
            out *= 1 + np.float32(swell) * np.cos(np.float32(wave) * angle + np.float32(phase))
        return out

    around = np.linspace(0, 2 * np.pi, 32)
    view = aim(rng, view, outline(around)[:, None] * np.stack([np.cos(around - turn), np.sin(around - turn)], -1))
    x, y = coordinates(view)
    angle, radius = np.arctan2(y, x) + np.float32(turn), cv2.magnitude(x, y)
    reach = outline(angle)
    alpha = np.clip((reach - radius) * np.float32(view.scale) + 0.5, 0, 1)

    rho = np.clip(radius / reach, 0, 0.999)
    bulge = np.sqrt(1 - rho**2)
    u, v = rho * np.cos(angle), rho * np.sin(angle)
    wood = texture(rng, view, 2.0)
    pattern = np.sin(np.float32(rng.uniform(3, 9)) * np.arctan2(u, bulge * 0.8 + 0.3) + 3 * wood)
    first, second = (random_colour(rng, (0, 1), (0.0, 0.9), (0.1, 0.95)) for _ in range(2))
    colour = mix(first, second, smooth_step(pattern + 0.4 * v, -0.15, 0.15))
    lambert = 0.35 + 0.75 * np.clip(0.65 * bulge - (1.7 * x + 2.0 * y) * rho, 0, 1.1)
    lambert *= 0.8 + 0.4 * texture(rng, view, 0.8)
    shine = rng.uniform(0, 0.5) * bump(cv2.magnitude(x + 0.09, y + 0.11) / 0.045)
    colour = colour * spread_out(lambert) + spread_out(shine)

    across = (x - view.x) * np.float32(np.cos(turn)) + (y - view.y) * np.float32(np.sin(turn))
    depth = smooth_step(
        across * view.scale / min(view.height, view.width), rng.uniform(-0.3, 0.0), rng.uniform(0.1, 0.3)
    )
    return defocus(stack_layers(colour, alpha), depth, view.scale * rng.uniform(0.003, 0.04))


def _leaf(
    base: np.ndarray, turn: float, length: float, girth: float, curl: float, teeth: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The halves [2 2K 2], side veins [V 3 2] and middle vein [K 2] of one leaf."""
    t = np.linspace(0, 1, 40, dtype=np.float32)
    heading = turn + curl * t
    middle = grow_hairs(base[None], heading[None], np.array([length]))[0][:-1]
    across = np.stack([-np.sin(heading), np.cos(heading)], -1)
    saw = 1 + 0.12 * ((t * teeth) % 1.0) if teeth else np.ones_like(t)
    half = (girth * length * np.sin(np.pi * t**0.75) * saw)[:, None] * across
    halves = np.stack([np.concatenate([middle, (middle + sign * half)[::-1]]) for sign in (-1, 1)])
    nodes = np.arange(4, 32, 4)
    tips = [(middle + sign * 0.85 * half)[nodes + 6] for sign in (-1, 1)]
    veins = [np.stack([middle[nodes], (middle[nodes + 2] + tip) / 2, tip], 1) for tip in tips]
    return halves, np.concatenate(veins), middle


def leaves(rng: np.random.Generator, view: View) -> np.ndarray:
    """A branch with leaves on both sides, often before another one out of focus."""
    hue, girth = rng.choice([0.04, 0.1, 0.22, 0.28, 0.33]), rng.uniform(0.12, 0.34)
    teeth = int(rng.choice([0, 0, 14, 22]))
    branches = []
    for _ in range(int(rng.integers(1, 3))):
        lean, t = rng.normal(0, 0.3), np.linspace(0, 1, 30)
        foot, heading = np.array([[rng.normal(0, 0.08), 0.44]]), -np.pi / 2 + lean * (1 - 2.4 * t)
        stem = grow_hairs(foot, heading[None], np.array([0.62]))
        made = []
        for i, node in enumerate(np.linspace(6, 30, int(rng.integers(9, 14))).astype(int)):
            out = (1 if i % 2 else -1) * rng.uniform(0.5, 1.1) * (node < 30)
            size, curl = rng.uniform(0.2, 0.3) * (1.1 - 0.4 * node / 30), rng.normal(0, 0.5)
            turn = -np.pi / 2 + lean / 2 + out
            made.append((stem[0, node], turn, size, girth, curl, teeth))
        branches.append((stem, made))
    bodies = [
        base + share * size * np.array([np.cos(turn + curl / 2), np.sin(turn + curl / 2)])
        for base, turn, size, _, curl, _ in branches[-1][1]
        for share in (0.5, 1.0)
    ]
    view = aim(rng, view, np.array(bodies))
    half = 0.5 * np.hypot(view.height, view.width) / view.scale
    layers = np.zeros((view.height, view.width, 4), np.float32)
    for i, (stem, made) in enumerate(branches):
        green = random_colour(rng, (hue - 0.03, hue + 0.03), (0.3, 0.85), (0.2, 0.8))
        canvas, sheet = new_canvas(view)
        draw_strands(canvas, sheet, stem, green[None] * np.array([0.9, 0.6, 0.5]), 0.014)
        for leaf in made:
            if np.hypot(*(leaf[0] - [view.x, view.y])) > half + leaf[2] + 0.1:
                continue
            halves, veins, middle = _leaf(*leaf)
            tone = green * rng.uniform(0.75, 1.25)
            fill_shape(canvas, sheet, halves[0], make_paint(tone))
            fill_shape(canvas, sheet, halves[1], make_paint(tone * 0.8))
            draw_lines(canvas, sheet, veins, make_paint(tone * 1.2), 0.0022)
            draw_lines(canvas, sheet, middle[None], make_paint(tone * 1.35), 0.005)
        branch = to_layers(canvas, view)
        if i < len(branches) - 1:
            branch = shade(
                gaussian_blur(branch, rng.uniform(0.006, 0.025) * view.scale), np.full(view[:2], 0.75, np.float32)
            )
        layers = over(branch, layers) if i else branch
    return shade(layers, 0.75 + 0.5 * texture(rng, view, 0.6, 6))
