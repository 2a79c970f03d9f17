"""Drawing tools of the procedural pictures: views, noise, colours, layers, strokes on a canvas.

Subjects are drawn in units: one unit is the shorter side of a picture that shows the whole subject, with (0, 0) in its
middle. A View is the part of that plane that a picture shows, so that every kind can be drawn at any size, aspect and
zoom.

Layers are float32 [H W 4]: red, green and blue multiplied by alpha, and alpha, all in [0, 1]. Blurring, resizing and
putting one over another are plain arithmetic on them; `camera.straighten` divides the colours by alpha at the end.
"""

from typing import NamedTuple

import cv2
import numpy as np

from deepmat.errors import DataError

Span = tuple[float, float]
SMALLEST = 32  # the shortest side in pixels at which every kind still has a core, a soft edge and a surround
SHIFT = 4  # cv2 draws in fixed point: sixteenths of a pixel
WHITE = np.ones(3, np.float32)


class View(NamedTuple):
    """The part of the plane that a picture shows."""

    height: int
    width: int
    scale: float  # pixels per unit
    x: float = 0.0  # the point in the picture's middle
    y: float = 0.0
    turn: float = 0.0
    wander: float = 0.0  # how far `aim` can move the view: 0 not at all, 1 until the edge fills it


def whole(height: int, width: int) -> View:
    """The view of a whole subject."""
    return View(height, width, float(min(height, width)))


def aim(rng: np.random.Generator, view: View, points: np.ndarray) -> View:
    """The view moved towards one of `points` [N 2] on the edge of a subject; the closer the view, the nearer to it."""
    point = points[rng.integers(len(points))]
    away = rng.uniform(-0.3, 0.3, 2) * [view.width, view.height] / view.scale
    near = max(0.0, 1 - (min(view.height, view.width) / view.scale) ** 1.5)
    x, y = view.wander * (near * point + away)
    return view._replace(x=float(x), y=float(y))


def check_sides(height: int, width: int) -> None:
    """DataError for a picture that is too small to draw."""
    if min(height, width) < SMALLEST:
        raise DataError(f"a picture of {width}x{height} is too small to draw; use at least {SMALLEST} pixels a side")


def to_units(view: View, columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y in units of pixels, float32, with the shape of columns and rows broadcast."""
    cos, sin = np.float32(np.cos(view.turn) / view.scale), np.float32(np.sin(view.turn) / view.scale)
    across, down = columns - np.float32(view.width / 2 - 0.5), rows - np.float32(view.height / 2 - 0.5)
    return across * cos + down * sin + np.float32(view.x), down * cos - across * sin + np.float32(view.y)


def coordinates(view: View) -> tuple[np.ndarray, np.ndarray]:
    """x and y in units of every pixel, float32 [H W] each."""
    x, y = to_units(
        view, np.arange(view.width, dtype=np.float32)[None], np.arange(view.height, dtype=np.float32)[:, None]
    )
    shape = (view.height, view.width)
    return np.broadcast_to(x, shape), np.broadcast_to(y, shape)


def fixed_points(view: View, points: np.ndarray) -> np.ndarray:
    """Points [... 2] in units as cv2's fixed-point pixels, int32."""
    cos, sin = np.cos(view.turn) * view.scale, np.sin(view.turn) * view.scale
    x, y = points[..., 0] - view.x, points[..., 1] - view.y
    out = np.stack([x * cos - y * sin + (view.width / 2 - 0.5), x * sin + y * cos + (view.height / 2 - 0.5)], -1)
    return np.rint(out * (1 << SHIFT)).astype(np.int32)


def normal(rng: np.random.Generator, spread: float, *shape: int) -> np.ndarray:
    """Normal numbers of mean 0, float32."""
    return rng.standard_normal(shape, np.float32) * np.float32(spread)


def uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> np.ndarray:
    """Uniform numbers, float32."""
    return rng.random(shape, np.float32) * np.float32(high - low) + np.float32(low)


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, slope: float = 1.0, coarse: float = 3, fine: float = 4096
) -> np.ndarray:
    """Fractal noise, float32 [H W] in [0, 1]: `coarse` to `fine` cells along the longer side.

    Amplitude ~ frequency**-slope. Detail ends at cells of two pixels.
    """
    longer, cells, gain = max(height, width), max(coarse, 1.0), 1.0
    total = np.zeros((1, 1), np.float32)
    while True:
        shape = 2 + int(cells * height / longer), 2 + int(cells * width / longer)
        total = cv2.resize(total, shape[::-1], interpolation=cv2.INTER_CUBIC) + uniform(rng, -gain, gain, *shape)
        cells, gain = cells * 2, gain * 2.0**-slope
        if cells > min(fine, longer / 2):
            break
    total -= total.min()
    total *= 1 / max(float(total.max()), 1e-6)
    smooth = (
        cv2.INTER_LINEAR if 3 * total.shape[0] > height else cv2.INTER_CUBIC
    )  # linear interpolation of a much smaller one would show lines
    return np.clip(cv2.resize(total, (width, height), interpolation=smooth), 0, 1)


def texture(
    rng: np.random.Generator, view: View, slope: float = 1.0, coarse: float = 3, fine: float = 4096
) -> np.ndarray:
    """Fractal noise at the scale of the subject: `coarse` to `fine` cells per unit. float32 [H W] in [0, 1]."""
    cells = max(view.height, view.width) / view.scale
    return fractal_noise(rng, view.height, view.width, slope, coarse * cells, fine * cells)


def random_colours(rng: np.random.Generator, count: int, hue: Span, saturation: Span, value: Span) -> np.ndarray:
    """Random colours, float32 [count 3]."""
    hsv = np.stack([uniform(rng, *span, count) for span in (hue, saturation, value)], -1)
    hsv[:, 0] = hsv[:, 0] % 1 * 360
    return cv2.cvtColor(np.clip(hsv, 0, 360)[None], cv2.COLOR_HSV2RGB)[0]


def random_colour(rng: np.random.Generator, hue: Span, saturation: Span, value: Span) -> np.ndarray:
    """A random colour, float32 [3]."""
    return random_colours(rng, 1, hue, saturation, value)[0]


def spread_out(values: np.ndarray) -> np.ndarray:
    """Values [H W] three times, float32 [H W 3]: arithmetic with it is much faster than with values[..., None]."""
    return cv2.merge([values.astype(np.float32, copy=False)] * 3)


def bump(x: np.ndarray) -> np.ndarray:
    """exp(-x**2), float32 [H W]; not smaller than 1e-13, since arithmetic with denormal numbers is slow."""
    return cv2.exp(-np.minimum(x * x, 30, dtype=np.float32))


def mix(first: np.ndarray | float, second: np.ndarray | float, share: np.ndarray) -> np.ndarray:
    """first where share [H W] is 0, second where it is 1; numbers, colours [3] or pictures [H W 3]. float32 [H W 3]."""
    share, pair = share.astype(np.float32, copy=False), (np.asarray(first), np.asarray(second))
    ends = [np.moveaxis(end, -1, 0) if end.ndim == 3 else np.broadcast_to(end, 3).tolist() for end in pair]
    return cv2.merge([low + (high - low) * share for low, high in zip(*ends, strict=True)])


def dye(colour: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A colour [3] times light [H W], float32 [H W 3]."""
    return cv2.merge([light.astype(np.float32, copy=False) * part for part in colour.tolist()])


def smooth_step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step: 0 below low, 1 above high (or the reverse when high < low)."""
    t = np.clip((x - low) * (1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def new_canvas(view: View, thread: float = 1.0) -> tuple[np.ndarray, View]:
    """Empty layers in uint8 and their view; at twice the size if threads of width `thread` are thinner than a pixel.

    cv2's anti-aliasing mixes all four channels alike: for opaque paint on premultiplied colours, exactly "over".
    """
    factor = 2 if thread * view.scale < 0.7 and max(view.height, view.width) < 1500 else 1
    view = view._replace(height=view.height * factor, width=view.width * factor, scale=view.scale * factor)
    return np.zeros((view.height, view.width, 4), np.uint8), view


def plain(height: int, width: int, colour: np.ndarray) -> np.ndarray:
    """A picture of one colour, uint8 [H W 3]."""
    return np.full((height, width, 3), np.rint(255 * np.clip(colour, 0, 1)), np.uint8)


def to_layers(canvas: np.ndarray, view: View) -> np.ndarray:
    """The canvas at the size of the view, as float32 layers."""
    if canvas.shape[0] != view.height:
        canvas = cv2.resize(canvas, (view.width, view.height), interpolation=cv2.INTER_AREA)
    return np.multiply(canvas, np.float32(1 / 255), dtype=np.float32)


def stack_layers(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Layers of straight colours [3] or [H W 3] and alpha [H W]."""
    return cv2.merge([*cv2.split(np.clip(colour, 0, 1) * spread_out(alpha)), alpha.astype(np.float32, copy=False)])


def shade(layers: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Layers with their colours times light [H W]; alpha is unchanged."""
    return cv2.multiply(layers, cv2.merge([light] * 3 + [np.ones_like(light)]))


def over(front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Put layers over layers."""
    return front + back * cv2.merge([1 - front[..., 3]] * 4)


def make_paint(colour: np.ndarray, opacity: float = 1.0) -> list[float]:
    """A colour [3] as a premultiplied colour of cv2."""
    return [*(255.0 * opacity * np.clip(colour, 0, 1)).tolist(), 255.0 * opacity]


def make_paints(colours: np.ndarray) -> list[list[float]]:
    """Opaque paints of colours [N 3]."""
    return (255.0 * np.pad(np.clip(colours, 0, 1), ((0, 0), (0, 1)), constant_values=1)).tolist()


def draw_lines(
    canvas: np.ndarray, view: View, curves: np.ndarray, paint: list[float], width: float, closed: bool = False
) -> None:
    """Draw curves [N K 2] of an even width in units."""
    thickness = max(1, round(width * view.scale))
    cv2.polylines(canvas, list(fixed_points(view, curves)), closed, paint, thickness, cv2.LINE_AA, SHIFT)


def fill_shape(canvas: np.ndarray, view: View, outline: np.ndarray, paint: list[float]) -> None:
    """Fill an outline [K 2]."""
    cv2.fillPoly(canvas, [fixed_points(view, outline)], paint, cv2.LINE_AA, SHIFT)


def fill_convex(canvas: np.ndarray, view: View, outlines: np.ndarray, paints: list[list[float]]) -> None:
    """Fill convex outlines [N K 2], each with its paint."""
    for outline, paint in zip(fixed_points(view, outlines), paints, strict=True):
        cv2.fillConvexPoly(canvas, outline, paint, cv2.LINE_AA, SHIFT)


def ellipse_outline(x: float, y: float, a: float, b: float, turn: float = 0.0, count: int = 72) -> np.ndarray:
    """`count` points [count 2] on an ellipse around (x, y) with half axes a and b."""
    t = np.linspace(0, 2 * np.pi, count, endpoint=False, dtype=np.float32)
    u, v = a * np.cos(t), b * np.sin(t)
    return np.stack([x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], -1)


def draw_strands(
    canvas: np.ndarray, view: View, paths: np.ndarray, colours: np.ndarray, width: float, opacity: Span = (1.0, 1.0)
) -> None:
    """Draw curves [N K 2] that taper from `width`, in len(colours) groups, from the first to the last opacity.

    Translucent strands make what lies below them translucent, so draw them before opaque shapes.
    """
    points = fixed_points(view, paths)
    low, high = points.min(1), points.max(1)
    levels = np.linspace(*opacity, len(colours))
    seen = ((high >= 0) & (low <= [canvas.shape[1] << SHIFT, canvas.shape[0] << SHIFT])).all(1)
    groups = np.array_split(np.arange(len(paths)), len(colours))
    thick = width * view.scale > 2
    if thick:
        along = np.gradient(points.astype(np.float32), axis=1)
        side = along[..., ::-1] * [1, -1] / np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-3)[..., None]
        # cv2 widens a filled shape by about half a pixel all round
        half = max(width * view.scale / 2 - 0.5, 0.2) * (1 << SHIFT) * np.linspace(1, 0, paths.shape[1]) ** 0.6
        offset = (side * half[:, None]).astype(np.int32)
        points = np.concatenate([points + offset, (points - offset)[:, ::-1]], 1)
    for group, colour, level in zip(groups, colours, levels, strict=True):
        paint, strands = make_paint(colour, level), list(points[group[seen[group]]])
        if thick:
            for outline in strands:
                cv2.fillPoly(canvas, [outline], paint, cv2.LINE_AA, SHIFT)
        else:
            cv2.polylines(canvas, strands, False, paint, 1, cv2.LINE_AA, SHIFT)


def lay_strands(layers: np.ndarray, view: View, paths: np.ndarray, colours: np.ndarray, opacities: np.ndarray) -> None:
    """Lay curves [N K 2], a pixel wide, over layers: in groups, each of its colour [3] and opacity in [0, 1].

    Unlike `draw_strands`, groups that cross let less light through than each alone.
    """
    points, size = fixed_points(view, paths), np.multiply(layers.shape[1::-1], 1 << SHIFT)
    seen = (points.max(1) >= 0).all(1) & (points.min(1) <= size).all(1)
    groups = np.array_split(np.arange(len(paths)), len(colours))
    for group, colour, opacity in zip(groups, colours, opacities, strict=True):
        cover = np.zeros(layers.shape[:2], np.uint8)
        cv2.polylines(cover, list(points[group[seen[group]]]), False, 255, 1, cv2.LINE_AA, SHIFT)
        left, top, width, height = cv2.boundingRect(cover)
        if width:
            window = np.s_[top : top + height, left : left + width]
            share = cover[window] * np.float32(opacity / 255)
            part = layers[window]
            part += cv2.merge([share] * 4) * (np.array([*np.clip(colour, 0, 1), 1], np.float32) - part)


def grow_hairs(roots: np.ndarray, angles: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Paths [N K+1 2], float32, from roots [N 2] with the heading [N K] of each step and lengths [N]."""
    angles = angles.astype(np.float32)
    steps = np.stack([np.cos(angles), np.sin(angles)], -1) * (lengths / angles.shape[1])[:, None, None]
    paths = np.concatenate([roots[:, None], steps], 1).astype(np.float32)
    return np.cumsum(paths, 1, out=paths)


def to_bytes(colour: np.ndarray) -> np.ndarray:
    """A float picture in [0, 1] as uint8, rounded."""
    return cv2.convertScaleAbs(np.maximum(colour, 0), alpha=255)
