"""From a picture's layers to a training sample, step by step: named functions over a whole sample.

An origin (deepmat.data.origins) opens layers, a dict:

| key        | value                                                                                             |
|------------|---------------------------------------------------------------------------------------------------|
| rgba       | uint8 [H, W, 4], foreground colours and alpha, perhaps still on the disk                           |
| points     | int64 [N], positions in alpha.ravel() where it is fractional (or beside an edge, if it nowhere is) |
| scene      | a background to cut from, or                                                                       |
| draw       | a function of height and width that draws one, uint8 [height, width, 3], or                        |
| image, bg  | of a ready composite: uint8 [H, W, 3]                                                              |
| second     | a function that opens another foreground of the origin, as far as `resize`                         |
| paint      | alone, a function of height and width that draws fg, alpha and bg                                  |

`resize` leaves fg, alpha (and image, bg) of the sample's size; then come the steps on colours, the composite, what the
network sees of it, the trimap.

Every step is f(layers, rng, **options of its section in the config) -> layers, and may draw from rng.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import cv2
import numpy as np

from deepmat import imaging
from deepmat.data.augment_trimap import blots, forget, trimap_by_distance, trimap_by_erosion, untold
from deepmat.imaging.blend import COMPOSITORS

Layers = dict[str, Any]
Step = Callable[..., Layers]
INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}
PIXELS = ("rgba", "image", "bg")
MOST_POINTS = 4096


class Scene(Protocol):
    """A background that is read no larger than needed."""

    @property
    def size(self) -> tuple[int, int]: ...

    def read(self, least: tuple[int, int]) -> np.ndarray:
        """uint8 [h, w, 3] of the whole scene, at `size` or smaller, but no side under `least` that is not so whole."""
        ...


def edge_points(alpha: np.ndarray) -> np.ndarray:
    """Where a crop may be centred: int64 [N], at most MOST_POINTS flat positions, spread evenly over all of them.

    All are those of fractional alpha, uint8 [H, W], or, where it is all 0 and 255, those beside an edge of it.
    """
    points = np.flatnonzero((alpha > 0) & (alpha < 255))
    if not points.size:
        square = np.ones((3, 3), np.uint8)
        points = np.flatnonzero(cv2.dilate(alpha, square) != cv2.erode(alpha, square))
    if points.size > MOST_POINTS:
        points = points[np.linspace(0, points.size - 1, MOST_POINTS).astype(np.int64)]
    return points


def _centre(layers: Layers, rng: np.random.Generator) -> tuple[int, int]:
    """Row and column of a random one of the points."""
    points = layers["points"]
    row, column = divmod(int(points[rng.integers(len(points))]), layers["rgba"].shape[1])
    return row, column


def _each(layers: Layers, change: Callable[[np.ndarray], np.ndarray]) -> Layers:
    return {**layers, **{key: change(layers[key]) for key in PIXELS if key in layers}}


def affine(
    layers: Layers,
    rng: np.random.Generator,
    *,
    rotate: float,
    scale: tuple[float, float],
    shear: float,
    window: int,
) -> Layers:
    """Turn, scale and shear a window of at most `window` pixels a side around a random point.

    Outside the picture it goes on as in a mirror, alpha as well, so that no foreground ends in a straight cut.
    """
    height, width = layers["rgba"].shape[:2]
    row, column = _centre(layers, rng)
    turn, slant = np.deg2rad(rng.uniform(-rotate, rotate)), np.tan(np.deg2rad(rng.uniform(-shear, shear)))
    factor = rng.uniform(*scale)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    backward = np.linalg.inv(factor * rotation @ np.array([[1, slant], [0, 1]]))
    out_h, out_w = min(window, height), min(window, width)
    point, half = np.array([column, row], float), np.array([out_w, out_h]) / 2
    # Inside the picture where it can be, but never so far from the point that a turn would lose it.
    inside = np.clip(point, half, np.array([width, height]) - half)
    middle = point + np.clip(inside - point, -half / 2, half / 2)
    # Only the pixels that the window can show are read.
    reach = np.abs(backward) @ half + 2
    left, top = np.maximum(np.floor(middle - reach), 0).astype(int)
    right, bottom = np.minimum(np.ceil(middle + reach), [width, height]).astype(int)
    shift = middle - [left, top] - backward @ half
    matrix, flags = np.hstack([backward, shift[:, None]]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

    def warp(pixels: np.ndarray) -> np.ndarray:
        part = np.ascontiguousarray(pixels[top:bottom, left:right])
        return cv2.warpAffine(part, matrix, (out_w, out_h), flags=flags, borderMode=cv2.BORDER_REFLECT_101)

    warped = _each(layers, warp)
    points = edge_points(warped["rgba"][..., 3])
    return {**warped, "points": points, "whole": (height, width, factor)} if points.size else layers


def crop(layers: Layers, rng: np.random.Generator, *, sizes: list[int]) -> Layers:
    """A square window around a random point, as far as the border allows, its side drawn from `sizes`.

    The side is the picture's shorter one where that is less: `resize` enlarges it then.
    """
    height, width = layers["rgba"].shape[:2]
    side = min(int(rng.choice(sizes)), height, width)
    row, column = _centre(layers, rng)
    top = min(max(row - side // 2, 0), height - side)
    left = min(max(column - side // 2, 0), width - side)
    cut = _each(layers, lambda pixels: pixels[top : top + side, left : left + side])
    whole_height, whole_width, factor = layers.get("whole", (height, width, 1))
    return {**cut, "window": (side / factor, whole_height, whole_width)}


def resize(layers: Layers, rng: np.random.Generator, *, size: list[int], interpolation: list[str]) -> Layers:
    """Everything to height and width `size`, by an interpolation drawn from those named; fg and alpha by themselves."""
    method = INTERPOLATIONS[interpolation[int(rng.integers(len(interpolation)))]]
    resized = _each(layers, lambda pixels: cv2.resize(pixels, (size[1], size[0]), interpolation=method))
    rgba = resized.pop("rgba")
    return {**resized, "fg": cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), "alpha": cv2.extractChannel(rgba, 3)}


def flip(layers: Layers, rng: np.random.Generator) -> Layers:
    """Left to right."""
    kinds = ("fg", "alpha", "image", "bg")
    return {**layers, **{kind: cv2.flip(layers[kind], 1) for kind in kinds if kind in layers}}


def combine(layers: Layers, rng: np.random.Generator) -> Layers:
    """Another foreground behind this one: alpha = 1 - (1 - a1)(1 - a2), colours by their share in it.

    Unchanged where that would leave no edge. A ready composite is blended anew.
    """
    second = layers["second"]()
    front, behind = layers["alpha"].astype(np.float32), second["alpha"].astype(np.float32)
    seen = behind * (1 - front / 255)
    alpha = np.rint(front + seen).astype(np.uint8)
    if alpha.min() == alpha.max():
        return layers
    share = (front / np.maximum(front + seen, 1e-6))[..., None]
    share[alpha == 0] = 1
    fg = np.rint(second["fg"] + share * (layers["fg"].astype(np.float32) - second["fg"])).astype(np.uint8)
    return {**_without_image(layers), "alpha": alpha, "fg": fg, "behind": seen >= 1}


def jitter(layers: Layers, rng: np.random.Generator, *, hue: float, saturation: float, value: float) -> Layers:
    """Turn the foreground's hue by up to `hue` degrees; scale its saturation and value. A composite is blended anew."""
    levels = np.arange(256)
    tables = [
        (levels + rng.uniform(-hue, hue) / 360 * 256) % 256,
        np.clip(levels * rng.uniform(1 - saturation, 1 + saturation), 0, 255),
        np.clip(levels * rng.uniform(1 - value, 1 + value), 0, 255),
    ]
    hsv = cv2.cvtColor(layers["fg"], cv2.COLOR_RGB2HSV_FULL)
    moved = cv2.LUT(hsv, np.stack(tables, -1).astype(np.uint8)[None])
    return {**_without_image(layers), "fg": cv2.cvtColor(moved, cv2.COLOR_HSV2RGB_FULL)}


def _without_image(layers: Layers) -> Layers:
    return {key: value for key, value in layers.items() if key != "image"}


def background(layers: Layers, rng: np.random.Generator, *, fit: str) -> Layers:
    """Cut a part of the scene, at random, and bring it to the sample's size.

    cover: as large as the crop is in the foreground's picture, once the scene is enlarged to cover that picture, if it
    is smaller. window: any size between that of the sample and the whole scene.
    """
    height, width = layers["alpha"].shape
    if "draw" in layers:
        return {**layers, "bg": layers["draw"](height, width)}
    if "scene" not in layers:
        return layers
    scene = layers["scene"]
    high, wide = scene.size
    if fit == "cover":
        side, fg_height, fg_width = layers["window"]
        tall = broad = side / max(1, fg_height / high, fg_width / wide)
    else:
        largest = min(high / height, wide / width)
        factor = rng.uniform(min(1, largest), largest)
        tall, broad = factor * height, factor * width
    tall, broad = min(tall, high), min(broad, wide)  # but for rounding, they are
    top, left = rng.uniform(0, high - tall), rng.uniform(0, wide - broad)
    pixels = scene.read((int(np.ceil(high * height / tall)), int(np.ceil(wide * width / broad))))
    down, right = pixels.shape[0] / high, pixels.shape[1] / wide
    rows, columns = max(1, round(tall * down)), max(1, round(broad * right))
    first, start = min(round(top * down), pixels.shape[0] - rows), min(round(left * right), pixels.shape[1] - columns)
    part = pixels[first : first + rows, start : start + columns]
    method = cv2.INTER_AREA if min(rows / height, columns / width) >= 2 else cv2.INTER_LINEAR
    return {**layers, "bg": cv2.resize(part, (width, height), interpolation=method)}


def blend(layers: Layers) -> Layers:
    """The composite, rounded to 8 bits, unless the sample is one already; the network sees the same at first."""
    image = layers.get("image")
    if image is None:
        image = COMPOSITORS["cv2"].blend(layers["fg"], layers["alpha"], layers["bg"])
    return {**layers, "composite": image, "image": image}


def blur(layers: Layers, rng: np.random.Generator, *, sigma: tuple[float, float]) -> Layers:
    """Gaussian blur of the image; the composite stays sharp."""
    return {**layers, "image": cv2.GaussianBlur(layers["image"], (0, 0), rng.uniform(*sigma))}


def noise(layers: Layers, rng: np.random.Generator, *, sigma: tuple[float, float]) -> Layers:
    """Gaussian noise on the image, independent in each channel; the composite stays clean."""
    image = layers["image"]
    grain = rng.standard_normal(image.shape, np.float32)
    grain *= np.float32(rng.uniform(*sigma))
    return {**layers, "image": cv2.add(image, grain, dtype=cv2.CV_8U)}


def jpeg(layers: Layers, rng: np.random.Generator, *, quality: list[int]) -> Layers:
    """The image as a JPEG leaves it; the composite stays clean."""
    return {**layers, "image": imaging.through_jpeg(layers["image"], int(rng.integers(quality[0], quality[1] + 1)))}


GEOMETRY: dict[str, Step] = {"affine": affine, "crop": crop, "resize": resize}
"""The steps of full pictures; a sample that is drawn at its size begins after them."""
COLOURS: dict[str, Step] = {"flip": flip, "combine": combine, "jitter": jitter, "background": background}
SEEN: dict[str, Step] = {
    "blur": blur,
    "noise": noise,
    "jpeg": jpeg,
    "trimap": trimap_by_erosion,
    "distance_trimap": trimap_by_distance,
    "blots": blots,
    "forget": forget,
    "untold": untold,
}
AUGMENTATIONS = {**GEOMETRY, **COLOURS, **SEEN}

Options = Mapping[str, Mapping[str, Any] | None]
"""The options of each step by name, as the config's section has them; None for a step that is left out."""


def apply(table: Iterable[str], layers: Layers, rng: np.random.Generator, options: Options) -> Layers:
    """The named steps in order, each with its probability."""
    for name in table:
        chosen = options[name]
        if chosen is None:
            continue
        given = dict(chosen)
        if rng.random() < given.pop("probability", 1):
            layers = AUGMENTATIONS[name](layers, rng, **given)
    return layers


def at_size(layers: Layers, rng: np.random.Generator, options: Options) -> Layers:
    """Layers as an origin opens them, to the sample's size."""
    if "paint" in layers:
        resize = options["resize"]
        assert resize
        return {**layers, **layers["paint"](*resize["size"])}
    return apply(GEOMETRY, layers, rng, options)


def make_sample(layers: Layers, rng: np.random.Generator, options: Options) -> dict[str, np.ndarray]:
    """Layers to uint8 image, composite, fg, bg [H, W, 3], alpha and trimap [H, W]."""
    layers = at_size(layers, rng, options)
    layers = apply(SEEN, blend(apply(COLOURS, layers, rng, options)), rng, options)
    return {kind: layers[kind] for kind in ("image", "composite", "fg", "bg", "alpha", "trimap")}
