"""The only door for pixels: whatever the file, RGB or grey uint8 comes in; whole files go out.

Nothing else in deepmat decodes a picture, knows of BGR, EXIF, palettes or 16 bits.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from deepmat.errors import DataError
from deepmat.files import write_bytes

try:
    from isal import isal_zlib
except ImportError:  # no wheel for this machine: the same pixels, written four times slower
    isal_zlib = None  # type: ignore[assignment]
crc32 = isal_zlib.crc32 if isal_zlib else zlib.crc32

ORIENTATION, LYING = 0x0112, 5
"""EXIF's tag, and the first of its values that turn a picture by a quarter."""
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
PNG_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
PNG_UP = 2
PNG_COLOURS = {1: 0, 3: 2, 4: 6}
COLOURED = 64
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

    size: (height, width), upright. DataError if it is no picture, or too large.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _explained(path):
            self.data = Path(path).read_bytes()
            self.picture = Image.open(io.BytesIO(self.data))
            width, height = self.picture.size
            if width * height > MAX_PIXELS:
                raise DataError(f"{path}: {width}x{height} is over {MAX_PIXELS // 10**6} megapixels; shrink it")
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
        # OpenCV gives the same pixels in two thirds of Pillow's time; where it gives none, Pillow says what is wrong.
        if self.picture.format == "JPEG" and self.picture.mode == "RGB" and self.orientation == 1:
            enough = min(self.size[0] / least[0], self.size[1] / least[1]) if least else 1
            flag = next((flag for factor, flag in REDUCED.items() if enough >= factor), cv2.IMREAD_COLOR_RGB)
            with _explained(self.path):
                pixels = cv2.imdecode(np.frombuffer(self.data, np.uint8), flag)
            if pixels is not None:
                return pixels if flag == cv2.IMREAD_COLOR_RGB else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        return _as_rgb(_split(self.decode(least))[0])


def _orientation(picture: Image.Image, data: bytes) -> int:
    """EXIF's (or XMP's) orientation, 1 to 8, of a picture that was opened from `data`.

    Pillow decodes a whole PNG for what may stand behind its pixels, so it is asked only where something does.
    """
    if picture.format == "PNG" and not any(mark in data for mark in PNG_EXIF):
        return 1
    return picture.getexif().get(ORIENTATION, 1)


def _deep_to_uint8(pixels: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit, float greys to uint8: floats are fractions, unless far over 1; integers, of 8 bits up to 255."""
    top = float(np.nanmax(pixels, initial=0))
    if pixels.dtype.kind == "f":
        scale = 255.0 if top <= 2 else 1.0
    else:
        scale = 255 / 65535 if top > 255 else 1.0
    return np.clip(np.rint(np.nan_to_num(pixels.astype(np.float64)) * scale), 0, 255).astype(np.uint8)


def _split(picture: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Colour, uint8 [H, W] or [H, W, 3], and the alpha channel, uint8 [H, W], or None if there is none."""
    if picture.mode.startswith(("I", "F")):
        return _deep_to_uint8(np.asarray(picture)), None
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    mode = "L" if picture.mode in ("1", "L") else "RGB"
    return np.array(picture if picture.mode == mode else picture.convert(mode)), None


def _as_rgb(colour: np.ndarray) -> np.ndarray:
    return colour if colour.ndim == 3 else cv2.cvtColor(colour, cv2.COLOR_GRAY2RGB)


def read_image(path: Path, least: tuple[int, int] | None = None) -> np.ndarray:
    """Any picture as uint8 RGB [H, W, 3], upright; an alpha channel is left out. DataError if it cannot be read.

    With `least`, a large JPEG may come at 1/2, 1/4 or 1/8 of its size, no smaller than that height and width.
    """
    return Unread(path).read(least)


def read_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture, upright; nothing is decoded. DataError if it is no picture."""
    return Unread(path).size


def _profile_name(profile: bytes) -> str:
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip() or "without a name"
    except (ImageCms.PyCMSError, ImportError, OSError):
        return "broken"


def describe(path: Path) -> dict[str, Any]:
    """What the header of a picture says beyond its pixels, none of which is decoded. DataError if there is none.

    format and mode: as Pillow names them ("PNG", "RGB"); size: (height, width), upright; deep: over 8 bits a channel;
    frames: pictures in the file; orientation: EXIF's, 1 to 8; profile: the ICC profile's name; gamma: a PNG's gAMA;
    chromaticity: a PNG's cHRM, white, red, green and blue as x, y. The last three are None where there is none.
    """
    file = Unread(path)
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
            "profile": _profile_name(profile) if profile else None,
            "gamma": picture.info.get("gamma"),
            "chromaticity": picture.info.get("chromaticity"),
        }


def read_rgba(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Any picture as uint8 RGB [H, W, 3] and its alpha channel, uint8 [H, W], or None. DataError if unreadable."""
    colour, alpha = _split(Unread(path).decode())
    return _as_rgb(colour), alpha


def read_grey(path: Path) -> np.ndarray:
    """An alpha or mask file as uint8 [H, W]. DataError if it cannot be read.

    A picture with a used alpha channel stands for that channel; colours count as their luminance.
    """
    colour, alpha = _split(Unread(path).decode())
    if alpha is not None and alpha.min() < 255:
        return alpha
    return colour if colour.ndim == 2 else cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)


def read_levels(path: Path) -> np.ndarray:
    """A trimap file as uint8 [H, W], of any levels. DataError if it cannot be read.

    Its levels are its luminance, 128 where it is coloured (which is neither black nor white), 0 where it is
    transparent; a picture of one colour stands for its alpha channel.
    """
    colour, alpha = _split(Unread(path).decode())
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


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", crc32(data, zlib.crc32(kind)))))


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4] as a PNG file (W3C's PNG specification, 2003).

    Every line but the first is stored as its difference from the line above, and packed by ISA-L, which together
    writes photos in a quarter of OpenCV's time at the same size.
    """
    height, width = pixels.shape[:2]
    lines = np.ascontiguousarray(pixels).reshape(height, -1)
    filtered = np.empty((height, 1 + lines.shape[1]), np.uint8)
    filtered[:, 0] = PNG_UP
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    if isal_zlib:
        packed = isal_zlib.compress(filtered.data, 1)
    else:
        packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
        packed = packer.compress(filtered.data) + packer.flush()
    colours = PNG_COLOURS[1 if pixels.ndim == 2 else pixels.shape[2]]
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def encode(pixels: np.ndarray, suffix: str) -> bytes:
    """uint8 grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4] as a file of the format that `suffix` (".png") stands for.

    JPEG at quality 95, WebP without loss. DataError for a suffix that is no picture format.
    """
    suffix = suffix.lower()
    if suffix == ".png":
        return encode_png(pixels)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    try:
        done, data = cv2.imencode(suffix, pixels)
    except cv2.error as error:
        raise DataError(f"{suffix or 'no extension'} is not a picture format; use .png or .jpg") from error
    if not done:
        raise DataError(f"{pixels.shape[1]}x{pixels.shape[0]} is too large for {suffix}; use .png")
    return data.tobytes()


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4]; the extension names the format.

    The file is whole or absent. DataError if the place cannot be written or the extension is unknown.
    """
    path = Path(path)
    try:
        data = encode(pixels, path.suffix)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    write_bytes(path, data)


def through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """uint8 RGB [H, W, 3] as it comes back from a JPEG of that quality, 1 to 100."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)


def to_uint8(alpha: np.ndarray) -> np.ndarray:
    """float alpha in [0, 1] to uint8, rounded to the nearest of 256 levels."""
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)


def check_same_size(path: Path, pixels: np.ndarray, partner: Path, partner_pixels: np.ndarray) -> None:
    """DataError unless both pictures have the same height and width."""
    if pixels.shape[:2] != partner_pixels.shape[:2]:
        (h, w), (ph, pw) = pixels.shape[:2], partner_pixels.shape[:2]
        raise DataError(f"{path}: {w}x{h}, but {partner} is {pw}x{ph}; make them the same size")
