"""Scores as one HTML page that needs no network, with its larger pictures in a folder beside it.

In `web/`, `page.html` is the frame, `page.css` the looks; the scripts draw everything else from the numbers.
"""

import hashlib
import html
import os
import re
from base64 import b64encode
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from deepmat import imaging
from deepmat.imaging.trimap import unknown_region
from deepmat.report.tables import title
from deepmat.runtime.files import write_bytes, write_text
from deepmat.runtime.records import to_json

LONGER, THUMBNAIL, WINDOW = 1024, 96, 64
"""Longer side of a view and of a thumbnail, and the side of the worst window, in pixels."""
SCRIPTS = ("core.js", "plots.js", "picture.js", "page.js")
"""One script, in this order: the last one draws the page."""
QUALITY, THUMBNAIL_QUALITY = 88, 60
DIMMED = 0.4
"""Brightness of the picture that an error lies on."""
VISIBLE = 0.04
"""The error that hides the picture beneath."""


def _scale() -> tuple[np.ndarray, np.ndarray]:
    """Colour of each error, uint8 [256, 3], and how much of the picture beneath it is left, float32 [256].

    Colours go by the square root: errors of a few grey levels have to be seen beside errors of 1.
    """
    error = np.arange(256) / 255
    colours = cv2.applyColorMap(imaging.to_uint8(np.sqrt(error)), cv2.COLORMAP_INFERNO).reshape(256, 3)[:, ::-1]
    return np.ascontiguousarray(colours), (1 - np.minimum(error / VISIBLE, 1)).astype(np.float32)


COLOURS, LEFT = _scale()
PAINT = np.rint(COLOURS * (1 - LEFT[:, None])).astype(np.uint8)[None]
SHADE = imaging.to_uint8(LEFT * DIMMED)


def error_map(prediction: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """uint8 [H, W] each -> |prediction - alpha| inside the unknown region, 0 outside, uint8 [H, W]."""
    return cv2.absdiff(prediction, alpha) * unknown_region(trimap)


def heat_map(image: np.ndarray, error: np.ndarray) -> np.ndarray:
    """RGB [H, W, 3] and error [H, W] -> the error's colours over the dimmed, grey picture; all uint8."""
    ground = cv2.multiply(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.LUT(error, SHADE), scale=1 / 255)
    return cv2.add(cv2.LUT(cv2.merge((error, error, error)), PAINT), cv2.cvtColor(ground, cv2.COLOR_GRAY2RGB))


def worst_window(error: np.ndarray, side: int = WINDOW) -> tuple[int, int, int, int]:
    """Top, left, height and width of the window, `side` wide and high or as large as fits, of the largest error sum."""
    height, width = (min(side, each) for each in error.shape)
    sums = cv2.boxFilter(error, cv2.CV_32F, (width, height), anchor=(0, 0), normalize=False)
    inside = sums[: error.shape[0] - height + 1, : error.shape[1] - width + 1]
    top, left = divmod(int(inside.argmax()), inside.shape[1])
    return top, left, height, width


def _shrink(pixels: np.ndarray, longer: int, how: int | None = None) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = longer / max(height, width)
    if scale >= 1:
        return pixels
    if how is None:  # means of areas take four times as long, and show only where several pixels become one
        how = cv2.INTER_LINEAR if scale > 0.5 else cv2.INTER_AREA
    return cv2.resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=how)


def _file_name(name: str) -> str:
    """A name of any characters as one for a file: what is readable of it, and a checksum that tells it from others."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-40:]
    return f"{readable}-{hashlib.blake2s(os.fsencode(name), digest_size=5).hexdigest()}".lstrip("-")


def _text(*names: str) -> str:
    web = resources.files("deepmat.report") / "web"
    return "\n".join((web / name).read_text("utf-8") for name in names)


def _checksum(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


class Page:
    """Scores to look at: `add` each picture, then `write`.

    PAGE.html holds numbers and thumbnails; PAGE_files/, beside it, a folder per picture with image.jpg, trimap.png and
    truth.jpg, and in it a folder per run with prediction.jpg and error.jpg, all of them 1024 pixels long at most, and
    window.png: image, truth, prediction and error of the worst window side by side, pixel for pixel.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.folder = self.path.with_name(f"{self.path.stem}_files")
        self.kept: dict[str, dict[str, Any]] = {}

    def add(
        self,
        name: str,
        image: np.ndarray,
        trimap: np.ndarray,
        alpha: np.ndarray,
        predictions: Mapping[str, np.ndarray],
    ) -> None:
        """Write the pictures of one scored picture beside the page, and keep its thumbnail. Any thread may.

        image: uint8 RGB [H, W, 3]; trimap, alpha and the prediction of each run: uint8 [H, W]. DataError if a file
        cannot be written.
        """
        folder = self.folder / _file_name(name)
        small = _shrink(image, LONGER)
        thumbnail = imaging.encode_lossy(_shrink(small, THUMBNAIL), ".webp", THUMBNAIL_QUALITY)
        self._write(folder / "image.jpg", small)
        self._write(folder / "truth.jpg", _shrink(alpha, LONGER))
        imaging.write_image(folder / "trimap.png", _shrink(trimap, LONGER, cv2.INTER_NEAREST))
        windows = {}
        for run, prediction in predictions.items():
            error = error_map(prediction, alpha, trimap)
            top, left, height, width = windows[run] = worst_window(error)
            part = np.s_[top : top + height, left : left + width]
            strip = (image[part], alpha[part], prediction[part], COLOURS[error[part]])
            panels = [cv2.cvtColor(each, cv2.COLOR_GRAY2RGB) if each.ndim == 2 else each for each in strip]
            inner = folder / _file_name(run)
            self._write(inner / "prediction.jpg", _shrink(prediction, LONGER))
            self._write(inner / "error.jpg", heat_map(small, _shrink(error, LONGER)))
            imaging.write_image(inner / "window.png", np.hstack(panels))
        picture = f"data:image/webp;base64,{b64encode(thumbnail).decode()}"
        self.kept[name] = {"thumbnail": picture, "view": small.shape[:2], "windows": windows}

    def _write(self, path: Path, pixels: np.ndarray) -> None:
        write_bytes(path, imaging.encode_lossy(pixels, path.suffix, QUALITY))

    def write(self, summary: Mapping[str, Any]) -> None:
        """Write the page, whole or not at all; numbers that are not finite count as missing.

        summary: "title"; "comparable", whether the scores are on the scale of published Composition-1k numbers, and
        the "remarks" that say why; "metrics", of which lower is better; "runs", a list of {"run", "mean": {metric:
        {"mean", "low", "high"}}, "settings"}; "comparisons", of {"run", "against", "metric", "difference", "low",
        "high", "p", "better", "worse", "foregrounds"?}, differences being run minus against; "pictures", of {"name",
        "run", "height", "width", "seconds"?, a score per metric} or {"name", "run", "error"}; "settings". Pictures that
        were never added are listed without their views. DataError if the file cannot be written.
        """
        names = dict.fromkeys(record["name"] for record in summary["pictures"])
        data = {
            **summary,
            "titles": {metric: title(metric) for metric in summary["metrics"]},
            "colours": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in COLOURS[::5].tolist()],
            "folder": quote(os.fsencode(self.folder.name)),
            "files": {run["run"]: _file_name(run["run"]) for run in summary["runs"]},
            "kept": {name: {"id": _file_name(name), **self.kept.get(name, {})} for name in names},
        }
        style, script = _text("page.css"), _text(*SCRIPTS)
        parts = {
            # Names of files can hold what is no text: as references they come out as replacement characters.
            "title": html.escape(summary["title"]).encode("ascii", "xmlcharrefreplace").decode(),
            "style": style,
            "script": script,
            "style_checksum": _checksum(style),
            "script_checksum": _checksum(script),
            "longer": str(LONGER),
            # Nothing in a name can end the element that the numbers are in.
            "data": to_json(data).replace("<", "\\u003c"),
        }
        write_text(self.path, re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _text("page.html")))
