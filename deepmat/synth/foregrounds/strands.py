"""Subjects of single hairs: a head of hair, an animal with fur."""

import cv2
import numpy as np

from deepmat.synth.drawing import (
    WHITE,
    View,
    aim,
    draw_lines,
    draw_strands,
    ellipse_outline,
    fill_shape,
    grow_hairs,
    make_paint,
    new_canvas,
    normal,
    random_colour,
    smooth_step,
    texture,
    to_layers,
    uniform,
)


def draw_tones(rng: np.random.Generator, colour: np.ndarray, count: int, spread: float) -> np.ndarray:
    """Lighter and darker variants of a colour, [count 3]."""
    return colour * np.clip(1 + normal(rng, spread, count, 1), 0.5, 1.7)


def hair(rng: np.random.Generator, view: View) -> np.ndarray:
    """Head and shoulders, from the front or the back; straight, wavy or curly hair in clumps, with fly-aways."""
    colour = random_colour(rng, (0.02, 0.11), (0.2, 0.7), (0.12, 0.8))
    skin = random_colour(rng, (0.04, 0.08), (0.3, 0.55), (0.45, 0.95))
    cloth = random_colour(rng, (0, 1), (0.1, 0.7), (0.2, 0.8))
    x, y, a, b = rng.uniform(-0.05, 0.05), -0.12, 0.156, 0.204
    floor, facing = view.height / min(view.height, view.width), rng.random() < 0.6
    bust = np.concatenate([ellipse_outline(x, y + 0.53, 0.4, 0.25)[36:], [[x + 0.42, floor], [x - 0.42, floor]]])
    neck = np.array([[x - 0.07, y], [x + 0.07, y], [x + 0.1, y + 0.31], [x, y + 0.4], [x - 0.1, y + 0.31]])
    skull, face = ellipse_outline(x, y - 0.012, a * 1.05, b * 1.02), ellipse_outline(x, y + 0.024, a * 0.84, b * 0.96)

    curly, clumps = rng.random() < 0.3, int(rng.integers(60, 100))
    t = np.linspace(0, 1, 28 if curly else 16, dtype=np.float32)
    length, droop = (rng.uniform(0.12, 0.2), 0.2) if curly else (rng.uniform(0.3, 0.72), 1.0)
    waves, swing = rng.uniform(2, 4), rng.uniform(1.0, 1.6)
    if not curly:
        waves, swing = rng.uniform(0.8, 2.5), rng.uniform(0.1, 0.45)
    around = np.linspace(-1, 1, clumps, dtype=np.float32) * np.pi * (0.62 if facing else 1.0) - np.pi / 2
    inward = np.sqrt(uniform(rng, 0.6 if facing else 0.0, 1.0, clumps, 1))
    roots = np.array([x, y]) + inward * np.stack([a * np.cos(around), b * np.sin(around)], -1)
    phase, stretch = uniform(rng, 0, 2 * np.pi, clumps), uniform(rng, 0.75, 1.1, clumps)

    def grow(count: int, loose: float) -> np.ndarray:
        """Strands that follow the wave of their clump; the larger `loose`, the more they deviate."""
        owner = rng.integers(0, clumps, count)
        start = (around[owner] + normal(rng, 0.25 + loose, count))[:, None]
        start = np.where(start < -np.pi / 2, start + 2 * np.pi, start)  # fall outwards, on the side where the root is
        fall = droop * (1 - np.exp(-t * 8)) * (1 - 0.5 * loose * uniform(rng, 0, 1, count, 1))
        down = np.pi / 2 + normal(rng, 0.05 + 0.4 * loose, count, 1)
        lag = phase[owner][:, None] + normal(rng, 0.3 + loose, count, 1)
        heading = start + (down - start) * fall + swing * np.sin(2 * np.pi * waves * t + lag)
        reach = length * stretch[owner] * uniform(rng, 0.75, 1.1, count) * (1 - 0.3 * loose)
        return grow_hairs(roots[owner] + normal(rng, 0.019, count, 2), heading, reach)

    # In a close-up, one strand becomes several thinner ones.
    thin = min(1.0, (450 / view.scale) ** 0.4)
    count, tones = int(600 / thin), draw_tones(rng, colour, 32, 0.25)
    stray, lush = grow(int(count * rng.uniform(0.1, 0.5)), rng.uniform(0.15, 0.6)), grow(count, 0.04)
    view = aim(rng, view, np.concatenate([stray[::7, len(t) // 2], stray[::7, -1], bust[4:36:4]]))
    canvas, sheet = new_canvas(view, 0.0018)
    draw_strands(canvas, sheet, stray, tones[:16], 0.0019 * thin, (0.4, 1.0))
    for outline, paint in ((bust, cloth), (neck, skin * 0.8), (skull, colour * 0.6)):
        fill_shape(canvas, sheet, outline, make_paint(paint))
    draw_strands(canvas, sheet, lush, tones, 0.0032 * thin)
    if facing:
        fill_shape(canvas, sheet, face, make_paint(skin))
        for side in (-1, 1):
            eye = x + side * 0.056
            fill_shape(canvas, sheet, ellipse_outline(eye, y, 0.02, 0.0095), make_paint(0.85 * WHITE))
            fill_shape(canvas, sheet, ellipse_outline(eye, y, 0.0095, 0.0095), make_paint(skin * 0.2))
            lid, brow = ellipse_outline(eye, y, 0.021, 0.0105), ellipse_outline(eye, y - 0.014, 0.036, 0.019)
            draw_strands(canvas, sheet, lid[None, 36:], skin[None] * 0.35, 0.005)
            draw_strands(canvas, sheet, brow[None, 46:63], colour[None] * 0.5, 0.008)
        nose = np.array([[x - 0.012, y + 0.075], [x, y + 0.083], [x + 0.014, y + 0.074], [x + 0.008, y + 0.02]])
        draw_lines(canvas, sheet, nose[None], make_paint(skin * 0.75), 0.005)
        for tall, tone in ((0.013, (0.85, 0.5, 0.52)), (0.002, (0.5, 0.2, 0.22))):
            fill_shape(canvas, sheet, ellipse_outline(x, y + 0.13, 0.042, tall), make_paint(skin * np.array(tone)))
        if swing < 0.3:
            draw_strands(canvas, sheet, grow(count // 15, 0.08), tones[-16:], 0.0027 * thin)
    return to_layers(canvas, view)


def fur(rng: np.random.Generator, view: View) -> np.ndarray:
    """A sitting cat-like animal, from the front or the back: short dense hairs that point away from the body."""
    coat = random_colour(rng, (0.03, 0.12), (0.05, 0.6), (0.15, 0.95))
    x, y, ears, shag = rng.uniform(-0.04, 0.04), -0.16, rng.uniform(0.05, 0.13), rng.uniform(0.6, 1.5)
    facing = rng.random() < 0.7
    parts = [ellipse_outline(x, 0.18, rng.uniform(0.16, 0.22), 0.24), ellipse_outline(x, y, 0.17, 0.145)]
    parts += [ellipse_outline(x + side * 0.13, 0.34, 0.09, 0.075) for side in (-1, 1)]
    ear = np.array([[0.15, -0.01], [0.14, -0.12 - ears], [0.03, -0.1]])
    parts += [ear * [side, 1] + [x, y] for side in (-1, 1)]
    t = np.linspace(0, 1, 24)
    tail = np.stack([x + rng.choice([-1, 1]) * (0.12 + 0.2 * np.sin(2.2 * t)), 0.37 - 0.42 * t**1.5], -1)

    def fill_body(canvas: np.ndarray, view: View, paint: list[float]) -> None:
        draw_lines(canvas, view, tail[None], paint, 0.055)
        for part in parts:
            fill_shape(canvas, view, part, paint)

    # Hairs grow on a coarse map of the body, outwards at its rim and downwards inside.
    plan, unit = View(128, 128, 128.0), 128
    body = np.zeros((unit, unit, 4), np.uint8)
    fill_body(body, plan, make_paint(WHITE))
    solid = body[..., 3].astype(np.float32) / 255
    soft = cv2.GaussianBlur(solid, (0, 0), 3)
    slope = np.stack([cv2.Sobel(soft, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))], -1)
    swirl = texture(rng, plan, fine=12)
    spots = np.argwhere(solid > 0.6)
    rim = np.argwhere((solid > 0.6) & (soft < 0.75))
    view = aim(rng, view, (rim[::5, ::-1] + 0.5) / unit - 0.5)
    thin = min(1.0, (450 / view.scale) ** 0.4)
    count = int(2800 / thin)
    # A third of all hairs grow at the rim, which determines alpha.
    picked = np.concatenate([rim[rng.integers(0, len(rim), count // 2)], spots[rng.integers(0, len(spots), count)]])
    roots = (picked[:, ::-1] + rng.random((len(picked), 2), np.float32)) / unit - 0.5
    half = 0.65 * np.hypot(view.height, view.width) / view.scale + 0.1
    seen = np.abs(roots - [view.x, view.y]).max(1) < half
    picked, roots = picked[seen], roots[seen].astype(np.float32)
    away = -slope[picked[:, 0], picked[:, 1]]
    start = np.arctan2(away[:, 1] + 0.15, away[:, 0]) + 2.5 * (swirl[picked[:, 0], picked[:, 1]] - 0.5)
    bend = normal(rng, 0.5, len(picked), 1) * np.linspace(0, 1, 5, dtype=np.float32)
    heading = (start + normal(rng, 0.3, len(picked)))[:, None] + bend
    paths = grow_hairs(roots, heading, uniform(rng, 0.012, 0.07, len(picked)) * shag)
    order = rng.permutation(len(paths))
    faint, dense = np.split(paths[order], [len(paths) // 4])
    tones = draw_tones(rng, coat, 32, 0.2)
    canvas, sheet = new_canvas(view, 0.0018)
    draw_strands(canvas, sheet, faint, tones[:12], 0.0022 * thin, (0.4, 1.0))
    fill_body(canvas, sheet, make_paint(coat * 0.8))  # after the translucent hairs, which would make it translucent
    draw_strands(canvas, sheet, dense, tones, 0.0033 * thin)
    if rng.random() < 0.6:
        stripes = smooth_step(np.sin(rng.uniform(8, 40) * texture(rng, view, 2.0, 2, 16)), -0.4, 0.8)
        stripes *= texture(rng, view, 1.5, 2, 32) * rng.uniform(0.2, 0.9)
        light = cv2.resize(1 - stripes, canvas.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        canvas = cv2.multiply(canvas, cv2.merge([light] * 3 + [np.ones_like(light)]), dtype=cv2.CV_8U)
    if facing:
        _draw_face(rng, canvas, sheet, x, y, coat)
    return to_layers(canvas, view)


def _draw_face(rng: np.random.Generator, canvas: np.ndarray, sheet: View, x: float, y: float, coat: np.ndarray) -> None:
    """The eyes, whiskers and nose of a cat whose head is at (x, y)."""
    iris = random_colour(rng, (0.1, 0.55), (0.5, 0.9), (0.5, 0.9))
    whiskers = []
    for side in (-1, 1):
        eye = x + side * 0.068
        for a, b, dx, dy, colour in (
            (0.034, 0.03, 0, 0, coat * 0.2),
            (0.028, 0.024, 0, 0, iris),
            (0.01, 0.022, 0, 0, iris * 0.05),
            (0.006, 0.006, 0.01, -0.01, WHITE),
        ):
            fill_shape(canvas, sheet, ellipse_outline(eye + dx, y - 0.01 + dy, a, b), make_paint(colour))
        fan = np.array([0.5, -0.1, 0.2]) + normal(rng, 0.08, 3)
        ends = np.stack([x + side * (0.27 + 0.03 * rng.random(3)), y + 0.06 + 0.1 * fan], -1)
        base = np.broadcast_to([x + side * 0.05, y + 0.065], (3, 2))
        whiskers.append(np.stack([base, (base + ends) / 2 - [0, 0.012], ends], 1))
    draw_strands(canvas, sheet, np.concatenate(whiskers), 0.95 * WHITE[None], 0.0018)
    nose = np.array([[x - 0.022, y + 0.04], [x + 0.022, y + 0.04], [x, y + 0.065]])
    fill_shape(canvas, sheet, nose, make_paint(coat * 0.25))
