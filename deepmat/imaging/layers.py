"""Layers of a decoded Pillow picture: colours and alpha channel; the matte or trimap that they hold."""

import cv2
import numpy as np
from PIL import Image

COLOURED = 64
"""Difference between channels from which a pixel of a trimap counts as coloured."""


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
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    mode = "L" if picture.mode in ("1", "L") else "RGB"
    return np.array(picture if picture.mode == mode else picture.convert(mode)), None


def as_rgb(colour: np.ndarray) -> np.ndarray:
    """Return RGB [H, W, 3] of grey or RGB."""
    return colour if colour.ndim == 3 else cv2.cvtColor(colour, cv2.COLOR_GRAY2RGB)


def as_grey(colour: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Return the matte, uint8 [H, W], in a picture's layers: a used alpha channel, or else the luminance."""
    if alpha is not None and alpha.min() < 255:
        return alpha
    return colour if colour.ndim == 2 else cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)


def coloured(colour: np.ndarray) -> np.ndarray:
    """Return which pixels of RGB, uint8 [H, W, 3], are neither grey, black nor white: bool [H, W]."""
    red, green, blue = cv2.split(colour)
    apart = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return np.asarray(apart > COLOURED)


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
