"""Contact sheets: pictures side by side, with titles."""

from collections.abc import Sequence

import cv2
import numpy as np

SCORED_TITLES = ("image", "trimap", "ground truth", "prediction")


def _panel(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a picture as RGB, scaled to fit, centred on grey of height x width."""
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    panel = np.full((height, width, 3), 90, np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    panel[top : top + small.shape[0], left : left + small.shape[1]] = small
    return panel


def _label(text: str, height: int, width: int) -> np.ndarray:
    strip = np.full((height, width, 3), 32, np.uint8)
    text = text.encode("ascii", "backslashreplace").decode()  # OpenCV crashes at names that are no UTF-8
    cv2.putText(strip, text, (6, height - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return strip


def sheet(
    rows: Sequence[tuple[str, Sequence[np.ndarray]]], titles: Sequence[str] = SCORED_TITLES, side: int = 320
) -> np.ndarray:
    """Draw a row of panels per (caption, pictures), below its caption and the titles of the columns.

    Pictures: uint8 RGB [H, W, 3] or grey [H, W] of any sizes. side: of a panel in pixels. Returns uint8 RGB.
    """
    gap = 6
    lines = [[_label(title, 26, side) for title in titles]]
    for caption, pictures in rows:
        lines.append([_label(caption if not column else "", 26, side) for column in range(len(pictures))])
        lines.append([_panel(pixels, side, side) for pixels in pictures])
    spaced = [[np.pad(panel, ((0, 0), (0, gap), (0, 0)), constant_values=32) for panel in line] for line in lines]
    return np.vstack([np.hstack(line) for line in spaced])
