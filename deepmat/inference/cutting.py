"""Cut the subject out of one photo, in memory."""

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from deepmat.errors import ConfigError
from deepmat.imaging.arrays import PATHS, Source, as_photo
from deepmat.inference.opening import open_network
from deepmat.inference.outputs import CutOut, make_cutout
from deepmat.inference.predict import checked_options
from deepmat.inference.predictor import Predictor
from deepmat.inference.subjects import doubts, of_photo, see_subject
from deepmat.runtime.copies import local_copy
from deepmat.runtime.files import AnyPath, as_path_or_none
from deepmat.runtime.paths import is_file
from deepmat.subject.key import without_key
from deepmat.subject.prompting import Box, Points, prompts_of
from deepmat.subject.seeking import Seeker, as_finder

OPENING = threading.Lock()
"""Held while a network is opened, so that two threads do not open it twice."""


class Cut(NamedTuple):
    """The subject of a photo [H, W], cut out."""

    rgba: np.ndarray
    """uint8 [H, W, 4]: foreground colours and straight alpha."""
    alpha: np.ndarray
    """float32 [H, W], 0 to 1."""
    trimap: np.ndarray
    """uint8 [H, W] of 0, 128, 255: background, unknown, foreground."""
    mask: np.ndarray
    """uint8 [H, W]: the rough mask that the trimap was made of."""
    finder: str
    """What found the subject: a name of `subject.finders`, or "mask" for a mask that was given."""
    why: str
    """Why that finder was used."""
    notices: list[str]
    """What was changed, and what is doubtful."""


def cut(
    image: Source,
    *,
    box: Box | str | None = None,
    points: Points = (),
    not_points: Points = (),
    finder: str | None = None,
    mask: Source | None = None,
    weights: AnyPath | nn.Module | Predictor | None = None,
    device: str = "auto",
    precision: str = "auto",
    mode: str = "auto",
    **options: Any,
) -> Cut:
    """Find the subject of a photo and cut it out.

    image: a path, the bytes of a file, a PIL picture or an array (imaging.arrays.Source). box (left, top, right,
    bottom; right and bottom exclusive), points and not_points (x, y), in pixels of the upright photo: where the subject
    is, and where it is not. finder: a name of `subject.finders`, or an ONNX file; None chooses. mask: a rough mask of
    the subject, of any size of the photo's aspect ratio, in place of a finder; box and points correct it. weights: as
    for `load_model`, or a network that is loaded; device, precision: of the former. mode, options: as for `predict`.

    Networks and finders stay in memory for the next call; calls in several threads do not disturb each other. Raises
    DataError for a picture or a mask that cannot be used, or where no subject is found; ConfigError for wrong
    arguments; TooLarge, CheckpointError and DeviceError as `predict` and `load_model`.
    """
    settings = checked_options(cut, mode, options)
    seeker = Seeker(prompts_of(box, points, not_points), as_finder(finder))
    if mask is not None and finder:
        raise ConfigError("mask: shows the subject itself; leave out finder")
    photo, own, about = as_photo(image)
    name = str(image) if isinstance(image, PATHS) else "image"
    subject = of_photo(photo, own, mask, seeker, name)
    network = _network(weights, device, precision) if isinstance(weights, (*PATHS, type(None))) else weights
    finish, seen = see_subject(network, photo.image, subject, **settings)
    alpha = without_key(finish(), photo.image, subject.trimap, subject.backdrop)
    assert subject.mask is not None
    estimated, backdrop = subject.alpha is None, subject.backdrop
    made = CutOut(name, photo.image, alpha, subject.trimap, estimated=estimated, backdrop=backdrop)
    source = mask if isinstance(mask, PATHS) else name
    notices = [*about, *subject.notices, *seen.notices, *doubts(source, subject, alpha)]
    return Cut(make_cutout(made), alpha, subject.trimap, subject.mask, subject.finder, subject.why, notices)


def _network(weights: AnyPath | None, device: str, precision: str) -> Predictor:
    path = as_path_or_none(weights, "weights")
    with OPENING:
        path = local_copy(path) if path else None
        changed = path.stat().st_mtime_ns if path and is_file(path) else 0
        return _opened(path, device, precision, changed)


@lru_cache(maxsize=2)
def _opened(weights: Path | None, device: str, precision: str, changed: int) -> Any:
    """Open weights as they were then: a file that has been replaced since is opened again."""
    return open_network(weights, device=device, precision=precision).network
