"""Translucent subjects: glass and smoke."""

import cv2
import numpy as np

from deepmat.synth.drawing import (
    Span,
    View,
    aim,
    bump,
    coordinates,
    dye,
    mix,
    random_colour,
    smooth_step,
    spread_out,
    stack_layers,
    texture,
    to_units,
)

# silhouette as (depth, radius), span of levels and floor of the drink, span of the reflections; all in glass heights
GLASSES: tuple[tuple[tuple[Span, ...], Span, float, Span], ...] = (
    (
        ((0, 0.21), (0.12, 0.25), (0.28, 0.25), (0.42, 0.17), (0.5, 0.05), (0.54, 0.022), (0.92, 0.022), (1, 0.17)),
        (0.12, 0.25),
        0.5,
        (0.05, 0.36),
    ),
    (((0, 0.24), (0.5, 0.215), (0.9, 0.19), (1, 0.18)), (0.2, 0.6), 0.97, (0.1, 0.85)),
    (
        ((0, 0.07), (0.04, 0.06), (0.25, 0.06), (0.4, 0.17), (0.6, 0.22), (0.85, 0.2), (1, 0.15)),
        (0.35, 0.6),
        0.97,
        (0.45, 0.85),
    ),
)


def glass(rng: np.random.Generator, view: View) -> np.ndarray:
    """A goblet, tumbler or flask: clear inside, bright at the rims, with reflections and sometimes a drink."""
    silhouette, levels, floor, bowl = GLASSES[rng.integers(len(GLASSES))]
    tall, top = 0.76, -0.39
    tilt = 0.16  # how far the rims open towards the viewer
    fine = np.linspace(0, 1, 400)
    shape = cv2.GaussianBlur(np.interp(fine, *np.array(silhouette).T).astype(np.float32)[None], (0, 0), 12)[0] * tall
    sides = [np.stack([side * shape, top + tall * fine], -1)[::16] for side in (-1, 1)]
    view = aim(rng, view, np.concatenate(sides))
    x, y = coordinates(view)
    unit, t = np.float32(view.scale), (y - top) / np.float32(tall)
    radius = cv2.remap(
        shape[None], t * np.float32(399), np.zeros_like(t), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    inside = np.clip((radius - np.abs(x)) * unit + 0.5, 0, 1) * np.clip(t * (1 - t) * tall * unit + 0.5, 0, 1)
    q = np.clip(np.abs(x) / radius, 0, 1)
    rim = np.maximum(q * q, 0.01)
    alpha = inside * (rng.uniform(0.03, 0.2) + 0.75 * rim**4 + np.float32(0.35) * (radius < 0.04))
    tint = random_colour(rng, (0.2, 0.6), (0.0, 0.3), (0.6, 0.95))
    shade = 0.75 + 0.25 * np.sin(q * 9 + 2 * t) - 0.45 * bump((q - 0.88) / 0.06)
    colour = dye(tint, shade)

    if rng.random() < 0.7:
        fill, drink = rng.uniform(*levels), random_colour(rng, (0.0, 1.0), (0.3, 0.9), (0.2, 0.9))
        at = float(np.interp(fill, fine, shape)) * 0.95
        surface = cv2.magnitude(x / at, (y - (top + fill * tall)) / (at * tilt))
        below = np.maximum(smooth_step(t, fill, fill + 0.004), np.clip((1 - surface) * at * tilt * unit, 0, 1))
        wet = below * smooth_step(t, floor, floor - 0.05) * inside * smooth_step(q, 1.0, 0.93)
        alpha = alpha + (rng.uniform(0.3, 0.85) - alpha) * wet
        colour = mix(colour, dye(drink, 0.7 + 0.4 * q), wet)
        colour += spread_out(0.18 * smooth_step(surface, 1.04, 0.98) * inside)
    for edge, reach in ((top, float(shape[0])), (top + tall, float(shape[-1]))):
        across, along = x / reach, (y - edge) / (reach * tilt)
        level = cv2.magnitude(across, along) + 1e-6
        distance = (level - 1) * level / (cv2.magnitude(across / reach, along / (reach * tilt)) + 1e-6)  # first order
        disc = np.clip(-distance * unit, 0, 1)
        ring = bump((distance + 0.006) / max(0.005, 0.8 / view.scale))
        alpha = np.maximum(alpha, np.maximum(0.14 * disc, 0.9 * ring))
        colour += spread_out(0.25 * ring)
    window = smooth_step(t, bowl[0], bowl[0] + 0.06) * smooth_step(t, bowl[1], bowl[1] - 0.08)
    for place, spread, strength in ((-0.62, 0.07, 0.9), (0.72, 0.035, 0.6), (-0.42, 0.025, 0.5)):
        glint = bump((x / radius - place * rng.uniform(0.9, 1.1)) / spread) * (window * inside * strength)
        alpha = alpha + (1 - alpha) * glint
        colour = mix(colour, 1.0, glint)
    return stack_layers(colour, alpha)


def smoke(rng: np.random.Generator, view: View) -> np.ndarray:
    """A plume that rises, widens and curls: a column carried along by a turbulent flow without sources."""
    lean, wobble, bend, phase = rng.normal(0, 0.15), rng.uniform(0.02, 0.07), rng.uniform(4, 9), rng.uniform(0, 6)
    width, grow = rng.uniform(0.02, 0.04), rng.uniform(0.12, 0.22)
    tall, broad = (side / min(view.height, view.width) / 2 for side in (view.height, view.width))
    dense, tint = rng.uniform(2.0, 5.0), random_colour(rng, (0, 1), (0.0, 0.2), (0.3, 1.0))

    def axis(age: np.ndarray) -> np.ndarray:
        return lean * age + wobble * np.sin(bend * age + phase) * age * 2

    old = np.repeat(np.linspace(0.05, 0.7, 12), 2)
    edge = axis(old) + np.tile([-1, 1], 12) * (width + grow * old)
    view = aim(rng, view, np.stack([edge, tall - (old + 0.05) * 2 * tall], -1))

    # smoke has no fine detail: draw it smaller and enlarge it
    shrink = max(1.0, min(view.height, view.width) / 192)
    small = view._replace(
        height=round(view.height / shrink), width=round(view.width / shrink), scale=view.scale / shrink
    )
    flow = texture(rng, small, 1.9, 4, 64)
    step = np.stack([cv2.Sobel(flow, cv2.CV_32F, 0, 1), -cv2.Sobel(flow, cv2.CV_32F, 1, 0)], -1)
    step *= 0.02 * small.scale / np.abs(step).max()
    columns, rows = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in (small.width, small.height)))
    for _ in range(7):  # follow the flow backwards
        moved = cv2.remap(step, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        columns, rows = columns + moved[..., 0], rows + moved[..., 1]
    x, y = to_units(small, columns, rows)
    age = np.clip(0.95 - (y + tall) / np.float32(2 * tall), 0, 1)
    column = bump(1.22 * (x - axis(age)) / (width + grow * age))
    wisps = cv2.remap(texture(rng, small, 1.1, 5), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    density = column * smooth_step(age, 0.0, 0.04) * smooth_step(age, 0.95, 0.35)
    density = density * cv2.pow(np.clip(2.2 * wisps - 0.45, 0, None), 1.5)
    x, y = coordinates(small)
    density *= smooth_step(np.minimum(broad - np.abs(x), tall - np.abs(y)), 0.0, 0.12)
    alpha = np.clip((1 - cv2.exp(np.float32(-dense) * density) - 0.01) / 0.98, 0, 1)
    colour = dye(tint, 0.45 + 0.35 * wisps + 0.25 * alpha)
    layers = cv2.resize(stack_layers(colour, alpha), (view.width, view.height), interpolation=cv2.INTER_CUBIC)
    return np.clip(layers, 0, 1)
