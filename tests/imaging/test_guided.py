"""The guided filter: a mask is enlarged along the edges of its photo."""

import cv2
import numpy as np
import pytest

from deepmat.imaging.guided import enlarge


def disc(side):
    """A bright disc before a dark ground, uint8 RGB, and its alpha, float32."""
    rows, columns = np.mgrid[:side, :side]
    alpha = np.clip(side * 0.3 - np.hypot(rows - side / 2, columns - side / 2) + 0.5, 0, 1).astype(np.float32)
    image = 20 + 200 * alpha[..., None] + np.zeros(3)
    return np.rint(image).astype(np.uint8), alpha


@pytest.mark.parametrize("radius", [1, 3])
@pytest.mark.parametrize("sides", [(80, 80), (61, 93)])
def test_edges_come_back_from_the_photo(sides, radius):
    image, alpha = (each[: sides[0], : sides[1]] for each in disc(max(sides)))
    size = sides[1] // 3, sides[0] // 3
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    found = enlarge(image, small * 255, radius) / 255
    plain = cv2.resize(small, sides[::-1], interpolation=cv2.INTER_LINEAR)
    assert found.dtype == np.float32 and found.shape == sides and 0 <= found.min() and found.max() <= 1
    assert np.abs(found - alpha).mean() < 0.5 * np.abs(plain - alpha).mean()
    levels = enlarge(image, np.rint(small * 255).astype(np.uint8), radius)
    assert levels.dtype == np.uint8 and np.abs(levels / 255 - found).mean() < 0.002


def test_away_from_edges_levels_stay_whatever_the_photo_shows():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mask = np.full((16, 16), 77, np.uint8)
    assert (enlarge(image, mask) == 77).all()


@pytest.mark.parametrize("radius", [1, 3])
def test_where_the_photo_shows_no_edge_the_levels_stay_between_those_of_the_mask(radius):
    mask = np.full((40, 40), 251, np.float32)
    mask[:, 20:] = 255
    found = enlarge(np.full((120, 120, 3), 200, np.uint8), mask, radius)
    assert found.min() > 250.99 and found.max() < 255.01


def test_the_size_of_a_block_makes_no_difference(monkeypatch):
    image, alpha = disc(90)
    small = cv2.resize(alpha, (30, 30), interpolation=cv2.INTER_AREA) * 255
    whole = enlarge(image, small)
    monkeypatch.setattr("deepmat.imaging.guided.STRIP", 17)
    monkeypatch.setattr("deepmat.imaging.guided.LONG", 23)
    np.testing.assert_allclose(enlarge(image, small), whole, atol=1e-3)


@pytest.mark.parametrize("turn", [np.asarray, np.rot90])
def test_panoramas_of_any_length(turn):
    image = np.full((6, 33000, 3), 40, np.uint8)
    image[:, 20000:] = 220
    mask = cv2.resize(image[..., 0], (3300, 2), interpolation=cv2.INTER_AREA) // 220 * np.uint8(255)
    found = enlarge(turn(image).copy(), turn(mask).copy())
    np.testing.assert_array_equal(found > 127, turn(image)[..., 0] > 127)
