"""Scores as one HTML page that needs no network, with its larger pictures in a folder beside it.

In `web/`, `page.html` is the frame and `page.css` the style; the scripts draw everything else from the numbers.
"""

import hashlib
import html
import os
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

import cv2
import numpy as np

from deepmat import imaging
from deepmat.report.views import COLOURS, error_map, heat_map, shrink, side_by_side, worst_window
from deepmat.runtime.files import write_bytes, write_text
from deepmat.runtime.records import to_json
from deepmat.scoring.records import Comparison, Mean, Scores, Settings, Summary, title

LONGER, THUMBNAIL = 1024, 96
"""Longer side of a view and of a thumbnail in pixels."""
QUALITY, THUMBNAIL_QUALITY = 88, 60
SCRIPTS = ("core.js", "plots.js", "picture.js", "worst.js", "page.js")
"""Joined to one script, in this order: the last one draws the page."""


class PageRun(TypedDict):
    """A run as the page shows it."""

    run: str
    mean: Mapping[str, Mean]
    settings: Mapping[str, Any]


class PageInput(TypedDict):
    """The scores that the page shows. Numbers that are not finite count as missing."""

    title: str
    comparable: bool
    """Whether the scores compare with published Composition-1k numbers."""
    remarks: list[str]
    """Why they do not, or what the claim rests on."""
    metrics: list[str]
    """Lower is better in each."""
    runs: list[PageRun]
    comparisons: Sequence[Comparison]
    pictures: Sequence[Scores]
    """Pictures that were never added are listed without views."""
    settings: Settings


class _Kept(TypedDict):
    """What the page itself holds of a picture that was added."""

    thumbnail: str
    """data: URL"""
    view: tuple[int, int]
    """Height and width of the views."""
    windows: dict[str, tuple[int, int, int, int]]
    """Top, left, height and width of the worst window by run."""


def page_input(summary: Summary, heading: str) -> PageInput:
    """The summary of an evaluation as the page shows it: by the first protocol alone."""
    protocol = summary["settings"]["protocol"]
    sources = {each["run"]: {key: value for key, value in each.items() if key != "run"} for each in summary["runs"]}
    means = [each for each in summary["means"] if each["protocol"] == protocol]
    return {
        "title": heading,
        "comparable": summary["comparable"],
        "remarks": summary["remarks"],
        # In most protocols scores over the unknown region are the protocol's own.
        "metrics": [name for name in summary["metrics"] if not name.endswith("_unknown")],
        "runs": [{"run": each["run"], "mean": each["mean"], "settings": sources[each["run"]]} for each in means],
        "comparisons": summary["comparisons"],
        "pictures": [each for each in summary["pictures"] if each.get("protocol", protocol) == protocol],
        "settings": summary["settings"],
    }


class Page:
    """An HTML page of scores: `add` each picture, then `write`.

    PAGE.html holds numbers and thumbnails. PAGE_files/, beside it, has a folder per picture with image.jpg, trimap.png
    and truth.jpg, and in it a folder per run with prediction.jpg and error.jpg, all at most 1024 pixels long, and
    window.png: image, truth, prediction and error of the worst window side by side, pixel for pixel.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = self.path.with_name(f"{self.path.stem}_files")
        self.kept: dict[str, _Kept] = {}

    def add(
        self,
        name: str,
        image: np.ndarray,
        trimap: np.ndarray,
        alpha: np.ndarray,
        predictions: Mapping[str, np.ndarray],
    ) -> None:
        """Write the views of one picture beside the page, and keep its thumbnail. Safe to call from any thread.

        image: uint8 RGB [H, W, 3]; trimap, alpha and the prediction of each run: uint8 [H, W]. Raises DataError if a
        file cannot be written.
        """
        folder = self.folder / _file_name(name)
        small = shrink(image, LONGER)
        thumbnail = imaging.encode_lossy(shrink(small, THUMBNAIL), ".webp", THUMBNAIL_QUALITY)
        _write_view(folder / "image.jpg", small)
        _write_view(folder / "truth.jpg", shrink(alpha, LONGER))
        imaging.write_image(folder / "trimap.png", shrink(trimap, LONGER, cv2.INTER_NEAREST))
        windows = {}
        for run, prediction in predictions.items():
            error = error_map(prediction, alpha, trimap)
            top, left, height, width = windows[run] = worst_window(error)
            part = np.s_[top : top + height, left : left + width]
            inner = folder / _file_name(run)
            _write_view(inner / "prediction.jpg", shrink(prediction, LONGER))
            _write_view(inner / "error.jpg", heat_map(small, shrink(error, LONGER)))
            window = side_by_side([image[part], alpha[part], prediction[part], COLOURS[error[part]]])
            imaging.write_image(inner / "window.png", window)
        self.kept[name] = {
            "thumbnail": f"data:image/webp;base64,{b64encode(thumbnail).decode()}",
            "view": (small.shape[0], small.shape[1]),
            "windows": windows,
        }

    def write(self, shown: PageInput) -> None:
        """Write the page, whole or not at all. Raises DataError if the file cannot be written."""
        style, script = _text("page.css"), _text(*SCRIPTS)
        parts = {
            # A file name may hold bytes that are no text; as references they show as replacement characters.
            "title": html.escape(shown["title"]).encode("ascii", "xmlcharrefreplace").decode(),
            "style": style,
            "script": script,
            "style_checksum": _checksum(style),
            "script_checksum": _checksum(script),
            "longer": str(LONGER),
            # No name can end the element that holds the numbers.
            "data": to_json(self._data(shown)).replace("<", "\\u003c"),
        }
        write_text(self.path, re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _text("page.html")))

    def _data(self, shown: PageInput) -> dict[str, Any]:
        """The data that the script reads."""
        names = dict.fromkeys(record["name"] for record in shown["pictures"])
        return {
            **shown,
            "titles": {metric: title(metric) for metric in shown["metrics"]},
            "colours": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in COLOURS[::5].tolist()],
            "folder": quote(os.fsencode(self.folder.name)),
            "files": {run["run"]: _file_name(run["run"]) for run in shown["runs"]},
            "kept": {name: {"id": _file_name(name), **self.kept.get(name, {})} for name in names},
        }


def _write_view(path: Path, pixels: np.ndarray) -> None:
    write_bytes(path, imaging.encode_lossy(pixels, path.suffix, QUALITY))


def _file_name(name: str) -> str:
    """A file name for any name: its readable characters and a checksum that makes it unique."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-40:]
    return f"{readable}-{hashlib.blake2s(os.fsencode(name), digest_size=5).hexdigest()}".lstrip("-")


def _text(*names: str) -> str:
    web = resources.files("deepmat.report") / "web"
    return "\n".join((web / name).read_text("utf-8") for name in names)


def _checksum(text: str) -> str:
    """The checksum of a script or style as a Content-Security-Policy has it."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
