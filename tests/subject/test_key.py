"""Foreground colours over a known backdrop."""

import numpy as np

from deepmat.imaging.foreground import estimate_foreground
from deepmat.inference.outputs import CutOut
from deepmat.subject import key
from deepmat.subject.finders import Found
from deepmat.subject.finders.choice import FINDERS
from deepmat.subject.seeking import Seeker, seek


def scene(alpha_of=lambda x: x):
    """A grey gradient over an uneven green screen with noise: picture, alpha, truth, backdrop."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:90, :120] / 120
    alpha = alpha_of(x).astype(np.float32)
    truth = np.repeat((80 + 100 * y)[..., None], 3, axis=2)
    backdrop = np.stack([40 + 20 * y, 170 + 30 * x, 60 - 20 * y], axis=2)
    picture = alpha[..., None] * truth + (1 - alpha[..., None]) * backdrop + rng.normal(0, 2, truth.shape)
    return (*(each.clip(0, 255).astype(np.uint8) for each in (picture, truth, backdrop)), alpha)


def error(colours, truth, alpha):
    return (alpha[..., None] * np.abs(colours.astype(float) - truth)).mean()


def test_no_green_is_left_on_what_is_half_transparent():
    picture, truth, backdrop, alpha = scene(lambda x: 0.2 + 0.5 * x)
    made = key.foreground_over(picture, alpha, backdrop)
    assert made.dtype == np.uint8
    assert error(made, truth, alpha) < 0.7 * error(estimate_foreground(picture, alpha), truth, alpha)
    green = made[..., 1].astype(int) - np.maximum(made[..., 0], made[..., 2])
    assert np.abs(green[alpha > 0.3]).mean() < 6


def test_alpha_is_no_higher_than_the_key_colour_that_shows_allows():
    picture, truth, backdrop, alpha = scene(lambda x: 0.2 + 0.5 * x)
    picture[:9] = truth[:9]
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[:9] = 255
    too_high = np.full_like(alpha, 0.85)
    too_high[:9] = 1
    limited = key.without_key(too_high, picture, trimap, backdrop)
    assert limited.dtype == np.float32 and (limited[:9] == 1).all()
    assert np.abs(limited - alpha)[9:].mean() < 0.03
    low = alpha / 2
    assert (key.without_key(low, picture, trimap, backdrop) == low).all()
    grey = np.full_like(backdrop, 180)
    assert key.without_key(too_high, picture, trimap, grey) is too_high
    assert key.without_key(too_high, picture, trimap, None) is too_high


def test_a_subject_of_the_key_s_own_hue_stays_solid():
    y, x = np.mgrid[:120, :120]
    alpha = np.clip((40.5 - np.hypot(y - 60, x - 60)) / 4, 0, 1).astype(np.float32)
    backdrop = np.full((120, 120, 3), (30, 60, 200), np.uint8)
    coat = np.float32([90, 110, 180])  # half as blue as the screen
    picture = np.rint(alpha[..., None] * coat + (1 - alpha[..., None]) * backdrop).astype(np.uint8)
    trimap = np.where((alpha > 0) & (np.hypot(y - 60, x - 60) > 30), 128, np.where(alpha > 0, 255, 0)).astype(np.uint8)
    for scale in (1, 4):
        large = [
            np.kron(each, np.ones((scale, scale, *[1] * (each.ndim - 2)), each.dtype))
            for each in (alpha, picture, trimap, backdrop)
        ]
        assert np.abs(key.without_key(*large) - large[0]).max() < 0.15


def test_a_spot_in_a_veil_that_is_taken_for_solid_stays_transparent():
    backdrop = np.full((120, 120, 3), (30, 180, 60), np.uint8)
    picture = np.rint(0.5 * np.float32([120, 110, 115]) + 0.5 * backdrop).astype(np.uint8)
    y, x = np.mgrid[:120, :120]
    alpha = np.where(np.hypot(y - 60, x - 60) < 12, np.float32(1), np.float32(0.5))
    limited = key.without_key(alpha, picture, np.full((120, 120), 128, np.uint8), backdrop)
    assert limited.max() < 0.55


def test_rows_are_independent_of_where_they_are_split(monkeypatch):
    picture, _, backdrop, alpha = scene()
    whole = key.foreground_over(picture, alpha, backdrop)
    monkeypatch.setattr(key, "ROWS", 7)
    np.testing.assert_array_equal(key.foreground_over(picture, alpha, backdrop), whole)
    assert (whole[alpha == 0] == estimate_foreground(picture, alpha)[alpha == 0]).all()


def test_a_cut_out_with_a_backdrop_uses_it_unless_colours_stay_as_they_are():
    picture, _, backdrop, alpha = scene()
    trimap = np.full(alpha.shape, 128, np.uint8)
    made = CutOut("a", picture, alpha, trimap, estimated=True, backdrop=backdrop)
    np.testing.assert_array_equal(made.foreground, key.foreground_over(picture, alpha, backdrop))
    assert CutOut("a", picture, alpha, trimap, backdrop=backdrop).foreground is picture


def test_a_finder_that_knows_the_backdrop_opens_the_gaps_it_missed(monkeypatch):
    picture, _, backdrop, _ = scene()
    picture[20:60, 20:100] = (150, 140, 145)
    picture[36:44, 50:60] = backdrop[36:44, 50:60]
    mask = np.zeros(picture.shape[:2], np.uint8)
    mask[20:60, 20:100] = 255
    monkeypatch.setitem(FINDERS, "fake", lambda *_: Found(mask, 1.0, 120, [], backdrop))
    subject = seek(picture, None, Seeker(finder="fake"))
    assert (subject.trimap[38:42, 52:58] == 0).all() and subject.trimap[38, 80] == 255 and subject.backdrop is backdrop


def test_gaps_that_show_a_key_colour_are_not_foreground():
    picture, _, backdrop, _ = scene()
    picture[20:60, 20:100] = (150, 140, 145)  # the subject
    picture[30:34, 30:34] = backdrop[30:34, 30:34]  # a gap
    picture[40:44, 40:44] = (backdrop[40:44, 40:44] // 2) + 70  # half transparent
    trimap = np.zeros(picture.shape[:2], np.uint8)
    trimap[18:62, 18:102], trimap[22:58, 22:98] = 128, 255
    opened = key.open_key(picture, trimap, backdrop)
    assert (opened[30:34, 30:34] == 0).all() and (opened[40:44, 40:44] == 128).all()
    rest = np.ones(trimap.shape, bool)
    rest[30:34, 30:34] = rest[40:44, 40:44] = False
    assert (opened[trimap == 255][rest[trimap == 255]] == 255).all() and not opened[trimap == 0].any()
    picture[:, :20] = backdrop[:, :20]
    beside = key.open_key(picture, trimap, backdrop)[22:58, 18:20]  # of the band around the subject
    assert not beside[:, 0].any() and (beside[:, 1] == 128).all()
    assert key.open_key(picture, trimap, np.full_like(backdrop, 200)) is trimap  # grey is no key colour
