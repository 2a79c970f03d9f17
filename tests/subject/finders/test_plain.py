import numpy as np
import pytest
import studio
from studio import overlap

from deepmat import synth
from deepmat.errors import DataError, NoSubject
from deepmat.subject.finders import Prompts
from deepmat.subject.finders.choice import FINDERS
from deepmat.subject.finders.plain import find_plain


def test_it_is_a_finder():
    assert FINDERS["plain"] is find_plain


@pytest.mark.parametrize("colour", [studio.WHITE, studio.GREY, studio.GREEN, studio.BLUE])
@pytest.mark.parametrize(("kind", "bottom"), [("thing", 0.96), ("flag", 1.1)])
def test_subjects_before_backdrops_with_uneven_light_and_a_shadow(colour, kind, bottom):
    image, alpha, _, behind = studio.scene(1, kind, colour, bottom=bottom)
    found = find_plain(image)
    assert found.mask.shape == alpha.shape and found.mask.dtype == np.uint8 and found.detail == 320
    assert overlap(found.mask, alpha) > 0.85 and 0.5 < found.sure <= 1
    assert (found.mask[alpha == 0] == 255).mean() < 0.02 and (found.mask[alpha == 255] == 0).mean() < 0.01
    assert found.backdrop is not None and found.backdrop.shape == image.shape and found.backdrop.dtype == np.uint8
    assert np.abs(found.backdrop.astype(int) - behind)[alpha == 0].mean() < 3


@pytest.mark.parametrize(("seed", "kind", "colour"), [(1, "thing", studio.GREY), (2, "glass", studio.GREEN)])
def test_noise_is_no_edge(seed, kind, colour):
    image, alpha, *_ = studio.scene(seed, kind, colour, noise=4.0)
    found = find_plain(image)
    assert (found.mask[alpha == 0] > 0).mean() < 0.02 and (found.mask[alpha > 150] == 0).mean() < 0.01
    assert found.sure > 0.85


def test_smoke_is_a_subject_before_a_green_screen_alone():
    (green, alpha, *_), (blue, *_) = (studio.scene(0, "smoke", colour) for colour in (studio.GREEN, studio.BLUE))
    mask = find_plain(green).mask
    assert (mask[alpha > 80] > 0).mean() > 0.95 and (mask[alpha == 0] > 0).mean() < 0.2
    with pytest.raises(DataError, match="clouds"):  # as before the sky
        find_plain(blue)


def product(level, backdrop=238, hole=None):
    """A white box with a faint outline on a white sweep, 240 x 320; hole: rows and columns that show the sweep."""
    rng = np.random.default_rng(5)
    picture = np.full((240, 320, 3), backdrop, np.float32) - np.linspace(0, 6, 240, dtype=np.float32)[:, None, None]
    alpha = np.zeros((240, 320), np.uint8)
    alpha[60:200, 100:220] = 255
    if hole:
        alpha[hole] = 0
    picture[alpha == 255] = level
    return np.clip(np.rint(picture + rng.normal(0, 1, picture.shape)), 0, 255).astype(np.uint8), alpha


@pytest.mark.parametrize("level", [226, 250])
def test_a_white_product_on_white_does_not_vanish(level):
    image, alpha = product(level)
    assert overlap(find_plain(image).mask, alpha) > 0.9


def test_a_product_whose_outline_alone_shows_is_filled():
    image, alpha = product(226)
    inner = np.zeros_like(alpha)
    inner[72:188, 112:208] = 255
    soft = np.clip(studio.cv2.GaussianBlur(inner, (0, 0), 6)[..., None] / 255.0, 0, 1)
    image = np.rint(image + soft * (np.float32(235) - image)).astype(np.uint8)
    assert overlap(find_plain(image).mask, alpha) > 0.9


def test_a_hole_in_the_subject_is_background():
    image, alpha = product(60, hole=np.s_[100:150, 140:180])
    mask = find_plain(image).mask
    assert overlap(mask, alpha) > 0.95 and (mask[105:145, 145:175] == 0).all()


def test_a_soft_shadow_is_no_subject():
    image, alpha, *_ = studio.scene(2, "thing", studio.WHITE, shadow=0.0)
    shaded, *_ = studio.scene(2, "thing", studio.WHITE, shadow=0.5)
    assert np.abs(image.astype(int) - shaded).max() > 60
    assert overlap(find_plain(shaded).mask, find_plain(image).mask) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_it_commutes_with_mirroring(seed):
    image, *_ = studio.scene(seed, ["thing", "plant", "fur"][seed], studio.GREEN)
    mask = find_plain(image).mask
    mirrored = find_plain(np.ascontiguousarray(image[:, ::-1])).mask[:, ::-1]
    assert np.abs(mask.astype(int) - mirrored).mean() < 1


def test_larger_pictures_give_the_same_mask_in_more_detail():
    image, alpha, *_ = studio.scene(4, "thing", studio.WHITE, 600, 800)
    found = find_plain(image)
    assert found.detail == 800 and overlap(found.mask, alpha) > 0.94


@pytest.mark.parametrize("place", ["clutter", "plants", "city", "stone", "wood", "poster"])
def test_other_borders_are_refused(place):
    rng = np.random.default_rng(3)
    image = synth.background(rng, 240, 320, place=place)
    with pytest.raises(DataError, match=r"--finder u2netp.*--box LEFT,TOP,RIGHT,BOTTOM"):
        find_plain(image)


def test_an_empty_studio_is_refused():
    rng = np.random.default_rng(0)
    nothing = np.zeros((240, 320))
    empty = studio.mixed(rng, nothing[..., None], nothing, studio.backdrop(rng, 240, 320, (90, 99, 90)))
    for image in (empty, np.full((240, 320, 3), 255, np.uint8), np.zeros((33, 1, 3), np.uint8)):
        with pytest.raises(DataError, match="nothing stands out"):
            find_plain(image)


def test_prompts_choose_among_what_stands_out():
    image = np.full((200, 300, 3), 200, np.uint8)
    image[60:140, 40:110], image[60:140, 190:260] = (20, 30, 150), (150, 30, 20)
    left = find_plain(image, Prompts(points=((70, 100),))).mask
    assert (left[70:130, 50:100] == 255).all() and not left[:, 150:].any()
    assert (find_plain(image, Prompts(not_points=((220, 100),))).mask == left).all()
    assert (find_plain(image, Prompts(box=(20, 40, 140, 160))).mask == left).all()
    with pytest.raises(NoSubject, match="nothing of the subject is left in the box"):
        find_plain(image, Prompts(box=(120, 10, 180, 40)))
