import cv2
import numpy as np
import pytest

from deepmat.subject import band
from deepmat.subject.offset import offset_of


def scene(subject, ground, radius=50, noise=2):
    """A disc on a ground, uint8 [200, 200, 3], and its exact mask."""
    y, x = np.mgrid[:200, :200]
    mask = np.where(np.hypot(x - 100, y - 100) < radius, 255, 0).astype(np.uint8)
    image = np.where(mask[..., None] > 0, subject, ground) + np.random.default_rng(0).normal(0, noise, (200, 200, 3))
    return cv2.GaussianBlur(np.clip(image, 0, 255).astype(np.uint8), (0, 0), 0.7), mask


def grown(mask, by):
    square = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(by) + 1,) * 2)
    return (cv2.dilate if by > 0 else cv2.erode)(mask, square)


@pytest.mark.parametrize(("subject", "ground"), [(250, 8), (20, 247), (140, 80), (128, 250)])
@pytest.mark.parametrize("by", [-12, -7, -5, 0, 2, 5, 7, 9, 15])
def test_the_band_reaches_the_edge_of_a_mask_that_is_too_large_or_too_small(subject, ground, by):
    image, exact = scene(subject, ground)
    mask = grown(exact, by) if by else exact
    offset = offset_of(image, mask, 4)
    assert abs(offset - (by if abs(by) >= 4 else 0)) <= 2
    made, notices = band.from_mask(mask, 4, 4, image=image)
    assert (made[grown(exact, 1) != grown(exact, -1)] == 128).all()
    assert bool(notices) == bool(offset)
    if offset:
        assert f"pixels {'inside' if by > 0 else 'outside'} the mask's all around" in notices[0]
        assert (band.from_mask(mask, 4, 4)[0][grown(exact, 1) != grown(exact, -1)] != 128).any()  # without the picture


@pytest.mark.parametrize("widths", [(4, 30), (30, 4)])
@pytest.mark.parametrize("by", [-12, 12])
def test_the_narrower_side_of_a_band_decides_whether_it_is_widened(widths, by):
    image, exact = scene(250, 8)
    made, _ = band.from_mask(grown(exact, by), *widths, image=image)
    assert (made[grown(exact, 1) != grown(exact, -1)] == 128).all()


def test_an_exact_mask_keeps_its_band_whatever_the_picture_shows_elsewhere():
    image, mask = scene(120, 90)
    spots = np.random.default_rng(1).integers(0, 200, (60, 2))
    for x, y in spots[np.abs(np.hypot(*(spots - 100).T) - 50) > 6].tolist():  # clearer than the edge
        cv2.circle(image, (x, y), 3, (255, 255, 255), -1)
    assert offset_of(image, mask, 4) == 0
    image[:] = 90  # nothing to see at all
    assert offset_of(image, mask, 4) == 0
    for flat in (0, 255):
        assert offset_of(image, np.full_like(mask, flat), 4) == 0
    assert offset_of(image, mask, 0) == 0
