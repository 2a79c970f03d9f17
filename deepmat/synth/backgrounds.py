"""Backgrounds with the statistics of photographs: clutter, landscape, room, lights out of focus."""

import cv2
import numpy as np

from deepmat.synth.drawing import (
    check_sides,
    coordinates,
    defocus,
    ellipse_outline,
    fill_shape,
    fractal_noise,
    gaussian_blur,
    make_paint,
    mix,
    random_colour,
    smooth_step,
    to_bytes,
)


def _clutter(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Dead leaves: shapes over shapes, small ones far more often than large ones, as in any cluttered scene."""
    middle, spread = rng.random(), rng.choice([0.06, 0.15, 0.5])
    canvas, unit = np.full((height, width, 3), 90, np.uint8), float(min(height, width))
    for size in np.minimum(0.018 / rng.uniform(0.035, 1, int(rng.integers(300, 700))), 0.4):
        centre = rng.uniform(-0.55, 0.55, 2) * [width / unit, height / unit]
        outline = ellipse_outline(centre[0], centre[1], size, size * rng.uniform(0.2, 1), rng.uniform(0, np.pi))
        colour = random_colour(rng, (middle - spread, middle + spread), (0.0, 0.6), (0.1, 0.9))
        fill_shape(canvas, unit, outline[:: int(rng.choice([1, 1, 12, 18, 24]))], make_paint(colour)[:3])
    ragged = [0.06 * unit * (fractal_noise(rng, height, width, 1.2, 4) - 0.5) for _ in range(2)]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    shapes = cv2.remap(canvas, columns + ragged[0], rows + ragged[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return shapes.astype(np.float32) / 255 * (0.6 + 0.8 * fractal_noise(rng, height, width, 0.4, 8))[..., None]


def _land(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Sky with clouds above ridges that come out of the haze, down to a rough ground."""
    x, y = coordinates(height, width)
    y = y + 0 * x
    sky, haze = (
        random_colour(rng, (0.52, 0.65), (0.2, 0.7), (0.6, 1)),
        random_colour(rng, (0.02, 0.6), (0.05, 0.25), (0.75, 1)),
    )
    clouds = smooth_step(fractal_noise(rng, height, width, 1.1, 2), rng.uniform(0.35, 0.55), 0.85) * smooth_step(
        y, 0.1, -0.3
    )
    colour = mix(mix(sky, haze, smooth_step(y, -0.5, 0.1)), np.float32(0.97), clouds)
    ground = random_colour(rng, (0.07, 0.4), (0.3, 0.7), (0.2, 0.55))
    for near in np.linspace(0, 1, int(rng.integers(3, 6))):
        ridge = -0.1 + 0.4 * near + (0.35 - 0.25 * near) * (fractal_noise(rng, 8, width, 1.2, 3)[4] - 0.5)
        rough = 1 + (0.2 + 0.9 * near) * (fractal_noise(rng, height, width, 0.5, 12) - 0.5)
        slope = (haze * 0.9 + (ground - haze * 0.9) * (0.25 + 0.75 * near)) * rough[..., None]
        colour = mix(colour, slope, np.clip((y - ridge) * min(height, width), 0, 1))
    return colour


def _room(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A wall of bricks or tiles above a floor, and boxes that stand before it."""
    x, y = coordinates(height, width)
    wall, floor = (random_colour(rng, (0.0, 0.65), (0.05, 0.5), (0.35, 0.9)) for _ in range(2))
    down, base = rng.uniform(2, 14), rng.uniform(0.15, 0.4)
    row, column = y * down, x * down * rng.uniform(0.3, 1) + 0.5 * (np.floor(y * down) % 2)
    seam = np.minimum(np.abs(row - np.rint(row)), np.abs(column - np.rint(column)))
    shade = 0.08 * np.sin(np.floor(column) * 12.9 + np.floor(row) * 78.2) - 0.25 * smooth_step(seam, 0.05, 0.0)
    colour = mix(wall * (1 + shade[..., None]), floor, (y > base) + 0 * x)
    canvas, unit = np.rint(np.clip(colour, 0, 1) * 255).astype(np.uint8), float(min(height, width))
    for foot in base + np.sort(rng.uniform(-0.02, 0.15, int(rng.integers(2, 9)))):
        left, wide, tall = rng.uniform(-0.8, 0.7), rng.uniform(0.05, 0.3), rng.uniform(0.1, 0.6)
        paint = random_colour(rng, (0, 1), (0.0, 0.7), (0.1, 0.9))
        box = np.array([[left, foot], [left, foot - tall], [left + wide, foot - tall], [left + wide, foot]])
        fill_shape(canvas, unit, box, make_paint(paint)[:3])
        fill_shape(canvas, unit, (box - box[2]) * [0.25, 1] + box[2], make_paint(paint * 0.6)[:3])
    return canvas.astype(np.float32) / 255 * (0.8 + 0.4 * fractal_noise(rng, height, width, 0.4, 8))[..., None]


def _lights(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Soft shapes far out of focus, with the discs that points of light become there."""
    unit, size = float(min(height, width)), rng.uniform(0.015, 0.05)
    colour = gaussian_blur(_clutter(rng, height, width), 0.06 * unit) * rng.uniform(0.3, 0.8)
    for _ in range(int(rng.integers(3, 7))):
        discs = np.zeros((height, width), np.uint8)
        for centre in rng.uniform(-0.55, 0.55, (8, 2)) * [width / unit, height / unit]:
            radius = size * rng.uniform(0.7, 1.2)
            fill_shape(discs, unit, ellipse_outline(centre[0], centre[1], radius, radius), [rng.uniform(60, 200)])
        colour += random_colour(rng, (0, 0.6), (0.1, 0.7), (0.6, 1)) * (discs.astype(np.float32) / 255)[..., None]
    return colour


SCENES = (_clutter, _land, _room, _lights)


def background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A random photo-like picture, uint8 RGB [H, W, 3]. DataError if a side is under 32 pixels."""
    check_sides(height, width)
    colour = SCENES[rng.integers(len(SCENES))](rng, height, width)
    x, y = coordinates(height, width)
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.25 * (x * np.cos(turn) + y * np.sin(turn)) - 0.15 * (x**2 + y**2)
    colour = colour * (light * (0.8 + 0.4 * fractal_noise(rng, height, width, 0.9)))[..., None]
    depth = smooth_step(fractal_noise(rng, height, width, 2.0, 2, 4) + y * rng.normal(0, 1), 0.2, 0.9)
    blurred = defocus(colour.astype(np.float32), depth, rng.choice([0.001, 0.006, 0.02]) * min(height, width))
    return to_bytes(rng, blurred, rng.uniform(0.005, 0.025))
