"""Steps that make a training sample from the layers of a picture.

An origin (deepmat.data.origins) opens layers, a dict:

| key        | value                                                                                             |
|------------|---------------------------------------------------------------------------------------------------|
| rgba       | uint8 [H, W, 4], foreground colours and alpha; may be memory-mapped                                |
| points     | int64 [N], positions in alpha.ravel() of fractional alpha (or beside an edge, if there is none)    |
| scene      | the background, a Scene; or                                                                        |
| draw       | a function (height, width) -> background uint8 [height, width, 3]; or                              |
| image, bg  | uint8 [H, W, 3], of a ready composite                                                              |
| second     | a function () -> layers of another foreground of the origin, after `resize`                        |
| paint      | in place of all above: a function (height, width) -> fg, alpha and bg                              |

`resize` replaces them by fg and alpha (image and bg too) of the sample's size. Then follow the steps on colours, the
composite, the steps on the image, and the trimap.

Every step is a function (layers, rng, **options) -> layers. The options are those of its section in the config.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import cv2
import numpy as np

from deepmat import imaging
from deepmat.data.augment_trimap import Layers, blots, forget, trimap_by_distance, trimap_by_erosion, untold
from deepmat.imaging.blend import COMPOSITORS

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
    """A background that can be read at reduced size."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the whole scene."""
        ...

    def read(self, least: tuple[int, int]) -> np.ndarray:
        """The whole scene, uint8 [h, w, 3], at `size` or smaller; a side is below `least` only if it is in `size`."""
        ...


def edge_points(alpha: np.ndarray) -> np.ndarray:
    """Positions in alpha.ravel() on which a crop can be centred, int64 [N].

    alpha: uint8 [H, W]. The positions are those where it is fractional or, if it is 0 and 255 only, those beside an
    edge; of more than MOST_POINTS, that many at even intervals.
    """
    points = np.flatnonzero((alpha > 0) & (alpha < 255))
    if not points.size:
        square = np.ones((3, 3), np.uint8)
        points = np.flatnonzero(cv2.dilate(alpha, square) != cv2.erode(alpha, square))
    if points.size > MOST_POINTS:
        points = points[np.linspace(0, points.size - 1, MOST_POINTS).astype(np.int64)]
    return points


def _centre(layers: Layers, rng: np.random.Generator) -> tuple[int, int]:
    """Row and column of a random point."""
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
    """Rotate, scale and shear a window of at most `window` pixels a side around a random point.

    The border of the picture is reflected, alpha too, so that no foreground ends in a straight cut.
    """
    height, width = layers["rgba"].shape[:2]
    row, column = _centre(layers, rng)
    turn, slant = np.deg2rad(rng.uniform(-rotate, rotate)), np.tan(np.deg2rad(rng.uniform(-shear, shear)))
    factor = rng.uniform(*scale)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    backward = np.linalg.inv(factor * rotation @ np.array([[1, slant], [0, 1]]))
    out_h, out_w = min(window, height), min(window, width)
    point, half = np.array([column, row], float), np.array([out_w, out_h]) / 2
    # Inside the picture if possible, but so near the point that no rotation moves it out of the window.
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
    """A square window around a random point, moved inside the picture. The side is drawn from `sizes`.

    If the shorter side of the picture is smaller, that is the side; `resize` enlarges it then.
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
    """Resize all pixels to height and width `size`, by an interpolation drawn from those named; splits fg and alpha."""
    method = INTERPOLATIONS[interpolation[int(rng.integers(len(interpolation)))]]
    resized = _each(layers, lambda pixels: cv2.resize(pixels, (size[1], size[0]), interpolation=method))
    rgba = resized.pop("rgba")
    return {**resized, "fg": cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), "alpha": cv2.extractChannel(rgba, 3)}


def flip(layers: Layers, rng: np.random.Generator) -> Layers:
    """Flip left and right."""
    kinds = ("fg", "alpha", "image", "bg")
    return {**layers, **{kind: cv2.flip(layers[kind], 1) for kind in kinds if kind in layers}}


def combine(layers: Layers, rng: np.random.Generator) -> Layers:
    """Put another foreground behind this one: alpha = 1 - (1 - a1)(1 - a2), colours weighted by their part of it.

    If no edge would be left, nothing changes. A ready composite is blended again.
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
    """Turn the foreground's hue by up to `hue` degrees, scale saturation and value. Composites are blended again."""
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
    """Cut a random part of the scene and resize it to the sample's size.

    fit "cover": the part has the size of the crop in the foreground's picture, after the scene was enlarged to cover
    that picture if it is smaller. fit "window": its size is between that of the sample and that of the whole scene.
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
    tall, broad = min(tall, high), min(broad, wide)  # larger only by rounding
    top, left = rng.uniform(0, high - tall), rng.uniform(0, wide - broad)
    pixels = scene.read((int(np.ceil(high * height / tall)), int(np.ceil(wide * width / broad))))
    down, right = pixels.shape[0] / high, pixels.shape[1] / wide
    rows, columns = max(1, round(tall * down)), max(1, round(broad * right))
    first, start = min(round(top * down), pixels.shape[0] - rows), min(round(left * right), pixels.shape[1] - columns)
    part = pixels[first : first + rows, start : start + columns]
    method = cv2.INTER_AREA if min(rows / height, columns / width) >= 2 else cv2.INTER_LINEAR
    return {**layers, "bg": cv2.resize(part, (width, height), interpolation=method)}


def blend(layers: Layers) -> Layers:
    """Blend the composite, rounded to 8 bits, unless the sample is one already. The image starts as a copy of it."""
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
    """JPEG artefacts on the image; the composite stays clean."""
    return {**layers, "image": imaging.through_jpeg(layers["image"], int(rng.integers(quality[0], quality[1] + 1)))}


GEOMETRY: dict[str, Step] = {"affine": affine, "crop": crop, "resize": resize}
"""Steps before the sample has its size; a procedural scene is drawn at that size and skips them."""
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
"""The options of each step by name, as in its section of the config; None for a step that is left out."""


def apply(table: Iterable[str], layers: Layers, rng: np.random.Generator, options: Options) -> Layers:
    """Apply the named steps in order, each with its probability."""
    for name in table:
        chosen = options[name]
        if chosen is None:
            continue
        given = dict(chosen)
        if rng.random() < given.pop("probability", 1):
            layers = AUGMENTATIONS[name](layers, rng, **given)
    return layers


def at_size(layers: Layers, rng: np.random.Generator, options: Options) -> Layers:
    """Bring the layers of an origin to the sample's size."""
    if "paint" in layers:
        resize = options["resize"]
        assert resize
        return {**layers, **layers["paint"](*resize["size"])}
    return apply(GEOMETRY, layers, rng, options)


def make_sample(layers: Layers, rng: np.random.Generator, options: Options) -> dict[str, np.ndarray]:
    """Make a sample from the layers of an origin: uint8 image, composite, fg, bg [H, W, 3], alpha, trimap [H, W]."""
    layers = at_size(layers, rng, options)
    layers = apply(SEEN, blend(apply(COLOURS, layers, rng, options)), rng, options)
    return {kind: layers[kind] for kind in ("image", "composite", "fg", "bg", "alpha", "trimap")}
