"""Tools of the procedural pictures: views, noise, colours, strokes on a canvas, blur.

Things are drawn in units: one unit is the shorter side of a picture that shows the whole thing, whose middle is (0, 0).
A View says which part of that plane a picture shows, so that every kind works at any size, aspect and zoom.

Layers are float32 [H W 4]: red, green and blue multiplied by alpha, and alpha, all in [0, 1]. Blur, shrinking and one
thing over another are plain arithmetic on such layers; `straighten` divides the colours by alpha at the very end.
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
    """Which part of the plane a picture shows."""

    height: int
    width: int
    scale: float  # pixels per unit
    x: float = 0.0  # the point in the picture's middle
    y: float = 0.0
    turn: float = 0.0
    wander: float = 0.0  # how far `aim` may move the view: 0 not at all, 1 until the edge fills it


def whole(height: int, width: int) -> View:
    """The view of a whole thing."""
    return View(height, width, float(min(height, width)))


def aim(rng: np.random.Generator, view: View, points: np.ndarray) -> View:
    """The view moved towards one of `points` [N 2], the edge of a thing; the closer the view, the nearer to it."""
    point = points[rng.integers(len(points))]
    away = rng.uniform(-0.3, 0.3, 2) * [view.width, view.height] / view.scale
    near = max(0.0, 1 - (min(view.height, view.width) / view.scale) ** 1.5)
    x, y = view.wander * (near * point + away)
    return view._replace(x=float(x), y=float(y))


def check_sides(height: int, width: int) -> None:
    if min(height, width) < SMALLEST:
        raise DataError(f"a picture of {width}x{height} is too small to draw; use at least {SMALLEST} pixels a side")


def to_units(view: View, columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels -> x and y in units; float32, shaped like columns and rows broadcast."""
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
    """Points [... 2] in units -> cv2's fixed-point pixels, int32."""
    cos, sin = np.cos(view.turn) * view.scale, np.sin(view.turn) * view.scale
    x, y = points[..., 0] - view.x, points[..., 1] - view.y
    out = np.stack([x * cos - y * sin + (view.width / 2 - 0.5), x * sin + y * cos + (view.height / 2 - 0.5)], -1)
    return np.rint(out * (1 << SHIFT)).astype(np.int32)


def normal(rng: np.random.Generator, spread: float, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32) * np.float32(spread)


def uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> np.ndarray:
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
    smooth = cv2.INTER_LINEAR if 3 * total.shape[0] > height else cv2.INTER_CUBIC  # far enlarged, lines would show
    return np.clip(cv2.resize(total, (width, height), interpolation=smooth), 0, 1)


def texture(
    rng: np.random.Generator, view: View, slope: float = 1.0, coarse: float = 3, fine: float = 4096
) -> np.ndarray:
    """Fractal noise that belongs to the thing in view: `coarse` to `fine` cells per unit. float32 [H W] in [0, 1]."""
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
    """[H W] -> float32 [H W 3], three times the same: much faster arithmetic than with values[..., None]."""
    return cv2.merge([values.astype(np.float32, copy=False)] * 3)


def bump(x: np.ndarray) -> np.ndarray:
    """exp(-x**2), float32 [H W]; not smaller than 1e-13, since numbers next to 0 are slow."""
    return cv2.exp(-np.minimum(x * x, 30, dtype=np.float32))


def mix(first: np.ndarray | float, second: np.ndarray | float, share: np.ndarray) -> np.ndarray:
    """first where share [H W] is 0, second where it is 1; numbers, colours [3] or pictures [H W 3]. float32 [H W 3]."""
    share, pair = share.astype(np.float32, copy=False), (np.asarray(first), np.asarray(second))
    ends = [np.moveaxis(end, -1, 0) if end.ndim == 3 else np.broadcast_to(end, 3).tolist() for end in pair]
    return cv2.merge([low + (high - low) * share for low, high in zip(*ends, strict=True)])


def dye(colour: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A colour [3], the lighter the larger light [H W] is. float32 [H W 3]."""
    return cv2.merge([light.astype(np.float32, copy=False) * part for part in colour.tolist()])


def smooth_step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step: 0 below low, 1 above high (or the reverse when high < low)."""
    t = np.clip((x - low) * (1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; wide ones run on a smaller copy, so that the cost does not grow with sigma."""
    if sigma < 0.1:
        return image
    height, width = image.shape[:2]
    factor = max(1.0, sigma / 2)
    if factor == 1:
        return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    size = max(1, round(width / factor)), max(1, round(height / factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC if factor > 3 else cv2.INTER_LINEAR)


def defocus(image: np.ndarray, depth: np.ndarray, sigma: float) -> np.ndarray:
    """Depth of field over [H W C]: sharp where depth [H W] is 0, blurred by sigma pixels where it is 1."""
    depth = depth.astype(np.float32, copy=False)
    near, far = np.clip(depth * 2, 0, 1), np.clip(depth * 2 - 1, 0, 1)
    image = cv2.blendLinear(image, gaussian_blur(image, sigma / 3), 1 - near, near)
    return cv2.blendLinear(image, gaussian_blur(image, sigma), 1 - far, far)


def motion_blur(layers: np.ndarray, x: float, y: float) -> np.ndarray:
    """Layers [H W C] of a thing that moves by (x, y) pixels, evenly, while the shutter is open.

    The mean of a picture and its copy moved by half the way, then by a quarter and so on, is the mean over the way.
    """
    size = layers.shape[1::-1]
    while np.hypot(x, y) > 0.7:
        x, y = x / 2, y / 2
        move = np.array([[1, 0, x], [0, 1, y]], np.float32)
        layers = (layers + cv2.warpAffine(layers, move, size, borderMode=cv2.BORDER_REPLICATE)) * np.float32(0.5)
    return layers


def new_canvas(view: View, thread: float = 1.0) -> tuple[np.ndarray, View]:
    """Layers in uint8, all empty, and their view: at twice the size where threads of that width are thin.

    cv2's smooth edges mix all four channels alike, which on multiplied colours is exactly "over" for opaque paint.
    """
    factor = 2 if thread * view.scale < 0.7 and max(view.height, view.width) < 1500 else 1
    view = view._replace(height=view.height * factor, width=view.width * factor, scale=view.scale * factor)
    return np.zeros((view.height, view.width, 4), np.uint8), view


def plain(height: int, width: int, colour: np.ndarray) -> np.ndarray:
    """One colour all over, uint8 [H W 3]."""
    return np.full((height, width, 3), np.rint(255 * np.clip(colour, 0, 1)), np.uint8)


def to_layers(canvas: np.ndarray, view: View) -> np.ndarray:
    """The canvas at the size of the view, as float32 layers."""
    if canvas.shape[0] != view.height:
        canvas = cv2.resize(canvas, (view.width, view.height), interpolation=cv2.INTER_AREA)
    return np.multiply(canvas, np.float32(1 / 255), dtype=np.float32)


def stack_layers(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Straight colours [3] or [H W 3] and alpha [H W] -> layers."""
    return cv2.merge([*cv2.split(np.clip(colour, 0, 1) * spread_out(alpha)), alpha.astype(np.float32, copy=False)])


def shade(layers: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Layers with their colours made lighter or darker, light [H W]; alpha stays."""
    return cv2.multiply(layers, cv2.merge([light] * 3 + [np.ones_like(light)]))


def over(front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Layers over layers."""
    return front + back * cv2.merge([1 - front[..., 3]] * 4)


def make_paint(colour: np.ndarray, opacity: float = 1.0) -> list[float]:
    return [*(255.0 * opacity * np.clip(colour, 0, 1)).tolist(), 255.0 * opacity]


def make_paints(colours: np.ndarray) -> list[list[float]]:
    """Opaque paints of colours [N 3]."""
    return (255.0 * np.pad(np.clip(colours, 0, 1), ((0, 0), (0, 1)), constant_values=1)).tolist()


def draw_lines(
    canvas: np.ndarray, view: View, curves: np.ndarray, paint: list[float], width: float, closed: bool = False
) -> None:
    """Curves [N K 2] of one even width in units."""
    thickness = max(1, round(width * view.scale))
    cv2.polylines(canvas, list(fixed_points(view, curves)), closed, paint, thickness, cv2.LINE_AA, SHIFT)


def fill_shape(canvas: np.ndarray, view: View, outline: np.ndarray, paint: list[float]) -> None:
    cv2.fillPoly(canvas, [fixed_points(view, outline)], paint, cv2.LINE_AA, SHIFT)


def fill_convex(canvas: np.ndarray, view: View, outlines: np.ndarray, paints: list[list[float]]) -> None:
    """Convex outlines [N K 2], each in its paint."""
    for outline, paint in zip(fixed_points(view, outlines), paints, strict=True):
        cv2.fillConvexPoly(canvas, outline, paint, cv2.LINE_AA, SHIFT)


def ellipse_outline(x: float, y: float, a: float, b: float, turn: float = 0.0, count: int = 72) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, count, endpoint=False, dtype=np.float32)
    u, v = a * np.cos(t), b * np.sin(t)
    return np.stack([x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], -1)


def draw_strands(
    canvas: np.ndarray, view: View, paths: np.ndarray, colours: np.ndarray, width: float, opacity: Span = (1.0, 1.0)
) -> None:
    """Curves [N K 2] that taper from `width`, in len(colours) groups, from the first to the last opacity.

    Faint strands thin what lies below them, so they come before the things they hang over.
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


def grow_hairs(roots: np.ndarray, angles: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Roots [N 2], heading at each step [N K], lengths [N] -> paths [N K+1 2], float32."""
    angles = angles.astype(np.float32)
    steps = np.stack([np.cos(angles), np.sin(angles)], -1) * (lengths / angles.shape[1])[:, None, None]
    paths = np.concatenate([roots[:, None], steps], 1).astype(np.float32)
    return np.cumsum(paths, 1, out=paths)


def add_grain(rng: np.random.Generator, picture: np.ndarray, strength: float) -> np.ndarray:
    """uint8 [H W 3] with sensor noise of up to `strength` levels either way."""
    noise = np.frombuffer(rng.bytes(picture.size), np.uint8).reshape(picture.shape)
    return cv2.addWeighted(picture, 1, noise, strength / 127.5, -strength)


def to_bytes(colour: np.ndarray) -> np.ndarray:
    """float [0, 1] -> uint8, rounded."""
    return cv2.convertScaleAbs(np.maximum(colour, 0), alpha=255)


def _divide(layers: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """Straight colours: the layers' own, and the nearer alpha is to 0, the more `beyond`; so nothing jumps."""
    total = cv2.scaleAdd(beyond, 0.02, layers)
    return cv2.divide(total, cv2.merge([cv2.extractChannel(total, 3)] * 4))


def _go_on(layers: np.ndarray) -> np.ndarray:
    """Straight colours of layers, gone on into what is empty, from ever coarser copies; and 1 for alpha."""
    height, width = layers.shape[:2]
    if max(height, width) <= 2:
        straight = layers / np.maximum(layers[..., 3:], 1e-3)
        straight[..., 3] = 1
        return straight
    half = cv2.resize(layers, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    return _divide(layers, cv2.resize(_go_on(half), (width, height), interpolation=cv2.INTER_LINEAR))


def straighten(layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Layers -> straight colours uint8 [H W 3], defined everywhere, and alpha uint8 [H W]."""
    height, width = layers.shape[:2]
    small = cv2.resize(layers, (-(-width // 6), -(-height // 6)), interpolation=cv2.INTER_AREA)
    beyond = cv2.resize(_go_on(small), (width, height), interpolation=cv2.INTER_LINEAR)
    straight = cv2.convertScaleAbs(_divide(layers, beyond), alpha=255)
    return cv2.cvtColor(straight, cv2.COLOR_RGBA2RGB), to_bytes(cv2.extractChannel(layers, 3))


def shine(rng: np.random.Generator, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Straight colours uint8 [H W 3] under uneven light from one side, which shows a relief near the edges."""
    turn, zoom = rng.uniform(-np.pi, 0), min(1.0, 80 / min(alpha.shape))
    # the slope of a small copy: that of an enlarged picture would show the grid it was enlarged from
    small = cv2.resize(alpha, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.GaussianBlur(small, (0, 0), 3.0) * np.float32(1 / 255)
    slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0) * np.cos(turn) + cv2.Sobel(soft, cv2.CV_32F, 0, 1) * np.sin(turn)
    x, y = coordinates(whole(*small.shape))
    light = 1 + 0.2 * (x * np.cos(turn) + y * np.sin(turn)) - np.clip(0.4 * slope, -0.35, 0.35)
    light *= 0.85 + 0.3 * fractal_noise(rng, *small.shape)
    tinted = cv2.merge([light.astype(np.float32) * np.float32(rng.uniform(0.94, 1.06)) for _ in range(3)])
    return cv2.multiply(
        colour, cv2.resize(tinted, colour.shape[1::-1], interpolation=cv2.INTER_LINEAR), dtype=cv2.CV_8U
    )


def finish(rng: np.random.Generator, layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What light and a camera add: relief, a lens, sometimes motion, grain. Layers -> the two pictures."""
    height, width = layers.shape[:2]
    lens, pixel = rng.random(), min(height, width) / 320
    if lens < 0.35:
        layers = gaussian_blur(layers, rng.uniform(0.4, 0.9) * max(1, pixel))
    elif lens < 0.45:
        layers = gaussian_blur(layers, rng.uniform(1.0, 2.5) * pixel)
    elif lens < 0.6:
        depth = smooth_step(fractal_noise(rng, height, width, 2.0, 2, 4), 0.4, 0.9)
        layers = defocus(layers, depth, rng.uniform(1.0, 5.0) * pixel)
    if rng.random() < 0.12:
        turn, reach = rng.uniform(0, 2 * np.pi), rng.uniform(3, 24) * pixel
        layers = motion_blur(layers, reach * np.cos(turn), reach * np.sin(turn))
    colour, alpha = straighten(layers)
    return add_grain(rng, shine(rng, colour, alpha), rng.uniform(0, 7)), alpha
