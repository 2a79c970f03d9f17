"""Backgrounds that are surfaces: clutter, cloth, stone, wood, a studio, a poster."""

import string

import cv2
import numpy as np

from deepmat.synth.colours import Pick
from deepmat.synth.drawing import (
    coordinates,
    fill_convex,
    fractal_noise,
    make_paints,
    mix,
    plain,
    smooth_step,
    spread_out,
    uniform,
    whole,
)


def _turned(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates turned by a random angle."""
    return coordinates(whole(height, width)._replace(turn=rng.uniform(0, 2 * np.pi)))


def _within(place: np.ndarray, side: int) -> np.ndarray:
    """place modulo side. np.mod is slow on floats."""
    return place - np.floor(place * np.float32(1 / side)) * np.float32(side)


def clutter(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Dead leaves: shapes over shapes, small ones far more often than large ones, as in any cluttered scene."""
    middle, spread, count, points = rng.random(), rng.choice([0.06, 0.15, 0.5]), int(rng.integers(150, 350)), 16
    view = whole(height, width)
    size = np.minimum(0.022 / uniform(rng, 0.035, 1, count, 1, 1), 0.45)
    # a triangle is a circle whose points fall together at three corners
    corners = rng.choice([points, points, 3, 4, 5], (count, 1))
    t = np.floor(np.arange(points) * corners / points) / corners * 2 * np.pi
    shape = np.stack([np.cos(t), np.sin(t) * uniform(rng, 0.2, 1, count, 1)], -1).astype(np.float32)
    turn = uniform(rng, 0, 2 * np.pi, count)
    cos, sin = np.cos(turn), np.sin(turn)
    shape = size * (shape @ np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], 1))
    shape += uniform(rng, -0.55, 0.55, count, 1, 2) * np.array([width, height], np.float32) / min(height, width)
    canvas = plain(height, width, pick((0, 1), (0.0, 0.6), (0.1, 0.6)))
    colours = pick((middle - spread, middle + spread), (0.0, 0.6), (0.05, 0.95), count)
    fill_convex(canvas, view, shape, make_paints(colours))
    ragged = [np.float32(0.06 * view.scale) * (fractal_noise(rng, height, width, 1.2, 4) - 0.5) for _ in range(2)]
    columns, rows = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    return cv2.remap(canvas, columns + ragged[0], rows + ragged[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def cloth(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Woven or knitted cloth, plain, striped or checked, in soft folds."""
    u, v = _turned(rng, height, width)
    bend = np.float32(0.15) * fractal_noise(rng, height, width, 2.0, 2, 8)
    u, v = u + bend, v + bend
    colours = pick((0, 1), (0.0, 0.8), (0.1, 0.95), 4)
    bands = colours[rng.integers(0, rng.integers(1, 5), 64)]  # along each thread, one colour after the other
    number = np.float32(rng.uniform(2, 30))

    def stripes(p: np.ndarray) -> np.ndarray:
        return bands[(p * number).astype(np.int32) & 63]

    colour = stripes(u + 8)
    if rng.random() < 0.5:
        colour = 0.5 * (colour + stripes(v + 8))
    yarn = np.float32(2 * np.pi * rng.uniform(20, 90))
    knit = np.abs(np.sin(u * yarn * 0.25)) if rng.random() < 0.4 else 0
    weave = np.sin(u * yarn) * np.sin(v * yarn + 3 * knit)
    folds = np.sin(8 * fractal_noise(rng, height, width, 2.0, 2, 6)) * rng.uniform(0, 0.35)
    return colour * spread_out(0.85 + rng.uniform(0.02, 0.3) * weave + folds)


def stone(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Rock, plaster, sand or marble: mottled, speckled, with or without veins."""
    first, second, third = pick((0.0, 0.65), (0.0, 0.4), (0.15, 0.95), 3)
    coarse, slope = rng.uniform(2, 12), rng.uniform(0.3, 1.4)
    patches = fractal_noise(rng, height, width, slope, coarse)
    colour = mix(first, second, smooth_step(patches, 0.3, 0.7))
    vein = np.abs(fractal_noise(rng, height, width, 1.2, 3) - 0.5)
    colour = mix(colour, third, rng.uniform(0, 0.9) * smooth_step(vein, rng.uniform(0.01, 0.08), 0.0))
    speckle = fractal_noise(rng, height, width, 0.1, min(height, width) / 8)
    return colour * spread_out(1 + rng.uniform(0, 0.9) * (speckle - 0.5))


def wood(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Boards with rings and pores along the grain."""
    u, v = _turned(rng, height, width)
    board = np.float32(rng.uniform(1.5, 8))
    number = np.floor(v * board)
    shift = np.sin(number * 12.9898) * 3
    wobble = fractal_noise(rng, 256, 256, 1.5, 3)
    place = _within(u * 40 + shift * 41, 256), _within(v * 160 + shift * 53, 256)
    bent = cv2.remap(wobble, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    ring = 0.5 + 0.5 * np.sin(rng.uniform(15, 60) * (v + 0.25 * bent + 0.1 * shift))
    pores = cv2.resize(rng.random((512, 8), np.float32), (256, 512), interpolation=cv2.INTER_LINEAR)
    lines = _within(u * 60 + shift * 30, 256), _within(v * 500, 512)
    ring = ring * 0.7 + 0.5 * cv2.remap(pores, *lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    dark, light = pick((0.03, 0.1), (0.3, 0.7), (0.15, 0.5)), pick((0.05, 0.12), (0.2, 0.6), (0.5, 0.95))
    seam = np.abs(v * board - np.rint(v * board))
    shade = (1 + 0.15 * np.sin(number * 78.233)) * (1 - 0.7 * smooth_step(seam, 0.03, 0.0))
    return mix(dark, light, np.clip(ring, 0, 1)) * spread_out(shade)


def studio(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """A paper or painted backdrop, lit by a soft lamp."""
    _, y = coordinates(whole(height, width))
    near, far = (pick((0, 1), (0.0, 0.9), (0.05, 1.0)) for _ in range(2))
    if rng.random() < 0.6:
        far = near * rng.uniform(0.5, 1.0)
    if rng.random() < 0.3:
        share = smooth_step(y, 0.1, rng.uniform(0.12, 0.5))
    else:
        u, v = _turned(rng, height, width)
        share = smooth_step(cv2.magnitude(u - rng.normal(0, 0.3), v - rng.normal(0, 0.3)), 0.0, 0.9)
    share = share + float(rng.choice([0.0, 0.3])) * (fractal_noise(rng, height, width, 1.3, 3) - 0.5)
    return mix(near, far, share)


def poster(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Print: flat colours with hard edges, stripes, boxes and words."""
    view, canvas = whole(height, width), plain(height, width, pick((0, 1), (0.0, 0.9), (0.1, 1.0)))
    for _ in range(int(rng.integers(3, 9))):
        count, turn = int(rng.integers(1, 12)), rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
        cos, sin = np.cos(turn), np.sin(turn)
        at, step, wide = rng.uniform(-0.7, 0.3), rng.uniform(0.03, 0.2), rng.uniform(0.2, 0.8)
        long, left = rng.choice([0.05, 0.3, 2.0]), rng.uniform(-0.6, 0.6)
        box = np.array([[left, 0], [left + long, 0], [left + long, wide * step], [left, wide * step]])
        boxes = box + np.stack([np.zeros(count), at + step * np.arange(count)], -1)[:, None]
        turned = boxes @ np.array([[cos, sin], [-sin, cos]])
        colours = pick((0, 1), (0.0, 1.0), (0.0, 1.0), count)
        fill_convex(canvas, view, turned, make_paints(colours if rng.random() < 0.3 else colours[:1].repeat(count, 0)))
    for _ in range(int(rng.integers(0, 7))):
        word = "".join(rng.choice(list(string.ascii_letters + string.digits), int(rng.integers(2, 9))))
        size = view.scale * rng.uniform(0.002, 0.012)
        paint = (255 * pick((0, 1), (0.0, 1.0), (0.0, 1.0))).tolist()
        place = int(rng.uniform(-0.1, 0.7) * width), int(rng.uniform(0.1, 1.0) * height)
        cv2.putText(canvas, word, place, int(rng.integers(0, 5)), size, paint, max(1, round(size * 2.5)), cv2.LINE_AA)
    return canvas
