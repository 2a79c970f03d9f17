"""The only door for pixels: whatever the file, RGB or grey uint8 comes in; whole files go out.

Nothing else in deepmat decodes a picture, knows of BGR, EXIF, palettes or 16 bits.
"""

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from deepmat.errors import DataError
from deepmat.files import write_bytes

MAX_PIXELS = 500_000_000
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit would refuse panoramas; ours is checked before anything is decoded


def _decode(path: Path) -> Image.Image:
    """First frame of the file, upright, fully decoded; DataError if that cannot be had."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size limit and its remarks on odd metadata
            with Image.open(path) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise DataError(
                        f"{path}: {picture.width}x{picture.height} is over {MAX_PIXELS // 10**6} megapixels; shrink it"
                    )
                picture.load()
                return ImageOps.exif_transpose(picture)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not a picture that can be read; replace or remove it") from error
    except DataError:
        raise
    except Exception as error:  # whatever a decoder makes of a damaged file
        raise DataError(f"{path}: cannot be read ({error}); replace or remove it") from error


def _deep_to_uint8(pixels: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit, float greys to uint8: floats are fractions, unless far over 1; integers over 255 are 16-bit."""
    top = float(np.nanmax(pixels, initial=0))
    if pixels.dtype.kind == "f":
        scale = 255.0 if top <= 2 else 1.0
    else:
        scale = 255 / 65535 if pixels.dtype == np.uint16 or top > 255 else 1.0
    return np.clip(np.rint(np.nan_to_num(pixels.astype(np.float64)) * scale), 0, 255).astype(np.uint8)


def _split(picture: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Colour, uint8 [H, W] or [H, W, 3], and the alpha channel, uint8 [H, W], or None if there is none."""
    if picture.mode.startswith(("I", "F")):
        return _deep_to_uint8(np.asarray(picture)), None
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    return np.array(picture.convert("L" if picture.mode in ("1", "L") else "RGB")), None


def _as_rgb(colour: np.ndarray) -> np.ndarray:
    return colour if colour.ndim == 3 else cv2.cvtColor(colour, cv2.COLOR_GRAY2RGB)


def read_image(path: Path) -> np.ndarray:
    """Any picture as uint8 RGB [H, W, 3], upright; an alpha channel is left out. DataError if it cannot be read."""
    return _as_rgb(_split(_decode(path))[0])


def read_rgba(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Any picture as uint8 RGB [H, W, 3] and its alpha channel, uint8 [H, W], or None. DataError if unreadable."""
    colour, alpha = _split(_decode(path))
    return _as_rgb(colour), alpha


def read_grey(path: Path) -> np.ndarray:
    """An alpha or mask file as uint8 [H, W]. DataError if it cannot be read.

    A picture with a used alpha channel stands for that channel; colours count as their luminance.
    """
    colour, alpha = _split(_decode(path))
    if alpha is not None and alpha.min() < 255:
        return alpha
    return colour if colour.ndim == 2 else cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)


def read_levels(path: Path) -> np.ndarray:
    """A trimap file as uint8 [H, W], of any levels. DataError if it cannot be read.

    Its levels are its luminance, 0 where it is transparent; a picture of one colour stands for its alpha channel.
    """
    colour, alpha = _split(_decode(path))
    grey = colour if colour.ndim == 2 else cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    if alpha is None:
        return grey
    return alpha if grey.min() == grey.max() else np.where(alpha < 128, np.uint8(0), grey)


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4]; the extension names the format.

    The file is whole or absent. DataError if the place cannot be written or the extension is unknown.
    """
    path = Path(path)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    try:
        _, data = cv2.imencode(path.suffix, pixels)
    except cv2.error as error:
        raise DataError(f"{path}: {path.suffix or 'no extension'} is not a picture format; use .png or .jpg") from error
    write_bytes(path, data.tobytes())


def to_uint8(alpha: np.ndarray) -> np.ndarray:
    """float alpha in [0, 1] to uint8, rounded to the nearest of 256 levels."""
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)


def check_same_size(path: Path, pixels: np.ndarray, partner: Path, partner_pixels: np.ndarray) -> None:
    """DataError unless both pictures have the same height and width."""
    if pixels.shape[:2] != partner_pixels.shape[:2]:
        (h, w), (ph, pw) = pixels.shape[:2], partner_pixels.shape[:2]
        raise DataError(f"{path}: {w}x{h}, but {partner} is {pw}x{ph}; make them the same size")
