"""Picture files in: whatever the file, RGB or grey uint8 comes out, upright."""

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from deepmat.errors import DataError
from deepmat.imaging.colour import About, profile_name

ORIENTATION, LYING = 0x0112, 5
"""EXIF's tag, and the first of its values that turn a picture by a quarter."""
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
PNG_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
COLOURED = 64
DPI = (1, 1e6)
"""What is believed, bounds excluded; 1 is what Pillow makes of a TIFF without."""
MAX_PIXELS = 500_000_000
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit would refuse panoramas; ours is checked before anything is decoded


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a picture file, as a DataError that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size limit and its remarks on odd metadata
            yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not a picture that can be read; replace or remove it") from error
    except DataError:
        raise
    except Exception as error:  # whatever a decoder makes of a damaged file
        raise DataError(f"{path}: cannot be read ({error}); replace or remove it") from error


class Unread:
    """A picture file of which the header is read: its size is known, its pixels come when asked for.

    size: (height, width), upright. DataError if it is no picture, or of more than `max_pixels`, which keeps a small
    file that unpacks to hundreds of gigabytes from filling the memory.
    """

    def __init__(self, path: Path, max_pixels: int = MAX_PIXELS) -> None:
        self.path = path
        with _explained(path):
            self.data = Path(path).read_bytes()
            self.picture = Image.open(io.BytesIO(self.data))
            width, height = self.picture.size
            if width * height > max_pixels:
                needed = math.ceil(width * height / 1e6)
                how = f"shrink it, or allow {needed} (deepmat predict --max-megapixels {needed})"
                raise DataError(f"{path}: {width}x{height} is over {max_pixels / 1e6:g} megapixels; {how}")
            self.orientation = _orientation(self.picture, self.data)
        self.size = (width, height) if self.orientation >= LYING else (height, width)

    def decode(self, least: tuple[int, int] | None = None) -> Image.Image:
        """First frame, upright, decoded; smaller as in `read`. DataError if it is damaged."""
        with _explained(self.path):
            if least:
                self.picture.draft(None, least if self.orientation >= LYING else least[::-1])
            self.picture.load()
            ImageOps.exif_transpose(self.picture, in_place=True)
            return self.picture

    def read(self, least: tuple[int, int] | None = None) -> np.ndarray:
        """uint8 RGB [H, W, 3], as `read_image`."""
        return self.layers(least)[0]

    def layers(self, least: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 RGB [H, W, 3] and the alpha channel, uint8 [H, W], or None if there is none."""
        # OpenCV gives the same pixels in two thirds of Pillow's time; where it gives none, Pillow says what is wrong.
        if self.picture.format == "JPEG" and self.picture.mode == "RGB" and self.orientation == 1:
            enough = min(self.size[0] / least[0], self.size[1] / least[1]) if least else 1
            flag = next((flag for factor, flag in REDUCED.items() if enough >= factor), cv2.IMREAD_COLOR_RGB)
            with suppress(cv2.error):  # over 2**30 pixels, say
                pixels = cv2.imdecode(np.frombuffer(self.data, np.uint8), flag)
                if pixels is not None:
                    return pixels if flag == cv2.IMREAD_COLOR_RGB else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), None
        colour, alpha = _split(self.decode(least))
        return _as_rgb(colour), alpha

    def about(self) -> tuple[About, list[str]]:
        """What a copy of the picture should say too, and notices of what reading it leaves out."""
        with _explained(self.path):
            info, notices = self.picture.info, []
            if getattr(self.picture, "is_animated", False) and self.picture.format != "MPO":
                notices.append(f"{self.path}: several frames or pages, of which the first is taken")
            if self.picture.mode == "CMYK":
                notices.append(f"{self.path}: CMYK, turned into RGB without its profile; the colours are a little off")
            dpi = tuple(float(each) for each in info.get("dpi") or ())
            profile = info.get("icc_profile")
        profile = profile if isinstance(profile, bytes) else None
        if len(dpi) != 2 or not all(DPI[0] < each < DPI[1] for each in dpi):
            return {"profile": profile, "dpi": None}, notices
        across, down = dpi[::-1] if self.orientation >= LYING else dpi
        return {"profile": profile, "dpi": (across, down)}, notices


def _orientation(picture: Image.Image, data: bytes) -> int:
    """EXIF's (or XMP's) orientation, 1 to 8, of a picture that was opened from `data`.

    Pillow decodes a whole PNG for what may stand behind its pixels, so it is asked only where something does.
    """
    if picture.format == "PNG" and not any(mark in data for mark in PNG_EXIF):
        return 1
    value = picture.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _deep_levels(pixels: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit, float greys as float64 in 0 ... 255: floats are fractions, unless far over 1; integers up to 255
    are of 8 bits."""
    top = float(np.nanmax(pixels, initial=0))
    if pixels.dtype.kind == "f":
        scale = 255.0 if top <= 2 else 1.0
    else:
        scale = 255 / 65535 if top > 255 else 1.0
    return np.clip(np.nan_to_num(pixels.astype(np.float64)) * scale, 0, 255)


def _split(picture: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Colour, uint8 [H, W] or [H, W, 3], and the alpha channel, uint8 [H, W], or None if there is none."""
    if picture.mode.startswith(("I", "F")):
        return np.rint(_deep_levels(np.asarray(picture))).astype(np.uint8), None
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    mode = "L" if picture.mode in ("1", "L") else "RGB"
    return np.array(picture if picture.mode == mode else picture.convert(mode)), None


def _as_rgb(colour: np.ndarray) -> np.ndarray:
    return colour if colour.ndim == 3 else cv2.cvtColor(colour, cv2.COLOR_GRAY2RGB)


def read_image(path: Path, least: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Any picture as uint8 RGB [H, W, 3], upright; an alpha channel is left out. DataError if it cannot be read.

    With `least`, a large JPEG may come at 1/2, 1/4 or 1/8 of its size, no smaller than that height and width.
    """
    return Unread(path, max_pixels).read(least)


def read_picture(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, np.ndarray | None, About, list[str]]:
    """Any picture as uint8 RGB [H, W, 3], upright; its alpha channel, uint8 [H, W], or None; what a copy of it should
    say too; and notices of what reading it left out. DataError if it cannot be read.
    """
    file = Unread(path, max_pixels)
    about, notices = file.about()
    return *file.layers(), about, notices


def count_pixels(path: Path) -> int:
    """Of a picture, by its header alone; 0 for a file that is none."""
    try:
        with _explained(path), Image.open(path) as picture:
            return picture.width * picture.height
    except DataError:
        return 0


def read_size(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of a picture, upright; nothing is decoded. DataError if it is no picture."""
    return Unread(path, max_pixels).size


def describe(path: Path, max_pixels: int = MAX_PIXELS) -> dict[str, Any]:
    """What the header of a picture says beyond its pixels, none of which is decoded. DataError if there is none.

    format and mode: as Pillow names them ("PNG", "RGB"); size: (height, width), upright; deep: over 8 bits a channel;
    frames: pictures in the file; orientation: EXIF's, 1 to 8; profile: the ICC profile's name; gamma: a PNG's gAMA;
    chromaticity: a PNG's cHRM, white, red, green and blue as x, y. The last three are None where there is none.
    """
    file = Unread(path, max_pixels)
    with _explained(path):
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


def read_rgba(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, np.ndarray | None]:
    """Any picture as uint8 RGB [H, W, 3] and its alpha channel, uint8 [H, W], or None. DataError if unreadable."""
    return Unread(path, max_pixels).layers()


def read_grey(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """An alpha or mask file as uint8 [H, W]. DataError if it cannot be read.

    A picture with a used alpha channel stands for that channel; colours count as their luminance.
    """
    colour, alpha = _split(Unread(path, max_pixels).decode())
    if alpha is not None and alpha.min() < 255:
        return alpha
    return colour if colour.ndim == 2 else cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)


def read_matte(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """An alpha file in its own depth: uint8 [H, W], or float32 [H, W] in [0, 1] where it has over 8 bits.

    Otherwise as `read_grey`. DataError also if it holds what is not a finite number.
    """
    picture = Unread(path, max_pixels).decode()
    if picture.mode.startswith(("I", "F")):
        pixels = np.asarray(picture)
        broken = np.count_nonzero(~np.isfinite(pixels))
        if broken:
            raise DataError(f"{path}: {broken} of its pixels are no finite numbers; make it again")
        return (_deep_levels(pixels) / 255).astype(np.float32)
    return read_grey(path, max_pixels)


def read_levels(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A trimap file as uint8 [H, W], of any levels. DataError if it cannot be read.

    Its levels are its luminance, 128 where it is coloured (which is neither black nor white), 0 where it is
    transparent; a picture of one colour stands for its alpha channel.
    """
    colour, alpha = _split(Unread(path, max_pixels).decode())
    if colour.ndim == 2:
        grey = colour
    else:
        grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
        red, green, blue = cv2.split(colour)
        apart = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
        grey[apart > COLOURED] = 128
    if alpha is None:
        return grey
    return alpha if grey.min() == grey.max() else np.where(alpha < 128, np.uint8(0), grey)


def check_same_size(path: Path, pixels: np.ndarray, partner: Path, partner_pixels: np.ndarray) -> None:
    """DataError unless both pictures have the same height and width."""
    if pixels.shape[:2] != partner_pixels.shape[:2]:
        (h, w), (ph, pw) = pixels.shape[:2], partner_pixels.shape[:2]
        raise DataError(f"{path}: {w}x{h}, but {partner} is {pw}x{ph}; make them the same size")
