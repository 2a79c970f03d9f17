"""Finder: a segmentation network in an ONNX file, one picture in and one map out, run by onnxruntime."""

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from deepmat.errors import ConfigError, DataError, NoSubject
from deepmat.runtime import distributed
from deepmat.runtime.files import real
from deepmat.runtime.onnx import first_line, open_session, runtime
from deepmat.runtime.paths import is_file, is_there
from deepmat.subject.finders import Found, Prompts
from deepmat.subject.finders.agreeing import agreed
from deepmat.subject.finders.settings import DIVISORS, OUTPUTS, Settings, check_settings, is_share

EXPECTED = "expected one picture in (1 x 3 x height x width) and one map out (1 x 1 x height x width)"
SIDE = 512
"""Pixels of both sides of the input of networks that take any size, where nothing else is asked for."""
MARGIN = 0.1
"""Of a box's sides: what a network sees around it."""
CLOSE, ALIKE = 0.6, 0.9
"""Share of the photo that a subject fills at most to be looked at once more, and what both masks share of their union
at least, for the second one to count."""
NONE = 0.1
"""A map that is nowhere higher shows no subject."""
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
"""Inputs by onnxruntime's names. What takes uint8 takes levels as they are."""


class Network(NamedTuple):
    """A network that is loaded; any number of threads may use it at once."""

    session: Any
    picture: str
    """Name of the input."""
    dtype: type
    size: tuple[int | None, int | None]
    """Height and width of the input; None where it takes any."""
    channels_last: bool


def load(path: Path | str) -> Network:
    """Return the network of an ONNX file, on the GPU if onnxruntime's build has CUDA; loaded once for all calls.

    Raises DataError for a file that is missing, broken or no such network, ConfigError where onnxruntime is missing.
    """
    path = Path(path)
    if not is_file(path):
        state = "not a file" if is_there(path) else "no such file"
        raise DataError(f"{path}: {state}; give an ONNX file of a segmentation network, or one of --finder list")
    about = path.stat()
    with _LOADING:
        return _load(real(path), about.st_mtime_ns, about.st_size)


_LOADING = threading.Lock()


@lru_cache(maxsize=4)
def _load(path: Path, changed: int, size: int) -> Network:
    """Load a file as it was then: one that has been replaced since is loaded again."""
    onnxruntime = runtime()
    try:
        session = open_session(onnxruntime, path, distributed.own_cores())
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        raise DataError(
            f"{path}: onnxruntime cannot load it ({first_line(error)}); {EXPECTED}, in a whole file"
        ) from error
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise DataError(f"{path}: takes {len(inputs)} inputs ({', '.join(one.name for one in inputs)}); {EXPECTED}")
    return _described(path, session, inputs[0])


def _described(path: Path, session: Any, picture: Any) -> Network:
    """Return what the graph says of its only input. Raises DataError if that is no picture."""
    shape = [side if isinstance(side, int) and side > 0 else None for side in picture.shape]
    channels_last = len(shape) == 4 and shape[1] != 3 and shape[3] == 3
    fits = len(shape) == 4 and shape[0] in (1, None) and (channels_last or shape[1] in (3, None))
    if picture.type not in TYPES or not fits:
        shown = " x ".join(str(side or "any") for side in shape)
        raise DataError(f"{path}: its input is {shown or 'one number'}, {picture.type}; {EXPECTED}")
    height, width = shape[1:3] if channels_last else shape[2:4]
    return Network(session, picture.name, TYPES[picture.type], (height, width), channels_last)


def find(path: Path | str, image: np.ndarray, prompts: Prompts, settings: Settings | None = None) -> Found:
    """Find the subject of a photo, uint8 RGB [H, W, 3], by the network in an ONNX file.

    A box limits what the network sees; the mask is made to agree with the prompts (`agreeing`). Without a box, a coarse
    network, and any network once points have said what is meant, sees that alone once more, larger. Sureness is the
    smaller one of the mean shares of the foreground in the network's mask and of the background beside it. Raises
    NoSubject if the network finds none, DataError if it is none, ConfigError if the settings do not fit it.
    """
    settings = check_settings(settings or Settings())
    found = agreed(image, look(path, image, prompts.box, settings), prompts)
    if prompts.box is not None or not (prompts.points or max(_sides(load(path), settings)) <= SIDE):
        return found
    left, top, width, height = cv2.boundingRect(cv2.inRange(found.mask, 128, 255))
    if not 0 < width * height <= CLOSE * found.mask.size:
        return found
    try:
        closer = agreed(image, look(path, image, (left, top, left + width, top + height), settings), prompts)
    except DataError:  # the first look stands
        return found
    both, either = (np.count_nonzero(of(found.mask, closer.mask) > 127) for of in (np.minimum, np.maximum))
    return closer._replace(notices=found.notices) if both > ALIKE * either else found


def look(path: Path | str, image: np.ndarray, box: tuple[int, int, int, int] | None, settings: Settings) -> Found:
    """Find what the network finds in a box and a margin around it; in the whole photo where there is none."""
    top, bottom, left, right = _view(image.shape[:2], box)
    seen = image[top:bottom, left:right]
    values = _run(path, load(path), seen, settings)
    shares = OUTPUTS[settings.output](values)
    stretched = settings.output in ("auto", "minmax") and is_share(values)
    plain = np.clip(values, 0, 1) if stretched else shares
    if plain.max() < NONE:
        raise NoSubject(f"{Path(path).name} finds no subject", ("box", "point", "mask", "trimap"))
    sure = min(_certainty(plain), _certainty(1 - plain))
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[top:bottom, left:right] = _resized(shares, seen.shape[:2])
    axis = int(seen.shape[1] > seen.shape[0])
    detail = shares.shape[axis] * max(image.shape[:2]) / seen.shape[axis]
    return Found(mask, sure, min(round(detail), max(image.shape[:2])), [])


def _view(size: tuple[int, int], box: tuple[int, int, int, int] | None) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of what the network sees: the box and a margin. DataError if it is empty."""
    height, width = size
    if box is None:
        return 0, height, 0, width
    left, top, right, bottom = box
    if min(right, width) <= max(left, 0) or min(bottom, height) <= max(top, 0):
        raise DataError(f"box {box}: holds no pixel of the photo of {width} x {height}; give LEFT,TOP,RIGHT,BOTTOM")
    across, down = round(MARGIN * (right - left)), round(MARGIN * (bottom - top))
    return max(top - down, 0), min(bottom + down, height), max(left - across, 0), min(right + across, width)


def is_file_of_network(finder: Path | str) -> bool:
    """Return whether a finder is named by its ONNX file."""
    return Path(finder).suffix.lower() == ".onnx"


def check_side(path: Path | str, network: Network, settings: Settings) -> None:
    """Raise ConfigError if the network takes pictures of another side than the settings say."""
    for fixed in network.size:
        if settings.side and fixed and fixed != settings.side:
            raise ConfigError(f"side {settings.side}: {path} takes {fixed} pixels; leave the setting out")


def _run(path: Path | str, network: Network, image: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the network's map of a picture, float32 [h, w]. Raises DataError, ConfigError."""
    check_side(path, network, settings)
    height, width = _sides(network, settings)
    batch = _input(image, height, width, network, settings)
    try:
        # The first output is the map, where there are more (U2-Net's are of its six inner stages).
        values = network.session.run([network.session.get_outputs()[0].name], {network.picture: batch})[0]
    except Exception as error:
        raise DataError(f"{path}: cannot run on {width} x {height} pixels ({first_line(error)}); {EXPECTED}") from error
    shape = getattr(values, "shape", ())
    sides = [side for side in shape if side != 1]
    if len(sides) != 2 or values.dtype.kind not in "fu":
        shown = " x ".join(map(str, shape))
        raise DataError(f"{path}: its first output is {shown or type(values).__name__}; {EXPECTED}")
    scale = 255 if values.dtype == np.uint8 else 1
    values = values.reshape(sides).astype(np.float32) / scale
    if not np.isfinite(values).all():
        raise DataError(f"{path}: gives values that are no numbers; check its mean, std and divisor")
    return values


def _sides(network: Network, settings: Settings) -> tuple[int, int]:
    """Return the height and width of a network's input."""
    height, width = network.size
    other = settings.side or SIDE
    return height or other, width or other


def _input(image: np.ndarray, height: int, width: int, network: Network, settings: Settings) -> np.ndarray:
    """Return the batch of one picture that a network takes. The picture's proportions are not kept."""
    # Pillow's filters, unlike those of OpenCV, widen where they shrink: no aliasing.
    small = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0))
    if network.dtype != np.uint8:
        scaled = small.astype(np.float32) / DIVISORS[settings.divisor](small)
        small = (scaled - np.asarray(settings.mean, np.float32)) / np.asarray(settings.std, np.float32)
    order = small if network.channels_last else small.transpose(2, 0, 1)
    return np.ascontiguousarray(order[None], network.dtype)


def _resized(shares: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return shares of the foreground, float32 [h, w], as a mask of another size, uint8."""
    levels = np.rint(shares * 255).astype(np.uint8)
    shrinks = levels.shape[0] >= size[0] and levels.shape[1] >= size[1]
    return cv2.resize(levels, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _certainty(shares: np.ndarray) -> float:
    """Return the mean of shares, weighted by themselves: 1 if each is 0 or 1; 1 too if all are 0."""
    total = float(shares.sum())
    return float(np.square(shares).sum()) / total if total > 0 else 1.0
