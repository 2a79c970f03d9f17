"""Image + trimap -> alpha of the same size. One path for eval, predict and the tests during training.

A mode decides what the network gets to see of a picture. It is plain numpy around `forward`, which takes an image
(uint8 RGB [H, W, 3]) and a trimap (uint8 [H, W]), H and W multiples of 32, and returns alpha (float32 [H, W]).
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from deepmat.config import TestConfig
from deepmat.errors import CheckpointError, DataError, lookup
from deepmat.imaging import trimap as trimaps
from deepmat.models.dim.fast import FastDIM
from deepmat.models.lite.cues import HINT_RANGE
from deepmat.models.lite.fast import FastLite
from deepmat.models.lite.network import Lite
from deepmat.models.lite.overview import overview, settle
from deepmat.runtime.devices import free_memory
from deepmat.scoring import pictures as scoring

Forward = Callable[[np.ndarray, np.ndarray], np.ndarray]
STRIDE = 32
MARGIN = 224
"""Pixels, at least DIM's receptive radius (217), a multiple of 32. Lite goes by all that it is shown: what is left out
changes its alpha a little, for neither better nor worse (docs/lite.md)."""
TILES = (0, 2048, 1024, 512)
"""Sides that mode auto chooses from; 0 is the whole picture."""
NO_MEMORY = ("memory", "ALLOC_FAILED", "could not create a primitive")
"""What torch and its libraries say then."""
BYTES_A_PIXEL = 2000
"""Of a network that does not say how much memory it takes."""
PROCESS_BYTES, PICTURE_BYTES = 900_000_000, 20
"""What the process takes, and each pixel of a picture beside the network: image, trimap, alpha, outputs."""


def _resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)


def _doubled(forward: Forward) -> Forward:
    """forward() that sees a picture at twice its size, each pixel four times."""

    def twice(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        large = (cv2.resize(each, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) for each in (image, trimap))
        return cv2.resize(forward(*large), trimap.shape[::-1], interpolation=cv2.INTER_AREA)

    return twice


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


def _spans(side: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Begin and end of the tiles along one side. They begin at multiples of 32, as the whole picture's pooling does."""
    starts = range(0, max(side - overlap, 1), tile - overlap)
    return [(start, min(start + tile, side)) for start in starts]


def _weights(spans: list[tuple[int, int]]) -> list[np.ndarray]:
    """Of each tile along one side, float32: 1, falling to almost 0 where it overlaps another; their sum is 1."""
    weights = [np.ones(end - begin, np.float32) for begin, end in spans]
    for (_, end), (begin, _), before, after in zip(spans, spans[1:], weights, weights[1:], strict=False):
        shared = end - begin
        rise = (np.arange(shared, dtype=np.float32) + 1) / (shared + 1)
        after[:shared] *= rise
        before[len(before) - shared :] *= 1 - rise
    return weights


def tile(
    image: np.ndarray, trimap: np.ndarray, forward: Forward, *, tile: int = 1024, overlap: int = 256
) -> np.ndarray:
    """Full resolution in squares of side `tile` that share a band `overlap` wide, blended linearly across it.

    Both are multiples of 32, overlap at most half of tile. Tiles with nothing unknown are left out: alpha is 0 there.
    """
    height, width = trimap.shape
    alpha = np.zeros((height, width), np.float32)
    rows, columns = _spans(height, tile, overlap), _spans(width, tile, overlap)
    for (top, bottom), down in zip(rows, _weights(rows), strict=True):
        for (left, right), across in zip(columns, _weights(columns), strict=True):
            window = np.s_[top:bottom, left:right]
            if trimaps.unknown_region(trimap[window]).any():
                alpha[window] += _padded(image[window], trimap[window], forward) * down[:, None] * across
    return alpha


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


def auto(
    image: np.ndarray, trimap: np.ndarray, network: "Network", *, overlap: int = 256, memory: float | None = None
) -> np.ndarray:
    """Full resolution, all at once where the memory allows it, else in the largest tiles that it allows.

    Only the rectangle around the unknown region is looked at, with as much around it as matters. memory: GB that
    the process may take in all; None is half of what is free. Where the estimate was wrong and the memory runs out,
    it goes on with smaller tiles, and says so. TooLarge if even the smallest are too much.
    """
    window = _around_unknown(trimap)
    image_inside, trimap_inside = image[window], trimap[window]
    alpha = np.zeros(trimap.shape, np.float32)
    pixels = network.fits(memory, trimap.size)
    sides = [TILES[0]] if math.prod(side + -side % STRIDE for side in trimap_inside.shape) <= pixels else []
    sides += [side for side in TILES[1:] if side**2 <= pixels] or [TILES[-1]]
    for side in sides:
        network.about["mode"] = f"tile {side}" if side else "whole"
        try:
            if side:
                alpha[window] = tile(image_inside, trimap_inside, network, tile=side, overlap=min(overlap, side // 2))
            else:
                alpha[window] = _padded(image_inside, trimap_inside, network)
            return alpha
        except TooLarge:
            if side == sides[-1]:
                raise
            network.about["notices"].append(f"the memory ran out ({network.about['mode']}); goes on in smaller tiles")
    raise AssertionError("the smallest tile either fits or raises")


def _around_unknown(trimap: np.ndarray) -> tuple[slice, slice]:
    """The rectangle around the unknown region and MARGIN more, begun at multiples of 32."""
    unknown = trimaps.unknown_region(trimap)
    sides = []
    for axis in (1, 0):
        where = np.flatnonzero(unknown.any(axis=axis))
        sides.append(slice(max(0, int(where[0]) // STRIDE * STRIDE - MARGIN), int(where[-1]) + 1 + MARGIN))
    return sides[0], sides[1]


MODES: dict[str, Callable[..., np.ndarray]] = {
    "auto": auto,
    "whole": whole,
    "tile": tile,
    "crop": crop,
    "resize": resize,
}
IN_PARTS = ("auto", "tile", "crop")
"""Those that show the network parts of a picture."""


def mode_options(settings: TestConfig) -> dict[str, Any]:
    """Those of the config's settings that the mode takes, as arguments of `predict`."""
    parameters = inspect.signature(lookup(MODES, settings.mode, "test.mode")).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    if settings.double is not None:
        names.append("double")
    return {"mode": settings.mode, **{name: getattr(settings, name) for name in names}}


class TooLarge(DataError):
    """More pixels at once than there is memory for."""


class Network:
    """A model as the modes call it: one picture through it, on the device that it is on.

    about: "mode", how the picture was seen, and "notices", what went otherwise than planned.
    """

    def __init__(self, model: nn.Module, everywhere: bool = False, double: int | None = None) -> None:
        """double: as for `predict`."""
        self.model = model
        self.small: int = getattr(model, "small", 0) if double is None else double
        # A trimap shrunk as the old tool does it can lose what is unknown, where alpha is the network's all the same.
        self.options: dict[str, Any] = (
            {"everywhere": True} if everywhere and isinstance(model, FastDIM | FastLite) else {}
        )
        self.about: dict[str, Any] = {"notices": []}
        self.copy: tuple[int, torch.Tensor] | None = None
        """How many times smaller one was that Lite has seen of the whole picture, and its alpha."""

    @torch.inference_mode()
    def see_whole(self, image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        """Show Lite a whole picture before parts of it; returns the trimap for these, with hints (lite_far).

        Without hints where not even the small copy fits in the memory.
        """
        if not isinstance(self.model, Lite | FastLite):
            return trimap
        tensors = self._tensors(image, trimap)
        try:
            self.options["beyond"], small = overview(self._through, *tensors)
        except TooLarge:
            self.about["notices"].append("the memory ran out for a view of the whole; its parts are seen by themselves")
            return trimap
        if small is None:
            return trimap
        self.copy = times, alpha = small
        large = cv2.resize(np.asarray(alpha[0, 0].cpu()), None, fx=times, fy=times, interpolation=cv2.INTER_LINEAR)
        hints = cv2.convertScaleAbs(large, alpha=2 * HINT_RANGE, beta=trimaps.UNKNOWN - HINT_RANGE)
        hints = np.maximum(hints[: trimap.shape[0], : trimap.shape[1]], trimaps.UNKNOWN - HINT_RANGE)  # NaN becomes 0
        return np.where(trimaps.unknown_region(trimap), hints, trimap)

    @torch.inference_mode()
    def settle(self, alpha: np.ndarray, trimap: np.ndarray) -> None:
        """Put the alpha of a large picture that Lite has seen in parts right, in place, as where it sees it whole."""
        if self.copy:
            times, small = self.copy
            settle(torch.from_numpy(alpha)[None, None], torch.from_numpy(trimap)[None, None], times, small.cpu())

    def _tensors(self, image: np.ndarray, trimap: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        device = next(self.model.parameters()).device
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None]
        return pixels, torch.from_numpy(np.ascontiguousarray(trimap)).to(device)[None, None]

    def _through(self, image: torch.Tensor, trimap: torch.Tensor) -> torch.Tensor:
        try:
            alpha: torch.Tensor = self.model(image, trimap, **self.options)["alpha"].float()
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in NO_MEMORY):
                raise
            height, width = trimap.shape[2:]
            raise TooLarge(
                f"{width}x{height} pixels at once are too many for the memory; use --mode tile or a lower --max-size"
            ) from error
        return alpha

    def __call__(self, image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        if not self.small:
            return self._once(image, trimap)
        try:
            return _doubled(self._once)(image, trimap)
        except TooLarge as error:
            raise TooLarge(f"seen at twice its size (not by --set test.double=0): {error}") from error

    @torch.inference_mode()
    def _once(self, image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        return np.asarray(self._through(*self._tensors(image, trimap))[0, 0].cpu())

    def fits(self, memory: float | None, picture: int) -> int:
        """Pixels that fit at once beside a picture of so many; memory as for `auto`."""
        device = next(self.model.parameters()).device
        if device.type == "cuda":
            left = min(free_memory(device) / 2, (memory or math.inf) * 1e9)
        elif memory is None:
            left = free_memory(device) / 2
        else:
            left = memory * 1e9 - PROCESS_BYTES
        if device.type == "cpu":
            left -= PICTURE_BYTES * picture
        return max(0, int(left / getattr(self.model, "bytes_a_pixel", BYTES_A_PIXEL)))


def predict(
    model: nn.Module,
    image: np.ndarray,
    trimap: np.ndarray,
    *,
    mode: str = "auto",
    double: int | None = None,
    about: dict[str, Any] | None = None,
    **options: Any,
) -> np.ndarray:
    """The alpha of a picture, float32 [H, W] in [0, 1]; exactly 0 and 1 where the trimap knows.

    image: uint8 RGB [H, W, 3]; trimap: uint8 [H, W], any levels, taken as the nearest of 0, 128, 255. A trimap with
    nothing unknown is the answer itself. mode: one of MODES; options: its keyword arguments. double: pictures
    of up to so many pixels a side are seen at twice their size; None leaves it to the network. about: a dict to be told
    "mode", how the picture was seen, and "notices". DataError if the shapes do not fit, TooLarge if the memory does not
    suffice, ConfigError for an unknown mode, CheckpointError for broken weights.
    """
    run = lookup(MODES, mode, "mode")
    shapes_fit = image.ndim == 3 and image.shape[2] == 3 and image.shape[:2] == trimap.shape
    if not shapes_fit or image.dtype != np.uint8 or trimap.dtype != np.uint8:
        raise DataError(
            f"image {image.dtype} {image.shape} and trimap {trimap.dtype} {trimap.shape}: "
            "expected uint8 [H, W, 3] and uint8 [H, W] of one size"
        )
    levels, _ = trimaps.quantise(trimap)
    network = Network(model, mode in ("crop", "resize") or options.get("fit") == "stretch", double)
    network.about["mode"] = mode
    if max(levels.shape) > network.small:
        network.small = 0

    def in_parts(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        alpha = run(image, network.see_whole(image, trimap), network, **options)
        network.settle(alpha, trimap)
        return alpha

    if trimaps.unknown_region(levels).any():
        if mode in IN_PARTS:
            doubled, network.small = network.small, 0  # parts are not doubled by themselves
            alpha = (_doubled(in_parts) if doubled else in_parts)(image, levels)
        else:
            alpha = run(image, levels, network, **options)
        if not np.isfinite(alpha[trimaps.unknown_region(levels)]).all():
            raise CheckpointError("the network's alpha is not a finite number; its weights are broken")
        np.clip(alpha, 0, 1, out=alpha)
    else:
        alpha = np.zeros(levels.shape, np.float32)
        network.about["mode"] = "none"
    alpha[levels == trimaps.BACKGROUND] = 0
    alpha[levels == trimaps.FOREGROUND] = 1
    if about is not None:
        about.update(network.about)
    return alpha


def as_network(model: nn.Module, settings: TestConfig) -> scoring.Network:
    """`predict` as `scoring` takes it: image, trimap and what a protocol changes of the settings -> alpha."""

    def network(image: np.ndarray, trimap: np.ndarray, geometry: Mapping[str, Any]) -> np.ndarray:
        return predict(model, image, trimap, **mode_options(settings.model_copy(update=dict(geometry))))

    return network
