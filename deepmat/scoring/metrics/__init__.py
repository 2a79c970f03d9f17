"""The scores of image matting, by default as the benchmark's MATLAB code computes them.

Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009 (Grad, Conn); the units are
those of Deep Image Matting's tables. docs/scores.md has the formulas, and what shifts the numbers by how much.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from deepmat.scoring.metrics.regions import REGIONS
from deepmat.scoring.metrics.scores import conn, grad, mad, mse, sad

__all__ = ["METRICS", "REGIONS", "conn", "grad", "mad", "mean", "mse", "sad"]

METRICS: dict[str, Callable[..., float]] = {
    "sad": sad,
    "mse": mse,
    "grad": grad,
    "conn": conn,
    "mad": mad,
}


def mean(records: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, float]:
    """Mean of each named score over the records that have it; NaN for no record."""
    records = list(records)
    means = {}
    for name in names:
        scores = [record[name] for record in records if name in record]
        means[name] = math.fsum(scores) / len(scores) if scores else math.nan
    return means
