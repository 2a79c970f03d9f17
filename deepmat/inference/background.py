"""What stands behind a composite: a colour, a picture, or one of a folder of pictures."""

import os
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deepmat import imaging
from deepmat.errors import ConfigError
from deepmat.imaging import About
from deepmat.imaging.unread import File
from deepmat.runtime.files import as_path_or_none
from deepmat.runtime.listing import find_pictures, key_of
from deepmat.runtime.paths import is_file, is_folder
from deepmat.runtime.storage import addressed

Background = Callable[[str, int, int, About | None], np.ndarray]
"""Name, height, width and `about` of a picture -> its background, uint8 RGB [H, W, 3] in the picture's colour space."""


def background_text(given: object) -> str:
    """Return what names a background (`open_background`) from what a caller gave: a colour, a path or None."""
    return given if isinstance(given, str) else str(as_path_or_none(given, "background") or "")


def open_background(text: str, max_pixels: int = imaging.MAX_PIXELS) -> Background:
    """Return the background that `text` names: a colour ("white", "#00ff00"), a picture file, or a folder of pictures.

    A picture is scaled to cover the size and cropped around its centre. A folder gives each picture the background of
    its own name, else one that depends on its name alone. Raises ConfigError if `text` is none of these, DataError for
    an empty folder or a broken picture.
    """
    try:
        return plain(imaging.parse_colour(text))
    except ConfigError as error:
        path = addressed(text)
        if is_folder(path):
            return _from_pictures([(key_of(each, path), each) for each in find_pictures(path)[0]], max_pixels)
        if not is_file(path):
            raise ConfigError(
                f'--background {text}: no colour, picture or folder; give "white", "#rrggbb" or check the path'
            ) from error
        background = of_picture(path, max_pixels)
        background("", 1, 1, None)  # so that a broken file is refused before any work
        return background


def plain(colour: tuple[int, int, int]) -> Background:
    """Return a background of one colour, given in sRGB."""

    def fill(name: str, height: int, width: int, about: About | None) -> np.ndarray:
        return np.full((height, width, 3), imaging.as_in(np.array([[colour]], np.uint8), None, about))

    return fill


def of_picture(picture: File, max_pixels: int = imaging.MAX_PIXELS) -> Background:
    """Return the background that a picture file is, by its path or its bytes, as `open_background` fits it."""
    return _from_pictures([("", picture)], max_pixels)


def _from_pictures(pictures: Sequence[tuple[str, File]], max_pixels: int) -> Background:
    read: Any = lru_cache(1)(imaging.read_picture)  # a single background is decoded once
    by_key, by_name = dict(pictures), {Path(key).name: path for key, path in reversed(pictures)}

    def draw(name: str, height: int, width: int, about: About | None) -> np.ndarray:
        by_hash = pictures[zlib.crc32(os.fsencode(name)) % len(pictures)][1]
        path = by_key.get(name) or by_name.get(Path(name).name, by_hash)
        pixels, _, about_pixels, _ = read(path, max_pixels)
        return imaging.as_in(_cover(pixels, height, width), about_pixels, about)

    return draw


def _cover(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Crop a picture around its centre to the aspect ratio of height x width, and scale it to that size."""
    h, w = pixels.shape[:2]
    scale = max(height / h, width / w)
    part_h, part_w = max(1, min(h, round(height / scale))), max(1, min(w, round(width / scale)))
    top, left = (h - part_h) // 2, (w - part_w) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(pixels[top : top + part_h, left : left + part_w], (width, height), interpolation=how)
