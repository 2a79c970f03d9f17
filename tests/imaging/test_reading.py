import re
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from deepmat import imaging
from deepmat.errors import DataError


def test_a_turned_picture_has_its_resolution_turned_and_odd_ones_are_none(tmp_path, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(tmp_path / "a.jpg", exif=exif, dpi=(300, 150))
    assert imaging.read_picture(tmp_path / "a.jpg")[2]["dpi"] == (150, 300)
    Image.fromarray(rgb).save(tmp_path / "a.tif", dpi=(0, 0))
    assert imaging.read_picture(tmp_path / "a.tif")[2]["dpi"] is None


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


def test_formats_that_cannot_be_read_are_named_with_what_to_do(tmp_path, rgb, monkeypatch):
    """By their first bytes: a phone names a HEIC picture a.jpg; and Pillow would read a raw file's thumbnail."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    Image.fromarray(rgb).save(tmp_path / "a.dng", format="TIFF")
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a\xfa\x7f")
    for name, message in (
        ("a.jpg", "HEIC, which cannot be read here; install pillow-heif .*, or convert it to PNG or JPEG"),
        ("a.jxl", "JPEG XL, which cannot be read here; convert it to PNG or TIFF"),
        ("a.dng", "camera raw, which cannot be read here; convert it to PNG or TIFF"),
    ):
        for read in (imaging.read_image, imaging.read_size, imaging.read_grey):
            with pytest.raises(DataError, match=f"{name}: {message}"):
                read(tmp_path / name)


def test_heic_is_read_without_registering_a_plugin(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (32, 1))
    heif.from_bytes("L", (64, 32), ramp.tobytes()).save(tmp_path / "a.heic", quality=95)
    before = dict(Image.OPEN)
    pixels = imaging.read_image(tmp_path / "a.heic")
    assert pixels.shape == (32, 64, 3) and np.abs(pixels[..., 0].astype(int) - ramp).max() < 8
    assert before == Image.OPEN
    damaged = (tmp_path / "a.heic").read_bytes()[:90]
    remedy = "HEIC, which cannot be read .*; replace it, or convert it to PNG or JPEG"
    with pytest.raises(DataError, match=f"picture: {remedy}"):
        imaging.read_image(damaged)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".gif", ".bmp", ".avif"])
def test_a_file_damaged_anywhere_never_escapes(tmp_path, rgb, suffix, profile_of):
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


def test_pillows_guard_and_pythons_warnings_are_left_alone(tmp_path, rgb, monkeypatch):
    """A picture over Pillow's limit is read; the limit stays, other threads keep their warnings."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # Pillow warns over 20 pixels and refuses over 40; these have 54
    for name in ("a.png", "a.jpg", "a.bmp", "a.gif", "a.ppm", "a.avif", "a.tif"):
        Image.fromarray(rgb).save(tmp_path / name)
        assert imaging.read_image(tmp_path / name).shape == rgb.shape
        assert imaging.count_pixels(tmp_path / name) == 54 and imaging.read_size(tmp_path / name) == (6, 9)
    for compression, pixels in (
        ("raw", rgb[..., 0]),
        ("tiff_lzw", rgb),
        ("tiff_deflate", rgb.astype(np.uint16)[..., 0]),
    ):
        Image.fromarray(pixels).save(tmp_path / "b.tif", compression=compression)
        expected = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
        np.testing.assert_array_equal(imaging.read_image(tmp_path / "b.tif"), expected)
    Image.fromarray(rgb).save(tmp_path / "a.webp")
    if Image.__version__ >= "13":  # its plugin checks by itself
        with pytest.raises(
            DataError, match="a.webp: Image size .* save it as PNG or TIFF, or raise PIL.Image.MAX_IMAGE"
        ):
            imaging.read_image(tmp_path / "a.webp")
    assert Image.MAX_IMAGE_PIXELS == 20


def test_reading_in_threads_leaves_the_warnings_of_the_program(tmp_path, rgb):
    imaging.write_image(tmp_path / "a.png", rgb)
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(imaging.read_picture, [tmp_path / "a.png"] * 200))) == 200
    assert warnings.filters == before


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


@pytest.mark.parametrize("source", [np.zeros((4, 4, 3), np.uint8), Image.new("RGB", (4, 4)), None])
def test_what_is_no_file_is_named_in_one_line(source):
    for read in (imaging.read_image, imaging.read_levels, imaging.read_size):
        with pytest.raises(DataError, match=r"^picture: [\w.]+; expected a path or the bytes of a file$"):
            read(source)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows says no more than that it may not be read")
def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}: a folder; name one picture in it$"):
        imaging.read_image(tmp_path)
