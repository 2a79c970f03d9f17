"""A picture file: its header first, its pixels when asked for."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from typing import cast

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from deepmat.errors import DataError
from deepmat.imaging.colour import About, in_srgb
from deepmat.imaging.layers import as_rgb, split
from deepmat.imaging.levels import kind_of
from deepmat.imaging.opening import load_pixels, open_picture
from deepmat.runtime.files import as_path
from deepmat.runtime.formats import HEAD, format_of, how_to_read

ORIENTATION, LYING = 0x0112, 5
"""EXIF's tag, and the first of its values that rotate a picture by 90 degrees."""
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
PNG_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
DPI = (1, 1e6)
"""Plausible resolutions, bounds excluded; 1 is what Pillow reports for a TIFF without one."""
MAX_PIXELS = 500_000_000

File = str | PathLike[str] | bytes
"""A picture file by its path, or the bytes in it."""


@contextmanager
def explained(name: object) -> Iterator[None]:
    """Convert any exception of a picture decoder into a DataError that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise DataError(f"{name}: a folder; name one picture in it") from error
    except PermissionError as error:
        raise DataError(f"{name}: may not be read ({error.strerror}); change its permissions") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: not a picture that can be read; replace or remove it") from error
    except Image.DecompressionBombError as error:  # from a plugin that checks for itself
        raise DataError(f"{name}: {error}; save it as PNG or TIFF, or raise PIL.Image.MAX_IMAGE_PIXELS") from error
    except DataError:
        raise
    except Exception as error:  # decoders raise anything for a damaged file
        raise DataError(f"{name}: cannot be read ({error}); replace or remove it") from error


class Unread:
    """A picture file whose header is read; its pixels are decoded when asked for.

    size: (height, width), upright. Raises DataError if the file is no picture, or has more than `max_pixels`, which
    keeps a small file that expands to hundreds of gigabytes from filling the memory. name: stands for the file in
    messages, by default its path.
    """

    def __init__(self, file: File, max_pixels: int = MAX_PIXELS, name: str | None = None) -> None:
        if not isinstance(file, (str, PathLike, bytes)):
            raise DataError(f"{name or 'picture'}: {kind_of(file)}; expected a path or the bytes of a file")
        path = None if isinstance(file, bytes) else as_path(file, name or "path")
        self.name = name or str(path or "picture")
        with explained(self.name):
            self.data = path.read_bytes() if path else cast(bytes, file)
            self.picture = _opened(self.data, path.suffix if path else "", self.name)
            width, height = self.picture.size
            if width * height > max_pixels:
                needed = math.ceil(width * height / 1e6)
                how = f"shrink it (deepmat predict and cut also take --max-megapixels {needed})"
                raise DataError(f"{self.name}: {width}x{height} is over {max_pixels / 1e6:g} megapixels; {how}")
            self.orientation = _orientation(self.picture, self.data)
        self.size = (width, height) if self.orientation >= LYING else (height, width)

    def decode(self, least: tuple[int, int] | None = None) -> Image.Image:
        """Decode the first frame, upright; smaller as in `read`. Raises DataError if it is damaged."""
        with explained(self.name):
            if least:
                self.picture.draft(None, least if self.orientation >= LYING else least[::-1])
            load_pixels(self.picture)
            ImageOps.exif_transpose(self.picture, in_place=True)
            return self.picture

    def read(self, least: tuple[int, int] | None = None) -> np.ndarray:
        """Return uint8 RGB [H, W, 3], as `read_image`."""
        return self.whole(least)[0]

    def _layers(self, least: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Return RGB as it lies in the file, uint8 [H, W, 3], and the alpha channel, uint8 [H, W], or None."""
        # OpenCV decodes the same pixels in two thirds of Pillow's time; where it fails, Pillow explains what is wrong.
        if self.picture.format == "JPEG" and self.picture.mode == "RGB" and self.orientation == 1:
            enough = min(self.size[0] / least[0], self.size[1] / least[1]) if least else 1
            flag = next((flag for factor, flag in REDUCED.items() if enough >= factor), cv2.IMREAD_COLOR_RGB)
            with suppress(cv2.error):  # over 2**30 pixels, say
                pixels = cv2.imdecode(np.frombuffer(self.data, np.uint8), flag)
                if pixels is not None:
                    return pixels if flag == cv2.IMREAD_COLOR_RGB else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), None
        colour, alpha = split(self.decode(least))
        return as_rgb(colour), alpha

    def whole(self, least: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray | None, About, list[str]]:
        """Return layers, profile and resolution, and notices, as `read_picture`; smaller as in `read`."""
        about, notices = self.about()
        info, grey = dict(self.picture.info), self.picture.mode[0] in "1LIF"
        colour, alpha = self._layers(least)
        colour, about, more = in_srgb(colour, about, grey, info)
        return colour, alpha, about, [*notices, *(f"{self.name}: {each}" for each in more)]

    def about(self) -> tuple[About, list[str]]:
        """Return profile and resolution for a copy of the picture, and notices of what reading it leaves out."""
        with explained(self.name):
            info, notices = self.picture.info, []
            if getattr(self.picture, "is_animated", False) and self.picture.format != "MPO":
                notices.append(f"{self.name}: several frames or pages, of which the first is used")
            if self.picture.mode == "CMYK":
                notices.append(f"{self.name}: CMYK, converted to RGB without its profile; colours may be slightly off")
            dpi = tuple(float(each) for each in info.get("dpi") or _exif_dpi(self.picture))
            profile = info.get("icc_profile")
        profile = profile if isinstance(profile, bytes) else None
        if len(dpi) != 2 or not all(DPI[0] < each < DPI[1] for each in dpi):
            return {"profile": profile, "dpi": None}, notices
        across, down = dpi[::-1] if self.orientation >= LYING else dpi
        return {"profile": profile, "dpi": (across, down)}, notices


def _opened(data: bytes, suffix: str, name: str) -> ImageFile.ImageFile:
    """Open a picture. Raises DataError with what to do if it is of a known format that cannot be read."""
    kind = format_of(data[:HEAD], suffix)
    if kind != "camera raw":  # of which Pillow would read the thumbnail
        try:
            return open_picture(io.BytesIO(data))
        except Exception as error:  # decoders raise anything for a damaged file
            if not kind:
                raise
            if not isinstance(error, UnidentifiedImageError):
                remedy = "replace it, or convert it to PNG or JPEG"
                raise DataError(f"{name}: {kind}, which cannot be read ({error}); {remedy}") from error
    raise DataError(f"{name}: {how_to_read(kind)}")


def _exif_dpi(picture: Image.Image) -> tuple[float, ...]:
    """Return EXIF's pixels per inch, horizontal and vertical, for formats that have no field of their own; () if none.

    PNG has one, and Pillow decodes all of a PNG to find EXIF in it.
    """
    if picture.format == "PNG":
        return ()
    with suppress(Exception):  # Pillow raises anything for damaged EXIF, which is no reason to refuse a picture
        exif = picture.getexif()
        scale = {2: 1.0, 3: 2.54}[exif.get(ExifTags.Base.ResolutionUnit, 2)]  # per inch, per centimetre; 1: an aspect
        return tuple(scale * float(exif[tag]) for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution))
    return ()


def _orientation(picture: Image.Image, data: bytes) -> int:
    """Return EXIF's (or XMP's) orientation, 1 to 8, of a picture opened from `data`.

    Pillow decodes a whole PNG to find metadata behind its pixels, so it is asked only if there is some.
    """
    if picture.format == "PNG" and not any(mark in data for mark in PNG_EXIF):
        return 1
    value = picture.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
