"""Backgrounds that are places: land, water, a room, a city, plants, lights."""

import cv2
import numpy as np

from deepmat.synth.backgrounds.surfaces import clutter
from deepmat.synth.camera import gaussian_blur
from deepmat.synth.colours import Pick
from deepmat.synth.drawing import (
    coordinates,
    dye,
    ellipse_outline,
    fill_convex,
    fractal_noise,
    make_paints,
    mix,
    normal,
    plain,
    smooth_step,
    spread_out,
    to_bytes,
    uniform,
    whole,
)


def _sky(rng: np.random.Generator, pick: Pick, height: int, width: int, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sky with clouds, and the colour of the haze at its foot."""
    sky, haze = pick((0.52, 0.65), (0.1, 0.7), (0.5, 1)), pick((0.02, 0.6), (0.05, 0.25), (0.7, 1))
    clouds = smooth_step(fractal_noise(rng, height, width, 1.1, 2), rng.uniform(0.35, 0.7), 0.9)
    clouds *= smooth_step(y, 0.2, -0.3)
    return mix(mix(sky, haze, smooth_step(y, -0.5, 0.1)), np.float32(0.97), clouds), haze


def land(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Sky with clouds above ridges that come out of the haze, down to a rough ground."""
    _, y = coordinates(whole(height, width))
    colour, haze = _sky(rng, pick, height, width, y)
    ground, rough = pick((0.07, 0.4), (0.3, 0.7), (0.2, 0.55)), fractal_noise(rng, height, width, 0.5, 12) - 0.5
    lift = rng.uniform(-0.25, 0.15)
    for near in np.linspace(0, 1, int(rng.integers(2, 5))).tolist():
        edge = fractal_noise(rng, 8, width, 1.2, 3)[4] - 0.5
        ridge = lift + 0.4 * near + (0.35 - 0.25 * near) * edge
        shade = 1 + (0.2 + 0.9 * near) * np.roll(rough, int(near * width), 1)
        slope = (haze * 0.9 + (ground - haze * 0.9) * (0.25 + 0.75 * near)) * spread_out(shade)
        colour = mix(colour, slope, np.clip((y - ridge) * min(height, width), 0, 1).astype(np.float32))
    return colour


def water(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Ripples that grow towards the viewer and mirror the sky, below a horizon or filling the picture."""
    x, y = coordinates(whole(height, width))
    deep, shallow = pick((0.4, 0.62), (0.3, 0.9), (0.1, 0.5)), pick((0.45, 0.62), (0.05, 0.5), (0.5, 1.0))
    horizon = rng.uniform(-0.9, 0.1)
    distance = 1 / np.maximum(y - horizon, 0.02)
    waves = fractal_noise(rng, height, width, 0.9, 6)
    flat = rng.uniform(0.2, 1.0)
    columns, rows = (x * distance * np.float32(0.3) + 0.5) * width, distance * np.float32(flat * height)
    waves = cv2.remap(waves, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    colour = mix(deep, shallow, np.clip(1.8 * waves - 0.4, 0, 1)) + spread_out(0.8 * smooth_step(waves, 0.72, 0.95))
    if horizon > -0.5:
        sky, _ = _sky(rng, pick, height, width, y - horizon)
        colour = mix(sky, colour, np.clip((y - horizon) * min(height, width), 0, 1))
    return colour


def room(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """A wall of bricks, tiles or plaster above a floor, and boxes that stand before it."""
    view = whole(height, width)
    x, y = coordinates(view)
    wall, floor = (pick((0.0, 0.65), (0.05, 0.5), (0.25, 0.9)) for _ in range(2))
    down, base = rng.uniform(2, 14), rng.uniform(0.1, 0.6)
    row = y * np.float32(down)
    level = np.floor(row)
    column = x * np.float32(down * rng.uniform(0.3, 1)) + 0.5 * (level % 2)
    seam = np.minimum(np.abs(row - np.rint(row)), np.abs(column - np.rint(column)))
    strength = float(rng.choice([0.0, 0.5, 1.0]))
    shade = 0.08 * np.sin(np.floor(column) * 12.9 + level * 78.2) - 0.25 * smooth_step(seam, 0.05, 0.0)
    colour = mix(dye(wall, 1 + strength * shade), floor, (y > base).astype(np.float32))
    canvas, count = to_bytes(colour.astype(np.float32)), int(rng.integers(2, 12))
    foot = base + np.sort(rng.uniform(-0.02, 0.15, count)) - rng.choice([0.0, 0.0, 0.4], count)
    left, wide, tall = rng.uniform(-0.8, 0.7, count), rng.uniform(0.03, 0.3, count), rng.uniform(0.1, 0.7, count)
    paint = pick((0, 1), (0.0, 0.7), (0.1, 0.9), count)
    sides, ends = [left, left, left + wide, left + wide], [foot, foot - tall, foot - tall, foot]
    box = np.stack([np.stack(sides, -1), np.stack(ends, -1)], -1)
    side = (box - box[:, 2:3]) * [0.25, 1] + box[:, 2:3]
    tones = (paint[:, None] * np.array([[1.0], [0.6]])).reshape(-1, 3)
    fill_convex(canvas, view, np.stack([box, side], 1).reshape(-1, 4, 2), make_paints(tones))
    return canvas


def city(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """House fronts with rows of windows, by day or at night, seen at a slant."""
    night = rng.random() < 0.4
    _, y = coordinates(whole(height, width))
    if night:
        low, high = pick((0.55, 0.75), (0.3, 0.8), (0.1, 0.4)), pick((0.6, 0.7), (0.3, 0.9), (0.02, 0.12))
        colour = mix(high, low, smooth_step(y, -0.5, 0.3))
    else:
        colour, _ = _sky(rng, pick, height, width, y)
    canvas = to_bytes(colour.astype(np.float32))
    for near in np.linspace(0.3, 1, int(rng.integers(5, 14))):
        wide = max(8, int(width * rng.uniform(0.1, 0.4) * near))
        top = int(height * max(0.0, rng.uniform(0.1, 0.75) - 0.3 * near))
        left = int(rng.integers(-wide // 2, width - wide // 2))
        front = canvas[top:, max(left, 0) : left + wide]
        storeys, bays = int(rng.integers(3, 16)), int(rng.integers(2, 9))
        wall, glass = pick((0.0, 0.65), (0.0, 0.4), (0.2, 0.9)), pick((0.5, 0.65), (0.1, 0.5), (0.15, 0.6))
        pane = glass * uniform(rng, 0.6, 1.4, storeys, bays, 1)
        if night:
            wall, lamps = wall * 0.12, pick((0.08, 0.16), (0.2, 0.7), (0.7, 1.0))
            lit = rng.random((storeys, bays, 1)) < 0.35
            pane = np.where(lit, lamps * uniform(rng, 0.5, 1.2, storeys, bays, 1), glass * 0.1)
        # one storey of one bay: wall all round, a pane in the middle
        cell = np.zeros((6, 6, 1), np.float32)
        margin = int(rng.integers(1, 3))
        cell[1:5, margin : 6 - margin] = 1
        shown = np.tile(cell, (storeys, bays, 1))
        small = wall + (np.repeat(np.repeat(pane, 6, 0), 6, 1) - wall) * shown
        size = front.shape[1::-1]
        front[:] = cv2.resize(to_bytes(small.astype(np.float32)), size, interpolation=cv2.INTER_AREA)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    slant = cv2.getPerspectiveTransform(corners, corners + normal(rng, 0.08, 4, 2) * corners[2])
    return cv2.warpPerspective(canvas, slant, (width, height), borderMode=cv2.BORDER_REFLECT)


def plants(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Leaves or blades of grass, the deeper the darker."""
    view, count = whole(height, width), int(rng.integers(150, 350))
    hue = rng.uniform(0.12, 0.36)
    deep = pick((hue, hue), (0.4, 0.9), (0.03, 0.2))
    near = pick((hue - 0.06, hue + 0.06), (0.3, 0.9), (0.3, 0.9), count)
    paint = deep + (near - deep) * np.linspace(0.1, 1, count)[:, None]
    middle = uniform(rng, -0.6, 0.6, count, 2) * np.array([width, height], np.float32) / min(height, width)
    if rng.random() < 0.4:  # grass
        lean = rng.normal(0, 0.3) + normal(rng, 0.35, count)
        long = uniform(rng, 0.2, 0.7, count) * rng.uniform(0.5, 1.2)
        top = np.stack([np.sin(lean), -np.cos(lean)], -1) * long[:, None]
        foot = np.stack([long * uniform(rng, 0.01, 0.03, count), np.zeros(count)], -1)
        waist = middle + 0.6 * top
        outlines = np.stack([middle - foot, waist - 0.6 * foot, middle + top, waist + 0.6 * foot, middle + foot], 1)
        outlines[..., 1] += 0.3
    else:
        turn = rng.uniform(0, 6) + normal(rng, rng.choice([0.5, 3.0]), count)
        long = uniform(rng, 0.02, 0.12, count, 1) * rng.uniform(0.5, 2.0)
        t = np.linspace(0, 2 * np.pi, 12, endpoint=False, dtype=np.float32)
        u, v = np.cos(t) * long, np.sin(t) * np.abs(np.sin(t)) * long * uniform(rng, 0.3, 0.7, count, 1)
        cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
        outlines = np.stack([u * cos - v * sin, u * sin + v * cos], -1) + middle[:, None]
    canvas = plain(height, width, deep)
    fill_convex(canvas, view, outlines, make_paints(paint))
    return canvas


def lights(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Soft shapes far out of focus, with the discs that points of light become there."""
    view, size, count = whole(height, width), rng.uniform(0.012, 0.06), int(rng.integers(15, 60))
    small = clutter(rng, max(8, height // 8), max(8, width // 8), pick) * np.float32(rng.uniform(0.0004, 0.003))
    small = gaussian_blur(small, 0.06 * min(small.shape[:2]))
    colour = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    radii = size * uniform(rng, 0.7, 1.2, count, 1, 1)
    where = uniform(rng, -0.55, 0.55, count, 1, 2) * np.array([width, height]) / min(height, width)
    paint = make_paints(pick((0, 0.6), (0.1, 0.8), (0.3, 1), count) * uniform(rng, 0.15, 0.9, count, 1))
    for part in range(2):
        discs = np.zeros((height, width, 3), np.uint8)
        fill_convex(discs, view, (where + radii * ellipse_outline(0, 0, 1, 1, count=40))[part::2], paint[part::2])
        colour = colour + discs * np.float32(1 / 255)
    return colour
