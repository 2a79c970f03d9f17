"""Training samples of 320x320 on one core and by two workers, against a loader that decodes four PNGs per sample."""

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import composite
from benchmarks.pictures import write_pictures
from deepmat import config as configs
from deepmat.config import layer
from deepmat.data.cache import build_cache, plan_cache
from deepmat.data.origins import find_origins
from deepmat.training.batches import training_batches

UNIT = "samples"
COUNT = 400


def prepare(folder: Path) -> None:
    write_pictures(folder)
    composite.reference(folder)


def reference(folder: Path) -> tuple[int, float]:
    """Load samples as a plain torch data set does."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    names = sorted(path.name for path in (folder / "theirs" / "image").iterdir())
    count = COUNT // 10
    begin = time.perf_counter()
    for _ in range(count):
        name = names[rng.integers(len(names))]
        image, fg, bg = (cv2.imread(str(folder / "theirs" / kind / name)) for kind in ("image", "fg", "bg"))
        alpha = cv2.imread(str(folder / "theirs" / "alpha" / name), cv2.IMREAD_GRAYSCALE)
        size = int(rng.choice([320, 480, 640]))
        rows, columns = np.where((alpha > 0) & (alpha < 255))
        pick = rng.integers(len(rows))
        top = min(max(int(rows[pick]) - size // 2, 0), alpha.shape[0] - size)
        left = min(max(int(columns[pick]) - size // 2, 0), alpha.shape[1] - size)
        cut = [pixels[top : top + size, left : left + size] for pixels in (image, alpha, fg, bg)]
        if rng.random() < 0.5:
            cut = [cv2.flip(pixels, 1) for pixels in cut]
        image, alpha, fg, bg = (cv2.resize(pixels, (320, 320)) for pixels in cut)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (int(rng.integers(2, 5)),) * 2)
        times = int(rng.integers(5, 15))
        levels = np.full_like(alpha, 128)
        levels[cv2.erode(alpha, kernel, iterations=times) == 255] = 255
        levels[cv2.dilate(alpha, kernel, iterations=times) == 0] = 0
        for pixels in (image, fg, bg):
            np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1))
    return count, time.perf_counter() - begin


def _deepmat(folder: Path, augment: str | None = None, workers: int = 0, **data: Any) -> tuple[int, float]:
    """Load COUNT samples. The cache is built, and workers are started, before time is taken."""
    files = {} if "synth" in data else {"root": str(folder)}
    values = {"data": {"cache": str(folder / "cache"), **files, **data}}
    config = configs.load(layer("augment", augment), flags=values)
    origins, _ = find_origins(config.data)
    pictures: list[Any] = [picture for origin in origins for picture in origin.foregrounds]
    if config.data.cache_backgrounds:
        pictures += [picture for origin in origins for picture in origin.backgrounds]
    if config.data.cache:
        list(build_cache(plan_cache(pictures, config.data.cache), config.data.cache, 2))
    cv2.setNumThreads(1)
    batch = 10
    steps = COUNT // batch
    # Samples before time is taken: workers are started and files are in the system's cache.
    before = 40 * max(workers, 1)
    batches = training_batches(
        origins, config.data, batch_size=batch, seed=0, start=0, stop=steps + before, workers=workers
    )
    for _ in range(before):
        next(batches)
    begin = end = time.perf_counter()
    done = 0
    for each in batches:
        done, end = done + len(each["name"]), time.perf_counter()
    return done, end - begin  # without the second that workers take to end


SIDES = {
    "reference": reference,
    "backgrounds decoded": lambda folder: _deepmat(folder),
    "backgrounds cached": lambda folder: _deepmat(folder, cache_backgrounds=True),
    "backgrounds cached, two workers": lambda folder: _deepmat(folder, cache_backgrounds=True, workers=2),
    "no cache": lambda folder: _deepmat(folder, cache=None),
    "modern recipe": lambda folder: _deepmat(folder, "modern"),
    "modern recipe, backgrounds cached": lambda folder: _deepmat(folder, "modern", cache_backgrounds=True),
    "modern recipe, backgrounds cached, two workers": lambda folder: _deepmat(
        folder, "modern", cache_backgrounds=True, workers=2
    ),
    "procedural": lambda folder: _deepmat(folder, synth=10**6),
}
