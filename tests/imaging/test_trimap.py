import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from studio import disc

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging import trimap

ALPHAS = arrays.arrays(
    np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, 0, 0, 77, 255, 255])
)
WIDTHS = st.floats(0, 6)


def blobs(seed, height=203, width=190):
    """A trimap of shapes 9 pixels across or more, all three levels, with bands of 4 pixels or more."""
    field = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal((height, width)), (0, 0), 15)
    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    foreground = cv2.morphologyEx((field > 0).astype(np.uint8), cv2.MORPH_OPEN, round_)
    beyond = 1 - cv2.dilate(foreground, round_, iterations=1 + seed % 3)
    background = cv2.morphologyEx(beyond, cv2.MORPH_OPEN, round_)
    return np.where(foreground > 0, 255, np.where(background > 0, 0, 128)).astype(np.uint8)


def beside_a_border(levels, pixels):
    around = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(levels, around) != cv2.erode(levels, around)


@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("iterations", [5, 10, 14])
def test_from_alpha_equals_the_reference(golden, kernel, iterations):
    arrays = golden("trimap")
    made = trimap.from_alpha(arrays["alpha"], kernel, iterations)
    np.testing.assert_array_equal(made, arrays[f"k{kernel}_i{iterations}"])


@given(ALPHAS, WIDTHS, WIDTHS)
def test_by_distance_is_what_it_says(alpha, inwards, outwards):
    expected = np.full_like(alpha, 128)
    places = np.argwhere(np.ones_like(alpha))
    for level, width in ((255, inwards), (0, outwards)):
        others = places[(alpha != level).ravel()]
        for y, x in places:
            if not len(others) or np.sqrt(((others - (y, x)) ** 2).sum(axis=1)).min() > width:
                expected[y, x] = level
    # OpenCV's distances are float32.
    near = {round(np.hypot(a, b), 5) for a in range(10) for b in range(10)}
    if not any(abs(width - distance) < 1e-4 for width in (inwards, outwards) for distance in near):
        np.testing.assert_array_equal(trimap.by_distance(alpha, inwards, outwards), expected)


@given(ALPHAS, WIDTHS, WIDTHS, st.floats(0, 3), st.sampled_from(list(trimap.METHODS)))
def test_methods_know_nothing_wrong_and_less_where_the_band_is_wider(alpha, inwards, outwards, more, method):
    made = trimap.METHODS[method](alpha, inwards, outwards)
    assert set(np.unique(made)) <= {0, 128, 255}
    assert (alpha[made == 255] == 255).all() and (alpha[made == 0] == 0).all()
    assert (made[(alpha > 0) & (alpha < 255)] == 128).all()
    wider = trimap.METHODS[method](alpha, inwards + more, outwards + more)
    assert (wider[made == 128] == 128).all()


@given(ALPHAS, st.integers(0, 5), st.integers(0, 5))
def test_morphology_is_a_small_ellipse_again_and_again(alpha, inwards, outwards):
    expected = trimap.from_alpha(alpha, 3, inwards, (3, outwards))
    np.testing.assert_array_equal(trimap.by_morphology(alpha, inwards, outwards), expected)


def test_quantise_takes_the_nearest_level_and_says_so():
    sloppy = np.array([[0, 3, 63, 64, 127, 128, 130, 191, 192, 252, 255]], np.uint8)
    levels, notices = trimap.quantise(sloppy)
    np.testing.assert_array_equal(levels, [[0, 0, 0, 128, 128, 128, 128, 128, 255, 255, 255]])
    assert notices[0].startswith("73 % of the trimap was not 0, 128 or 255; taken as the nearest (3 as 0, 63 as 0,")
    assert trimap.quantise(levels) == (pytest.approx(levels), [])
    grey = np.where(levels == 128, 127, levels).astype(np.uint8)
    assert trimap.quantise(grey)[1] == ["45 % of the trimap was not 0, 128 or 255; taken as the nearest (127 as 128)"]
    assert trimap.quantise(np.full((9, 9), 200, np.uint8))[1][0].startswith("100 % of the trimap was not")
    photo = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    assert trimap.quantise(photo)[1][0].endswith("; is it a trimap?")
    for top in (1, 2, 3, 15):
        with pytest.raises(DataError, match=f"its levels are 0 to {top}, like labels"):
            trimap.quantise(np.array([[0, top]], np.uint8))


@pytest.mark.parametrize("levels", [(0, 200, 255), (0, 50, 255), (85, 170, 255), (20, 60, 100), (0, 254, 255)])
def test_three_levels_are_background_unknown_foreground_in_their_order(tmp_path, levels):
    right = trimap.by_distance(disc(), 6, 6)
    painted = np.select([right == 0, right == 128], levels[:2], levels[2]).astype(np.uint8)
    read, notices = trimap.quantise(painted)
    np.testing.assert_array_equal(read, right)
    assert notices == [
        f"its levels {', '.join(map(str, levels))} were taken as 0 (background), 128 (unknown), 255 (foreground), in "
        "their order"
    ]
    if levels != (0, 254, 255):  # which no JPEG keeps apart
        Image.fromarray(painted).save(tmp_path / "t.jpg", quality=85)
        read, notices = trimap.read_trimap(tmp_path / "t.jpg")
        assert "in their order" in notices[0] and not ((read != right) & ~beside_a_border(right, 3)).any()


@pytest.mark.parametrize("known, stray", [(0, 5), (0, 129), (0, 200), (255, 254), (255, 3), (255, 127)])
def test_a_stray_pixel_is_no_third_level(known, stray):
    """Or all that is unknown would become known by it."""
    painted = np.where(disc() > 0, 128, known).astype(np.uint8)
    painted[0, 0] = stray
    read, notices = trimap.quantise(painted)
    assert ((painted == 128) == (read == 128)).ravel()[1:].all() and (read[painted == known] == known).all()
    assert f"taken as the nearest ({stray} as " in notices[0]


def test_between_0_and_255_a_level_is_unknown_however_thin():
    mask = disc(400, 400, 150)
    painted = np.where(trimap.by_distance(mask, 0, 1) == 128, 200, mask).astype(np.uint8)
    assert 0 < np.mean(painted == 200) < trimap.LEAST_SHARE
    np.testing.assert_array_equal(trimap.quantise(painted)[0] == 128, painted == 200)


def test_a_smoothed_mask_has_no_third_level(tmp_path):
    smooth = cv2.GaussianBlur(disc(), (0, 0), 3)
    assert trimap.quantise(smooth)[1][0].count("taken as the nearest")
    Image.fromarray(disc()).save(tmp_path / "t.jpg", quality=50)
    assert "in their order" not in " ".join(trimap.read_trimap(tmp_path / "t.jpg")[1])


@given(st.sampled_from([(0, 128), (128, 255), (0, 255)]), st.integers(2, 255))  # one level between two makes three
def test_between_two_levels_antialiasing_adds_the_unknown_alone(pair, steps):
    ramp = np.linspace(*pair, steps + 2).round().astype(np.uint8)[None]
    levels = trimap.quantise(ramp)[0]
    assert (np.diff(levels.astype(int)) >= 0).all()
    assert set(np.unique(levels)) <= {*pair, 128}


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(30, 95), st.sampled_from(["L", "RGB"]))
@example(59592, 31, "L")  # one pixel, three from a border, as in 30 of 5,500 drawn at qualities 30 to 50; none further
def test_a_trimap_kept_as_jpeg_comes_back(tmp_path_factory, seed, quality, mode):
    levels = blobs(seed)
    path = tmp_path_factory.mktemp("jpeg") / "t.jpg"
    Image.fromarray(levels).convert(mode).save(path, quality=quality)
    read, notices = trimap.read_trimap(path)
    wrong = read != levels
    assert not (wrong & ~beside_a_border(levels, 3)).any()
    assert (wrong & ~beside_a_border(levels, 2)).sum() <= 2 and wrong.mean() < 0.01
    assert len(notices) <= 1 and all("taken as the nearest" in notice for notice in notices)


def test_trimaps_in_any_kind_of_file(tmp_path):
    levels = trimap.by_distance(disc(), 6, 6)
    picture = Image.fromarray(levels)
    picture.convert("P").save(tmp_path / "palette.png")
    picture.convert("RGB").save(tmp_path / "rgb.bmp")
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(levels.astype(np.uint16)).save(tmp_path / "small deep.png")
    Image.fromarray(np.where(levels == 128, 156, levels)).save(tmp_path / "grey.tif")
    red = np.dstack([levels] * 3)
    red[levels == 128] = 255, 0, 0
    Image.fromarray(red).save(tmp_path / "red.png")
    Image.fromarray(red).save(tmp_path / "red.jpg", quality=95, subsampling=0)
    for path in tmp_path.iterdir():
        read, notices = trimap.read_trimap(path)
        assert not ((read != levels) & ~beside_a_border(levels, 1)).any(), path
        assert all(notice.startswith(f"{path}: ") for notice in notices)
        assert bool(notices) == (path.name in ("grey.tif", "red.jpg", "red.png")), path


@pytest.mark.parametrize(
    ("levels", "notice"),
    [
        (disc(), "no pixel is unknown, so the trimap is the alpha; if it is a mask, give it as --masks"),
        (np.full((9, 9), 128), "all pixels are unknown; mark known foreground (255) and background (0)"),
        (255 - trimap.by_distance(disc(), 3, 3), "255 along the border and 0 in the middle; is it inverted?"),
    ],
)
def test_odd_trimaps_get_a_notice(tmp_path, levels, notice):
    imaging.write_image(tmp_path / "t.png", levels.astype(np.uint8))
    assert f"{tmp_path / 't.png'}: {notice}" in " ".join(trimap.read_trimap(tmp_path / "t.png")[1])
    imaging.write_image(tmp_path / "t.png", trimap.by_distance(disc(), 3, 3))
    assert not trimap.read_trimap(tmp_path / "t.png")[1]


def test_a_trimap_is_read_of_a_path_of_any_type_and_of_bytes(tmp_path):
    path = tmp_path / "t.png"
    imaging.write_image(path, np.full((9, 9), 100, np.uint8))
    for source, name in ((path, path), (str(path), path), (path.read_bytes(), "picture")):
        read, notices = trimap.read_trimap(source)
        assert (read == 128).all() and all(each.startswith(f"{name}: ") for each in notices) and notices
        with pytest.raises(DataError, match="t.png: 9x9, but" if name == path else "^picture: 9x9, but"):
            trimap.read_trimap(source, (9, 18))
    with pytest.raises(DataError, match="^path: '' is no path"):
        trimap.read_trimap("")


def test_a_trimap_of_another_size_is_resized_if_its_aspect_is_the_same(tmp_path):
    path = tmp_path / "t.png"
    levels = trimap.by_distance(disc(60, 80), 6, 6)
    imaging.write_image(path, levels)
    assert trimap.read_trimap(path, (60, 80)) == (pytest.approx(levels), [])
    larger, notices = trimap.read_trimap(path, (180, 240))
    np.testing.assert_array_equal(larger, np.kron(levels, np.ones((3, 3), np.uint8)))
    assert notices == [f"{path}: 80x60, but its picture is 240x180; resized to that"]
    assert trimap.read_trimap(path, (45, 61))[0].shape == (45, 61)
    with pytest.raises(DataError, match="t.png: 80x60, but its picture is 60x80, of another aspect ratio"):
        trimap.read_trimap(path, (80, 60))


@given(arrays.arrays(np.uint8, (12, 18), elements=st.sampled_from([0, 128, 255])), st.sampled_from([2, 3, 6]))
def test_a_trimap_shrunk_knows_what_all_its_pixels_knew(levels, factor):
    small = trimap.resize(levels, (12 // factor, 18 // factor))
    blocks = levels.reshape(12 // factor, factor, 18 // factor, factor)
    alike = blocks.min(axis=(1, 3)) == blocks.max(axis=(1, 3))
    np.testing.assert_array_equal(small, np.where(alike, blocks[:, 0, :, 0], 128))
