import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from deepmat import imaging, synth
from deepmat.errors import DataError
from deepmat.imaging import masks


def hard(seed=0, height=203, width=190):
    field = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal((height, width)), (0, 0), 9)
    return np.where(field > 0.01, 255, 0).astype(np.uint8)


def soft(kind, seed=1):
    return synth.foreground(np.random.default_rng(seed), 200, 240, kind)[1]


def save(path, levels, mode=None, **options):
    Image.fromarray(levels).convert(mode or Image.fromarray(levels).mode).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("levels", "taken", "notice"),
    [
        ([0, 255, 255], [0, 255, 255], None),
        ([0, 1, 0], [0, 255, 0], "its levels 0 and 1 were taken as 0 and 255"),
        ([0, 38, 0], [0, 255, 0], "its levels 0 and 38 were taken as 0 and 255"),
        ([0, 40, 255], [0, 40, 255], None),
        ([0, 40, 200], [0, 40, 200], None),
        ([0, 0, 0], [0, 0, 0], None),
        ([254, 255, 255], [254, 255, 255], None),
        ([200, 255, 255], [0, 255, 255], "its levels 200 and 255 were taken as 0 and 255"),
        ([16, 235, 16], [0, 255, 0], "its levels 16 and 235 were taken as 0 and 255"),
        ([60, 90, 60], [0, 255, 0], "its levels 60 and 90 were taken as 0 and 255"),
    ],
)
def test_levels_of_masks(levels, taken, notice):
    mask, notices = masks.clean_mask(np.array([levels], np.uint8))
    np.testing.assert_array_equal(mask, [taken])
    assert notices == ([notice] if notice else [])


def test_labels_are_refused_unless_a_threshold_chooses():
    for levels in ([0, 1, 2], [1, 2], [0, 7, 31]):
        with pytest.raises(DataError, match=f"its levels are {levels[0]} to {levels[-1]}, like labels; save a mask"):
            masks.clean_mask(np.array([levels], np.uint8))
    mask, notices = masks.clean_mask(np.array([[0, 1, 2, 3]], np.uint8), threshold=2)
    np.testing.assert_array_equal(mask, [[0, 0, 255, 255]])
    assert not notices


def regions(*levels, side=24):
    """Squares of these levels on 0, the first and the second beside each other."""
    mask = np.zeros((3 * side, side * (len(levels) + 2)), np.uint8)
    for place, level in enumerate(levels):
        mask[side : 2 * side, side * (place + 1) : side * (place + 2)] = level
    return mask


def with_void(mask):
    edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return np.where(edge > 0, np.uint8(255), mask)


@pytest.mark.parametrize(
    "levels", [(15,), (1,), (1, 2, 15), (7, 24, 11, 33), (40, 80, 120, 160, 200, 240), (3, 90, 5, 40)]
)
def test_labels_are_refused_with_void_or_large_numbers(levels):
    masked = [with_void(regions(*levels))]
    if len(levels) > 3:
        masked.append(regions(*levels))
    for mask in masked:
        end = " and 255" if mask.max() == 255 else ""
        with pytest.raises(DataError, match=f"its levels are 0 to {max(levels)}{end}, like labels; save a mask"):
            masks.clean_mask(mask)


def test_soft_masks_with_flat_areas_are_no_labels():
    ramp = np.repeat(np.arange(0, 256, 17), 20).astype(np.uint8)
    shadow = cv2.GaussianBlur(regions(24), (0, 0), 6)
    shadow[-30:] = 255
    upscaled = np.kron(cv2.resize(hard()[:50, :50], (20, 20), interpolation=cv2.INTER_AREA), np.ones((4, 4), np.uint8))
    for mask in (np.tile(ramp, (30, 1)), shadow, upscaled, regions(128, 255), regions(100, 180, 255)):
        assert masks.clean_mask(mask)[0] is mask


@settings(max_examples=40)
@example(678, 30, False, ".jpg")
@example(1, 61, True, ".png")  # its darkest level is 1
@given(st.integers(0, 10**6), st.integers(30, 95), st.booleans(), st.sampled_from([".jpg", ".png"]))
def test_a_hard_mask_that_was_a_jpeg_is_hard_again(tmp_path_factory, seed, quality, again, suffix):
    """Kept as JPEG, or as PNG since."""
    levels = hard(seed)
    folder = tmp_path_factory.mktemp("mask")
    path = save(folder / "m.jpg", levels, "RGB", quality=quality)
    if again:
        path = save(folder / "m.jpg", np.asarray(Image.open(path)), quality=90)
    if suffix == ".png":
        path = save(folder / "m.png", np.asarray(Image.open(path)))
    mask, notices = masks.read_mask(path)
    taken = "levels from 128 on were taken as 255, lower ones as 0"
    assert notices == [f"{path}: a hard mask with JPEG artefacts; {taken}"]
    edge = cv2.dilate(levels, np.ones((3, 3))) != cv2.erode(levels, np.ones((3, 3)))
    assert set(np.unique(mask)) == {0, 255}
    # JPEG's ringing that reaches 128 looks like the mask: one pixel in 160 masks at quality 30.
    assert ((mask != levels) & ~edge).sum() <= 2


@pytest.mark.parametrize("kind", synth.KINDS)
def test_soft_alphas_stay_as_they_are(kind):
    alpha = soft(kind)
    assert masks.clean_mask(alpha)[0] is alpha
    for sigma in (0.5, 1, 2, 3):
        smooth = cv2.GaussianBlur(np.where(alpha > 127, 255, 0).astype(np.uint8), (0, 0), sigma)
        assert masks.clean_mask(smooth)[0] is smooth
        smooth[:40] = alpha[:40]
        assert masks.clean_mask(smooth)[0] is smooth


@example(90, (3, 1))
@given(st.integers(0, 10**6), arrays.array_shapes(min_dims=2, max_dims=2, max_side=24))
def test_small_soft_masks_stay_as_they_are(seed, shape):
    """Pixels of a few levels are no two tones."""
    mask = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    mask[0, 0] = 255
    assume(len(np.unique(mask)) != 2)
    assert masks.clean_mask(mask)[0] is mask


def test_a_soft_alpha_in_a_jpeg_has_its_ends_again(tmp_path):
    alpha = soft("fur")
    mask, notices = masks.read_mask(save(tmp_path / "a.jpg", alpha, quality=85))
    assert "levels up to 8 from 0 or 255 were taken as these" in notices[0]
    ends = (alpha == 0) | (alpha == 255)
    assert (mask[ends] == alpha[ends]).mean() > 0.97
    assert np.abs(mask.astype(int) - alpha).max() < 40
    raw = masks.read_mask(save(tmp_path / "a.png", np.asarray(Image.open(tmp_path / "a.jpg"))))[0]
    assert ((raw == 0) | (raw == 255)).mean() < ends.mean() - 0.01


def test_a_jpeg_with_a_patch_of_another_level_is_no_hard_mask(tmp_path):
    levels = hard()
    levels[:48, :48] = 0
    levels[8:40, 8:40] = 100
    mask, notices = masks.read_mask(save(tmp_path / "m.jpg", levels, quality=80))
    assert np.median(mask[8:40, 8:40]) == 100
    assert "levels up to 8 from 0 or 255" in notices[0]


def test_masks_in_any_kind_of_file(tmp_path):
    levels = hard()
    save(tmp_path / "rgb.bmp", levels, "RGB")
    save(tmp_path / "bits.png", levels, "1")
    save(tmp_path / "deep.png", levels.astype(np.uint16) * 257)
    save(tmp_path / "deep labels.png", levels.astype(np.uint16) // 255)
    save(tmp_path / "rgba.png", np.dstack((np.full((*levels.shape, 3), 90, np.uint8), levels)))
    save(tmp_path / "float.tif", levels.astype(np.float32) / 255)
    colours = Image.fromarray(levels // 255).convert("P")
    colours.putpalette([0, 0, 0, 128, 0, 0])
    colours.save(tmp_path / "palette.png")
    for path in tmp_path.iterdir():
        mask, notices = masks.read_mask(path)
        np.testing.assert_array_equal(mask, levels, str(path))
        assert bool(notices) == (path.name in ("palette.png", "deep labels.png"))


def test_a_mask_of_another_size(tmp_path):
    levels = hard()
    path = save(tmp_path / "m.png", levels // 255)
    mask, notices = masks.read_mask(path, size=(406, 380))
    np.testing.assert_array_equal(mask, np.kron(levels, np.ones((2, 2), np.uint8)))
    assert "190x203, but its picture is 380x406; resized to that" in notices[1]
    with pytest.raises(DataError, match="m.png: 190x203, but its picture is 203x190, of another aspect ratio"):
        masks.read_mask(path, size=(190, 203))


def test_a_grey_photo_given_as_a_mask_gets_a_notice(tmp_path):
    y, x = np.mgrid[:120, :160]
    texture = np.random.default_rng(0).integers(0, 60, (120, 160))
    soft = np.clip(255 * (1.2 - np.hypot(x - 80, y - 60) / 45), 0, 255)
    for name, pixels, odd in (("photo", 60 + x + texture // 2, True), ("soft", soft, False)):
        imaging.write_image(tmp_path / f"{name}.png", pixels.astype(np.uint8))
        notices = masks.read_mask(tmp_path / f"{name}.png")[1]
        assert any("as in a photo; is it a mask?" in notice for notice in notices) == odd, name
    assert masks.read_mask(tmp_path / "photo.png", threshold=128)[1] == []
