"""Colour profiles and resolution of picture files, and colours by name."""

import io
from typing import TypedDict

import numpy as np
from PIL import Image, ImageCms, ImageColor

from deepmat.errors import ConfigError

SPACE, SIGNATURE = slice(16, 20), slice(36, 40)
"""Bytes of an ICC profile that hold its colour space and its signature (ICC.1:2022, 7.2)."""
SPACES = {2: b"GRAY", 3: b"RGB "}
"""Colour space of pixels by their number of dimensions."""


class About(TypedDict):
    """What a picture file holds beside its pixels, and a copy of it should hold too.

    profile: an ICC profile, or None; dpi: pixels per inch, horizontal and vertical, or None.
    """

    profile: bytes | None
    dpi: tuple[float, float] | None


def fitting_profile(about: About | None, dimensions: int) -> bytes | None:
    """Return the profile if it is valid and of the colour space of such pixels: 2 for grey [H, W], 3 for RGB."""
    profile = about["profile"] if about else None
    fits = isinstance(profile, bytes) and profile[SPACE] == SPACES[dimensions] and profile[SIGNATURE] == b"acsp"
    return profile if fits else None


def profile_name(profile: bytes) -> str:
    """Return the description in an ICC profile; "without a name" or "broken" if there is none."""
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip() or "without a name"
    except (ImageCms.PyCMSError, ImportError, OSError):
        return "broken"


def _opened(about: About | None) -> ImageCms.ImageCmsProfile | None:
    """Return the profile of an RGB picture, None for sRGB, which is also assumed without a profile."""
    profile = fitting_profile(about, 3)
    if profile is None or "srgb" in profile_name(profile).lower():
        return None
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def as_in(pixels: np.ndarray, about: About | None, target: About | None) -> np.ndarray:
    """Convert colours, uint8 RGB [H, W, 3], from the profile of one picture to that of another.

    sRGB stands in for a profile that is missing or not of RGB; with a broken one the pixels are returned unchanged.
    """
    try:
        source, wanted = _opened(about), _opened(target)
        if source is None and wanted is None or about and target and about["profile"] == target["profile"]:
            return pixels
        srgb = ImageCms.createProfile("sRGB")
        made = ImageCms.profileToProfile(Image.fromarray(pixels), source or srgb, wanted or srgb)
    except (ImageCms.PyCMSError, ImportError, OSError):
        return pixels
    return np.asarray(made)


def parse_colour(text: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of "#rrggbb", "#rgb" or a CSS name ("white"). Raises ConfigError if none.

    Colours with an alpha value ("#rrggbbaa") are refused.
    """
    try:
        red, green, blue = map(int, ImageColor.getrgb(text))
    except ValueError as error:
        raise ConfigError(f'{text}: not a colour; give a name such as "white", or "#rrggbb"') from error
    return red, green, blue
