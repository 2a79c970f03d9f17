"""Pictures of a scored picture: its error in colours, its worst window, smaller copies."""

import cv2
import numpy as np

from deepmat.imaging import to_uint8
from deepmat.imaging.trimap import unknown_region

WINDOW = 64
"""Side of the worst window in pixels."""
DIMMED = 0.4
"""Brightness of the picture beneath an error map."""
VISIBLE = 0.04
"""Error from which on the picture beneath is hidden."""


def _scale() -> tuple[np.ndarray, np.ndarray]:
    """The colour of each error, uint8 [256, 3], and the visible share of the picture beneath, float32 [256].

    Colours follow the square root of the error, so that a few grey levels show beside an error of 1.
    """
    error = np.arange(256) / 255
    colours = cv2.applyColorMap(to_uint8(np.sqrt(error)), cv2.COLORMAP_INFERNO).reshape(256, 3)[:, ::-1]
    return np.ascontiguousarray(colours), (1 - np.minimum(error / VISIBLE, 1)).astype(np.float32)


COLOURS, _LEFT = _scale()
_PAINT = np.rint(COLOURS * (1 - _LEFT[:, None])).astype(np.uint8)[None]
_SHADE = to_uint8(_LEFT * DIMMED)


def error_map(prediction: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """|prediction - alpha| inside the unknown region, 0 outside, uint8 [H, W]. All arguments are uint8 [H, W]."""
    return cv2.absdiff(prediction, alpha) * unknown_region(trimap)


def heat_map(image: np.ndarray, error: np.ndarray) -> np.ndarray:
    """The error in colours over the dimmed, grey image, uint8 [H, W, 3]. image: uint8 RGB; error: uint8 [H, W]."""
    ground = cv2.multiply(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.LUT(error, _SHADE), scale=1 / 255)
    return cv2.add(cv2.LUT(cv2.merge((error, error, error)), _PAINT), cv2.cvtColor(ground, cv2.COLOR_GRAY2RGB))


def worst_window(error: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, height and width of the window with the largest sum of errors, of WINDOW or as large as fits."""
    height, width = (min(WINDOW, each) for each in error.shape)
    sums = cv2.boxFilter(error, cv2.CV_32F, (width, height), anchor=(0, 0), normalize=False)
    inside = sums[: error.shape[0] - height + 1, : error.shape[1] - width + 1]
    top, left = divmod(int(inside.argmax()), inside.shape[1])
    return top, left, height, width


def shrink(pixels: np.ndarray, longer: int, interpolation: int | None = None) -> np.ndarray:
    """The picture with its longer side shrunk to `longer`; a smaller one unchanged."""
    height, width = pixels.shape[:2]
    scale = longer / max(height, width)
    if scale >= 1:
        return pixels
    if interpolation is None:  # area means take four times as long, and matter only below half the size
        interpolation = cv2.INTER_LINEAR if scale > 0.5 else cv2.INTER_AREA
    return cv2.resize(
        pixels, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=interpolation
    )


def side_by_side(panels: list[np.ndarray]) -> np.ndarray:
    """Panels of one height in a row, uint8 RGB. panels: uint8 RGB [H, W, 3] or grey [H, W]."""
    return np.hstack([cv2.cvtColor(each, cv2.COLOR_GRAY2RGB) if each.ndim == 2 else each for each in panels])
