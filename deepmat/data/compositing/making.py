"""Make a planned composite: its pictures, and the bytes of its files."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from deepmat import imaging
from deepmat.data.compositing.manifest import Entry, Stamp, checksum, stamp
from deepmat.data.layouts import read_foreground
from deepmat.errors import DataError, lookup
from deepmat.imaging import trimap
from deepmat.imaging.blend import COMPOSITORS
from deepmat.runtime.storage import addressed

KINDS = {"train": ("image",), "test": ("image", "alpha", "trimap")}
LAYOUTS = {"composites": (), "full": ("alpha", "fg", "bg")}
"""Kinds of pictures written besides KINDS."""
TEST_TRIMAP = (3, 10)
"""Kernel size and iterations of the trimap of a test picture without one."""


def places_of(entry: Entry, layout: str) -> dict[str, str]:
    """The files of one composite by kind, relative to its manifest."""
    kinds = dict.fromkeys((*KINDS[entry["split"]], *LAYOUTS[layout]))
    return {kind: entry["image"] if kind == "image" else f"{kind}/{entry['name']}.png" for kind in kinds}


def _test_trimap(entry: Entry, alpha: np.ndarray) -> np.ndarray:
    if not entry["trimap"]:
        return trimap.from_alpha(alpha, *TEST_TRIMAP)
    source = addressed(entry["trimap"])
    levels = trimap.read_trimap(source)[0]
    imaging.check_same_size(source, levels, addressed(entry["fg"]), alpha)
    return levels


def fitted(entry: Entry, height: int, width: int) -> np.ndarray:
    """A composite's background, uint8 [height, width, 3], as its compositor fits it. DataError if it cannot."""
    background = imaging.read_image(addressed(entry["bg"]))
    try:
        return lookup(COMPOSITORS, entry["compositor"], "compositor").fit(background, height, width)
    except DataError as error:
        raise DataError(f"{entry['bg']}: {error}") from error


def _pictures(entry: Entry, foreground: np.ndarray, alpha: np.ndarray, kinds: Iterable[str]) -> dict[str, np.ndarray]:
    """The pictures of a composite: uint8 image, fg, bg [H, W, 3], alpha and, if in `kinds`, trimap [H, W]."""
    compositor = COMPOSITORS[entry["compositor"]]
    background = fitted(entry, *alpha.shape)
    image = compositor.blend(foreground, alpha, background)
    pictures = {"image": image, "alpha": alpha, "fg": foreground, "bg": background}
    return {**pictures, "trimap": _test_trimap(entry, alpha)} if "trimap" in kinds else pictures


def preview(plan: Sequence[Entry], count: int) -> Iterator[tuple[str, dict[str, np.ndarray] | DataError]]:
    """`count` composites spread over the plan: the name, and image, trimap and alpha or the error of each."""
    for place in sorted({round(each) for each in np.linspace(0, len(plan) - 1, min(count, len(plan)))}):
        entry = plan[place]
        try:
            layers = read_foreground(addressed(entry["fg"]), addressed(entry["alpha"]) if entry["alpha"] else None)
            yield entry["name"], _pictures(entry, *layers, ["trimap"])
        except DataError as error:
            yield entry["name"], error


Opened = tuple[dict[str, Stamp], np.ndarray, np.ndarray]


def open_foreground(fg: str, alpha: str | None) -> Opened:
    """Stamps of the files, taken before they are read; colours; alpha."""
    before: dict[str, Stamp] = {kind: stamp(path) for kind, path in (("fg", fg), ("alpha", alpha)) if path}
    return before, *read_foreground(addressed(fg), addressed(alpha) if alpha else None)


def make(entry: Entry, layout: str, foreground: Opened) -> tuple[Entry, dict[str, bytes]]:
    """The entry of a composite with size, checksum and stamps, and its files by place."""
    before, colours, alpha = foreground
    sources = before | {kind: stamp(path) for kind, path in (("bg", entry["bg"]), ("trimap", entry["trimap"])) if path}
    places = places_of(entry, layout)
    pictures = _pictures(entry, colours, alpha, places)
    files = {place: imaging.encode(pictures[kind], Path(place).suffix) for kind, place in places.items()}
    made = entry.copy()
    made["size"] = list(alpha.shape)
    image = files[places["image"]]
    made["bytes"], made["crc32"] = len(image), checksum(image)
    made["sources"] = sources
    return made, files
