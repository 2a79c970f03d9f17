"""Contact sheets: pictures side by side, with titles."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deepmat.runtime.names import composed

SCORED_TITLES = ("image", "trimap", "ground truth", "prediction")
LIGHT = (235, 235, 235)
FONTS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "arial.ttf", "msyh.ttc", "malgun.ttf")
"""Fonts of Linux, macOS and Windows for names that are not ASCII. What the best of them lacks is escaped."""


def spread(count: int, shown: int) -> list[int]:
    """Return which of so many pictures a sheet shows: `shown` of them, or all, from the first to the last."""
    return sorted({index * (count - 1) // max(shown - 1, 1) for index in range(shown)} if count else ())


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


@cache
def _fonts() -> list[ImageFont.FreeTypeFont]:
    """Return those of FONTS that this machine has; Pillow looks for them where the system keeps its fonts."""
    found = []
    for name in FONTS:
        with suppress(OSError, ImportError):
            found.append(ImageFont.truetype(name, 14))
    return found


def _draws(font: ImageFont.FreeTypeFont, character: str) -> bool:
    """Return whether a font has a character: else it draws the same box as for one that does not exist."""
    return character.isprintable() and bytes(font.getmask(character)) != bytes(font.getmask("\U0010fffd"))


def _escaped(text: str, drawn: Callable[[str], bool]) -> str:
    """Return a text whose characters are drawn or written as escapes."""
    return "".join(each if drawn(each) else each.encode("unicode_escape").decode() for each in text)


def _label(text: str, height: int, width: int) -> np.ndarray:
    """Return a line of text, uint8 RGB. OpenCV draws ASCII, and crashes at names that are no UTF-8."""
    strip, place = np.full((height, width, 3), 32, np.uint8), (6, height - 8)
    text = composed(text)
    others = {each for each in text if not each.isascii()}
    covered = [(sum(_draws(font, each) for each in others), font) for font in (_fonts() if others else [])]
    most, font = max(covered, key=lambda each: each[0], default=(0, None))
    if not most or font is None:
        text = _escaped(text, str.isascii)
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, LIGHT, 1, cv2.LINE_AA)
        return strip
    picture = Image.fromarray(strip)
    text = _escaped(text, lambda each: each == " " or _draws(font, each))
    ImageDraw.Draw(picture).text(place, text, LIGHT, font, anchor="ls")
    return np.asarray(picture)


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
