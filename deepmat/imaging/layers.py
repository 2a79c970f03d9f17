"""Layers of a decoded Pillow picture: colours and alpha channel; the matte or trimap that they hold."""

import cv2
import numpy as np
from PIL import Image

COLOURED = 64
"""Difference between channels above which a pixel of a trimap counts as coloured."""
OPAQUE = 250
"""Lowest level of an alpha channel that is nearly opaque."""
ENDS, STRAY, COLOURS, FILLED = 8, 0.001, 0.01, 0.95
"""Distance of levels from black and white; share of pixels that count for nothing; share of coloured ones in a grey
matte; least share of a rectangle that a framed picture fills."""


def deep_levels(pixels: np.ndarray) -> np.ndarray:
    """Convert 16-bit, 32-bit or float greys to float64 in [0, 255].

    Floats are fractions unless far over 1; integers up to 255 are 8-bit levels.
    """
    top = float(np.nanmax(pixels, initial=0))
    if pixels.dtype.kind == "f":
        scale = 255.0 if top <= 2 else 1.0
    else:
        scale = 255 / 65535 if top > 255 else 1.0
    return np.clip(np.nan_to_num(pixels.astype(np.float64)) * scale, 0, 255)


def split(picture: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Return colours, uint8 [H, W] or RGB [H, W, 3], and the alpha channel, uint8 [H, W], or None if there is none."""
    if picture.mode.startswith(("I", "F")):
        return np.rint(deep_levels(np.asarray(picture))).astype(np.uint8), None
    if picture.mode == "La":  # premultiplied, which Pillow converts to LA alone
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    mode = "L" if picture.mode in ("1", "L") else "RGB"
    return np.array(picture if picture.mode == mode else picture.convert(mode)), None


def as_rgb(colour: np.ndarray) -> np.ndarray:
    """Return RGB [H, W, 3] of grey or RGB."""
    return colour if colour.ndim == 3 else cv2.cvtColor(colour, cv2.COLOR_GRAY2RGB)


def is_opaque(alpha: np.ndarray) -> bool:
    """Return whether an alpha channel, uint8 [H, W], is opaque everywhere but for stray pixels, so shows no shape."""
    return alpha.min() == 255 or bool(np.mean(alpha < OPAQUE) < STRAY)


def luminance(colour: np.ndarray) -> np.ndarray:
    """Return uint8 [H, W] of grey or RGB."""
    return colour if colour.ndim == 2 else cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)


def coloured(colour: np.ndarray, least: int = COLOURED) -> np.ndarray:
    """Return where RGB, uint8 [H, W, 3], is neither black nor white nor grey: bool [H, W].

    There the difference between channels is over `least`.
    """
    red, green, blue = cv2.split(colour)
    return cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)) > least


def holds_matte(colour: np.ndarray, alpha: np.ndarray | None) -> bool:
    """Return whether a picture's colours are the matte, and not its alpha channel.

    So if there is no alpha channel or it is 255 everywhere; and for greys, if it is nearly opaque (`is_opaque`) or
    shows a mere rectangle, upright or turned, of which at least half is black or white: a mask on a larger canvas.
    """
    if alpha is None or alpha.min() == 255:
        return True
    visible = _visible(alpha)
    if colour.ndim == 3 and coloured(colour)[visible].mean() > COLOURS:
        return False
    if is_opaque(alpha):
        return True
    grey = luminance(colour)[visible]
    black, white = np.mean(grey <= ENDS), np.mean(grey >= 255 - ENDS)
    return bool(min(black, white) > STRAY and black + white > 0.5) and _is_rectangle(visible)


def as_grey(colour: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Return the matte, uint8 [H, W], in a picture's layers: the alpha channel, or luminance (`holds_matte`).

    Of the luminance, what is transparent is 0.
    """
    if not holds_matte(colour, alpha):
        assert alpha is not None
        return alpha
    return masked_by(alpha, luminance(colour))


def masked_by(alpha: np.ndarray | None, grey: np.ndarray) -> np.ndarray:
    """Return a matte kept in colours, uint8 [H, W], with 0 where the alpha channel is transparent."""
    return grey if alpha is None or alpha.min() == 255 else np.where(_visible(alpha), grey, np.uint8(0))


def _visible(alpha: np.ndarray) -> np.ndarray:
    """Return where a layer shows, bool [H, W]: over half of its highest alpha; everywhere if that is 0."""
    return alpha > int(alpha.max()) // 2 if alpha.any() else np.ones(alpha.shape, bool)


def _is_rectangle(region: np.ndarray) -> bool:
    """Return whether a region, bool [H, W], fills the smallest rectangle, at any angle, around it."""
    rows = np.flatnonzero(region.any(axis=1))
    inside = region[rows]
    first, last = inside.argmax(axis=1), region.shape[1] - inside[:, ::-1].argmax(axis=1)
    corners = [np.stack((x, y), axis=1) for x in (first, last) for y in (rows, rows + 1)]
    _, (height, width), _ = cv2.minAreaRect(np.concatenate(corners).astype(np.float32))
    return bool(np.count_nonzero(region) > FILLED * height * width)


def as_levels(colour: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Return the trimap levels, uint8 [H, W], in a picture's layers.

    Levels are the luminance; 128 for colours, which are neither black nor white; 0 where transparent. If all pixels are
    of one colour, the alpha channel holds the levels.
    """
    if colour.ndim == 2:
        grey = colour
    else:
        grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
        grey[coloured(colour)] = 128
    if alpha is None:
        return grey
    return alpha if grey.min() == grey.max() else np.where(alpha < 128, np.uint8(0), grey)
