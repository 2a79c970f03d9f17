"""The textures: functions (rng, height, width, choice of colours) -> float32 [H W 3], about 0 to 1."""

import cv2
import numpy as np

from deepmat.synth.camera import defocus, gaussian_blur
from deepmat.synth.colours import Pick
from deepmat.synth.drawing import (
    bump,
    grow_hairs,
    mix,
    normal,
    smooth_step,
    spread_out,
    uniform,
)
from deepmat.synth.textures.tools import (
    bent,
    between,
    comb,
    covering,
    draw_flow,
    draw_tones,
    equalised,
    fields,
    fill_gaps,
    label,
    lit,
    outlines,
    paint_field,
    pile,
    pixels,
    power_law,
    relief,
    scatter,
    turned,
    within,
)


def leaves(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Dead leaves: shapes of all sizes over shapes, flat, shaded or grained; between them the same, smaller."""
    unit = min(height, width)
    least = unit * between(rng, 0.006, 0.03)
    largest = unit * rng.uniform(0.15, 0.5)
    flat = rng.uniform(0.3, 1.0)
    count = covering(height, width, 4 * least**2 * flat * np.log(largest / least))
    places, turns = scatter(rng, height, width, count), uniform(rng, 0, 6.3, count) * rng.choice([0.1, 1.0])
    long = power_law(rng, count, least, largest)
    broad = long * uniform(rng, flat * 0.6, flat, count)
    labels = label(height, width, outlines(rng, places, turns, long, broad, float(rng.choice([0.0, 0.3, 1.0]))))
    colours = draw_tones(rng, pick, count + 1, int(rng.integers(1, 5)))
    picture = pile(labels, colours, rng.uniform(0, 0.7), 0.01 * unit)
    u, v, top = within(labels, places, turns, long, broad)
    ramp, rough, apart = (
        np.take(values, top)
        for values in (
            normal(rng, 0.15, count + 1),
            uniform(rng, 0, 0.25, count + 1) ** 1.3,
            uniform(rng, 0, 400, count + 1),
        )
    )
    grain = fields(rng, height, width, rng.uniform(0.6, 1.2), 4, between(rng, 1, 8))[0]
    columns, rows = pixels(height, width)
    grain = cv2.remap(grain, columns + apart, rows + apart, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    light = 1 + np.clip(ramp * u + 0.5 * ramp * v, -0.5, 0.5) + rough * grain
    return fill_gaps(lit(picture, light), labels, rng.uniform(0.5, 1))


def stones(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Gravel, pebbles, rubble: rounded or broken, each lit from one side, dark gaps between."""
    unit = min(height, width)
    least = unit * between(rng, 0.008, 0.06)
    largest = least * rng.uniform(1.5, 5)
    count = covering(height, width, 4 * least**2 * np.log(largest / least) / (1 - (least / largest) ** 2))
    places, turns = scatter(rng, height, width, count), uniform(rng, 0, 6.3, count)
    long = power_law(rng, count, least, largest)
    broad = long * uniform(rng, 0.6, 1, count)
    labels = label(height, width, outlines(rng, places, turns, long, broad, rng.uniform(0, 0.35)))
    colours = draw_tones(rng, pick, count + 1, int(rng.integers(1, 4)))
    picture = pile(labels, colours, rng.uniform(0.3, 0.9), 0.5 * least)
    u, v, top = within(labels, places, turns, long, broad)
    lamp = rng.uniform(0, 6.3)
    facing = np.take(
        np.pad(np.stack([np.cos(lamp - turns), np.sin(lamp - turns)]), ((0, 0), (1, 0))), top, axis=1, mode="clip"
    )
    dome = u * facing[0].astype(np.float32) + v * facing[1].astype(np.float32)
    grain = fields(rng, height, width, rng.uniform(0.6, 1.3), 8)[0]
    light = 1 + rng.uniform(0.1, 0.5) * np.clip(dome, -1, 1) + rng.uniform(0.03, 0.2) * grain
    return fill_gaps(lit(picture, light), labels, rng.uniform(0.3, 0.8))


def foliage(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Leaves on a plant or on the ground, with veins; the deeper the darker, near or far ones out of focus."""
    unit = min(height, width)
    long = unit * between(rng, 0.02, 0.12)
    slim = rng.uniform(0.2, 0.6)
    count = covering(height, width, 2 * slim * long**2, 1500)
    places = scatter(rng, height, width, count)
    turns = rng.uniform(0, 6.3) + normal(rng, float(rng.choice([0.5, 3.0])), count)
    reach = np.float32(long) * uniform(rng, 0.5, 1.3, count)
    broad = reach * slim * uniform(rng, 0.5, 1, count)
    t = np.arange(14, dtype=np.float32) * np.float32(2 * np.pi / 14)
    outlines = turned(np.cos(t) * reach[:, None], np.sin(t) * np.abs(np.sin(t)) ** 0.6 * broad[:, None], turns)
    labels = label(height, width, outlines + places[:, None])
    colours = draw_tones(rng, pick, count + 1, int(rng.choice([1, 1, 2, 4])))
    colours *= np.linspace(rng.uniform(0.1, 0.7), 1.1, count + 1)[:, None]
    picture = pile(labels, colours, rng.uniform(0.3, 0.9), 0.3 * long)
    u, v, top = within(labels, places, turns, reach, broad)
    bend = np.take(normal(rng, 0.2, count + 1), top)
    vein = bump(v * np.float32(0.3 * long)) * np.float32(rng.uniform(-0.2, 0.4))
    light = 1 + bend * u + np.float32(rng.uniform(-0.3, 0.3)) * np.clip(3 * v, -1, 1) + vein
    grain = fields(rng, height, width, 0.9, 8)[0]
    picture = fill_gaps(lit(picture, light + np.float32(0.08) * grain), labels, rng.uniform(0.2, 0.8))
    if rng.random() < 0.5:
        depth = cv2.resize(labels.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        deep = smooth_step(gaussian_blur(depth, 0.1 * long + 1), 0.8 * count, 0.3 * count)
        picture = defocus(picture, deep, 0.2 * long)
    return picture


def blades(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Grass, straw, needles or shaggy hair: tapering strokes along a flow, dark at the root."""
    unit, count = min(height, width), int(rng.integers(900, 2200))
    flow, loose = draw_flow(rng, height, width), rng.choice([0.1, 0.3, 1.0])
    places = scatter(rng, height, width, count)
    column, row = (np.clip(places[:, i], 0, side - 1).astype(int) for i, side in enumerate((width, height)))
    turns = flow[row, column] + normal(rng, loose, count)
    long = unit * between(rng, 0.05, 0.25) * uniform(rng, 0.5, 1.2, count)
    headings = turns[:, None] + normal(rng, 0.4, count, 1) * np.linspace(-1, 1, 6, dtype=np.float32)
    paths = grow_hairs(places - np.stack([np.cos(turns), np.sin(turns)], -1) * long[:, None] / 2, headings, long)
    half = unit * between(rng, 0.001, 0.008) * uniform(rng, 0.5, 1, count, 1) * np.linspace(1, 0.1, 7) ** 0.6
    side = half[..., None] * np.stack([-np.sin(turns), np.cos(turns)], -1)[:, None]
    labels = label(height, width, np.concatenate([paths + side, (paths - side)[:, ::-1]], 1))
    colours = draw_tones(rng, pick, count + 1, int(rng.integers(1, 3)))
    colours *= np.linspace(rng.uniform(0.2, 0.8), 1.1, count + 1)[:, None]
    picture = pile(labels, colours, rng.uniform(0.2, 0.7), 0.008 * unit)
    u, _, _ = within(labels, places, turns, long / 2, long)
    picture = lit(picture, 1 + np.float32(rng.uniform(0, 0.5)) * np.clip(u, -1, 1))
    return fill_gaps(picture, labels, rng.uniform(0.3, 0.9))


def fur(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Fine hairs in tufts along a flow, or brushed metal, straw, fibres: noise combed twice."""
    unit, flow = min(height, width), draw_flow(rng, height, width)
    first, second = fields(rng, height, width, rng.uniform(0, 0.5), 1)
    reach = unit * between(rng, 0.05, 0.3)
    tufts = fields(rng, height, width, 2.0, between(rng, 4, 20))[0]
    flow = flow + np.float32(rng.uniform(0, 0.6)) * tufts
    hairs = comb(first, flow, reach) + np.float32(rng.uniform(0.2, 1)) * comb(tufts, flow, reach)
    picture = paint_field(rng, pick, equalised(hairs))
    if rng.random() < 0.4:
        patches = fields(rng, height, width, 1.5, rng.uniform(1, 4))[0]
        picture = mix(picture, paint_field(rng, pick, comb(second, flow, reach)), smooth_step(patches, -0.2, 0.4))
    return picture


def grain(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Long grain that curves: wood, strata, scratches."""
    stretch = between(rng, 3, 30)
    field, other = fields(rng, height, width, rng.uniform(0.5, 1.3), between(rng, 1, 12), stretch)
    columns, rows = bent(rng, height, width, between(rng, 0.05, 0.5))
    field, other = (
        cv2.remap(part, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for part in (field, other)
    )
    if rng.random() < 0.3:  # rings
        field = np.sin(field * np.float32(rng.uniform(1, 4))) + np.float32(rng.uniform(0.5, 1.5)) * other
    fine = fields(rng, height, width, 0.7, 8)[0]
    return paint_field(rng, pick, equalised(equalised(field) + np.float32(rng.uniform(0, 0.5)) * fine))


def clouds(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Stains, sand, felt, asphalt: coloured noise in two tones."""
    field, other = fields(rng, height, width, rng.uniform(0.5, 1.6), between(rng, 1, 30))
    fine = fields(rng, height, width, rng.uniform(0.3, 1.0), 2)[0]
    field = equalised(field + np.float32(rng.uniform(0, 0.8)) * fine)
    share = np.clip(0.5 + rng.uniform(0, 0.6) * other, 0, 1)
    return mix(paint_field(rng, pick, field), paint_field(rng, pick, field), share)


def rock(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Rock, plaster, bark, peeling paint: ridges under a lamp, patches of two kinds, cracks."""
    unit, turn = min(height, width), rng.uniform(0, 6.3)
    stretch = float(rng.choice([1.0, 1.0, between(rng, 2, 8)]))
    first, second = fields(rng, height, width, rng.uniform(1.0, 1.8), between(rng, 1, 16), stretch, turn)
    fine, spots = fields(rng, height, width, rng.uniform(0.4, 1.1), 8)
    ridges = equalised(-np.abs(first)) if rng.random() < 0.5 else first
    heights = equalised(ridges + np.float32(rng.uniform(0.05, 0.4)) * fine)
    light = relief(rng, heights, unit * between(rng, 0.002, 0.012), rng.uniform(0.02, 0.35))
    picture = paint_field(rng, pick, equalised(np.float32(rng.uniform(0, 1)) * heights + np.float32(0.7) * spots))
    if rng.random() < 0.5:
        share = smooth_step(second + np.float32(0.15) * fine, 0.3, 0.3 + rng.uniform(0.03, 0.5))
        picture = mix(picture, paint_field(rng, pick, equalised(fine + second)), share)
    if rng.random() < 0.5:
        wide = np.float32(rng.uniform(0.02, 0.12))
        light = light * (1 - np.float32(rng.uniform(0.3, 0.9)) * bump((second + np.float32(0.1) * spots) / wide))
    return picture * spread_out(light)


def cells(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Cracked earth, cobbles, leather, scales: each cell of its own tone, dark seams, sometimes domed."""
    unit, count = min(height, width), int(between(rng, 30, 1500))
    seeds = np.ones((height, width), np.uint8)
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    labels = np.asarray(cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1], int)
    edge = (labels[1:, 1:] == labels[:-1, 1:]) & (labels[1:, 1:] == labels[1:, :-1])
    inside = cv2.copyMakeBorder(edge.astype(np.uint8), 1, 0, 1, 0, cv2.BORDER_REPLICATE)
    size = np.sqrt(height * width / count)
    deep = cv2.distanceTransform(inside, cv2.DIST_L2, 3) * np.float32(1 / size)
    field, fine = fields(rng, height, width, rng.uniform(0.8, 1.5), 4)
    heights = equalised(smooth_step(deep, 0.0, between(rng, 0.1, 0.5)) + np.float32(0.1) * fine)
    light = relief(rng, heights, 0.004 * unit, rng.uniform(0, 0.3))
    light *= 1 - rng.uniform(0.2, 0.9) * smooth_step(deep, rng.uniform(0.05, 0.2), 0.02)
    colours = draw_tones(rng, pick, count + 1, int(rng.integers(1, 3)))
    colours = colours[:1] + (colours - colours[:1]) * np.float32(rng.uniform(0, 1))
    picture = np.take(colours.astype(np.float32), labels, axis=0)
    picture = picture * spread_out(np.clip(light * (1 + rng.uniform(0.05, 0.2) * field), 0.1, 2))
    columns, rows = pixels(height, width)
    ragged = np.float32(size * rng.uniform(0.03, 0.15))
    across, down = fields(rng, height, width, rng.uniform(1.1, 1.8), 4)
    places = columns + ragged * across, rows + ragged * down
    return cv2.remap(picture, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def fabric(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Plain or twill weave, rib, knitwear: threads of uneven thickness and tone, some striped."""
    unit, threads = min(height, width), between(rng, 8, 80)
    columns, rows = (place * np.float32(threads / unit) for place in bent(rng, height, width, between(rng, 0.01, 0.2)))
    wobble, tone = fields(rng, height, width, 1.2, threads / 4)
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
    colour = paint_field(rng, pick, np.float32(rng.uniform(0.1, 0.6)) * (np.take(each, thread & 1023) + tone))
    fuzz = fields(rng, height, width, 0.8, threads)[0]
    light = 1 + np.float32(rng.uniform(0.08, 0.4)) * bulge + np.float32(rng.uniform(0.02, 0.1)) * fuzz
    return colour * spread_out(np.clip(light, 0.1, 2))


def carpet(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Tufts, terry, moss, wool: blobs of one size, brushed this way and that, in patches of tone."""
    tufts = between(rng, 8, 70)
    first, second = fields(rng, height, width, 3.0, tufts)
    fine, patches = fields(rng, height, width, rng.uniform(0.7, 1.2), 4)
    flow = draw_flow(rng, height, width) + np.float32(rng.uniform(0, 1.5)) * second
    size = max(height, width) / tufts
    field = comb(first + np.float32(0.5) * fine, flow, size * rng.uniform(0.1, 1))
    light = relief(rng, field, 0.08 * size, rng.uniform(0.0, 0.3)) * (1 + np.float32(0.12) * patches)
    return paint_field(rng, pick, equalised(field + np.float32(0.7) * patches)) * spread_out(np.clip(light, 0.1, 2))


def bokeh(rng: np.random.Generator, height: int, width: int, pick: Pick) -> np.ndarray:
    """Dead leaves or foliage far out of focus, often with bright discs."""
    small = max(32, height // 4), max(32, width // 4)
    picture = (leaves if rng.random() < 0.5 else foliage)(rng, *small, pick)
    picture = gaussian_blur(picture, min(small) * between(rng, 0.015, 0.08))
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    count, radius = int(rng.integers(0, 40) * rng.choice([0, 1])), 2 + min(height, width) * between(rng, 0.005, 0.07)
    places, reaches = scatter(rng, height, width, count), np.float32(radius) * uniform(rng, 0.6, 1.1, count)
    paints = 255 * draw_tones(rng, pick, count + 2, 2)[:count] * uniform(rng, 0.1, 0.8, count, 1)
    for part in range(2):  # light adds to light
        discs = np.zeros((height, width, 3), np.uint8)
        for place, reach, paint in list(zip(places, reaches, paints, strict=True))[part::2]:
            cv2.circle(discs, np.rint(place * 16).astype(int).tolist(), int(reach * 16), paint.tolist(), -1, 16, 4)
        picture = picture + cv2.GaussianBlur(discs, (0, 0), 0.7 + 0.04 * radius) * np.float32(1 / 255)
    return picture
