"""What a picture's file says about its colours and its size on paper, and colours that people name."""

import io
from typing import TypedDict

import numpy as np
from PIL import Image, ImageCms, ImageColor

from deepmat.errors import ConfigError

SPACE, SIGNATURE = slice(16, 20), slice(36, 40)
"""Where an ICC profile says which colours it is for, and that it is one (ICC.1:2022, 7.2)."""
SPACES = {2: b"GRAY", 3: b"RGB "}


class About(TypedDict):
    """What a picture's file says beyond its pixels, and what a copy of it should say too.

    profile: an ICC profile, or None; dpi: pixels per inch, across and down, or None.
    """

    profile: bytes | None
    dpi: tuple[float, float] | None


def fitting_profile(about: About | None, dimensions: int) -> bytes | None:
    """The profile, if it is one of grey (2 dimensions, [H, W]) or RGB (3, [H, W, C]) pixels as these are."""
    profile = about["profile"] if about else None
    fits = isinstance(profile, bytes) and profile[SPACE] == SPACES[dimensions] and profile[SIGNATURE] == b"acsp"
    return profile if fits else None


def profile_name(profile: bytes) -> str:
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip() or "without a name"
    except (ImageCms.PyCMSError, ImportError, OSError):
        return "broken"


def _opened(about: About | None) -> ImageCms.ImageCmsProfile | None:
    """The profile of an RGB picture, None where it is sRGB, told or not."""
    profile = fitting_profile(about, 3)
    if profile is None or "srgb" in profile_name(profile).lower():
        return None
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def as_in(pixels: np.ndarray, about: About | None, target: About | None) -> np.ndarray:
    """Colours, uint8 RGB [H, W, 3], of a picture of one profile as a picture of another would hold them.

    A profile that is missing or not of RGB stands for sRGB; a broken one leaves the pixels as they are.
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
    """ "#rrggbb", "#rgb" or a name of CSS's ("white") as red, green and blue, 0 to 255. ConfigError for other text."""
    try:
        red, green, blue = map(int, ImageColor.getrgb(text))
    except ValueError as error:  # also four values, of a colour that lets others through
        raise ConfigError(f'{text}: not a colour; give a name such as "white", or "#rrggbb"') from error
    return red, green, blue
