"""How sure a mean is, and whether two runs differ by more than chance: resampling, without assumptions on the scores.

Pictures that share a foreground score alike, so what is drawn anew are groups of pictures; a picture by itself is a
group of one. Everything is drawn from a fixed seed: the same scores give the same figures.
"""

from collections.abc import Hashable, Sequence
from functools import lru_cache

import numpy as np

ROUNDS = 10_000
LEVEL = 0.95
EXACT = 13
"""Groups up to which all combinations of signs are tried."""


def _sums(values: Sequence[float], groups: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the values and number of them in each group, float64 [G] each."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    places = np.array([numbers[group] for group in groups], np.int64)
    return np.bincount(places, np.asarray(values, np.float64)), np.bincount(places).astype(np.float64)


def interval(values: Sequence[float], groups: Sequence[Hashable]) -> tuple[float, float]:
    """The bootstrap's 95 % interval of the mean, by percentiles (Efron, 1979), groups being drawn with replacement.

    Both ends are the mean itself where there is one group alone. values, groups: one for each picture, at least one.
    """
    sums, counts = _sums(values, groups)
    draws = _draws(len(sums))
    means = (draws @ sums) / (draws @ counts)
    low, high = np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


@lru_cache(maxsize=4)
def _draws(groups: int) -> np.ndarray:
    """How often each group is drawn in each round, float32 [ROUNDS, G]: what a mean of a thousand costs most time."""
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
    """p of the paired differences, two-sided: how often their mean is as far from 0 when signs of groups are flipped.

    Fisher's randomisation test (1935): all combinations up to 13 groups, 10,000 random ones beyond, the observed one
    counted. 1 for no difference at all.
    """
    sums, _ = _sums(differences, groups)
    rounding = 1e-12 * np.abs(sums).sum()
    return float(np.mean(np.abs(_signs(len(sums)) @ sums) >= abs(sums.sum()) - rounding))
