import numpy as np
import pytest
from prompted import box_of, hatted, picture
from studio import overlap

from deepmat import synth
from deepmat.errors import ConfigError, DataError, NoSubject
from deepmat.subject.finders import Prompts
from deepmat.subject.finders.choice import FINDERS
from deepmat.subject.finders.prompts import alone, find_prompted, nearer


def test_it_is_a_finder():
    assert FINDERS["prompts"] is find_prompted


def test_a_box_finds_the_object_in_it():
    image, alpha = picture()
    found = find_prompted(image, Prompts(box=box_of(alpha)))
    assert found.mask.shape == alpha.shape and found.mask.dtype == np.uint8 and 0 < found.sure <= 1
    assert found.backdrop is None and 0 < found.detail <= 240
    assert overlap(found.mask, alpha) > 0.95


def test_a_point_finds_the_object_around_it_and_no_other():
    image, alpha = picture()
    mask = find_prompted(image, Prompts(points=((70, 90),))).mask
    assert overlap(mask, alpha) > 0.9 and not mask[60:120, 150:210].any()


def test_a_point_on_a_small_thing_does_not_take_a_side_of_the_picture():
    image = synth.background(np.random.default_rng(8), 360, 640, place="wood")
    alpha = np.zeros((360, 640), np.uint8)
    alpha[270:324, 440:520] = 255
    image[alpha > 0] = (40, 190, 60)
    assert overlap(find_prompted(image, Prompts(points=((480, 297),))).mask, alpha) > 0.9


def test_points_and_not_points_within_a_box():
    image, alpha = picture()
    both = (20, 40, 230, 140)
    assert (find_prompted(image, Prompts(box=both)).mask[85:95, 170:190] > 200).all()
    chosen = find_prompted(image, Prompts(box=both, points=((70, 90),), not_points=((180, 90),))).mask
    assert overlap(chosen, alpha) > 0.9


def test_a_not_point_within_a_box_takes_the_whole_of_what_is_under_it():
    image, alpha = picture()
    mask = find_prompted(image, Prompts(box=(20, 40, 230, 140), not_points=((180, 90),))).mask
    assert overlap(mask, alpha) > 0.9


def test_a_point_on_what_a_box_leaves_out_adds_it_and_takes_nothing_away():
    image, disc, whole = hatted()
    box = box_of(whole)
    first = find_prompted(image, Prompts(box=box)).mask
    assert overlap(first, disc) > 0.9 and not first[68, 120]
    added = find_prompted(image, Prompts(box=box, points=((120, 68),))).mask
    assert overlap(added, whole) > 0.9 and added[68, 120] == 255


def test_a_point_of_the_background_in_a_subject_of_one_colour_is_followed():
    image, alpha = picture()
    mask = find_prompted(image, Prompts(box=box_of(alpha), not_points=((70, 100),))).mask
    assert mask[100, 70] < 128
    assert find_prompted(image, Prompts(points=((60, 80),), not_points=((70, 100),))).mask[100, 70] < 128


@pytest.mark.parametrize("corner", [(0, 0), (0, 239), (179, 0), (179, 239)])
def test_objects_and_points_in_any_corner(corner):
    image, alpha = picture(at=(corner,), radius=60)
    found = find_prompted(image, Prompts(box=box_of(alpha)))
    assert overlap(found.mask, alpha) > 0.85
    points = find_prompted(image, Prompts(points=(corner[::-1],))).mask
    assert points[corner] == 255


def test_it_repeats_and_commutes_with_mirroring():
    image, alpha = picture()
    left, top, right, bottom = box_of(alpha)
    mask = find_prompted(image, Prompts(box=(left, top, right, bottom))).mask
    assert (find_prompted(image, Prompts(box=(left, top, right, bottom))).mask == mask).all()
    mirrored = find_prompted(np.ascontiguousarray(image[:, ::-1]), Prompts(box=(240 - right, top, 240 - left, bottom)))
    assert np.abs(mirrored.mask[:, ::-1].astype(int) - mask).mean() < 1


def test_a_box_in_a_large_picture_is_seen_in_detail():
    image, alpha = picture(700, 900, at=((300, 300),), radius=80)
    found = find_prompted(image, Prompts(box=box_of(alpha, 10)))
    assert overlap(found.mask, alpha) > 0.97 and found.detail == 900


def test_a_box_around_the_whole_picture():
    image, alpha = picture()
    mask = find_prompted(image, Prompts(box=(0, 0, 240, 180))).mask > 127
    assert mask[alpha > 0].mean() > 0.95 and mask.mean() < 0.4


@pytest.mark.parametrize("box", [(3, 3, 4, 4), (239, 179, 240, 180)])
def test_a_box_of_one_pixel_gets_a_remedy(box):
    with pytest.raises(NoSubject, match="no object stands out in the box; give a point on the subject"):
        find_prompted(picture()[0], Prompts(box=box))


@pytest.mark.parametrize(("side", "found"), [(5, False), (30, True)])
def test_a_point_with_nothing_but_its_disc_is_alone(side, found):
    region = np.zeros((90, 120), bool)
    region[10 : 10 + side, 10 : 10 + side] = True
    assert alone(region, [(12, 12)]) == ([] if found else [(12, 12)])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (7, 2)])
def test_tiny_pictures(size):
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    found = find_prompted(image, Prompts(points=((0, 0),)))
    assert found.mask.shape == size and found.mask.max() > 200


@pytest.mark.parametrize("prompts", [Prompts(), Prompts(not_points=((3, 3),))])
def test_without_a_box_or_a_point_there_is_a_remedy(prompts):
    with pytest.raises(ConfigError, match="--finder prompts: give --box LEFT,TOP,RIGHT,BOTTOM or --point"):
        find_prompted(np.zeros((180, 240, 3), np.uint8), prompts)


def test_a_point_of_the_background_takes_what_is_nearer_to_it():
    """Where all is of one colour, and the border far away, distances decide."""
    image = np.full((200, 200, 3), 90, np.uint8)
    alone = nearer(image, [(100, 90)], [], 2.2)
    divided = nearer(image, [(100, 90)], [(100, 120)], 2.2)
    assert alone[100, 90] and alone[100, 112] and divided[100, 90]
    assert not divided[100, 118] and not (divided & ~alone).any()


def test_in_a_box_of_the_whole_picture_the_corners_are_likely_background():
    image, alpha = picture(at=((90, 120),), radius=60)
    assert overlap(find_prompted(image, Prompts(box=(0, 0, 240, 180))).mask, alpha) > 0.8


def test_a_picture_of_one_colour_has_no_object_and_takes_no_time():
    with pytest.raises(DataError, match="no object stands out in the box"):
        find_prompted(np.full((180, 240, 3), 90, np.uint8), Prompts(box=(20, 20, 100, 100)))
    assert find_prompted(np.full((180, 240, 3), 90, np.uint8), Prompts(points=((60, 60),))).mask[60, 60] > 0
