import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from deepmat import imaging
from deepmat.errors import ConfigError, DataError
from deepmat.inference import outputs
from deepmat.inference.background import open_background
from deepmat.inference.outputs import OUTPUTS, CutOut, encode_output, parse_outputs, write_outputs

LOSSY = (".jpg", ".avif")


def cut_of(height=40, width=60, **options):
    """A ramp of alpha, with known foreground at the right and known background at the left."""
    rng = np.random.default_rng(0)
    alpha = np.tile(np.clip(np.linspace(-1, 2, width, dtype=np.float32), 0, 1), (height, 1))
    trimap = np.where(alpha == 1, 255, np.where(alpha == 0, 0, 128)).astype(np.uint8)
    return CutOut("cat", rng.integers(0, 256, (height, width, 3), dtype=np.uint8), alpha, trimap, **options)


def pixels_of(cut, choice):
    with Image.open(io.BytesIO(encode_output(cut, parse_outputs(choice)[0]))) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (37, 53)])
@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_output_can_be_every_format_it_names(kind, size):
    cut = cut_of(*size)
    for suffix in OUTPUTS[kind].suffixes:
        if suffix != ".exr" and (suffix != ".avif" or features.check("avif")):
            pixels = pixels_of(cut, kind + suffix)
            assert kind == "sheet" or pixels.shape[:2] == size
            if suffix not in LOSSY:
                np.testing.assert_array_equal(pixels, OUTPUTS[kind].make(cut))
    assert OUTPUTS[kind].help


def below(folder):
    """Where outputs of the cat go in a folder."""
    return lambda choice: folder / choice.place("cat")


def test_exr_is_refused_before_any_work_or_can_be_written():
    try:
        choices = parse_outputs("alpha32.exr")
    except ConfigError as error:
        assert "use .tif" in str(error)
    else:
        assert encode_output(cut_of(), choices[0])


def test_alphas_are_rounded_to_their_depth():
    cut = cut_of(1, 1)
    cut.alpha = np.array([[0, 0.1, 0.5, 1]], np.float32)
    np.testing.assert_array_equal(pixels_of(cut, "alpha"), [[0, 26, 128, 255]])
    np.testing.assert_array_equal(pixels_of(cut, "alpha16"), [[0, 6554, 32768, 65535]])
    np.testing.assert_array_equal(pixels_of(cut, "alpha32"), cut.alpha)


def test_a_cutout_keeps_colours_near_what_is_visible():
    cut = cut_of(40, 90)
    made = outputs.make_cutout(cut)
    first = np.flatnonzero(cut.levels[0])[0]
    np.testing.assert_array_equal(made[..., 3], cut.levels)
    np.testing.assert_array_equal(made[:, first - 8 :, :3], cut.image[:, first - 8 :])
    assert first > 8 and not made[:, : first - 8].any()


def test_the_foreground_is_estimated_once_and_only_if_wanted(tmp_path, monkeypatch):
    calls = []

    def estimate(image, alpha):
        calls.append(alpha.dtype)
        return 255 - image

    monkeypatch.setattr(outputs, "estimate_foreground", estimate)
    cut = cut_of(estimated=True)
    write_outputs(cut, parse_outputs("alpha,alpha16,uncertainty"), below(tmp_path))
    assert not calls
    write_outputs(cut, parse_outputs("cutout,foreground,composite,preview,sheet"), below(tmp_path))
    assert calls == [np.float32]
    np.testing.assert_array_equal(imaging.read_image(tmp_path / "foreground/cat.png"), 255 - cut.image)


def test_composites_blend_and_round():
    cut = cut_of(background=open_background("#102030"))
    made = pixels_of(cut, "composite").astype(int)
    alpha = cut.levels[..., None] / 255
    assert np.abs(made - (alpha * cut.image + (1 - alpha) * (16, 32, 48))).max() <= 0.5 + 1e-9
    np.testing.assert_array_equal(outputs.make_composite(cut_of())[:, :10], 255)


def test_a_background_covers_and_is_cut_around_its_middle(tmp_path):
    ramp = np.tile(np.arange(0, 250, dtype=np.uint8), (50, 1))
    imaging.write_image(tmp_path / "wide.png", np.dstack([ramp] * 3))
    wide = open_background(str(tmp_path / "wide.png"))
    np.testing.assert_array_equal(wide("a", 50, 50, None)[0, :, 0], np.arange(100, 150))
    for height, width in ((25, 25), (100, 100), (9, 200), (200, 9), (1, 1)):
        made = wide("a", height, width, None)
        assert made.shape == (height, width, 3)
        assert abs(made.mean() - 124.5) < 2 and np.abs(made - made[::-1].astype(int)).max() == 0


def test_of_a_folder_a_picture_gets_its_own_background_or_one_by_its_name(tmp_path):
    for level, name in enumerate(["sub/cat", "b", "c", "d", "e"]):
        imaging.write_image(tmp_path / f"{name}.png", np.full((4, 4, 3), level, np.uint8))
    folder = open_background(str(tmp_path))
    again = open_background(str(tmp_path))
    level = {name: int(folder(name, 3, 3, None)[0, 0, 0]) for name in ["cat", "sub/cat", "d", *map(str, range(40))]}
    assert (level["cat"], level["sub/cat"], level["d"]) == (0, 0, 3)
    assert len(set(level.values())) == 5
    assert all(again(name, 3, 3, None)[0, 0, 0] == value for name, value in level.items())


def test_a_background_comes_in_the_colours_of_the_picture_before_it(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other = srgb.replace(b"rXYZ", b"wait").replace(b"gXYZ", b"rXYZ").replace(b"wait", b"gXYZ")
    other = other.replace("sRGB".encode("utf-16be"), "else".encode("utf-16be"))  # red and green have changed places
    about = {"profile": other, "dpi": None}
    imaging.write_image(tmp_path / "a.png", np.full((2, 2, 3), (200, 100, 0), np.uint8), about)
    for text, inside, outside in (("#c86400", None, about), (str(tmp_path / "a.png"), about, None)):
        background = open_background(text)
        np.testing.assert_array_equal(background("x", 1, 1, inside)[0, 0], (200, 100, 0))
        np.testing.assert_allclose(background("x", 1, 1, outside)[0, 0].astype(int), (100, 200, 0), atol=2)


def test_backgrounds_that_are_none_are_explained(tmp_path):
    for text in ("withe", "#12", "#11223344", str(tmp_path / "none.png")):
        with pytest.raises(ConfigError, match=f"--background {text}: no colour, picture or folder"):
            open_background(text)
    with pytest.raises(DataError, match="holds no pictures"):
        open_background(str(tmp_path))
    (tmp_path / "a.png").write_text("nothing")
    with pytest.raises(DataError, match=r"a\.png: not a picture"):
        open_background(str(tmp_path / "a.png"))
    with pytest.raises(DataError, match="a.png: 3x2 is over"):
        imaging.write_image(tmp_path / "a.png", np.zeros((2, 3), np.uint8))
        open_background(str(tmp_path / "a.png"), max_pixels=5)


def test_choices():
    assert [choice.label for choice in parse_outputs("cutout, Alpha,cutout.PNG,cutout.webp,")] == [
        "cutout",
        "alpha",
        "cutout.webp",
    ]
    assert parse_outputs("composite.jpg")[0].place("sub/cat") == Path("composite/sub/cat.jpg")
    assert parse_outputs("composite.JPEG,cutout.tiff") == parse_outputs("composite.jpg,cutout.tif")
    with pytest.raises(ConfigError) as error:
        parse_outputs("alhpa,alpha.jpg,cutout")
    for part in ("2 mistakes", "did you mean alpha?", "'alpha.jpg': alpha can be .png or .tif"):
        assert part in str(error.value)
    with pytest.raises(ConfigError, match="no outputs; choose from alpha, alpha16"):
        parse_outputs(" , ")
    assert parse_outputs(["alpha", "cutout.webp,sheet"]) == parse_outputs("alpha,cutout.webp,sheet")
    for wrong in (5, b"alpha", ["alpha", 5]):
        with pytest.raises(ConfigError, match=r"^save: .* is no text; give a str or a list of them$"):
            parse_outputs(wrong)


@given(st.text(st.sampled_from("alphcutou16.pngtif, "), max_size=30))
def test_any_text_is_choices_or_a_mistake(text):
    try:
        choices = parse_outputs(text)
    except ConfigError:
        return
    assert choices and len(set(choices)) == len(choices)
    assert parse_outputs(",".join(choice.label for choice in choices)) == choices


def test_what_can_be_written_is_written_and_the_rest_named(tmp_path):
    (tmp_path / "cutout").write_text("a file in the way")
    cut = cut_of(1, 20_000)
    with pytest.raises(DataError) as error:
        write_outputs(cut, parse_outputs("cutout,composite.webp,alpha"), below(tmp_path))
    place = tmp_path / "composite/cat.webp"
    assert f"{place}: 20000x1 is too large for .webp; use .png" in str(error.value)
    assert f"{tmp_path / 'cutout/cat.png'}: cannot be written" in str(error.value)
    np.testing.assert_array_equal(imaging.read_grey(tmp_path / "alpha/cat.png"), cut.levels)
    assert write_outputs(cut, parse_outputs("alpha.tif"), below(tmp_path)) == {
        "alpha.tif": str(tmp_path / "alpha/cat.tif")
    }


def test_profiles_go_with_colours_and_resolution_with_all():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    cut = cut_of(about={"profile": srgb, "dpi": (300.0, 150.0)})
    for kind, output in OUTPUTS.items():
        with Image.open(io.BytesIO(encode_output(cut, parse_outputs(kind)[0]))) as picture:
            carried = picture.info.get("icc_profile")
            assert carried == (None if output.make(cut).ndim == 2 else srgb), kind
            np.testing.assert_allclose([float(each) for each in picture.info["dpi"]], (300, 150), atol=0.1)


def test_an_alpha_is_no_grey_that_a_profile_could_change():
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    cut = cut_of(about={"profile": data[:16] + b"GRAY" + data[20:], "dpi": None})
    with Image.open(io.BytesIO(encode_output(cut, parse_outputs("alpha")[0]))) as picture:
        assert "icc_profile" not in picture.info


def test_uncertainty_shows_where_the_unknown_region_is_too_narrow():
    height, width = 200, 300
    cut = cut_of(height, width)
    cut.trimap[:] = 128
    cut.trimap[:, :100], cut.trimap[:, 200:] = 0, 255

    def shown(alpha):
        cut.alpha = np.clip(np.broadcast_to(alpha, (height, width)), 0, 1).astype(np.float32)
        made = outputs.make_uncertainty(cut)
        yellow = (made == cut.image // 2 + np.array(outputs.DOUBT) // 2).all(2)
        return (made == outputs.WARNING).all(2), yellow

    x = np.arange(width)
    warned, yellow = shown((x - 140) / 20)  # an edge well inside the region
    assert not warned.any()
    assert np.mean(yellow[:, 140:160]) > 0.5 and not yellow[:, :140].any() and not yellow[:, 160:].any()
    warned, _ = shown((x - 80) / 40)  # half of an edge lies in the known background
    assert warned[:, 100].all() and not warned[:, 110:].any()
    warned, _ = shown((x - 180) / 40)  # and in the known foreground
    assert warned[:, 199].all() and not warned[:, :190].any()
    _, yellow = shown(np.where((x == 150), 0.5, x > 150))  # a sharp edge is soft in one pixel
    assert not yellow.any()


@pytest.mark.parametrize("size", [(100, 2000), (2000, 100), (700, 900), (3, 4)])
def test_sheets_are_of_a_shape_to_look_at(size):
    made = outputs.make_sheet(cut_of(*size))
    height, width = made.shape[:2]
    assert max(height, width) <= 1800
    assert 1 / 4 < height / width < 4


def test_a_sheet_shows_the_rough_mask_if_there_is_one():
    levels = np.full((37, 53), 77, np.uint8)
    grey = np.array((77, 77, 77), np.uint8)
    assert (outputs.make_sheet(cut_of(37, 53, mask=levels)) == grey).all(axis=2).sum() >= 37 * 53
    assert (outputs.make_sheet(cut_of(37, 53)) == grey).all(axis=2).sum() < 37 * 53


def test_avif_is_refused_before_any_work_where_pillow_lacks_it(monkeypatch):
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(ConfigError, match=r"\.avif: the Pillow on this machine cannot write it; use \.webp"):
        parse_outputs("cutout.avif")
