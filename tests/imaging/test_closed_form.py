"""Closed-form matting against its paper, window by window, and on pictures whose alpha is known."""

import warnings

import cv2
import numpy as np
import pytest

import deepmat as api
from deepmat import synth
from deepmat.imaging import closed_form as solver
from deepmat.imaging.blend import COMPOSITORS
from deepmat.imaging.closed_form import DOUBT, EPSILON, TRUST, closed_form, correct
from deepmat.imaging.laplacian import system
from deepmat.imaging.trimap import from_alpha
from deepmat.models import load_model


def dense_laplacian(image):
    """Equation 12 of Levin et al. 2008, float64 [H W, H W]."""
    height, width, _ = image.shape
    place = np.arange(height * width).reshape(height, width)
    total = np.zeros((height * width, height * width))
    for row in range(height - 2):
        for column in range(width - 2):
            window = np.s_[row : row + 3, column : column + 3]
            colours = image[window].reshape(9, 3) / 255
            off = colours - colours.mean(0)
            inverse = np.linalg.inv(off.T @ off / 9 + EPSILON / 9 * np.eye(3))
            inside = place[window].ravel()
            total[np.ix_(inside, inside)] += np.eye(9) - (1 + off @ inverse @ off.T) / 9
    return total


@pytest.mark.parametrize("shape", [(3, 3), (9, 11), (4, 1)])
def test_the_equations_are_those_of_the_paper(shape):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    image[:3, :3] = 40
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), shape)
    matrix, right = system(image, trimap, EPSILON)
    full, unknown = dense_laplacian(image), trimap.ravel() == 128
    np.testing.assert_allclose(matrix.toarray(), full[np.ix_(unknown, unknown)], atol=1e-5)
    np.testing.assert_allclose(right, -full[np.ix_(unknown, ~unknown)] @ (trimap.ravel()[~unknown] / 255), atol=1e-5)


def blend_of_two_colours(height, width):
    """A picture that is alpha times one colour and 1 - alpha times another, but for rounding, and its alpha."""
    rows, columns = np.mgrid[:height, :width]
    alpha = np.clip(0.5 + (columns - width / 2) / (width / 4) + 0.2 * np.sin(rows / 3), 0, 1).astype(np.float32)
    image = alpha[..., None] * np.array([230, 180, 40]) + (1 - alpha[..., None]) * np.array([20, 60, 200])
    return np.rint(image).astype(np.uint8), alpha


def test_alpha_of_a_blend_of_two_colours_is_found():
    image, alpha = blend_of_two_colours(70, 90)
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[:, :8], trimap[:, -8:] = 0, 255
    model = load_model("closed-form")
    found = api.predict(model, image, trimap)
    assert np.abs(found - alpha).mean() < 0.004 and np.abs(found - alpha).max() < 0.05
    for options in ({"mode": "whole", "fit": "stretch"}, {"mode": "resize", "size": (64, 96)}, {"mode": "tile"}):
        assert np.abs(api.predict(model, image, trimap, **options) - alpha).mean() < 0.01, options


def test_few_steps_suffice_from_coarse_to_fine(monkeypatch):
    image, alpha = blend_of_two_colours(200, 300)
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[:, :8], trimap[:, -8:] = 0, 255
    assert np.abs(closed_form(image, trimap, steps=30) - alpha).mean() < 0.02
    monkeypatch.setattr(solver, "COARSEST", 1000)
    assert np.abs(closed_form(image, trimap, steps=30) - alpha).mean() > 0.1


def test_a_side_of_which_nothing_is_known_does_not_exist():
    image, _ = blend_of_two_colours(70, 90)
    trimap = np.full(image.shape[:2], 128, np.uint8)
    assert (closed_form(image, trimap) == 0.5).all()
    trimap[0] = 255
    assert closed_form(image, trimap).min() > 0.99


@pytest.mark.slow  # compiles PyMatting
def test_alphas_are_those_of_pymatting():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymatting import estimate_alpha_cf

    rng = np.random.default_rng(3)
    fg, truth = synth.foreground(rng, 160, 160, "fur")
    bg = synth.background(rng, 160, 160)
    image = COMPOSITORS["cv2"].blend(fg, truth, bg)
    trimap = from_alpha(truth, 5, 3)
    unknown = trimap == 128
    theirs = estimate_alpha_cf(image / 255, np.where(unknown, 0.5, trimap / 255))
    ours = closed_form(image, trimap, load_model("closed-form").epsilon)
    assert np.abs(ours - theirs)[unknown].mean() < 0.01


def test_a_correction_solves_its_equation():
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8), (0, 0), 1.0)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), (9, 11), p=[0.1, 0.8, 0.1])
    alpha = np.where(trimap == 128, rng.random((9, 11)), trimap / 255).astype(np.float32)
    unknown, full = trimap.ravel() == 128, dense_laplacian(image)
    trust = DOUBT + (TRUST - DOUBT) * np.abs(2 * alpha.ravel()[unknown] - 1) ** 4
    right = trust * alpha.ravel()[unknown] - full[np.ix_(unknown, ~unknown)] @ alpha.ravel()[~unknown]
    expected = alpha.ravel().copy()
    expected[unknown] = np.linalg.solve(full[np.ix_(unknown, unknown)] + np.diag(trust), right).clip(0, 1)
    np.testing.assert_allclose(correct(image, trimap, alpha).ravel(), expected, atol=2e-3)


def with_a_blurred_guess(height, width):
    """The picture and alpha of `blend_of_two_colours`, a trimap of which the middle is unknown, and a blurred alpha."""
    image, alpha = blend_of_two_colours(height, width)
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[:, :8], trimap[:, -8:] = 0, 255
    return image, alpha, trimap, np.where(trimap == 128, cv2.blur(alpha, (15, 15)), trimap / 255).astype(np.float32)


def test_a_correction_brings_back_details_and_leaves_what_is_known(monkeypatch):
    image, alpha, trimap, coarse = with_a_blurred_guess(70, 90)
    corrected = correct(image, trimap, coarse)
    assert np.abs(corrected - alpha).mean() < 0.5 * np.abs(coarse - alpha).mean()
    assert (corrected[trimap == 0] == 0).all() and (corrected[trimap == 255] == 1).all()
    monkeypatch.setattr(solver, "MOST", 100)
    assert correct(image, trimap, coarse) is coarse
    assert correct(image, np.full_like(trimap, 255), coarse) is coarse


def test_a_correction_in_strips_is_that_of_the_whole(monkeypatch):
    image, _, trimap, coarse = with_a_blurred_guess(300, 60)
    whole = correct(image, trimap, coarse)
    monkeypatch.setattr(solver, "AT_ONCE", 4000)
    assert np.abs(correct(image, trimap, coarse) - whole).max() < 0.01


def test_a_correction_leaves_neighbourhoods_that_are_sure(monkeypatch):
    image, alpha, trimap, coarse = with_a_blurred_guess(70, 90)
    coarse[15:55, 25:55] = 0.5
    coarse[20:50, 30:50] = np.where(np.arange(20) < 10, 0.01, 0.99)
    unknown, plain = [], solver.system
    monkeypatch.setattr(solver, "system", lambda *given: unknown.append(given[1] == 128) or plain(*given))
    corrected = correct(image, trimap, coarse)
    (doubtful,) = unknown
    # Three pixels from what is not sure, and from the jump between 0 and 1.
    assert not doubtful[23:47, 33:37].any() and not doubtful[23:47, 43:47].any()
    assert doubtful[20:50, 37:43].all() and doubtful[20:50, 30:33].all() and doubtful[15:20, 25:55].all()
    assert np.array_equal(corrected[~doubtful], coarse[~doubtful])
    assert (corrected[25:45, 38:42] != coarse[25:45, 38:42]).mean() > 0.9


def test_a_correction_of_a_large_picture_begins_with_a_copy(monkeypatch):
    image, alpha, trimap, coarse = with_a_blurred_guess(70, 90)
    fine = correct(image, trimap, coarse)
    monkeypatch.setattr(solver, "FINE", max(trimap.shape) - 1)
    both = correct(image, trimap, coarse)
    assert np.abs(both - fine).max() > 0.001
    assert np.abs(both - alpha).mean() < np.abs(coarse - alpha).mean()
    assert (both[trimap == 0] == 0).all() and (both[trimap == 255] == 1).all()
    monkeypatch.setattr(solver, "MOST", np.count_nonzero(trimap == 128) // 3)  # too many, but not in the copy
    copied = correct(image, trimap, coarse)
    assert np.abs(copied - alpha).mean() < np.abs(coarse - alpha).mean()
