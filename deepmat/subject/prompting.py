"""Prompts: parse what a user says of the subject, and fit it to a photo."""

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any, cast

from deepmat.errors import ConfigError, DataError
from deepmat.subject.finders import Prompts

Point = tuple[int, int]
Box = tuple[int, int, int, int]
Points = Sequence[Point | str] | Point | str | None
"""Points as public functions take them: several, one by itself, or none."""


def prompts_of(
    box: Sequence[float] | str | None = None,
    points: Sequence[Sequence[float] | str] | Sequence[float] | str | None = (),
    not_points: Sequence[Sequence[float] | str] | Sequence[float] | str | None = (),
) -> Prompts:
    """Return prompts from numbers or from text, "120,80,900,1300" and "400,250"; points may be one point by itself.

    Raises ConfigError for anything else, and for a box of no area.
    """
    return Prompts(
        _box(box) if box is not None else None, _points(points, "--point"), _points(not_points, "--not-point")
    )


def _points(given: object, option: str) -> tuple[Point, ...]:
    several = cast(Iterable[Any], given) if _is_several(given) else [given]
    points = [] if given is None else list(several)
    if points and all(isinstance(each, Real) for each in points):
        points = [points]
    numbers = (_numbers(each, 2, option, "X,Y in pixels, as 400,250") for each in points)
    return tuple((math.floor(x), math.floor(y)) for x, y in numbers)  # the pixel that holds the point


def _box(given: object) -> Box:
    numbers = _numbers(given, 4, "--box", "LEFT,TOP,RIGHT,BOTTOM in pixels, as 120,80,900,1300")
    left, top, right, bottom = map(round, numbers)
    if right <= left or bottom <= top:
        raise ConfigError(f"--box {left},{top},{right},{bottom}: has no area; give LEFT,TOP,RIGHT,BOTTOM in this order")
    return left, top, right, bottom


def _numbers(given: object, count: int, option: str, form: str) -> list[float]:
    several = _is_several(given)
    text = ",".join(map(str, cast(Iterable[Any], given))) if several else str(given)
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{option} {text:.60}: give {form}")
    return numbers


def _is_several(given: object) -> bool:
    """Return whether a value is several; an array of no dimension is iterable by its type alone."""
    return isinstance(given, Iterable) and not isinstance(given, (str, bytes)) and getattr(given, "ndim", 1) > 0


def fitted(prompts: Prompts, size: tuple[int, int]) -> Prompts:
    """Return the prompts with their box cut off at the frame of a photo of (height, width).

    Raises DataError for a point outside the photo, and for a box that does not meet it, ConfigError for prompts that
    contradict each other.
    """
    height, width = size
    where = f"outside the picture, which is {width}x{height}; count pixels from the top left corner, as it is shown"
    for option, points in (("--point", prompts.points), ("--not-point", prompts.not_points)):
        for x, y in points:
            if not (0 <= x < width and 0 <= y < height):
                raise DataError(f"{option} {x},{y}: lies {where}")
    for x, y in prompts.points:
        if (x, y) in prompts.not_points:
            raise ConfigError(f"--point {x},{y} and --not-point {x},{y}: a pixel is of one side; leave one out")
    if prompts.box is None:
        return prompts
    left, top, right, bottom = prompts.box
    cut = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        raise DataError(f"--box {left},{top},{right},{bottom}: lies {where}")
    for x, y in prompts.points:
        if not (cut[0] <= x < cut[2] and cut[1] <= y < cut[3]):
            raise ConfigError(f"--point {x},{y}: lies outside --box, which holds the whole subject; widen the box")
    return prompts._replace(box=cut)


def beyond(prompts: Prompts, size: tuple[int, int]) -> str:
    """Return the notice of a box that reaches beyond a photo of (height, width)."""
    height, width = size
    return f"--box {','.join(map(str, prompts.box or ()))}: reaches beyond the picture, which is {width}x{height}"
