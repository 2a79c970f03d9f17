"""Feathers, tufts and dandelions: stems that carry many fine threads."""

import numpy as np

from deepmat.synth.drawing import (
    View,
    aim,
    draw_lines,
    draw_strands,
    ellipse_outline,
    fill_convex,
    fill_shape,
    grow_hairs,
    make_paint,
    make_paints,
    new_canvas,
    normal,
    random_colour,
    shade,
    smooth_step,
    texture,
    to_layers,
    uniform,
)
from deepmat.synth.foregrounds.strands import draw_tones

Feather = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _feather(rng: np.random.Generator, colours: np.ndarray, base: np.ndarray, turn: float, length: float) -> Feather:
    """One feather: barbs as polygons [N 5 2] with their colours [N 3], down [M 9 2] and shaft [1 33 2]."""
    shaft = grow_hairs(base[None], (turn + rng.normal(0, 0.35) * np.linspace(0, 1, 32))[None], np.array([length]))
    count, girth, tilt = 130, length * rng.uniform(0.1, 0.19), rng.uniform(0.5, 0.85)
    t = np.linspace(0.16, 1.0, count + 1, dtype=np.float32)
    points = np.stack([np.interp(t, np.linspace(0, 1, 33), shaft[0, :, k]) for k in (0, 1)], -1)
    along = np.gradient(points, axis=0)
    heading = np.arctan2(along[:, 1], along[:, 0])
    profile = np.sin(np.pi * np.clip((t - 0.1) / 0.91, 0, 1) ** rng.uniform(0.6, 0.9)) ** 0.6
    profile = np.maximum(profile, 0.4 * smooth_step(t, 0.8, 0.95))
    polygons, tints = [], []
    bars, sharp = rng.uniform(3, 14), rng.random() < 0.5
    for side in (-1, 1):
        split = np.zeros(count + 1, np.float32)  # beyond a gap between barbs, the barbs lean over
        for at in rng.uniform(0.1, 0.95, int(rng.integers(0, 6))):
            split += 0.22 * rng.random() * np.exp(-np.clip(t - at, 0, 1) / 0.06) * (t > at)
        reach = girth * rng.uniform(0.75, 1.2) * profile / np.sin(tilt) * (1 + normal(rng, 0.03, count + 1))
        fan = heading + side * (tilt * (1.1 - 0.35 * t - 0.6 * t**8) + split)
        middle = points + 0.55 * reach[:, None] * np.stack([np.cos(fan), np.sin(fan)], -1)
        fan = fan - side * 0.3 * (1 - 0.5 * t)
        tips = middle + 0.45 * reach[:, None] * np.stack([np.cos(fan), np.sin(fan)], -1)
        polygons.append(np.stack([points[:-1], points[1:], middle[1:], tips[:-1], middle[:-1]], 1))
        band = 0.5 + 0.5 * np.sin(bars * 2 * np.pi * t[:-1] + 0.4 * side)
        band = (band > 0.5) if sharp else band
        tone = colours[0] + (colours[1] - colours[0]) * np.asarray(band, np.float32)[:, None]
        tints.append(tone * (0.92 + 0.08 * side) * (1 + normal(rng, 0.07, count, 1)))
    at = rng.uniform(0.1, 0.34, 90)
    roots = np.stack([np.interp(at, np.linspace(0, 1, 33), shaft[0, :, k]) for k in (0, 1)], -1)
    fan = turn + np.sign(normal(rng, 1, 90)) * uniform(rng, 0.5, 1.6, 90)
    curls = np.cumsum(normal(rng, 0.5, 90, 8), 1)
    down = grow_hairs(roots, fan[:, None] + curls, girth * uniform(rng, 0.5, 1.3, 90))
    return np.concatenate(polygons), np.concatenate(tints), down, shaft


def feathers(rng: np.random.Generator, view: View) -> np.ndarray:
    """A fan of one to five feathers: vanes of barbs that split here and there, down at the foot, a stiff shaft."""
    number, lean = int(rng.choice([1, 2, 3, 5])), rng.normal(0, 0.25)
    colours = np.stack([random_colour(rng, (0, 1), (0.0, 0.7), (0.3, 1.0)) for _ in range(2)])
    if rng.random() < 0.5:  # brown, grey and white birds are the usual ones
        colours = random_colour(rng, (0.05, 0.11), (0.0, 0.5), (0.5, 1.0)) * np.array([[1.0], [rng.uniform(0.15, 1)]])
    foot, length = np.array([-0.25 * lean, 0.41]), rng.uniform(0.72, 0.84)
    turns = -np.pi / 2 + lean + (np.arange(number) - (number - 1) / 2) * rng.uniform(0.16, 0.24)
    made = [_feather(rng, colours, foot, turn, length * rng.uniform(0.88, 1)) for turn in rng.permutation(turns)]
    view = aim(rng, view, np.concatenate([polygons[::6, 3] for polygons, *_ in made]))
    canvas, sheet = new_canvas(view, 0.0018)
    half = 0.6 * np.hypot(view.height, view.width) / view.scale + 0.1
    for polygons, tints, down, shaft in made:
        draw_strands(canvas, sheet, down, colours[:1] * 0.6 + 0.4, 0.0018)
        shown = np.abs(polygons[:, 2] - [view.x, view.y]).max(1) < half
        polygons, tints = polygons[shown], tints[shown]
        # a barb ends in a hair that goes on past its vane
        hairs = np.stack([polygons[:, 4], polygons[:, 3], 1.25 * polygons[:, 3] - 0.25 * polygons[:, 4]], 1)
        draw_strands(canvas, sheet, hairs[::2], colours.mean(0)[None], 0.0015)
        fill_convex(canvas, sheet, polygons, make_paints(tints))
        draw_strands(canvas, sheet, shaft, colours[:1] * 0.4 + 0.45, 0.012)
    return shade(to_layers(canvas, view), 0.7 + 0.6 * texture(rng, view, 0.7, 4))


def tuft(rng: np.random.Generator, view: View) -> np.ndarray:
    """Brushes, toy hair, manes, grass: one to three fans of threads of any colour on solid feet, open at the tips."""
    number, width = int(rng.choice([1, 1, 2, 3])), rng.uniform(0.0014, 0.004)
    thin = min(1.0, (450 / view.scale) ** 0.4)
    drawn, space = max(width * thin, 0.5 / view.scale), 0.85 / number
    t = np.linspace(0, 1, 12, dtype=np.float32)
    fans = []
    for middle in (np.arange(number) - (number - 1) / 2) * space:
        colour = random_colour(rng, (0, 1), (0.1, 0.95), (0.15, 1.0))
        foot, across, tall = rng.uniform(0.12, 0.34), space * rng.uniform(0.14, 0.36), rng.uniform(0.05, 0.16)
        length, spread = rng.uniform(0.5, 1) * (foot + 0.32), rng.uniform(0.1, 0.75)
        # half way up, exp(-cover) of the ground shows between threads that fall anywhere
        cover = rng.uniform(0.8, 5)
        count = int(np.clip(cover * (2 * across + spread * length) / drawn, 60, 5000))
        locks = int(rng.integers(6, 40))
        lean, bow = normal(rng, spread * 0.25, locks), normal(rng, rng.uniform(0.1, 0.9), locks)
        at = uniform(rng, -1, 1, count)
        owner = np.clip(((at + 1) / 2 * locks + normal(rng, 0.6, count)).astype(int), 0, locks - 1)
        up = tall * np.sqrt(1 - at**2) * uniform(rng, 0.3, 1, count)
        roots = np.stack([middle + across * at, foot - up], -1)
        loose = normal(rng, rng.uniform(0.03, 0.25), count)
        start = -np.pi / 2 + spread * at + lean[owner] + loose
        turns = rng.uniform(0.5, 4) * t + uniform(rng, 0, 1, count, 1)
        wave = normal(rng, 0.15, count, 1) * np.sin(2 * np.pi * turns)
        heading = start[:, None] + (bow[owner] + 2 * loose)[:, None] * t**2 + wave
        paths = grow_hairs(roots, heading, length * uniform(rng, 0.55, 1.1, count) * (1 - 0.25 * at**2))
        fans.append(((middle, foot, across, tall), colour, paths[rng.permutation(count)]))
    view = aim(rng, view, np.concatenate([paths[::7, at] for *_, paths in fans for at in (5, 9, 12)]))
    canvas, sheet = new_canvas(view, 0.0018)
    for (x, y, across, tall), colour, paths in fans:
        behind, faint, front = np.split(paths, [int(0.6 * len(paths)), int(0.75 * len(paths))])
        tones = draw_tones(rng, colour, 24, 0.2)
        draw_strands(canvas, sheet, faint, tones, width * thin * 0.7, (0.3, 1.0))
        draw_strands(canvas, sheet, behind, tones * rng.uniform(0.4, 1), width * thin)
        body = random_colour(rng, (0, 1), (0.1, 0.8), (0.2, 1.0))
        below = np.array([[x - across, y], [x + across, y], [x + across * 0.8, y + 1.5], [x - across * 0.8, y + 1.5]])
        for outline in (below, ellipse_outline(x, y, across, tall)):
            fill_shape(canvas, sheet, outline, make_paint(body))
        draw_strands(canvas, sheet, front, tones, width * thin)
    return shade(to_layers(canvas, view), 0.7 + 0.6 * texture(rng, view, 0.7, 4))


def dandelion(rng: np.random.Generator, view: View) -> np.ndarray:
    """A seed head: a ball of stalks, each with an umbrella of fine threads; some have flown off."""
    radius, seeds, threads = rng.uniform(0.26, 0.34), int(rng.integers(80, 150)), int(rng.integers(9, 15))
    middle = np.array([rng.uniform(-0.04, 0.04), -0.44 + 1.18 * radius])
    turn = np.arange(seeds) * 2.39996
    z = np.linspace(-1, 1, seeds)
    ring = np.sqrt(1 - z**2)
    out = np.stack([ring * np.cos(turn), ring * np.sin(turn), z], -1) + rng.normal(0, 0.05, (seeds, 3))
    out = out[rng.permutation(seeds)[: int(seeds * rng.choice([1.0, 1.0, 0.8, 0.55]))]]
    out = out[np.argsort(out[:, 2])]
    across = np.cross(out, [0.3, 0.5, 0.8])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    beside = np.cross(out, across)
    round_ = np.arange(threads) * 2 * np.pi / threads + rng.random((len(out), 1)) * 6
    open_ = rng.uniform(0.7, 1.1) * (1 + 0.2 * rng.normal(0, 1, (len(out), threads)))
    spokes = (np.cos(round_) * open_)[..., None] * across[:, None] + (np.sin(round_) * open_)[..., None] * beside[
        :, None
    ]
    knots = middle + 0.68 * radius * out[:, :2]
    tips = knots[:, None] + 0.34 * radius * (0.75 * out[:, None, :2] + spokes[..., :2])
    bow = (knots[:, None] + tips) / 2 - 0.02 * radius * spokes[..., :2] + 0.03 * radius * out[:, None, :2]
    start = np.broadcast_to(knots[:, None], tips.shape)
    umbrellas = np.stack([start, bow, tips], 2).astype(np.float32)  # [seeds threads 3 2]
    stalks = np.stack([middle + 0.12 * radius * out[:, :2], knots], 1).astype(np.float32)
    sway = rng.normal(0, 0.12)
    stem = grow_hairs(
        middle[None],
        (np.pi / 2 + sway * np.linspace(0, 1, 20))[None],
        np.array([1.5 * view.height / min(view.height, view.width)]),
    )

    view = aim(rng, view, np.concatenate([tips[:, 0], knots]))
    pale = random_colour(rng, (0.08, 0.16), (0.0, 0.25), (0.8, 1.0))
    green, brown = random_colour(rng, (0.15, 0.28), (0.2, 0.6), (0.3, 0.7)), np.array([0.4, 0.28, 0.18])
    canvas, sheet = new_canvas(view, 0.001)
    draw_lines(canvas, sheet, stem, make_paint(green), 0.016)
    half = len(out) // 2
    for part, tone in ((slice(0, half), 0.72), (slice(half, None), 1.0)):
        draw_strands(canvas, sheet, stalks[part], (pale * tone * 0.8)[None], 0.002)
        many = umbrellas[part].reshape(-1, 3, 2)
        draw_strands(canvas, sheet, many, draw_tones(rng, pale * tone, 8, 0.08), 0.0016)
        if tone < 1:
            fill_shape(
                canvas, sheet, ellipse_outline(middle[0], middle[1], 0.15 * radius, 0.13 * radius), make_paint(brown)
            )
    grains = stalks[:, :1] + (stalks[:, 1:] - stalks[:, :1]) * np.linspace(0, 0.22, 3)[:, None]
    draw_strands(canvas, sheet, grains, brown[None] * 0.8, 0.007)
    return to_layers(canvas, view)
