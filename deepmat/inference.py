"""Image + trimap -> alpha of the same size. One path for eval, predict and the tests during training.

A mode decides what the network gets to see of a picture. It is plain numpy around `forward`, which takes an image
(uint8 RGB [H, W, 3]) and a trimap (uint8 [H, W]), H and W multiples of 32, and returns alpha (float32 [H, W]).
"""

import inspect
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from deepmat import trimap as trimaps
from deepmat.config import TestConfig
from deepmat.errors import CheckpointError, DataError, lookup

Forward = Callable[[np.ndarray, np.ndarray], np.ndarray]
STRIDE = 32


def _resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)


def _padded(image: np.ndarray, trimap: np.ndarray, forward: Forward) -> np.ndarray:
    """forward() on a picture of any size, mirrored at the bottom and right up to a multiple of 32."""
    height, width = trimap.shape
    border = (0, -height % STRIDE, 0, -width % STRIDE, cv2.BORDER_REFLECT_101)
    return forward(cv2.copyMakeBorder(image, *border), cv2.copyMakeBorder(trimap, *border))[:height, :width]


def whole(
    image: np.ndarray, trimap: np.ndarray, forward: Forward, *, max_size: int = 1600, fit: str = "keep"
) -> np.ndarray:
    """The picture at once, shrunk if a side is over max_size.

    fit "keep": both sides by the same factor, mirrored up to a multiple of 32. fit "stretch": each side by itself to
    min(max_size, side rounded down to a multiple of 32), as pytorch-deep-image-matting does.
    """
    height, width = trimap.shape
    if fit == "stretch":
        h, w = (min(max_size, max(side - side % STRIDE, STRIDE)) for side in (height, width))
        return _resize(forward(_resize(image, h, w), _resize(trimap, h, w)), height, width)
    scale = max_size / max(height, width)
    if scale >= 1:
        return _padded(image, trimap, forward)
    h, w = (max(1, round(side * scale)) for side in (height, width))
    small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    return _resize(_padded(small, trimaps.resize(trimap, (h, w)), forward), height, width)


def _starts(side: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side: the last one ends with the picture."""
    if side <= tile:
        return [0]
    return [*range(0, side - tile, tile - overlap), side - tile]


def _ramp(start: int, length: int, side: int, overlap: int) -> np.ndarray:
    """Weights of a tile along one side: 1, falling to almost 0 over the overlap unless the picture ends there."""
    weights = np.ones(length, np.float32)
    rise = (np.arange(overlap, dtype=np.float32) + 1) / (overlap + 1)
    if start > 0:
        weights[:overlap] = rise
    if start + length < side:
        weights[length - overlap :] = rise[::-1]
    return weights


def tile(
    image: np.ndarray, trimap: np.ndarray, forward: Forward, *, tile: int = 1024, overlap: int = 256
) -> np.ndarray:
    """Full resolution in squares of side `tile` that share a band `overlap` wide, blended linearly across it.

    Tiles with nothing unknown are left out.
    """
    height, width = trimap.shape
    total = np.zeros((height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            window = np.s_[top : top + tile, left : left + tile]
            if not trimaps.unknown_region(trimap[window]).any():
                continue
            alpha = _padded(image[window], trimap[window], forward)
            h, w = alpha.shape
            ramp = np.outer(_ramp(top, h, height, overlap), _ramp(left, w, width, overlap))
            total[window] += ramp * alpha
            weight[window] += ramp
    return total / np.maximum(weight, np.finfo(np.float32).tiny)


def crop(image: np.ndarray, trimap: np.ndarray, forward: Forward, *, size: tuple[int, int] = (320, 320)) -> np.ndarray:
    """pytorch-deep-image-matting's crops: size-d windows side by side, those at the edges stretched to full size.

    Windows with nothing unknown are left out.
    """
    height, width = trimap.shape
    alpha = np.zeros((height, width), np.float32)
    for top in range(0, height, size[0]):
        for left in range(0, width, size[1]):
            window = np.s_[top : top + size[0], left : left + size[1]]
            if trimaps.unknown_region(trimap[window]).any():
                alpha[window] = resize(image[window], trimap[window], forward, size=size)
    return alpha


def resize(
    image: np.ndarray, trimap: np.ndarray, forward: Forward, *, size: tuple[int, int] = (320, 320)
) -> np.ndarray:
    """The whole picture squeezed to `size` (height, width) and the answer stretched back."""
    if trimap.shape == tuple(size):
        return forward(image, trimap)
    return _resize(forward(_resize(image, *size), _resize(trimap, *size)), *trimap.shape)


MODES: dict[str, Callable[..., np.ndarray]] = {"whole": whole, "tile": tile, "crop": crop, "resize": resize}


def mode_options(settings: TestConfig) -> dict[str, Any]:
    """The mode and those of the config's settings that it takes, as arguments of `predict`."""
    parameters = inspect.signature(lookup(MODES, settings.mode, "test.mode")).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    return {"mode": settings.mode, **{name: getattr(settings, name) for name in names}}


def forward_of(model: nn.Module) -> Forward:
    """`forward` for the modes: one picture through the network, on the device that it is on."""
    device = next(model.parameters()).device

    @torch.inference_mode()
    def forward(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None]
        levels = torch.from_numpy(np.ascontiguousarray(trimap)).to(device)[None, None]
        try:
            return np.asarray(model(pixels, levels)["alpha"][0, 0].float().cpu())
        except RuntimeError as error:
            if "memory" not in str(error):
                raise
            height, width = trimap.shape
            raise DataError(
                f"{width}x{height} pixels at once are too many for the memory; use --mode tile or a lower --max-size"
            ) from error

    return forward


def predict(
    model: nn.Module, image: np.ndarray, trimap: np.ndarray, *, mode: str = "whole", **options: Any
) -> np.ndarray:
    """The alpha of a picture, float32 [H, W] in [0, 1]; exactly 0 and 1 where the trimap knows.

    image: uint8 RGB [H, W, 3]; trimap: uint8 [H, W], any levels, taken as the nearest of 0, 128, 255. A trimap with
    nothing unknown is the answer itself. mode: one of MODES; options: its keyword arguments. DataError if the shapes
    do not fit, ConfigError for an unknown mode, CheckpointError for broken weights.
    """
    run = lookup(MODES, mode, "mode")
    shapes_fit = image.ndim == 3 and image.shape[2] == 3 and image.shape[:2] == trimap.shape
    if not shapes_fit or image.dtype != np.uint8 or trimap.dtype != np.uint8:
        raise DataError(
            f"image {image.dtype} {image.shape} and trimap {trimap.dtype} {trimap.shape}: "
            "expected uint8 [H, W, 3] and uint8 [H, W] of one size"
        )
    levels, _ = trimaps.quantise(trimap)
    unknown = trimaps.unknown_region(levels)
    if not unknown.any():
        return (levels / np.float32(255)).astype(np.float32)
    alpha = run(image, levels, forward_of(model), **options)
    if not np.isfinite(alpha).all():
        raise CheckpointError("the network's alpha is not a finite number; its weights are broken")
    return np.where(unknown, np.clip(alpha, 0, 1), levels / np.float32(255)).astype(np.float32)
