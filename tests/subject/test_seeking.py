import cv2
import numpy as np
import pytest

from deepmat.subject.emptied import is_cut_out
from deepmat.subject.seeking import Seeker, seek


def cut_out(bleed=8, under=0):
    """A red disc with a soft edge, cut out: uint8 RGB [H, W, 3] and alpha; its colours are continued by `bleed`."""
    y, x = np.mgrid[:120, :160]
    far = np.hypot(x - 80, y - 60)
    alpha = np.rint(np.clip((40 - far) / 4, 0, 1) * 255).astype(np.uint8)
    image = np.full((120, 160, 3), under, np.uint8)
    image[far < 40 + bleed] = 200, 40, 30
    return image, alpha


@pytest.mark.parametrize("bleed", [0, 1, 8, 11])
@pytest.mark.parametrize("under", [0, 255, 77])
def test_a_photo_that_is_cut_out_keeps_its_alpha(bleed, under):
    image, alpha = cut_out(bleed, under)
    assert is_cut_out(image, alpha)
    subject = seek(image, alpha, Seeker())
    assert subject.finder == "alpha" and "cut out already" in subject.why
    np.testing.assert_array_equal(subject.alpha, alpha / np.float32(255))
    assert set(np.unique(subject.trimap)) == {0, 128, 255} and (subject.trimap[alpha == 255] == 255).all()


def test_a_photo_with_its_background_is_not():
    image, alpha = cut_out()
    y, x = np.mgrid[:120, :160].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 6, image.shape)
    for background in (cv2.merge([x, y, 90 + 0 * x]), 180 + noise, np.where(x[..., None] < 5, 90, 20)):
        photo = np.where(alpha[..., None] > 0, image, np.clip(background, 0, 255)).astype(np.uint8)
        assert not is_cut_out(photo, alpha)
        assert seek(photo, alpha, Seeker()).alpha is None
    assert not is_cut_out(image, np.maximum(alpha, 1))  # nothing is transparent, so nothing tells


@pytest.mark.parametrize("ground", [0, 255])
@pytest.mark.parametrize("change", [-20, 20, "uneven"])
@pytest.mark.parametrize("soft", [1, 12])
def test_a_rough_mask_before_an_overexposed_ground_is_a_mask(ground, change, soft):
    """Its fill is in the mask, or the subject is beside it, farther or not as far everywhere."""
    y, x = np.mgrid[:240, :240]
    far, turn = np.hypot(x - 120, y - 120), np.arctan2(y - 120, x - 120)
    image = np.full((240, 240, 3), ground, np.uint8)
    image[far < 80] = 200, 40, 30
    edge = 80 + (14 * np.sin(5 * turn) if change == "uneven" else change)
    assert not is_cut_out(image, np.rint(np.clip((edge - far) / soft + 0.5, 0, 1) * 255).astype(np.uint8))


def test_a_hard_mask_on_white_is_a_mask_and_one_on_black_is_all_there_is():
    for under, kept in ((255, False), (0, True)):
        image, alpha = cut_out(0, under)
        image[alpha < 128] = under
        assert is_cut_out(image, np.where(alpha > 127, 255, 0).astype(np.uint8)) == kept


def test_a_drawing_of_one_colour_is_all_in_its_alpha():
    _, alpha = cut_out()
    assert is_cut_out(np.full((120, 160, 3), 255, np.uint8), alpha)
