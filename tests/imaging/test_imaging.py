import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from deepmat import imaging
from deepmat.errors import ConfigError, DataError


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def profile_of(space=b"RGB ", swapped=False):
    """sRGB's profile, or one in which red and green have changed places; or one that says it is of another space."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if swapped:
        for before, after in (("rXYZ", "wait"), ("gXYZ", "rXYZ"), ("wait", "gXYZ")):
            data = data.replace(before.encode(), after.encode())
        data = data.replace("sRGB".encode("utf-16be"), "swap".encode("utf-16be"))
    return data[:16] + space + data[20:]


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


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_a_copy_says_what_the_picture_says(tmp_path, rgb, suffix):
    about = {"profile": profile_of() + bytes(100_000), "dpi": (300.0, 72.0)}  # two segments of a JPEG
    imaging.write_image(tmp_path / f"a{suffix}", rgb, about)
    pixels, _, read, notices = imaging.read_picture(tmp_path / f"a{suffix}")
    assert read["profile"] == about["profile"] and not notices
    if suffix == ".webp":
        assert read["dpi"] is None
    else:
        assert read["dpi"] == pytest.approx((300, 72), abs=0.02)
    bare = imaging.encode(rgb, suffix)
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(bare)).convert("RGB")))
    path = tmp_path / f"bare{suffix}"
    path.write_bytes(bare)
    assert imaging.read_picture(path)[2] == {"profile": None, "dpi": None}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_only_a_profile_of_such_colours_is_written(rgb, suffix):
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


def test_a_turned_picture_has_its_resolution_turned_and_odd_ones_are_none(tmp_path, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(tmp_path / "a.jpg", exif=exif, dpi=(300, 150))
    assert imaging.read_picture(tmp_path / "a.jpg")[2]["dpi"] == (150, 300)
    Image.fromarray(rgb).save(tmp_path / "a.tif", dpi=(0, 0))
    assert imaging.read_picture(tmp_path / "a.tif")[2]["dpi"] is None


def test_colours_of_one_profile_as_those_of_another(rgb):
    swapped = {"profile": profile_of(swapped=True), "dpi": None}
    srgb = {"profile": profile_of(), "dpi": None}
    for about, target in ((swapped, None), (None, swapped), (swapped, srgb)):
        assert np.abs(imaging.as_in(rgb, about, target).astype(int) - rgb[..., [1, 0, 2]]).max() <= 2
    for about, target in ((srgb, None), (swapped, swapped), (None, None), ({"profile": profile_of(b"CMYK")}, None)):
        np.testing.assert_array_equal(imaging.as_in(rgb, about, target), rgb)
    named = profile_of(swapped=True).replace("swap".encode("utf-16be"), "sRGB".encode("utf-16be"))
    np.testing.assert_array_equal(imaging.as_in(rgb, {"profile": named, "dpi": None}, None), rgb)  # rounding spared
    broken = {"profile": profile_of()[:140], "dpi": None}
    np.testing.assert_array_equal(imaging.as_in(rgb, broken, None), rgb)


def test_colours_by_name():
    assert [imaging.parse_colour(text) for text in ("white", "#f80", "#010203")] == [
        (255, 255, 255),
        (255, 136, 0),
        (1, 2, 3),
    ]
    for text in ("withe", "#12", "#01020304", ""):
        with pytest.raises(ConfigError, match="not a colour"):
            imaging.parse_colour(text)


def test_own_alphas_and_what_is_left_out(tmp_path, rgb):
    picture, grey = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
    picture.save(tmp_path / "a.gif", save_all=True, append_images=[picture.rotate(180)])
    picture.save(tmp_path / "a.webp", save_all=True, append_images=[picture.rotate(180)], lossless=True)
    picture.save(tmp_path / "a.tif", save_all=True, append_images=[picture.rotate(180)])
    for suffix in ("gif", "webp", "tif"):
        pixels, alpha, _, notices = imaging.read_picture(tmp_path / f"a.{suffix}")
        assert notices == [f"{tmp_path / 'a'}.{suffix}: several frames or pages, of which the first is used"]
        assert alpha is None
        if suffix != "gif":
            np.testing.assert_array_equal(pixels, rgb)
    picture.save(tmp_path / "a.mpo", save_all=True, append_images=[picture])  # a photo and its depth, as of phones
    assert not imaging.read_picture(tmp_path / "a.mpo")[3]
    picture.convert("CMYK").save(tmp_path / "a.jpg")
    assert "CMYK" in imaging.read_picture(tmp_path / "a.jpg")[3][0]
    grey.save(tmp_path / "grey.png")
    pixels, alpha, _, notices = imaging.read_picture(tmp_path / "grey.png")
    assert alpha is None and not notices and pixels.shape == rgb.shape
    both = Image.merge("LA", (grey, grey.rotate(180)))
    both.save(tmp_path / "both.png")
    pixels, alpha, _, _ = imaging.read_picture(tmp_path / "both.png")
    np.testing.assert_array_equal(pixels, np.dstack([rgb[..., 0]] * 3))
    np.testing.assert_array_equal(alpha, rgb[::-1, ::-1, 0])
    picture.quantize(4).save(tmp_path / "palette.png", transparency=0)
    _, alpha, _, _ = imaging.read_picture(tmp_path / "palette.png")
    np.testing.assert_array_equal(alpha == 0, np.asarray(picture.quantize(4)) == 0)
    deep = rgb.astype(np.uint16) * 257
    (tmp_path / "deep.png").write_bytes(imaging.encode_png(deep))
    np.testing.assert_array_equal(imaging.read_picture(tmp_path / "deep.png")[0], rgb)
    (tmp_path / "wrong.jpg").write_bytes(imaging.encode_png(rgb))  # what is in a file counts, not its name
    np.testing.assert_array_equal(imaging.read_picture(tmp_path / "wrong.jpg")[0], rgb)


def test_alpha_channels(tmp_path, rgb):
    rgba = np.dstack((rgb, rgb[..., 0] // 2))
    imaging.write_image(tmp_path / "rgba.png", rgba)
    colour, alpha = imaging.read_rgba(tmp_path / "rgba.png")
    np.testing.assert_array_equal(np.dstack((colour, alpha)), rgba)
    np.testing.assert_array_equal(imaging.read_image(tmp_path / "rgba.png"), rgb)
    np.testing.assert_array_equal(imaging.read_grey(tmp_path / "rgba.png"), rgba[..., 3])
    imaging.write_image(tmp_path / "rgb.png", rgb)
    assert imaging.read_rgba(tmp_path / "rgb.png")[1] is None


def test_an_alpha_stored_as_opaque_rgba_is_read_from_its_colours(tmp_path, rgb):
    grey = rgb[..., 0]
    imaging.write_image(tmp_path / "a.png", np.dstack((grey, grey, grey, np.full_like(grey, 255))))
    np.testing.assert_array_equal(imaging.read_grey(tmp_path / "a.png"), grey)


def test_deep_greys(tmp_path):
    levels = np.array([[0, 128 * 257, 65535], [1, 65534, 300]], np.uint16)
    for suffix in (".png", ".tif"):
        Image.fromarray(levels).save(tmp_path / f"deep{suffix}")
        np.testing.assert_array_equal(imaging.read_grey(tmp_path / f"deep{suffix}"), [[0, 128, 255], [0, 255, 1]])
    for top, white in ((1.0, 255), (1.02, 255)):  # float mattes overshoot a little
        Image.fromarray(np.array([[0, 0.5, top]], np.float32)).save(tmp_path / "float.tif")
        np.testing.assert_array_equal(imaging.read_grey(tmp_path / "float.tif"), [[0, 128, white]])


def test_trimaps_with_transparency_keep_their_levels(tmp_path):
    levels = np.array([[0, 128, 255, 128]], np.uint8)
    palette = Image.fromarray(levels).convert("P")
    palette.save(tmp_path / "palette.png", transparency=0)
    layer = np.dstack((levels, levels, levels, np.array([[0, 255, 255, 255]], np.uint8)))
    Image.fromarray(layer).save(tmp_path / "layer.png")
    white = np.full_like(levels, 255)
    Image.fromarray(np.dstack((white, white, white, levels))).save(tmp_path / "alpha.png")
    for name in ("palette", "layer", "alpha"):
        np.testing.assert_array_equal(imaging.read_levels(tmp_path / f"{name}.png"), levels)


def test_other_kinds_of_file(tmp_path, rgb):
    picture = Image.fromarray(rgb)
    for name, converted in {"palette.png": picture.quantize(), "cmyk.jpg": picture.convert("CMYK")}.items():
        converted.save(tmp_path / name)
        assert imaging.read_image(tmp_path / name).shape == rgb.shape
    np.testing.assert_array_equal(
        imaging.read_image(tmp_path / "palette.png"), np.asarray(picture.quantize().convert("RGB"))
    )
    bits = Image.fromarray(rgb[..., 0] > 127)
    bits.save(tmp_path / "bits.png")
    np.testing.assert_array_equal(imaging.read_grey(tmp_path / "bits.png"), np.where(rgb[..., 0] > 127, 255, 0))
    picture.save(tmp_path / "animated.gif", save_all=True, append_images=[picture.rotate(180)])
    assert imaging.read_image(tmp_path / "animated.gif").shape == rgb.shape


def test_exif_rotation_is_applied(tmp_path, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(imaging.read_image(tmp_path / "turned.png"), np.rot90(rgb, -1))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_broken_files_are_named(tmp_path, rgb, suffix):
    path = tmp_path / f"broken{suffix}"
    imaging.write_image(path, np.tile(rgb, (20, 20, 1)))
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=f"broken{suffix}: .*replace or remove it"):
            imaging.read_image(path)
    path.write_text("not a picture at all")
    with pytest.raises(DataError, match="not a picture that can be read"):
        imaging.read_image(path)
    with pytest.raises(DataError, match="no such file"):
        imaging.read_image(tmp_path / "none.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".gif", ".bmp", ".avif"])
def test_a_file_damaged_anywhere_never_escapes(tmp_path, rgb, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(rgb).save(path, dpi=(72, 72), icc_profile=profile_of()[:200])
    whole, generator = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in generator.integers(len(whole), size=4):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            pixels, _, about, _ = imaging.read_picture(path)
            assert pixels.shape[2] == 3
            imaging.encode(pixels, ".png", about)
        except DataError as error:
            assert path.name in str(error)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, rgb):
    imaging.write_image(tmp_path / "a.png", rgb)
    assert Image.MAX_IMAGE_PIXELS == 89_478_485  # Pillow's own guard is left alone
    assert imaging.read_image(tmp_path / "a.png", max_pixels=54).shape == rgb.shape
    reads = (
        imaging.read_image,
        imaging.read_picture,
        imaging.read_rgba,
        imaging.read_grey,
        imaging.read_levels,
        imaging.read_size,
        imaging.describe,
    )
    for read in reads:
        assert read(tmp_path / "a.png", max_pixels=54) is not None
        with pytest.raises(DataError, match="a.png: 9x6 is over 5.3e-05 megapixels; .*--max-megapixels 1"):
            read(tmp_path / "a.png", max_pixels=53)


def test_an_unknown_extension_is_explained(tmp_path, rgb):
    with pytest.raises(DataError, match="not a picture format"):
        imaging.write_image(tmp_path / "a.xyz", rgb)


def test_to_uint8_rounds_and_clips():
    np.testing.assert_array_equal(
        imaging.to_uint8(np.array([-1, 0, 0.49 / 255, 0.51 / 255, 1, 2])), [0, 0, 0, 1, 255, 255]
    )


@settings(max_examples=40, deadline=None)
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


def test_large_jpegs_can_be_read_smaller_but_never_under_what_is_asked(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 640, dtype=np.uint8), (400, 1))
    for name, orientation in (("up", 1), ("turned", 6)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.dstack([ramp] * 3)).save(tmp_path / f"{name}.jpg", exif=exif)
    upright, turned = (tmp_path / f"{name}.jpg" for name in ("up", "turned"))
    assert imaging.read_size(upright) == (400, 640) and imaging.read_size(turned) == (640, 400)
    assert imaging.read_image(upright, least=(100, 150)).shape == (100, 160, 3)
    assert imaging.read_image(upright, least=(101, 150)).shape == (200, 320, 3)
    small = imaging.read_image(turned, least=(300, 200))
    assert small.shape == (320, 200, 3)
    whole = cv2.resize(imaging.read_image(upright), (160, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(whole.astype(int) - imaging.read_image(upright, least=(100, 150))).max() < 6
    imaging.write_image(tmp_path / "a.png", ramp)
    assert imaging.read_image(tmp_path / "a.png", least=(10, 10)).shape == (400, 640, 3)
    with pytest.raises(DataError, match="none.jpg: no such file"):
        imaging.read_size(tmp_path / "none.jpg")


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("side", [(64, 96), (61, 93)])
def test_jpegs_are_the_same_from_either_decoder(tmp_path, side, subsampling):
    noise = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8), side[::-1])
    path = tmp_path / "a.jpg"
    Image.fromarray(noise).save(path, quality=85, subsampling=subsampling)
    np.testing.assert_array_equal(imaging.read_image(path), np.asarray(Image.open(path)))
    whole = path.read_bytes()
    for left in (whole[:-200], whole[: len(whole) // 2], whole[:-2]):
        path.write_bytes(left)
        for read in (imaging.read_image, lambda path: imaging.read_image(path, least=(16, 16)), imaging.read_picture):
            with pytest.raises(DataError, match="a.jpg: cannot be read"):
                read(path)
