"""Narrowing: what alpha is unsure of stays unknown, and a margin around it."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmat.imaging.narrowing import AROUND, SURE, WIDE, is_wide, narrowed, sure_of

SIDE = 1000


def edge(margin):
    """A trimap that leaves a soft edge of 20 pixels and so many more to each side unknown, and alpha; 40 x SIDE."""
    columns = np.arange(SIDE) - SIDE / 2 + 0.5
    alpha = np.clip(0.5 + columns / 20, 0, 1).astype(np.float32)
    trimap = np.where(np.abs(columns) < 10 + margin, 128, np.where(columns > 0, 255, 0)).astype(np.uint8)
    return np.tile(trimap, (40, 1)), np.tile(alpha, (40, 1))


def test_a_margin_stays_unknown_around_what_alpha_is_unsure_of():
    trimap, alpha = edge(margin=40)
    levels = narrowed(trimap, alpha)
    unsure = (alpha > SURE) & (alpha < 1 - SURE)
    away = cv2.distanceTransform((~unsure).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    around = AROUND * SIDE
    assert (levels[away < around] == 128).all()
    assert np.array_equal(levels[away > around + 2], np.where(alpha > 0.5, 255, 0)[away > around + 2])


@pytest.mark.parametrize("side", ["both", "foreground", "background"])
def test_a_trimap_is_wide_if_it_is_on_either_side(side):
    for margin, wide in ((WIDE * SIDE - 4, False), (WIDE * SIDE + 4, True)):
        trimap, alpha = edge(margin)
        narrow = edge(5)[0]
        if side == "foreground":  # wide on that side alone
            trimap[alpha < 0.5] = narrow[alpha < 0.5]
        if side == "background":
            trimap[alpha > 0.5] = narrow[alpha > 0.5]
        assert is_wide(trimap, alpha) == wide


def test_a_trimap_of_which_nothing_would_be_left_unknown_stays():
    trimap, alpha = edge(40)
    nothing = np.zeros_like(alpha)
    trimap[trimap == 255] = 0
    assert narrowed(trimap, nothing) is trimap and not is_wide(trimap, nothing)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([0.0, 0.03, 0.2]))
def test_what_becomes_known_is_sure_all_around_and_nothing_else_changes(seed, around, sure):
    rng = np.random.default_rng(seed)
    trimap = cv2.resize(
        rng.choice(np.array([0, 128, 255], np.uint8), (4, 5)), (50, 40), interpolation=cv2.INTER_NEAREST
    )
    alpha = cv2.resize(rng.random((3, 4), np.float32) * 1.6 - 0.3, (50, 40)).clip(0, 1)
    levels = sure_of(trimap, alpha, sure, around)
    assert np.array_equal(levels[trimap != 128], trimap[trimap != 128])
    for row, column in np.argwhere((levels != 128) & (trimap == 128))[::37]:
        level = levels[row, column]
        rows, columns = np.mgrid[:40, :50]
        near = (rows - row) ** 2 + (columns - column) ** 2 <= (around - 1) ** 2
        says = np.where(trimap == 128, np.where(alpha < sure, 0, np.where(alpha > 1 - sure, 255, 128)), trimap)
        assert (says[near] == level).all()
