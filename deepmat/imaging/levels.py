"""NumPy arrays of any numeric dtype as picture levels, checked.

The level of white follows from dtype and values: True of bool, 255 of integers up to 255, 65535 of larger uint16, 1 of
floats around [0, 1], 255 of larger floats. Every error is one line that says what came and what is expected.
"""

from typing import Any

import numpy as np

from deepmat.errors import DataError

BEYOND = 0.5
"""Floats may overshoot [0, 1] so far, as resampling makes them; they are clipped."""
DARK = 16
"""Floats whose maximum lies between 1 + BEYOND and this are neither fractions nor, most likely, levels of 255."""
TYPES = "uint8, uint16, bool, or floats in [0, 1]"


def kind_of(source: object) -> str:
    """Return the name of an object's type for messages: "list", "torch.Tensor"."""
    return f"{type(source).__module__}.{type(source).__qualname__}".removeprefix("builtins.")


def check_shape(pixels: np.ndarray, name: str, channels: tuple[int, ...]) -> np.ndarray:
    """Return pixels [H, W] or [H, W, C], where C is one of `channels`; a last axis of 1 is dropped.

    Raises DataError for any other shape, an array without pixels, or a dtype that is not numeric. name: "image" or the
    like, for the message.
    """
    shape = pixels.shape
    if pixels.ndim == 3 and shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype.kind not in "buif":
        raise _refuse(pixels, name, channels)
    if not pixels.size:
        raise _refuse(pixels, name, channels, ", which has no pixels")
    if pixels.ndim == 2 or pixels.ndim == 3 and shape[2] in channels:
        return pixels
    hint = ""
    if pixels.ndim == 3 and shape[0] in (1, 3, 4):
        hint = ", channels first: use array.transpose(1, 2, 0)"
    elif pixels.ndim == 4:
        hint = ", a batch: use one of its pictures, array[0]"
    raise _refuse(pixels, name, channels, hint)


def _refuse(pixels: np.ndarray, name: str, channels: tuple[int, ...], hint: str = "") -> DataError:
    shapes = " or ".join(["[H, W]", *(f"[H, W, {each}]" for each in channels)])
    came = f"{pixels.dtype} [{', '.join(map(str, pixels.shape))}]"
    return DataError(f"{name}: array of {came}{hint}; expected {shapes} of {TYPES}")


def check_finite(pixels: np.ndarray, name: str) -> None:
    """Raise DataError if any float is NaN or infinite."""
    if not np.isfinite([pixels.min(), pixels.max()]).all():  # NaN if there is any
        broken = np.count_nonzero(~np.isfinite(pixels))
        raise DataError(f"{name}: {broken} values are not finite (NaN or infinite); expected floats in [0, 1]")


def white_of(pixels: np.ndarray, name: str) -> int:
    """Return the level of white: 1, 255 or 65535.

    Raises DataError for values that are not finite, negative or over the level of white, and for integers other than
    uint8 from 0 to 1, which may be a mask as well as almost black.
    """
    if pixels.dtype == np.uint8:
        return 255
    low, high = pixels.min(), pixels.max()
    if pixels.dtype.kind == "f":
        check_finite(pixels, name)
        if -BEYOND <= low and high <= 1 + BEYOND:
            return 1
        if -BEYOND <= low and DARK <= high <= 255 + BEYOND:
            return 255
        raise DataError(f"{name}: floats from {low:.4g} to {high:.4g}; expected [0, 1] or [0, 255]")
    if pixels.dtype.kind == "b":
        return 1
    if low >= 0 and high == 1:
        raise DataError(f"{name}: {pixels.dtype} from {low} to 1; use bool for a mask, uint8 for levels")
    if low >= 0 and high <= 255:
        return 255
    if pixels.dtype.kind == "u" and pixels.itemsize == 2:
        return 65535
    raise DataError(f"{name}: {pixels.dtype} from {low} to {high}; expected levels from 0 to 255")


def as_uint8(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return the levels as uint8 of the same shape, 255 for white; C-contiguous and writable, a copy only if needed."""
    white = white_of(pixels, name)
    if pixels.dtype != np.uint8 and (white != 255 or pixels.dtype.kind == "f"):
        scaled: Any = np.multiply(pixels, np.float32(255 / white), dtype=np.float32)
        pixels = np.rint(scaled, out=scaled).clip(0, 255, out=scaled)
    return np.require(pixels, np.uint8, ["C", "W"])


def as_fraction(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return the levels of a matte: uint8 as they are if they are 8-bit integers or bool, else float32 in [0, 1]."""
    white = white_of(pixels, name)
    if pixels.dtype.kind != "f" and white != 65535:
        return as_uint8(pixels, name)
    if white == 1 and pixels.dtype == np.float32 and pixels.min() >= 0 and pixels.max() <= 1:
        return np.require(pixels, requirements=["C", "W"])
    scaled: Any = np.divide(pixels, np.float32(white), dtype=np.float32, order="C")
    return scaled.clip(0, 1, out=scaled)
