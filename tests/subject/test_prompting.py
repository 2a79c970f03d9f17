"""Prompts from text and numbers, fitted to a photo."""

import numpy as np
import pytest

from deepmat.errors import ConfigError, DataError
from deepmat.subject.finders import Prompts
from deepmat.subject.prompting import beyond, fitted, prompts_of


def test_text_and_numbers_are_the_same():
    text = prompts_of("1, 2,30,40", ["5,6"], ["7,8", "9,10"])
    assert text == prompts_of((1, 2, 30, 40), [(5, 6)], [[7.6, 8.4], (9, 10)])  # the pixel that holds a point
    assert text == Prompts((1, 2, 30, 40), ((5, 6),), ((7, 8), (9, 10)))
    assert prompts_of() == prompts_of(None, None, None) == Prompts() and not any(Prompts())
    for one in ("5,6", (5, 6), [5.0, 6.2], np.array([5, 6]), np.array([[5, 6]])):
        assert prompts_of(points=one) == prompts_of(points=["5,6"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1,2,3"], "--box 1,2,3: give LEFT,TOP,RIGHT,BOTTOM"),
        ([(1, 2)], "--box 1,2: give LEFT"),
        ([""], "--box : give LEFT"),
        (["4,4,4,9"], "has no area"),
        ([None, ["1;2"]], "--point 1;2: give X,Y"),
        ([None, [(float("nan"), 2)]], "--point nan,2: give X,Y"),
        ([None, [], [(1, 2, 3)]], "--not-point 1,2,3: give X,Y"),
        ([5], "--box 5: give LEFT"),
        ([b"1,2,3,4"], "--box b'1,2,3,4': give LEFT"),
        ([None, 5], "--point 5: give X,Y"),
        ([None, np.array(5)], "--point 5: give X,Y"),
        ([None, (1, 2, 3)], "--point 1,2,3: give X,Y"),
        ([None, [(1, 2), 3]], "--point 3: give X,Y"),
        ([None, "x"], "--point x: give X,Y"),
        ([None, None, b"x"], "--not-point b'x': give X,Y"),
    ],
)
def test_what_is_no_prompt_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        prompts_of(*arguments)


def test_a_box_is_cut_off_at_the_frame():
    assert fitted(prompts_of("-5,3,80,90"), (40, 60)).box == (0, 3, 60, 40)
    assert beyond(prompts_of("-5,3,80,90"), (40, 60)) == "--box -5,3,80,90: reaches beyond the picture, which is 60x40"
    inside = prompts_of("5,3,20,30", [(5, 3), (19, 29)], [(59, 39)])
    assert fitted(inside, (40, 60)) == inside


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (prompts_of(points=["5,6"], not_points=["5,6"]), "--point 5,6 and --not-point 5,6: a pixel is of one side"),
        (prompts_of("10,10,20,20", ["20,15"]), "--point 20,15: lies outside --box"),
    ],
)
def test_prompts_that_contradict_each_other_are_named(prompts, message):
    with pytest.raises(ConfigError) as error:
        fitted(prompts, (40, 60))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (prompts_of("60,0,90,30"), "--box 60,0,90,30: lies outside the picture, which is 60x40"),
        (prompts_of(points=[(60, 3)]), "--point 60,3: lies outside"),
        (prompts_of(not_points=[(3, -1)]), "--not-point 3,-1: lies outside"),
    ],
)
def test_prompts_outside_the_picture_are_refused(prompts, message):
    with pytest.raises(DataError, match=message):
        fitted(prompts, (40, 60))
