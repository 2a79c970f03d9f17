"""Confidence intervals and paired tests by resampling, without assumptions on the distribution of scores.

Pictures that share a foreground have similar scores, so groups of pictures are resampled; a picture of unknown
foreground is a group of one. The seed is fixed: the same scores give the same results.
"""

from collections.abc import Hashable, Sequence
from functools import lru_cache

import numpy as np

ROUNDS = 10_000
LEVEL = 0.95
EXACT = 13
"""Up to so many groups all combinations of signs are tried."""


def _sums(values: Sequence[float], groups: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each group, float64 [G] each."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    places = np.array([numbers[group] for group in groups], np.int64)
    return np.bincount(places, np.asarray(values, np.float64)), np.bincount(places).astype(np.float64)


def interval(values: Sequence[float], groups: Sequence[Hashable]) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean (Efron, 1979), groups drawn with replacement.

    values, groups: one for each picture, at least one. With a single group both ends are the mean.
    """
    sums, counts = _sums(values, groups)
    draws = _draws(len(sums))
    means = (draws @ sums) / (draws @ counts)
    low, high = np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


@lru_cache(maxsize=4)
def _draws(groups: int) -> np.ndarray:
    """How often each round draws each group, float32 [ROUNDS, G]. Cached, since drawing takes most of the time."""
    draws = np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), ROUNDS)
    return draws.astype(np.float32)


@lru_cache(maxsize=4)
def _signs(groups: int) -> np.ndarray:
    """Signs of each group in each round, int8 [rounds, G]; the first round is the observed one."""
    if groups <= EXACT:
        return (1 - 2 * (np.arange(2**groups)[:, None] >> np.arange(groups) & 1)).astype(np.int8)
    signs = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (ROUNDS, groups))
    signs[0] = 1
    return signs


def sign_flips(differences: Sequence[float], groups: Sequence[Hashable]) -> float:
    """Two-sided p value of paired differences: the share of sign flips whose mean is as far from 0 as the observed.

    Fisher's randomisation test (1935): signs of whole groups are flipped, in all combinations up to 13 groups, in
    10,000 random ones beyond, the observed one included. 1 where all differences are 0.
    """
    sums, _ = _sums(differences, groups)
    rounding = 1e-12 * np.abs(sums).sum()
    return float(np.mean(np.abs(_signs(len(sums)) @ sums) >= abs(sums.sum()) - rounding))
