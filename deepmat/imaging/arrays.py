"""Pictures, trimaps and alphas from any Python source: a file's path or bytes, a PIL picture, a NumPy array."""

from os import PathLike

import cv2
import numpy as np
from PIL import Image

from deepmat.errors import DataError
from deepmat.imaging.fitting import Photo, check_aspect, read_photo
from deepmat.imaging.layers import as_grey, as_rgb, split
from deepmat.imaging.levels import as_fraction, as_uint8, check_shape, kind_of
from deepmat.imaging.masks import clean_mask, read_mask
from deepmat.imaging.painted import levels_of
from deepmat.imaging.reading import matte_of
from deepmat.imaging.trimap import fit_levels, read_trimap
from deepmat.imaging.unread import MAX_PIXELS, ORIENTATION, Unread, explained
from deepmat.imaging.writing import to_uint8
from deepmat.runtime.files import as_path

Source = str | PathLike[str] | bytes | Image.Image | np.ndarray
"""A picture: the path of a file, the bytes of one, a PIL picture, or an array.

Arrays are grey [H, W] or [H, W, 1], RGB [H, W, 3] or RGBA [H, W, 4], of any strides: uint8, bool, floats in [0, 1] or
[0, 255], uint16, other integers up to 255. PIL pictures keep the orientation of their pixels, as `numpy.asarray` sees
them; files are turned upright by their EXIF data.
"""
PATHS = (str, PathLike)


def as_image(
    source: Source, *, max_pixels: int = MAX_PIXELS, name: str = "image"
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Return a picture as uint8 RGB [H, W, 3], its own alpha, uint8 [H, W], or None, and notices.

    Pixels are C-contiguous. max_pixels: limit for files. name: stands for a source without a path in messages. Raises
    DataError if the file cannot be read, or if the array has no such shape, dtype or values.
    """
    photo, alpha, notices = as_photo(source, max_pixels=max_pixels, name=name)
    return photo.image, alpha, notices


def as_photo(
    source: Source, *, max_pixels: int = MAX_PIXELS, name: str = "image"
) -> tuple[Photo, np.ndarray | None, list[str]]:
    """Return a picture as `as_image`, with the orientation that it was turned upright from: 1 where it is no file."""
    if isinstance(source, (*PATHS, bytes)):
        file = source if isinstance(source, bytes) else as_path(source, name)
        photo, alpha, _, notices = read_photo(file, max_pixels, name if isinstance(source, bytes) else None)
        return photo, alpha, notices
    levels, alpha = _layers(source, name)
    return Photo(as_rgb(levels), 1), alpha, _unturned(source, name)


def as_trimap(
    source: Source,
    size: tuple[int, int],
    *,
    max_pixels: int = MAX_PIXELS,
    name: str = "trimap",
    photo: Photo | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Return the trimap of a picture of that height and width as uint8 [H, W] in {0, 128, 255}, and notices.

    Levels are taken as the nearest of the three. A file of the picture's aspect ratio is resized to its size; a PIL
    picture or an array must be of that size. photo: the picture, as which a file is turned. Raises DataError if it is
    not of that size, and as `as_image`.
    """
    if isinstance(source, PATHS):
        return read_trimap(as_path(source, name), size, max_pixels, photo)
    orientation = 1
    if isinstance(source, bytes):
        file = Unread(source, max_pixels, name)
        layers, orientation = split(file.decode()), file.orientation
    else:
        layers = _layers(source, name)
        _check_size(layers[0], size, name)
    try:
        levels, colours = levels_of(*layers)
        trimap, notices = fit_levels(levels, size, photo if isinstance(source, bytes) else None, orientation)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return trimap, _unturned(source, name) + [f"{name}: {notice}" for notice in [*colours, *notices]]


def as_mask(
    source: Source,
    size: tuple[int, int],
    *,
    photo: Photo | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str = "mask",
) -> tuple[np.ndarray, int, list[str]]:
    """Return a rough mask of a picture of that height and width, as `masks.read_mask` reads the mask of a file.

    Returns uint8 [H, W], the pixels of its longer side before it was resized to the picture, and notices. photo: the
    picture, as which the mask of a file is turned. Raises DataError if it is no mask of one object, or of another
    aspect ratio, and as `as_image`.
    """
    if isinstance(source, (*PATHS, bytes)):
        file = source if isinstance(source, bytes) else as_path(source, name)
        mask, notices = read_mask(file, None, size, max_pixels, photo, name if isinstance(source, bytes) else None)
        return mask, max(Unread(file, max_pixels, name).size), notices
    alpha = as_alpha(source, name=name)
    try:
        mask, notices = clean_mask(alpha if alpha.dtype == np.uint8 else to_uint8(alpha))
        if mask.shape != tuple(size):
            notices.append(check_aspect((mask.shape[0], mask.shape[1]), size))
            mask = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return mask, max(alpha.shape), [f"{name}: {notice}" for notice in notices]


def as_alpha(source: Source, *, name: str = "alpha") -> np.ndarray:
    """Return an alpha as uint8 [H, W], or as float32 [H, W] in [0, 1] if the source has over 8 bits.

    An RGBA picture stands for its alpha channel, or for its colours if these hold the matte (`layers.holds_matte`);
    colours stand for their luminance. Raises DataError as `as_image`.
    """
    if isinstance(source, PATHS):
        source = as_path(source, name)
        name = str(source)
    if isinstance(source, (*PATHS, bytes)):
        return matte_of(Unread(source, name=name).decode(), name)
    if isinstance(source, Image.Image):
        with explained(name):
            return matte_of(_with_pixels(source, name), name)
    pixels = _checked(source, name)
    alpha = as_fraction(pixels, name) if pixels.ndim == 2 else as_grey(*_layers(source, name))
    if alpha.dtype == np.uint8 and alpha.max() == 1:
        raise DataError(f"{name}: levels from 0 to 1 of 255; use bool or floats, or multiply it by 255")
    return alpha


def _layers(source: Image.Image | np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return colours, uint8 [H, W] or [H, W, 3], and the alpha channel, uint8 [H, W], or None."""
    if isinstance(source, Image.Image):
        with explained(name):
            return split(_with_pixels(source, name))
    pixels = as_uint8(_checked(source, name), name)
    if pixels.shape[2:] == (4,):
        return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])
    return pixels, None


def _checked(source: object, name: str) -> np.ndarray:
    """Return an array of a picture's shape and a numeric dtype. Raises DataError for anything else."""
    if not isinstance(source, np.ndarray):
        kind = kind_of(source)
        hint = " (tensor.cpu().numpy() makes an array)" if kind == "torch.Tensor" else ""
        raise DataError(f"{name}: {kind}{hint}; expected a path, the bytes of a file, a PIL picture or a NumPy array")
    return check_shape(np.asarray(source), name, (3, 4))


def _with_pixels(picture: Image.Image, name: str) -> Image.Image:
    """Return a PIL picture. Raises DataError if it has no pixels."""
    if 0 in picture.size:
        raise DataError(f"{name}: PIL picture of {picture.width}x{picture.height}, which has no pixels")
    return picture


def _check_size(pixels: np.ndarray, size: tuple[int, int], name: str) -> None:
    if pixels.shape[:2] != tuple(size):
        (h, w), (height, width) = pixels.shape[:2], size
        raise DataError(f"{name}: {w}x{h}, but its picture is {width}x{height}; make them the same size")


def _unturned(source: object, name: str) -> list[str]:
    """Return a notice if a PIL picture has an EXIF orientation, which is not applied."""
    if isinstance(source, Image.Image) and source.getexif().get(ORIENTATION, 1) not in (0, 1):
        return [f"{name}: its EXIF orientation is not applied; PIL.ImageOps.exif_transpose turns it upright"]
    return []
