"""How scores follow when a picture gets harder: wider trimaps, JPEG, noise.

An axis makes, of a picture and a level, what the network gets to see; the truth stays.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging import trimap
from deepmat.scoring.pictures import Case, Network, read_case
from deepmat.scoring.protocols import DEFAULT, PROTOCOLS, score


def wide_trimap(case: Case, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Unknown is all within so many pixels of fractional alpha, in place of the trimap given."""
    return case.image, trimap.by_distance(case.alpha, level, level)


def jpeg(case: Case, level: int) -> tuple[np.ndarray, np.ndarray]:
    """The image went through a JPEG file of that quality."""
    return imaging.through_jpeg(case.image, level), case.trimap


def noise(case: Case, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian noise of that standard deviation, of 255 levels, the same for a picture's name each time."""
    rng = np.random.default_rng([level, zlib.crc32(case.name.encode())])
    noisy = case.image + rng.normal(0, level, case.image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), case.trimap


AXES: dict[str, Callable[[Case, int], tuple[np.ndarray, np.ndarray]]] = {
    "trimap": wide_trimap,
    "jpeg": jpeg,
    "noise": noise,
}


def sweep(
    pictures: Sequence[tuple[str, Mapping[str, Path] | DataError]],
    network: Network,
    axes: Mapping[str, Sequence[int]],
    metrics: Sequence[str] = ("sad", "mse"),
) -> Iterator[list[dict[str, Any]]]:
    """Score each picture as it is and at every level of every axis, by the benchmark's protocol.

    axes: levels by name in AXES. Yields a picture's records: {"name", "axis", "level", a score for each metric}, the
    first with axis and level None, as it is; or a single {"name", "error"}.
    """
    for name, paths in pictures:
        try:
            case = read_case(name, paths, {})
            made: list[tuple[str | None, int | None, np.ndarray, np.ndarray]] = [(None, None, case.image, case.trimap)]
            made += [(axis, level, *AXES[axis](case, level)) for axis, chosen in axes.items() for level in chosen]
            records = []
            for axis, level, image, levels in made:
                scores = score(PROTOCOLS[DEFAULT], network(image, levels, {}), case.alpha, levels, metrics)
                records.append({"name": name, "axis": axis, "level": level, **scores})
            yield records
        except DataError as error:
            yield [{"name": name, "error": str(error)}]


def curves(records: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Means over the pictures: {"axis", "level", a mean for each metric}, in the order of the records."""
    points: dict[tuple[str | None, int | None], list[Mapping[str, Any]]] = {}
    for record in records:
        if "error" not in record:
            points.setdefault((record["axis"], record["level"]), []).append(record)
    return [
        {"axis": axis, "level": level, **{name: float(np.mean([each[name] for each in found])) for name in metrics}}
        for (axis, level), found in points.items()
    ]
