"""The four scores of a picture of 2.5 megapixels on one thread, by deepmat and by a plain implementation of the papers.

The reference does what public ports of the benchmark's MATLAB code to Python do: floats, a two-dimensional gradient
filter, a labelling of connected components for each threshold. "relative" is the largest relative difference of
deepmat's scores, over pictures of hair, a net and smoke, with an unknown band around the edge or all unknown.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from deepmat import imaging, synth
from deepmat.imaging import trimap
from deepmat.scoring import metrics
from deepmat.scoring.metrics.scores import gaussian_derivative

UNIT = "pictures"
KINDS = ("hair", "net", "smoke")
SIZE = (1600, 1600)
TIMES = 5
Score = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def prepare(folder: Path) -> None:
    """Write an alpha of each kind, its trimap and a prediction that is blurred, shifted and noisy in parts."""
    for number, kind in enumerate(KINDS):
        rng = np.random.default_rng([5, number])
        colours, alpha = synth.foreground(rng, *SIZE, kind)
        alpha = cv2.resize(alpha, SIZE[::-1], interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(np.roll(alpha, 2, axis=1), (0, 0), 2).astype(np.float64)
        where = cv2.resize(rng.random((8, 8)), SIZE[::-1], interpolation=cv2.INTER_CUBIC) > 0.5
        noisy = np.where(where, blurred + rng.normal(0, 12, SIZE), alpha)
        levels = trimap.by_distance(alpha, 20, 20)
        pred = np.where(trimap.unknown_region(levels), np.clip(noisy, 0, 255), levels).astype(np.uint8)
        for name, pixels in (("alpha", alpha), ("pred", pred), ("trimap", levels)):
            imaging.write_image(folder / name / f"{kind}.png", pixels)


def plain_sad_and_mse(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> tuple[float, float]:
    error = (pred.astype(np.float64) / 255 - alpha.astype(np.float64) / 255) * unknown
    return float(np.abs(error).sum()) / 1000, float((error**2).sum() / unknown.sum())


def plain_grad(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    gaussian, derivative = gaussian_derivative()
    kernel = np.outer(gaussian, derivative)
    magnitudes = []
    for each in (pred, alpha):
        stretched = (each.astype(np.float64) - each.min()) / (float(each.max()) - float(each.min()))
        x, y = (cv2.filter2D(stretched, -1, k, borderType=cv2.BORDER_REPLICATE) for k in (kernel, kernel.T.copy()))
        magnitudes.append(np.sqrt(x**2 + y**2))
    return float((((magnitudes[0] - magnitudes[1]) ** 2) * unknown).sum()) / 1000


def plain_conn(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    p, a = (each.astype(np.float32) / np.float32(255) for each in (pred, alpha))
    last = np.full(p.shape, -1, np.float32)
    steps = np.arange(0, 1.1, 0.1).astype(np.float32)
    for before, step in zip(steps, steps[1:], strict=False):
        both = ((p >= step) & (a >= step)).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(both, connectivity=4)
        source = labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA]) if len(stats) > 1 else np.zeros_like(p, bool)
        last[(last == -1) & ~source] = before
    last[last == -1] = 1
    distances = p - last, a - last
    phi_p, phi_a = (1 - distance * (distance >= 0.15) for distance in distances)
    return float(np.abs((phi_p - phi_a) * unknown).sum(dtype=np.float64)) / 1000


PLAIN: dict[str, Callable[..., Iterable[float]]] = {
    "SAD and MSE": plain_sad_and_mse,
    "Grad": lambda *pictures: [plain_grad(*pictures)],
    "Conn": lambda *pictures: [plain_conn(*pictures)],
    "all four": lambda *pictures: [*plain_sad_and_mse(*pictures), plain_grad(*pictures), plain_conn(*pictures)],
}
OURS: dict[str, Callable[..., Iterable[float]]] = {
    "SAD and MSE": lambda *pictures: [metrics.sad(*pictures), metrics.mse(*pictures)],
    "Grad": lambda *pictures: [metrics.grad(*pictures)],
    "Conn": lambda *pictures: [metrics.conn(*pictures)],
    "all four": lambda *pictures: [
        score(*pictures) for score in (metrics.sad, metrics.mse, metrics.grad, metrics.conn)
    ],
}


def _pictures(folder: Path, everywhere: bool) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    found = []
    for kind in KINDS:
        pred, alpha, levels = (imaging.read_grey(folder / name / f"{kind}.png") for name in ("pred", "alpha", "trimap"))
        found.append((pred, alpha, np.ones_like(levels, bool) if everywhere else trimap.unknown_region(levels)))
    return found


def _timed(folder: Path, score: Callable[..., Iterable[float]], everywhere: bool) -> tuple[int, float]:
    """Number of pictures and seconds: the fastest of a few runs of each. Kernels are compiled by then."""
    cv2.setNumThreads(1)
    seconds = 0.0
    for pictures in _pictures(folder, everywhere):
        times = []
        for _ in range(TIMES):
            begin = time.perf_counter()
            score(*pictures)
            times.append(time.perf_counter() - begin)
        seconds += min(times)
    return len(KINDS), seconds


def _ours(folder: Path, name: str, everywhere: bool) -> tuple[int, float, dict[str, float]]:
    pairs = [
        (ours, plain)
        for pictures in _pictures(folder, everywhere)
        for ours, plain in zip(OURS[name](*pictures), PLAIN[name](*pictures), strict=True)
    ]
    return *_timed(folder, OURS[name], everywhere), {"relative": max(abs(ours / plain - 1) for ours, plain in pairs)}


SIDES = {
    f"{group}: {side}": (lambda folder, name=name, everywhere=everywhere, work=work: work(folder, name, everywhere))
    for name in PLAIN
    for everywhere in (False, True)
    for group in [f"{name}, all unknown" if everywhere else name]
    for side, work in (
        ("reference", lambda folder, name, everywhere: _timed(folder, PLAIN[name], everywhere)),
        ("deepmat", _ours),
    )
}
