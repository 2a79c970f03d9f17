"""The metrics of image matting, by default as the benchmark's MATLAB code computes them.

Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009 (Grad, Conn); units as in the
tables of Deep Image Matting. docs/scores.md has the formulas and the effect of each choice.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import cast

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
"""By name: predicted alpha, true alpha, [H, W], and region, bool [H, W] -> score."""


def mean(records: Iterable[Mapping[str, object]], names: Iterable[str]) -> dict[str, float]:
    """The mean of each named score over the records that have it; NaN where none has."""
    records = list(records)
    means = {}
    for name in names:
        scores = [cast(float, record[name]) for record in records if name in record]
        means[name] = math.fsum(scores) / len(scores) if scores else math.nan
    return means
