"""Pictures to score on, with their ground truth and the mattes that other tools saved."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging import trimap
from deepmat.imaging.fitting import Photo, read_alpha_like, read_photo, unused_alpha
from deepmat.imaging.trimap import unknown_region
from deepmat.runtime.pairing import pair
from deepmat.scoring.metrics.scores import fraction

DOUBTFUL = 0.1
"""Mean absolute error over the known pixels from which on a matte is reported as odd."""

Paths = Mapping[str, Path | DataError]
"""Files of a picture by kind or run, or why there is none."""


class Case(NamedTuple):
    """A picture to score on."""

    name: str
    image: np.ndarray
    """uint8 RGB [H, W, 3]"""
    trimap: np.ndarray
    """uint8 [H, W] of 0, 128, 255"""
    alpha: np.ndarray
    """True alpha, uint8 [H, W]"""
    saved: dict[str, np.ndarray | DataError]
    """Saved mattes by run: uint8 [H, W], float32 [H, W] in [0, 1] where the file has over 8 bits, or why none."""
    notices: list[str]
    """Remarks on the trimap."""
    doubts: list[str] = []
    """Remarks on the other files."""


def find_mattes(names: Sequence[str], folders: Mapping[str, Path]) -> dict[str, dict[str, Path | DataError]]:
    """The saved matte of each picture and run, or why there is none. folders: by run.

    Raises DataError if a folder holds no picture.
    """
    found = {run: pair(names, folder, "prediction")[0] for run, folder in folders.items()}
    return {name: {run: files[name] for run, files in found.items()} for name in names}


def read_case(name: str, paths: Mapping[str, Path] | DataError, saved: Paths) -> Case:
    """Read image, trimap, alpha and the saved mattes of one picture.

    Raises DataError if the picture cannot be used; the error of a saved matte is kept in `Case.saved`.
    """
    if isinstance(paths, DataError):
        raise paths
    photo, own, _, doubts = read_photo(paths["image"])
    doubts += unused_alpha(own, paths["image"], paths["trimap"])
    levels, notices = trimap.read_trimap(paths["trimap"], photo=photo)
    alpha, turned = read_alpha_like(paths["alpha"], photo)
    doubts += turned
    for kind, pixels in (("trimap", levels), ("alpha", alpha)):
        imaging.check_same_size(paths[kind], pixels, paths["image"], photo.image)

    mattes = {run: _read_matte(path, paths["trimap"], photo, doubts) for run, path in saved.items()}
    doubts += [doubt for run, matte in mattes.items() if (doubt := _doubt(saved[run], matte, levels))]
    return Case(name, photo.image, levels, alpha, mattes, notices, doubts)


def _read_matte(path: Path | DataError, partner: Path, photo: Photo, notices: list[str]) -> np.ndarray | DataError:
    """Return a saved matte, or why there is none. Adds to the notices. partner: the trimap, named for its size."""
    try:
        if isinstance(path, DataError):
            return path
        matte, turned = read_alpha_like(path, photo, deep=True)
        imaging.check_same_size(path, matte, partner, photo.image)
        notices += turned
        return matte
    except DataError as error:
        return error


def _doubt(path: Path | DataError, matte: np.ndarray | DataError, levels: np.ndarray) -> str:
    """A remark on a matte that is far from the trimap where that is known, or ""."""
    known = ~unknown_region(levels)
    if isinstance(matte, DataError) or not known.any():
        return ""
    off = float(np.abs(fraction(matte)[known] - levels[known] / 255.0).mean())
    if off < DOUBTFUL:
        return ""
    return (
        f"{path}: mean error {off:.2f} where the trimap is known; check that it is not inverted, scaled from 0 to 1 or "
        "of another picture"
    )
