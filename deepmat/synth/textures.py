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
    smooth_step,
    spread_out,
    uniform,
    whole,
)

PHASES = np.stack([np.cos(np.arange(256) * np.pi / 128), np.sin(np.arange(256) * np.pi / 128)], -1).astype(np.float32)
GREY = np.array([0.299, 0.587, 0.114], np.float32)
# of wood, soil, straw, sand, moss, grass, leaves, slate
HUES = (0.03, 0.07, 0.09, 0.11, 0.14, 0.19, 0.24, 0.58)


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


def _relief(rng: np.random.Generator, heights: np.ndarray, soft: float, strength: float) -> np.ndarray:
    """Light [H W] on a field of heights without detail below `soft` pixels: from a random side, less in hollows."""
    heights, turn = gaussian_blur(heights, soft), rng.uniform(0, 2 * np.pi)
    slope = cv2.Sobel(heights, cv2.CV_32F, 1, 0) * np.float32(np.cos(turn))
    slope += cv2.Sobel(heights, cv2.CV_32F, 0, 1) * np.float32(np.sin(turn))
    hollow = np.float32(rng.uniform(0, 0.25)) * np.clip(heights, -2, 1)
    return np.clip(1 + np.float32(strength) * _even(slope) + hollow, 0.15, 2.0)


def _tones(rng: np.random.Generator, pick: Pick, count: int, clusters: int = 1) -> np.ndarray:
    """Colours [count 3] of a few clusters: they differ in lightness far more than in hue."""
    parts = []
    for share in np.array_split(np.arange(count), clusters):
        hue = float(rng.choice(HUES)) if rng.random() < 0.9 else rng.random()
        vivid = 0.55 * rng.random() ** 1.5
        light = rng.uniform(0.25, 0.8 - 0.5 * vivid)
        spans = (hue - 0.03, hue + 0.03), (0.6 * vivid, 1.3 * vivid), (light - 0.2, light + 0.2)
        parts.append(pick(*spans, max(1, len(share))))
    tones = rng.permutation(np.concatenate(parts)[:count])
    return np.clip(tones * np.exp(normal(rng, 0.15, len(tones), 1)), 0, 1)


def _paint(rng: np.random.Generator, pick: Pick, field: np.ndarray) -> np.ndarray:
    """A field in colours of one cluster, the higher the lighter, float32 [H W 3]."""
    tones = _tones(rng, pick, 5)
    tones = tones[np.argsort(tones @ GREY)] * np.linspace(rng.uniform(0.4, 0.9), 1.15, 5)[:, None]
    table = np.stack([np.interp(np.linspace(0, 4, 256), range(5), part) for part in tones.T], -1).astype(np.float32)
    return np.take(table, np.clip(field * np.float32(42) + 128, 0, 255).astype(np.uint8), axis=0)


def _label(height: int, width: int, shapes: np.ndarray) -> np.ndarray:
    """Which of the outlines [N K 2], in pixels, is on top: int32 [2H 2W], 1 for the deepest, 0 where there is none."""
    labels = np.zeros((2 * height, 2 * width), np.int32)
    for number, shape in enumerate(np.rint(shapes * (2 << SHIFT)).astype(np.int32), 1):
        cv2.fillPoly(labels, [shape], number, cv2.LINE_8, SHIFT)
    return labels


def _pile(labels: np.ndarray, colours: np.ndarray, dark: float, reach: float) -> np.ndarray:
    """Labels in colours [N+1 3], the first for the ground, with shadows on what lies deeper. float32 [H W 3].

    `dark`: how much of the light the shadows take; they reach `reach` pixels.
    """
    size, depth = (labels.shape[1] // 2, labels.shape[0] // 2), np.linspace(0, 1, len(colours))
    table = np.concatenate([colours, depth[:, None]], 1).astype(np.float32)
    *picture, near = cv2.split(cv2.resize(np.take(table, labels, axis=0), size, interpolation=cv2.INTER_AREA))
    return cv2.merge(picture) * spread_out(
        1 - np.float32(dark) * smooth_step(gaussian_blur(near, reach) - near, -0.1, 0.4)
    )


def _within(labels: np.ndarray, places: np.ndarray, turns: np.ndarray, long: np.ndarray, broad: np.ndarray) -> tuple:
    """Every pixel's place in its own shape, along and across it, [H W] each: -1 to 1; and its label [H W]."""
    top = labels[::2, ::2].astype(np.intp)
    cos, sin = np.cos(turns), np.sin(turns)
    table = np.stack([places[:, 0], places[:, 1], cos / long, sin / long, cos / broad, -sin / broad])
    x, y, a, b, c, d = np.take(np.pad(table, ((0, 0), (1, 0))).astype(np.float32), top, axis=1)
    columns, rows = _pixels(*top.shape)
    x, y = columns - x, rows - y
    return x * a + y * b, y * c + x * d, top


def _fill_gaps(picture: np.ndarray, labels: np.ndarray, light: float) -> np.ndarray:
    """Where no shape lies, the picture itself, three times smaller and with that share of its light."""
    height, width = picture.shape[:2]
    tile = cv2.resize(picture, (width // 3 + 1, height // 3 + 1), interpolation=cv2.INTER_AREA)
    ground = cv2.copyMakeBorder(tile, 0, 2 * tile.shape[0], 0, 2 * tile.shape[1], cv2.BORDER_REFLECT)[:height, :width]
    gap = cv2.resize((labels == 0).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return mix(picture, ground * np.float32(light), gap)


def _lit(picture: np.ndarray, light: np.ndarray) -> np.ndarray:
    """The picture under light [H W] found for one shape a pixel: a little soft, so that no edge is ragged."""
    return picture * spread_out(cv2.GaussianBlur(np.clip(light, 0.1, 2).astype(np.float32), (3, 3), 0.7))


def _scatter(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """Places [N 2] in pixels, also a little beyond the edges."""
    return uniform(rng, -0.06, 1.06, count, 2) * np.array([width, height], np.float32)


def _power_law(rng: np.random.Generator, count: int, least: float, largest: float) -> np.ndarray:
    """Radii [N] whose density falls with their third power."""
    share = uniform(rng, 0, 1, count) * np.float32(1 - (least / largest) ** 2)
    return np.float32(least) / np.sqrt(1 - share)


def _turned(u: np.ndarray, v: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Points [N K 2] at u and v [N K], turned by the angles [N]."""
    cos, sin = np.cos(turns)[:, None], np.sin(turns)[:, None]
    return np.stack([u * cos - v * sin, u * sin + v * cos], -1)


def _outlines(
    rng: np.random.Generator, places: np.ndarray, turns: np.ndarray, long: np.ndarray, broad: np.ndarray, uneven: float
) -> np.ndarray:
    """Ellipses [N 16 2], as points at angles that are the less even the larger `uneven`: stones, shards."""
    t = np.arange(16, dtype=np.float32) * np.float32(2 * np.pi / 16) + normal(rng, uneven, len(places), 16)
    t.sort(axis=1)
    return _turned(np.cos(t) * long[:, None], np.sin(t) * broad[:, None], turns) + places[:, None]


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
    picture = _pile(labels, colours, rng.uniform(0, 0.7), 0.01 * unit)
    u, v, top = _within(labels, places, turns, long, broad)
    ramp, rough, apart = (
        np.take(values, top)
        for values in (
            normal(rng, 0.15, count + 1),
            uniform(rng, 0, 0.25, count + 1) ** 1.3,
            uniform(rng, 0, 400, count + 1),
        )
    )
    grain = _fields(rng, height, width, rng.uniform(0.6, 1.2), 4, _between(rng, 1, 8))[0]
    columns, rows = _pixels(height, width)
    grain = cv2.remap(grain, columns + apart, rows + apart, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    light = 1 + np.clip(ramp * u + 0.5 * ramp * v, -0.5, 0.5) + rough * grain
    return _fill_gaps(_lit(picture, light), labels, rng.uniform(0.5, 1))


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
    picture = _pile(labels, colours, rng.uniform(0.3, 0.9), 0.5 * least)
    u, v, top = _within(labels, places, turns, long, broad)
    lamp = rng.uniform(0, 6.3)
    facing = np.take(
        np.pad(np.stack([np.cos(lamp - turns), np.sin(lamp - turns)]), ((0, 0), (1, 0))), top, axis=1, mode="clip"
    )
    dome = u * facing[0].astype(np.float32) + v * facing[1].astype(np.float32)
    grain = _fields(rng, height, width, rng.uniform(0.6, 1.3), 8)[0]
    light = 1 + rng.uniform(0.1, 0.5) * np.clip(dome, -1, 1) + rng.uniform(0.03, 0.2) * grain
    return _fill_gaps(_lit(picture, light), labels, rng.uniform(0.3, 0.8))


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
    outlines = _turned(np.cos(t) * reach[:, None], np.sin(t) * np.abs(np.sin(t)) ** 0.6 * broad[:, None], turns)
    labels = _label(height, width, outlines + places[:, None])
    colours = _tones(rng, pick, count + 1, int(rng.choice([1, 1, 2, 4])))
    colours *= np.linspace(rng.uniform(0.1, 0.7), 1.1, count + 1)[:, None]
    picture = _pile(labels, colours, rng.uniform(0.3, 0.9), 0.3 * long)
    u, v, top = _within(labels, places, turns, reach, broad)
    bend = np.take(normal(rng, 0.2, count + 1), top)
    vein = bump(v * np.float32(0.3 * long)) * np.float32(rng.uniform(-0.2, 0.4))
    light = 1 + bend * u + np.float32(rng.uniform(-0.3, 0.3)) * np.clip(3 * v, -1, 1) + vein
    grain = _fields(rng, height, width, 0.9, 8)[0]
    picture = _fill_gaps(_lit(picture, light + np.float32(0.08) * grain), labels, rng.uniform(0.2, 0.8))
    if rng.random() < 0.5:
        depth = cv2.resize(labels.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        deep = smooth_step(gaussian_blur(depth, 0.1 * long + 1), 0.8 * count, 0.3 * count)
        picture = defocus(picture, deep, 0.2 * long)
    return picture


def blades(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Grass, straw, needles or shaggy hair: tapering strokes along a flow, dark at the root."""
    unit, count = min(height, width), int(rng.integers(900, 2200))
    flow, loose = _flow(rng, height, width), rng.choice([0.1, 0.3, 1.0])
    places = _scatter(rng, height, width, count)
    column, row = (np.clip(places[:, i], 0, side - 1).astype(int) for i, side in enumerate((width, height)))
    turns = flow[row, column] + normal(rng, loose, count)
    long = unit * _between(rng, 0.05, 0.25) * uniform(rng, 0.5, 1.2, count)
    headings = turns[:, None] + normal(rng, 0.4, count, 1) * np.linspace(-1, 1, 6, dtype=np.float32)
    paths = grow_hairs(places - np.stack([np.cos(turns), np.sin(turns)], -1) * long[:, None] / 2, headings, long)
    half = unit * _between(rng, 0.001, 0.008) * uniform(rng, 0.5, 1, count, 1) * np.linspace(1, 0.1, 7) ** 0.6
    side = half[..., None] * np.stack([-np.sin(turns), np.cos(turns)], -1)[:, None]
    labels = _label(height, width, np.concatenate([paths + side, (paths - side)[:, ::-1]], 1))
    colours = _tones(rng, pick, count + 1, int(rng.integers(1, 3)))
    colours *= np.linspace(rng.uniform(0.2, 0.8), 1.1, count + 1)[:, None]
    picture = _pile(labels, colours, rng.uniform(0.2, 0.7), 0.008 * unit)
    u, _, _ = _within(labels, places, turns, long / 2, long)
    picture = _lit(picture, 1 + np.float32(rng.uniform(0, 0.5)) * np.clip(u, -1, 1))
    return _fill_gaps(picture, labels, rng.uniform(0.3, 0.9))


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
    columns, rows = _bent(rng, height, width, _between(rng, 0.05, 0.5))
    field, other = (
        cv2.remap(part, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for part in (field, other)
    )
    if rng.random() < 0.3:  # rings
        field = np.sin(field * np.float32(rng.uniform(1, 4))) + np.float32(rng.uniform(0.5, 1.5)) * other
    fine = _fields(rng, height, width, 0.7, 8)[0]
    return _paint(rng, pick, _even(_even(field) + np.float32(rng.uniform(0, 0.5)) * fine))


def clouds(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Stains, sand, felt, asphalt: coloured noise in two tones."""
    field, other = _fields(rng, height, width, rng.uniform(0.5, 1.6), _between(rng, 1, 30))
    fine = _fields(rng, height, width, rng.uniform(0.3, 1.0), 2)[0]
    field = _even(field + np.float32(rng.uniform(0, 0.8)) * fine)
    share = np.clip(0.5 + rng.uniform(0, 0.6) * other, 0, 1)
    return mix(_paint(rng, pick, field), _paint(rng, pick, field), share)


def rock(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Rock, plaster, bark, peeling paint: ridges under a lamp, patches of two kinds, cracks."""
    unit, turn = min(height, width), rng.uniform(0, 6.3)
    stretch = float(rng.choice([1.0, 1.0, _between(rng, 2, 8)]))
    first, second = _fields(rng, height, width, rng.uniform(1.0, 1.8), _between(rng, 1, 16), stretch, turn)
    fine, spots = _fields(rng, height, width, rng.uniform(0.4, 1.1), 8)
    ridges = _even(-np.abs(first)) if rng.random() < 0.5 else first
    heights = _even(ridges + np.float32(rng.uniform(0.05, 0.4)) * fine)
    light = _relief(rng, heights, unit * _between(rng, 0.002, 0.012), rng.uniform(0.02, 0.35))
    picture = _paint(rng, pick, _even(np.float32(rng.uniform(0, 1)) * heights + np.float32(0.7) * spots))
    if rng.random() < 0.5:
        share = smooth_step(second + np.float32(0.15) * fine, 0.3, 0.3 + rng.uniform(0.03, 0.5))
        picture = mix(picture, _paint(rng, pick, _even(fine + second)), share)
    if rng.random() < 0.5:
        wide = np.float32(rng.uniform(0.02, 0.12))
        light = light * (1 - np.float32(rng.uniform(0.3, 0.9)) * bump((second + np.float32(0.1) * spots) / wide))
    return picture * spread_out(light)


def cells(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Cracked earth, cobbles, leather, scales: each cell of its own tone, dark seams, sometimes domed."""
    unit, count = min(height, width), int(_between(rng, 30, 1500))
    seeds = np.ones((height, width), np.uint8)
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    labels = np.asarray(cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1], int)
    edge = (labels[1:, 1:] == labels[:-1, 1:]) & (labels[1:, 1:] == labels[1:, :-1])
    inside = cv2.copyMakeBorder(edge.astype(np.uint8), 1, 0, 1, 0, cv2.BORDER_REPLICATE)
    size = np.sqrt(height * width / count)
    deep = cv2.distanceTransform(inside, cv2.DIST_L2, 3) * np.float32(1 / size)
    field, fine = _fields(rng, height, width, rng.uniform(0.8, 1.5), 4)
    heights = _even(smooth_step(deep, 0.0, _between(rng, 0.1, 0.5)) + np.float32(0.1) * fine)
    light = _relief(rng, heights, 0.004 * unit, rng.uniform(0, 0.3))
    light *= 1 - rng.uniform(0.2, 0.9) * smooth_step(deep, rng.uniform(0.05, 0.2), 0.02)
    colours = _tones(rng, pick, count + 1, int(rng.integers(1, 3)))
    colours = colours[:1] + (colours - colours[:1]) * np.float32(rng.uniform(0, 1))
    picture = np.take(colours.astype(np.float32), labels, axis=0)
    picture = picture * spread_out(np.clip(light * (1 + rng.uniform(0.05, 0.2) * field), 0.1, 2))
    columns, rows = _pixels(height, width)
    ragged = np.float32(size * rng.uniform(0.03, 0.15))
    across, down = _fields(rng, height, width, rng.uniform(1.1, 1.8), 4)
    places = columns + ragged * across, rows + ragged * down
    return cv2.remap(picture, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def fabric(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Plain or twill weave, rib, knitwear: threads of uneven thickness and tone, some striped."""
    unit, threads = min(height, width), _between(rng, 8, 80)
    columns, rows = (
        place * np.float32(threads / unit) for place in _bent(rng, height, width, _between(rng, 0.01, 0.2))
    )
    wobble, tone = _fields(rng, height, width, 1.2, threads / 4)
    wobble *= np.float32(rng.uniform(0.02, 0.1))
    u, v = columns + wobble, rows + wobble[::-1]
    kind = rng.random()
    if kind < 0.35:  # knitwear: columns of stitches, each a V
        side = np.abs(u - np.floor(u) - np.float32(0.5))
        v = v * np.float32(1.3) + side * np.float32(rng.uniform(1, 2.5))
        bulge = np.sin(np.float32(2 * np.pi) * v) - np.float32(1.5) * smooth_step(side, 0.12, 0.0)
        thread = np.floor(v).astype(np.int32)
    else:
        i, j = np.floor(u), np.floor(v)
        every = 2 if kind < 0.6 else 4 if kind < 0.8 else 1  # plain, twill, rib
        over = (i + j).astype(np.int32) % every < max(1, every // 2)
        across, along = np.where(over, u - i, v - j), np.where(over, v - j, u - i)
        bulge = 2 * np.sin(np.float32(np.pi) * across) - 1 + np.float32(0.5) * np.sin(np.float32(np.pi) * along)
        thread = np.where(over, i, j + 300).astype(np.int32)
    each = normal(rng, 0.7, 1024)
    if rng.random() < 0.4:
        each = each + np.repeat(normal(rng, 1.5, 8), int(rng.integers(1, 9))).repeat(128)[:1024]
    colour = _paint(rng, pick, np.float32(rng.uniform(0.1, 0.6)) * (np.take(each, thread & 1023) + tone))
    fuzz = _fields(rng, height, width, 0.8, threads)[0]
    light = 1 + np.float32(rng.uniform(0.08, 0.4)) * bulge + np.float32(rng.uniform(0.02, 0.1)) * fuzz
    return colour * spread_out(np.clip(light, 0.1, 2))


def carpet(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Tufts, terry, moss, wool: blobs of one size, brushed this way and that, in patches of tone."""
    tufts = _between(rng, 8, 70)
    first, second = _fields(rng, height, width, 3.0, tufts)
    fine, patches = _fields(rng, height, width, rng.uniform(0.7, 1.2), 4)
    flow = _flow(rng, height, width) + np.float32(rng.uniform(0, 1.5)) * second
    size = max(height, width) / tufts
    field = _comb(first + np.float32(0.5) * fine, flow, size * rng.uniform(0.1, 1))
    light = _relief(rng, field, 0.08 * size, rng.uniform(0.0, 0.3)) * (1 + np.float32(0.12) * patches)
    return _paint(rng, pick, _even(field + np.float32(0.7) * patches)) * spread_out(np.clip(light, 0.1, 2))


def bokeh(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Dead leaves or foliage far out of focus, often with bright discs."""
    small = max(32, height // 4), max(32, width // 4)
    picture = (leaves if rng.random() < 0.5 else foliage)(rng, *small, pick)
    picture = gaussian_blur(picture, min(small) * _between(rng, 0.015, 0.08))
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    count, radius = int(rng.integers(0, 40) * rng.choice([0, 1])), 2 + min(height, width) * _between(rng, 0.005, 0.07)
    places, reaches = _scatter(rng, height, width, count), np.float32(radius) * uniform(rng, 0.6, 1.1, count)
    paints = 255 * _tones(rng, pick, count + 2, 2)[:count] * uniform(rng, 0.1, 0.8, count, 1)
    for part in range(2):  # light adds to light
        discs = np.zeros((height, width, 3), np.uint8)
        for place, reach, paint in list(zip(places, reaches, paints, strict=True))[part::2]:
            cv2.circle(discs, np.rint(place * 16).astype(int).tolist(), int(reach * 16), paint.tolist(), -1, 16, 4)
        picture = picture + cv2.GaussianBlur(discs, (0, 0), 0.7 + 0.04 * radius) * np.float32(1 / 255)
    return picture


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
    "cells": cells,
    "fabric": fabric,
    "carpet": carpet,
    "bokeh": bokeh,
}
SURFACES = {name: draw for name, draw in TEXTURES.items() if name != "bokeh"}  # what a body may be covered with


def _any(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    return TEXTURES[list(TEXTURES)[rng.integers(len(TEXTURES))]](rng, height, width, pick)


def _slant(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The picture as a floor or a wall that goes away to one side."""
    height, width = picture.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen, near = corners.copy(), int(rng.choice([1, 2, 2, 2, 3]))  # the edge that is nearest: most often the lower one
    edge = rng.uniform(0.1, 0.33) * (corners[(near + 1) % 4] - corners[near])
    seen[near] += edge
    seen[(near + 1) % 4] -= edge
    closer = cv2.getPerspectiveTransform(seen, corners)
    return cv2.warpPerspective(picture, closer, (width, height), borderMode=cv2.BORDER_REFLECT)


def _light(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Light [H W] that falls off to one side, now and then with soft shadows."""
    x, y = coordinates(whole(48, 48))
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.3) * (x * np.cos(turn) + y * np.sin(turn))
    if rng.random() < 0.25:
        shadow = fractal_noise(rng, 48, 48, rng.uniform(0.8, 1.5), 2)
        light = light * (1 - rng.uniform(0.2, 0.55) * smooth_step(shadow, 0.4, 0.4 + rng.uniform(0.15, 0.6)))
    return cv2.resize(light.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)


def natural(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """One or two of TEXTURES, fine to coarse, with the contrast of a photograph, under uneven light.

    float32 [H W 3] in [0, 1].
    """
    picture = _any(rng, height, width, pick)
    if rng.random() < 0.35:
        picture = _slant(rng, picture)
    if rng.random() < 0.15:  # another one beside it
        share = fractal_noise(rng, height, width, rng.uniform(0.8, 1.8), rng.uniform(1, 4))
        share = smooth_step(share, 0.5, 0.5 + _between(rng, 0.02, 0.3))
        picture = mix(picture, _any(rng, height, width, pick), share)
    mean, spread = cv2.meanStdDev(np.clip(picture, 0, 1.3))
    wanted = rng.choice([0.04, 0.08, 0.12, 0.15, 0.2]) * rng.uniform(0.8, 1.2)
    gain = float(np.clip(wanted / max(float(spread.mean()), 1e-3), 0.4, 2.5))
    steady = (mean.ravel() * (1 - gain)).tolist()
    even = cv2.merge([part * np.float32(gain) + rest for part, rest in zip(cv2.split(picture), steady, strict=True)])
    return np.clip(even * spread_out(_light(rng, height, width)), 0, 1)


def surface(rng: np.random.Generator, height: int, width: int, mean: np.ndarray) -> np.ndarray:
    """The relief of a body of one colour [3], from one of SURFACES: factors around 1, float32 [H W 3].

    They differ in lightness far more than in hue, so that the body keeps its colour.
    """
    near = 0.25 + 0.25 * np.clip(mean, 0.02, 1) / max(float(np.max(mean)), 0.02)
    name = list(SURFACES)[rng.integers(len(SURFACES))]
    picture = SURFACES[name](rng, height, width, some_of(rng, near.astype(np.float32)[None]))
    means, spreads = (part.ravel() for part in cv2.meanStdDev(picture))
    gain = min(rng.uniform(0.06, 0.3) / max(float((spreads / means).mean()), 1e-3), 1.5)
    parts = [part * (gain / m) - gain for part, m in zip(cv2.split(picture), means.tolist(), strict=True)]
    grey = (parts[0] + parts[1] + parts[2]) * np.float32(0.7 / 3) + 1
    return np.clip(cv2.merge([grey + np.float32(0.3) * part for part in parts]), 0.3, 1.8)
