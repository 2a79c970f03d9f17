"""Natural textures: dead leaves and coloured noise with the statistics of photographs, for backgrounds and for bodies.

Fields are float32 [H W] of mean 0 and spread 1. Networks for restoration train on such pictures nearly as well as on
photographs (Achddou, Gousseau and Ladjal 2021; Baradad et al., "Learning to see by looking at noise", 2021).
"""

from collections.abc import Callable

import cv2
import numpy as np

from deepmat.synth.camera import defocus, gaussian_blur
from deepmat.synth.colours import Pick, some_of
from deepmat.synth.drawing import (
    SHIFT,
    bump,
    coordinates,
    fractal_noise,
    grow_hairs,
    mix,
    normal,
    plain,
    smooth_step,
    spread_out,
    uniform,
    whole,
)

PHASES = np.stack([np.cos(np.arange(256) * np.pi / 128), np.sin(np.arange(256) * np.pi / 128)], -1).astype(np.float32)
GREY = np.array([0.299, 0.587, 0.114], np.float32)
# of wood, soil, straw, sand, moss, grass, leaves, slate
HUES = (0.04, 0.07, 0.09, 0.11, 0.15, 0.22, 0.28, 0.58)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """A random scale: as often between 1 and 2 as between 2 and 4."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _even(field: np.ndarray) -> np.ndarray:
    """The field with mean 0 and spread 1."""
    mean, spread = cv2.meanStdDev(field)
    return (field - np.float32(mean[0, 0])) * np.float32(1 / max(spread[0, 0], 1e-6))


def _fields(
    rng: np.random.Generator,
    height: int,
    width: int,
    slope: float,
    least: float = 1.0,
    stretch: float = 1.0,
    turn: float = 0.0,
) -> list[np.ndarray]:
    """Two fields of random phase: amplitude ~ frequency**-slope above `least` cycles along the longer side.

    `stretch`: how many times longer than broad the grain is, along the direction `turn`.
    """
    side = cv2.getOptimalDFTSize(max(height, width))
    x = np.fft.fftfreq(side, 1 / side).astype(np.float32)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    along, across = x[None] * cos + x[:, None] * sin, x[:, None] * cos - x[None] * sin
    amplitude = cv2.pow((along * np.float32(stretch)) ** 2 + across**2 + np.float32(least**2), -slope / 2)
    amplitude[0, 0] = 0
    phases = np.frombuffer(rng.bytes(side * side), np.uint8).reshape(side, side)
    # the real and the imaginary part of a spectrum without symmetry are two fields that know nothing of each other
    pair = cv2.idft(np.take(PHASES, phases, axis=0) * cv2.merge([amplitude] * 2))
    return [_even(part) for part in cv2.split(pair[:height, :width])]


def _pixels(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of every pixel, float32 [H W] each."""
    columns, rows = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    return np.broadcast_to(columns, (height, width)), np.broadcast_to(rows, (height, width))


def _bent(rng: np.random.Generator, height: int, width: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows turned by any angle and moved smoothly by up to half of `reach` times the shorter side."""
    coarse, far, turn = rng.uniform(1, 5), np.float32(reach * min(height, width)), rng.uniform(0, 2 * np.pi)
    columns, rows = (
        place + far * (fractal_noise(rng, height, width, 1.8, coarse, 32) - np.float32(0.5))
        for place in _pixels(height, width)
    )
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return columns * cos + rows * sin, rows * cos - columns * sin


def _flow(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Directions that turn smoothly, radians [H W]."""
    bend = np.float32(rng.choice([0.3, 1.0, 3.0]))
    return bend * fractal_noise(rng, height, width, 1.8, rng.uniform(1, 4), 32) + np.float32(rng.uniform(0, 6.3))


def _comb(field: np.ndarray, flow: np.ndarray, reach: float) -> np.ndarray:
    """The field smeared by `reach` pixels along the flow: noise turns into threads."""
    columns, rows = _pixels(*field.shape)
    x, y, step = np.cos(flow), np.sin(flow), np.float32(reach / 2)
    while step > 0.4:
        there = cv2.remap(field, columns + x * step, rows + y * step, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        field, step = (field + there) * np.float32(0.5), step / 2
    return _even(field)


def _relief(rng: np.random.Generator, field: np.ndarray, strength: float) -> np.ndarray:
    """Light [H W] on a field of heights, from a random side."""
    turn = rng.uniform(0, 2 * np.pi)
    slope = cv2.Sobel(field, cv2.CV_32F, 1, 0) * np.float32(np.cos(turn))
    slope += cv2.Sobel(field, cv2.CV_32F, 0, 1) * np.float32(np.sin(turn))
    return np.clip(1 + np.float32(strength) * _even(slope), 0.2, 2.2)


def _tones(rng: np.random.Generator, pick: Pick, count: int, clusters: int = 1) -> np.ndarray:
    """Colours [count 3] of a few clusters: they differ in lightness far more than in hue."""
    parts = []
    for share in np.array_split(np.arange(count), clusters):
        hue = float(rng.choice(HUES)) if rng.random() < 0.85 else rng.random()
        vivid, light = 0.5 * rng.random() ** 1.5, rng.uniform(0.25, 0.75)
        spans = (hue - 0.03, hue + 0.03), (0.6 * vivid, 1.4 * vivid), (light - 0.2, light + 0.2)
        parts.append(pick(*spans, max(1, len(share))))
    tones = np.concatenate(parts)[:count]
    return np.clip(tones * np.exp(normal(rng, 0.15, len(tones), 1)), 0, 1)


def _paint(rng: np.random.Generator, pick: Pick, field: np.ndarray) -> np.ndarray:
    """A field in colours of one cluster, the higher the lighter, float32 [H W 3]."""
    tones = _tones(rng, pick, 5)
    tones = tones[np.argsort(tones @ GREY)] * np.linspace(rng.uniform(0.4, 0.9), 1.15, 5)[:, None]
    table = np.stack([np.interp(np.linspace(0, 4, 256), range(5), part) for part in tones.T], -1).astype(np.float32)
    return np.take(table, np.clip(field * np.float32(42) + 128, 0, 255).astype(np.uint8), axis=0)


def _label(height: int, width: int, shapes: np.ndarray, thickness: np.ndarray | None = None) -> np.ndarray:
    """Which of the shapes [N K 2], in pixels, is on top: int32 [2H 2W], 1 for the deepest, 0 where there is none.

    Convex outlines, or with thickness [N], in half pixels, paths.
    """
    labels = np.zeros((2 * height, 2 * width), np.int32)
    points = np.rint(shapes * (2 << SHIFT)).astype(np.int32)
    for number, shape in enumerate(points, 1):
        if thickness is None:
            cv2.fillConvexPoly(labels, shape, number, cv2.LINE_8, SHIFT)
        else:
            cv2.polylines(labels, [shape], False, number, int(thickness[number - 1]), cv2.LINE_8, SHIFT)
    return labels


def _pile(labels: np.ndarray, colours: np.ndarray, dark: float, reach: float) -> np.ndarray:
    """Labels in colours [N+1 3], the first for the ground, with shadows on what lies deeper. float32 [H W 3].

    `dark`: how much of the light the shadows take; they reach `reach` pixels.
    """
    size = labels.shape[1] // 2, labels.shape[0] // 2
    picture = cv2.resize(np.take(colours.astype(np.float32), labels, axis=0), size, interpolation=cv2.INTER_AREA)
    depth = cv2.resize(labels.astype(np.float32), size, interpolation=cv2.INTER_AREA) * np.float32(1 / len(colours))
    above = gaussian_blur(depth, reach) - depth
    return picture * spread_out(1 - np.float32(dark) * smooth_step(above, -0.1, 0.4))


def _within(labels: np.ndarray, places: np.ndarray, turns: np.ndarray, long: np.ndarray, broad: np.ndarray) -> tuple:
    """Every pixel's place in its own shape, along and across it, [H W] each: -1 to 1; and its label [H W]."""
    top = labels[::2, ::2]
    cos, sin = np.cos(turns), np.sin(turns)
    table = np.stack([places[:, 0], places[:, 1], cos / long, sin / long, cos / broad, -sin / broad])
    x, y, a, b, c, d = np.take(np.pad(table, ((0, 0), (1, 0))).astype(np.float32), top, axis=1)
    columns, rows = _pixels(*top.shape)
    x, y = columns - x, rows - y
    return x * a + y * b, y * c + x * d, top


def _scatter(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """Places [N 2] in pixels, also a little beyond the edges."""
    return uniform(rng, -0.06, 1.06, count, 2) * np.array([width, height], np.float32)


def _power_law(rng: np.random.Generator, count: int, least: float, largest: float) -> np.ndarray:
    """Radii [N] whose density falls with their third power."""
    share = uniform(rng, 0, 1, count) * np.float32(1 - (least / largest) ** 2)
    return np.float32(least) / np.sqrt(1 - share)


def _outlines(
    rng: np.random.Generator, places: np.ndarray, turns: np.ndarray, long: np.ndarray, broad: np.ndarray, uneven: float
) -> np.ndarray:
    """Ellipses [N 12 2], as points at angles that are the less even the larger `uneven`: stones, shards."""
    t = np.arange(12, dtype=np.float32) * np.float32(2 * np.pi / 12) + normal(rng, uneven, len(places), 12)
    t.sort(axis=1)
    u, v = np.cos(t) * long[:, None], np.sin(t) * broad[:, None]
    cos, sin = np.cos(turns)[:, None], np.sin(turns)[:, None]
    return np.stack([u * cos - v * sin, u * sin + v * cos], -1) + places[:, None]


def _covering(height: int, width: int, area: float, most: int = 2200) -> int:
    """How many shapes of a mean area cover a picture about twice."""
    return int(np.clip(2 * height * width / area, 30, most))


def leaves(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Dead leaves: shapes of all sizes over shapes, flat, shaded or grained; between them the same, smaller."""
    unit = min(height, width)
    least = unit * _between(rng, 0.006, 0.03)
    largest = unit * rng.uniform(0.15, 0.5)
    flat = rng.uniform(0.3, 1.0)
    count = _covering(height, width, 4 * least**2 * flat * np.log(largest / least))
    places, turns = _scatter(rng, height, width, count), uniform(rng, 0, 6.3, count) * rng.choice([0.1, 1.0])
    long = _power_law(rng, count, least, largest)
    broad = long * uniform(rng, flat * 0.6, flat, count)
    labels = _label(height, width, _outlines(rng, places, turns, long, broad, float(rng.choice([0.0, 0.3, 1.0]))))
    colours = _tones(rng, pick, count + 1, int(rng.integers(1, 5)))
    small = _pile(labels, rng.permutation(colours), rng.uniform(0, 0.7), 0.01 * unit)
    u, v, top = _within(labels, places, turns, long, broad)
    ramp, rough, apart = (
        np.take(values, top)
        for values in (
            normal(rng, 0.15, count + 1),
            uniform(rng, 0, 0.25, count + 1) ** 1.3,
            uniform(rng, 0, 400, count + 1),
        )
    )
    grain = _fields(rng, height, width, rng.uniform(0.3, 1.0), 4, _between(rng, 1, 8))[0]
    columns, rows = _pixels(height, width)
    grain = cv2.remap(grain, columns + apart, rows + apart, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    light = 1 + np.clip(ramp * u + 0.5 * ramp * v, -0.5, 0.5) + rough * grain
    picture = small * spread_out(light)
    tile = cv2.resize(picture, (width // 3 + 1, height // 3 + 1), interpolation=cv2.INTER_AREA)
    ground = cv2.copyMakeBorder(tile, 0, 2 * tile.shape[0], 0, 2 * tile.shape[1], cv2.BORDER_REFLECT)[:height, :width]
    gap = cv2.resize((labels == 0).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return mix(picture, ground * np.float32(0.8), gap)


def stones(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Gravel, pebbles, rubble: rounded or broken, each lit from one side, dark gaps between."""
    unit = min(height, width)
    least = unit * _between(rng, 0.008, 0.06)
    largest = least * rng.uniform(1.5, 5)
    count = _covering(height, width, 4 * least**2 * np.log(largest / least) / (1 - (least / largest) ** 2))
    places, turns = _scatter(rng, height, width, count), uniform(rng, 0, 6.3, count)
    long = _power_law(rng, count, least, largest)
    broad = long * uniform(rng, 0.6, 1, count)
    labels = _label(height, width, _outlines(rng, places, turns, long, broad, rng.uniform(0, 0.35)))
    colours = _tones(rng, pick, count + 1, int(rng.integers(1, 4)))
    colours[0] *= 0.3
    picture = _pile(labels, colours, rng.uniform(0.5, 0.9), 0.5 * least)
    u, v, top = _within(labels, places, turns, long, broad)
    lamp = rng.uniform(0, 6.3)
    facing = np.take(np.pad(np.stack([np.cos(lamp - turns), np.sin(lamp - turns)]), ((0, 0), (1, 0))), top, axis=1)
    dome = u * facing[0].astype(np.float32) + v * facing[1].astype(np.float32)
    grain = _fields(rng, height, width, rng.uniform(0.3, 1.0), 8)[0]
    light = 1 + rng.uniform(0.1, 0.5) * np.clip(dome, -1.5, 1.5) + rng.uniform(0.03, 0.2) * grain
    return picture * spread_out(np.clip(light, 0.1, 2))


def foliage(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Leaves on a plant or on the ground, with veins; the deeper the darker, near or far ones out of focus."""
    unit = min(height, width)
    long = unit * _between(rng, 0.02, 0.12)
    slim = rng.uniform(0.2, 0.6)
    count = _covering(height, width, 2 * slim * long**2, 1500)
    places = _scatter(rng, height, width, count)
    turns = rng.uniform(0, 6.3) + normal(rng, float(rng.choice([0.5, 3.0])), count)
    reach = np.float32(long) * uniform(rng, 0.5, 1.3, count)
    broad = reach * slim * uniform(rng, 0.5, 1, count)
    t = np.arange(14, dtype=np.float32) * np.float32(2 * np.pi / 14)
    a, b = np.cos(t) * reach[:, None], np.sin(t) * np.abs(np.sin(t)) ** 0.6 * broad[:, None]
    cos, sin = np.cos(turns)[:, None], np.sin(turns)[:, None]
    labels = _label(height, width, np.stack([a * cos - b * sin, a * sin + b * cos], -1) + places[:, None])
    colours = _tones(rng, pick, count + 1, int(rng.choice([1, 1, 2, 4])))
    colours *= np.linspace(rng.uniform(0.1, 0.7), 1.1, count + 1)[:, None]
    picture = _pile(labels, colours, rng.uniform(0.3, 0.9), 0.3 * long)
    u, v, top = _within(labels, places, turns, reach, broad)
    bend = np.take(normal(rng, 0.2, count + 1), top)
    vein = bump(v * np.float32(0.15 * long)) * (np.float32(rng.uniform(-0.2, 0.4)))
    light = 1 + bend * u + np.float32(rng.uniform(0, 0.3)) * np.tanh(3 * v) + vein
    grain = _fields(rng, height, width, 0.7, 8)[0]
    picture = picture * spread_out(np.clip(light + np.float32(0.08) * grain, 0.1, 2))
    if rng.random() < 0.5:
        depth = cv2.resize(labels.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) / count
        depth = cv2.GaussianBlur(depth, (0, 0), 0.1 * long + 1)
        picture = defocus(picture, smooth_step(depth, 0.8, 0.3), 0.2 * long)
    return picture


def blades(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Grass, straw, needles or shaggy hair: strokes along a flow, dark at the root."""
    unit, count = min(height, width), int(rng.integers(900, 2200))
    flow, loose = _flow(rng, height, width), rng.choice([0.1, 0.3, 1.0])
    places = _scatter(rng, height, width, count)
    column, row = (np.clip(places[:, i], 0, side - 1).astype(int) for i, side in enumerate((width, height)))
    turns = flow[row, column] + normal(rng, loose, count)
    long = unit * _between(rng, 0.05, 0.25) * uniform(rng, 0.5, 1.2, count)
    curl = normal(rng, 0.4, count, 1)
    paths = grow_hairs(places, turns[:, None] + curl * np.linspace(-1, 1, 6, dtype=np.float32), long)
    thick = rng.integers(1, max(2, round(0.03 * unit * rng.random())) + 1, count)
    labels = _label(height, width, paths, thick)
    colours = _tones(rng, pick, count + 1, int(rng.integers(1, 3)))
    colours *= np.linspace(rng.uniform(0.1, 0.6), 1.1, count + 1)[:, None]
    picture = _pile(labels, colours, rng.uniform(0.2, 0.8), 0.008 * unit)
    middle = places + np.stack([np.cos(turns), np.sin(turns)], -1) * long[:, None] / 2
    u, _, top = _within(labels, middle, turns, long / 2, long)
    return picture * spread_out(np.where(top > 0, np.clip(1 + np.float32(0.35) * u, 0.4, 1.6), 1))


def fur(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Fine hairs in tufts along a flow, or brushed metal, straw, fibres: noise combed twice."""
    unit, flow = min(height, width), _flow(rng, height, width)
    first, second = _fields(rng, height, width, rng.uniform(0, 0.5), 1)
    reach = unit * _between(rng, 0.05, 0.3)
    tufts = _fields(rng, height, width, 2.0, _between(rng, 4, 20))[0]
    flow = flow + np.float32(rng.uniform(0, 0.6)) * tufts
    hairs = _comb(first, flow, reach) + np.float32(rng.uniform(0.2, 1)) * _comb(tufts, flow, reach)
    picture = _paint(rng, pick, _even(hairs))
    if rng.random() < 0.4:
        patches = _fields(rng, height, width, 1.5, rng.uniform(1, 4))[0]
        picture = mix(picture, _paint(rng, pick, _comb(second, flow, reach)), smooth_step(patches, -0.2, 0.4))
    return picture


def grain(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Long grain that curves: wood, strata, scratches."""
    stretch = _between(rng, 3, 30)
    field, other = _fields(rng, height, width, rng.uniform(0.5, 1.3), _between(rng, 1, 12), stretch)
    columns, rows = _bent(rng, height, width, rng.uniform(0.1, 0.8))
    field, other = (
        cv2.remap(part, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for part in (field, other)
    )
    if rng.random() < 0.4:  # rings
        field = np.sin(field * np.float32(rng.uniform(2, 6))) + np.float32(0.5) * other
    return _paint(rng, pick, _even(field))


def clouds(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Stains, sand, felt, asphalt: coloured noise in two tones."""
    field, other = _fields(rng, height, width, rng.uniform(0.5, 1.6), _between(rng, 1, 30))
    fine = _fields(rng, height, width, rng.uniform(0.0, 0.8), 2)[0]
    field = _even(field + np.float32(rng.uniform(0, 0.8)) * fine)
    return mix(_paint(rng, pick, field), _paint(rng, pick, field), np.clip(0.5 + rng.uniform(0, 1) * other, 0, 1))


def rock(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Rock, plaster, bark, peeling paint: ridges under a lamp, patches of two kinds, cracks."""
    turn, stretch = rng.uniform(0, 6.3), float(rng.choice([1.0, 1.0, _between(rng, 2, 8)]))
    first, second = _fields(rng, height, width, rng.uniform(0.9, 1.6), _between(rng, 2, 16), stretch, turn)
    fine, spots = _fields(rng, height, width, rng.uniform(0.3, 1.0), 8)
    ridges = -np.abs(first) if rng.random() < 0.5 else first
    heights = _even(_even(ridges) + np.float32(rng.uniform(0.05, 0.5)) * fine)
    picture = _paint(rng, pick, _even(heights + np.float32(rng.uniform(0, 1)) * spots))
    light = _relief(rng, cv2.GaussianBlur(heights, (0, 0), rng.uniform(0.5, 1.5)), rng.uniform(0.1, 0.5))
    if rng.random() < 0.5:
        share = smooth_step(second + np.float32(0.15) * fine, 0.3, 0.3 + rng.uniform(0.03, 0.5))
        picture = mix(picture, _paint(rng, pick, _even(fine + second)), share)
    if rng.random() < 0.5:
        wide = np.float32(rng.uniform(0.02, 0.12))
        light = light * (1 - rng.uniform(0.3, 0.9) * bump((second + np.float32(0.1) * spots) / wide))
    return picture * spread_out(light)


def fabric(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Plain, twill or ribbed weave, knitwear: threads of uneven thickness and tone, in soft folds."""
    unit, threads = min(height, width), _between(rng, 12, 90)
    columns, rows = _bent(rng, height, width, rng.uniform(0.02, 0.3))
    wobble, tone = _fields(rng, height, width, 1.2, threads / 4)
    wobble *= np.float32(rng.uniform(0.02, 0.15))
    u, v = columns * np.float32(threads / unit) + wobble, rows * np.float32(threads / unit) + wobble[::-1]
    if rng.random() < 0.4:  # knitwear: columns of stitches, each a V
        side = np.abs(u * np.float32(0.5) - np.floor(u * np.float32(0.5)) - np.float32(0.5))
        v = v + side * np.float32(rng.uniform(1.5, 3))
        bulge = np.sin(np.float32(2 * np.pi) * v) * np.float32(0.5) - smooth_step(side, 0.12, 0.0) * np.float32(0.8)
        across = u
    else:
        shift = float(rng.choice([0.5, 0.25, 0.0]))  # plain, twill, rib
        i, j = np.floor(u), np.floor(v)
        over = np.cos(np.float32(np.pi) * (v + 2 * np.float32(shift) * i)) if shift else np.float32(1)
        bulge = over * np.sin(np.float32(np.pi) * (u - i)) - np.float32(0.3) * np.cos(np.float32(2 * np.pi) * (v - j))
        across = np.where(over > 0, u, v) if shift else u
    each = normal(rng, rng.uniform(0.05, 0.4), 1024)
    streaks = np.take(each, np.floor(across).astype(np.int32) & 1023)
    hue = _paint(rng, pick, _even(streaks + np.float32(0.5) * tone + np.float32(0.02) * u))
    fuzz = _fields(rng, height, width, 0.4, threads)[0]
    return hue * spread_out(np.clip(1 + rng.uniform(0.1, 0.3) * bulge + rng.uniform(0.03, 0.15) * fuzz, 0.1, 2))


def carpet(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Tufts, terry, moss, wool: blobs of one size, brushed this way and that, in patches of tone."""
    tufts = _between(rng, 12, 80)
    first, second = _fields(rng, height, width, 3.0, tufts)
    fine, patches = _fields(rng, height, width, rng.uniform(0.2, 1), 4)
    flow = _flow(rng, height, width) + np.float32(rng.uniform(0, 1.5)) * second
    field = _comb(first + np.float32(0.4) * fine, flow, max(height, width) / tufts * rng.uniform(0.1, 1))
    light = _relief(rng, field, rng.uniform(0.1, 0.4)) * (1 + np.float32(0.12) * patches)
    return _paint(rng, pick, _even(field + np.float32(0.5) * patches)) * spread_out(np.clip(light, 0.1, 2))


def bokeh(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Dead leaves or foliage far out of focus, with bright discs."""
    small = max(32, height // 4), max(32, width // 4)
    picture = (leaves if rng.random() < 0.5 else foliage)(rng, *small, pick)
    picture = gaussian_blur(picture, min(small) * rng.uniform(0.02, 0.1))
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    count, radius = int(rng.integers(0, 25)), min(height, width) * rng.uniform(0.01, 0.06)
    places, long = _scatter(rng, height, width, count), np.float32(radius) * uniform(rng, 0.8, 1.1, count)
    discs = np.zeros((height, width, 3), np.float32)
    for place, reach, colour in zip(places, long, _tones(rng, pick, count + 1), strict=False):
        disc = plain(height, width, np.zeros(3))
        cv2.circle(disc, np.rint(place * 16).astype(int).tolist(), int(reach * 16), (colour * 200).tolist(), -1, 16, 4)
        discs += disc * np.float32(1 / 255)
    return picture + discs * np.float32(rng.uniform(0.2, 0.8))


# each returns float32 [H W 3], about 0 to 1
TEXTURES: dict[str, Callable[[np.random.Generator, int, int, Pick], np.ndarray]] = {
    "leaves": leaves,
    "stones": stones,
    "foliage": foliage,
    "blades": blades,
    "fur": fur,
    "grain": grain,
    "clouds": clouds,
    "rock": rock,
    "fabric": fabric,
    "carpet": carpet,
    "bokeh": bokeh,
}


def _draw(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    return TEXTURES[list(TEXTURES)[rng.integers(len(TEXTURES))]](rng, height, width, pick)


def natural(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """One of TEXTURES, fine to coarse, with the contrast of a photograph, under uneven light. float32 [H W 3]."""
    picture = np.clip(_draw(rng, height, width, pick), 0, 1.3)
    mean, spread = cv2.meanStdDev(cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA))
    wanted = rng.choice([0.05, 0.1, 0.14, 0.18, 0.25]) * rng.uniform(0.8, 1.2)
    gain = np.clip(wanted / max(float(spread.mean()), 1e-3), 0.4, 2.5)
    x, y = coordinates(whole(48, 48))
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.3) * (x * np.cos(turn) + y * np.sin(turn))
    if rng.random() < 0.4:  # soft shadows
        shadow = fractal_noise(rng, 48, 48, rng.uniform(0.8, 1.5), 2)
        light = light * (1 - rng.uniform(0.2, 0.6) * smooth_step(shadow, 0.45, 0.45 + rng.uniform(0.08, 0.4)))
    light = cv2.resize(light.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    middle = mean.ravel().tolist()
    return np.clip(
        cv2.merge([(part - m) * np.float32(gain) + m for part, m in zip(cv2.split(picture), middle, strict=True)])
        * spread_out(light),
        0,
        1,
    )


def surface(rng: np.random.Generator, height: int, width: int, mean: np.ndarray) -> np.ndarray:
    """The relief of a body of one colour [3]: factors around 1, float32 [H W 3]."""
    near = mean * (0.5 / max(float(np.max(mean)), 1e-3)) if np.max(mean) > 0 else np.full(3, 0.5)
    picture = _draw(rng, height, width, some_of(rng, np.asarray(near, np.float32)[None]))
    ratio = picture / np.maximum(picture.mean((0, 1)), 1e-3)
    spread = float(ratio.std())
    return np.clip(1 + (ratio - 1) * np.float32(rng.uniform(0.05, 0.25) / max(spread, 0.05)), 0.3, 1.8)
