"""Kinds of output: alphas, cut-outs, composites, pictures for inspection.

Files are OUT/KIND/NAME.ext: `alpha,cutout.webp` gives OUT/alpha/cat.png and OUT/cutout/cat.webp.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from deepmat import imaging
from deepmat.data.compositing import COMPOSITORS
from deepmat.errors import ConfigError, DataError, DeepmatError, as_texts, lookup
from deepmat.imaging import About
from deepmat.imaging.foreground import estimate_foreground
from deepmat.imaging.trimap import FOREGROUND, unknown_region
from deepmat.inference.background import Background, plain
from deepmat.runtime.files import write_bytes
from deepmat.subject.band import steps_at_known
from deepmat.subject.key import foreground_over

KEPT = 8
"""Pixels around the visible ones that keep their colours in a cut-out."""
CHECKS, CHECKS_ACROSS = (153, 102), 64
"""Greys of the checkerboard of a preview, and its squares along the longer side."""
PANEL, LABEL, GAP, SHEET_ASPECT = 800, 26, 6, 1.6
"""Sheet: longer side of a panel, height of its title, gap between panels, all in pixels; wanted width / height."""
UNDECIDED = (0.2, 0.8)
"""Uncertainty: alphas that are neither opaque nor transparent."""
LINE, WARNING, DOUBT = (0, 190, 255), (255, 0, 140), (255, 210, 0)
"""Uncertainty, in RGB: border of the unknown region, steps to known neighbours, wide areas of undecided alpha."""


@dataclass
class CutOut:
    """A picture with its alpha."""

    name: str
    """Path in the input folder, without extension."""
    image: np.ndarray
    """uint8 RGB [H, W, 3]"""
    alpha: np.ndarray
    """float32 [H, W], 0 to 1"""
    trimap: np.ndarray
    """uint8 [H, W] of 0, 128, 255"""
    about: About | None = None
    """Profile and resolution of the picture, for files made from it."""
    estimated: bool = False
    """Whether foreground colours are estimated, without the background's; otherwise they are those of the image."""
    background: Background = plain((255, 255, 255))
    mask: np.ndarray | None = None
    """uint8 [H, W], the rough mask that the trimap was made of, for the sheet."""
    backdrop: np.ndarray | None = None
    """uint8 RGB [H, W, 3]: the background's colours, where they are known; estimates use them."""

    @cached_property
    def levels(self) -> np.ndarray:
        """Alpha, uint8 [H, W]."""
        return imaging.to_uint8(self.alpha)

    @cached_property
    def foreground(self) -> np.ndarray:
        """Foreground colours, uint8 RGB [H, W, 3]. Estimated once for all outputs."""
        if not self.estimated:
            return self.image
        if self.backdrop is None:
            return estimate_foreground(self.image, self.alpha)
        return foreground_over(self.image, self.alpha, self.backdrop)


def _over(cut: CutOut, background: np.ndarray) -> np.ndarray:
    return COMPOSITORS["cv2"].blend(cut.foreground, cut.levels, background)


def make_cutout(cut: CutOut) -> np.ndarray:
    """Return foreground colours and straight alpha, uint8 RGBA [H, W, 4].

    Colours further than KEPT pixels from any visible pixel are 0, which halves the size of the file. Nearer ones stay:
    scaling or blurring mixes them in, and black would make dark fringes.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * KEPT + 1, 2 * KEPT + 1))
    near = cv2.dilate((cut.levels > 0).view(np.uint8), kernel)
    return cv2.merge([*cv2.split(cv2.bitwise_and(cut.foreground, cut.foreground, mask=near)), cut.levels])


def make_composite(cut: CutOut) -> np.ndarray:
    """Return alpha * foreground + (1 - alpha) * background, rounded, uint8 RGB [H, W, 3]."""
    height, width = cut.levels.shape
    return _over(cut, cut.background(cut.name, height, width, cut.about))


def make_preview(cut: CutOut) -> np.ndarray:
    """Return the foreground over a checkerboard of middle greys, which shows light and dark hair, uint8 RGB."""
    height, width = cut.levels.shape
    side = max(4, max(height, width) // CHECKS_ACROSS)
    odd = (np.arange(height)[:, None] // side + np.arange(width) // side) % 2
    return _over(cut, cv2.cvtColor(np.array(CHECKS, np.uint8)[odd], cv2.COLOR_GRAY2RGB))


def make_uncertainty(cut: CutOut) -> np.ndarray:
    """Return a picture of where the trimap needs work, uint8 RGB [H, W, 3].

    Known background is dark grey, known foreground light grey; the unknown region is in colour, with a blue border.
    Yellow: areas of alpha between 0.2 and 0.8 that are too wide for an edge; paint known regions there, unless the
    subject is translucent. Magenta: alpha differs by more than 0.25 from the known value beside it; widen the unknown
    region there. The picture has the size of the input, so that it can be laid over it in an editor.
    """
    longest = max(cut.levels.shape)
    line, wide = max(1, longest // 600), max(2, longest // 120)
    unknown = unknown_region(cut.trimap)
    low, high = UNDECIDED
    undecided = unknown & (cut.alpha > low) & (cut.alpha < high)
    doubt = _within(~_within(~undecided, wide), wide)  # an opening by a disc of that radius
    broken = np.logical_or(*(steps for steps, _ in steps_at_known(cut.trimap, cut.alpha)))
    grey = cv2.cvtColor(cut.image, cv2.COLOR_RGB2GRAY)
    shown = cv2.cvtColor(np.where(cut.trimap == FOREGROUND, grey // 2 + 112, grey // 3), cv2.COLOR_GRAY2RGB)
    cv2.copyTo(cut.image, unknown.view(np.uint8), shown)
    shown[doubt] = shown[doubt] // 2 + np.array(DOUBT, np.uint8) // 2
    shown[unknown & _within(~unknown, line)] = LINE
    shown[_within(broken, 2 * line)] = WARNING
    return shown


def _within(mask: np.ndarray, radius: float) -> np.ndarray:
    """Return the pixels, bool [H, W], within `radius` of a pixel of the mask, bool [H, W]."""
    if not mask.any():
        return mask
    return cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) <= radius


def _panel(title: str, pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a picture, scaled to height x width, below its title, uint8 RGB."""
    rgb = pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    how = cv2.INTER_AREA if height < pixels.shape[0] else cv2.INTER_NEAREST
    small = cv2.resize(rgb, (width, height), interpolation=how)
    panel = np.full((LABEL + height + GAP, max(width, 100) + GAP, 3), 32, np.uint8)
    panel[LABEL : LABEL + height, :width] = small
    cv2.putText(panel, title, (4, LABEL - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return panel


def make_sheet(cut: CutOut) -> np.ndarray:
    """Return image, trimap, alpha and preview, up to 800 pixels each, in a row, a column or a square, uint8 RGB.

    A picture with a rough mask shows that in place of alpha, and before the trimap.
    """
    pictures = {"image": cut.image, "trimap": cut.trimap, "alpha": cut.levels, "cut-out": make_preview(cut)}
    if cut.mask is not None:
        pictures = {"image": cut.image, "mask": cut.mask, "trimap": cut.trimap, "cut-out": pictures["cut-out"]}
    height, width = cut.levels.shape
    scale = PANEL / max(height, width)
    scale = max(1, int(scale)) if scale > 1 else scale
    size = max(1, round(height * scale)), max(1, round(width * scale))
    panels = [_panel(title, pixels, *size) for title, pixels in pictures.items()]
    h, w = panels[0].shape[:2]
    across = min((1, 2, 4), key=lambda columns: abs(np.log(columns * columns * w / (4 * h) / SHEET_ASPECT)))
    return np.vstack([np.hstack(panels[start : start + across]) for start in range(0, 4, across)])


class Output(NamedTuple):
    """A kind of output."""

    make: Callable[[CutOut], np.ndarray]
    """Returns pixels that `imaging.encode` accepts."""
    suffixes: tuple[str, ...]
    """File formats; the first is the default."""
    help: str


SHORT = {".jpeg": ".jpg", ".tiff": ".tif"}
"""Extensions as kinds of output spell them."""
PHOTO = (".jpg", ".png", ".webp", ".tif")
COLOUR = (".png", ".jpg", ".webp", ".avif", ".tif")
OUTPUTS: dict[str, Output] = {
    "alpha": Output(lambda cut: cut.levels, (".png", ".tif"), "alpha in 8 bits"),
    "alpha16": Output(lambda cut: imaging.to_uint16(cut.alpha), (".png", ".tif"), "alpha in 16 bits"),
    "alpha32": Output(lambda cut: cut.alpha, (".tif", ".exr"), "alpha as floats"),
    "cutout": Output(make_cutout, (".png", ".webp", ".avif", ".tif"), "the foreground as RGBA"),
    "foreground": Output(lambda cut: cut.foreground, COLOUR, "the colours alone"),
    "composite": Output(make_composite, COLOUR, "over another background"),
    "preview": Output(make_preview, PHOTO, "over a checkerboard"),
    "sheet": Output(make_sheet, PHOTO, "image, trimap, alpha (cut: mask) and preview side by side"),
    "trimap": Output(lambda cut: cut.trimap, (".png", ".tif"), "the trimap that was used"),
    "uncertainty": Output(make_uncertainty, PHOTO, "where the trimap needs work"),
}


PROBES: dict[str, np.ndarray] = {".exr": np.zeros((1, 1), np.float32), ".avif": np.zeros((1, 1, 3), np.uint8)}
"""The smallest pictures of formats that not every build of OpenCV or Pillow can write."""


class Choice(NamedTuple):
    """A kind of OUTPUTS and its extension (".png")."""

    kind: str
    suffix: str

    @property
    def label(self) -> str:
        """The spelling that `parse_outputs` reads: "cutout", "cutout.webp"."""
        return self.kind + self.suffix * (self.suffix != OUTPUTS[self.kind].suffixes[0])

    def place(self, name: str) -> Path:
        """Return the path below the output folder for a picture of that name."""
        return Path(self.kind, name + self.suffix)


def parse_outputs(given: str | Sequence[str]) -> list[Choice]:
    """Parse "alpha,cutout.webp", or a list of such. Returns each choice once. Raises ConfigError with all mistakes."""
    choices, mistakes = dict[Choice, None](), []
    for part in filter(None, (each.strip().lower() for each in ",".join(as_texts(given, "save")).split(","))):
        kind, dot, ending = part.partition(".")
        try:
            suffixes = lookup(OUTPUTS, kind, "output").suffixes
            choice = Choice(kind, SHORT.get(dot + ending, dot + ending) or suffixes[0])
            if choice.suffix not in suffixes:
                raise ConfigError(f"output {part!r}: {kind} can be {' or '.join(suffixes)}")
            if choice.suffix in PROBES:
                imaging.encode(
                    PROBES[choice.suffix], choice.suffix
                )  # raises if this machine's libraries cannot write it
            choices[choice] = None
        except DeepmatError as error:
            mistakes.append(str(error))
    if not choices and not mistakes:
        mistakes.append(f"no outputs; choose from {', '.join(OUTPUTS)}")
    if mistakes:
        head = f"outputs: {len(mistakes)} mistakes:\n  " if len(mistakes) > 1 else ""
        raise ConfigError(head + "\n  ".join(mistakes))
    return list(choices)


def encode_output(cut: CutOut, choice: Choice) -> bytes:
    """Encode an output as a file. Raises DataError if the format cannot hold it.

    The file has the resolution and colour profile of the picture; an alpha is no colour and gets no profile.
    """
    pixels = OUTPUTS[choice.kind].make(cut)
    about = cut.about
    if about and pixels.ndim == 2:
        about = {**about, "profile": None}
    return imaging.encode(pixels, choice.suffix, about)


def write_outputs(cut: CutOut, choices: Iterable[Choice], place: Callable[[Choice], Path]) -> dict[str, str]:
    """Write each output to its place. Returns the path of each by its label.

    Raises DataError with all mistakes, after writing whatever can be written.
    """
    paths, mistakes = {}, []
    for choice in choices:
        path = place(choice)
        try:
            write_bytes(path, encode_output(cut, choice))
            paths[choice.label] = str(path)
        except DataError as error:
            message = str(error)
            mistakes.append(message if message.startswith(str(path)) else f"{path}: {message}")
    if mistakes:
        raise DataError("; ".join(mistakes))
    return paths
