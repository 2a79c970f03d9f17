"""Colour profiles and resolution of picture files, and colours by name."""

import io
from collections.abc import Mapping
from typing import Any, TypedDict

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageColor

from deepmat.errors import ConfigError

SPACE, SIGNATURE = slice(16, 20), slice(36, 40)
"""Bytes of an ICC profile that hold its colour space and its signature (ICC.1:2022, 7.2)."""
SPACES = {2: b"GRAY", 3: b"RGB "}
"""Colour space of pixels by their number of dimensions."""


SRGB_GAMMA = 1 / 2.2
"""Of a PNG's gAMA chunk, beside a picture in sRGB."""
SRGB_CHROMATICITY = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""Of a PNG's cHRM chunk, beside a picture in sRGB: white, red, green and blue as x, y."""


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


def other_primaries(chromaticity: tuple[float, ...] | None) -> bool:
    """Return whether a PNG's cHRM chunk names other primaries or another white than sRGB's."""
    if chromaticity is None or len(chromaticity) != len(SRGB_CHROMATICITY):
        return False
    return not np.allclose(chromaticity, SRGB_CHROMATICITY, atol=0.005)


def in_srgb(
    pixels: np.ndarray, about: About, grey: bool, info: Mapping[Any, Any]
) -> tuple[np.ndarray, About, list[str]]:
    """Convert RGB pixels, uint8 [H, W, 3], to sRGB where no RGB profile can say what they mean.

    Converted are greys with a profile for grey too, and PNGs with a gAMA chunk but neither profile nor sRGB chunk.
    grey: the file holds greys; info: of Pillow's picture. Returns the pixels, `about` without such a profile, and
    notices of what was converted or left out.
    """
    profile, gamma = about["profile"], info.get("gamma")
    notices = []
    if profile and profile[SPACE] == SPACES[2]:
        table = _grey_table(profile) if grey else None
        what = f"its profile for grey ({profile_name(profile)})"
        about = {**about, "profile": None}
    elif profile or "srgb" in info:
        fits = not profile or fitting_profile(about, 3) or profile[SPACE] == b"CMYK"  # of which a notice is given
        return pixels, about, [] if fits else ["its colour profile does not fit or is broken, and was left out"]
    elif gamma and abs(gamma - SRGB_GAMMA) > 0.01:
        linear = (np.arange(256) / 255) ** (1 / gamma)
        table = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear) * 255
        what = f"its gamma of {gamma:.2g} (gAMA)"
    else:
        table, what = np.arange(256), ""
    if table is None:
        notices.append(f"{what} does not fit or is broken, and was left out")
    elif np.abs(table - np.arange(256)).max() > 1:
        pixels = cv2.LUT(pixels, np.rint(table).astype(np.uint8))
        notices.append(f"{what} was applied: the pixels were converted to sRGB")
    if not profile and other_primaries(info.get("chromaticity")):
        notices.append("its primaries (cHRM) are not those of sRGB, and were left out; colours may be off")
    return pixels, about, notices


def _grey_table(profile: bytes) -> np.ndarray | None:
    """Return the levels in sRGB of all 256 levels in a profile for grey, or None for a broken one."""
    try:
        source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
        exact = ImageCms.Flags.NOOPTIMIZE  # which would put dark greys of a linear profile 9 levels off
        made = ImageCms.profileToProfile(ramp, source, srgb, outputMode="RGB", flags=exact)
        return np.asarray(made)[0, :, 1].astype(float)
    except (ImageCms.PyCMSError, ImportError, OSError, ValueError):
        return None


def parse_colour(text: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of "#rrggbb", "#rgb" or a CSS name ("white"). Raises ConfigError if none.

    Colours with an alpha value ("#rrggbbaa") are refused.
    """
    try:
        red, green, blue = map(int, ImageColor.getrgb(text))
    except ValueError as error:
        raise ConfigError(f'{text}: not a colour; give a name such as "white", or "#rrggbb"') from error
    return red, green, blue
