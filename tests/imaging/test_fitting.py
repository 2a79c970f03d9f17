import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from deepmat import imaging
from deepmat.errors import DataError, DeepmatWarning
from deepmat.imaging import fitting, trimap
from deepmat.inference.jobs import Job, read_job
from deepmat.inference.predict import predict
from deepmat.inference.subjects import by_mask, by_trimap
from deepmat.scoring.cases import read_case
from deepmat.subject.band import parse_width

ORIENTATION = 0x0112


def scene(height=60, width=80):
    """An orange disc off the middle on a blue ground, and its trimap: uint8 [H, W, 3] and [H, W]."""
    y, x = np.mgrid[:height, :width]
    alpha = np.where((x - width / 4) ** 2 + (y - height / 3) ** 2 < 12**2, 255, 0).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3))
    return (np.where(alpha[..., None] > 0, (190, 90, 30), (30, 60, 150)) + noise).astype(np.uint8), alpha


def store(pixels, orientation):
    """The pixels as a camera stores them that writes this orientation."""
    planes = [pixels] if pixels.ndim == 2 else cv2.split(pixels)
    stored = [fitting.turn(plane, fitting.INVERSE.get(orientation, orientation)) for plane in planes]
    return np.ascontiguousarray(np.dstack(stored).squeeze())


def save(path, pixels, orientation=1):
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[ORIENTATION] = orientation
    picture.save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turn_does_what_exif_says(tmp_path, orientation):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    upright = imaging.read_grey(save(tmp_path / "a.png", pixels, orientation))
    np.testing.assert_array_equal(fitting.turn(pixels, orientation), upright)
    np.testing.assert_array_equal(store(upright, orientation), pixels)


@pytest.mark.parametrize("kind", ["trimap", "mask"])
@pytest.mark.parametrize("size", [(60, 80), (70, 70)])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_guide_is_turned_as_its_photo_is(tmp_path, orientation, size, kind):
    """Whether it was made from the pixels as they are stored, with or without the tag, or from the upright photo."""
    image, alpha = scene(*size)
    guide = trimap.by_distance(alpha, 3, 3) if kind == "trimap" else alpha
    photo = save(tmp_path / "photo.png", store(image, orientation), orientation)
    guide_of = by_trimap() if kind == "trimap" else by_mask(parse_width("3"))
    ways = {"stored": (store(guide, orientation), 1), "tagged": (store(guide, orientation), orientation)}
    ways |= {"upright": (guide, 1), "tag left": (guide, orientation)}
    for way, (pixels, tag) in ways.items():
        if way == "tag left" and (size[0] == size[1] or orientation < 5):
            continue  # nothing tells: the tags agree and so do the sizes
        read = read_job(Job("a", photo, save(tmp_path / f"{way}.png", pixels, tag)), guide_of)
        np.testing.assert_array_equal(read.subject.trimap, trimap.by_distance(alpha, 3, 3), err_msg=way)
        told = [notice for notice in read.notices if "EXIF orientation" in notice]
        assert bool(told) == (way in ("stored", "tag left")), way
        assert all(notice.startswith(str(tmp_path / f"{way}.png")) for notice in told)


@pytest.mark.parametrize("orientation", [3, 6])
def test_eval_turns_trimaps_alphas_and_mattes_as_predict_does(tmp_path, orientation):
    image, alpha = scene()
    guide = trimap.by_distance(alpha, 3, 3)
    paths = {"image": save(tmp_path / "photo.png", store(image, orientation), orientation)}
    for name, pixels in (("trimap", guide), ("alpha", alpha), ("matte", alpha // 2)):
        paths[name] = save(tmp_path / f"{name}.png", store(pixels, orientation))
    paths["deep"] = tmp_path / "deep.tif"
    imaging.write_image(paths["deep"], np.float32(store(alpha // 2, orientation) / 255))
    case = read_case("photo", paths, {name: paths[name] for name in ("matte", "deep")})
    np.testing.assert_array_equal(case.image, image)
    np.testing.assert_array_equal(case.trimap, guide)
    np.testing.assert_array_equal(case.alpha, alpha)
    np.testing.assert_array_equal(case.saved["matte"], alpha // 2)
    np.testing.assert_allclose(case.saved["deep"], (alpha // 2) / 255, atol=1e-6)
    told = [notice for notice in case.notices + case.doubts if "turned to fit the picture" in notice]
    assert [notice.partition(":")[0] for notice in told] == [
        str(paths[name]) for name in ("trimap", "alpha", "matte", "deep")
    ]


@pytest.mark.parametrize("as_bytes", [False, True])
def test_predict_of_files_turns_the_trimap_with_a_warning(tmp_path, as_bytes):
    image, alpha = scene()
    files = save(tmp_path / "photo.png", store(image, 6), 6), save(tmp_path / "trimap.png", store(alpha, 6))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = predict(None, *(path.read_bytes() if as_bytes else path for path in files))
    np.testing.assert_array_equal(found, alpha / np.float32(255))
    name = "trimap" if as_bytes else files[1]
    about = f"{name}: its EXIF orientation is 1, its picture's 6; turned to fit the picture, save both upright"
    assert about in [str(each.message) for each in caught] and {each.category for each in caught} == {DeepmatWarning}
    assert {each.filename for each in caught} == {__file__}


def test_a_guide_that_fits_both_ways_stays_with_a_notice():
    image, alpha = scene()
    photo = fitting.Photo(np.full_like(image, 90), 3)
    guide, notices = fitting.turn_like(alpha, 1, photo)
    assert guide is alpha and "taken as upright, check the result" in notices[0]
    assert fitting.turn_like(np.full_like(alpha, 128), 1, photo)[1] == []


SIDES = st.integers(20, 6000)


@given(SIDES, SIDES, st.floats(0.05, 20), st.sampled_from([np.floor, np.round, np.ceil]))
def test_sizes_that_rounding_made_have_the_same_aspect(height, width, scale, rounded):
    scaled = (max(1, int(rounded(height * scale))), max(1, int(rounded(width * scale))))
    if scale > 1:
        scaled, (height, width) = (height, width), scaled
        scaled = (int(scaled[0]), int(scaled[1]))
    assert "resized" in fitting.check_aspect((height, width), scaled)
    assert "resized" in fitting.check_aspect(scaled, (height, width))


@pytest.mark.parametrize("other", [(100, 153), (98, 150), (150, 100), (50, 77), (300, 456), (204, 300)])
def test_sizes_of_another_aspect(other):
    with pytest.raises(DataError, match=f"150x100, but its picture is {other[1]}x{other[0]}, of another aspect"):
        fitting.check_aspect((100, 150), other)
