"""Hints on rough masks: silent on sound ones, each kind of doubt with the prompt that helps."""

import re

import cv2
import numpy as np
import pytest

from deepmat.subject.finders import Found, Prompts
from deepmat.subject.finders.choice import FINDERS
from deepmat.subject.hints import hints
from deepmat.subject.seeking import Seeker, seek

WIDTH, HEIGHT = 1500, 1000


def mask_of(*boxes):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 255
    return mask


@pytest.mark.parametrize(
    "boxes",
    [
        [(300, 200, 900, 700)],
        [(300, 200, 900, 700), (1000, 100, 1100, 200)],  # a small part of it lies apart
        [(300, 300, 1200, 1000)],  # a portrait stands on the lower side
        [(0, 400, 700, 600)],  # an arm reaches out of the picture
    ],
)
def test_a_sound_mask_gets_none(boxes):
    assert hints(mask_of(*boxes), 0.9) == []


def test_a_soft_edge_and_a_small_picture_are_sound():
    assert hints(cv2.GaussianBlur(mask_of((300, 200, 900, 700)), (0, 0), 30)) == []
    assert hints(np.pad(np.full((2, 2), 255, np.uint8), 2)) == []


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([(10, 10, 60, 60)], "the mask covers 0.2 % of the picture; --box"),
        ([], "the mask covers 0.0 % of the picture"),
        ([(0, 0, 1500, 990)], "the mask covers 99 % of the picture"),
        ([(0, 100, 700, 900)], "along the left side of the picture; if that is background, --not-point 0,"),
        ([(800, 100, 1500, 900)], "along the right side"),
        ([(100, 0, 1400, 500)], "along the upper side"),
    ],
)
def test_a_doubtful_mask_gets_one_hint(boxes, message):
    assert [message in each for each in hints(mask_of(*boxes))] == [True]


def test_two_subjects_get_the_box_of_each():
    (hint,) = hints(mask_of((200, 200, 500, 800), (900, 300, 1200, 800)))
    found = [tuple(map(int, box.split(","))) for box in re.findall(r"--box ([\d,]+)", hint)]
    for (left, top, right, bottom), box in zip([(200, 200, 500, 800), (900, 300, 1200, 800)], found, strict=True):
        assert left - 15 <= box[0] <= left and top - 15 <= box[1] <= top
        assert right <= box[2] <= right + 15 and bottom <= box[3] <= bottom + 15


def test_an_unsure_finder_gets_a_hint_unless_there_is_a_better_one():
    assert "the finder is unsure" in hints(mask_of((300, 200, 900, 700)), 0.3)[0]
    assert len(hints(mask_of((0, 100, 700, 900)), 0.3)) == 1


def test_prompts_say_which_thing_is_meant():
    assert hints(mask_of((300, 200, 330, 230)), 1.0, Prompts((290, 190, 340, 240))) == []
    two = mask_of((200, 200, 500, 800), (900, 300, 1200, 800))
    assert hints(two, 0.3, Prompts(points=((300, 300), (1000, 400)))) == []
    assert "--not-point" in hints(mask_of((0, 100, 700, 900)), 0.3, Prompts(points=((300, 300),)))[0]


def test_the_point_of_a_hint_lies_on_what_reaches_the_side():
    mask = np.zeros((100, 200), np.uint8)
    mask[:30, :100] = mask[70:, :100] = mask[:, 60:100] = 255
    x, y = map(int, re.search(r"--not-point (\d+),(\d+)", hints(mask)[0]).groups())
    assert mask[y, x]


def test_a_doubtful_mask_of_a_finder_gets_its_hint(monkeypatch):
    mask = np.zeros((100, 100), np.uint8)
    mask[48:53, 48:53] = 255
    image = np.where(mask[..., None] > 0, np.uint8((200, 30, 30)), np.uint8((30, 60, 200)))
    monkeypatch.setitem(FINDERS, "fake", lambda *_: Found(mask, 1.0, 100, []))
    assert hints(mask, 1.0) and seek(image, None, Seeker(finder="fake")).notices[-1:] == hints(mask, 1.0)[-1:]
