"""A procedural data set as files."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging import trimap
from deepmat.runtime import distributed, sharing
from deepmat.runtime.cluster import LIVES
from deepmat.runtime.files import AnyPath, as_path, existing, refuse_file, remove_leftovers, write_text
from deepmat.runtime.paths import is_file, is_folder
from deepmat.runtime.sharing import Batch, parse_engine, refuse_storage
from deepmat.runtime.storage import Address
from deepmat.runtime.work import Work
from deepmat.synth.backgrounds import background
from deepmat.synth.drawing import SMALLEST
from deepmat.synth.foregrounds import KINDS, foreground
from deepmat.synth.scenes import background_like

PARTS = (("Training_set", ""), ("Test_set", "test_"))
"""Folder of foregrounds, and what names begin with, of training and test."""


def synthesise(
    out: AnyPath,
    *,
    train: int = 20,
    test: int = 5,
    backgrounds: int = 20,
    size: int = 512,
    seed: int = 0,
    per_foreground: tuple[int, int] = (100, 20),
    skip_existing: bool = False,
    engine: str = "processes",
) -> Work[Path]:
    """Draw a data set in Adobe's layout: what `deepmat synth` does.

    train, test: numbers of foregrounds. backgrounds: number of training backgrounds; half as many more are drawn for
    the test set. size: longer side of a foreground in pixels. per_foreground: numbers of backgrounds that the names
    lists give each training and each test foreground. A picture depends only on the seed and its own number, so a
    larger data set begins with the smaller one. skip_existing: goes on after a stop, with the same seed and size.
    engine: "processes", or "ray" for the workers of a Ray cluster (`runtime.sharing`). Raises DataError for numbers out
    of range or a folder that is not empty. Iterating yields the path of each file that this process writes; the
    processes of a launcher share the pictures (`runtime.distributed`).
    """
    runs_on = parse_engine(engine)
    out = as_path(out, "out")
    refuse_file("OUT", out)
    refuse_storage(runs_on, [out])
    counts = {"train": train, "test": test, "backgrounds": backgrounds, "per_foreground": min(per_foreground)}
    for name, value in counts.items():
        if value < 1:
            raise DataError(f"{name} is {value}; it must be at least 1")
    for name, value, least in (("size", size, 64), ("seed", seed, 0)):
        if value < least:
            raise DataError(f"{name} is {value}; it must be at least {least}")
    kept = is_folder(out) and (isinstance(out, Address) or any(out.iterdir()))  # a storage has no empty folders
    if kept and not skip_existing:
        remedy = "choose another folder, or --skip-existing to go on after a stop"
        raise DataError(f"{out}: is not empty, and old pictures would stay among the new ones; {remedy}")
    foregrounds, scenes = (train, test), (backgrounds, max(1, backgrounds // 2))
    drawings = _drawings(out, foregrounds, scenes, per_foreground[1])
    if skip_existing:
        _refuse_others(drawings[0], seed, size)
    first = not distributed.rank()
    own = distributed.share(drawings)
    there = existing([out], sum(len(each.paths) for each in own)) if skip_existing else None
    todo = [each for each in own if not (there and all(map(there, each.paths)))]

    def steps() -> Iterator[Path]:
        distributed.meet()
        distributed.gather(None)  # nobody writes before all have found the folder empty
        yield from sharing.do(Batch(todo, partial(_start, seed, size), _lost), runs_on)
        if runs_on.is_cluster:
            remove_leftovers(out)  # of workers that were killed
        if first:
            yield from _write_lists(out, foregrounds, scenes, seed, per_foreground)
        distributed.gather(None)

    return Work(sum(len(each.paths) for each in todo) + 4 * first, steps)


def _refuse_others(drawing: "_Drawing", seed: int, size: int) -> None:
    """Raise DataError if the first picture is there and other arguments drew it."""
    path = drawing.paths[0]
    pixels = _draw_background(seed, drawing.part, drawing.number, size)
    if is_file(path) and not np.array_equal(imaging.read_image(path), pixels):
        raise DataError(f"{path}: was drawn with another seed or size; --skip-existing goes on with the same ones")


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


class _Drawing(NamedTuple):
    """A background, or a foreground with its alpha and test trimaps."""

    part: int
    """0 for training, 1 for test."""
    number: int
    paths: tuple[Path, ...]
    """The background; or colours, alpha and trimaps."""


def _drawings(out: Path, foregrounds: Sequence[int], backgrounds: Sequence[int], trimaps: int) -> list[_Drawing]:
    drawings = []
    for part, (folder, prefix) in enumerate(PARTS):
        for i, name in enumerate(_scenes(part, backgrounds[part])):
            drawings.append(_Drawing(part, i, (out / f"bg_{prefix.strip('_') or 'train'}" / name,)))
        names = _names(part, foregrounds[part])
        for i, name in enumerate(names):
            licence = "Adobe-licensed images" if part or i < (len(names) + 1) // 2 else "Other"
            home, stem = out / folder / licence, name.removesuffix(".png")
            more = [home / "trimaps" / f"{stem}_{k}.png" for k in range(trimaps * part)]
            drawings.append(_Drawing(part, i, (home / "fg" / name, home / "alpha" / name, *more)))
    return drawings


def _scenes(part: int, count: int) -> list[str]:
    return [f"{PARTS[part][1]}bg_{i:04d}.png" for i in range(count)]


def _names(part: int, count: int) -> list[str]:
    kinds = list(KINDS)
    return [f"{PARTS[part][1]}{kinds[i % len(kinds)]}_{i:04d}.png" for i in range(count)]


def _start(seed: int, size: int) -> Callable[[Sequence[_Drawing]], Iterator[Path]]:
    return lambda drawings: (path for each in drawings for path in _draw(each, seed, size))


def _draw(drawing: _Drawing, seed: int, size: int) -> Iterator[Path]:
    part, number, (first, *others) = drawing
    if not others:
        yield _save(first, _draw_background(seed, part, number, size))
        return
    colour, alpha = _draw_foreground(seed, part, number, size)
    yield _save(first, colour)
    yield _save(others[0], alpha)
    kernel = 2 * max(1, round(size / 256)) + 1
    widths = np.random.default_rng([seed, part, 3, number]).integers(2, 8, len(others) - 1).tolist()
    for path, iterations in zip(others[1:], widths, strict=True):
        yield _save(path, trimap.from_alpha(alpha, kernel, iterations))


def _lost(drawing: _Drawing, why: str) -> Path:
    raise DataError(f"{drawing.paths[0]}: its worker ended {LIVES} times ({why}); draw smaller pictures")


def _write_lists(
    out: Path, foregrounds: Sequence[int], backgrounds: Sequence[int], seed: int, per: Sequence[int]
) -> Iterator[Path]:
    for part, (folder, _) in enumerate(PARTS):
        names, scenes = _names(part, foregrounds[part]), _scenes(part, backgrounds[part])
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
