import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from deepmat import imaging
from deepmat.errors import DataError


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_colours_survive_writing_and_reading(tmp_path, rgb, suffix):
    path = tmp_path / f"a b{suffix}"
    imaging.write_image(path, rgb)
    np.testing.assert_array_equal(imaging.read_image(path), rgb)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("size", [(1, 1), (1, 33), (33, 1), (3, 30_000)])
def test_colours_that_nobody_sees_survive_too(tmp_path, suffix, size):
    if suffix == ".webp" and max(size) > 16_383:
        with pytest.raises(DataError, match="30000x3 is too large for .webp; use .png"):
            imaging.encode(np.zeros((*size, 4), np.uint8), suffix)
        return
    rgba = np.random.default_rng(0).integers(0, 256, (*size, 4), dtype=np.uint8)
    rgba[::2, ::2, 3] = 0
    imaging.write_image(tmp_path / f"a{suffix}", rgba)
    np.testing.assert_array_equal(np.dstack(imaging.read_rgba(tmp_path / f"a{suffix}")), rgba)


@pytest.mark.parametrize("size", [(1, 1), (1, 33), (33, 1), (20, 30)])
def test_deep_pixels_survive(size):
    fractions = np.random.default_rng(0).random(size, dtype=np.float32)
    for suffix, pixels in (
        (".png", imaging.to_uint16(fractions)),
        (".tif", imaging.to_uint16(fractions)),
        (".tiff", fractions),
    ):
        data = imaging.encode(pixels, suffix)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
        by_cv2 = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(by_cv2, pixels)
    with pytest.raises(DataError, match=".jpg cannot hold uint16 pixels; use .png or .tif"):
        imaging.encode(imaging.to_uint16(fractions), ".jpg")
    with pytest.raises(DataError, match=".png cannot hold float32 pixels; use .tif"):
        imaging.encode(fractions, ".png")
    with pytest.raises(DataError, match=".jpg has no alpha channel; use .png"):
        imaging.encode(np.zeros((*size, 4), np.uint8), ".jpg")
    with pytest.raises(DataError, match=".png cannot hold float64 pixels; use uint8"):
        imaging.encode(fractions.astype(float), ".png")
    with pytest.raises(DataError, match=".tif cannot hold float32 colours; use uint8, or uint16 in .png"):
        imaging.encode(np.dstack([fractions] * 3), ".tif")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".avif"])
def test_a_copy_says_what_the_picture_says(tmp_path, rgb, suffix, profile_of):
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow cannot write AVIF")
    about = {"profile": profile_of() + bytes(100_000), "dpi": (300.0, 72.0)}  # two segments of a JPEG
    imaging.write_image(tmp_path / f"a{suffix}", rgb, about)
    pixels, _, read, notices = imaging.read_picture(tmp_path / f"a{suffix}")
    assert read["profile"] == about["profile"] and not notices
    assert read["dpi"] == pytest.approx((300, 72), abs=0.02)
    bare = imaging.encode(rgb, suffix)
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(bare)).convert("RGB")))
    path = tmp_path / f"bare{suffix}"
    path.write_bytes(bare)
    assert imaging.read_picture(path)[2] == {"profile": None, "dpi": None}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_only_a_profile_of_such_colours_is_written(rgb, suffix, profile_of):
    for space, pixels, fits in (
        (b"RGB ", rgb, True),
        (b"RGB ", rgb[..., 0], False),
        (b"GRAY", rgb, False),
        (b"GRAY", rgb[..., 0], True),
        (b"CMYK", rgb, False),
    ):
        data = imaging.encode(pixels, suffix, {"profile": profile_of(space), "dpi": None})
        assert ("icc_profile" in Image.open(io.BytesIO(data)).info) == fits, (space, pixels.shape)
    data = imaging.encode(rgb, suffix, {"profile": b"junk" * 40, "dpi": None})
    assert "icc_profile" not in Image.open(io.BytesIO(data)).info


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "HSV", "YCbCr", "I;16", "F"])
def test_a_pil_picture_is_written_as_its_colours(tmp_path, rgb, mode):
    picture = Image.fromarray(rgb).convert("L" if mode in ("I;16", "F") else "RGB").convert(mode)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture) * 257)
    imaging.write_image(tmp_path / "a.png", picture)
    expected = picture.convert("RGB") if mode not in ("I;16", "F") else Image.fromarray(rgb).convert("L").convert("RGB")
    np.testing.assert_array_equal(imaging.read_image(tmp_path / "a.png"), np.asarray(expected))


def test_what_cannot_be_written_is_named_in_one_line(tmp_path, rgb):
    closed = Image.fromarray(rgb)
    closed.close()
    for path, pixels, message in (
        (tmp_path / "a.png", [[1], [1, 2]], "a.png: pixels: list; expected a PIL picture or a NumPy array$"),
        (tmp_path / "a.png", closed, "a.png: pixels: cannot be read"),
        (b"a.png", rgb, "^path: b'a.png' is no path; give a str or a pathlib.Path$"),
        ("a\0.png", rgb, "is no path"),
        (
            tmp_path / "a.gif",
            rgb[..., 0],
            "a.gif: .* is too large for .gif, or of colours that it cannot hold; use .png",
        ),
    ):
        with pytest.raises(DataError, match=message):
            imaging.write_image(path, pixels)


def test_an_unknown_extension_is_explained(tmp_path, rgb):
    with pytest.raises(DataError, match="not a picture format"):
        imaging.write_image(tmp_path / "a.xyz", rgb)


def test_to_uint8_rounds_and_clips():
    np.testing.assert_array_equal(
        imaging.to_uint8(np.array([-1, 0, 0.49 / 255, 0.51 / 255, 1, 2])), [0, 0, 0, 1, 255, 255]
    )


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([None, 3, 4]), st.booleans(), st.integers(0, 99))
def test_a_written_png_holds_the_same_pixels(height, width, channels, with_isal, seed):
    shape = (height, width) if channels is None else (height, width, channels)
    rng = np.random.default_rng(seed)
    pixels = (rng.integers(0, 256, shape) * (rng.random(shape) < 0.5)).astype(np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imaging.writing, "PNG_PART", 100)
        if not with_isal:
            patch.setattr(imaging.writing, "isal_zlib", None)
        data = imaging.encode_png(pixels[::-1])
    with Image.open(io.BytesIO(data)) as picture:
        picture.verify()
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels[::-1])
    by_cv2 = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(by_cv2 if channels is None else by_cv2[..., [2, 1, 0, 3][:channels]], pixels[::-1])


@pytest.mark.parametrize(("resolution", "unit", "dpi"), [(0, 2, None), (72, 1, None), (100, 3, (254, 254))])
def test_the_resolution_in_exif_is_read_if_it_can_be(tmp_path, rgb, resolution, unit, dpi):
    exif = Image.Exif()
    exif[282] = exif[283] = resolution
    exif[296] = unit
    Image.fromarray(rgb).save(tmp_path / "a.webp", exif=exif)
    assert imaging.read_picture(tmp_path / "a.webp")[2]["dpi"] == (pytest.approx(dpi) if dpi else None)
