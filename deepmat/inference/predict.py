"""Image + trimap -> alpha of the same size: the one path of eval, predict and the tests during training."""

import math
import warnings
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, cast

import cv2
import numpy as np
from torch import nn

from deepmat import config as configs
from deepmat.config import TestConfig
from deepmat.errors import CheckpointError, ConfigError, DataError, DeepmatWarning, did_you_mean, lookup
from deepmat.imaging import closed_form
from deepmat.imaging import trimap as trimaps
from deepmat.imaging.arrays import PATHS, Source, as_photo, as_trimap
from deepmat.imaging.fitting import unused_alpha
from deepmat.imaging.guided import enlarge as enlarge_along
from deepmat.imaging.narrowing import is_wide, narrowed
from deepmat.inference.modes import IN_PARTS, MODES, Seen, enlarged, mode_options, reduced
from deepmat.inference.predictor import Predictor
from deepmat.runtime.processes import give_back_memory, survive_forks
from deepmat.scoring.pictures import Network

__all__ = ["as_network", "mode_options", "predict", "predict_seen", "see", "times_smaller"]

Finish = Callable[[], np.ndarray]
"""Returns the alpha, float32 [H, W], from what a network has found."""


def predict_seen(
    model: nn.Module | Predictor, image: np.ndarray, trimap: np.ndarray, **options: Any
) -> tuple[np.ndarray, Seen]:
    """The alpha as `predict` gives it, and how the picture was seen. Takes the arguments of `see`."""
    finish, seen = see(model, image, trimap, **options)
    return finish(), seen


def see(
    model: nn.Module | Predictor,
    image: np.ndarray,
    trimap: np.ndarray,
    *,
    mode: str = "auto",
    double: int | None = None,
    correct: bool | None = None,
    narrow: bool | None = None,
    loose: bool = False,
    shrink: int | None = None,
    **options: Any,
) -> tuple[Finish, Seen]:
    """Show a picture to a network. Returns (finish, seen): finish() makes the alpha, and seen says how it was seen.

    finish is called once, from any thread, and returns float32 [H, W] in [0, 1]. It corrects alpha, and enlarges that
    of a picture that was seen smaller: work of one core, mostly, during which the network can see another picture.
    image: uint8 RGB [H, W, 3]; trimap: uint8 [H, W]. mode, double, correct, narrow, options: as for `predict`. loose:
    the width of its unknown region is estimated, so that it is narrowed however narrow it is. shrink: how many times
    smaller mode auto sees it, for a part of a picture that is seen so; None follows from its size. Raises the errors
    of `predict`.
    """
    lookup(MODES, mode, "mode")
    levels = _levels(image, trimap)
    if not trimaps.unknown_region(levels).any():
        return lambda: (levels == trimaps.FOREGROUND).astype(np.float32), Seen("none", [])
    if isinstance(model, type) or not hasattr(model, "begin"):
        raise ConfigError(f"model: {model!r:.60} is no network that predicts; deepmat.load_model(path) gives one")
    survive_forks()
    predictor = cast(Predictor, model)
    times = (shrink or times_smaller(predictor, levels.size)) if mode == "auto" else 1
    if times > 1:
        return _seen_smaller(
            predictor, image, levels, times, double=double, correct=correct, narrow=narrow, loose=loose, **options
        )
    enlarge = max(levels.shape) <= (predictor.enlarge_up_to if double is None else double)
    shown = levels
    if (predictor.first_look and mode == "auto") if narrow is None else narrow:
        looking = options if mode == "auto" else {}
        shown = _narrowed(predictor, image, levels, 1 if enlarge else 2, loose, looking)
    alpha, seen = _by_mode(mode, predictor, image, shown, enlarge, options)
    if shown is not levels:
        seen = seen._replace(mode=f"{seen.mode}, narrowed")
    alpha = _with_known(alpha, shown)
    if levels.size > 1 << 20:
        give_back_memory()  # the network's, before equations and outputs take theirs
    correction = None if correct is False else predictor.correction or (closed_form.correct if correct else None)

    def finish() -> np.ndarray:
        if not correction:
            return alpha
        corrected = correction(image, shown, alpha)
        if levels.size > 1 << 20:
            give_back_memory()
        return corrected

    return finish, seen


def _levels(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """The levels of a trimap, uint8 [H, W] of 0, 128, 255. Raises DataError unless it is of the picture's size."""
    shapes_fit = image.ndim == 3 and image.shape[2] == 3 and image.shape[:2] == trimap.shape
    if not shapes_fit or image.dtype != np.uint8 or trimap.dtype != np.uint8:
        raise DataError(
            f"image {image.dtype} {image.shape} and trimap {trimap.dtype} {trimap.shape}: "
            "expected uint8 [H, W, 3] and uint8 [H, W] of one size"
        )
    return trimaps.quantise(trimap)[0]


def _by_mode(
    mode: str, predictor: Predictor, image: np.ndarray, levels: np.ndarray, enlarge: bool, options: Mapping[str, Any]
) -> tuple[np.ndarray, Seen]:
    """The alpha that a mode finds, float32 [H, W], and how it saw the picture; at twice its size if it is enlarged."""
    run = MODES[mode]
    if mode not in IN_PARTS:
        return run(predictor, image, levels, enlarge, **options)
    if not enlarge:
        return run(predictor, image, levels, **options)
    alpha, seen = run(predictor, enlarged(image), enlarged(levels), **options)  # the whole, before it is seen in parts
    return reduced(alpha), seen


def _with_known(alpha: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """A network's alpha, float32 [H, W], held to [0, 1], with what is known. Raises CheckpointError if not finite."""
    unknown = trimaps.unknown_region(levels)
    if not np.isfinite(alpha[unknown]).all():
        raise CheckpointError("the network's alpha is not a finite number; its weights are broken")
    return np.where(unknown, np.clip(alpha, 0, 1), levels == trimaps.FOREGROUND).astype(np.float32)


def times_smaller(predictor: nn.Module | Predictor, pixels: int) -> int:
    """How many times smaller mode auto sees a picture of so many pixels: 1, or from predictor.shrink_from on 2, 3 ...

    What is seen has a quarter of predictor.shrink_from or more.
    """
    shrink_from = cast(Predictor, predictor).shrink_from
    return math.isqrt(4 * pixels // shrink_from) if 0 < shrink_from <= pixels else 1


def _seen_smaller(
    predictor: Predictor,
    image: np.ndarray,
    levels: np.ndarray,
    times: int,
    **options: Any,
) -> tuple[Finish, Seen]:
    """`see` of a picture by a copy of it, so many times smaller, whose alpha is enlarged along the picture's edges."""
    finish, seen = see(predictor, *_smaller(image, levels, times), shrink=1, **options)

    def enlarge() -> np.ndarray:
        large = enlarge_along(image, finish() * 255, radius=1) / 255
        return _with_known(large, levels)

    return enlarge, Seen(f"{seen.mode}, 1/{times}", seen.notices)


def _smaller(image: np.ndarray, levels: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its trimap, so many times smaller."""
    height, width = (round(side / times) or 1 for side in levels.shape)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small, trimaps.resize(levels, (height, width))


def _narrowed(
    predictor: Predictor, image: np.ndarray, levels: np.ndarray, times: int, loose: bool, options: Mapping[str, Any]
) -> np.ndarray:
    """The trimap narrowed by a first look at a copy so many times smaller; `levels` itself if it stays as it is.

    A copy of half that size tells before, in a quarter of the time, whether it is wide at all.
    """
    coarse = _smaller(image, levels, 2 * times)
    if not np.isin((trimaps.BACKGROUND, trimaps.FOREGROUND), coarse[1]).all():
        return levels  # the network guesses where one side alone is known

    def look(small: np.ndarray, known: np.ndarray) -> np.ndarray:
        finish, _ = see(predictor, small, known, double=0, correct=False, narrow=False, shrink=1, **options)
        alpha = finish()
        if predictor.first_look:
            alpha = predictor.first_look(small, known, alpha)
        return cv2.resize(alpha, levels.shape[::-1], interpolation=cv2.INTER_LINEAR)

    if loose or is_wide(levels, look(*coarse)):
        return narrowed(levels, look(*_smaller(image, levels, times)))
    return levels


def predict(
    model: nn.Module | Predictor,
    image: Source,
    trimap: Source,
    *,
    mode: str = "auto",
    double: int | None = None,
    correct: bool | None = None,
    narrow: bool | None = None,
    **options: Any,
) -> np.ndarray:
    """The alpha of a picture, float32 [H, W] in [0, 1]; exactly 0 and 1 where the trimap is known.

    image, trimap: a path, the bytes of a file, a PIL picture or an array (imaging.arrays.Source). Levels of the trimap
    are taken as the nearest of 0 (background), 128 (unknown), 255 (foreground). A trimap without unknown pixels is the
    alpha. mode: one of modes.MODES; options: its keyword arguments. double: pictures of up to so many pixels a side are
    seen at twice their size. correct: whether closed-form matting corrects the alpha
    (imaging.closed_form.correct). narrow: whether a wide trimap is narrowed by a first look at half the size
    (imaging.narrowing). None leaves each to the network. Raises DataError for a picture that cannot be used
    or a trimap of another size, TooLarge if the memory does not suffice, ConfigError for an unknown mode or an option
    that it does not take, CheckpointError for broken weights. Notes on how the picture and the trimap were
    read and seen are DeepmatWarnings.
    """
    options = checked_options(predict, mode, options, double=double, correct=correct, narrow=narrow)
    photo, own, notices = as_photo(image)
    levels, more = as_trimap(trimap, (photo.image.shape[0], photo.image.shape[1]), photo=photo)
    alpha, seen = predict_seen(model, photo.image, levels, **options)
    names = image if isinstance(image, PATHS) else "image", trimap if isinstance(trimap, PATHS) else "a trimap"
    for notice in [*notices, *more, *unused_alpha(own, *names), *seen.notices]:
        warnings.warn(notice, DeepmatWarning, stacklevel=2)
    return alpha


def checked_options(function: Callable, mode: str, options: Mapping[str, Any], **left_open: Any) -> dict[str, Any]:
    """The options of `predict_seen` from those of `predict`. Raises ConfigError for wrong ones.

    function: which was called with them, for the names that it knows. left_open: those that None leaves to the network.
    """
    functions: list[Callable] = [function, predict, *MODES.values()]
    parameters = [each for one in functions for each in signature(one).parameters.values()]
    known = dict.fromkeys(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)
    if unknown := [name for name in options if name not in known]:
        others = f"; known: {', '.join(known)}"
        raise ConfigError("; ".join(f"{name}: unknown option{did_you_mean(name, known) or others}" for name in unknown))
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    settings = configs.build({"test": {"mode": mode, **left_open, **given}}, "predict")
    chosen = mode_options(settings.test)
    configs.refuse_unused(options, chosen)
    return chosen


def as_network(model: nn.Module | Predictor, settings: TestConfig) -> Network:
    """`predict` as `scoring` takes it: image, trimap and what a protocol changes of the settings -> alpha."""

    def network(image: np.ndarray, trimap: np.ndarray, geometry: Mapping[str, Any]) -> np.ndarray:
        return predict_seen(model, image, trimap, **mode_options(settings.model_copy(update=dict(geometry))))[0]

    return network
