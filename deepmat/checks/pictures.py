"""What a picture of a data folder shows that is wrong with it, by its header or its pixels."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deepmat import imaging
from deepmat.checks.findings import Finding, finding
from deepmat.errors import DataError
from deepmat.imaging import Header, masks, trimap
from deepmat.imaging.colour import SRGB_GAMMA, other_primaries
from deepmat.imaging.layers import holds_matte
from deepmat.imaging.painted import percent

MIN_SIDE, SMALL_SIDE = 32, 320  # the least a network can take; what DIM trains on
FEW_LEVELS = 16
GREY_MODES = ("1", "L", "LA", "I", "F")
ENOUGH_FRINGE = 200


def look_at_header(role: str, path: Path, about: Header) -> Iterator[Finding]:
    """Findings from the header of a picture (imaging.describe): colour profile, orientation, kind."""
    colours = role in ("fg", "rgba", "bg", "image")
    marks = []
    if about["profile"] and "srgb" not in about["profile"].lower():
        marks.append(f"ICC profile {about['profile']!r}")
    elif not about["profile"]:
        if about["gamma"] and abs(about["gamma"] - SRGB_GAMMA) > 0.01:
            marks.append(f"gamma {about['gamma']:.2g}")
        if other_primaries(about["chromaticity"]):
            marks.append("primaries other than sRGB's (cHRM)")
    if marks:
        message = f"{' and '.join(marks)}, not applied here but by other programs; save it as sRGB without a profile"
        yield finding("profile", path, message, severity="warning", fix="re-encoded")
    if about["orientation"] != 1:
        message = (
            f"EXIF orientation {about['orientation']}: turned upright here, but not by all programs; save it upright"
        )
        yield finding("orientation", path, message, severity="warning", fix="re-encoded")
    if about["frames"] > 1 and about["format"] != "MPO":
        message = f"{about['frames']} frames or pages, of which the first is taken; save that one alone"
        yield finding("mode", path, message, severity="warning")
    if about["mode"] == "CMYK":
        message = "CMYK, turned into RGB without its profile, so the colours are a little off; save it as RGB"
        yield finding("mode", path, message, severity="warning")
    if about["mode"] in ("P", "PA") and colours:
        yield finding(
            "mode", path, "256 colours at most (a palette); use the original if there is one", severity="note"
        )
    if role == "alpha" and about["format"] in ("JPEG", "MPO"):
        message = "JPEG makes its 0 and 255 uneven, which widens trimaps made from it; save it from the original as PNG"
        yield finding("lossy", path, message, severity="note")
    if role == "alpha" and about["mode"] not in GREY_MODES and not about["mode"].startswith("I;"):
        yield from _colours(path)
    if role != "trimap" and role != "alpha":
        least = min(about["size"])
        size = f"{about['size'][1]}x{about['size'][0]}"
        if least < MIN_SIDE:
            message = f"{size}: too small to learn from or to cover a foreground; use a larger one"
            yield finding("small", path, message, severity="warning")
        elif least < SMALL_SIDE:
            message = f"{size}: enlarged in use, since a side is under {SMALL_SIDE}"
            yield finding("small", path, message, severity="note")


def _colours(path: Path) -> Iterator[Finding]:
    """Whether an alpha kept in colours is grey."""
    rgb, channel = imaging.read_rgba(path)
    if not holds_matte(rgb, channel):
        return
    apart = rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2)
    most, strong = int(apart.max()), float(np.mean(apart > 16))
    if not most:
        yield finding(
            "channels", path, "grey kept as colours, three times as much to read", severity="note", fix="re-encoded"
        )
    elif strong > 0.01:
        message = f"{percent(strong)} of it is coloured: a photo rather than an alpha? put the alpha in its place"
        yield finding("colours", path, message)
    else:
        message = f"its channels differ by up to {most} levels, of which the luminance is taken; save it as grey"
        yield finding("colours", path, message, severity="warning")


def is_binary_scale(alpha: np.ndarray, deep: bool) -> bool:
    """Whether alpha is 0 and 1 for 0 and 255. Of more than 8 bits, 1 may be what was left of any small level."""
    return int(alpha.max()) == 1 and not deep


def look_at_alpha(path: Path, alpha: np.ndarray, deep: bool) -> Iterator[Finding]:
    """The levels of an alpha, uint8 [H, W], read from more than 8 bits or not, and where they lie."""
    levels = np.flatnonzero(masks.histogram(alpha))
    top, bottom = int(levels[-1]), int(levels[0])
    if top == bottom:
        message = f"alpha is {top} everywhere, so there is no edge to learn from; remove the picture"
        yield finding("edge", path, message, fix="left out")
        return
    if deep and top <= 1:
        message = (
            "it goes up to 1 of 255 once read as 8 bits, so it was not saved over the range of its 16; multiply it"
        )
        yield finding("scale", path, message)
    elif deep:
        yield finding("deep", path, "read as 8 bits, which is what mattes have", severity="note", fix="re-encoded")
    if is_binary_scale(alpha, deep):
        yield finding("scale", path, "its levels are 0 and 1, nearly black; save 1 as 255", fix="re-encoded")
    elif 1 < top <= 100:
        message = f"it goes up to {top} of 255 only" + (", as if in per cent" if top == 100 else "")
        yield finding("scale", path, f"{message}; multiply it, unless all is this thin", severity="warning")
    if len(levels) == 2:
        message = f"only {bottom} and {top}: a mask; a matte has levels between them at hair and blur"
        yield finding("mask", path, message, severity="warning")
    elif len(levels) <= FEW_LEVELS:
        message = f"only {len(levels)} levels, so soft edges have steps; use the original if there is one"
        yield finding("levels", path, message, severity="warning")
    if masks.looks_inverted(alpha):
        yield finding("inverted", path, masks.INVERTED, severity="warning")


def look_at_fringe(path: Path, colour: np.ndarray, alpha: np.ndarray) -> Iterator[Finding]:
    """Whether the colours, uint8 [H, W, 3], at the soft edge are the foreground's times alpha, over black or white.

    If they are, no channel is farther from that black or white than alpha, and the distance grows with alpha. A dark
    or bright foreground alone does the first, and not the second.
    """
    soft = np.flatnonzero((alpha > 0) & (alpha < 255))
    if soft.size < ENOUGH_FRINGE:
        return
    soft = soft[:: -(-soft.size // 100_000)]
    weight = alpha.reshape(-1)[soft].astype(np.int16)
    pixels = colour.reshape(-1, 3)[soft].astype(np.int16)
    for name, distance in (("black", pixels.max(axis=1)), ("white", 255 - pixels.min(axis=1))):
        if np.mean(distance <= weight + 2) > 0.99 and weight.std() and distance.std():
            if np.corrcoef(distance, weight)[0, 1] > 0.6:
                how = " (premultiplied)" if name == "black" else ""
                message = f"colours fade to {name} with alpha{how}, which leaves a halo; export straight alpha"
                yield finding("fringe", path, message, severity="warning")


def look_at_trimap(path: Path, levels: np.ndarray, alpha: np.ndarray | None) -> Iterator[Finding]:
    """The levels of a trimap, uint8 [H, W], and what they say against an alpha of the same size."""
    try:
        guide, notices = trimap.quantise(levels)
    except DataError as error:
        yield finding("labels", path, str(error))
        return
    for notice in notices:
        message = f"{notice}; save those alone, unsmoothed"
        yield finding("greys", path, message, severity="warning", fix="re-encoded")
    unknown = trimap.unknown_region(guide)
    if not unknown.any():
        yield finding("known", path, "nothing is unknown (128), so there is nothing to find out; mark the edge")
    elif unknown.all():
        yield finding("known", path, "all is unknown (128); mark what is surely 0 and 255", severity="warning")
    if alpha is not None and alpha.shape == guide.shape:
        wrong = (guide == trimap.FOREGROUND) & (alpha < 64) | (guide == trimap.BACKGROUND) & (alpha > 191)
        opposite = int(np.count_nonzero(wrong)) / max(int(np.count_nonzero(~unknown)), 1)
        if opposite > 1e-4:
            message = (
                f"{percent(opposite)} of what it says is known is the opposite in the alpha; is it of this picture?"
            )
            yield finding("contradiction", path, message, severity="error" if opposite > 0.01 else "warning")
