"""Which layer of a picture holds the matte: its colours or its alpha channel."""

import cv2
import numpy as np
import pytest

from deepmat import imaging
from deepmat.imaging.arrays import as_alpha
from deepmat.imaging.masks import read_mask


def disc(height=90, width=120):
    y, x = np.mgrid[:height, :width]
    return np.clip(800 - 20 * np.hypot(y - 45, x - 60), 0, 255).astype(np.uint8)


def layers(colour, alpha):
    return np.dstack((*[colour] * 3, alpha)) if colour.ndim == 2 else np.dstack((colour, alpha))


def box(turn=0, margin=9):
    inside = np.zeros((90, 120), np.uint8)
    inside[margin:-margin, margin:-margin] = 255
    return cv2.warpAffine(inside, cv2.getRotationMatrix2D((60, 45), turn, 0.9), (120, 90))


def opaque(stray=254):
    alpha = np.full((90, 120), 255, np.uint8)
    alpha[0, :3] = stray
    return alpha


NOISE = np.random.default_rng(0).integers(250, 256, (90, 120), dtype=np.uint8)


@pytest.mark.parametrize(
    "alpha",
    [opaque(), opaque(0), NOISE, box(), box(20), np.full((90, 120), 128, np.uint8)],
    ids=["nearly", "holes", "noise", "border", "turned", "half"],
)
def test_a_channel_that_is_opaque_or_a_frame_is_not_the_matte(tmp_path, alpha):
    """Of masks, of mattes in eval, of alphas from Python."""
    path = tmp_path / "a.png"
    imaging.write_image(path, layers(disc(), alpha))
    expected = np.where(alpha > alpha.max() // 2, disc(), 0)
    for read in (imaging.read_grey, imaging.read_matte, as_alpha):
        np.testing.assert_array_equal(read(path), expected)
    mask, notices = read_mask(path)
    np.testing.assert_array_equal(mask, expected)
    assert notices == [f"{path}: its colours were taken as the mask; its alpha channel shows no more than a frame"]


PHOTO = cv2.resize(np.random.default_rng(1).integers(0, 256, (9, 12, 3), dtype=np.uint8), (120, 90))
GREY = PHOTO[..., 0] // 2 + 60


@pytest.mark.parametrize(
    ("colour", "alpha"),
    [
        (PHOTO, disc()),
        (PHOTO, box()),
        (GREY, box()),
        (np.full_like(GREY, 255), disc()),
        (np.zeros_like(GREY), box()),
        (disc(), disc()),
        (255 - disc(), disc()),
        (PHOTO, np.zeros_like(GREY)),
    ],
    ids=["cut-out", "square photo", "grey photo", "white", "black", "premultiplied", "on white", "nothing"],
)
def test_a_channel_with_a_shape_is_the_matte(tmp_path, colour, alpha):
    imaging.write_image(tmp_path / "a.png", layers(colour, alpha))
    np.testing.assert_array_equal(imaging.read_grey(tmp_path / "a.png"), alpha)
