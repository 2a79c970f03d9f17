"""Tools of the procedural pictures: noise, colours, strokes on a canvas, blur.

Lengths are relative to the picture's shorter side, with (0, 0) in its middle, so that every kind works at any size and
aspect. In here, pictures are float [0, 1].
"""

import colorsys

import cv2
import numpy as np

from deepmat.errors import DataError

Span = tuple[float, float]
SMALLEST = 32  # the shortest side in pixels at which every kind still has a core, a soft edge and a surround
SHIFT = 4  # cv2 draws in fixed point: sixteenths of a pixel
WHITE = np.ones(3, np.float32)


def check_sides(height: int, width: int) -> None:
    if min(height, width) < SMALLEST:
        raise DataError(f"a picture of {width}x{height} is too small to draw; use at least {SMALLEST} pixels a side")


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, slope: float = 1.0, coarse: int = 3, fine: int = 4096
) -> np.ndarray:
    """Fractal noise, float32 [H W] in [0, 1]: `coarse` to `fine` cells a side, amplitude ~ frequency**-slope."""
    longer, cells, gain = max(height, width), coarse, 1.0
    total = np.zeros((height, width), np.float32)
    while cells <= min(fine, longer):
        grid = rng.standard_normal((2 + cells * height // longer, 2 + cells * width // longer), np.float32)
        total += gain * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, gain = cells * 2, gain * 2.0**-slope
    return (total - total.min()) / np.ptp(total)


def random_colour(rng: np.random.Generator, hue: Span, saturation: Span, value: Span) -> np.ndarray:
    """A random colour, float32 [3]."""
    return np.array(colorsys.hsv_to_rgb(*(rng.uniform(*span) for span in (hue, saturation, value))), np.float32)


def mix(first: np.ndarray | float, second: np.ndarray | float, share: np.ndarray) -> np.ndarray:
    """first where share [H W] is 0, second where it is 1."""
    return first + (second - first) * share[..., None]


def smooth_step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step: 0 below low, 1 above high (or the reverse when high < low)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def coordinates(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """x [1 W] and y [H 1], centred, one unit = the shorter side."""
    unit = min(height, width)
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / unit
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / unit
    return x[None], y[:, None]


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; wide ones run on a smaller copy, so that the cost does not grow with sigma."""
    height, width = image.shape[:2]
    factor = max(1, int(sigma / 3))
    small = cv2.resize(image, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(sigma / factor, 0.1))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def defocus(image: np.ndarray, depth: np.ndarray, sigma: float) -> np.ndarray:
    """Depth of field over [H W C]: sharp where depth [H W] is 0, blurred by sigma pixels where it is 1."""
    near, far = np.clip(depth * 2, 0, 1)[..., None], np.clip(depth * 2 - 1, 0, 1)[..., None]
    middle = gaussian_blur(image, sigma / 3)
    out = image + (middle - image) * near
    return out + (gaussian_blur(image, sigma) - middle) * far


def new_canvas(height: int, width: int, colour: np.ndarray) -> tuple[np.ndarray, float]:
    """RGBA uint8, empty (alpha 0) but coloured, at twice the size where threads are thin; and its pixels per unit."""
    scale = 2 if max(height, width) < 1500 else 1
    canvas = np.zeros((height * scale, width * scale, 4), np.uint8)
    canvas[..., :3] = np.rint(255 * np.clip(colour, 0, 1))
    return canvas, float(min(height, width) * scale)


def fixed_points(canvas: np.ndarray, unit: float, points: np.ndarray) -> list[np.ndarray]:
    """Curves [... K 2] in units around the centre -> cv2's fixed-point curves."""
    centre = np.array([canvas.shape[1], canvas.shape[0]]) / 2
    fixed = np.rint((points * unit + centre - 0.5) * (1 << SHIFT)).astype(np.int32)
    return list(fixed.reshape(-1, *fixed.shape[-2:]))


def make_paint(colour: np.ndarray, opacity: float = 1.0) -> list[float]:
    return [*(255.0 * np.clip(colour, 0, 1)).round().tolist(), round(255 * opacity)]


def draw_lines(
    canvas: np.ndarray, unit: float, curves: np.ndarray, paint: list[float], width: float, closed: bool = False
) -> None:
    thickness = max(1, round(width * unit))
    cv2.polylines(canvas, fixed_points(canvas, unit, curves), closed, paint, thickness, cv2.LINE_AA, SHIFT)


def fill_shape(canvas: np.ndarray, unit: float, outline: np.ndarray, paint: list[float]) -> None:
    cv2.fillPoly(canvas, fixed_points(canvas, unit, outline), paint, cv2.LINE_AA, SHIFT)


def bleed_colours(canvas: np.ndarray, unit: float, outlines: list[np.ndarray], colours: list[np.ndarray]) -> None:
    """Spread each shape's colour past its edge, alpha untouched; on an empty canvas, before the shapes are filled."""
    for outline, colour in zip(outlines, colours, strict=True):
        draw_lines(canvas, unit, outline, make_paint(colour, 0), 0.01, closed=True)


def ellipse_outline(x: float, y: float, a: float, b: float, turn: float = 0.0) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    u, v = a * np.cos(t), b * np.sin(t)
    return np.stack([x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], -1)


def bend_strands(
    canvas: np.ndarray, unit: float, paths: np.ndarray, colours: np.ndarray, opacity: Span, width: float
) -> None:
    """Tapering curves [N K 2] in len(colours) groups, the faintest first so that none thins those already drawn."""
    last = paths.shape[1] - 1
    levels = np.linspace(*opacity, len(colours))
    for group, colour, level in zip(np.array_split(paths, len(colours)), colours, levels, strict=True):
        for start, stop, share in ((0.0, 0.4, 1.0), (0.4, 0.75, 0.6), (0.75, 1.0, 0.25)):
            part = group[:, int(start * last) : int(stop * last) + 1]
            draw_lines(canvas, unit, part, make_paint(colour, level), width * share)


def grow_hairs(roots: np.ndarray, angles: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Roots [N 2], heading at each step [N K], lengths [N] -> paths [N K+1 2]."""
    steps = np.stack([np.cos(angles), np.sin(angles)], -1) * (lengths / angles.shape[1])[:, None, None]
    return np.concatenate([roots[:, None], roots[:, None] + np.cumsum(steps, 1)], 1)


def shrink_canvas(canvas: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.ascontiguousarray(small[..., :3]), np.ascontiguousarray(small[..., 3])


def to_bytes(rng: np.random.Generator, colour: np.ndarray, grain: float = 0.012) -> np.ndarray:
    """float [H W 3] -> uint8 with a little sensor noise."""
    noise = rng.standard_normal(colour.shape[:2], np.float32)[..., None] * grain
    return np.rint(np.clip(colour + noise, 0, 1) * 255).astype(np.uint8)


def finish(rng: np.random.Generator, colour: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Volume, texture, light from one side and grain over float colours -> the two uint8 pictures."""
    x, y = coordinates(*alpha.shape)
    turn, zoom = rng.uniform(-np.pi, 0), 64 / min(alpha.shape)
    # the slope of a small copy: that of an enlarged picture would show the grid it was enlarged from
    small = cv2.resize(alpha.astype(np.float32), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 3.0)
    slope = cv2.Sobel(small, cv2.CV_32F, 1, 0) * np.cos(turn) + cv2.Sobel(small, cv2.CV_32F, 0, 1) * np.sin(turn)
    relief = cv2.resize(slope.astype(np.float32), alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    light = 1 + 0.2 * (x * np.cos(turn) + y * np.sin(turn)) + 0.3 * (fractal_noise(rng, *alpha.shape) - 0.5)
    light -= np.clip(0.4 * relief, -0.35, 0.35)
    return to_bytes(rng, colour * light[..., None]), np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)
