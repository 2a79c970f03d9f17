"""Read picture files: RGB or grey uint8 of any format, upright."""

import io
from pathlib import Path
from typing import TypedDict

import numpy as np
from PIL import Image

from deepmat.errors import DataError
from deepmat.imaging.colour import About, profile_name
from deepmat.imaging.layers import as_grey, as_levels, deep_levels, split
from deepmat.imaging.opening import open_picture
from deepmat.imaging.unread import MAX_PIXELS, File, Unread, explained


def read_image(path: File, least: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a picture as uint8 RGB [H, W, 3], upright, without its alpha channel.

    path: of the file, or the bytes in it. Colours are those of `read_picture`. least: height and width below which the
    picture must not be reduced; a large JPEG is then decoded at 1/2, 1/4 or 1/8 of its size, which is faster. Raises
    DataError if the file cannot be read or has more than `max_pixels`.
    """
    return Unread(path, max_pixels).read(least)


def read_picture(path: File, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, np.ndarray | None, About, list[str]]:
    """Read a picture with all that a copy of it needs.

    Returns uint8 RGB [H, W, 3], upright; the alpha channel, uint8 [H, W], or None; profile and resolution; and notices
    of what reading it changed or left out. Without an RGB profile colours are in sRGB (`colour.in_srgb`). Raises
    DataError if it cannot be read.
    """
    return Unread(path, max_pixels).whole()


def count_pixels(path: Path | bytes) -> int:
    """Return the number of pixels by the header alone, 0 for a file that is no picture. path: or the bytes in it."""
    try:
        with explained(path), io.BytesIO(path) if isinstance(path, bytes) else open(path, "rb") as file:
            width, height = open_picture(file).size
            return width * height
    except DataError:
        return 0


def read_size(path: File, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return height and width of a picture, upright, by its header alone. Raises DataError if it is no picture."""
    return Unread(path, max_pixels).size


class Header(TypedDict):
    """What the header of a picture file says.

    format and mode: as Pillow names them ("PNG", "RGB"); size: (height, width), upright; deep: over 8 bits per channel;
    frames: number of pictures in the file; orientation: EXIF's, 1 to 8; profile: the ICC profile's name; gamma: of a
    PNG's gAMA chunk; chromaticity: of a PNG's cHRM chunk, white, red, green and blue as x, y. The last three are None
    where the file has none.
    """

    format: str | None
    mode: str
    size: tuple[int, int]
    deep: bool
    frames: int
    orientation: int
    profile: str | None
    gamma: float | None
    chromaticity: tuple[float, ...] | None


def describe(path: File, max_pixels: int = MAX_PIXELS) -> Header:
    """Return the header of a picture file; no pixels are decoded. Raises DataError if it is no picture."""
    file = Unread(path, max_pixels)
    with explained(file.name):
        picture = file.picture
        profile = picture.info.get("icc_profile")
        return {
            "format": picture.format,
            "mode": picture.mode,
            "size": file.size,
            "deep": picture.mode[0] in "IF" or ";16" in str(picture.tile),
            "frames": getattr(picture, "n_frames", 1),
            "orientation": file.orientation,
            "profile": profile_name(profile) if profile else None,
            "gamma": picture.info.get("gamma"),
            "chromaticity": picture.info.get("chromaticity"),
        }


def read_rgba(path: File, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a picture as uint8 RGB [H, W, 3] and its alpha channel, uint8 [H, W], or None. DataError if unreadable."""
    return Unread(path, max_pixels).whole()[:2]


def read_grey(path: File, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an alpha or mask file as uint8 [H, W]: a used alpha channel, or else the luminance.

    Raises DataError if it cannot be read.
    """
    return as_grey(*split(Unread(path, max_pixels).decode()))


def read_matte(path: File, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an alpha file in its own depth: uint8 [H, W], or float32 [H, W] in [0, 1] if it has over 8 bits.

    Otherwise as `read_grey`. Raises DataError also if a value is not finite.
    """
    file = Unread(path, max_pixels)
    return matte_of(file.decode(), file.name)


def matte_of(picture: Image.Image, name: str) -> np.ndarray:
    """Return the matte that a decoded picture holds, as `read_matte`. name: of the picture, for messages."""
    if picture.mode.startswith(("I", "F")):
        pixels = np.asarray(picture)
        broken = np.count_nonzero(~np.isfinite(pixels))
        if broken:
            raise DataError(f"{name}: {broken} of its pixels are not finite numbers; make it again")
        return (deep_levels(pixels) / 255).astype(np.float32)
    return as_grey(*split(picture))


def read_levels(path: File, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a trimap file as uint8 [H, W] of any levels, as `as_levels` finds them. Raises DataError if unreadable."""
    return as_levels(*split(Unread(path, max_pixels).decode()))


def check_same_size(path: Path, pixels: np.ndarray, partner: Path, partner_pixels: np.ndarray) -> None:
    """Raise DataError unless both pictures have the same height and width."""
    if pixels.shape[:2] != partner_pixels.shape[:2]:
        (h, w), (ph, pw) = pixels.shape[:2], partner_pixels.shape[:2]
        raise DataError(f"{path}: {w}x{h}, but {partner} is {pw}x{ph}; make them the same size")
