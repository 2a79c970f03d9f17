"""Pictures, trimaps and alphas from every kind of Python source."""

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging.arrays import as_alpha, as_image, as_mask, as_photo, as_trimap
from deepmat.imaging.foreground import estimate_foreground

GREY, RGB, RGBA = (), (3,), (4,)
KINDS = {
    "uint8": lambda levels: levels,
    "uint16": lambda levels: levels.astype(np.uint16) * 257,
    "big-endian": lambda levels: levels.astype(">u2") * 257,
    "int64": lambda levels: levels.astype(np.int64),
    "float16": lambda levels: (levels / 255).astype(np.float16),
    "float32": lambda levels: levels / np.float32(255),
    "float64": lambda levels: levels / 255,
    "float of 255": lambda levels: levels.astype(np.float64),
}
VIEWS = {
    "plain": lambda pixels: pixels,
    "flipped": lambda pixels: pixels[:, ::-1].copy()[:, ::-1],
    "upside down": lambda pixels: pixels[::-1].copy()[::-1],
    "Fortran": np.asfortranarray,
    "part": lambda pixels: np.repeat(np.repeat(pixels, 2, 0), 3, 1)[::2, ::3],
    "subclass": lambda pixels: np.ma.masked_array(pixels),
}


@st.composite
def arrays(draw, channels=(GREY, RGB, RGBA)):
    """Levels, uint8 of any such shape, among them one that is white; and the same picture in another dtype and view."""
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), *draw(st.sampled_from(channels)))
    levels = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, shape, dtype=np.uint8)
    levels[0, 0] = 255
    source = VIEWS[draw(st.sampled_from(list(VIEWS)))](KINDS[draw(st.sampled_from(list(KINDS)))](levels))
    if draw(st.booleans()):
        source = source[..., None] if source.ndim == 2 else source
    source.flags.writeable = draw(st.booleans())
    return levels, source


@settings(max_examples=150)
@given(arrays())
def test_an_image_may_be_of_any_dtype_shape_and_strides(case):
    levels, source = case
    pixels, alpha, notices = as_image(source)
    assert type(pixels) is np.ndarray and pixels.dtype == np.uint8 and not notices
    assert pixels.flags.c_contiguous and pixels.flags.writeable
    colours = np.dstack([levels] * 3) if levels.ndim == 2 else levels[..., :3]
    np.testing.assert_array_equal(pixels, colours)
    if levels.shape[2:] == RGBA:
        np.testing.assert_array_equal(alpha, levels[..., 3])
    else:
        assert alpha is None


@settings(max_examples=100)
@given(arrays(channels=(GREY,)))
def test_an_alpha_keeps_its_depth(case):
    levels, source = case
    alpha = as_alpha(source)
    assert alpha.flags.c_contiguous
    if source.dtype in (np.uint8, np.int64):
        np.testing.assert_array_equal(alpha, levels)
        assert alpha.dtype == np.uint8
    else:
        np.testing.assert_allclose(alpha, levels / 255, atol=3e-4 if source.dtype == np.float16 else 1e-6)
        assert alpha.dtype == np.float32 and alpha.max() == 1


def test_values_beyond_white_are_clipped_and_masks_count_as_black_and_white():
    np.testing.assert_array_equal(as_image(np.array([[-0.1, 0.5, 1.2]]))[0][0, :, 0], [0, 128, 255])
    np.testing.assert_array_equal(as_alpha(np.array([[-0.1, 0.5, 1.2]])), np.float32([[0, 0.5, 1]]))
    np.testing.assert_array_equal(as_image(np.array([[False, True]]))[0][0, :, 0], [0, 255])
    np.testing.assert_array_equal(as_alpha(np.array([[False, True]])), np.uint8([[0, 255]]))
    fractions = np.array([[0, 0.25]], np.float32)
    assert as_alpha(fractions) is fractions  # no copy where none is needed


@settings(max_examples=60)
@given(arrays(channels=(GREY, RGB)), st.integers(0, 99))
def test_a_trimap_is_of_three_levels(case, seed):
    levels, source = case
    rng = np.random.default_rng(seed)
    three = rng.choice(np.uint8([0, 128, 255]), levels.shape[:2])
    three[0, 0] = 255
    kind = list(KINDS.values())[seed % len(KINDS)]
    guide = np.dstack([three] * 3) if levels.ndim == 3 else three
    trimap, _ = as_trimap(kind(guide)[::-1], three.shape)
    np.testing.assert_array_equal(trimap, three[::-1])


def sources(path):
    """The same file as every kind of source."""
    with Image.open(path) as picture:
        picture.load()
    return {"str": str(path), "Path": Path(path), "bytes": path.read_bytes(), "PIL": picture}


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "RGBA", "I;16", "CMYK"])
def test_files_bytes_and_pil_pictures_hold_the_same(tmp_path, rgb, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        imaging.write_image(path, rgb[..., 0].astype(np.uint16) * 257)
    else:
        Image.fromarray(np.dstack((rgb, rgb[..., 0]))).convert(mode).save(path)
    expected, channel = imaging.read_rgba(path)
    matte = imaging.read_matte(path)
    for kind, source in sources(path).items():
        pixels, alpha, _ = as_image(source)
        np.testing.assert_array_equal(pixels, expected, err_msg=kind)
        assert alpha is None if channel is None else np.array_equal(alpha, channel)
        np.testing.assert_array_equal(as_alpha(source), matte, err_msg=kind)
        assert as_alpha(source).dtype == matte.dtype == (np.float32 if mode == "I;16" else np.uint8)


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_pil_pictures_are_those_that_they_were_made_of(rgb, mode):
    plain = Image.fromarray(np.dstack((rgb, np.full(rgb.shape[:2], 255, np.uint8)))).convert(mode.upper())
    for found, expected in zip(as_image(plain.convert(mode)), as_image(plain), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(as_alpha(plain.convert(mode)), as_alpha(plain))


def test_trimaps_by_file_are_resized_and_others_must_fit(tmp_path):
    three = np.kron(np.uint8([[0, 128], [128, 255]]), np.ones((4, 4), np.uint8))
    path = tmp_path / "trimap.png"
    imaging.write_image(path, three)
    for kind, source in sources(path).items():
        np.testing.assert_array_equal(as_trimap(source, (8, 8))[0], three, err_msg=kind)
    for source in (path, path.read_bytes()):
        trimap, notices = as_trimap(source, (16, 16))
        np.testing.assert_array_equal(trimap[::2, ::2], three)
        assert "8x8, but its picture is 16x16" in notices[0]
        with pytest.raises(DataError, match="8x8, but its picture is 20x16"):
            as_trimap(source, (16, 20))
    for source in (three, Image.fromarray(three)):
        with pytest.raises(DataError, match="^trimap: 8x8, but its picture is 16x16; make them the same size$"):
            as_trimap(source, (16, 16))
    with pytest.raises(DataError, match="^trimap: its levels are 0 to 2, .* labels; save background 0, unknown 128"):
        as_trimap(three // 100, (8, 8))


def test_an_exif_orientation_is_applied_to_files_and_named_for_pil_pictures(tmp_path, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(as_image(tmp_path / "a.png")[0], np.rot90(rgb, -1))
    with Image.open(tmp_path / "a.png") as picture:
        pixels, _, notices = as_image(picture)
    np.testing.assert_array_equal(pixels, rgb)
    assert notices == ["image: its EXIF orientation is not applied; PIL.ImageOps.exif_transpose turns it upright"]


NAN = np.full((2, 3), np.nan)
SHAPES = r"expected \[H, W\] or \[H, W, 3\] or \[H, W, 4\] of uint8, uint16, bool, or floats in \[0, 1\]$"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((0, 4, 3), np.uint8), rf"uint8 \[0, 4, 3\], which has no pixels; {SHAPES}"),
        (np.zeros(5, np.uint8), rf"uint8 \[5\]; {SHAPES}"),
        (np.zeros((3, 8, 9)), rf"float64 \[3, 8, 9\], channels first: use array.transpose\(1, 2, 0\); {SHAPES}"),
        (np.zeros((1, 8, 9, 3), np.uint8), rf"a batch: use one of its pictures, array\[0\]; {SHAPES}"),
        (np.zeros((8, 9, 2), np.uint8), rf"uint8 \[8, 9, 2\]; {SHAPES}"),
        (np.zeros((8, 9, 3), object), rf"object \[8, 9, 3\]; {SHAPES}"),
        (np.zeros((8, 9), complex), rf"complex128 \[8, 9\]; {SHAPES}"),
        (np.array([["a"]]), SHAPES),
        (NAN, r"6 values are not finite \(NaN or infinite\); expected floats in \[0, 1\]$"),
        (np.array([[0.0, np.inf]]), "1 values are not finite"),
        (np.array([[-1.0, 1.0]]), r"floats from -1 to 1; expected \[0, 1\] or \[0, 255\]$"),
        (np.array([[-2.1, 2.6]]), "floats from -2.1 to 2.6"),
        (np.array([[0.0, 4.0]]), "floats from 0 to 4"),
        (np.array([[0.0, 65535.0]]), "floats from 0 to 6.554e\\+04"),
        (np.array([[-1, 200]]), "int64 from -1 to 200; expected levels from 0 to 255$"),
        (np.array([[0, 1000]]), "int64 from 0 to 1000; expected levels from 0 to 255$"),
        (np.array([[0, 1]]), "int64 from 0 to 1; use bool for a mask, uint8 for levels$"),
        (Image.new("L", (0, 3)), "PIL picture of 0x3, which has no pixels$"),
        ([[1, 2], [3, 4]], "list; expected a path, the bytes of a file, a PIL picture or a NumPy array$"),
        (None, "NoneType; expected a path"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_named_in_one_line(source, message):
    for convert, name in ((as_image, "image"), (as_alpha, "alpha"), (lambda s: as_trimap(s, (2, 2)), "trimap")):
        with pytest.raises(DataError, match=message) as caught:
            convert(source)
        assert str(caught.value).startswith(f"{name}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "a\0.png"])
def test_a_text_that_is_no_path_is_refused_by_the_name_of_its_argument(wrong):
    for call in (as_image, as_photo, as_alpha, partial(as_trimap, size=(4, 5)), partial(as_mask, size=(4, 5))):
        with pytest.raises(DataError, match="^photo: .* is no path; give a str or a pathlib.Path$"):
            call(wrong, name="photo")


def test_a_mask_of_zeros_and_ones_is_no_almost_black_alpha():
    with pytest.raises(DataError, match="^alpha: levels from 0 to 1 of 255; use bool or floats, or multiply it by 255"):
        as_alpha(np.uint8([[0, 1]]))
    assert not as_alpha(np.zeros((2, 2), np.uint8)).any()


def test_a_tensor_is_named_with_what_makes_an_array_of_it():
    torch = pytest.importorskip("torch")
    with pytest.raises(DataError, match=r"^image: torch.Tensor \(tensor.cpu\(\).numpy\(\) makes an array\); expected"):
        as_image(torch.zeros(3, 4))


def test_broken_files_are_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"junk")
    for source, name in ((tmp_path / "a.png", str(tmp_path / "a.png")), (b"junk", None)):
        for convert, what in ((as_image, "image"), (as_alpha, "alpha"), (lambda s: as_trimap(s, (2, 2)), "trimap")):
            with pytest.raises(DataError, match=f"^{name or what}: not a picture that can be read"):
                convert(source)
    cut = Image.open(io.BytesIO(imaging.encode(np.zeros((50, 50, 3), np.uint8), ".png")[:-40]))
    with pytest.raises(DataError, match="^image: cannot be read"):
        as_image(cut)
    with pytest.raises(DataError, match="is over 0.001 megapixels"):
        as_image(imaging.encode(np.zeros((50, 50, 3), np.uint8), ".png"), max_pixels=1000)


def test_foreground_colours_of_any_source(tmp_path, rgb):
    alpha = np.linspace(0, 1, rgb[..., 0].size, dtype=np.float32).reshape(rgb.shape[:2])
    expected = estimate_foreground(rgb, alpha)
    np.testing.assert_array_equal(estimate_foreground(rgb / 255, alpha * 255), expected)
    np.testing.assert_array_equal(estimate_foreground(Image.fromarray(rgb), alpha.astype(np.float64)), expected)
    imaging.write_image(tmp_path / "a.png", rgb)
    imaging.write_image(tmp_path / "alpha.tif", alpha)
    np.testing.assert_array_equal(estimate_foreground(tmp_path / "a.png", tmp_path / "alpha.tif"), expected)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pixels_of_any_dtype_can_be_written(tmp_path, suffix):
    levels = np.random.default_rng(0).integers(0, 256, (5, 6), dtype=np.uint8)
    levels[0] = 255
    path = tmp_path / f"a{suffix}"
    for name, kind in KINDS.items():
        for pixels in (levels, np.dstack([levels] * 3)):
            source = kind(pixels)
            if source.dtype.kind == "u" and source.itemsize == 2 and pixels.ndim == 3 and suffix == ".tif":
                with pytest.raises(DataError, match="a.tif: .tif cannot hold uint16 colours; use uint8, or uint16 in"):
                    imaging.write_image(path, source)
                continue
            if source.dtype.kind == "f" and pixels.ndim == 2 and suffix == ".tif":
                imaging.write_image(path, source)
                np.testing.assert_array_equal(np.asarray(Image.open(path)), source.astype(np.float32), err_msg=name)
                continue
            imaging.write_image(path, source[::-1])
            stored = np.asarray(Image.open(path))
            if suffix == ".tif" or pixels.ndim == 2:
                assert stored.dtype == (
                    np.uint16 if source.dtype.itemsize == 2 and source.dtype.kind == "u" else np.uint8
                )
            np.testing.assert_array_equal(imaging.read_image(path)[..., 0], levels[::-1], err_msg=name)
    imaging.write_image(path, levels > 127)
    np.testing.assert_array_equal(imaging.read_grey(path), np.where(levels > 127, 255, 0))
    for wrong in (np.zeros((3, 8, 9)), NAN, np.array([[-5, 300]]), np.zeros((0, 0)), np.zeros((2, 2), object)):
        with pytest.raises(DataError, match=rf"a\{suffix}: pixels: ") as caught:
            imaging.write_image(tmp_path / "none" / f"a{suffix}", wrong)
        assert "\n" not in str(caught.value) and not (tmp_path / "none").exists()
