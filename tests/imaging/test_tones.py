"""Masks in two tones that are not black and white."""

import cv2
import numpy as np
import pytest
from PIL import Image

from deepmat.errors import DataError
from deepmat.imaging.masks import clean_mask, read_mask

RED, BLUE, GREEN, BLACK, WHITE = (230, 20, 30), (20, 30, 200), (0, 117, 0), (0, 0, 0), (255, 255, 255)


def disc(soft=0.0, radius=40):
    y, x = np.mgrid[:120, :160]
    hard = np.where(np.hypot(y - 60, x - 80) < radius, 255, 0).astype(np.uint8)
    return cv2.GaussianBlur(hard, (0, 0), soft) if soft else hard


def ink(mask, front, back):
    weight = mask[..., None] / 255
    return np.rint(weight * front + (1 - weight) * np.array(back)).astype(np.uint8)


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_soft_masks_of_other_levels_are_stretched():
    for low, high in ((16, 235), (3, 251), (40, 255), (5, 245), (0, 127)):
        mask = np.rint(low + disc(1) / 255 * (high - low)).astype(np.uint8)
        made, notices = clean_mask(mask)
        assert notices == [f"its levels {low} to {high} were taken as 0 to 255"]
        assert np.abs(made.astype(int) - disc(1)).max() < 5
        assert (made == 0).mean() > 0.5 and (made == 255).mean() > 0.1
    veil = disc(1) - disc(1) // 16
    assert clean_mask(veil)[0] is veil


def test_a_jpeg_of_video_range(tmp_path):
    path = save(tmp_path / "m.jpg", np.where(disc() > 0, 235, 16).astype(np.uint8), quality=80)
    made, notices = read_mask(path)
    assert set(np.unique(made)) == {0, 255} and (made != disc()).mean() < 0.005
    assert "its levels 16 to 235 were taken as 0 to 255" in notices[0] and "JPEG" in notices[1]


@pytest.mark.parametrize(("front", "back"), [(RED, BLUE), (GREEN, BLACK), (BLUE, BLACK), (WHITE, BLUE), (RED, GREEN)])
@pytest.mark.parametrize("name", ["m.png", "m.jpg", "rgba.png"])
def test_two_colours(tmp_path, front, back, name):
    """The brighter colour is the foreground: red (76) even on a green of nearly the same brightness (69)."""
    pixels = ink(disc(0.6), front, back)
    if name == "rgba.png":
        pixels = np.dstack((pixels, np.where(disc(radius=2), 254, 255).astype(np.uint8)))
    made, notices = read_mask(save(tmp_path / name, pixels))
    assert ((made > 127) != (disc(0.6) > 127)).mean() < 0.002
    known = (made == 0) | (made == 255)
    assert known.mean() > 0.9
    assert any("two colours; the darker was taken as 0, the brighter as 255" in notice for notice in notices)


def test_colours_that_are_no_mask(tmp_path):
    voc = ink(disc(), (192, 128, 128), BLACK)
    voc[disc(radius=44) != disc()] = (224, 224, 192)
    photo = cv2.resize(np.random.default_rng(1).integers(0, 256, (9, 12, 3), dtype=np.uint8), (120, 90))
    half = ink(disc(), RED, BLUE)
    half[:40] = GREEN
    shades = np.clip(ink(disc(), RED, BLUE) + np.random.default_rng(0).normal(0, 20, (120, 160, 1)), 0, 255)
    for pixels in (voc, photo, half, shades.astype(np.uint8)):
        with pytest.raises(DataError, match="m.png: its colours are not those of a mask, but like labels or a photo"):
            read_mask(save(tmp_path / "m.png", pixels))
    with pytest.raises(DataError, match="m.png: its colours are #141ec8 and #e6141e, and which is the fore"):
        read_mask(save(tmp_path / "m.png", ink(disc(), BLUE, RED)))
    with pytest.raises(DataError, match="which is the foreground is unclear"):
        read_mask(save(tmp_path / "m.png", ink(disc(), (0, 0, 255), (255, 255, 0))))
    with pytest.raises(DataError, match="m.png: all its pixels are 90; save a mask of one object"):
        read_mask(save(tmp_path / "m.png", np.full((9, 9), 90, np.uint8)))
