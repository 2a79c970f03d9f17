"""Crop a cut-out to its subject."""

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from deepmat.errors import ConfigError, TooLarge
from deepmat.imaging import MAX_PIXELS
from deepmat.inference.outputs import CutOut
from deepmat.subject.band import Width, parse_width

SEEN = 13
"""Level of alpha, 5 %, below which a pixel does not count as the subject."""


class Crop(NamedTuple):
    """How outputs are cropped."""

    margin: Width
    """On each side of the subject, in pixels or as a share of its longer side."""
    square: bool


def parse_crop(margin: str | float | None, square: bool) -> Crop | None:
    """Return the crop that the options --crop and --square name, or None for the whole picture. Raises ConfigError."""
    if isinstance(margin, bool):  # Python's way to say --crop without a margin
        margin = 0 if margin else None
    if margin is None and square:
        raise ConfigError("--square: is for --crop; add that")
    return None if margin is None else Crop(parse_width(margin, "--crop"), square)


def cropped(cut: CutOut, crop: Crop, max_pixels: int = MAX_PIXELS) -> CutOut:
    """Return a cut-out cropped to its subject, which is in the centre.

    Beyond the frame of the photo it is background. Where no pixel is of the subject it is the whole picture.
    Raises TooLarge where margins make it larger than `max_pixels`.
    """
    visible = cut.levels >= SEEN
    if not visible.any():
        return cut
    left, top, width, height = cv2.boundingRect(visible.view(np.uint8))
    margin = round(crop.margin.pixels((height, width)))
    across, down = width + 2 * margin, height + 2 * margin
    if crop.square:
        across = down = max(across, down)
    if across * down > max_pixels:
        over = f"{across}x{down} is over {max_pixels / 1e6:g} megapixels"
        raise TooLarge(f"{cut.name}: --crop: {over}; give a smaller margin")
    x, y = left - (across - width) // 2, top - (down - height) // 2
    window = _Window(x, y, across, down)
    return replace(
        cut,
        image=window.of(cut.image, cv2.BORDER_REPLICATE),
        alpha=window.of(cut.alpha),
        trimap=window.of(cut.trimap),
        mask=None if cut.mask is None else window.of(cut.mask),
        backdrop=None if cut.backdrop is None else window.of(cut.backdrop, cv2.BORDER_REPLICATE),
    )


class _Window(NamedTuple):
    """A rectangle that may reach beyond a picture."""

    x: int
    y: int
    width: int
    height: int

    def of(self, pixels: np.ndarray, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
        """Return the pixels in the window; those beyond the picture are 0, or as `border` says."""
        height, width = pixels.shape[:2]
        inside = pixels[max(self.y, 0) : self.y + self.height, max(self.x, 0) : self.x + self.width]
        top, left = max(-self.y, 0), max(-self.x, 0)
        bottom, right = max(self.y + self.height - height, 0), max(self.x + self.width - width, 0)
        return np.ascontiguousarray(cv2.copyMakeBorder(inside, top, bottom, left, right, border))
