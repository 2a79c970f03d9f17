"""Scores of pictures that are made harder step by step: wider trimaps, JPEG, noise.

An axis maps a picture and a level to the image and trimap that the network gets. The true alpha does not change.
"""

import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np

from deepmat import imaging
from deepmat.errors import DataError, lookup
from deepmat.imaging import trimap
from deepmat.scoring.cases import Case, read_case
from deepmat.scoring.pictures import Network, Picture, no_score
from deepmat.scoring.protocols import DEFAULT, PROTOCOLS, score
from deepmat.scoring.records import SweepPoint, SweepScores, score_of

METRICS = ("sad", "mse")


def wide_trimap(case: Case, level: int) -> tuple[np.ndarray, np.ndarray]:
    """A trimap that is unknown within `level` pixels of fractional alpha, in place of the given one."""
    return case.image, trimap.by_distance(case.alpha, level, level)


def jpeg(case: Case, level: int) -> tuple[np.ndarray, np.ndarray]:
    """The image compressed as JPEG of quality `level`."""
    return imaging.through_jpeg(case.image, level), case.trimap


def noise(case: Case, level: int) -> tuple[np.ndarray, np.ndarray]:
    """The image with Gaussian noise of standard deviation `level` (of 255), seeded by level and the picture's name."""
    rng = np.random.default_rng([level, zlib.crc32(os.fsencode(case.name))])
    noisy = case.image + rng.normal(0, level, case.image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), case.trimap


AXES: dict[str, Callable[[Case, int], tuple[np.ndarray, np.ndarray]]] = {
    "trimap": wide_trimap,
    "jpeg": jpeg,
    "noise": noise,
}
"""By name: picture and level -> image, uint8 RGB [H, W, 3], and trimap, uint8 [H, W]."""


def sweep_pictures(
    pictures: Sequence[Picture], network: Network, axes: Mapping[str, Sequence[int]]
) -> Iterator[list[SweepScores]]:
    """Score each picture unchanged and at every level of every axis, by the benchmark's protocol.

    axes: levels by name in AXES. Yields the records of a picture, the unchanged one first; or one record with "error".
    """
    for name, paths in pictures:
        try:
            case = read_case(name, paths, {})
            records = [_score(case, network, None, None, case.image, case.trimap)]
            for axis, levels in axes.items():
                change = lookup(AXES, axis, "axis")
                records += [_score(case, network, axis, level, *change(case, level)) for level in levels]
            yield records
        except DataError as error:
            yield [{"name": name, "error": str(error)}]


def _score(
    case: Case, network: Network, axis: str | None, level: int | None, image: np.ndarray, levels: np.ndarray
) -> SweepScores:
    scores = score(PROTOCOLS[DEFAULT], network(image, levels, {}), case.alpha, levels, METRICS)
    if not scores:
        raise DataError(no_score(case.name))
    return cast(SweepScores, {"name": case.name, "axis": axis, "level": level, **scores})


def curves(records: Sequence[SweepScores]) -> list[SweepPoint]:
    """Mean scores over the pictures at each level of each axis, in the order of the records."""
    points: dict[tuple[str | None, int | None], list[SweepScores]] = {}
    for record in records:
        if "error" not in record:
            points.setdefault((record["axis"], record["level"]), []).append(record)
    return [
        cast(SweepPoint, {"axis": axis, "level": level, **{name: _mean(found, name) for name in METRICS}})
        for (axis, level), found in points.items()
    ]


def _mean(records: Sequence[SweepScores], metric: str) -> float:
    return float(np.mean([score_of(record, metric) for record in records]))
