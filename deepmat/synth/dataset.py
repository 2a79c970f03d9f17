"""A procedural data set as files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging import trimap
from deepmat.runtime.files import AnyPath, as_path, write_text
from deepmat.runtime.paths import is_folder
from deepmat.runtime.storage import Address
from deepmat.runtime.work import Work
from deepmat.synth.backgrounds import background
from deepmat.synth.drawing import SMALLEST
from deepmat.synth.foregrounds import KINDS, foreground
from deepmat.synth.scenes import background_like


def synthesise(
    out: AnyPath,
    *,
    train: int = 20,
    test: int = 5,
    backgrounds: int = 20,
    size: int = 512,
    seed: int = 0,
    per_foreground: tuple[int, int] = (100, 20),
) -> Work[Path]:
    """Draw a data set in Adobe's layout: what `deepmat synth` does.

    train, test: numbers of foregrounds. backgrounds: number of training backgrounds; half as many more are drawn for
    the test set. size: longer side of a foreground in pixels. per_foreground: numbers of backgrounds that the names
    lists give each training and each test foreground. A picture depends only on the seed and its own number, so a
    larger data set begins with the smaller one. Raises DataError for numbers out of range or a folder that is not
    empty. Iterating yields the path of each file written.
    """
    out = as_path(out, "out")
    counts = {"train": train, "test": test, "backgrounds": backgrounds, "per_foreground": min(per_foreground)}
    for name, value in counts.items():
        if value < 1:
            raise DataError(f"{name} is {value}; it must be at least 1")
    for name, value, least in (("size", size, 64), ("seed", seed, 0)):
        if value < least:
            raise DataError(f"{name} is {value}; it must be at least {least}")
    if is_folder(out) and (isinstance(out, Address) or any(out.iterdir())):  # a storage has no empty folders
        raise DataError(f"{out}: is not empty, and old pictures would stay among the new ones; choose another folder")
    scenes = (backgrounds, max(1, backgrounds // 2))
    total = 2 * train + (2 + per_foreground[1]) * test + sum(scenes) + 4
    return Work(total, lambda: _write(out, (train, test), scenes, size, seed, per_foreground))


def _draw_foreground(seed: int, part: int, number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours and alpha of training (part 0) or test (part 1) foreground `number`, at any size."""
    rng, kinds = np.random.default_rng([seed, part, 1, number]), list(KINDS)
    aspect = rng.uniform(0.75, 1.33)
    height, width = round(size * min(1, aspect)), round(size * min(1, 1 / aspect))
    return foreground(rng, height, width, kinds[number % len(kinds)])


def _draw_background(seed: int, part: int, number: int, size: int) -> np.ndarray:
    """A background; every other one has the colours of the foreground of the same number, which is hard to separate."""
    rng = np.random.default_rng([seed, part, 0, number])
    height, width = (max(SMALLEST, int(size * rng.uniform(0.7, 1.5))) for _ in range(2))
    if number % 2:
        return background_like(rng, height, width, *_draw_foreground(seed, part, number, min(size, 256)))
    return background(rng, height, width)


def _write(out: Path, foregrounds: tuple, backgrounds: tuple, size: int, seed: int, per: tuple) -> Iterator[Path]:
    for part, (folder, prefix) in enumerate((("Training_set", ""), ("Test_set", "test_"))):
        scenes = [f"{prefix}bg_{i:04d}.png" for i in range(backgrounds[part])]
        for i, name in enumerate(scenes):
            yield _save(out / f"bg_{prefix.strip('_') or 'train'}" / name, _draw_background(seed, part, i, size))

        kinds = list(KINDS)
        names = [f"{prefix}{kinds[i % len(kinds)]}_{i:04d}.png" for i in range(foregrounds[part])]
        for i, name in enumerate(names):
            colour, alpha = _draw_foreground(seed, part, i, size)
            licence = "Adobe-licensed images" if part or i < (len(names) + 1) // 2 else "Other"
            yield _save(out / folder / licence / "fg" / name, colour)
            yield _save(out / folder / licence / "alpha" / name, alpha)
            if part:
                rng = np.random.default_rng([seed, part, 3, i])
                kernel = 2 * max(1, round(size / 256)) + 1
                for k, iterations in enumerate(rng.integers(2, 8, per[part]).tolist()):
                    path = out / folder / licence / "trimaps" / f"{name.removesuffix('.png')}_{k}.png"
                    yield _save(path, trimap.from_alpha(alpha, kernel, iterations))

        rng, wanted = np.random.default_rng([seed, part, 2]), len(names) * per[part]
        rounds = [rng.permutation(scenes) for _ in range(-(-wanted // len(scenes)))]
        lists = {"fg": names, "bg": np.concatenate(rounds)[:wanted].tolist()}
        for what, lines in lists.items():
            path = out / folder / f"{'test' if part else 'training'}_{what}_names.txt"
            write_text(path, "".join(f"{line}\n" for line in lines))
            yield path


def _save(path: Path, pixels: np.ndarray) -> Path:
    imaging.write_image(path, pixels)
    return path
