import cv2
import numpy as np
import pytest
from PIL import Image

from deepmat.errors import DataError
from deepmat.imaging import trimap
from deepmat.imaging.arrays import as_trimap


def disc():
    y, x = np.mgrid[:120, :160]
    return np.where((x - 80) ** 2 + (y - 60) ** 2 < 40**2, 255, 0).astype(np.uint8)


def photo(seed=0):
    """Smooth colours, as of a blurred background."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC)


def studio():
    """A thing of many colours on a white ground that is exactly white."""
    return np.where(disc()[..., None] > 0, photo(), 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["photo", "studio", "grey", "jpeg"])
def test_a_photo_is_no_trimap(tmp_path, kind):
    pixels = studio() if kind == "studio" else photo()[..., 0] if kind == "grey" else photo()
    path = tmp_path / ("t.jpg" if kind == "jpeg" else "t.png")
    Image.fromarray(pixels).save(path)
    with pytest.raises(DataError, match=f"{path.name}: not a trimap"):
        trimap.read_trimap(path)
    with pytest.raises(DataError, match="^trimap: not a trimap"):
        as_trimap(pixels, (120, 160))


@pytest.mark.parametrize("quality", [None, 90, 30])
@pytest.mark.parametrize("third", [(255, 255, 255), (0, 255, 0)])
def test_trimaps_in_colours_get_a_notice(tmp_path, quality, third):
    levels = trimap.by_distance(disc(), 12, 12)
    pixels = np.array([(0, 0, 0), (0, 0, 255), third], np.uint8)[levels // 127]
    path = tmp_path / ("t.jpg" if quality else "t.png")
    Image.fromarray(pixels).save(path, **({"quality": quality} if quality else {}))
    read, notices = trimap.read_trimap(path)
    share = np.mean(levels == 128) if third == (255, 255, 255) else np.mean(levels > 0)
    assert f"{path}: " in notices[0] and "of it is coloured, taken as unknown; paint background 0" in notices[0]
    assert np.mean(read == 128) == pytest.approx(share, abs=0.05)


def test_soft_masks_and_smoothed_trimaps_are_not_taken_for_photos():
    for soft in (cv2.GaussianBlur(disc(), (0, 0), 6), cv2.blur(trimap.by_distance(disc(), 9, 9), (9, 9))):
        assert as_trimap(soft, soft.shape)[0].shape == soft.shape


def test_a_trimap_that_knows_one_side_alone():
    levels = trimap.by_distance(disc(), 9, 9)
    assert trimap.one_sided(levels) == trimap.one_sided(disc()) == trimap.one_sided(np.full_like(levels, 128)) == []
    assert "no pixel is 255, so no foreground is known" in trimap.one_sided(np.minimum(levels, 128))[0]
    assert "no pixel is 0, so no background is known" in trimap.one_sided(np.maximum(levels, 128))[0]
