"""Write picture files, whole or not at all."""

import io
import struct
import zlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from PIL import ExifTags, Image, features

from deepmat.errors import DataError
from deepmat.imaging.colour import About, fitting_profile
from deepmat.imaging.layers import as_rgb, split
from deepmat.imaging.levels import as_uint8, check_finite, check_shape, kind_of
from deepmat.imaging.unread import explained
from deepmat.runtime.files import AnyPath, as_path, write_bytes

try:
    from isal import isal_zlib
except ImportError:  # no wheel for this machine; zlib writes the same pixels in four times the time
    isal_zlib = None  # type: ignore[assignment]
crc32 = isal_zlib.crc32 if isal_zlib else zlib.crc32

DEPTHS = {"uint16": (".png", ".tif", ".tiff"), "float32": (".tif", ".tiff", ".exr")}
"""Formats that hold more than 8 bits per channel."""
LOSSY = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}
AVIF_QUALITY = 90
OPAQUE = (".jpg", ".jpeg", ".bmp")
PNG_UP = 2
"""Filter type: each byte minus the byte above."""
PNG_COLOURS = {1: 0, 3: 2, 4: 6}
"""Colour type by the number of channels."""
PNG_PART = 1 << 30
"""Bytes of pixels per chunk, of which a PNG allows 2 GiB."""
INCH = 0.0254
"""In metres."""
JPEG_PROFILE = 65_519
"""Bytes of a profile per segment."""
JFIF = 20
"""Length of the header of a JPEG file, which holds the resolution."""
TIFF_PREDICTOR = 317
DIFFERENCES = {"u": 2, "f": 3}
"""Values of that tag by the kind of dtype (TIFF 6.0, section 14; its supplement 3)."""


def _chunk(kind: bytes, data: bytes | memoryview) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", crc32(data, zlib.crc32(kind)))))


def encode_png(pixels: np.ndarray, about: About | None = None) -> bytes:
    """Encode uint8 or uint16 grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4] as a PNG file (W3C, 2003).

    Every line but the first is stored as its difference from the line above, and compressed by ISA-L. Together these
    write photos in a quarter of OpenCV's time at the same size.
    """
    height, width = pixels.shape[:2]
    lines = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
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
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, colours, 0, 0, 0))]
    if profile := fitting_profile(about, pixels.ndim):
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    if about and about["dpi"]:
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", *(round(each / INCH) for each in about["dpi"]), 1)))
    view = memoryview(packed)
    chunks += [_chunk(b"IDAT", view[start : start + PNG_PART]) for start in range(0, len(view), PNG_PART)]
    return b"".join((b"\x89PNG\r\n\x1a\n", *chunks, _chunk(b"IEND", b"")))


def _by_cv2(pixels: np.ndarray, suffix: str, options: Sequence[int] = ()) -> bytes:
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    try:
        done, data = cv2.imencode(suffix, pixels, options)
    except cv2.error as error:
        if suffix == ".exr":
            raise DataError(".exr: the OpenCV on this machine cannot write it; use .tif") from error
        raise DataError(f"{suffix or 'no extension'} is not a picture format; use .png or .jpg") from error
    if not done:
        raise DataError(f"{_too_large(pixels, suffix)}, or of colours that it cannot hold; use .png")
    return data.tobytes()


def _too_large(pixels: np.ndarray, suffix: str) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]} is too large for {suffix}"


def _encode_jpeg(pixels: np.ndarray, about: About | None) -> bytes:
    """Encode by OpenCV, which releases the GIL; resolution and profile are inserted (JFIF 1.02; ICC.1, B.4)."""
    data = _by_cv2(pixels, ".jpg")
    head, segments = data[:JFIF], []
    if about and about["dpi"]:
        x, y = (min(round(each), 65_535) for each in about["dpi"])
        head = data[:13] + struct.pack(">BHH", 1, x, y) + data[18:JFIF]
    if profile := fitting_profile(about, pixels.ndim):
        parts = [profile[start : start + JPEG_PROFILE] for start in range(0, len(profile), JPEG_PROFILE)]
        for number, part in enumerate(parts[:255], 1):
            marked = b"ICC_PROFILE\0" + bytes((number, len(parts))) + part
            segments.append(b"\xff\xe2" + struct.pack(">H", 2 + len(marked)) + marked)
    return b"".join((head, *segments, data[JFIF:]))


def _by_pillow(pixels: np.ndarray, suffix: str, **options: object) -> bytes:
    file = io.BytesIO()
    try:
        Image.fromarray(pixels).save(file, Image.registered_extensions()[suffix], **options)
    except (OSError, ValueError) as error:
        raise DataError(f"{_too_large(pixels, suffix)}; use .png") from error
    return file.getvalue()


def _exif(about: About | None) -> dict[str, bytes]:
    """Return the resolution as Pillow takes it for formats that have no field of their own for it."""
    if not (about and about["dpi"]):
        return {}
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = about["dpi"]
    exif[ExifTags.Base.ResolutionUnit] = 2  # inches
    return {"exif": exif.tobytes()}


def _encode_webp(pixels: np.ndarray, about: About | None) -> bytes:
    """Encode without loss, including colours where alpha is 0."""
    profile = fitting_profile(about, 3) or b""
    return _by_pillow(pixels, ".webp", lossless=True, exact=True, quality=20, icc_profile=profile, **_exif(about))


def _encode_avif(pixels: np.ndarray, about: About | None) -> bytes:
    """Encode at full colour resolution, where Pillow was built with libavif. It drops colours where alpha is 0."""
    if not features.check("avif"):
        raise DataError(".avif: the Pillow on this machine cannot write it; use .webp, or update Pillow")
    profile = fitting_profile(about, 3) or b""
    return _by_pillow(pixels, ".avif", quality=AVIF_QUALITY, subsampling="4:4:4", icc_profile=profile, **_exif(about))


def _encode_tiff(pixels: np.ndarray, about: About | None) -> bytes:
    """Encode with LZW: a seventh larger than deflate, in a sixth of its time."""
    resolution = {"dpi": about["dpi"]} if about and about["dpi"] else {}
    tags, profile = {TIFF_PREDICTOR: DIFFERENCES[pixels.dtype.kind]}, fitting_profile(about, pixels.ndim)
    return _by_pillow(pixels, ".tif", compression="tiff_lzw", tiffinfo=tags, icc_profile=profile, **resolution)


WRITERS: dict[str, Callable[[np.ndarray, About | None], bytes]] = {
    ".png": encode_png,
    ".jpg": _encode_jpeg,
    ".jpeg": _encode_jpeg,
    ".webp": _encode_webp,
    ".avif": _encode_avif,
    ".tif": _encode_tiff,
    ".tiff": _encode_tiff,
}
"""Writers of the formats that can hold `about`; OpenCV writes all others, without it."""


def encode(pixels: np.ndarray, suffix: str, about: About | None = None) -> bytes:
    """Encode a picture in the format of `suffix` (".png"): JPEG at quality 95, AVIF at 90, others without loss.

    pixels: grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4] of uint8; also uint16 (PNG; grey in TIFF) or float32 (grey
    in TIFF, and in EXR where OpenCV can write it). about: profile, used if it fits such pixels, and resolution, for
    formats that can hold them. Raises DataError for a suffix that is no picture format, or one that cannot hold these
    pixels.
    """
    suffix = suffix.lower()
    dtype = pixels.dtype.name
    depths = DEPTHS.get(dtype, (suffix,) if dtype == "uint8" else ())
    if suffix not in depths:
        raise DataError(f"{suffix} cannot hold {dtype} pixels; use {' or '.join(depths) or 'uint8'}")
    if pixels.ndim == 3 and dtype != "uint8" and (dtype, suffix) != ("uint16", ".png"):
        raise DataError(f"{suffix} cannot hold {dtype} colours; use uint8, or uint16 in .png")
    if suffix in OPAQUE and pixels.shape[2:] == (4,):
        raise DataError(f"{suffix} has no alpha channel; use .png")
    writer = WRITERS.get(suffix)
    return writer(pixels, about) if writer else _by_cv2(pixels, suffix)


def encode_lossy(pixels: np.ndarray, suffix: str, quality: int) -> bytes:
    """Encode uint8 grey [H, W] or RGB [H, W, 3] as a preview: ".jpg" or ".webp" of that quality, 1 to 100.

    Thumbnails are half as large in WebP as in JPEG; a megapixel takes JPEG a thirtieth of WebP's time.
    """
    return _by_cv2(pixels, suffix, [LOSSY[suffix], quality])


def write_image(path: AnyPath, pixels: np.ndarray | Image.Image, about: About | None = None) -> None:
    """Write a picture or an alpha to a file; the extension names the format.

    pixels: a PIL picture, or grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4]. uint8 and uint16 are written as they are;
    bool, integers up to 255 and floats become 8 bits, white being True, 255 and 1; grey floats keep their depth in .tif
    and .exr. about: as for `encode`. The file is whole or absent. Raises DataError if the path cannot be written, the
    extension is no picture format, or the pixels do not fit it.
    """
    path = as_path(path, "path")
    try:
        data = encode(_storable(_as_array(pixels), path.suffix.lower()), path.suffix, about)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    write_bytes(path, data)


def _as_array(pixels: object) -> np.ndarray:
    """Return a PIL picture, or anything that NumPy makes an array of, as an array. Raises DataError for the rest."""
    if not isinstance(pixels, Image.Image):
        try:
            return np.asarray(pixels)
        except (TypeError, ValueError, RuntimeError) as error:  # a ragged list, a tensor that is not on the CPU
            raise DataError(f"pixels: {kind_of(pixels)}; expected a PIL picture or a NumPy array") from error
    with explained("pixels"):
        if pixels.mode.startswith(("I", "F")):
            return np.asarray(pixels)
        colour, alpha = split(pixels)
    return colour if alpha is None else np.dstack((as_rgb(colour), alpha))


def _storable(pixels: np.ndarray, suffix: str) -> np.ndarray:
    """Convert pixels of any numeric dtype to the one nearest to it that `encode` takes for that suffix."""
    pixels = check_shape(pixels, "pixels", (3, 4))
    if pixels.dtype.kind == "f" and pixels.ndim == 2 and suffix in DEPTHS["float32"]:
        check_finite(pixels, "pixels")
        return pixels.astype(np.float32, copy=False)
    return pixels if pixels.dtype in (np.uint8, np.uint16) else as_uint8(pixels, "pixels")


def through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Return uint8 RGB [H, W, 3] after compression as JPEG of that quality, 1 to 100."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)


def to_uint8(alpha: np.ndarray) -> np.ndarray:
    """Convert float alpha in [0, 1] to uint8, rounded to the nearest of 256 levels."""
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)


def to_uint16(alpha: np.ndarray) -> np.ndarray:
    """Convert float alpha in [0, 1] to uint16, rounded to the nearest of 65536 levels."""
    return np.rint(np.clip(alpha, 0, 1) * 65535).astype(np.uint16)
