"""Parts of textures: random fields, flows, piles of shapes, colours and light.

Fields are float32 [H W] of mean 0 and spread 1.
"""

import cv2
import numpy as np

from deepmat.synth.camera import gaussian_blur
from deepmat.synth.colours import Pick
from deepmat.synth.drawing import (
    SHIFT,
    fractal_noise,
    mix,
    normal,
    smooth_step,
    spread_out,
    uniform,
)

PHASES = np.stack([np.cos(np.arange(256) * np.pi / 128), np.sin(np.arange(256) * np.pi / 128)], -1).astype(np.float32)
GREY = np.array([0.299, 0.587, 0.114], np.float32)
# of wood, soil, straw, sand, moss, grass, leaves, slate
HUES = (0.03, 0.07, 0.09, 0.11, 0.14, 0.19, 0.24, 0.58)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A log-uniform random number."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def equalised(field: np.ndarray) -> np.ndarray:
    """The field with mean 0 and spread 1."""
    mean, spread = cv2.meanStdDev(field)
    return (field - np.float32(mean[0, 0])) * np.float32(1 / max(spread[0, 0], 1e-6))


def fields(
    rng: np.random.Generator,
    height: int,
    width: int,
    slope: float,
    least: float = 1.0,
    stretch: float = 1.0,
    turn: float = 0.0,
) -> list[np.ndarray]:
    """Two fields of random phase: amplitude ~ frequency**-slope above `least` cycles along the longer side.

    stretch: the ratio of length to width of the grain, along the direction `turn`.
    """
    side = cv2.getOptimalDFTSize(max(height, width))
    x = np.fft.fftfreq(side, 1 / side).astype(np.float32)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    along, across = x[None] * cos + x[:, None] * sin, x[:, None] * cos - x[None] * sin
    amplitude = cv2.pow((along * np.float32(stretch)) ** 2 + across**2 + np.float32(least**2), -slope / 2)
    amplitude[0, 0] = 0
    phases = np.frombuffer(rng.bytes(side * side), np.uint8).reshape(side, side)
    # the real and the imaginary part of a spectrum without symmetry are two independent fields
    pair = cv2.idft(np.take(PHASES, phases, axis=0) * cv2.merge([amplitude] * 2))
    return [equalised(part) for part in cv2.split(pair[:height, :width])]


def pixels(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of every pixel, float32 [H W] each."""
    columns, rows = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    return np.broadcast_to(columns, (height, width)), np.broadcast_to(rows, (height, width))


def bent(rng: np.random.Generator, height: int, width: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows, rotated at random and shifted smoothly by up to half of `reach` times the shorter side."""
    coarse, far, turn = rng.uniform(1, 5), np.float32(reach * min(height, width)), rng.uniform(0, 2 * np.pi)
    columns, rows = (
        place + far * (fractal_noise(rng, height, width, 1.8, coarse, 32) - np.float32(0.5))
        for place in pixels(height, width)
    )
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return columns * cos + rows * sin, rows * cos - columns * sin


def draw_flow(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Directions that turn smoothly, radians [H W]."""
    bend = np.float32(rng.choice([0.3, 1.0, 3.0]))
    return bend * fractal_noise(rng, height, width, 1.8, rng.uniform(1, 4), 32) + np.float32(rng.uniform(0, 6.3))


def comb(field: np.ndarray, flow: np.ndarray, reach: float) -> np.ndarray:
    """The field averaged over `reach` pixels along the flow, which turns noise into threads."""
    columns, rows = pixels(*field.shape)
    x, y, step = np.cos(flow), np.sin(flow), np.float32(reach / 2)
    while step > 0.4:
        there = cv2.remap(field, columns + x * step, rows + y * step, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        field, step = (field + there) * np.float32(0.5), step / 2
    return equalised(field)


def relief(rng: np.random.Generator, heights: np.ndarray, soft: float, strength: float) -> np.ndarray:
    """Light [H W] from a random side on a field of heights, without detail below `soft` pixels; less in hollows."""
    heights, turn = gaussian_blur(heights, soft), rng.uniform(0, 2 * np.pi)
    slope = cv2.Sobel(heights, cv2.CV_32F, 1, 0) * np.float32(np.cos(turn))
    slope += cv2.Sobel(heights, cv2.CV_32F, 0, 1) * np.float32(np.sin(turn))
    hollow = np.float32(rng.uniform(0, 0.25)) * np.clip(heights, -2, 1)
    return np.clip(1 + np.float32(strength) * equalised(slope) + hollow, 0.15, 2.0)


def draw_tones(rng: np.random.Generator, pick: Pick, count: int, clusters: int = 1) -> np.ndarray:
    """Colours [count 3] in a few clusters, which differ far more in lightness than in hue."""
    parts = []
    for share in np.array_split(np.arange(count), clusters):
        hue = float(rng.choice(HUES)) if rng.random() < 0.9 else rng.random()
        vivid = 0.55 * rng.random() ** 1.5
        light = rng.uniform(0.25, 0.8 - 0.5 * vivid)
        spans = (hue - 0.03, hue + 0.03), (0.6 * vivid, 1.3 * vivid), (light - 0.2, light + 0.2)
        parts.append(pick(*spans, max(1, len(share))))
    tones = rng.permutation(np.concatenate(parts)[:count])
    return np.clip(tones * np.exp(normal(rng, 0.15, len(tones), 1)), 0, 1)


def paint_field(rng: np.random.Generator, pick: Pick, field: np.ndarray) -> np.ndarray:
    """A field in colours of one cluster, lighter where it is higher, float32 [H W 3]."""
    tones = draw_tones(rng, pick, 5)
    tones = tones[np.argsort(tones @ GREY)] * np.linspace(rng.uniform(0.4, 0.9), 1.15, 5)[:, None]
    table = np.stack([np.interp(np.linspace(0, 4, 256), range(5), part) for part in tones.T], -1).astype(np.float32)
    return np.take(table, np.clip(field * np.float32(42) + 128, 0, 255).astype(np.uint8), axis=0)


def label(height: int, width: int, shapes: np.ndarray) -> np.ndarray:
    """The number of the topmost of the outlines [N K 2], in pixels: int32 [2H 2W]; 1 is the lowest, 0 is none."""
    labels = np.zeros((2 * height, 2 * width), np.int32)
    for number, shape in enumerate(np.rint(shapes * (2 << SHIFT)).astype(np.int32), 1):
        cv2.fillPoly(labels, [shape], number, cv2.LINE_8, SHIFT)
    return labels


def pile(labels: np.ndarray, colours: np.ndarray, dark: float, reach: float) -> np.ndarray:
    """Labels in colours [N+1 3], the first for the ground, with shadows on lower shapes. float32 [H W 3].

    dark: share of the light that the shadows take. reach: their width in pixels.
    """
    size, depth = (labels.shape[1] // 2, labels.shape[0] // 2), np.linspace(0, 1, len(colours))
    table = np.concatenate([colours, depth[:, None]], 1).astype(np.float32)
    *picture, near = cv2.split(cv2.resize(np.take(table, labels, axis=0), size, interpolation=cv2.INTER_AREA))
    return cv2.merge(picture) * spread_out(
        1 - np.float32(dark) * smooth_step(gaussian_blur(near, reach) - near, -0.1, 0.4)
    )


def within(labels: np.ndarray, places: np.ndarray, turns: np.ndarray, long: np.ndarray, broad: np.ndarray) -> tuple:
    """The position of each pixel in its shape, along and across it, -1 to 1, [H W] each; and its label [H W]."""
    top = labels[::2, ::2].astype(np.intp)
    cos, sin = np.cos(turns), np.sin(turns)
    table = np.stack([places[:, 0], places[:, 1], cos / long, sin / long, cos / broad, -sin / broad])
    x, y, a, b, c, d = np.take(np.pad(table, ((0, 0), (1, 0))).astype(np.float32), top, axis=1)
    columns, rows = pixels(*top.shape)
    x, y = columns - x, rows - y
    return x * a + y * b, y * c + x * d, top


def fill_gaps(picture: np.ndarray, labels: np.ndarray, light: float) -> np.ndarray:
    """Fill the gaps between shapes with the picture itself, three times smaller and darker by the factor `light`."""
    height, width = picture.shape[:2]
    tile = cv2.resize(picture, (width // 3 + 1, height // 3 + 1), interpolation=cv2.INTER_AREA)
    ground = cv2.copyMakeBorder(tile, 0, 2 * tile.shape[0], 0, 2 * tile.shape[1], cv2.BORDER_REFLECT)[:height, :width]
    gap = cv2.resize((labels == 0).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return mix(picture, ground * np.float32(light), gap)


def lit(picture: np.ndarray, light: np.ndarray) -> np.ndarray:
    """The picture times light [H W], which is blurred a little, since it has one shape per pixel and ragged edges."""
    return picture * spread_out(cv2.GaussianBlur(np.clip(light, 0.1, 2).astype(np.float32), (3, 3), 0.7))


def scatter(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """Random places [N 2] in pixels, also a little beyond the edges."""
    return uniform(rng, -0.06, 1.06, count, 2) * np.array([width, height], np.float32)


def power_law(rng: np.random.Generator, count: int, least: float, largest: float) -> np.ndarray:
    """Random radii [N] whose density falls with their third power."""
    share = uniform(rng, 0, 1, count) * np.float32(1 - (least / largest) ** 2)
    return np.float32(least) / np.sqrt(1 - share)


def turned(u: np.ndarray, v: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Points [N K 2] at u and v [N K], rotated by the angles [N]."""
    cos, sin = np.cos(turns)[:, None], np.sin(turns)[:, None]
    return np.stack([u * cos - v * sin, u * sin + v * cos], -1)


def outlines(
    rng: np.random.Generator, places: np.ndarray, turns: np.ndarray, long: np.ndarray, broad: np.ndarray, uneven: float
) -> np.ndarray:
    """Outlines [N 16 2] of ellipses, at angles that are less even for a larger `uneven`, as of stones or shards."""
    t = np.arange(16, dtype=np.float32) * np.float32(2 * np.pi / 16) + normal(rng, uneven, len(places), 16)
    t.sort(axis=1)
    return turned(np.cos(t) * long[:, None], np.sin(t) * broad[:, None], turns) + places[:, None]


def covering(height: int, width: int, area: float, most: int = 2200) -> int:
    """The number of shapes of a mean area that cover a picture about twice."""
    return int(np.clip(2 * height * width / area, 30, most))
