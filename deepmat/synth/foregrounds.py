"""The kinds of foreground: each draws straight colours and an exact alpha.

Colours are not premultiplied and go on where alpha is 0, so that composites have no halo.
"""

from collections.abc import Callable

import cv2
import numpy as np

from deepmat.errors import lookup
from deepmat.synth.drawing import (
    WHITE,
    Span,
    bend_strands,
    bleed_colours,
    check_sides,
    coordinates,
    defocus,
    draw_lines,
    ellipse_outline,
    fill_shape,
    finish,
    fractal_noise,
    gaussian_blur,
    grow_hairs,
    make_paint,
    mix,
    new_canvas,
    random_colour,
    shrink_canvas,
    smooth_step,
)

Kind = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]


def _hair(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Head and shoulders, from the front or the back; straight, wavy or curly hair in clumps, with fly-aways."""
    hair = random_colour(rng, (0.02, 0.11), (0.3, 0.7), (0.2, 0.75))
    skin = random_colour(rng, (0.04, 0.08), (0.3, 0.55), (0.45, 0.95))
    cloth = random_colour(rng, (0, 1), (0.1, 0.7), (0.2, 0.8))
    canvas, unit = new_canvas(height, width, hair * 0.7)
    unit *= 1.2
    x, y, floor, facing = rng.uniform(-0.05, 0.05), -0.1, height / min(height, width), rng.random() < 0.6
    a, b = 0.13, 0.17
    bust = np.concatenate([ellipse_outline(x, y + 0.44, 0.33, 0.21)[36:], [[x + 0.35, floor], [x - 0.35, floor]]])
    neck = np.array([[x - 0.06, y], [x + 0.06, y], [x + 0.085, y + 0.26], [x, y + 0.33], [x - 0.085, y + 0.26]])
    skull, face = ellipse_outline(x, y - 0.01, a * 1.05, b * 1.02), ellipse_outline(x, y + 0.02, a * 0.84, b * 0.96)

    curly, clumps, t = rng.random() < 0.3, int(rng.integers(60, 100)), np.linspace(0, 1, 20)
    length, droop = (rng.uniform(0.1, 0.17), 0.2) if curly else (rng.uniform(0.3, 0.6), 1.0)
    waves, swing = rng.uniform(2, 4), rng.uniform(1.0, 1.6)
    if not curly:
        waves, swing = rng.uniform(0.8, 2.5), rng.uniform(0.1, 0.45)
    around = np.linspace(-1, 1, clumps) * np.pi * (0.62 if facing else 1.0) - np.pi / 2
    inward = np.sqrt(rng.uniform(0.6 if facing else 0.0, 1.0, clumps))[:, None]
    roots = np.array([x, y]) + inward * np.stack([a * np.cos(around), b * np.sin(around)], -1)
    phase, stretch = rng.uniform(0, 2 * np.pi, clumps), rng.uniform(0.75, 1.1, clumps)

    def paths(count: int, loose: float) -> np.ndarray:
        """Strands follow the wave of their clump; the looser, the further they leave it."""
        owner = rng.integers(0, clumps, count)
        start = (around[owner] + rng.normal(0, 0.25 + loose, count))[:, None]
        start = np.where(start < -np.pi / 2, start + 2 * np.pi, start)  # fall outwards, on the side where the root is
        fall = droop * (1 - np.exp(-t * 8)) * (1 - 0.5 * loose * rng.random((count, 1)))
        down = np.pi / 2 + rng.normal(0, 0.05 + 0.4 * loose, (count, 1))
        lag = phase[owner][:, None] + rng.normal(0, 0.3 + loose, (count, 1))
        heading = start + (down - start) * fall + swing * np.sin(2 * np.pi * waves * t + lag)
        reach = length * stretch[owner] * rng.uniform(0.75, 1.1, count) * (1 - 0.3 * loose)
        return grow_hairs(roots[owner] + rng.normal(0, 0.016, (count, 2)), heading, reach)

    tones = hair * np.clip(rng.normal(1.0, 0.25, (48, 1)), 0.5, 1.7)
    count = int(500 + 1.4 * min(height, width, 1500))
    bleed_colours(canvas, unit, [bust, neck, skull], [cloth, skin * 0.8, hair])
    bend_strands(canvas, unit, paths(count // 3, 0.3), tones[:16], (0.3, 0.9), 0.0015)
    for outline, colour in ((bust, cloth), (neck, skin * 0.8), (skull, hair * 0.6)):
        fill_shape(canvas, unit, outline, make_paint(colour))
    bend_strands(canvas, unit, paths(count, 0.04), tones, (1.0, 1.0), 0.0032)
    if facing:
        fill_shape(canvas, unit, face, make_paint(skin))
        for side in (-1, 1):
            fill_shape(canvas, unit, ellipse_outline(x + side * 0.045, y, 0.017, 0.008), make_paint(skin * 0.25))
            draw_lines(
                canvas,
                unit,
                ellipse_outline(x + side * 0.047, y - 0.012, 0.03, 0.016)[46:63],
                make_paint(hair * 0.5),
                0.007,
            )
        draw_lines(canvas, unit, ellipse_outline(x, y + 0.03, 0.016, 0.03)[8:28], make_paint(skin * 0.7), 0.004)
        fill_shape(
            canvas, unit, ellipse_outline(x, y + 0.105, 0.034, 0.009), make_paint(skin * np.array([0.8, 0.45, 0.5]))
        )
        bend_strands(canvas, unit, paths(count // 12, 0.12), tones[-16:], (1.0, 1.0), 0.0025)
    return finish(rng, *shrink_canvas(canvas, height, width))


def _fur(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A sitting cat-like animal, all fur: short dense hairs that point away from the body, whiskers, eyes."""
    coat = random_colour(rng, (0.03, 0.12), (0.1, 0.6), (0.35, 0.9))
    canvas, unit = new_canvas(height, width, coat * 0.8)
    x, y, ears = rng.uniform(-0.04, 0.04), -0.16, rng.uniform(0.07, 0.13)
    parts = [ellipse_outline(x, 0.18, 0.19, 0.24), ellipse_outline(x, y, 0.17, 0.145)]
    parts += [ellipse_outline(x + side * 0.13, 0.34, 0.09, 0.075) for side in (-1, 1)]
    ear = np.array([[0.15, -0.01], [0.14, -0.12 - ears], [0.03, -0.1]])
    parts += [ear * [side, 1] + [x, y] for side in (-1, 1)]
    t = np.linspace(0, 1, 24)
    tail = np.stack([x + rng.choice([-1, 1]) * (0.12 + 0.2 * np.sin(2.2 * t)), 0.37 - 0.42 * t**1.5], -1)
    draw_lines(canvas, unit, tail, make_paint(coat * 0.8), 0.055)
    for part in parts:
        fill_shape(canvas, unit, part, make_paint(coat * 0.8))

    # hairs grow where a coarse copy of the body is, away from its middle; on it, they lie downwards
    solid = cv2.resize(canvas[..., 3], None, fx=128 / unit, fy=128 / unit, interpolation=cv2.INTER_AREA)
    body = solid.astype(np.float32) / 255
    slope = np.stack([cv2.Sobel(cv2.GaussianBlur(body, (0, 0), 3), cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))], -1)
    swirl = fractal_noise(rng, body.shape[0], body.shape[1], fine=12)
    spots = np.argwhere(body > 0.6)
    count = int(2500 + 5 * min(height, width, 1500))
    picked = spots[rng.integers(0, len(spots), count)]
    roots = (picked[:, ::-1] + rng.random((count, 2)) - np.array(body.shape[::-1]) / 2) / 128
    away = -slope[picked[:, 0], picked[:, 1]]
    start = np.arctan2(away[:, 1] + 0.15, away[:, 0]) + 2.5 * (swirl[picked[:, 0], picked[:, 1]] - 0.5)
    bend, t = rng.normal(0, 0.5, (count, 1)), np.linspace(0, 1, 7)
    heading = (start + rng.normal(0, 0.3, count))[:, None] + bend * t
    paths = grow_hairs(roots, heading, rng.uniform(0.025, 0.065) * rng.uniform(0.5, 1.2, count))
    tones = coat * np.clip(rng.normal(1.0, 0.2, (40, 1)), 0.55, 1.5)
    bend_strands(canvas, unit, paths[: count // 4], tones[:10], (0.4, 0.9), 0.002)
    for part in parts:  # the faint hairs must not thin the body
        fill_shape(canvas, unit, part, make_paint(coat * 0.8))
    draw_lines(canvas, unit, tail, make_paint(coat * 0.8), 0.055)
    bend_strands(canvas, unit, paths[count // 4 :], tones, (1.0, 1.0), 0.003)

    iris = random_colour(rng, (0.1, 0.55), (0.5, 0.9), (0.5, 0.9))
    for side in (-1, 1):
        eye = x + side * 0.068
        for a, b, dx, dy, colour in (
            (0.034, 0.03, 0, 0, coat * 0.2),
            (0.028, 0.024, 0, 0, iris),
            (0.01, 0.022, 0, 0, iris * 0.05),
            (0.006, 0.006, 0.01, -0.01, WHITE),
        ):
            fill_shape(canvas, unit, ellipse_outline(eye + dx, y - 0.01 + dy, a, b), make_paint(colour))
        fan = np.array([0.5, -0.1, 0.2]) + rng.normal(0, 0.08, 3)
        ends = np.stack([x + side * (0.27 + 0.03 * rng.random(3)), y + 0.06 + 0.1 * fan], -1)
        base = np.broadcast_to([x + side * 0.05, y + 0.065], (3, 2))
        draw_lines(
            canvas, unit, np.stack([base, (base + ends) / 2 - [0, 0.012], ends], 1), make_paint(0.95 * WHITE), 0.0012
        )
    nose = np.array([[x - 0.022, y + 0.04], [x + 0.022, y + 0.04], [x, y + 0.065]])
    fill_shape(canvas, unit, nose, make_paint(coat * 0.25))
    colour, alpha = shrink_canvas(canvas, height, width)
    stripes = smooth_step(np.sin(rng.uniform(8, 40) * fractal_noise(rng, height, width, 2.0, 2, 16)), -0.4, 0.8)
    stripes *= fractal_noise(rng, height, width, 1.5, 2, 32) * rng.uniform(0, 0.9)
    return finish(rng, colour * (1 - stripes)[..., None], alpha)


def _blob(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A round painted thing, partly out of focus and often in motion."""
    x, y = coordinates(height, width)
    unit, turn = min(height, width), rng.uniform(0, 2 * np.pi)
    angle, radius = np.arctan2(y, x) + turn, np.hypot(x, y)
    outline = np.full_like(radius, rng.uniform(0.22, 0.3))
    for wave in range(2, 6):
        outline *= 1 + rng.normal(0, 0.12 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    alpha = np.clip((outline - radius) * unit + 0.5, 0, 1)

    rho = np.clip(radius / outline, 0, 0.999)
    bulge = np.sqrt(1 - rho**2)
    u, v = rho * np.cos(angle), rho * np.sin(angle)
    pattern = np.sin(rng.uniform(3, 9) * np.arctan2(u, bulge * 0.8 + 0.3) + 3 * fractal_noise(rng, height, width, 2.0))
    first, second = (random_colour(rng, (0, 1), (0.3, 0.9), (0.4, 0.95)) for _ in range(2))
    colour = mix(first, second, smooth_step(pattern + 0.4 * v, -0.15, 0.15))
    lambert = 0.35 + 0.75 * np.clip(0.65 * bulge - (1.7 * x + 2.0 * y) * rho, 0, 1.1)
    colour *= (lambert * (0.8 + 0.4 * fractal_noise(rng, height, width, 0.8)))[..., None]
    colour += 0.5 * np.exp(-((x + 0.09) ** 2 + (y + 0.11) ** 2) / 0.002)[..., None]

    depth = smooth_step(x * np.cos(turn) + y * np.sin(turn), rng.uniform(-0.3, 0.0), rng.uniform(0.1, 0.3))
    blur = unit * rng.uniform(0.015, 0.04)
    layers: np.ndarray = np.dstack([colour, alpha]).astype(np.float32)
    if rng.random() < 0.5:
        reach = int(unit * rng.uniform(0.05, 0.14)) | 1
        kernel, ray = np.zeros((reach, reach), np.float32), np.array([np.cos(turn), np.sin(turn)]) * (reach // 2)
        cv2.polylines(kernel, [np.rint(reach // 2 + np.array([-ray, ray])).astype(np.int32)], False, 1.0)
        layers = cv2.filter2D(layers, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    layers = defocus(layers, depth, blur)
    return finish(rng, layers[..., :3], layers[..., 3])


def _net(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A hanging net: knotted threads in a rope rim, bent by smooth waves, partly out of focus."""
    thread = random_colour(rng, (0, 1), (0.05, 0.6), (0.5, 0.95))
    canvas, unit = new_canvas(height, width, thread * 0.55)
    extent = np.array([width, height]) / min(height, width) * 0.78
    cells = np.rint(extent * rng.uniform(9, 17)).astype(int)
    waves = [(rng.normal(0, 4.5, 2), rng.uniform(0, 2 * np.pi), rng.normal(0, 0.022, 2)) for _ in range(5)]
    shear, sag = rng.normal(0, 0.06), rng.uniform(0.02, 0.07)

    def bend(uv: np.ndarray) -> np.ndarray:
        """[0, 1]^2 -> units around the centre."""
        p = (uv - 0.5) * extent
        out = p + np.stack([shear * p[..., 1], sag * np.cos(np.pi * (uv[..., 0] - 0.5))], -1)
        for frequency, phase, shift in waves:
            out += np.sin(p @ frequency + phase)[..., None] * shift
        return out

    def across(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """Straight lines in [0, 1]^2 from each start to each stop [N 2], bent: [N 48 2]."""
        return bend(start[:, None] + (stop - start)[:, None] * np.linspace(0, 1, 48)[:, None])

    wide, tall = cells
    grid = np.stack(np.meshgrid(np.arange(wide + 1), np.arange(tall + 1)), -1).reshape(-1, 2)
    if rng.random() < 0.6:  # meshes on their corner: diagonals both ways, which meet in the middle of cells too
        c = np.arange(1 - tall, wide)
        starts = np.stack([np.maximum(c, 0), np.maximum(-c, 0)], -1)
        stops = np.stack([np.minimum(wide, tall + c), np.minimum(wide - c, tall)], -1)
        ends = [(starts, stops), (starts * [-1, 1] + [wide, 0], stops * [-1, 1] + [wide, 0])]
        grid = np.concatenate([grid, grid[(grid < cells).all(1)] + 0.5])
    else:
        left, top = grid[grid[:, 0] == 0], grid[grid[:, 1] == 0]
        ends = [(top, top + [0, tall]), (left, left + [wide, 0])]
    curves, knots = [across(start / cells, stop / cells) for start, stop in ends], bend(grid / cells)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    rim = across(corners, np.roll(corners, -1, 0)).reshape(1, -1, 2)
    size, lit = rng.uniform(0.003, 0.007), np.array([-0.0012, -0.0012])
    for shift, share, tone in ((0 * lit, 1.0, 0.55), (lit, 0.45, 1.0)):
        for family in curves:
            draw_lines(canvas, unit, family + shift, make_paint(thread * tone), size * share)
        dot = np.stack([ellipse_outline(0, 0, size * share, size * share)[::6]])
        for knot in knots:
            fill_shape(canvas, unit, dot + knot + shift, make_paint(thread * tone))
        draw_lines(canvas, unit, rim + shift, make_paint(thread * tone * 0.9), size * 1.8 * share, closed=True)
    layers = np.dstack(shrink_canvas(canvas, height, width))
    depth = smooth_step(fractal_noise(rng, height, width, 2.0, 2, 4), 0.45, 1.0)
    layers = defocus(layers, depth, rng.uniform(0.0, 0.006) * min(height, width))
    return finish(rng, layers[..., :3], layers[..., 3])


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


def _glass(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A goblet, tumbler or flask: clear inside, bright at the rims, with reflections and sometimes a drink."""
    x, y = coordinates(height, width)
    silhouette, levels, floor, bowl = GLASSES[rng.integers(len(GLASSES))]
    unit, tall, top = min(height, width), 0.76, -0.39
    tilt = 0.16  # how far the rims open towards the viewer
    t, fine = (y - top) / tall, np.linspace(0, 1, 200)
    shape = cv2.GaussianBlur(np.interp(fine, *np.array(silhouette).T).astype(np.float32)[None], (0, 0), 6)[0] * tall
    radius = np.interp(t[:, 0], fine, shape).astype(np.float32)[:, None]
    inside = np.clip((radius - np.abs(x)) * unit + 0.5, 0, 1) * np.clip(t * (1 - t) * tall * unit + 0.5, 0, 1)
    q = np.clip(np.abs(x) / radius, 0, 1)
    alpha = inside * (0.1 + 0.75 * q**7 + 0.35 * (radius < 0.04))
    tint = random_colour(rng, (0.4, 0.6), (0.0, 0.2), (0.75, 0.95))
    shade = 0.75 + 0.25 * np.sin(q * 9 + 2 * t) - 0.45 * np.exp(-(((q - 0.88) / 0.06) ** 2))
    colour = tint * shade[..., None]

    if rng.random() < 0.7:
        fill, drink = rng.uniform(*levels), random_colour(rng, (0.0, 1.0), (0.5, 0.9), (0.3, 0.85))
        at = np.interp(fill, fine, shape) * 0.95
        surface = np.hypot(x / at, (y - top - fill * tall) / (at * tilt))
        below = np.maximum(smooth_step(t + 0 * x, fill, fill + 0.004), np.clip((1 - surface) * at * tilt * unit, 0, 1))
        wet = below * smooth_step(t, floor, floor - 0.05) * inside * smooth_step(q, 1.0, 0.93)
        alpha = alpha + (rng.uniform(0.5, 0.85) - alpha) * wet
        colour = mix(colour, drink * (0.7 + 0.4 * q[..., None]), wet)
        colour += 0.18 * (smooth_step(surface, 1.04, 0.98) * inside)[..., None]
    for rim, reach in ((top, shape[0]), (top + tall, shape[-1])):
        across, along = x / reach, (y - rim) / (reach * tilt)
        level = np.hypot(across, along) + 1e-6
        distance = (level - 1) * level / np.hypot(across / reach, along / (reach * tilt))  # to first order
        disc = np.clip(-distance * unit, 0, 1)
        ring = np.exp(-(((distance + 0.006) / max(0.005, 0.8 / unit)) ** 2))
        alpha = np.maximum(alpha, np.maximum(0.14 * disc, 0.9 * ring))
        colour += 0.25 * ring[..., None]
    window = smooth_step(t, bowl[0], bowl[0] + 0.06) * smooth_step(t, bowl[1], bowl[1] - 0.08)
    for place, spread, strength in ((-0.62, 0.07, 0.9), (0.72, 0.035, 0.6), (-0.42, 0.025, 0.5)):
        glint = strength * np.exp(-(((x / radius - place * rng.uniform(0.9, 1.1)) / spread) ** 2)) * window * inside
        alpha = alpha + (1 - alpha) * glint
        colour = mix(colour, 1.0, glint)
    return finish(rng, np.clip(colour, 0, 1), alpha)


def _smoke(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A plume that rises, widens and curls: a column carried along by a turbulent flow without sources."""
    unit = min(height, width)
    flow = fractal_noise(rng, height, width, 1.5, 4, 64)
    step = np.stack([cv2.Sobel(flow, cv2.CV_32F, 0, 1), -cv2.Sobel(flow, cv2.CV_32F, 1, 0)], -1)
    step *= 0.02 * unit / np.abs(step).max()
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(7):  # follow the flow backwards
        moved = cv2.remap(step, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        columns, rows = columns + moved[..., 0], rows + moved[..., 1]
    age = np.clip(0.95 - rows / height, 0, 1)
    lean, wobble, bend = rng.normal(0, 0.15), rng.uniform(0.02, 0.07), rng.uniform(4, 9)
    axis = width / 2 + unit * (lean * age + wobble * np.sin(bend * age + rng.uniform(0, 6)) * age * 2)
    reach = 0.025 + rng.uniform(0.12, 0.22) * age**0.8
    column = np.exp(-(((columns - axis) / (unit * reach)) ** 2) * 1.5)
    texture = fractal_noise(rng, height, width, 1.1, 5)
    wisps = cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    density = (
        column
        * smooth_step(age, 0.0, 0.04)
        * smooth_step(age, 0.95, 0.35)
        * np.clip(2.2 * wisps - 0.45, 0, None) ** 1.5
    )
    x, y = coordinates(height, width)
    margin = np.minimum(width / 2 / unit - np.abs(x), height / 2 / unit - np.abs(y))
    alpha = 1 - np.exp(-rng.uniform(2.5, 4.5) * density * smooth_step(margin, 0.0, 0.12))
    tint = random_colour(rng, (0, 1), (0.0, 0.12), (0.75, 1.0))
    return finish(rng, tint * (0.45 + 0.35 * wisps + 0.25 * alpha)[..., None], np.clip((alpha - 0.01) / 0.98, 0, 1))


def _leaf(
    base: np.ndarray, turn: float, length: float, girth: float, curl: float, teeth: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The halves [2 2K 2], side veins [V 3 2] and middle vein [K 2] of one leaf."""
    t = np.linspace(0, 1, 40)
    middle = grow_hairs(base[None], (turn + curl * t)[None], np.array([length]))[0][:-1]
    heading = turn + curl * t
    normal = np.stack([-np.sin(heading), np.cos(heading)], -1)
    saw = 1 + 0.12 * ((t * teeth) % 1.0) if teeth else np.ones_like(t)
    half = (girth * length * np.sin(np.pi * t**0.75) * saw)[:, None] * normal
    halves = np.stack([np.concatenate([middle, (middle + sign * half)[::-1]]) for sign in (-1, 1)])
    nodes = np.arange(4, 32, 4)
    tips = [(middle + sign * 0.85 * half)[nodes + 6] for sign in (-1, 1)]
    veins = [np.stack([middle[nodes], (middle[nodes + 2] + tip) / 2, tip], 1) for tip in tips]
    return halves, np.concatenate(veins), middle


def _leaves(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A branch with leaves on both sides, before another one out of focus."""
    hue = rng.choice([0.08, 0.22, 0.28, 0.33])
    girth, teeth = rng.uniform(0.16, 0.34), int(rng.choice([0, 0, 14, 22]))
    layers = []
    for _ in ("back", "front"):
        green = random_colour(rng, (hue - 0.03, hue + 0.03), (0.4, 0.8), (0.35, 0.75))
        canvas, unit = new_canvas(height, width, green * 0.8)
        lean, t = rng.normal(0, 0.3), np.linspace(0, 1, 30)
        foot, heading = np.array([[rng.normal(0, 0.08), 0.44]]), -np.pi / 2 + lean * (1 - 2.4 * t)
        stem = grow_hairs(foot, heading[None], np.array([0.62]))
        nodes = np.linspace(6, 30, int(rng.integers(9, 14))).astype(int)
        leaves = []
        for i, node in enumerate(nodes):
            out = (1 if i % 2 else -1) * rng.uniform(0.5, 1.1) * (node < 30)
            size = rng.uniform(0.2, 0.3) * (1.1 - 0.4 * node / 30)
            leaves.append(_leaf(stem[0, node], -np.pi / 2 + lean / 2 + out, size, girth, rng.normal(0, 0.5), teeth))
        tones = [green * rng.uniform(0.75, 1.25) for _ in leaves]
        bleed_colours(
            canvas, unit, [half for halves, _, _ in leaves for half in halves], [c for c in tones for _ in range(2)]
        )
        draw_lines(canvas, unit, stem, make_paint(green * np.array([0.9, 0.6, 0.5])), 0.011)
        for (halves, veins, middle), tone in zip(leaves, tones, strict=True):
            fill_shape(canvas, unit, halves[:1], make_paint(tone))
            fill_shape(canvas, unit, halves[1:], make_paint(tone * 0.8))
            draw_lines(canvas, unit, veins, make_paint(tone * 1.2), 0.0022)
            draw_lines(canvas, unit, middle[None], make_paint(tone * 1.35), 0.005)
        layers.append(np.dstack(shrink_canvas(canvas, height, width)))
    back = gaussian_blur(layers[0], rng.uniform(0.008, 0.025) * min(height, width))
    depth = smooth_step(fractal_noise(rng, height, width, 2.0, 2, 4), 0.6, 1.0)
    front = defocus(layers[1], depth, 0.004 * min(height, width))
    seen, near = back[..., 3] * (1 - front[..., 3]), front[..., 3]
    wide = near + 0.01 * gaussian_blur(
        near, 0.02 * min(height, width)
    )  # where alpha is 0, the nearer branch lends its colour
    share = wide / (wide + seen + 1e-4)
    return finish(rng, mix(back[..., :3] * 0.75, front[..., :3], share), near + seen)


KINDS: dict[str, Kind] = {
    "hair": _hair,
    "fur": _fur,
    "blob": _blob,
    "net": _net,
    "glass": _glass,
    "smoke": _smoke,
    "leaves": _leaves,
}


def foreground(rng: np.random.Generator, height: int, width: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """A random picture of one of KINDS.

    Returns straight RGB colours, uint8 [H, W, 3], defined also where alpha is 0, and the true alpha, uint8 [H, W].
    ConfigError for a name not in KINDS, DataError if a side is under 32 pixels.
    """
    check_sides(height, width)
    return lookup(KINDS, kind, "kind of foreground")(rng, height, width)
