import cv2
import numpy as np
import pytest

from deepmat.subject.seeking import Seeker, is_cut_out, seek


def cut_out(bleed=8, under=0):
    """A red disc with a soft edge, cut out: uint8 RGB [H, W, 3] and alpha; its colours are continued by `bleed`."""
    y, x = np.mgrid[:120, :160]
    far = np.hypot(x - 80, y - 60)
    alpha = np.rint(np.clip((40 - far) / 4, 0, 1) * 255).astype(np.uint8)
    image = np.full((120, 160, 3), under, np.uint8)
    image[far < 40 + bleed] = 200, 40, 30
    return image, alpha


@pytest.mark.parametrize("bleed", [0, 1, 8, 30])
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
