"""Everyday subjects: solid, fluffy or petalled bodies, plants of narrow leaves, sieves, veils and flags."""

import cv2
import numpy as np

from deepmat.synth.camera import defocus
from deepmat.synth.drawing import (
    View,
    aim,
    bump,
    coordinates,
    draw_lines,
    draw_strands,
    dye,
    fill_shape,
    grow_hairs,
    make_paint,
    mix,
    new_canvas,
    normal,
    over,
    random_colour,
    random_colours,
    shade,
    smooth_step,
    spread_out,
    stack_layers,
    texture,
    to_layers,
    uniform,
)


def _outline(rng: np.random.Generator, x: float, y: float, size: float, turn: float, petals: int) -> np.ndarray:
    """A closed curve [N 2] around (x, y): round, with petals or points, or (without petals) sometimes with corners."""
    t = np.linspace(0, 2 * np.pi, 160, endpoint=False, dtype=np.float32)
    radius = np.ones_like(t)
    if not petals and rng.random() < 0.35:
        side = 2 * np.pi / rng.integers(3, 7)
        radius = np.cos(side / 2) / np.cos(t % side - side / 2)
    else:
        for wave in range(2, 6):
            radius += np.float32(rng.normal(0, 0.25) / wave**1.5) * np.cos(wave * t + np.float32(rng.uniform(0, 6.3)))
    if petals:
        radius *= 1 + rng.uniform(0.1, 0.45) * (np.abs(np.cos(petals * t / 2)) ** rng.uniform(0.4, 2.5) - 0.5)
    u, v = radius * np.cos(t), radius * np.sin(t) * np.float32(rng.uniform(0.35, 1))
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([x + size * (u * cos - v * sin), y + size * (u * sin + v * cos)], -1).astype(np.float32)


def _fluff(rng: np.random.Generator, outline: np.ndarray, count: int, length: float) -> np.ndarray:
    """Hairs that stand off an outline [N 2]: paths [count 6 2]."""
    along = np.roll(outline, -1, 0) - np.roll(outline, 1, 0)
    at = rng.integers(0, len(outline), count)
    out = np.arctan2(-along[at, 0], along[at, 1])
    roots = outline[at] + along[at] * uniform(rng, -0.5, 0.5, count, 1) - 0.2 * length * _unit(out)
    lean = normal(rng, 0.35, count, 1) + rng.normal(0, 0.5) + normal(rng, 0.5, count, 1) * np.linspace(0, 1, 5)
    return grow_hairs(roots, out[:, None] + lean, length * uniform(rng, 0.3, 1.2, count))


def _unit(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], -1)


def thing(rng: np.random.Generator, view: View) -> np.ndarray:
    """One to seven bodies in a heap, and rods: smooth, fluffy or with petals; some have a hole."""
    count, petals = int(rng.choice([1, 2, 3, 5, 7])), int(rng.choice([0, 0, 0, 7, 13, 24]))
    fluff = rng.uniform(0.012, 0.07) if rng.random() < 0.5 else 0.0
    tints = [random_colour(rng, (0, 1), (0.0, 0.8), (0.08, 0.95)) for _ in range(int(rng.choice([1, 2, 6])))]
    bodies, x, y, size = [], 0.0, 0.05, rng.uniform(0.22, 0.3)
    for _ in range(count):
        bodies.append((_outline(rng, x, y, size, rng.uniform(0, 6.3), petals), size))
        turn = rng.uniform(0, 2 * np.pi)
        x, y = x + 0.9 * size * np.cos(turn), y + 0.9 * size * np.sin(turn)
        x, y, size = float(np.clip(x, -0.25, 0.25)), float(np.clip(y, -0.25, 0.25)), rng.uniform(0.06, 0.2)
    rods = [
        (np.array([[0.15 * a, 0.15 * b], [0.48 * a, 0.45 * b]]) + rng.normal(0, 0.08, (2, 2)), rng.uniform(0.004, 0.04))
        for a, b in rng.uniform(-1, 1, (int(rng.choice([0, 0, 1, 2, 4])), 2))
    ]
    view = aim(rng, view, np.concatenate([outline[::9] for outline, _ in bodies] + [rod for rod, _ in rods]))
    canvas, sheet = new_canvas(view, 0.002 if fluff else 1.0)
    for rod, width in rods:
        draw_lines(canvas, sheet, rod[None], make_paint(tints[-1] * rng.uniform(0.4, 1.2)), width)
    thin = min(1.0, (450 / view.scale) ** 0.4)
    for outline, size in bodies:
        tint = tints[int(rng.integers(len(tints)))] * rng.uniform(0.7, 1.2)
        if fluff:
            tones = tint * np.clip(1 + normal(rng, 0.25, 12, 1), 0.4, 1.6)
            hairs = _fluff(rng, outline, int(min(4000, size * rng.uniform(3000, 9000) / thin)), fluff)
            draw_strands(canvas, sheet, hairs, tones, 0.0024 * thin, (rng.uniform(0.4, 1), 1.0))
        fill_shape(canvas, sheet, outline, make_paint(tint))
        if rng.random() < 0.15:
            middle = outline.mean(0)
            fill_shape(canvas, sheet, middle + 0.45 * (outline - middle), [0.0] * 4)
    layers = shade(to_layers(canvas, view), 0.6 + 0.8 * texture(rng, view, rng.uniform(0.5, 1.5), 4))
    if rng.random() < 0.3:
        depth = smooth_step(texture(rng, view, 2.0, 1.5, 3), 0.4, 0.9)
        layers = defocus(layers, depth, rng.uniform(0.003, 0.025) * view.scale)
    return layers


def plant(rng: np.random.Generator, view: View) -> np.ndarray:
    """A pot plant or tuft: narrow leaves in all directions, dense in the middle, gaps between."""
    green = random_colour(rng, (0.13, 0.4), (0.2, 0.8), (0.2, 0.8))
    count, girth = int(rng.integers(40, 160)), rng.uniform(0.015, 0.1)
    length, fan = rng.uniform(0.1, 0.3), rng.uniform(0.5, 2.0)
    foot = np.array([0.0, rng.uniform(0.1, 0.35)])
    roots = foot + normal(rng, rng.uniform(0.02, 0.1), count, 2) * [1.2, 1.0]
    turn = -np.pi / 2 + uniform(rng, -fan, fan, count)
    t = np.linspace(0, 1, 9, dtype=np.float32)
    sag = uniform(rng, -0.2, 1.2, count, 1) * np.sign(np.cos(turn))[:, None]
    middle = grow_hairs(roots, turn[:, None] + sag * t[1:], length * uniform(rng, 0.5, 1.2, count))
    along = np.gradient(middle, axis=1)
    aside = along[..., ::-1] * [1, -1] / np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-5)[..., None]
    half = girth * length * np.sin(np.pi * np.clip(0.08 + 0.92 * t, 0, 1) ** 0.8)[None, :, None] * aside
    outlines = np.concatenate([middle + half, (middle - half)[:, ::-1]], 1)
    view = aim(rng, view, middle[:, 4:].reshape(-1, 2))
    canvas, sheet = new_canvas(view, girth * length)
    tones = green * uniform(rng, 0.35, 1.0, count, 1) * np.linspace(0.5, 1.2, count)[:, None]
    near = 0.6 * np.hypot(view.height, view.width) / view.scale + length
    for outline, root, tone in zip(outlines, roots, tones, strict=True):
        if np.abs(root - [view.x, view.y]).max() < near:
            fill_shape(canvas, sheet, outline, make_paint(tone))
    if rng.random() < 0.4:
        x, top = rng.uniform(0.1, 0.2), float(foot[1])
        pot = np.array([[-x, top], [x, top], [0.7 * x, 0.6], [-0.7 * x, 0.6]])
        fill_shape(canvas, sheet, pot, make_paint(random_colour(rng, (0, 1), (0.0, 0.7), (0.2, 0.9))))
    return shade(to_layers(canvas, view), 0.7 + 0.6 * texture(rng, view, 0.7, 5))


def _bend(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, strength: float) -> tuple[np.ndarray, ...]:
    """Coordinates of bent cloth, and the slope of its folds, [H W] each."""
    u, v, fold = x.copy(), y.copy(), np.zeros_like(x)
    for _ in range(4):
        (fx, fy), phase = rng.normal(0, 6, 2), rng.uniform(0, 2 * np.pi)
        dx, dy = rng.normal(0, strength, 2)
        swing = np.float32(fx) * x + np.float32(fy) * y + np.float32(phase)
        wave = np.sin(swing)
        u, v = u + wave * np.float32(dx), v + wave * np.float32(dy)
        fold += np.cos(swing) * np.float32(dx * fx + dy * fy)
    return u, v, fold


def _sheet(rng: np.random.Generator, view: View) -> tuple[View, np.ndarray]:
    """The view of a rectangular sheet, and half its width and height [2]."""
    half = np.array([rng.uniform(0.22, 0.4), rng.uniform(0.28, 0.42)])
    t = np.linspace(-1, 1, 16)
    border = [half * np.stack([np.full_like(t, side), t], -1) for side in (-1, 1)]
    border += [half * np.stack([t, np.full_like(t, side)], -1) for side in (-1, 1)]
    return aim(rng, view, np.concatenate([*border, rng.uniform(-1, 1, (60, 2)) * half])), half


def sieve(rng: np.random.Generator, view: View) -> np.ndarray:
    """Sheet metal or mesh full of holes, in a rim."""
    view, half = _sheet(rng, view)
    x, y = coordinates(view)
    u, v, fold = _bend(rng, x, y, rng.uniform(0.0, 0.015))
    taper = 1 + np.float32(rng.uniform(-0.4, 0.4)) * v
    period = max(rng.uniform(0.012, 0.06), 4 / view.scale)
    column, row = u / taper / np.float32(period), v / np.float32(period * rng.uniform(0.6, 1.4))
    if rng.random() < 0.7:  # every other row by half a hole aside
        column = column + 0.5 * (np.floor(row) % 2)
    across, down = (np.abs(part - np.floor(part) - 0.5) for part in (column, row))
    corner = rng.uniform(1.0, 4.0)  # from a rhombus over a disc to a square
    reach = (across**corner + down**corner) ** np.float32(1 / corner)
    hole = np.clip((rng.uniform(0.25, 0.47) - reach) * np.float32(period * view.scale) + 0.5, 0, 1)
    inside = np.minimum(half[0] * taper - np.abs(u), half[1] - np.abs(v)).astype(np.float32)
    rim = smooth_step(inside, 0.03, 0.027)
    alpha = np.maximum(1 - hole, rim) * np.clip(inside * np.float32(view.scale) + 0.5, 0, 1)
    tint = random_colour(rng, (0, 1), (0.0, 0.3), (0.15, 0.9))
    light = 0.7 + rng.uniform(0.1, 0.5) * np.sin(rng.uniform(4, 14) * u + rng.uniform(0, 6)) + 4 * fold
    light = np.clip(light, 0.15, 1.6) * (0.8 + 0.4 * texture(rng, view, 0.7, 8)) + 0.2 * bump((reach - 0.42) / 0.05)
    return stack_layers(dye(tint, light), alpha)


def veil(rng: np.random.Generator, view: View) -> np.ndarray:
    """A veil, curtain or plastic bag: thin all over, thicker in its folds, sometimes shining."""
    view, half = _sheet(rng, view)
    x, y = coordinates(view)
    u, v, fold = _bend(rng, x, y, rng.uniform(0.005, 0.03))
    crumple = texture(rng, view, rng.uniform(0.8, 1.8), 5)
    slope = np.abs(fold) + rng.uniform(0.0, 0.6) * np.abs(crumple - 0.5)
    thick = rng.uniform(0.1, 1.2) * (1 + rng.uniform(1, 5) * slope) * (0.8 + 0.4 * crumple)
    inside = np.minimum(half[0] - np.abs(u), half[1] - np.abs(v)).astype(np.float32)
    thick = thick + rng.uniform(0.3, 3) * smooth_step(inside, 0.02, 0.014)
    alpha = (1 - cv2.exp(-thick.astype(np.float32))) * np.clip(inside * np.float32(view.scale) + 0.5, 0, 1)
    light = np.clip(0.75 + 1.2 * fold + 0.5 * (crumple - 0.5), 0.2, 1.5)
    colour = dye(random_colour(rng, (0, 1), (0.0, 0.5), (0.3, 1.0)), light)
    if rng.random() < 0.4:
        glint = rng.uniform(0.3, 0.9) * smooth_step(texture(rng, view, 1.2, 6, 64), 0.68, 0.8)
        glint *= np.clip(inside * np.float32(view.scale) + 0.5, 0, 1)
        alpha, colour = np.maximum(alpha, glint), colour + spread_out(glint)
    return stack_layers(colour, alpha)


def _star(radius: np.ndarray, angle: np.ndarray, size: float, points: int) -> np.ndarray:
    """The distance inside a star or, without points, a disc; float32, in the units of radius, negative outside."""
    depth = 0.25 * size * np.abs(np.cos(np.float32(points / 2) * angle)) if points else 0.0
    return (size - radius) * 0.7 - 0.25 * size * (points > 0) + depth


def _print(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, period: float) -> np.ndarray:
    """The distance inside a print on cloth, float32: stripes, a field, a cross, stars or script."""
    turn = rng.choice([0.0, np.pi / 2, np.pi / 4, -np.pi / 4, rng.uniform(0, np.pi)])
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    a, b = u * cos + v * sin, v * cos - u * sin
    middle, size = rng.uniform(-0.2, 0.2, 2), rng.uniform(0.03, 0.18)
    points = int(rng.choice([0, 5, 6, 7]))
    how = rng.integers(6)
    if how == 0:
        return period * rng.uniform(0.15, 0.35) - np.abs((a / np.float32(period)) % 1 - 0.5) * np.float32(period)
    if how == 1:
        return np.minimum(a - np.float32(middle[0]), b - np.float32(middle[1]))
    if how == 2:
        return size / 3 - np.minimum(np.abs(a - np.float32(middle[0])), np.abs(b - np.float32(middle[1])))
    if how == 3:
        x, y = a - np.float32(middle[0]), b - np.float32(middle[1])
        return _star(cv2.magnitude(x, y), np.arctan2(y, x), size, points)
    if how == 4:  # one in every cell
        x, y = (((part / np.float32(period)) % 1 - 0.5) * np.float32(period) for part in (a, b))
        return _star(cv2.magnitude(x, y), np.arctan2(y, x), period * rng.uniform(0.15, 0.4), points)
    line, letter = (part / np.float32(period / times) for part, times in ((b, 2), (a, 6)))
    strokes = np.sin(np.floor(line) * 9.7 + 7.1 * letter) + np.sin(17.3 * np.floor(line) + 4.3 * letter)
    inside = np.minimum(np.abs(strokes) - 0.7, 0.3 - np.abs(line - np.floor(line) - 0.5))
    return inside * np.float32(period / 6)


def flag(rng: np.random.Generator, view: View) -> np.ndarray:
    """A flag, sign, towel or printed cloth, often on a pole: few colours that end sharply, each far from the others."""
    view, half = _sheet(rng, view)
    x, y = coordinates(view)
    u, v, fold = _bend(rng, x, y, rng.uniform(0.0, 0.02))
    taper = 1 + np.float32(rng.choice([0.0, 0.0, rng.uniform(-1, 1)])) * v
    inside = np.minimum(half[0] * taper - np.abs(u), half[1] - np.abs(v)).astype(np.float32)
    rounded = rng.random() < 0.2
    if rounded:
        inside = np.minimum(inside, np.float32(half.min()) - cv2.magnitude(u, v))
    scale = np.float32(view.scale)
    tints = random_colours(rng, int(rng.integers(2, 5)), (0, 1), (0.0, 1.0), (0.03, 0.95))
    colour = np.broadcast_to(tints[0], (*x.shape, 3))
    for _ in range(int(rng.integers(1, 6))):
        within = _print(rng, u, v, max(rng.uniform(0.03, 0.25), 6 / view.scale))
        if rng.random() < 0.4:  # in one corner alone
            within = np.minimum(within, np.minimum(-u, -v) + np.float32(rng.uniform(-0.1, 0.1)))
        colour = mix(colour, tints[rng.integers(len(tints))], np.clip(within * scale + 0.5, 0, 1))
    light = np.clip(0.8 + rng.uniform(0.3, 1.5) * fold, 0.25, 1.5) * (0.85 + 0.3 * texture(rng, view, 0.8, 6))
    alpha = np.clip(inside * scale + 0.5, 0, 1) * np.float32(rng.choice([1.0, 1.0, rng.uniform(0.9, 1)]))
    layers = stack_layers(colour * spread_out(light), alpha)
    if rng.random() < 0.5:
        canvas, sheet = new_canvas(view)
        post = rng.random() < 0.3 or rounded  # behind the middle; a flag's pole is before one side
        pole = np.array([[0.0, 0.0], [0.0, 0.7]]) if post else half * [[-0.95, -1.08], [-0.95, 2.0]]
        paint = make_paint(random_colour(rng, (0, 1), (0.0, 0.7), (0.1, 0.95)))
        draw_lines(canvas, sheet, pole[None], paint, rng.uniform(0.008, 0.04))
        bar = to_layers(canvas, view)
        layers = over(layers, bar) if post else over(bar, layers)
    return layers
