"""The identity of a test set: its compositor, the source of its trimaps, a checksum of its pixels.

Also whether scores on it compare with those published for Composition-1k: 1000 composites of 50 foregrounds and VOC
2012 pictures by Adobe's script, official trimaps, the benchmark's protocol.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepmat.data.compositing import MANIFEST, is_unchanged, read_manifest
from deepmat.errors import DataError

PICTURES, FOREGROUNDS = 1000, 50


class Identity(NamedTuple):
    """What the manifest claims of a test set; `deepmat doctor` measures whether the pixels agree."""

    compositor: str
    """As the manifest names it, "unknown" without a manifest."""
    trimaps: str
    """"given" where all come with the foregrounds, as Adobe's do, "from alphas" where `composite` made some, or
    "unknown"."""
    foregrounds: dict[str, str]
    """The foreground of each composite."""


def identify(folders: Mapping[str, Path]) -> tuple[Identity, list[str]]:
    """The identity by the manifest beside the folders "image", "trimap" and "alpha"; a notice where it is unreadable.

    The manifest does not apply where one of the folders lies elsewhere.
    """
    nothing = Identity("unknown", "unknown", {})
    home = folders["image"].parent
    if any(folder.resolve() != (home / kind).resolve() for kind, folder in folders.items()):
        return nothing, []
    try:
        entries = read_manifest(home / MANIFEST)
    except DataError as error:
        return nothing, [str(error)]
    if not entries:
        return nothing, []
    compositors = sorted({str(entry["compositor"]) for entry in entries})
    trimaps = "given" if all(entry["trimap"] for entry in entries) else "from alphas"
    foregrounds = {str(entry["name"]): str(entry["fg"]) for entry in entries}
    return Identity(" and ".join(compositors), trimaps, foregrounds), []


def changed_images(images: Path) -> list[str]:
    """A remark on images whose checksum differs from their manifest's; empty where none does."""
    changed = [
        entry["name"]
        for entry in read_manifest(images.parent / MANIFEST)
        if not is_unchanged(str(images.parent / entry["image"]), [entry["bytes"], None, entry["crc32"]])
    ]
    return [f"{_count(len(changed), 'image')} changed since composited, {changed[0]} for one"] if changed else []


def digest(*pictures: np.ndarray) -> str:
    """The sha256 of pixels and sizes, in hexadecimal, independent of file format and compression."""
    total = hashlib.sha256()
    for pixels in pictures:
        total.update(repr(pixels.shape).encode())
        total.update(np.ascontiguousarray(pixels).data)
    return total.hexdigest()


def checksum(digests: Mapping[str, str]) -> str:
    """One checksum of all pictures and their names, 16 hexadecimal digits. digests: by name."""
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(os.fsencode(lines)).hexdigest()[:16]


def differences_from_published(
    test: Identity, names: Sequence[str], settings: Mapping[str, Any], failed: int, odd: int, shrunk: int
) -> list[str]:
    """Reasons why scores do not compare with those published for Composition-1k; empty if they do.

    names: the pictures scored; settings: "protocol" and, of networks, "precision", "fit" and "mode"; failed, odd,
    shrunk: numbers of pictures without scores, with a notice on their trimap, shrunk for the network.
    """
    mode, precision = settings.get("mode", "whole"), settings.get("precision", "fp32")
    reasons = {
        f"{len(names)} pictures, where Composition-1k has {PICTURES}": len(names) != PICTURES,
        **_differences_of_the_set(test, names),
        f"protocol {settings['protocol']}, not matlab": settings["protocol"] != "matlab",
        f"precision {precision}, not fp32": precision != "fp32",
        f"mode {mode}, in which the network does not see the unchanged picture": mode not in ("whole", "auto", "tile"),
        "width and height stretched separately (--fit stretch)": (
            mode == "whole" and settings.get("fit", "keep") != "keep"
        ),
        f"{_count(shrunk, 'picture')} shrunk for the network; give a larger --max-size": bool(shrunk),
        f"{_count(odd, 'trimap')} that {'is' if odd == 1 else 'are'} odd, as noted": bool(odd),
        f"{_count(failed, 'picture')} not scored": bool(failed),
    }
    return [reason for reason, holds in reasons.items() if holds]


def _differences_of_the_set(test: Identity, names: Iterable[str]) -> dict[str, bool]:
    """Reasons by what the manifest claims, and whether each holds."""
    names = list(names)
    foregrounds = Counter(test.foregrounds[name] for name in names if name in test.foregrounds)
    unlisted = sum(name not in test.foregrounds for name in names)
    if unlisted:
        return {f"{_count(unlisted, 'picture')} in no {MANIFEST}, which names compositor and trimaps": True}
    uneven = len(names) == PICTURES and len(set(foregrounds.values())) > 1
    each = PICTURES // FOREGROUNDS
    return {
        f"{_count(len(foregrounds), 'foreground')}, where it has {FOREGROUNDS} with {each} backgrounds each": (
            len(foregrounds) != FOREGROUNDS or uneven
        ),
        f"composited by {test.compositor}, not by adobe": test.compositor != "adobe",
        f"trimaps {test.trimaps}, not the official ones": test.trimaps != "given",
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
