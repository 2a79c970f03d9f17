"""What a picture and its alpha can be written as: alphas, cut-outs, composites, pictures to look at.

OUT/KIND/NAME.ext: `alpha,cutout.webp` gives OUT/alpha/cat.png and OUT/cutout/cat.webp.
"""

import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from deepmat import imaging
from deepmat.data.compositing import COMPOSITORS
from deepmat.errors import ConfigError, DataError, DeepmatError, lookup
from deepmat.imaging import About
from deepmat.imaging.trimap import BACKGROUND, FOREGROUND, unknown_region
from deepmat.runtime.files import find_pictures, key_of, write_bytes

KEPT = 8
"""Pixels around the visible ones that keep their colours in a cut-out."""
CHECKS = (153, 102)
CHECKS_ACROSS = 64
PANEL, LABEL, GAP, SHEET_ASPECT = 800, 26, 6, 1.6
LINE, WARNING, DOUBT = (0, 190, 255), (255, 0, 140), (255, 210, 0)
UNDECIDED = (0.2, 0.8)
DISAGREEING = 0.25

Background = Callable[[str, int, int, About | None], np.ndarray]
"""Name, height, width and `about` of a picture -> what is to be behind it, uint8 RGB [H, W, 3] in its colour space."""


def _cover(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of a picture, as much as has the wanted aspect, shrunk or enlarged to height x width."""
    h, w = pixels.shape[:2]
    scale = max(height / h, width / w)
    part_h, part_w = max(1, min(h, round(height / scale))), max(1, min(w, round(width / scale)))
    top, left = (h - part_h) // 2, (w - part_w) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(pixels[top : top + part_h, left : left + part_w], (width, height), interpolation=how)


def _plain(colour: tuple[int, int, int]) -> Background:
    def fill(name: str, height: int, width: int, about: About | None) -> np.ndarray:
        return np.full((height, width, 3), imaging.as_in(np.array([[colour]], np.uint8), None, about))

    return fill


def _drawn(pictures: Sequence[tuple[str, Path]], max_pixels: int) -> Background:
    read = lru_cache(1)(imaging.read_picture)  # one picture behind all is decoded once
    by_key, by_name = dict(pictures), {Path(key).name: path for key, path in reversed(pictures)}

    def draw(name: str, height: int, width: int, about: About | None) -> np.ndarray:
        by_chance = pictures[zlib.crc32(os.fsencode(name)) % len(pictures)][1]
        path = by_key.get(name) or by_name.get(Path(name).name, by_chance)
        pixels, _, its_own, _ = read(path, max_pixels)
        return imaging.as_in(_cover(pixels, height, width), its_own, about)

    return draw


def open_background(text: str, max_pixels: int = imaging.MAX_PIXELS) -> Background:
    """What `text` names: a colour ("white", "#00ff00"), a picture file, or a folder of pictures.

    A picture is scaled to cover and cut around its middle. Of a folder, a picture gets the one of its own name, else
    one that depends on its name alone. ConfigError if it is nothing of the kind, DataError for an empty folder
    or a broken picture.
    """
    try:
        return _plain(imaging.parse_colour(text))
    except ConfigError as error:
        path = Path(text)
        if path.is_dir():
            return _drawn([(key_of(each, path), each) for each in find_pictures(path)[0]], max_pixels)
        if not path.is_file():
            raise ConfigError(
                f'background {text}: no colour, picture or folder; say "white", "#rrggbb" or check the path'
            ) from error
        background = _drawn([("", path)], max_pixels)
        background("", 1, 1, None)  # a broken one is told before any work
        return background


@dataclass
class CutOut:
    """A picture with its alpha.

    name: its path in the input folder, without extension; image: uint8 RGB [H, W, 3]; alpha: float32 [H, W], 0 to 1;
    trimap: uint8 [H, W]; about: what its copies should say too; estimate: image and alpha -> the colours of the
    foreground alone, uint8 RGB [H, W, 3], or None to keep the picture's own.
    """

    name: str
    image: np.ndarray
    alpha: np.ndarray
    trimap: np.ndarray
    about: About | None = None
    estimate: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    background: Background = _plain((255, 255, 255))

    @cached_property
    def levels(self) -> np.ndarray:
        """alpha as uint8 [H, W]."""
        return imaging.to_uint8(self.alpha)

    @cached_property
    def foreground(self) -> np.ndarray:
        """Its colours, uint8 RGB [H, W, 3], estimated once for all that is made of them."""
        return self.estimate(self.image, self.alpha) if self.estimate else self.image


def _over(cut: CutOut, background: np.ndarray) -> np.ndarray:
    return COMPOSITORS["cv2"].blend(cut.foreground, cut.levels, background)


def make_cutout(cut: CutOut) -> np.ndarray:
    """Foreground colours and straight alpha, uint8 RGBA [H, W, 4].

    Further than KEPT pixels from all that is visible, colours are 0, which halves the file. Nearer they stay, since
    what scales or blurs a cut-out mixes them in, and black ones would make dark fringes.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * KEPT + 1, 2 * KEPT + 1))
    near = cv2.dilate((cut.levels > 0).view(np.uint8), kernel)
    return cv2.merge([*cv2.split(cv2.bitwise_and(cut.foreground, cut.foreground, mask=near)), cut.levels])


def make_composite(cut: CutOut) -> np.ndarray:
    """alpha * foreground + (1 - alpha) * background, rounded, uint8 RGB [H, W, 3]."""
    height, width = cut.levels.shape
    return _over(cut, cut.background(cut.name, height, width, cut.about))


def make_preview(cut: CutOut) -> np.ndarray:
    """Over a checkerboard of middle greys, on which light and dark hair both show, uint8 RGB [H, W, 3]."""
    height, width = cut.levels.shape
    side = max(4, max(height, width) // CHECKS_ACROSS)
    odd = (np.arange(height)[:, None] // side + np.arange(width) // side) % 2
    return _over(cut, cv2.cvtColor(np.array(CHECKS, np.uint8)[odd], cv2.COLOR_GRAY2RGB))


def make_uncertainty(cut: CutOut) -> np.ndarray:
    """Where the trimap needs work, uint8 RGB [H, W, 3], of the picture's size, to lie over it in an editor.

    Known background dark grey, known foreground light grey, the unknown region in colour within a blue line. Yellow
    over it: areas of alpha between 0.2 and 0.8, too wide for an edge: known foreground or background to be painted
    in, or something translucent. Magenta: alpha differs by more than 0.25 from the known value right beside it: what
    is soft goes on there, and the unknown region should too.
    """
    longest = max(cut.levels.shape)
    line, wide = max(1, longest // 600), max(2, longest // 120)
    unknown = unknown_region(cut.trimap)
    low, high = UNDECIDED
    undecided = unknown & (cut.alpha > low) & (cut.alpha < high)
    doubt = _within(~_within(~undecided, wide), wide)  # what a disc of that radius fits into
    broken = np.zeros_like(unknown)
    for known, value in ((FOREGROUND, 1), (BACKGROUND, 0)):
        broken |= unknown & _within(cut.trimap == known, 1.5) & (np.abs(cut.alpha - value) > DISAGREEING)
    grey = cv2.cvtColor(cut.image, cv2.COLOR_RGB2GRAY)
    shown = cv2.cvtColor(np.where(cut.trimap == FOREGROUND, grey // 2 + 112, grey // 3), cv2.COLOR_GRAY2RGB)
    cv2.copyTo(cut.image, unknown.view(np.uint8), shown)
    shown[doubt] = shown[doubt] // 2 + np.array(DOUBT, np.uint8) // 2
    shown[unknown & _within(~unknown, line)] = LINE
    shown[_within(broken, 2 * line)] = WARNING
    return shown


def _within(mask: np.ndarray, radius: float) -> np.ndarray:
    """bool [H, W]: where a pixel of the mask, bool [H, W], is no further than `radius`."""
    if not mask.any():
        return mask
    return cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) <= radius


def _panel(title: str, pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture of that size under its title, uint8 RGB."""
    rgb = pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    how = cv2.INTER_AREA if height < pixels.shape[0] else cv2.INTER_NEAREST
    small = cv2.resize(rgb, (width, height), interpolation=how)
    panel = np.full((LABEL + height + GAP, max(width, 100) + GAP, 3), 32, np.uint8)
    panel[LABEL : LABEL + height, :width] = small
    cv2.putText(panel, title, (4, LABEL - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return panel


def make_sheet(cut: CutOut) -> np.ndarray:
    """image, trimap, alpha and preview, each up to 800 pixels long, in a row, a column or a square, uint8 RGB."""
    pictures = {"image": cut.image, "trimap": cut.trimap, "alpha": cut.levels, "cut-out": make_preview(cut)}
    height, width = cut.levels.shape
    scale = PANEL / max(height, width)
    scale = max(1, int(scale)) if scale > 1 else scale
    size = max(1, round(height * scale)), max(1, round(width * scale))
    panels = [_panel(title, pixels, *size) for title, pixels in pictures.items()]
    h, w = panels[0].shape[:2]
    across = min((1, 2, 4), key=lambda columns: abs(np.log(columns * columns * w / (4 * h) / SHEET_ASPECT)))
    return np.vstack([np.hstack(panels[start : start + across]) for start in range(0, 4, across)])


class Output(NamedTuple):
    """make: its pixels, as `imaging.encode` takes them; suffixes: the files it can be, the first by default."""

    make: Callable[[CutOut], np.ndarray]
    suffixes: tuple[str, ...]
    help: str


PHOTO = (".jpg", ".png", ".webp", ".tif")
OUTPUTS: dict[str, Output] = {
    "alpha": Output(lambda cut: cut.levels, (".png", ".tif"), "alpha in 8 bits"),
    "alpha16": Output(lambda cut: imaging.to_uint16(cut.alpha), (".png", ".tif"), "alpha in 16 bits"),
    "alpha32": Output(lambda cut: cut.alpha, (".tif", ".exr"), "alpha as floats"),
    "cutout": Output(make_cutout, (".png", ".webp", ".tif"), "the foreground as RGBA"),
    "foreground": Output(lambda cut: cut.foreground, (".png", ".jpg", ".webp", ".tif"), "its colours alone"),
    "composite": Output(make_composite, (".png", ".jpg", ".webp", ".tif"), "over another background"),
    "preview": Output(make_preview, PHOTO, "over a checkerboard"),
    "sheet": Output(make_sheet, PHOTO, "image, trimap, alpha and preview side by side"),
    "uncertainty": Output(make_uncertainty, PHOTO, "where the trimap needs work"),
}


class Choice(NamedTuple):
    """One of OUTPUTS and the extension that it is to have (".png")."""

    kind: str
    suffix: str

    @property
    def label(self) -> str:
        """What a user would call it: "cutout", "cutout.webp"."""
        return self.kind + self.suffix * (self.suffix != OUTPUTS[self.kind].suffixes[0])

    def place(self, name: str) -> Path:
        """Where it is written of a picture of that name, in the output folder."""
        return Path(self.kind, name + self.suffix)


def parse_outputs(text: str) -> list[Choice]:
    """ "alpha,cutout.webp" as choices, each once. ConfigError that tells every mistake."""
    choices, mistakes = dict[Choice, None](), []
    for part in filter(None, (each.strip().lower() for each in text.split(","))):
        kind, dot, ending = part.partition(".")
        try:
            suffixes = lookup(OUTPUTS, kind, "output").suffixes
            choice = Choice(kind, dot + ending or suffixes[0])
            if choice.suffix not in suffixes:
                raise ConfigError(f"output {part!r}: {kind} can be {' or '.join(suffixes)}")
            if choice.suffix == ".exr":
                imaging.encode(np.zeros((1, 1), np.float32), choice.suffix)  # not every OpenCV can
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
    """The file that was chosen. DataError if the format cannot hold it.

    It says of resolution and colour profile what `cut.about` does; an alpha is no colour and gets no profile.
    """
    pixels = OUTPUTS[choice.kind].make(cut)
    about = cut.about
    if about and pixels.ndim == 2:
        about = {**about, "profile": None}
    return imaging.encode(pixels, choice.suffix, about)


def write_outputs(cut: CutOut, choices: Iterable[Choice], out: Path) -> dict[str, str]:
    """Write what was chosen; label and path of each file.

    DataError, after all that can be written is, if something cannot.
    """
    paths, mistakes = {}, []
    for choice in choices:
        path = out / choice.place(cut.name)
        try:
            write_bytes(path, encode_output(cut, choice))
            paths[choice.label] = str(path)
        except DataError as error:
            message = str(error)
            mistakes.append(message if message.startswith(str(path)) else f"{path}: {message}")
    if mistakes:
        raise DataError("; ".join(mistakes))
    return paths
