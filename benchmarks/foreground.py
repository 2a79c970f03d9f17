"""Foreground colours of one picture: deepmat's `estimate_foreground` against PyMatting's `estimate_foreground_ml`.

A procedural picture is tiled to 0.5, 2 and 8 megapixels. Errors are means over pictures of every kind of foreground, in
grey levels, over fractional alpha and weighted by it.
"""

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from deepmat import imaging, synth
from deepmat.data.compositing import COMPOSITORS
from deepmat.imaging.foreground import compiled_backend, estimate_with

UNIT = "pictures"
SIZES = {"0.5 MP": (600, 850), "2 MP": (1200, 1700), "8 MP": (2400, 3400)}
TIMES = 3
Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def prepare(folder: Path) -> None:
    """Write two pictures of each kind with their alphas and foreground colours."""
    for number, kind in enumerate([*synth.KINDS] * 2):
        rng = np.random.default_rng([1, number])
        colours, alpha = synth.foreground(rng, 300, 340, kind)
        image = COMPOSITORS["cv2"].blend(colours, alpha, synth.background(rng, *alpha.shape))
        for name, pixels in (("fg", colours), ("alpha", alpha), ("image", image)):
            imaging.write_image(folder / name / f"{number}.png", pixels)


def _read(folder: Path, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image, colours = (imaging.read_image(folder / name / f"{number}.png") for name in ("image", "fg"))
    return image, imaging.read_grey(folder / "alpha" / f"{number}.png") / np.float32(255), colours


def _errors(folder: Path, method: Method) -> dict[str, float]:
    """Return the mean absolute and mean squared error over the pictures."""
    errors = []
    for number in range(2 * len(synth.KINDS)):
        image, alpha, colours = _read(folder, number)
        edge = (alpha > 0) & (alpha < 1)
        off = np.abs(method(image, alpha)[edge] - colours[edge].astype(np.float64))
        errors.append([np.average(each.mean(-1), weights=alpha[edge]) for each in (off, off**2)])
    absolute, squared = np.mean(errors, 0)
    return {"error": absolute, "squared_error": squared}


def _measure(folder: Path, method: Method, size: str) -> tuple[int, float, dict[str, float]]:
    """Return the fastest of a few runs, after compilation, and the errors."""
    cv2.setNumThreads(1)
    extra = _errors(folder, method)
    height, width = SIZES[size]
    image, alpha, _ = _read(folder, 0)
    across = -(-height // alpha.shape[0]), -(-width // alpha.shape[1])
    image = np.ascontiguousarray(np.tile(image, (*across, 1))[:height, :width])
    alpha = np.ascontiguousarray(np.tile(alpha, across)[:height, :width])
    seconds = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        method(image, alpha)
        seconds.append(time.perf_counter() - begin)
    return 1, min(seconds), extra


def _deepmat(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`estimate_foreground`, of small pictures too as of those from a quarter of a megapixel on."""
    return estimate_with(compiled_backend(), image, alpha)


def _pymatting() -> Method:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pymatting
    return lambda image, alpha: pymatting.estimate_foreground_ml(image / 255.0, alpha.astype(np.float64)) * 255


SIDES = {
    **{f"{size}: reference": lambda folder, size=size: _measure(folder, _pymatting(), size) for size in SIZES},
    **{f"{size}: deepmat": lambda folder, size=size: _measure(folder, _deepmat, size) for size in SIZES},
}
