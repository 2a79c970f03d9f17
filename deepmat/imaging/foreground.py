"""Estimate foreground colours from a picture and its alpha, so that a cut-out has no rim of its old background.

A picture is alpha * F + (1 - alpha) * B: six unknowns in three equations per pixel. As in Germer et al., "Fast
Multi-Level Foreground Estimation" (ICPR 2020), F and B are solved on a pyramid, from the smallest level to the full
size. On each level, as in Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021), a layer is first the mean
of its neighbourhood, weighted by the layer's share in each pixel. It is then moved towards the picture, as in Chuang et
al., "A Bayesian Approach to Digital Matting" (CVPR 2001), the further the more its colours vary nearby.

A pixel of a small level stands for many pixels of different alphas, which separate F from B even where their mean does
not (alpha of a net is 0.5 on average everywhere). So the pyramid is not one of pictures but of the sums of a
least-squares fit of F and B.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from typing import Any

import cv2
import numpy as np

from deepmat.errors import DataError
from deepmat.imaging.arrays import Source, as_alpha, as_image
from deepmat.imaging.planes import CPU, Backend, extended, torch_backend
from deepmat.runtime.processes import cores, keep_memory

ROUNDS = 3
FAITH = 0.01
"""Weight of every pixel in the mean of a layer, in addition to the square of the layer's share in it."""
NOISE, ALPHA_NOISE = 5.0, 0.001
"""Variance of the picture, summed over the channels, in squared grey levels; variance of alpha."""
SPREAD, LEAST_SPREAD = 300.0, 200.0
"""Variance of a layer around its mean, in the units of NOISE: initial value, lower bound."""
WITHIN = 0.25
"""Weight of the variance within a pixel of a small level, where F and B may depend on alpha."""
FINE = 3
"""Number of levels computed tile by tile; the levels below, with 1/64 of the pixels, are computed whole."""
STEP = 1 << FINE
MARGIN = 8
"""Pixels around a tile that affect it, at each level: one for each 3x3 mean, and half of those of the level above."""
REACH = MARGIN * STEP // 2
"""Pixels of the picture around a tile that affect it."""
LARGE = 1 << 18
"""Pixels of the smallest picture for which loops are compiled, where numba is installed: loading it takes a second."""


@cache
def compiled_backend() -> Backend:
    """Return CPU with compiled loops, or CPU itself without numba. Results differ by rounding errors only."""
    try:
        kernels = import_module("deepmat.imaging.foreground_kernels")
        return CPU._replace(kernels=kernels, halve=kernels.halved, side=kernels.LONGEST - 2 * MARGIN)
    except ImportError:  # numba is missing, or does not fit the installed numpy
        return CPU


def _sums(backend: Backend, planes: Any) -> Any:
    """Return the sums of a least-squares fit, [8, H / 2, W / 2], of picture and alpha, [4, H, W].

    They are means over 2x2 pixels of picture, alpha, alpha * picture, alpha * alpha.
    """
    if backend.kernels:
        return backend.kernels.halved_sums(planes)
    return backend.halve(backend.join([planes, planes[3:] * planes], 0))


def _improve(backend: Backend, sums: Any, layers: Any) -> Any:
    """Improve layers so that they fit the picture and vary smoothly.

    sums: [8, H, W], or the first four at full size, where the others follow from them and a round less suffices;
    layers: [2, 3, H, W], F and B.
    """
    picture, alpha, whole = sums[:3], sums[3:4], len(sums) == 4
    beta, ff = 1 - alpha, alpha * alpha
    if not whole:
        mean = alpha * picture
        of_fg = mean + WITHIN * (sums[4:7] - mean)
        ff += WITHIN * (sums[7:] - ff)
    fb = alpha - ff
    bb = beta - fb
    weight = backend.join([ff[None], bb[None]], 0) + FAITH
    around = 1 / backend.mean(weight)
    spread: Any = (SPREAD, SPREAD)
    for number in range(ROUNDS - whole):
        if number:
            means = backend.mean(layers * weight)
            means *= around
            if number == 1:
                variance = ((layers - means) ** 2).sum(1)[:, None]
                spread = backend.mean(variance * weight) * around + LEAST_SPREAD
            layers = means
        fg, bg = layers
        if number < 2:  # the fit's normal equations, [[ff + f, fb], [fb, bb + b]], inverted
            if not number:
                noise = NOISE + ALPHA_NOISE * ((fg - bg) ** 2).sum(0)
            f, b = noise / spread[0], noise / spread[1]
            scale = 1 / (ff * b + bb * f + f * b + (0 if whole else ff * bb - fb * fb))
            to_fg, to_bg, between = (alpha * b, beta * f, 0) if whole else (bb + b, ff + f, fb)
            to_fg, to_bg, between = to_fg * scale, to_bg * scale, between * scale
        if whole:
            rest = picture - alpha * fg - beta * bg
            fg += to_fg * rest
            bg += to_bg * rest
        else:
            fg_rest = of_fg - ff * fg - fb * bg
            bg_rest = picture - of_fg - fb * fg - bb * bg
            fg += to_fg * fg_rest - between * bg_rest
            bg += to_bg * bg_rest - between * fg_rest
        layers = layers.clip(0, 255)
    return layers


def _solve(backend: Backend, sums: Any) -> Any:
    """Return F and B, [2, 3, H, W], of a whole picture, from its smallest level up."""
    height, width = sums.shape[-2:]
    if height == width == 1:
        guess = backend.join([sums[None, :3]] * 2, 0)
    else:
        smaller = _solve(backend, backend.halve(backend.extend(sums, 0, height % 2, 0, width % 2)))
        if backend.kernels and width <= backend.kernels.LONGEST:
            return backend.kernels.improved(sums, 0, extended(smaller, *[MARGIN // 2] * 4))
        guess = backend.double(smaller)[..., :height, :width]
    return _improve(backend, sums, guess)


def _trim(planes: Any, lines: int) -> Any:
    return planes[..., lines : planes.shape[-2] - lines, lines : planes.shape[-1] - lines]


def _refine(backend: Backend, planes: Any, layers: Any) -> Any:
    """Return F, [3, h, w], of a tile.

    planes: picture and alpha, [4, ...], of the tile with REACH around it; layers: [2, 3, ...] at 1/STEP of
    its size, with MARGIN around.
    """
    levels = [planes, _sums(backend, planes)]
    while len(levels) < FINE:
        levels.append(backend.halve(levels[-1]))
    for level in reversed(levels):
        edge = level.shape[-2] // 2 + MARGIN - layers.shape[-2]
        if backend.kernels:
            layers = backend.kernels.improved(level, edge, layers)
        else:
            layers = _improve(backend, _trim(level, edge), _trim(backend.double(layers), MARGIN))
    return _trim(layers[0], MARGIN)


def _continue(backend: Backend, layers: Any) -> Any:
    """Return F, [3, h, w], of a tile where alpha is 0 all around: B is the picture, and F only varies smoothly.

    layers: [1, 3, ...], F at 1/STEP of the tile's size, with MARGIN around.
    """
    for level in range(FINE):
        layers = _trim(backend.double(layers), MARGIN)
        for _ in range(ROUNDS - 1 - (level == FINE - 1)):  # as _improve
            layers = backend.mean(layers)
    return _trim(layers[0], MARGIN)


def _tiles(height: int, width: int, side: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of each tile; the last ones may end beyond the picture, at a multiple of STEP."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            bottom, right = (min(start + side, -(-end // STEP) * STEP) for start, end in ((top, height), (left, width)))
            yield slice(top, bottom), slice(left, right)


def _around(tile: tuple[slice, slice], margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of a tile and a margin, as far as the picture goes."""
    rows, columns = (slice(max(part.start - margin, 0), part.stop + margin) for part in tile)
    return rows, columns


def _read(backend: Backend, image: np.ndarray, alpha: np.ndarray, tile: tuple[slice, slice], margin: int = 0) -> Any:
    """Return picture and alpha, [4, H, W], of a tile and a margin around it; the picture is continued by its edges."""
    (top, bottom), (left, right) = ((part.start - margin, part.stop + margin) for part in tile)
    inside = _around(tile, margin)
    height, width = alpha.shape
    beyond = max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0)
    around = (cv2.copyMakeBorder(each[inside], *beyond, cv2.BORDER_REPLICATE) for each in (image, alpha))
    planes = backend.load(*around)
    if alpha.dtype == np.uint8:
        planes[3] /= 255
    return planes


def _coarse(backend: Backend, image: np.ndarray, alpha: np.ndarray) -> Any:
    """Return F and B of the picture at 1/STEP of its size, [2, 3, h, w], with MARGIN around."""
    lines: dict[int, list[Any]] = {}
    for tile in _tiles(alpha.shape[0], alpha.shape[1], backend.side):
        sums = _sums(backend, _read(backend, image, alpha, tile))
        for _ in range(FINE - 1):
            sums = backend.halve(sums)
        lines.setdefault(tile[0].start, []).append(sums)
    layers = _solve(backend, backend.join([backend.join(line, -1) for line in lines.values()], -2))
    return backend.join([backend.extend(layer, MARGIN, MARGIN, MARGIN, MARGIN)[None] for layer in layers], 0)


def estimate_with(backend: Backend, image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return the foreground colours, as `estimate_foreground`, of uint8 [H, W, 3] and uint8 or float32 [H, W]."""
    keep_memory()
    coarse = _coarse(backend, image, alpha)
    foreground = np.empty_like(image)

    def fill(tile: tuple[slice, slice]) -> None:
        made = image[tile]
        opaque = (alpha[tile] == (255 if alpha.dtype == np.uint8 else 1)).astype(np.uint8)
        if not opaque.all():
            rows, columns = (slice(part.start // STEP, part.stop // STEP + 2 * MARGIN) for part in tile)
            if alpha[_around(tile, REACH)].any():
                found = _refine(backend, _read(backend, image, alpha, tile, REACH), coarse[..., rows, columns])
            else:
                found = _continue(backend, coarse[:1, :, rows, columns])
            made = cv2.copyTo(made, opaque, backend.store(found)[: opaque.shape[0], : opaque.shape[1]])
        foreground[tile] = made

    with ThreadPoolExecutor(min(backend.threads, cores())) as pool:
        list(pool.map(fill, _tiles(alpha.shape[0], alpha.shape[1], backend.side)))
    return foreground


def estimate_foreground(image: Source, alpha: Source, device: Any = "cpu") -> np.ndarray:
    """Return the colours of the foreground alone, uint8 RGB [H, W, 3], without the background that shines through.

    image: a picture; alpha: its alpha, of the same size; both by path, as bytes, PIL pictures or arrays (uint8, or
    floats in [0, 1]). Where alpha is 1 the result is the image; where alpha is 0 the colours nearby are continued, so
    that a cut-out can be blurred, scaled or rotated without a rim. 100 megapixels take 0.3 GB beyond image and result.
    device: "cpu" or the name of another device, whose result is the same to within a level, as is that without numba
    (`pip install 'deepmat[fast]'`) in three times the time; the number of threads changes nothing. Raises DataError if
    the sizes differ, or if a picture cannot be read or has no such shape, dtype or values, DeviceError for an absent
    device.
    """
    pixels = as_image(image)[0]
    levels = as_alpha(alpha)
    if pixels.shape != (*levels.shape, 3):
        (h, w), (height, width) = levels.shape, pixels.shape[:2]
        raise DataError(f"alpha: {w}x{h}, but its image is {width}x{height}; make them the same size")
    if str(device) != "cpu":
        return estimate_with(torch_backend(device), pixels, levels)
    return estimate_with(compiled_backend() if levels.size >= LARGE else CPU, pixels, levels)
