import numpy as np
import pytest

from deepmat.scoring.significance import interval, sign_flips


def test_an_interval_holds_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    holds = 0
    for _ in range(200):
        values = rng.gamma(2, 5, 60)
        low, high = interval(values, range(60))
        holds += low <= 10 <= high
    assert 0.90 <= holds / 200 <= 0.985


@pytest.mark.slow
def test_an_interval_agrees_with_scipys_bootstrap():
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(2).gamma(2, 5, 40)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", random_state=0).confidence_interval
    width = theirs.high - theirs.low
    assert interval(values, range(40)) == pytest.approx(tuple(theirs), abs=0.05 * width)


def test_pictures_of_one_foreground_are_drawn_together():
    """Twenty copies of each value tell no more than one of each."""
    values = np.random.default_rng(3).normal(10, 2, 12)
    copies, groups = np.repeat(values, 20), np.repeat(np.arange(12), 20)
    assert interval(copies, groups) == pytest.approx(interval(values, range(12)))
    low, high = interval(copies, range(240))
    alone = interval(values, range(12))
    assert high - low < 0.35 * (alone[1] - alone[0])
    assert sign_flips(copies - 8.5, groups) == pytest.approx(sign_flips(values - 8.5, range(12)))


def test_an_interval_of_what_does_not_vary():
    assert interval([3.0, 3.0, 3.0], "abc") == (3.0, 3.0)
    assert interval([5.0], ["a"]) == (5.0, 5.0)
    low, high = interval([1.0, 2.0], ["a", "a"])
    assert low == high == 1.5


def test_large_groups_weigh_by_their_pictures():
    """The mean is of pictures, not of groups' means: 9 pictures of 1 and one of 11."""
    low, high = interval([1.0] * 9 + [11.0], ["a"] * 9 + ["b"])
    assert (low, high) == (1.0, 11.0)
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=60), np.repeat(np.arange(12), [1, 9] * 6)
    low, high = interval(values, groups)
    assert low < values.mean() < high
    assert 0 < sign_flips([1.0] * 40, range(40)) <= 1 / 10_000  # the observed signs count: never 0


def test_sums_that_cancel_are_equal_to_themselves():
    assert sign_flips([0.18, -0.1, -0.19, 0.08, -0.13, 0.16], range(6)) == 1


def test_sign_flips_by_hand():
    assert sign_flips([1.0, 2.0, 3.0], "abc") == 2 / 8  # all signs alike, either way
    assert sign_flips([0.0, 0.0], "ab") == 1
    assert sign_flips([1.0, -1.0], "ab") == 1


@pytest.mark.parametrize("number", [9, 30])
def test_sign_flips_agree_with_scipys_permutations(number):
    stats = pytest.importorskip("scipy.stats")
    differences = np.random.default_rng(number).normal(0.4, 1, number)
    theirs = stats.permutation_test(
        (differences, np.zeros(number)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(0),
    ).pvalue
    assert sign_flips(differences, range(number)) == pytest.approx(theirs, abs=0 if number < 13 else 0.01)


def test_the_same_scores_give_the_same_figures():
    values = np.random.default_rng(0).normal(size=30)
    assert interval(values, range(30)) == interval(values, range(30))
    assert sign_flips(values, range(30)) == sign_flips(values, range(30))
