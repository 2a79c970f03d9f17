"""Things that end in threads: hair, fur, tufts, feathers, dandelions."""

import cv2
import numpy as np

from deepmat.synth.drawing import (
    WHITE,
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

Feather = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _tones(rng: np.random.Generator, colour: np.ndarray, count: int, spread: float) -> np.ndarray:
    """Lighter and darker colours [count 3]."""
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
        """Strands follow the wave of their clump; the looser, the further they leave it."""
        owner = rng.integers(0, clumps, count)
        start = (around[owner] + normal(rng, 0.25 + loose, count))[:, None]
        start = np.where(start < -np.pi / 2, start + 2 * np.pi, start)  # fall outwards, on the side where the root is
        fall = droop * (1 - np.exp(-t * 8)) * (1 - 0.5 * loose * uniform(rng, 0, 1, count, 1))
        down = np.pi / 2 + normal(rng, 0.05 + 0.4 * loose, count, 1)
        lag = phase[owner][:, None] + normal(rng, 0.3 + loose, count, 1)
        heading = start + (down - start) * fall + swing * np.sin(2 * np.pi * waves * t + lag)
        reach = length * stretch[owner] * uniform(rng, 0.75, 1.1, count) * (1 - 0.3 * loose)
        return grow_hairs(roots[owner] + normal(rng, 0.019, count, 2), heading, reach)

    # from near, what looked like one strand is several
    thin = min(1.0, (450 / view.scale) ** 0.4)
    count, tones = int(600 / thin), _tones(rng, colour, 32, 0.25)
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

    # hairs grow where a coarse map of the body is, away from its middle; on it, they lie downwards
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
    # the rim is what the alpha is about: a third of all hairs grow there
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
    tones = _tones(rng, coat, 32, 0.2)
    canvas, sheet = new_canvas(view, 0.0018)
    draw_strands(canvas, sheet, faint, tones[:12], 0.0022 * thin, (0.4, 1.0))
    fill_body(canvas, sheet, make_paint(coat * 0.8))  # after the faint hairs, which must not thin it
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


def _feather(rng: np.random.Generator, colours: np.ndarray, base: np.ndarray, turn: float, length: float) -> Feather:
    """One feather: barbs as polygons [N 5 2] with their colours [N 3], down [M 9 2], shaft [1 33 2]."""
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
        split = np.zeros(count + 1, np.float32)  # where barbs lost hold of each other, those beyond lean over
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
        tones = _tones(rng, colour, 24, 0.2)
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
        draw_strands(canvas, sheet, many, _tones(rng, pale * tone, 8, 0.08), 0.0016)
        if tone < 1:
            fill_shape(
                canvas, sheet, ellipse_outline(middle[0], middle[1], 0.15 * radius, 0.13 * radius), make_paint(brown)
            )
    grains = stalks[:, :1] + (stalks[:, 1:] - stalks[:, :1]) * np.linspace(0, 0.22, 3)[:, None]
    draw_strands(canvas, sheet, grains, brown[None] * 0.8, 0.007)
    return to_layers(canvas, view)
