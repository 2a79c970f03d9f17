import numpy as np
import pytest
from prompted import box_of, hatted, picture
from studio import overlap

from deepmat.errors import NoSubject
from deepmat.subject.finders import Found, Prompts
from deepmat.subject.finders.agreeing import agreed, mark
from deepmat.subject.seeking import given

FIRST, SECOND = (70, 90), (180, 90)
"""(x, y) in the two discs of `picture`."""


def changed(image, mask, **prompts):
    return agreed(image, Found(mask, 0.9, 240, []), Prompts(**prompts))


@pytest.fixture(scope="module")
def discs():
    """Two discs: the image, and the mask of each, uint8 [H, W]."""
    image, first = picture()
    return image, first, picture(at=((90, 180),))[1]


def test_a_mask_that_agrees_stays_as_it_is(discs):
    image, first, second = discs
    soft = np.maximum(first // 2 + 60, second)
    found = changed(image, soft, points=(FIRST, SECOND), not_points=((5, 5),))
    assert (found.mask == soft).all() and found.detail == 240 and found.sure == 0.9
    assert agreed(image, found, Prompts()) is found


def test_a_point_chooses_one_of_two_parts(discs):
    image, first, second = discs
    mask = changed(image, np.maximum(first, second), points=(FIRST,)).mask
    assert overlap(mask, first) > 0.98 and not mask[second > 0].any()


def test_a_point_on_something_else_chooses_that(discs):
    image, first, second = discs
    mask = changed(image, second, points=(FIRST,)).mask
    assert overlap(mask, first) > 0.9 and not mask[second > 0].any()


def test_a_point_on_a_bit_that_is_missing_keeps_the_rest(discs):
    image, first, _ = discs
    image = image.copy()
    image[20:26, 140:160] = (250, 250, 0)  # far from the disc
    mask = changed(image, first, points=((150, 23),)).mask
    assert mask[22:24, 142:158].min() > 127 and overlap(mask[40:], first[40:]) == 1


def test_points_in_two_things_take_both(discs):
    image, first, second = discs
    mask = changed(image, second, points=(FIRST, SECOND)).mask
    assert overlap(mask, np.maximum(first, second)) > 0.95


def test_a_point_on_what_is_missing_adds_it_and_changes_nothing_else():
    image, disc, whole = hatted()
    mask = changed(image, disc, points=((120, 120), (120, 68))).mask
    assert overlap(mask, whole) > 0.95
    assert (mask[100:] == disc[100:]).all()


def test_a_point_beside_the_subject_takes_away_what_is_under_it():
    image, disc, whole = hatted()
    found = changed(image, whole, not_points=((120, 66),))
    assert overlap(found.mask, disc) > 0.95 and not found.mask[62:70, 112:128].any()
    assert (found.mask[100:] == whole[100:]).all()


def test_a_point_in_a_small_gap_takes_little_more_than_the_gap():
    image, disc = picture(at=((90, 120),), radius=70)
    image[88:93, 118:123] = 0
    mask = changed(image, disc, not_points=((120, 90),)).mask
    assert mask[90, 120] < 20 and (disc > mask).sum() < 0.03 * (disc > 0).sum()


def test_a_point_near_the_outline_takes_little():
    image, disc = picture(at=((90, 120),), radius=70)
    image[disc > 0] = (190, 40, 50)
    mask = changed(image, disc, not_points=((120, 24),)).mask
    assert not mask[24, 120] and overlap(mask[60:], disc[60:]) > 0.99


def test_points_of_a_subject_that_is_given_are_known():
    image, disc = picture(at=((90, 120),), radius=70)
    for prompts, level in ((Prompts(points=((239, 0),)), 255), (Prompts(not_points=((120, 90), (3, 3))), 0)):
        trimap = given(image, disc, 240, "given", prompts).trimap
        assert all(trimap[y, x] == level for x, y in prompts.points + prompts.not_points)


def test_a_box_limits_the_mask_and_adds_what_falls_short_of_it(discs):
    image, first, second = discs
    half = first.copy()
    half[:, 70:] = 0
    mask = changed(image, np.maximum(half, second), box=box_of(first)).mask
    assert overlap(mask, first) > 0.95 and not mask[second > 0].any()


def test_a_mask_that_nearly_fills_its_box_gets_nothing_from_colours(discs):
    image, first, second = discs
    found = changed(image, np.maximum(first, second), box=box_of(first))
    assert (found.mask == first).all() and found.detail == 240


def test_the_soft_edge_of_what_goes_goes_too(discs):
    image, first, second = discs
    haze = np.maximum(first, second)
    haze[50:130, 140:220] = np.maximum(haze[50:130, 140:220], 100)
    mask = changed(image, haze, points=(FIRST,)).mask
    assert mask[60:120, 150:210].max() < 30


def test_a_mask_that_is_faint_all_over_shows_no_subject(discs):
    image, first, _ = discs
    with pytest.raises(NoSubject, match="nothing of the subject is left"):
        changed(image, first // 3, not_points=((5, 5),))


def test_a_point_of_the_background_on_a_second_thing_takes_all_of_it_whatever_its_colours(discs):
    image, first, second = discs
    image = image.copy()
    image[90:][second[90:] > 0] = (230, 220, 60)  # half of it
    mask = changed(image, np.maximum(first, second), not_points=((180, 80),)).mask
    assert overlap(mask, first) > 0.98 and not mask[second > 0].any()


def test_a_point_of_the_background_takes_no_part_that_holds_a_point_of_the_subject(discs):
    image, first, second = discs
    mask = changed(image, np.maximum(first, second), points=(FIRST, SECOND), not_points=((180, 110),)).mask
    assert mask[90, 180] > 200 and mask[110, 180] < 128 and overlap(mask[:, :130], first[:, :130]) > 0.98


def test_something_else_at_a_point_is_taken_instead_and_a_notice_says_so(discs):
    image, first, second = discs
    found = changed(image, first, points=(SECOND,))
    assert overlap(found.mask, second) > 0.9 and "in place of what was found" in found.notices[0]
    both = changed(image, first, points=(FIRST, SECOND))
    assert overlap(both.mask, np.maximum(first, second)) > 0.9 and not both.notices


@pytest.mark.parametrize("apart", [8, 20])
def test_a_point_of_the_background_takes_nothing_from_a_point_of_the_subject_beside_it(apart):
    image, mask = picture(at=((90, 120),), radius=70)
    made = changed(image, mask, points=((120, 90),), not_points=((120 + apart, 90),)).mask
    assert made[90, 120] > 200 and made[90, 120 + apart] < 100
    assert (made > 127).sum() > 0.9 * (mask > 127).sum()


@pytest.mark.parametrize("side", [960, 6000])
def test_points_are_known_in_the_trimap(side):
    trimap, mask = np.full((640, side), 128, np.uint8), np.zeros((640, side), np.uint8)
    mask[198:203, :305] = 255  # a wire
    mark(trimap, mask, Prompts(points=((300, 200),), not_points=((side - 1, 0), (310, 200))))
    assert trimap[200, 300] == trimap[200, 297] == 255 and trimap[200, 310] == trimap[0, side - 1] == 0
    assert (trimap[mask > 0] > 0).all() and (trimap[mask == 0] < 255).all()
    assert (trimap != 128).sum() < 100 * (side / 960) ** 2
